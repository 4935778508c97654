"""The adapter of scPRINT-2 with the real package, on small checkpoints with random weights that the package saves.

The variable SRA2MATRIX_SCPRINT2_PYTHON names the Python of its environment (scripts/atlas/embedders/README.md).
Two to three minutes of CPU time, most of it the package's import.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.atlas import atlas_embed
from scripts.atlas.store.layout import PUBLIC, standard_name
from scripts.atlas.store.part import EmbeddedPart
from scripts.core.errors import InputError
from tests.atlas.embedders.make_scprint2_checkpoint import GENES, STYLES, WIDTHS, gene_ids
from tests.atlas.small_matrices import draw_counts, plate_columns, write_droplets, write_matrix

VARIABLE = "SRA2MATRIX_SCPRINT2_PYTHON"
PYTHON = os.environ.get(VARIABLE, "")
HOME = Path(__file__).parents[3]
CELLS = {"SRX1": 11, "SRX2": 9}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not PYTHON, reason=f"{VARIABLE} does not name the Python of an environment with scprint2"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a checkpoint of each style and a matrix; some of its genes are unknown to the model."""
    folder = tmp_path_factory.mktemp("scprint2")
    command = [PYTHON, "-m", "tests.atlas.embedders.make_scprint2_checkpoint", folder]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    genes = [f"{gene}.{place % 5 + 1}" for place, gene in enumerate(gene_ids("ENSG"))]
    genes += [f"ENSG9{number:010d}.1" for number in range(20)]
    counts = draw_counts(sum(CELLS.values()), len(genes))
    counts[4] = 0
    np.save(folder / "counts.npy", counts[:, :GENES])
    write_droplets(folder / "droplets.h5ad", counts, CELLS, genes=genes)
    return folder


def run(made, output, style="continuous", matrix="droplets.h5ad", tax_id="9606", species="homo", options=()):
    arguments = ["--backend", "scprint2", "--python", PYTHON, "--matrix", made / matrix, "--species", species]
    arguments += ["--tax-id", tax_id, "--model", made / f"{style}.ckpt", "--seed", "2", "--output", output]
    atlas_embed.main([*map(str, arguments), "--", "--device", "cpu", *options])
    return EmbeddedPart(output)


@pytest.fixture(scope="module")
def parts(made):
    """Style → the part of the matrix."""
    return {style: run(made, made / style, style, options=["--length", "40"]) for style in STYLES}


# Another way to the same numbers: the checkpoint is loaded anew, the genes of each cell are chosen here, and the model
# is called by its forward pass, whose blocks come as a list in the order of its classes.
DIRECT = """
import json, sys
import numpy as np
from pathlib import Path
from scripts.atlas.embedders.scprint2 import import_package
from scripts.atlas.embedders.expression import seed_of
folder, length = Path(sys.argv[1]), int(sys.argv[2])
model = import_package().scPRINT2.load_from_checkpoint(
    folder / "continuous.ckpt", precpt_gene_emb=None, gene_pos_file=None
)
import torch
model.eval()
counts = np.load(folder / "counts.npy").astype(float)
first = model.genes.index("ENSG00000000000")
reported = {}
for library, rows in (("SRX1", range(11)), ("SRX2", range(11, 20))):
    np.random.seed(seed_of(2, f"SRR1{library};SRR2{library}"))
    for row in rows:
        some = np.flatnonzero(counts[row])
        if not len(some):
            continue
        if len(some) > length:
            seen = some[np.random.choice(len(some), length, replace=False)]
        else:
            none = np.flatnonzero(counts[row] == 0)
            seen = np.concatenate([some, none[np.random.choice(len(none), length - len(some), replace=False)]])
        values = torch.tensor(counts[row, seen], dtype=torch.float32)[None]
        with torch.no_grad():
            given = model(torch.tensor(seen + first)[None].int(), values, req_depth=values.sum(1), do_class=True)
        names = ["other", *model.classes]
        blocks = dict(zip(names, given["compressed_cell_embs"], strict=True))
        reported[row] = {name: block[0].tolist() for name, block in blocks.items()}
        reported[row]["logits"] = {name: given["cls_output_" + name][0].tolist() for name in model.classes}
Path(sys.argv[3]).write_text(json.dumps(reported))
"""


def test_rows_are_those_of_the_model_with_blocks_by_name(made, parts, tmp_path):
    part = parts["continuous"]
    assert part.description.layout == PUBLIC
    assert part.embs.shape == (20, 424)
    assert part.dropped == {4: "NO_COUNTS"}
    subprocess.run([PYTHON, "-c", DIRECT, made, "40", tmp_path / "direct.json"], env=ENVIRONMENT, check=True)
    direct = json.loads((tmp_path / "direct.json").read_text())
    assert sorted(map(int, direct)) == [row for row in range(20) if row != 4]
    for row, blocks in direct.items():
        for name in ("other", *WIDTHS):
            got = part.embs[int(row), part.description.layout.block(name)].astype(float)
            assert np.allclose(got, blocks[name], rtol=2e-3, atol=2e-5), (row, name)
        for name, logits in blocks["logits"].items():
            columns = part.description.layout.label(name)
            best = np.argsort(-np.array(logits), kind="stable")[: columns.stop - columns.start]
            assert part.top3[int(row), columns].tolist() == best.tolist()
            assert np.allclose(part.scores[int(row), columns], np.array(logits)[best], rtol=2e-3, atol=2e-5)
    assert part.description.decoders["cell_type"]["8"] == "cell_type_ontology_term_id:8"
    assert "9" not in part.description.decoders["cell_type"]  # a parent, which is never predicted


# The package's own Embedder, on the cells of the second library; only what it would ask a database is given to it.
OWN = """
import sys
import numpy as np
from pathlib import Path
from scripts.atlas.embedders.scprint2 import import_package
from scripts.atlas.embedders.expression import seed_of
folder, length = Path(sys.argv[1]), int(sys.argv[2])
package = import_package()
import anndata, pandas
import scdataloader.collator
import scprint2.model.utils
from scprint2.tasks import Embedder
model = package.scPRINT2.load_from_checkpoint(folder / "continuous.ckpt", precpt_gene_emb=None, gene_pos_file=None)
table = pandas.DataFrame({"organism": [name for name in model.organisms for _ in model._genes[name]]}, model.genes)
scdataloader.collator.load_genes = lambda organisms: table
scprint2.model.utils.translate = lambda *reported: None
counts = np.load(folder / "counts.npy")[11:].astype(np.float32)
obs = pandas.DataFrame({"organism_ontology_term_id": ["NCBITaxon:9606"] * 9}, [f"cell{number}" for number in range(9)])
cells = anndata.AnnData(counts, obs, pandas.DataFrame(index=model._genes["NCBITaxon:9606"]))
np.random.seed(seed_of(2, "SRR1SRX2;SRR2SRX2"))
embed = Embedder(batch_size=4, num_workers=0, how="random expr", max_len=length, doplot=False, use_knn=False)
cells, _ = embed(model, cells)
out = {name: cells.obsm[name] for name in cells.obsm} | {name: cells.obs[name].astype(str) for name in cells.obs}
np.savez(sys.argv[3], **{name: np.asarray(values, "U" if name in cells.obs else "f8") for name, values in out.items()})
"""


def test_rows_are_those_of_the_package_s_own_embedder(made, parts, tmp_path):
    command = [PYTHON, "-c", OWN, made, "40", tmp_path / "own.npz"]
    subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, check=True, capture_output=True)
    part = parts["continuous"]
    layout = part.description.layout
    with np.load(tmp_path / "own.npz") as own:
        for name in ("other", *WIDTHS):
            block = own[f"scprint_emb_{name}"]  # computed in float16
            assert np.allclose(part.embs[11:, layout.block(name)], block, rtol=1e-3, atol=6e-4), name
        for name in WIDTHS:
            columns = layout.label(name)
            known = part.description.decoders[standard_name(name)]
            codes, scores = part.top3[11:, columns], part.scores[11:, columns].astype(float)
            for row, label in enumerate(own[f"pred_{name}"].tolist()):
                near = scores[row] > scores[row, 0] - 1e-3  # which is first is undefined in float16
                assert label in [known[str(code)] for code in codes[row][near].tolist()], (name, row)
        assert own["scprint_emb"].shape == (9, 424)
        assert not np.allclose(own["scprint_emb"], part.embs[11:], atol=0.01)  # its blocks are in alphabetical order


@pytest.mark.parametrize("style", STYLES)
def test_the_same_bytes_every_time(made, parts, tmp_path, style):
    run(made, tmp_path / "again", style, options=["--length", "40"])
    for path in sorted((tmp_path / "again").iterdir()):
        assert path.read_bytes() == (made / style / path.name).read_bytes(), path.name
    part = parts[style]
    assert len(np.unique(part.embs[part.kept], axis=0)) == 19
    assert any(note.startswith("neighbours: the 6 nearest") for note in part.description.notes) == (style == "metacell")


def test_a_library_does_not_depend_on_the_others(made, parts, tmp_path):
    whole = parts["metacell"]
    genes = [*gene_ids("ENSG"), *(f"ENSG9{number:010d}.1" for number in range(20))]
    counts = draw_counts(20, 220)[11:]
    write_droplets(made / "alone.h5ad", counts, {"SRX2": 9}, genes=genes)
    alone = run(made, tmp_path / "alone", "metacell", "alone.h5ad", options=["--length", "40"])
    assert (alone.embs == whole.embs[11:]).all()
    assert (alone.scores == whole.scores[11:]).all()


def test_an_organism_that_the_checkpoint_does_not_know(made, tmp_path, capfd):
    write_matrix(made / "fish.h5ad", draw_counts(5), obs=plate_columns(5, "fish", "7955"))
    part = run(made, tmp_path / "part", matrix="fish.h5ad", tax_id="7955", species="fish")
    assert part.dropped == dict.fromkeys(range(5), "ORGANISM_UNKNOWN")
    assert not part.embs.any()
    assert (
        "NCBITaxon:7955 is none of the checkpoint's organisms (NCBITaxon:10090, NCBITaxon:9606)"
        in capfd.readouterr().err
    )


def test_genes_that_are_not_those_of_the_checkpoint(made, tmp_path):
    write_matrix(made / "other.h5ad", draw_counts(5), genes=[f"gene{number}" for number in range(120)])
    with pytest.raises(
        InputError, match=r"0.0% of the model's genes are in it, 0.0% of its counts are of these genes; l"
    ):
        run(made, tmp_path / "part", matrix="other.h5ad")


def test_a_checkpoint_with_more_than_weights(made, parts, tmp_path, capfd):
    with pytest.raises(
        InputError, match=r"pickled.ckpt: cannot be read as weights only, and unpickling it, which runs"
    ):
        run(made, tmp_path / "part", "pickled", options=["--weights-only"])
    part = run(made, tmp_path / "part", "pickled", options=["--length", "40"])
    assert "has more than weights and was unpickled, which runs code in it." in capfd.readouterr().err
    assert (part.embs == parts["continuous"].embs).all()  # weights saved a second time, and read the other way


def test_what_is_no_checkpoint(made, tmp_path):
    (made / "text.ckpt").write_text("no")
    with pytest.raises(InputError, match=r"text.ckpt: no checkpoint of torch: "):
        run(made, tmp_path / "part", "text")
