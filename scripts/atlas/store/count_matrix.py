"""A matrix of counts whose cells are embedded: an AnnData file (h5ad), read in blocks of rows.

It is one of this workflow (results/{species}.h5ad, results/droplets/), or a reference of labelled cells, whose text may
be categorical or not, and whose counts may be floating-point, dense, or in raw/X. Back ends run in environments of
their own, so this module needs nothing but numpy, scipy and h5py. Format: AnnData's on-disk specification 0.1.0.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import scipy.sparse

from scripts.atlas.store.part import Cell
from scripts.core.errors import InputError, raise_faults

BLOCK_ROWS, BLOCK_ENTRIES = 8192, 1 << 22  # rows, and stored counts, of a block: some 80 MB
SPAN = 8  # gaps of at most so many rows between wanted ones are read too rather than skipped
PIECE = 128  # wanted rows that are read at a time
NO_LABEL = frozenset(("", "unknown", "nan", "na", "n/a", "none", "unassigned", "unannotated"))
"""Texts, in lower case, that stand for a missing label."""
_VERSION = re.compile(r"(ENS[A-Z]*\d+)\.\d+")


class Labels(NamedTuple):
    """A column of text: the label of a cell is ``categories[codes[cell]]``; a code of -1 is a missing value."""

    codes: np.ndarray
    categories: list[str]

    def texts(self) -> list[str]:
        """Return the text of each cell, empty where it is missing."""
        known = [*self.categories, ""]
        return [known[code] for code in self.codes.tolist()]


def without_version(gene: str) -> str:
    """Return an Ensembl accession without its version; any other name as it is."""
    found = _VERSION.fullmatch(gene)
    return found[1] if found else gene


def match_genes(wanted: Sequence[str], genes: Sequence[str]) -> np.ndarray:
    """Return the index in ``genes`` of each wanted gene, -1 where it is missing.

    By its exact accession, else without version where that is unique.
    """
    exact = {gene: index for index, gene in enumerate(genes)}
    bare: dict[str, int] = {}
    for index, gene in enumerate(genes):
        name = without_version(gene)
        bare[name] = -1 if name in bare else index
    return np.array([exact.get(gene, bare.get(without_version(gene), -1)) for gene in wanted], np.int64)


class CountMatrix:
    """The counts of cells, cells × genes. Raises InputError with all faults where the file is none.

    ``raw``: read raw/X where X has no whole numbers.
    """

    def __init__(self, path: str | Path, raw: bool = False) -> None:
        self.path = Path(path)
        self.title = f"The matrix {self.path}"
        try:
            self.file = h5py.File(self.path, "r")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read as an h5ad file: {error}.") from error
        try:
            self._open(raw)
        except BaseException:
            self.file.close()
            raise

    def _open(self, raw: bool) -> None:
        root: h5py.Group = self.file
        missing = [f"{name}: not there." for name in ("X", "obs", "var") if name not in root]
        raise_faults(self.title, missing)
        old = "in the format before AnnData 0.7; read the file with anndata and write it again."
        faults = [f"{name}: {old}" for name in ("obs", "var") if not isinstance(root[name], h5py.Group)]
        raise_faults(self.title, faults)
        self.names_item = _index(root["obs"], self.title)
        self._take(root["X"], root["var"])
        if raw and "raw" in root and len(_no_counts(self._data(0, 1 << 16))):
            self._take(root["raw/X"], root["raw/var"])
        if self.names_item.shape[0] != self.cells:
            raise_faults(self.title, [f"obs: {self.names_item.shape[0]} cells, but X has {self.cells} rows."])
        if len(self.gene_ids) != self.genes:
            raise_faults(self.title, [f"var: {len(self.gene_ids)} genes, but X has {self.genes} columns."])
        if self.indptr is None:
            return
        stored = {name: self.item[name].shape[0] for name in ("data", "indices")}
        if (
            len(self.indptr) != self.cells + 1
            or self.indptr[0] != 0
            or (np.diff(self.indptr) < 0).any()
            or set(stored.values()) != {int(self.indptr[-1])}
        ):
            raise_faults(self.title, ["X: its indptr, indices and data do not fit each other."])

    def _take(self, item: Any, var: h5py.Group) -> None:
        """Set the counts: ``item`` is a csr_matrix, or an array."""
        self.item = item
        self.indptr: np.ndarray | None = None
        if isinstance(item, h5py.Group):
            kind = item.attrs.get("encoding-type", "")
            lacking = {"data", "indices", "indptr"} - set(item)
            if kind != "csr_matrix" or lacking:
                fault = (
                    f"{item.name}: its encoding-type is {kind!r}; expected csr_matrix (rows are cells), as"
                    " adata.X = scipy.sparse.csr_matrix(adata.X) makes it."
                )
                raise_faults(self.title, [fault])
            shape = item.attrs["shape"]
            self.indptr = item["indptr"][()].astype(np.int64)
        else:
            shape = item.shape
        self.cells, self.genes = (int(number) for number in shape)
        self.gene_ids: list[str] = _texts(_index(var, self.title))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def names(self) -> list[str]:
        """Return the names of the cells."""
        return _texts(self.names_item)

    def stored(self) -> np.ndarray:
        """Return how many counts are stored of each cell."""
        if self.indptr is not None:
            return np.diff(self.indptr)
        return np.full(self.cells, self.genes, np.int64)

    @property
    def columns(self) -> list[str]:
        """The columns of obs."""
        return [name for name in self.file["obs"].attrs.get("column-order", ()) if name in self.file["obs"]]

    def labels(self, column: str) -> Labels:
        """Return a column of obs as text. Raises InputError that lists the columns where it is missing."""
        frame = self.file["obs"]
        if column not in frame:
            known = ", ".join(self.columns) or "none"
            raise_faults(self.title, [f"obs: has no column {column!r}; its columns are {known}."])
        item = frame[column]
        if isinstance(item, h5py.Group) and "categories" in item:
            return Labels(item["codes"][()].astype(np.int64), _texts(item["categories"]))
        missing = None
        if isinstance(item, h5py.Group):  # nullable values
            missing, item = item["mask"][()], item["values"]
        elif "categories" in item.attrs:  # before anndata 0.8
            return Labels(item[()].astype(np.int64), _texts(self.file[item.attrs["categories"]]))
        texts, codes = np.unique(np.array(_texts(item), dtype=object).astype(str), return_inverse=True)
        codes = codes.astype(np.int64).reshape(-1)
        if missing is not None:
            codes[missing] = -1
        return Labels(codes, texts.tolist())

    def read_cells(self) -> Iterator[Cell]:
        """Yield the origin of each cell; its barcode is what follows its experiment and ``_`` in its name."""
        frame = self.file["obs"]
        columns = [*Cell._fields[:3], "run" if "run" in frame else "runs", "species"]
        missing = [name.removesuffix("s") if name == "runs" else name for name in columns if name not in frame]
        raise_faults(self.title, [f"obs: has no column {name!r}." for name in missing])
        texts = zip(*(self.labels(name).texts() for name in columns), strict=True)
        for name, fields in zip(self.names(), texts, strict=True):
            experiment = f"{fields[2]}_"
            yield Cell._make([*fields, name.removeprefix(experiment) if name.startswith(experiment) else ""])

    def blocks(
        self, rows: int = BLOCK_ROWS, entries: int = BLOCK_ENTRIES, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the first row and the counts (csr_matrix) of blocks of at most so many rows and stored counts.

        ``start`` and ``stop`` are the first row and that after the last one. A row with more counts is a block by
        itself. Raises InputError where a count is not a whole number from 0.
        """
        end = self.cells if stop is None else stop
        while start < end:
            if self.indptr is not None:
                limit = int(self.indptr.searchsorted(self.indptr[start] + entries, side="right")) - 1
            else:
                limit = start + entries // max(self.genes, 1)
            after = max(start + 1, min(start + rows, limit, end))
            yield start, self._read(start, after)
            start = after

    def select(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, scipy.sparse.csr_matrix]]:
        """Yield some of the rows and their counts, in bounded pieces. ``rows`` are in ascending order."""
        for near in np.split(rows, np.flatnonzero(np.diff(rows) > SPAN) + 1):
            for start in range(0, len(near), PIECE):
                some = near[start : start + PIECE]
                yield some, self._read(int(some[0]), int(some[-1]) + 1)[some - some[0]]

    def _data(self, start: int, stop: int) -> np.ndarray:
        """Return stored values; those of the first rows of an array."""
        if self.indptr is not None:
            return self.item["data"][start:stop]
        return self.item[: max(1, stop // max(self.genes, 1))] if self.cells else self.item[:0]

    def _read(self, start: int, stop: int) -> scipy.sparse.csr_matrix:
        """Return the counts of rows as int64."""
        if self.indptr is None:
            values = self.item[start:stop]
            self._check(values, start, stop)
            return scipy.sparse.csr_matrix(values.astype(np.int64))
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        values, indices = self.item["data"][first:last], self.item["indices"][first:last]
        self._check(values, start, stop)
        if indices.size and (indices.min() < 0 or indices.max() >= self.genes):
            raise_faults(self.title, [f"X: rows {start} to {stop - 1} name columns that X does not have."])
        pointers = self.indptr[start : stop + 1] - first
        small = last - first <= np.iinfo(np.int32).max
        kind = np.int32 if small else np.int64
        return scipy.sparse.csr_matrix(
            (values.astype(np.int64), indices.astype(kind), pointers.astype(kind)), shape=(stop - start, self.genes)
        )

    def _check(self, values: np.ndarray, start: int, stop: int) -> None:
        bad = _no_counts(values)
        if len(bad):
            raise InputError(
                f"{self.title}: rows {start} to {stop - 1} have {bad[0]!s} where counts, whole numbers from 0, are"
                " needed; normalised values cannot be embedded."
            )


def _no_counts(values: np.ndarray) -> np.ndarray:
    """Return the values that are not whole numbers from 0."""
    values = values.reshape(-1)
    if values.dtype.kind in "iu":
        return values[values < 0]
    with np.errstate(invalid="ignore"):
        return values[~((values >= 0) & (values == np.floor(values)) & np.isfinite(values))]


def _index(frame: h5py.Group, title: str) -> h5py.Dataset:
    """Return the index of a data frame."""
    name = frame.attrs.get("_index", "_index")
    if name not in frame:
        raise_faults(title, [f"{frame.name}: has no index."])
    item = frame[name]
    return item["values"] if isinstance(item, h5py.Group) else item  # nullable text


def _texts(item: h5py.Dataset) -> list[str]:
    """Return text, or numbers as text."""
    if h5py.check_string_dtype(item.dtype) is not None:
        return item.asstr()[()].tolist()
    return [str(value) for value in item[()].tolist()]
