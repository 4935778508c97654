"""What all rows of an atlas add up to: how often labels come together, and the sums of a block for each label.

One pass over the shards, whatever their number, in bounded memory. Both are sums of exact numbers, so that chunks,
order and threads change no bit: counts are whole numbers, and sums of float16 in float64 are exact as long as they stay
below 2**29.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError

if TYPE_CHECKING:
    import numpy

TABLE_ROWS = 1 << 15
"""Rows of labels that are counted at a time."""
SUM_BYTES = 1 << 21
"""Bytes of a chunk whose rows are added up."""
DENSE = 1 << 22
"""Cells up to which a cross table is counted in an array; a greater one keeps only the pairs that occur."""


class Column(NamedTuple):
    """A column of the labels: a class, and whether its best label (1), the second or the third."""

    name: str
    rank: int = 1


class CrossTable(NamedTuple):
    """How often two labels came together; only pairs that occur, sorted by the first code, then the second."""

    first: Column
    second: Column | None
    """None: the first is counted alone, all ``second_codes`` are 0."""
    first_codes: "numpy.ndarray"
    second_codes: "numpy.ndarray"
    counts: "numpy.ndarray"
    """int64, all three"""

    def dense(self) -> "numpy.ndarray":
        """Return the counts as array[code of the first, code of the second], as wide as the greatest codes need."""
        import numpy as np

        shape = tuple(int(codes.max(initial=-1)) + 1 for codes in (self.first_codes, self.second_codes))
        table = np.zeros(shape, np.int64)
        table[self.first_codes, self.second_codes] = self.counts
        return table


@dataclass
class Centroids:
    """The sums of a block's columns over all rows that have a label, for each label that occurs."""

    codes: "numpy.ndarray"
    """int64 [labels], ascending"""
    sums: "numpy.ndarray"
    """float64 [labels, columns of the block]"""
    counts: "numpy.ndarray"
    """int64 [labels]: rows"""

    @property
    def means(self) -> "numpy.ndarray":
        """float64 [labels, columns of the block]"""
        return self.sums / self.counts[:, None]


def cross_tables(atlas: Atlas, pairs: Sequence[tuple[Column, Column | None]]) -> list[CrossTable]:
    """Count the labels of all rows, all tables in one pass; returns a table for each pair, in their order.

    Raises InputError for a class that the atlas does not have, or a rank beyond its labels.
    """
    import numpy as np

    places = {column: column_of(atlas, column) for pair in pairs for column in pair if column is not None}
    counters = [PairCounter() for _ in pairs]
    room = np.empty(
        (len(places), TABLE_ROWS), np.intp
    )  # the same memory for every chunk, so that it stays in the cache
    for labels in atlas.scan(None, TABLE_ROWS, "top3"):
        codes = {}
        for (column, place), several in zip(places.items(), room[:, : len(labels)], strict=True):
            np.copyto(several, labels[:, place])
            codes[column] = several, int(several.max())
        for (first, second), counter in zip(pairs, counters, strict=True):
            counter.add(*codes[first], *(codes[second] if second is not None else (None, 0)))
    return [CrossTable(*pair, *counter.table()) for pair, counter in zip(pairs, counters, strict=True)]


def column_of(atlas: Atlas, column: Column) -> int:
    """Return which column of the labels and scores it is. Raises InputError where there is no such."""
    columns = atlas.columns("top3", column.name)
    if not 1 <= column.rank <= columns.stop - columns.start:
        raise InputError(
            f"{atlas.path}: {column.name} has {columns.stop - columns.start} labels a cell; no label {column.rank}."
        )
    return columns.start + column.rank - 1


class PairCounter:
    """Counts codes, or pairs of them, below 65,536.

    The array grows with the codes, and gives way to a list of pairs where it is too large.
    """

    def __init__(self) -> None:
        import numpy as np

        self.shape = (1, 1)
        self.dense: numpy.ndarray | None = np.zeros(1, np.int64)
        self.keys = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)
        self._ones, self._places = np.zeros(0, np.int64), np.zeros(0, np.intp)

    def add(self, first: "numpy.ndarray", first_most: int, second: "numpy.ndarray | None", second_most: int) -> None:
        """Count a chunk of codes (intp, a row each; no second for all); ``…_most`` are the greatest codes in it."""
        import numpy as np

        if first_most >= self.shape[0] or second_most >= self.shape[1]:
            self._grow(first_most, second_most)
        if self.dense is None:
            keys = first << 16
            if second is not None:
                keys |= second
            self._merge(*np.unique(keys, return_counts=True))
            return
        if len(self._ones) < len(first):
            self._ones, self._places = np.ones(len(first), np.int64), np.empty(len(first), np.intp)
        places = first
        if second is not None:
            places = np.multiply(first, self.shape[1], out=self._places[: len(first)])
            places += second
        np.add.at(self.dense, places, self._ones[: len(first)])  # twice as fast as with a single 1

    def _grow(self, first_most: int, second_most: int) -> None:
        import numpy as np

        # Odd numbers: counts that are a power of two apart would share few lines of the cache.
        shape = tuple(
            size if most < size else most + most // 4 | 15
            for most, size in zip((first_most, second_most), self.shape, strict=True)
        )
        if self.dense is None:
            return
        if shape[0] * shape[1] > DENSE:
            rows, columns = np.divmod(np.flatnonzero(self.dense), self.shape[1])
            self._merge(rows << 16 | columns, self.dense[self.dense != 0])
            self.dense, self.shape = None, (1 << 16, 1 << 16)
            return
        grown = np.zeros(shape, np.int64)
        grown[: self.shape[0], : self.shape[1]] = self.dense.reshape(self.shape)
        self.dense, self.shape = grown.reshape(-1), shape

    def _merge(self, keys: "numpy.ndarray", counts: "numpy.ndarray") -> None:
        import numpy as np

        merged, places = np.unique(np.concatenate([self.keys, keys]), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        np.add.at(total, places, np.concatenate([self.counts, counts]))
        self.keys, self.counts = merged, total

    def table(self) -> "tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]":
        """Return first codes, second codes and counts of the pairs that occur."""
        import numpy as np

        if self.dense is None:
            return self.keys >> 16, self.keys & 0xFFFF, self.counts
        keys = np.flatnonzero(self.dense)
        return (*np.divmod(keys, self.shape[1]), self.dense[keys])


def centroids(atlas: Atlas, block: str | None, label: str, rank: int = 1) -> Centroids:
    """Add up a block of the embeddings (None: all of them) over the rows of each label of a class.

    Raises InputError for a block or class that the atlas does not have.
    """
    import numpy as np

    place = column_of(atlas, Column(label, rank))
    columns = atlas.columns("embs", block)
    size = sum_rows(atlas)
    sums = LabelSums(columns.stop - columns.start)
    for embs, labels in zip(atlas.scan(block, size), atlas.scan(None, size, "top3"), strict=True):
        sums.add(labels[:, place].astype(np.int32), embs)
    return sums.result()


def sum_rows(atlas: Atlas) -> int:
    """Return how many rows of an atlas are best added up at a time."""
    return max(256, SUM_BYTES // (2 * atlas.layout.embedding_width))


class LabelSums:
    """Adds up rows of so many columns for each label; grows with the codes."""

    def __init__(self, columns: int) -> None:
        import numpy as np

        self.sums = np.zeros((1, columns))
        self.counts = np.zeros(1, np.int64)

    def add(self, codes: "numpy.ndarray", rows: "numpy.ndarray") -> None:
        """Add rows [rows, columns] to the sums of their labels' codes (int32 [rows])."""
        import numpy as np
        import scipy.sparse

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

    def result(self) -> Centroids:
        """Return the sums of the labels that occur."""
        import numpy as np

        occurring = np.flatnonzero(self.counts)
        return Centroids(occurring, self.sums[occurring], self.counts[occurring])
