"""Parts of an h5ad are read by AnnData, and by our own readers, as they were written."""

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse

from scripts.formats import h5ad


def make(path, dense, obs, **more):
    with h5py.File(path, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.CsrWriter(root, "X", dense.dtype, **more)
        for start in range(0, len(dense), 2):
            matrix.append(scipy.sparse.csr_matrix(dense[start : start + 2]))
        matrix.finish(dense.shape[1])
        h5ad.write_frame(root, "obs", [f"cell{number}" for number in range(len(dense))], obs)
        h5ad.write_frame(root, "var", [f"gene{number}" for number in range(dense.shape[1])], {})
        h5ad.write_text_group(h5ad.create_group(root, "uns"), "parameters", {"mode": "union"})
        h5ad.write_empty_parts(root)


@pytest.mark.parametrize("chunk", [3, 1 << 16])
@pytest.mark.parametrize("wide", [False, True])
def test_anndata_reads_it(tmp_path, monkeypatch, chunk, wide):
    monkeypatch.setattr(h5ad, "MATRIX_CHUNK", chunk)
    dense = np.random.default_rng(0).poisson(0.6, (7, 5)).astype(np.int64)
    obs = {"text": list("abcdefg"), "category": ["x", None, "y", "x", "x", "y", "ä"], "number": np.arange(7.0)}
    make(tmp_path / "a.h5ad", dense, obs, wide=wide)
    read = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert (read.X.toarray() == dense).all()
    assert read.X.indices.dtype == read.X.indptr.dtype == (np.int64 if wide else np.int32)
    assert list(read.obs["text"]) == obs["text"]
    assert list(read.obs["category"].cat.categories) == ["x", "y", "ä"]
    assert read.obs["category"].isna().tolist() == [False, True, *[False] * 5]
    assert read.obs["number"].tolist() == obs["number"].tolist()
    assert read.uns["parameters"] == {"mode": "union"}
    with h5py.File(tmp_path / "a.h5ad") as root:
        assert h5ad.read_column(root["obs"], "text") == obs["text"]
        assert h5ad.read_column(root["obs"], "category") == ["x", "", "y", "x", "x", "y", "ä"]


@pytest.mark.parametrize("greatest", [1, 255, 256, 2**31 - 1])
def test_slices_are_read_without_hdf5(tmp_path, greatest):
    values = np.random.default_rng(1).integers(0, greatest, 50, endpoint=True).astype(np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as root:
        h5ad.write_array(root, "values", values, 16)
    with h5py.File(tmp_path / "a.h5") as root, (tmp_path / "a.h5").open("rb") as handle:
        array = h5ad.ChunkedArray(root, "values")
        h5ad.share_room([array])
        for start, stop in ((0, 50), (0, 0), (3, 9), (15, 17), (16, 48), (49, 50)):
            assert array.read(handle.fileno(), start, stop).tolist() == values[start:stop].tolist()
