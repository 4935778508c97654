"""A new plan beside the last one: withdrawn runs are added to it, what changed is written, and it becomes the last."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scripts.plan.choices import Choices
from scripts.plan.run_table import Run, read_runs
from scripts.plan.units import Seats
from scripts.records.history.changes import find_changes, format_changes, write_changes
from scripts.records.history.last_plan import LastPlan, read_last_plan, write_last_plan
from scripts.records.history.withdrawn import KEEP, REMOVE, CountedUnits, Withdrawn, with_withdrawn

_SUMS = "SHA256SUMS"


def add_history_options(parser: argparse.ArgumentParser) -> None:
    """Add the options on what was planned before."""
    parser.add_argument(
        "--withdrawn",
        choices=(KEEP, REMOVE),
        default=KEEP,
        help="what becomes of the counts of runs that an earlier look-up found and this one does not",
    )
    parser.add_argument("--last-plan", help="folder with the plan before this one (units/last_plan), replaced by it")
    parser.add_argument("--changes", help="table of what changed since the last plan, written with --refresh")


class SinceLast:
    """The last plan, and what this one makes of it; without ``--last-plan`` nothing. ``asked`` is what is looked up."""

    def __init__(self, options: argparse.Namespace, asked: Sequence[str]) -> None:
        self.options, self.asked = options, asked
        self.last = _last_plan(options)
        self.withdrawn = Withdrawn([], list(self.last.withdrawn), frozenset())

    def add_withdrawn(
        self, rows: Sequence[Run], nameless: Mapping[str, Run], choices: Choices, seats: Seats
    ) -> list[Run]:
        """Return the rows of a plan with those of runs that were found before and are not found now.

        ``nameless`` are those rows that only say that an accession was not found.
        """
        if not self.asked or not self.last.is_there:  # a run table says by itself what there is
            return list(rows)
        counted = CountedUnits(seats, self.options.count_by)
        keep = self.options.withdrawn == KEEP
        self.withdrawn = with_withdrawn(rows, self.last, self.asked, choices, counted.have, keep)
        instead = [row for name, row in nameless.items() if name in self.withdrawn.runs]
        return [row for row in self.withdrawn.rows if row not in instead]

    def finish(
        self, rows: Sequence[Run], described: Mapping[str, str], files: Iterable[Path], digests: Mapping[str, str]
    ) -> list[str]:
        """Write what changed and keep the plan as the last one; return what to print.

        ``files`` and ``digests`` are those of the records on which results rest beside the plan.
        """
        options, last = self.options, self.last
        if not options.last_plan:
            return []
        samples = {name for row in self.withdrawn.memory for name in (row.sample, row.series)}
        of_gone = {name: text for name, text in last.described.items() if name in samples}
        described = {**of_gone, **described}
        changes = find_changes(last, rows, described, self.withdrawn.runs, options.count_by) if last.is_there else []
        said = []
        is_asked_for = bool(options.refresh and options.changes)
        if is_asked_for and not changes and Path(options.changes).is_file() and not self._is_finished():
            said = [f"Nothing changed since; the results of what changed before ({options.changes}) are not made yet."]
        elif is_asked_for:
            write_changes(options.changes, changes)
            said = [format_changes(changes, options.changes, last.is_there)]
        elif self.withdrawn.runs - {row.run for row in last.withdrawn}:
            said = [format_changes([change for change in changes if change.change == "gone"], "", True)]
        plan = LastPlan(rows, self.withdrawn.memory, described, self.asked, bool(self.asked))
        write_last_plan(options.last_plan, plan, files, digests)
        return said

    def _is_finished(self) -> bool:
        """Whether the results beside the table of changes were made of the last plan."""
        sums = Path(self.options.changes).with_name(_SUMS)
        return sums.is_file() and f"{self.last.sha256}  plan.tsv" in sums.read_text(encoding="utf-8").splitlines()


def _last_plan(options: argparse.Namespace) -> LastPlan:
    if not options.last_plan:
        return LastPlan()
    last = read_last_plan(options.last_plan)
    if last.is_there or not Path(options.output).is_file():
        return last
    # Versions that kept no last plan did not say what was asked for: only a row that names it is surely asked for.
    return LastPlan(read_runs(options.output), asked=["unknown"], looked_up=True, sha256="unknown")
