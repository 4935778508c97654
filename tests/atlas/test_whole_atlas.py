"""From matrices to an atlas: every row leads to its cell and back, and is what the cell's counts give."""

import anndata
import numpy as np
import pytest

from scripts.atlas import atlas_embed, atlas_model, atlas_pack
from scripts.atlas.store.row_map import AtlasMap
from scripts.atlas.store.shards import Atlas
from tests.atlas.small_atlases import rows_of
from tests.atlas.small_matrices import draw_counts, write_droplets, write_matrix

SPECIES = ["--species", "homo", "--tax-id", "9606"]


@pytest.fixture
def matrices(tmp_path):
    """Plates and droplets; one cell of each has no counts."""
    counts = draw_counts(40, seed=8)
    counts[[3, 25]] = 0
    return [
        write_matrix(tmp_path / "homo.h5ad", counts[:15]),
        write_droplets(tmp_path / "GSE2.homo.h5ad", counts[15:], {"SRX100": 12, "SRX101": 13}),
    ]


def make_atlas(folder, matrices, backend, *options):
    parts = []
    for number, matrix in enumerate(matrices):
        parts.append(str(folder / f"part{number}"))
        fixed = ["--backend", backend, "--matrix", str(matrix), *SPECIES, "--output", parts[-1]]
        atlas_embed.main([*fixed, *options])
    atlas_pack.main(["--parts", *parts, "--output", str(folder / "atlas"), "--shard-rows", "10", *options[:2]])
    return folder / "atlas"


def test_every_row_is_that_of_its_cell(tmp_path, matrices):
    model = str(tmp_path / "model.npz")
    atlas_model.main(["--matrices", *map(str, matrices), "--output", model, "--components", "20"])
    atlas = make_atlas(tmp_path, matrices, "svd-baseline", "--model", model)
    sources = [anndata.read_h5ad(path) for path in matrices]
    with np.load(atlas / "model.npz") as arrays:
        genes = [gene.decode() for gene in arrays["gene_ids"]]
        components = arrays["components"].astype(np.float64)
    opened = Atlas(atlas)
    where = AtlasMap(opened)
    rows = rows_of(opened, block="other")
    assert len(rows) == opened.rows_total == 38
    names = set()
    for number, row in enumerate(rows):
        cell = where.cell_at(number)
        name = f"{cell.experiment}_{cell.barcode}" if cell.barcode else cell.experiment
        names.add(name)
        source = sources[bool(cell.barcode)]
        reported = source.obs.loc[name]
        assert cell.run == reported["run" if cell.barcode else "runs"]
        counts = source[name, genes].X.toarray()[0].astype(float)
        direct = components @ np.log1p(10_000 * counts / counts.sum())
        assert (row == direct.astype(np.float16)).all()
        assert list(where.rows_of(cell.experiment, cell.barcode or None)) == [cell]
    assert len(names) == 38


def test_the_way_of_the_public_atlas_s_author_reads_it(tmp_path, matrices):
    atlas = make_atlas(tmp_path, matrices, "fixture")
    files = [str(path) for path in sorted(atlas.glob("*_embs.npz"))]
    assert len(files) > 1
    embs = np.vstack([np.load(file)["arr_0"] for file in files])
    labels = np.vstack([np.load(file.replace("_embs", "_top3"))["arr_0"] for file in files])
    scores = np.vstack([np.load(file.replace("_embs", "_scores"))["arr_0"] for file in files])
    assert (embs.shape, labels.shape, scores.shape) == ((38, 424), (38, 23), (38, 23))
    assert (embs.dtype, labels.dtype, scores.dtype) == (np.float16, np.uint16, np.float16)
    opened = Atlas(atlas)
    assert (embs[:, 256:320] == rows_of(opened, block="cell_type")).all()
    assert (labels[:, -4] == rows_of(opened, block="organism", kind="top3")[:, 0]).all()
    assert (scores[:, 0] >= scores[:, 1]).all()
