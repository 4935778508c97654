"""Runs that were there on an earlier look-up and are not found now: withdrawn, or not public for a time.

They keep a row in the plan as long as they are asked for. With ``withdrawn: keep`` a run that was counted stays in the
tables, where its cell or library is still that which was counted; otherwise it is left out (WITHDRAWN). An archive that
could not be asked ends the look-up before anything is taken for gone.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from typing import NamedTuple

from scripts.plan.choices import Choices, left_out_by_user
from scripts.plan.counted import counted_file, read_counted
from scripts.plan.run_table import Run
from scripts.plan.status import read_statuses
from scripts.plan.units import Seats, column_digests, columns_of
from scripts.records.history.last_plan import LastPlan
from scripts.records.rows import sentences

KEEP, REMOVE = "keep", "remove"
_GONE = "It was there on an earlier look-up and is not found now: withdrawn, or not public for a time."

IsCounted = Callable[[Sequence[Run]], bool]
"""Whether the rows of an experiment and species, as they are planned, were counted."""


class Withdrawn(NamedTuple):
    """The rows of a plan with those of withdrawn runs, and these as they were found."""

    rows: list[Run]
    memory: list[Run]
    runs: Set[str]
    """Those that are gone and still asked for."""


class CountedUnits:
    """What was counted, by the records of the units (:mod:`scripts.plan.counted`) in the analysis directory."""

    def __init__(self, seats: Seats, count_by: str) -> None:
        self.seats, self.count_by = seats, count_by

    def have(self, rows: Sequence[Run]) -> bool:
        """Whether the rows of one experiment and species were counted as they are, and none of their runs failed."""
        first = rows[0]
        name = f"{first.series}.{first.species}.{first.experiment}"
        unit = self.seats.get((first.series, first.species, first.experiment)) if first.assay == "plate" else name
        counted = read_counted(counted_file(unit)) if unit else None
        if counted is None:
            return False
        planned = column_digests(columns_of(rows, self.count_by))
        if not planned.items() <= counted.columns.items():
            return False
        try:
            statuses = read_statuses(f"units/status/{unit}.tsv")
        except OSError:  # a job that counts other cells of the unit was cut off; what is right is set aside
            return not counted.failed
        found = [statuses.get(row.run) for row in rows]
        return all(status is not None and (status.ok or status.is_aside) for status in found)


def with_withdrawn(
    rows: Sequence[Run], last: LastPlan, asked: Sequence[str], choices: Choices, is_counted: IsCounted, keep: bool
) -> Withdrawn:
    """Return the plan with the runs of the last plan that ``rows``, those of this look-up, lack."""
    found = {row.run for row in rows if row.run}
    before = {row.run for row in last.rows if row.run} if last.looked_up else set[str]()
    known = {(row.run, row.species): row for row in last.withdrawn}
    remembered = {row.run for row in last.withdrawn}
    wanted = frozenset(asked)
    more_is_asked = wanted.issuperset(last.asked)

    def is_asked(row: Run) -> bool:
        names = {row.series, row.sample, row.experiment, row.run}
        return not names.isdisjoint(wanted) or (more_is_asked and row.run in before)

    for row in last.rows if last.looked_up else ():
        if row.run and row.run not in remembered and is_asked(row):
            known[row.run, row.species] = row
    memory = sorted(row for row in known.values() if row.run not in found)
    gone = list(filter(is_asked, memory))  # the others are gone by the user's doing
    stand_ins = _stand_ins(row for row in rows if row.run and row.run not in before)
    planned = _by_experiment(row for row in rows if row.status == "planned")
    added = []
    for key, group in _by_experiment(gone).items():
        others = sorted({run for name in _names_of_cell(group[0]) for run in stand_ins.get(name, ())})
        together = [*planned.get(key, ()), *(row for row in group if row.status == "planned")]
        is_kept = keep and not others and bool(together) and is_counted(together)
        added += [_settle(row, is_kept, others, keep, choices) for row in group]
    return Withdrawn([*_without_placeholders(rows, gone), *added], memory, {row.run for row in gone})


def _names_of_cell(row: Run) -> list[tuple[str, str]]:
    """Return by what two runs are known to be of the same cell or library: their experiment, or their sample."""
    names = [("", row.experiment), (row.series, row.sample)]
    return [name for name in names if name[1]]


def _stand_ins(new: Iterable[Run]) -> dict[tuple[str, str], set[str]]:
    """Return name of a cell or library → its runs that are new."""
    runs: dict[tuple[str, str], set[str]] = {}
    for row in new:
        for name in _names_of_cell(row):
            runs.setdefault(name, set()).add(row.run)
    return runs


def _by_experiment(rows: Iterable[Run]) -> dict[tuple[str, str, str], list[Run]]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for row in rows:
        groups.setdefault((row.series, row.species, row.experiment), []).append(row)
    return groups


def _settle(row: Run, is_kept: bool, others: Sequence[str], keep: bool, choices: Choices) -> Run:
    """Return the row of a withdrawn run as it is in the plan."""
    row = row._replace(exp_id=choices.exp_id_of(row.series))
    if is_kept and row.status == "planned" and choices.label_of(row.tax_id) == row.species:
        words = "Its counts are kept; `withdrawn: remove` leaves them out."
        return left_out_by_user(row._replace(detail=sentences(_GONE, words, row.detail)), choices)
    if others:
        words = f"Of its sample there is now {', '.join(others)}, which may stand in for it."
    elif not keep:
        words = "`withdrawn: keep` keeps what was counted of it."
    else:
        words = "Nothing is kept of it: it, or its experiment as it is now, was not counted."
    if row.reason:
        words = f"{words} Before, it was left out as {row.reason}."
    row = row._replace(status="left_out", reason="WITHDRAWN", detail=sentences(_GONE, words))
    return left_out_by_user(row, choices)


def _without_placeholders(rows: Iterable[Run], gone: Sequence[Run]) -> list[Run]:
    """Return rows without those that only say that nothing is there of which withdrawn runs have rows."""
    experiments, samples, series = ({getattr(row, name) for row in gone} for name in ("experiment", "sample", "series"))

    def stands_for_gone(row: Run) -> bool:
        if row.run or row.reason != "NO_RUN":
            return False
        if row.experiment:
            return row.experiment in experiments
        return row.sample in samples if row.sample else row.series in series

    return [row for row in rows if not stands_for_gone(row)]
