"""Files of somebody else: what is as expected is read, what is not is refused before it costs memory."""

import h5py
import numpy as np
import pytest
import scipy.sparse

from scripts.formats import h5ad, h5ad_checked

DENSE = np.array([[1, 0, 2], [0, 0, 0], [2**33, 1, 0]], np.int64)


@pytest.fixture
def root(tmp_path):
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        matrix = h5ad.CsrWriter(file, "X", np.int64)
        matrix.append(scipy.sparse.csr_matrix(DENSE))
        matrix.finish(3)
        h5ad.write_frame(file, "obs", list("abc"), {"same": ["x", None, "x"], "text": ["k", "ä", ""]})
        yield file


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_rows_are_added_up_with_and_without_weights(root, monkeypatch, piece):
    monkeypatch.setattr(h5ad_checked, "PIECE", piece)
    weights = np.array([3, 5, 2**63], np.uint64)
    assert h5ad_checked.sum_rows(root, "X").tolist() == [3, 0, 2**33 + 1]
    assert h5ad_checked.sum_rows(root, "X", 3, 3, weights).tolist() == [3, 0, 3 * 2**33 + 5]  # 2 * 2**63 is 0


def test_a_matrix_without_rows(tmp_path):
    with h5py.File(tmp_path / "b.h5ad", "w") as file:
        h5ad.CsrWriter(file, "X", np.int32).finish(3)
        assert h5ad_checked.sum_rows(file, "X", 0, 3).tolist() == []


def test_text_is_read(root):
    assert h5ad_checked.read_names(root, "obs/_index", 3) == list("abc")
    assert h5ad_checked.read_column(root, "obs/text", 3) == ["k", "ä", ""]
    assert h5ad_checked.read_column(root, "obs/same", 3) == ["x", "", "x"]
    root.create_dataset("wide", data=["a", "ä"], dtype=h5py.string_dtype())
    assert h5ad_checked.read_names(root, "wide", 2) == ["a", "ä"]


def replace(root, path, **options):
    del root[path]
    root.create_dataset(path, **options)


CHUNKED = {"dtype": "i4", "chunks": (1 << 20,)}
FAULTS = {
    "pointers of any length": (
        lambda root: replace(root, "X/indptr", shape=(10**15,), **CHUNKED),
        "X/indptr has 1,000,000,000,000,000 values, expected 4",
    ),
    "values of any length": (
        lambda root: replace(root, "X/data", shape=(10**12,), **CHUNKED),
        "X/indices has 4 values, expected 1,000,000,000,000",
    ),
    "chunks of any size": (
        lambda root: replace(root, "X/data", shape=(4,), maxshape=(None,), dtype="i8", chunks=(1 << 28,)),
        "X/data has chunks of 268,435,456 values, too large to be read",
    ),
    "numbers that are not finite": (
        lambda root: replace(root, "X/data", data=np.full(4, np.nan)),
        "X/data has values of type float64",
    ),
    "text": (lambda root: replace(root, "X/data", data=np.array([b"x"] * 4)), "X/data has values of type |S1"),
    "a table": (lambda root: replace(root, "X/data", data=np.zeros((2, 2), int)), "X/data is not a list"),
    "counts below 0": (lambda root: root["X/data"].__setitem__(0, -1), "X has counts below 0"),
    "pointers backwards": (
        lambda root: root["X/indptr"].__setitem__(1, -5),
        "X/indptr does not cut its 4 values into rows of 3 columns",
    ),
    "pointers beyond": (
        lambda root: root["X/indptr"].__setitem__(3, 2**31 - 1),
        "X/indptr does not cut its 4 values into rows of 3 columns",
    ),
    "columns beyond": (lambda root: root["X/indices"].__setitem__(0, 3), "X/indices has columns beyond its 3"),
    "columns below": (lambda root: root["X/indices"].__setitem__(0, -1), "X/indices has columns beyond its 3"),
    "another shape": (
        lambda root: root["X"].attrs.__setitem__("shape", [2**62, 2**62]),
        "X has the shape 4,611,686,018,427,387,904 × 4,611,686,018,427,387,904, expected 3 × 3",
    ),
    "no shape": (lambda root: root["X"].attrs.__setitem__("shape", "abc"), "X has no shape"),
    "a link to another file": (
        lambda root: (root.__delitem__("X"), root.__setitem__("X", h5py.ExternalLink("/dev/zero", "/x"))),
        "X/indptr is a link to another place",
    ),
    "a link to itself": (
        lambda root: (root.__delitem__("X"), root.__setitem__("X", h5py.SoftLink("/X"))),
        "X/indptr is a link to another place",
    ),
    "data in another file": (
        lambda root: replace(root, "X/data", shape=(4,), dtype="i8", external=[("/dev/zero", 0, 32)]),
        "X/data is stored in another file",
    ),
    "nothing": (lambda root: root.__delitem__("X/data"), "it has no X/data"),
    "an array for a group": (lambda root: replace(root, "X", data=[1]), "/X is not a group"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_matrix_that_lies_is_refused(root, name):
    change, words = FAULTS[name]
    change(root)
    with pytest.raises(ValueError) as error:
        h5ad_checked.sum_rows(root, "X", 3, 3)
    assert str(error.value) == words


def test_text_that_lies_is_refused(root, monkeypatch):
    replace(root, "obs/_index", shape=(10**12,), dtype=h5py.string_dtype(), chunks=(1 << 16,))
    with pytest.raises(ValueError, match=r"^obs/_index has 1,000,000,000,000 values, expected 3$"):
        h5ad_checked.read_names(root, "obs/_index", 3)
    replace(root, "obs/text", data=np.zeros(3, "S70000"))
    with pytest.raises(ValueError, match=r"^obs/text has text of 70,000 bytes$"):
        h5ad_checked.read_names(root, "obs/text", 3)
    replace(root, "obs/text", data=np.arange(3))
    with pytest.raises(ValueError, match=r"^obs/text has values of type int64$"):
        h5ad_checked.read_names(root, "obs/text", 3)
    root["obs/same/codes"][0] = 7
    with pytest.raises(ValueError, match=r"^obs/same has codes that are none of its 1 categories$"):
        h5ad_checked.read_column(root, "obs/same", 3)
    monkeypatch.setattr(h5ad_checked, "MOST_LOOSE", 100)
    root.create_dataset("loose", data=["a"], dtype=h5py.string_dtype())
    with pytest.raises(ValueError, match=r"^loose has text of any width, which is read of files up to 100 bytes only$"):
        h5ad_checked.read_names(root, "loose", 1)
    monkeypatch.setattr(h5ad_checked, "MOST_LOOSE", 1 << 26)
    monkeypatch.setattr(h5ad_checked, "MOST_TEXT", 10)
    root.create_dataset("long", data=["a" * 6, "b" * 6], dtype=h5py.string_dtype())
    with pytest.raises(ValueError, match=r"^long has more text than such a file can have$"):
        h5ad_checked.read_names(root, "long", 2)
