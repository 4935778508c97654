"""What changed since the release before: cells added and removed, and those whose counts or names changed, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.harvest.releases.digests import LIBRARY, CellDigest, Made
from scripts.plan.run_table import iterate_runs, write_table
from scripts.records.history.described import arrow

CHANGES_SINCE = "changes_since.tsv"
ADDED, REMOVED, COUNTS, NAMES = "added", "removed", "counts", "names"
_OF_RUN = ("chemistry", "layout", "read_roles", "spots", "bases", "md5")
_LONGEST = 500  # characters of a reason


class CellChange(NamedTuple):
    """A row of the table: change is added, removed, counts (they are others) or names (series, sample)."""

    change: str
    kind: str
    species: str
    cell: str
    series: str
    sample: str
    runs: str
    why: str


Fates = Mapping[tuple[str, str], tuple[str, ...]]
"""Run, species → status, reason and what of its row decides its counts, as a ledger has them."""


def fates_of(ledger: str | Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return what became of each run of a ledger, which is read row by row."""
    return {
        (row.run, row.species): (row.status, row.reason, *(getattr(row, name) for name in _OF_RUN))
        for row in iterate_runs(ledger)
        if row.run
    }


class Side(NamedTuple):
    """A release, as far as it is compared."""

    cells: Sequence[CellDigest]
    fates: Fates
    made: Made


def compare(before: Side, after: Side) -> list[CellChange]:
    """Return what changed, sorted."""
    old, new = ({cell.key: cell for cell in side.cells} for side in (before, after))
    changes = []
    for key in old.keys() | new.keys():
        one, other = old.get(key), new.get(key)
        if one is None and other is not None:
            changes.append(_row(ADDED, other, _why_of_runs(other, before.fates, "not in the release before")))
        elif other is None and one is not None:
            changes.append(_row(REMOVED, one, _why_of_runs(one, after.fates, "not asked for any more")))
        elif one is not None and other is not None and (why := "; ".join(_names(one, other))):
            changes.append(_row(NAMES, other, why))
        if one is not None and other is not None and (one.digest, one.cells) != (other.digest, other.cells):
            changes.append(_row(COUNTS, other, "; ".join(_why_counts(one, other, before, after))))
    return sorted(changes)


def _row(change: str, cell: CellDigest, why: str) -> CellChange:
    return CellChange(change, cell.kind, cell.species, cell.cell, cell.series, cell.sample, cell.runs, why[:_LONGEST])


def _why_of_runs(cell: CellDigest, fates: Fates, unknown: str) -> str:
    """Return what the other ledger says of the runs of a cell."""
    words = []
    for run in cell.runs.split(";"):
        status, reason, *_ = fates.get((run, cell.species)) or _of_any_species(run, fates) or ("", "")
        words.append(f"{run}: {' '.join(filter(None, (status, reason))) or unknown}")
    return "; ".join(words)


def _of_any_species(run: str, fates: Fates) -> tuple[str, ...]:
    return fates.get((run, ""), ())  # a run of a species that is not configured has none


def _names(old: CellDigest, new: CellDigest) -> Iterator[str]:
    for name in ("series", "sample"):
        if getattr(old, name) != getattr(new, name):
            yield arrow(name, getattr(old, name), getattr(new, name))


def _why_counts(old: CellDigest, new: CellDigest, before: Side, after: Side) -> Iterator[str]:
    """Yield every difference of runs, records, reference, options and tools; a sentence where none is known."""
    words = []
    if old.runs != new.runs:
        words.append(arrow("runs", old.runs, new.runs))
    for run in new.runs.split(";"):
        one, other = (side.fates.get((run, new.species), ("",) * (len(_OF_RUN) + 2)) for side in (before, after))
        pairs = zip(_OF_RUN, one[2:], other[2:], strict=True)
        if run in old.runs.split(";"):
            words += [f"{run} {arrow(name, left, right)}" for name, left, right in pairs if left != right]
    if old.cells != new.cells:
        words.append(arrow("cells", old.cells, new.cells))
    left, right = (side.made.get(_matrix(cell), {}) for side, cell in ((before, old), (after, new)))
    words += [arrow(name, left.get(name, ""), right.get(name, "")) for name in sorted(left.keys() | right.keys())
              if left.get(name) != right.get(name)]  # fmt: skip
    yield from words or ["counted anew; records, reference, options and versions of tools are the same"]


def _matrix(cell: CellDigest) -> str:
    return f"droplets/{cell.series}.{cell.species}.h5ad" if cell.kind == LIBRARY else f"{cell.species}.h5ad"


def write_differences(path: str | Path, changes: Iterable[CellChange]) -> None:
    """Write the table."""
    write_table(path, CellChange._fields, changes)


def summarize(changes: Iterable[CellChange]) -> dict[str, int]:
    """Return change → number of cells and libraries."""
    counts = Counter(change.change for change in changes)
    return {name: counts[name] for name in (ADDED, REMOVED, COUNTS, NAMES)}
