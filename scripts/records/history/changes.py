"""What changed between two plans: a row a run, ``results/changes.tsv``.

Columns: series, experiment, run; change (new, changed, gone, back); what (``column: old → new`` of the plan and of the
records of sample and series, joined by ``; ``); what_follows. A sample without a run has a row without one, and what
changed in the record of a series a row with the series alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import atomic_path
from scripts.plan.run_table import COLUMNS, Run, write_table
from scripts.plan.units import column_digests, columns_of
from scripts.records.history.described import arrow, differences
from scripts.records.history.last_plan import LastPlan

KINDS = NEW, CHANGED, GONE, BACK = "new", "changed", "gone", "back"
_NOT_COMPARED = ("detail", "source")
_LONGEST = 1000  # characters of what changed in a row
_SHOWN = 20  # rows that are printed

Digests = Mapping[tuple[str, str, str], str]
"""Series, species, column → digest of all that decides its counts."""


class Change(NamedTuple):
    """A row of the table of changes."""

    series: str
    experiment: str
    run: str
    change: str
    what: str
    what_follows: str


def find_changes(
    last: LastPlan, rows: Sequence[Run], described: Mapping[str, str], gone: Iterable[str], count_by: str
) -> list[Change]:
    """Return what changed since the last plan, sorted.

    ``rows`` are those of the plan, with withdrawn runs; ``gone`` are the latter. ``described`` is accession → what its
    record says, see :func:`~scripts.records.history.described.describe`.
    """
    finder = _Finder(last, rows, described, frozenset(gone), count_by)
    return sorted([*finder.of_runs(), *finder.of_samples(), *finder.of_series()])


class _Finder:
    def __init__(
        self, last: LastPlan, rows: Sequence[Run], described: Mapping[str, str], gone: frozenset[str], count_by: str
    ) -> None:
        self.last, self.described, self.gone = last, described, gone
        self.count_by = count_by
        self.old, self.new = _by_run(last.rows), _by_run(rows)
        self.was_gone = {row.run for row in last.withdrawn} & self.old.keys()
        self.old_digests, self.new_digests = self._digests(last.rows), self._digests(rows)
        self.old_rest, self.new_rest = (
            {(row.series, row.sample, row.experiment): row for row in of_plan if not row.run}
            for of_plan in (last.rows, rows)
        )

    def _digests(self, rows: Iterable[Run]) -> Digests:
        groups: dict[tuple[str, str], list[Run]] = {}
        for row in rows:
            if row.status == "planned":
                groups.setdefault((row.series, row.species), []).append(row)
        return {
            (*key, column): digest
            for key, group in groups.items()
            for column, digest in column_digests(columns_of(group, self.count_by)).items()
        }

    def of_runs(self) -> Iterator[Change]:
        """Yield what changed of runs."""
        for run in self.old.keys() | self.new.keys():
            old, new = self.old.get(run, []), self.new.get(run, [])
            is_gone = run in self.gone or not new
            first = (new or old)[0]
            if not old:
                yield _change(first, NEW, [], self._of_new(new))
            elif is_gone and run in self.was_gone:
                continue  # said before
            elif is_gone:
                yield _change(first, GONE, [], _of_gone(new, run in self.gone))
            else:
                what = list(dict.fromkeys([*_row_differences(old, new), *self._of_record(first.sample)]))
                if run in self.was_gone:
                    yield _change(first, BACK, what, self._of_back(new))
                elif what:
                    yield _change(first, CHANGED, what, self._of_changed(new, "the tables are made again"))

    def _of_record(self, accession: str) -> Iterator[str]:
        before, after = self.last.described.get(accession), self.described.get(accession)
        if before is not None and after is not None:
            yield from differences(before, after)

    def _keys(self, rows: Iterable[Run]) -> list[tuple[str, str, str]]:
        """Return the columns in which rows are counted."""
        keys = ((row.series, row.species, name) for row in rows for name in (row.experiment, row.run))
        return [key for key in keys if key in self.new_digests]

    def _of_new(self, rows: Sequence[Run]) -> str:
        planned = [row for row in rows if row.status == "planned"]
        if not planned:
            return _left_out(rows)
        if any(key in self.old_digests for key in self._keys(planned)):
            return f"{planned[0].experiment} is counted again, with it"
        return "counted"

    def _of_changed(self, rows: Sequence[Run], otherwise: str) -> str:
        planned = [row for row in rows if row.status == "planned"]
        if not planned:
            return _left_out(rows)
        if any(self.old_digests.get(key) != self.new_digests[key] for key in self._keys(planned)):
            return "counted again"
        return otherwise

    def _of_back(self, rows: Sequence[Run]) -> str:
        follows = self._of_changed(rows, "in the tables, from what was counted")
        return "in the tables again; counted where nothing is kept of it" if follows == "counted again" else follows

    def of_samples(self) -> Iterator[Change]:
        """Yield what changed of samples and experiments without a run."""
        named = {name for rows in self.new.values() for row in rows for name in (row.sample, row.experiment)}
        series = {row.series for rows in self.new.values() for row in rows}
        for key in self.old_rest.keys() | self.new_rest.keys():
            old, new = self.old_rest.get(key), self.new_rest.get(key)
            row = new or old
            if row is None:
                continue
            if new is None:
                if not named & {row.experiment, row.sample} - {""} and (row.sample or row.series not in series):
                    yield _change(row, GONE, [_name_of(row)], "nothing: it had no run")
            elif old is None:
                if self.last.is_there:
                    yield _change(row, NEW, [_name_of(row)], _left_out([row]))
            elif what := [*_row_differences([old], [new]), *self._of_record(row.sample)]:
                yield _change(row, CHANGED, what, _left_out([row]))

    def of_series(self) -> Iterator[Change]:
        """Yield what changed in the records of series."""
        for accession in sorted(self.last.described.keys() & self.described.keys()):
            if accession.startswith("GSE") and (what := list(self._of_record(accession))):
                row = Run(series=accession)
                yield _change(row, CHANGED, what, "the tables of metadata are made again")


def _by_run(rows: Iterable[Run]) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for row in rows:
        if row.run:
            runs.setdefault(row.run, []).append(row)
    return runs


def _row_differences(old: Sequence[Run], new: Sequence[Run]) -> Iterator[str]:
    """Yield ``column: old → new`` of the rows of a run, which has one a species."""
    before, after = ({row.species: row for row in rows} for rows in (old, new))
    if len(old) == len(new) == 1:
        pairs = [(old[0], new[0])]
    else:
        pairs = [(before[name], after[name]) for name in sorted(before.keys() & after.keys())]
        if before.keys() != after.keys():
            yield arrow("species", "+".join(sorted(before)), "+".join(sorted(after)))
    for one, other in pairs:
        for column, left, right in zip(COLUMNS, one, other, strict=True):
            if left != right and column not in _NOT_COMPARED:
                yield arrow(column, left, right)


def _name_of(row: Run) -> str:
    return f"sample: {row.sample}" if row.sample else "no sample"


def _left_out(rows: Sequence[Run]) -> str:
    return f"left out ({', '.join(sorted({row.reason for row in rows}))})"


def _of_gone(rows: Sequence[Run], is_withdrawn: bool) -> str:
    if not is_withdrawn:
        return "not asked for any more"
    return "its counts are kept" if any(row.status == "planned" for row in rows) else _left_out(rows)


def _change(row: Run, change: str, what: Sequence[str], follows: str) -> Change:
    text = "; ".join(what)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return Change(row.series, row.experiment, row.run, change, text, follows)


def write_changes(path: str | Path, changes: Sequence[Change]) -> None:
    """Write the table."""
    with atomic_path(path) as partial:
        write_table(partial, Change._fields, changes)


def format_changes(changes: Sequence[Change], table: str, had_plan: bool) -> str:
    """Return what changed for a terminal; ``table`` is the path of the whole table, or empty."""
    if not had_plan:
        return "There is no earlier plan to compare this one with."
    counts = Counter(change.change for change in changes)
    numbers = ", ".join(f"{counts[name]:,} {name}" for name in KINDS if counts[name])
    lines = [f"Since the last plan: {numbers or 'nothing changed'}{f' ({table})' if table and changes else ''}."]
    for change in changes[:_SHOWN]:
        name = " ".join(filter(None, (change.series, change.experiment, change.run)))
        what = f" ({change.what[:100]}{'…' if len(change.what) > 100 else ''})" if change.what else ""
        lines.append(f"  {name} {change.change}{what}: {change.what_follows}")
    if len(changes) > _SHOWN:
        lines.append(f"  and {len(changes) - _SHOWN:,} more")
    return "\n".join(lines)
