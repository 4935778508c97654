"""Matrices of counts: ours and those that anndata writes, read by blocks of rows."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from scripts.atlas.store.count_matrix import CountMatrix, match_genes, without_version
from scripts.atlas.store.part import Cell
from scripts.core.errors import InputError
from tests.atlas.small_matrices import GENES, draw_counts, plate_columns, write_droplets, write_matrix


def dense(matrix, **limits):
    blocks = list(matrix.blocks(**limits))
    assert [start for start, _ in blocks] == np.cumsum([0, *(block.shape[0] for _, block in blocks)])[:-1].tolist()
    return np.concatenate([block.toarray() for _, block in blocks])


@pytest.mark.parametrize("limits", [{}, {"rows": 1}, {"rows": 7, "entries": 90}, {"entries": 1}])
def test_blocks_are_the_matrix(tmp_path, limits):
    counts = draw_counts(50)
    counts[3] = 0
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", counts)) as matrix:
        assert (matrix.cells, matrix.genes, matrix.gene_ids) == (50, 120, GENES)
        assert (dense(matrix, **limits) == counts).all()
        assert (matrix.stored() == (counts > 0).sum(axis=1)).all()


def test_blocks_are_bounded(tmp_path):
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", draw_counts(50))) as matrix:
        blocks = [block for _, block in matrix.blocks(rows=20, entries=300)]
        assert max(block.shape[0] for block in blocks) <= 20
        assert max(block.nnz for block in blocks) <= 300


def test_some_rows_are_selected(tmp_path):
    counts = draw_counts(300)
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", counts)) as matrix:
        for rows in ([], [0], [299], [0, 1, 2, 30, 31, 200, 299], list(range(300))):
            pieces = list(matrix.select(np.array(rows, np.int64)))
            assert [row for some, _ in pieces for row in some.tolist()] == rows
            assert all((found.toarray() == counts[some]).all() for some, found in pieces)


def test_an_empty_matrix(tmp_path):
    path = write_matrix(tmp_path / "m.h5ad", np.zeros((0, 0)), obs={"series": []}, genes=[])
    with CountMatrix(path) as matrix:
        assert (matrix.cells, matrix.genes, list(matrix.blocks()), matrix.names()) == (0, 0, [], [])


def test_where_cells_come_from(tmp_path):
    with CountMatrix(write_matrix(tmp_path / "plates.h5ad", draw_counts(2))) as matrix:
        assert list(matrix.read_cells()) == [
            Cell("GSE1", "GSM0", "SRX0", "SRR0", "homo", ""),
            Cell("GSE1", "GSM1", "SRX1", "SRR1", "homo", ""),
        ]
    with CountMatrix(write_droplets(tmp_path / "droplets.h5ad", draw_counts(3), {"SRX7": 2, "SRX8": 1})) as matrix:
        assert list(matrix.read_cells())[1:] == [
            Cell("GSE2", "GSMSRX7", "SRX7", "SRR1SRX7;SRR2SRX7", "homo", "CAAAAAAA"),
            Cell("GSE2", "GSMSRX8", "SRX8", "SRR1SRX8;SRR2SRX8", "homo", "AAAAAAAA"),
        ]


def test_a_barcode_of_several_segments_stays_whole(tmp_path):
    obs = plate_columns(1)
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", draw_counts(1), ["SRX0_ACGT_TTT_G"], obs)) as matrix:
        assert next(matrix.read_cells()).barcode == "ACGT_TTT_G"


@pytest.mark.parametrize("version", ["categorical", "text", "nullable"])
def test_labels_in_the_encodings_of_anndata(tmp_path, version):
    values = pd.Series(["b", None, "a", "b"], list("wxyz"))
    column = {"categorical": values.astype("category"), "text": values.fillna(""), "nullable": values.astype("string")}
    obs = pd.DataFrame({"label": column[version]})
    data = anndata.AnnData(scipy.sparse.csr_matrix(np.eye(4, 3, dtype=np.float32)), obs=obs)
    with anndata.settings.override(allow_write_nullable_strings=True):
        data.write_h5ad(tmp_path / "a.h5ad")
    with CountMatrix(tmp_path / "a.h5ad") as matrix:
        assert matrix.labels("label").texts() == ["b", "", "a", "b"]
        assert matrix.names() == list("wxyz")


def test_numbers_as_labels(tmp_path):
    obs = plate_columns(3) | {"cluster": np.array([10, 2, 10])}
    with CountMatrix(write_matrix(tmp_path / "m.h5ad", draw_counts(3), obs=obs)) as matrix:
        assert matrix.labels("cluster").texts() == ["10", "2", "10"]


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_whole_decimals_are_counts(tmp_path, kind):
    counts = draw_counts(5).astype(np.float32)
    anndata.AnnData(scipy.sparse.csr_matrix(counts) if kind == "csr" else counts).write_h5ad(tmp_path / "a.h5ad")
    with CountMatrix(tmp_path / "a.h5ad") as matrix:
        assert (dense(matrix, rows=2) == counts).all()
        ((rows, found),) = matrix.select(np.array([1, 3]))
        assert (found.toarray() == counts[rows]).all()


def test_counts_in_raw_are_found(tmp_path):
    counts = draw_counts(5).astype(np.float32)
    whole = anndata.AnnData(scipy.sparse.csr_matrix(counts), var=pd.DataFrame(index=GENES))
    data = whole[:, :7].copy()
    data.X = np.log1p(data.X)
    data.raw = whole
    data.write_h5ad(tmp_path / "a.h5ad")
    with CountMatrix(tmp_path / "a.h5ad", raw=True) as matrix:
        assert matrix.gene_ids == GENES
        assert (dense(matrix) == counts).all()
    with CountMatrix(tmp_path / "a.h5ad") as matrix, pytest.raises(InputError, match=r"normalised values cannot be"):
        dense(matrix)


def test_genes_are_matched_with_and_without_version():
    genes = ["ENSG00000000001.4", "ENSG00000000002", "TP53.1", "ENSG00000000003.1", "ENSG00000000003.2_PAR_Y"]
    wanted = ["ENSG00000000002.9", "ENSG00000000001", "ENSG00000000001.4", "TP53", "TP53.1", "ENSG00000000003.7", "x"]
    assert match_genes(wanted, genes).tolist() == [1, 0, 0, -1, 2, 3, -1]
    assert match_genes(["ENSG1"], ["ENSG1.1", "ENSG1.2"]).tolist() == [-1]  # which one is undecided
    assert without_version("ENSMUSG00000000001.12") == "ENSMUSG00000000001"


def faulty(tmp_path, change):
    path = write_matrix(tmp_path / "m.h5ad", draw_counts(4))
    with h5py.File(path, "a") as root:
        change(root)
    with pytest.raises(InputError) as caught, CountMatrix(path) as matrix:
        list(matrix.blocks())
        list(matrix.read_cells())
    return str(caught.value).replace(str(path), "M")


def set_kind(root):
    root["X"].attrs["encoding-type"] = "csc_matrix"


def cut(root):
    del root["X/data"]
    root["X/data"] = np.ones(3)


def set_negative(root):
    root["X/data"][2] = -4


def set_column(root):
    root["X/indices"][2] = 999


def drop_parts(root):
    del root["obs"], root["var"]


def shape(root):
    root["X"].attrs["shape"] = np.array([4, 121])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_parts, "The matrix M needs 2 corrections:\nobs: not there.\nvar: not there."),
        (set_kind, "/X: its encoding-type is 'csc_matrix'; expected csr_matrix (rows are cells), as adata.X ="),
        (cut, "X: its indptr, indices and data do not fit each other."),
        (set_negative, "The matrix M: rows 0 to 3 have -4 where counts, whole numbers from 0, are needed"),
        (set_column, "X: rows 0 to 3 name columns that X does not have."),
        (shape, "var: 120 genes, but X has 121 columns."),
        (lambda root: root["obs"].pop("sample"), "obs: has no column 'sample'."),
    ],
)
def test_what_is_wrong_is_reported(tmp_path, change, words):
    assert words in faulty(tmp_path, change)


def test_no_file_and_no_h5ad(tmp_path):
    with pytest.raises(InputError, match=r"gone.h5ad: cannot be read as an h5ad file"):
        CountMatrix(tmp_path / "gone.h5ad")
    (tmp_path / "text").write_text("no")
    with pytest.raises(InputError, match=r"text: cannot be read as an h5ad file"):
        CountMatrix(tmp_path / "text")


def test_a_column_that_is_not_there(tmp_path):
    with (
        CountMatrix(write_matrix(tmp_path / "m.h5ad", draw_counts(2))) as matrix,
        pytest.raises(InputError, match=r"no column 'cell_type'; its columns are runs, series, sample, experiment,"),
    ):
        matrix.labels("cell_type")
