"""What the adapter of scPRINT-2 does by itself, without the package."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import yaml

from scripts.atlas.embedders import scprint2
from scripts.atlas.embedders.scprint2 import Checkpoint
from scripts.atlas.store.count_matrix import CountMatrix
from scripts.atlas.store.layout import PUBLIC
from scripts.core.errors import InputError
from tests.atlas.small_matrices import GENES, draw_counts, write_matrix

WIDTHS = {
    "organism_ontology_term_id": 8,
    "age_group": 8,
    "cell_type_ontology_term_id": 64,
    "batch": 5,
    "tissue_ontology_term_id": 32,
}
PARAMETERS = {
    "genes": {"NCBITaxon:9606": ["g1", "g2"]},
    "organisms": ["NCBITaxon:9606"],
    "d_model": 32,
    "d_model_cell": 256,
    "cell_specific_blocks": True,
    "classes": {name: 2 if name == "organism_ontology_term_id" else 6 for name in WIDTHS},
    "compress_class_dim": WIDTHS,
    "label_decoders": {"cell_type_ontology_term_id": {code: f"CL:{code}" for code in range(8)}, "batch": None},
}
PATH = Path("a.ckpt")


def checkpoint(**changes):
    return Checkpoint.from_parameters(PARAMETERS | changes, PATH)


def test_blocks_stand_in_the_order_of_the_public_atlas():
    layout = checkpoint().layout
    assert layout.embeddings == (
        ("other", 256),
        ("cell_type", 64),
        ("tissue", 32),
        ("age_group", 8),
        ("organism", 8),
        ("batch", 5),
    )
    assert layout.labels == (("cell_type", 3), ("tissue", 3), ("age_group", 3), ("organism", 2), ("batch", 3))


def test_a_checkpoint_of_all_classes_has_the_public_layout():
    known = {"age_group", "cell_culture"}
    names = {name if name in known else f"{name}_ontology_term_id": width for name, width in PUBLIC.embeddings[1:]}
    turned = dict(sorted(names.items()))  # alphabetically, as the package's own table of embeddings has them
    assert checkpoint(classes=dict.fromkeys(turned, 9), compress_class_dim=turned).layout == PUBLIC


def test_blocks_are_put_together_by_name():
    reported = checkpoint()
    blocks = {name: np.full((2, width), width * 1.5) for name, width in sorted({**WIDTHS, "other": 256}.items())}
    logits = {name: np.zeros((2, number)) for name, number in reported.classes.items()}
    logits["tissue_ontology_term_id"] = np.array([[0, 5, 1, 5, 2, 3], [-9, -8, -7, -6, -5, -4]])
    embeddings, codes, scores = scprint2.assemble(reported, blocks, logits)
    for name, width in reported.layout.embeddings:
        assert (embeddings[:, reported.layout.block(name)] == width * 1.5).all()
    assert codes[:, reported.layout.label("tissue")].tolist() == [[1, 3, 5], [5, 4, 3]]
    assert scores[:, reported.layout.label("tissue")].tolist() == [[5, 5, 3], [-4, -5, -6]]
    assert codes[:, reported.layout.label("organism")].tolist() == [[0, 1], [0, 1]]
    blocks["batch"] = np.zeros((2, 4))
    with pytest.raises(
        ValueError, match=r"the blocks of the model are .*'batch': 4.* those of its checkpoint .*'batch': 5"
    ):
        scprint2.assemble(reported, blocks, logits)


def test_decoders_are_those_of_leaves():
    assert checkpoint().leaf_decoders() == {"cell_type": {str(code): f"CL:{code}" for code in range(6)}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"genes": None, "classes": {}},
            "a.ckpt: no checkpoint of scPRINT-2 with all that is needed; it lacks genes, cl",
        ),
        ({"genes": ["g1"]}, "a.ckpt: its genes are not listed by organism, as in checkpoints before scPRINT-2"),
    ],
)
def test_a_checkpoint_that_lacks_something(changes, words):
    with pytest.raises(InputError) as caught:
        checkpoint(**changes)
    assert words in str(caught.value)


def test_counts_by_the_genes_of_the_model(tmp_path):
    counts = draw_counts(5)
    wanted = [GENES[7].split(".")[0], "unknown", GENES[0], GENES[3].split(".")[0] + ".99"]
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", counts)) as matrix:
        turn, there = scprint2.known_counts(matrix, wanted)
        whole = scipy.sparse.csr_matrix(counts)
        assert (whole @ turn).toarray()[:, [0, 2, 3]].tolist() == counts[:, [7, 0, 3]].tolist()
        assert not (whole @ turn)[:, 1].toarray().any()
        assert there.tolist() == [0, 2, 3]
        assert scprint2.count_found(matrix, turn) == counts[:, [7, 0, 3]].sum() / counts.sum()


def test_why_cells_are_dropped():
    known = scipy.sparse.csr_matrix(np.array([[1, 2, 0], [0, 0, 0], [0, 0, 0], [4, 0, 0]]))
    reported = scprint2.reasons_of(np.array([9, 0, 3, 4]), known, 2)
    assert reported == ["", "NO_COUNTS", "NO_KNOWN_GENES", "FEW_GENES"]
    assert scprint2.reasons_of(np.array([9, 0, 3, 4]), known, 0)[3] == ""


def test_groups_lie_together():
    cells = [("GSE1", ""), ("GSE1", ""), ("GSE2", ""), ("GSE2", "SRX1"), ("GSE2", "SRX2"), ("GSE2", "SRX2")]
    assert list(scprint2.groups_of(cells)) == [(0, 2), (2, 3), (3, 4), (4, 6)]


def test_options_that_cannot_be(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(2))
    fixed = ["--matrix", str(matrix), "--species", "homo", "--tax-id", "9606", "--output", str(tmp_path / "part")]
    with pytest.raises(InputError, match=r"--batch-size, --threads and --length are whole numbers from 1"):
        scprint2.main([*fixed, "--model", "x", "--batch-size", "0"])
    with pytest.raises(InputError, match=r"--model gone.ckpt: there is no such file; give the path of a checkpoint of"):
        scprint2.main([*fixed, "--model", "gone.ckpt"])


def test_the_environment_names_versions_that_fit():
    reported = yaml.safe_load((Path(__file__).parents[3] / "envs" / "scprint2.yaml").read_text(encoding="utf-8"))
    versions = dict(package.split("==") for package in reported["dependencies"][-1]["pip"])
    needed = {"scprint2": "1.0.3", "torch": "2.8.0", "pyarrow": "20.0.0", "setuptools": "75.8.0"}
    assert needed.items() <= versions.items()
    assert versions["numpy"].startswith("1.")  # what pyarrow 20 was chosen for
    assert {"h5py", "scipy", "lightning", "pandas", "scdataloader", "simpler-flash", "torchvision"} <= set(versions)
