"""Save small checkpoints of scPRINT-2 with random weights, by the package itself.

Run it with the Python of envs/scprint2.yaml: ``python -m tests.atlas.embedders.make_scprint2_checkpoint FOLDER``. It
writes one for each style, {style}.ckpt, and pickled.ckpt, which holds more than weights. Their blocks are as wide as
those of the public atlas; their classes stand in another order than there.
"""

import sys
from pathlib import Path

from scripts.atlas.embedders.scprint2 import import_package

STYLES = ("continuous", "metacell")
WIDTHS = {
    "tissue_ontology_term_id": 32,
    "cell_type_ontology_term_id": 64,
    "disease_ontology_term_id": 32,
    "age_group": 8,
    "sex_ontology_term_id": 2,
    "assay_ontology_term_id": 12,
    "self_reported_ethnicity_ontology_term_id": 8,
    "organism_ontology_term_id": 8,
    "cell_culture": 2,
}
"""Class → columns of its block."""
LABELS = {"cell_type_ontology_term_id": 9, "sex_ontology_term_id": 2, "cell_culture": 2, "organism_ontology_term_id": 3}
"""Class → how many labels it has; 5 where it is not named."""
ORGANISMS = {"NCBITaxon:10090": "ENSMUSG", "NCBITaxon:9606": "ENSG"}
GENES = 200
"""Genes of each organism."""


def gene_ids(prefix: str) -> list[str]:
    """Return the genes of an organism."""
    return [f"{prefix}{number:011d}" for number in range(GENES)]


def make(style: str):
    """Return a model with random weights."""
    import torch

    torch.manual_seed(7)
    classes = {name: LABELS.get(name, 5) for name in WIDTHS}
    decoders = {name: {code: f"{name}:{code}" for code in range(number)} for name, number in classes.items()}
    decoders["cell_type_ontology_term_id"][9] = "cell_type_ontology_term_id:parent"
    model = import_package().scPRINT2(
        genes={organism: gene_ids(prefix) for organism, prefix in ORGANISMS.items()},
        organisms=list(ORGANISMS),
        d_model=32,
        nhead=2,
        nlayers=2,
        num_heads_kv=2,
        normalization="log",
        expr_emb_style=style,
        classes=classes,
        label_decoders=decoders,
        labels_hierarchy={"cell_type_ontology_term_id": {9: [0, 1]}},
        compress_class_dim=dict(WIDTHS),
        cell_specific_blocks=True,
        d_model_cell=256,
        nhead_cell=2,
        nlayers_cell=1,
        num_heads_kv_cell=2,
    )
    return model.eval()


def main() -> None:
    import lightning
    import torch

    folder = Path(sys.argv[1])
    for style in STYLES:
        trainer = lightning.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.strategy.connect(make(style))
        trainer.save_checkpoint(folder / f"{style}.ckpt")
    more = torch.load(folder / "continuous.ckpt", weights_only=True)
    torch.save(more | {"callbacks": {"saved in": Path("somewhere")}}, folder / "pickled.ckpt")


if __name__ == "__main__":
    main()
