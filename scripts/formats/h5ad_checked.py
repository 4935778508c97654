"""Read parts of an AnnData file (h5ad) that somebody else may have made: nothing in it is believed before it is read.

HDF5 lets a small file describe arrays of any size, chunks that inflate to gigabytes, and links to other files. So an
array is read only where its type and its length are those that are expected, its chunks are small, and it is in this
file; and it is read in pieces. Every fault is a ValueError with a sentence.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MOST_CHUNK = 1 << 26
"""Bytes of the largest chunk that is read."""
PIECE = 1 << 20
"""Elements of a matrix that are read together."""
MOST_TEXT = 1 << 27
"""Bytes of an array of text that is read."""
MOST_LOOSE = 1 << 26
"""Bytes of the largest file of which text of any width is read; this workflow writes text of a fixed width."""
_TEXT_PIECE = 1 << 24  # bytes of text that are read together
_LONGEST_TEXT = 1 << 16


def open_item(root: h5py.Group, path: str) -> Any:
    """Return a group or data set of this file. Raises ValueError where it does not exist or is a link."""
    item: Any = root
    for step in path.split("/"):
        if not isinstance(item, h5py.Group):
            raise ValueError(f"{item.name} is not a group")
        link = item.get(step, getlink=True)
        if link is None:
            raise ValueError(f"it has no {path}")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path} is a link to another place")
        item = item[step]
    return item


def open_array(root: h5py.Group, path: str, length: int | None = None, kinds: str = "iu") -> h5py.Dataset:
    """Return an array of one dimension. Raises ValueError where it is not as expected.

    ``length`` is the expected one, ``kinds`` are those of numpy's types: ``iu`` whole numbers, ``S`` text of a fixed
    width, ``O`` text of any width.
    """
    item = open_item(root, path)
    if not isinstance(item, h5py.Dataset) or len(item.shape or ()) != 1:
        raise ValueError(f"{path} is not a list")
    if item.dtype.kind not in kinds or (item.dtype.kind == "O" and h5py.check_string_dtype(item.dtype) is None):
        raise ValueError(f"{path} has values of type {item.dtype}")
    if length is not None and item.shape[0] != length:
        raise ValueError(f"{path} has {item.shape[0]:,} values, expected {length:,}")
    if item.is_virtual or item.external:
        raise ValueError(f"{path} is stored in another file")
    if item.chunks and item.chunks[0] * item.dtype.itemsize > MOST_CHUNK:
        raise ValueError(f"{path} has chunks of {item.chunks[0]:,} values, too large to be read")
    return item


def read_numbers(root: h5py.Group, path: str, length: int) -> np.ndarray:
    """Return a list of whole numbers of the expected length. Raises ValueError where it is not as expected."""
    values: np.ndarray = open_array(root, path, length)[()]
    return values


def read_names(root: h5py.Group, path: str, length: int | None = None) -> list[str]:
    """Return a list of text. Raises ValueError where it is not as expected, or too long."""
    item = open_array(root, path, length, "SO")
    fixed = item.dtype.kind == "S"
    if fixed and item.dtype.itemsize > _LONGEST_TEXT:
        raise ValueError(f"{path} has text of {item.dtype.itemsize:,} bytes")
    # Of text of any width, many values may be the same one in the file, so that each can be as long as the file.
    longest = item.dtype.itemsize if fixed else item.file.id.get_filesize()
    if longest > MOST_LOOSE:
        raise ValueError(f"{path} has text of any width, which is read of files up to {MOST_LOOSE:,} bytes only")
    step = max(1, _TEXT_PIECE // longest)
    texts: list[str] = []
    total = 0
    for start in range(0, item.shape[0], step):
        piece = item[start : start + step].tolist()
        total += sum(map(len, piece))
        if total > MOST_TEXT or max(map(len, piece)) > _LONGEST_TEXT:
            raise ValueError(f"{path} has more text than such a file can have")
        texts += [text.decode() for text in piece]
    return texts


def read_column(root: h5py.Group, path: str, length: int) -> list[str]:
    """Return a column of text, which may be a categorical; a missing value is empty. Raises ValueError."""
    if isinstance(open_item(root, path), h5py.Dataset):
        return read_names(root, path, length)
    known = open_array(root, f"{path}/categories", kinds="SO").shape[0]
    codes = read_numbers(root, f"{path}/codes", length)
    if known > length or (length and not -1 <= codes.min() <= codes.max() < known):
        raise ValueError(f"{path} has codes that are none of its {known:,} categories")
    categories = [*read_names(root, f"{path}/categories", known), ""]
    return [categories[code] for code in codes.tolist()]


def sum_rows(
    root: h5py.Group,
    path: str,
    rows: int | None = None,
    columns: int | None = None,
    weights: np.ndarray | None = None,
    *,
    real: bool = False,
) -> np.ndarray:
    """Return the sum of each row (uint64) of a csr_matrix of whole numbers from 0, read in pieces.

    Each number counts times the weight (uint64) of its column; sums are modulo 2**64. With ``real``, a matrix may be of
    float64: sums are float64 as well, or, with weights, those of the 64 bits of each number. Raises ValueError where
    the matrix is not of ``rows`` and ``columns``, or its parts do not fit each other.
    """
    pointers = open_array(root, f"{path}/indptr", None if rows is None else rows + 1)
    rows, columns = _shape_of(root, path, pointers.shape[0] - 1 if rows is None else rows, columns)
    indptr = pointers[()].astype(np.int64) if rows else np.zeros(1, np.int64)
    data = open_array(root, f"{path}/data", kinds="iuf" if real else "iu")
    adds_decimals = data.dtype.kind == "f" and weights is None
    dtype = np.float64 if adds_decimals else np.uint64
    indices = open_array(root, f"{path}/indices", data.shape[0])
    lengths = np.diff(indptr)
    if indptr[0] or indptr[-1] != data.shape[0] or (rows and not 0 <= lengths.min() <= lengths.max() <= columns):
        raise ValueError(f"{path}/indptr does not cut its {data.shape[0]:,} values into rows of {columns:,} columns")
    sums: np.ndarray = np.zeros(rows, dtype)
    for first, last in _pieces(indptr):
        some = slice(int(indptr[first]), int(indptr[last]))
        values = data[some]
        if len(values) and not values.min() >= 0:
            raise ValueError(f"{path} has counts below 0")
        if data.dtype.kind == "f":
            values = values.astype(np.float64)
            values = values if adds_decimals else values.view(np.uint64)
        else:
            values = values.astype(np.uint64)
        chosen = indices[some]
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < columns:
            raise ValueError(f"{path}/indices has columns beyond its {columns:,}")
        if weights is not None:
            values = values * weights[chosen]
        running = np.concatenate([np.zeros(1, dtype), np.cumsum(values)])
        sums[first:last] = np.diff(running[indptr[first : last + 1] - indptr[first]])
    return sums


def _shape_of(root: h5py.Group, path: str, rows: int, columns: int | None) -> tuple[int, int]:
    """Return rows and columns of a matrix by its attribute. Raises ValueError where they are not as expected."""
    shape = np.asarray(open_item(root, path).attrs.get("shape", ()))
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise ValueError(f"{path} has no shape")
    found = tuple(map(int, shape))
    if found != (rows, found[1] if columns is None else columns) or not 0 <= found[1] < 2**31:
        raise ValueError(f"{path} has the shape {found[0]:,} × {found[1]:,}, expected {rows:,} × {columns or 0:,}")
    return found[0], found[1]


def _pieces(indptr: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and last row of pieces of about PIECE elements, or of one row."""
    first, rows = 0, len(indptr) - 1
    while first < rows:
        last = int(np.searchsorted(indptr, indptr[first] + PIECE, side="right")) - 1
        last = min(rows, max(first + 1, last))
        yield first, last
        first = last
