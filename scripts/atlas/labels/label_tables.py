"""How often labels of two classes lie on the same cells: ordered tables, what is missing, and the greatest part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class LabelTable:
    """Cells of each pair of labels; rows and columns with most cells first, none without a cell."""

    classes: tuple[str, str]
    """Of rows and of columns."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: "numpy.ndarray"
    """int64 [rows, columns]"""

    @property
    def cells(self) -> int:
        return int(self.counts.sum())

    @property
    def missing(self) -> int:
        """Pairs of labels, both of which occur, that no cell has."""
        return int((self.counts == 0).sum())


class Gap(NamedTuple):
    """A pair of labels that no cell has, though both occur."""

    row: str
    column: str
    row_cells: int
    column_cells: int
    expected: float
    """Cells that the pair would have if the two classes had nothing to do with each other."""


def order_table(
    classes: tuple[str, str], names: tuple[Sequence[str], Sequence[str]], counts: "numpy.ndarray"
) -> LabelTable:
    """Return a table without labels that have no cell, those with most cells first, equal ones in their order."""
    import numpy as np

    kept = []
    for axis in (0, 1):
        totals = counts.sum(axis=1 - axis)
        kept.append(sorted(np.flatnonzero(totals).tolist(), key=lambda place, of=totals: (-int(of[place]), place)))
    rows, columns = (tuple(names[axis][place] for place in kept[axis]) for axis in (0, 1))
    return LabelTable(classes, rows, columns, counts[np.ix_(*kept)])


def gaps(table: LabelTable) -> Iterator[Gap]:
    """Yield the pairs that no cell has, those that would be expected most first."""
    import numpy as np

    row_cells, column_cells = table.counts.sum(axis=1), table.counts.sum(axis=0)
    rows, columns = np.nonzero(table.counts == 0)
    expected = row_cells[rows].astype(float) * column_cells[columns] / max(table.cells, 1)
    for place in np.argsort(-expected, kind="stable").tolist():
        row, column = int(rows[place]), int(columns[place])
        yield Gap(
            *(table.rows[row], table.columns[column]),
            *(int(row_cells[row]), int(column_cells[column]), float(expected[place])),
        )


def join_rest(table: LabelTable, most: int) -> tuple[LabelTable, tuple[int, int]]:
    """Return at most ``most`` rows and columns, a further one of each with all others; and how many others there are.

    A single other would take as much room as the one that holds it: it stays.
    """
    import numpy as np

    counts, names, others = table.counts, [table.rows, table.columns], [0, 0]
    for axis in (0, 1):
        if len(names[axis]) > most + 1:
            others[axis] = len(names[axis]) - most
            head, rest = np.split(counts, [most], axis=axis)
            counts = np.concatenate([head, rest.sum(axis=axis, keepdims=True)], axis=axis)
            names[axis] = (*names[axis][:most], f"{others[axis]:,} others")
    return LabelTable(table.classes, names[0], names[1], counts), (others[0], others[1])


def join_square(names: Sequence[str], counts: "numpy.ndarray", most: int) -> "tuple[list[str], numpy.ndarray, int]":
    """Return a table whose rows and columns are the same labels with those after the first ``most`` joined.

    Returns names, counts and how many labels are joined in the last row and column; a single one stays as it is.
    """
    import numpy as np

    if len(names) <= most + 1:
        return [*names], counts, 0
    for axis in (0, 1):
        head, rest = np.split(counts, [most], axis=axis)
        counts = np.concatenate([head, rest.sum(axis=axis, keepdims=True)], axis=axis)
    return [*names[:most], f"{len(names) - most:,} others"], counts, len(names) - most
