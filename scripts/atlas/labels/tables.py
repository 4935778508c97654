"""Counts of labels and pairs of labels, sums of vectors by label, and ordered tables of labels by labels.

Counts and sums take one pass over the shards in bounded memory. Both add exact numbers, so that chunks, order and
threads change no bit: counts are whole numbers, and sums of float16 in float64 are exact as long as they stay below
2**29.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse

from scripts.atlas.store.shards import Atlas

TABLE_ROWS = 1 << 15  # rows of labels that are counted at a time
SUM_BYTES = 1 << 21  # bytes of a chunk whose rows are added up
DENSE = 1 << 22
"""Cells up to which pairs are counted in an array; beyond it only the pairs that occur are kept."""


class PairCounter:
    """Counts codes, or pairs of them, below 65,536.

    The array grows with the codes; a list of pairs replaces it where it would be too large.
    """

    def __init__(self) -> None:
        self.shape = (1, 1)
        self.dense: np.ndarray | None = np.zeros(1, np.int64)
        self.keys = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)
        self._ones, self._cells = np.zeros(0, np.int64), np.zeros(0, np.intp)

    def add(self, first: np.ndarray, first_max: int, second: np.ndarray | None, second_max: int) -> None:
        """Count a chunk of codes (intp, one per row; no second one for all); ``…_max`` are the greatest codes in it."""
        if first_max >= self.shape[0] or second_max >= self.shape[1]:
            self._grow(first_max, second_max)
        if self.dense is None:
            keys = first << 16
            if second is not None:
                keys |= second
            self._merge(*np.unique(keys, return_counts=True))
            return
        if len(self._ones) < len(first):
            self._ones, self._cells = np.ones(len(first), np.int64), np.empty(len(first), np.intp)
        cells = first
        if second is not None:
            cells = np.multiply(first, self.shape[1], out=self._cells[: len(first)])
            cells += second
        np.add.at(self.dense, cells, self._ones[: len(first)])  # twice as fast as with a single 1

    def _grow(self, first_max: int, second_max: int) -> None:
        if self.dense is None:
            return
        # Odd numbers: counts that are a power of two apart would share few lines of the cache.
        rows, columns = (
            size if most < size else most + most // 4 | 15
            for most, size in zip((first_max, second_max), self.shape, strict=True)
        )
        if rows * columns > DENSE:
            first, second = np.divmod(np.flatnonzero(self.dense), self.shape[1])
            self._merge(first << 16 | second, self.dense[self.dense != 0])
            self.dense, self.shape = None, (1 << 16, 1 << 16)
            return
        grown = np.zeros((rows, columns), np.int64)
        grown[: self.shape[0], : self.shape[1]] = self.dense.reshape(self.shape)
        self.dense, self.shape = grown.reshape(-1), (rows, columns)

    def _merge(self, keys: np.ndarray, counts: np.ndarray) -> None:
        merged, index = np.unique(np.concatenate([self.keys, keys]), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        np.add.at(total, index, np.concatenate([self.counts, counts]))
        self.keys, self.counts = merged, total

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return first codes, second codes and counts (int64) of the pairs that occur, sorted by the codes."""
        if self.dense is None:
            return self.keys >> 16, self.keys & 0xFFFF, self.counts
        keys = np.flatnonzero(self.dense)
        first, second = np.divmod(keys, self.shape[1])
        return first, second, self.dense[keys]

    def square(self, codes: np.ndarray) -> np.ndarray:
        """Return the counts as int64 [codes, codes] of ascending codes, among which are all that occur."""
        first, second, counts = self.table()
        square = np.zeros((len(codes), len(codes)), np.int64)
        square[np.searchsorted(codes, first), np.searchsorted(codes, second)] = counts
        return square


def sum_rows(atlas: Atlas) -> int:
    """Return the number of rows that are best added up at a time."""
    return max(256, SUM_BYTES // (2 * atlas.layout.embedding_width))


class LabelTotals(NamedTuple):
    """The sums of all rows with a label, for each label that occurs."""

    codes: np.ndarray
    """int64 [labels], ascending"""
    sums: np.ndarray
    """float64 [labels, columns]"""
    counts: np.ndarray
    """int64 [labels]: rows"""

    @property
    def means(self) -> np.ndarray:
        """float64 [labels, columns]"""
        return self.sums / self.counts[:, None]


class LabelSums:
    """Adds up rows of some columns by label; grows with the codes."""

    def __init__(self, columns: int) -> None:
        self.sums = np.zeros((1, columns))
        self.counts = np.zeros(1, np.int64)

    def add(self, codes: np.ndarray, rows: np.ndarray) -> None:
        """Add rows [rows, columns] to the sums of their labels' codes (int32 [rows])."""
        number = len(codes)
        if not number:
            return
        most = int(codes.max())
        if most >= len(self.counts):
            grow = (1 << most.bit_length()) - len(self.counts)
            self.sums, self.counts = np.pad(self.sums, ((0, grow), (0, 0))), np.pad(self.counts, (0, grow))
        known, local = np.unique(codes, return_inverse=True)
        # Each row is a column with a single 1, at its label: the product adds up the rows of each label.
        chosen = scipy.sparse.csc_matrix(
            (np.ones(number), local, np.arange(number + 1)), shape=(len(known), number), copy=False
        )
        self.sums[known] += chosen @ rows.astype(np.float64, copy=False)
        self.counts[known] += np.bincount(local, minlength=len(known))

    def result(self) -> LabelTotals:
        """Return the sums of the labels that occur."""
        occurring = np.flatnonzero(self.counts)
        return LabelTotals(occurring, self.sums[occurring], self.counts[occurring])


def order_table(
    classes: tuple[str, str], names: tuple[Sequence[str], Sequence[str]], counts: np.ndarray
) -> pd.DataFrame:
    """Return the cells of each pair of labels of two classes, int64 [row labels, column labels].

    Labels without a cell are left out; those with most cells come first, equal ones in their order. ``classes`` are the
    names of index and columns.
    """
    kept, labels = [], []
    for axis in (0, 1):
        totals = counts.sum(axis=1 - axis)
        order = np.argsort(-totals, kind="stable")
        kept.append(order[totals[order] > 0])
        labels.append(pd.Index([names[axis][index] for index in kept[axis].tolist()], dtype=object, name=classes[axis]))
    return pd.DataFrame(counts[np.ix_(*kept)], index=labels[0], columns=labels[1])


def gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of labels that no cell has, though both occur; those with most expected cells first.

    Columns: ``row``, ``column``, ``row_cells``, ``column_cells``, and ``expected``, the cells that the pair would have
    if the two classes were independent.
    """
    counts = table.to_numpy()
    row_cells, column_cells = counts.sum(axis=1), counts.sum(axis=0)
    rows, columns = np.nonzero(counts == 0)
    expected = row_cells[rows].astype(float) * column_cells[columns] / max(int(counts.sum()), 1)
    order = np.argsort(-expected, kind="stable")
    rows, columns = rows[order], columns[order]
    return pd.DataFrame(
        {
            "row": table.index.to_numpy()[rows],
            "column": table.columns.to_numpy()[columns],
            "row_cells": row_cells[rows],
            "column_cells": column_cells[columns],
            "expected": expected[order],
        }
    )


def join_rest(table: pd.DataFrame, most: int) -> tuple[pd.DataFrame, tuple[int, int]]:
    """Join the rows and the columns after the first ``most``; return the table, and how many of each are joined.

    A single one stays as it is: the one that joins it would need as much room.
    """
    counts, names, joined = table.to_numpy(), [table.index, table.columns], [0, 0]
    for axis in (0, 1):
        labels, counts, joined[axis] = _join(names[axis].tolist(), counts, most, axis)
        names[axis] = pd.Index(labels, dtype=object, name=names[axis].name)
    return pd.DataFrame(counts, index=names[0], columns=names[1]), (joined[0], joined[1])


def join_square(names: Sequence[str], counts: np.ndarray, most: int) -> tuple[list[str], np.ndarray, int]:
    """Join the labels after the first ``most`` in a table whose rows and columns are the same labels.

    Returns names, counts, and how many labels are joined in the last row and column; a single one stays as it is.
    """
    for axis in (0, 1):
        labels, counts, joined = _join(names, counts, most, axis)
    return labels, counts, joined


def _join(names: Sequence[str], counts: np.ndarray, most: int, axis: int) -> tuple[list[str], np.ndarray, int]:
    others = len(names) - most
    if others <= 1:
        return [*names], counts, 0
    head, rest = np.split(counts, [most], axis=axis)
    counts = np.concatenate([head, rest.sum(axis=axis, keepdims=True)], axis=axis)
    return [*names[:most], f"{others:,} others"], counts, others
