"""Write the ledger: the final status of every run of the plan, from the status tables of all units.

The floors of plate cells are applied here, and not where cells are counted: another floor counts nothing again.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.command import command_parser, is_job
from scripts.core.disk.files import atomic_path
from scripts.core.errors import RunFault, raise_faults
from scripts.core.tables import format_table
from scripts.plan.run_table import Run, iterate_runs, write_runs
from scripts.plan.status import RunStatus, read_statuses
from scripts.plan.units import read_unit, unit_names
from scripts.references.gene_losses import warnings_of

STATUS_FIELDS = ("source", "spots", "layout", "chemistry", "read_roles")
"""Fields of a status that replace those of the plan where they are set."""
JUDGED_READS = 100
"""From so many reads on the mapped share of a cell is held against the floor: of fewer it says nothing.

Of 100 reads of a cell of which 5 % map, none maps in 1 of 170 cells; a cell without reads, an empty well, has no share.
"""


class Floors(NamedTuple):
    """What a plate cell must have to be counted."""

    min_mapped: float = 0.0
    """Share of its reads that are mapped; of fewer than :data:`JUDGED_READS` reads none is asked for."""
    min_reads: int = 0

    def apply(self, statuses: Sequence[RunStatus]) -> list[RunStatus]:
        """Return the statuses of the runs of a cell; those of counted runs fail or are left out below a floor."""
        counted = [status for status in statuses if status.ok and status.reads]
        if not counted:
            return list(statuses)
        reads, mapped = int(counted[0].reads), int(counted[0].mapped)
        if reads < self.min_reads:
            fault = RunFault(
                "EMPTY_READS", f"{_of_reads(reads)}, fewer than `plates: {{min_reads: {self.min_reads}}}` asks for."
            )
        elif reads >= JUDGED_READS and mapped < self.min_mapped * reads:
            fault = RunFault(
                "LOW_MAPPING",
                f"{mapped:,} of {_of_reads(reads)} ({mapped / reads:.2%}) map to the genome, less than"
                f" `plates: {{min_mapped: {self.min_mapped:g}}}` asks for.",
            )
        else:
            return list(statuses)
        return [status.failed(fault) if status.ok else status for status in statuses]


_NO_FLOORS = Floors()


def _of_reads(reads: int) -> str:
    return f"{reads:,} read{'' if reads == 1 else 's'}"


def settle_unit(
    columns: Iterable[Sequence[Run]], statuses: Mapping[str, RunStatus], floors: Floors = _NO_FLOORS
) -> list[Run]:
    """Return the rows of a unit for the ledger; a column is counted only where all its runs are that are not left out.

    ``columns`` has the runs of each column, ``statuses`` a status for every run.
    """
    settled = []
    for runs in columns:
        of_column = floors.apply([statuses[row.run] for row in runs])
        failed = [status for status in of_column if not (status.ok or status.is_aside)]
        for row, status in zip(runs, of_column, strict=True):
            outcome, reason, detail = "counted", "", status.detail
            if status.state == "left_out":
                outcome, reason = "left_out", status.reason
            elif status in failed:
                outcome, reason = "failed", status.reason
            elif failed:
                outcome, reason = "failed", "INCOMPLETE_EXPERIMENT"
                detail = f"{failed[0].run} of the same experiment failed: {failed[0].reason}."
            detail = " ".join(filter(None, [row.detail, detail]))
            known = {name: getattr(status, name) for name in STATUS_FIELDS if getattr(status, name)}
            settled.append(row._replace(status=outcome, reason=reason, detail=detail, **known))
    return settled


def write_ledger(plan: Iterable[Run], units: str | Path, statuses: str, floors: Floors = _NO_FLOORS) -> list[Run]:
    """Return the rows of the ledger.

    ``units`` is the folder of the units' run tables, ``statuses`` the path of a status table with ``{unit}`` in it.

    Raises InputError, naming all of them, where a unit has no status table, a run no row in it, or a row of the plan
    is neither left out nor in a unit.
    """
    rows, faults, planned = [], [], set()
    for row in plan:
        if row.status == "planned":
            planned.add((row.run, row.species))
        elif row.status in ("left_out", "failed"):
            rows.append(row)
        else:
            name = row.run or row.sample or row.series
            faults.append(f"{name}: its status in the plan is {row.status!r}, not planned or left_out.")
    for unit in unit_names(units):
        columns = read_unit(Path(units) / f"{unit}.tsv").values()
        runs = {(row.run, row.species) for column in columns for row in column}
        planned -= runs
        path = Path(statuses.replace("{unit}", unit))
        if not path.exists():
            faults.append(f"{unit}: its status table {path} does not exist; make it first.")
            continue
        known = read_statuses(path)
        missing = sorted({run for run, _ in runs} - known.keys())
        if missing:
            faults.append(f"{unit}: {path} has no row for {', '.join(missing)}.")
            continue
        rows += settle_unit(columns, known, floors)
    faults += [f"{run} ({species}): planned, but in no run table in {units}." for run, species in sorted(planned)]
    raise_faults("The ledger", faults)
    return rows


def summarize(rows: Iterable[Run]) -> str:
    """Return a table for a person: the number of runs by series, status and reason, and of all series together."""
    rows = list(rows)
    counts = Counter((row.series, row.status, row.reason) for row in rows)
    lines = [("series", "status", "reason", "runs")]
    lines += [(*key, str(counts[key])) for key in sorted(counts)]
    if len({row.series for row in rows}) > 1:
        totals = Counter(("all", row.status, row.reason) for row in rows)
        lines += [(*key, str(totals[key])) for key in sorted(totals)]
    return "\n".join(format_table(lines, left=3))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--plan", required=True, help="the run table before work (results/plan.tsv)")
    parser.add_argument("--units", required=True, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--statuses", required=True, help="path of a unit's status table, with {unit} in it")
    parser.add_argument("--references", nargs="*", default=[], help="reference.json of each reference, for warnings")
    parser.add_argument("--output", required=True, help="the ledger to write (results/runs.tsv)")
    parser.add_argument("--min-mapped", type=float, default=0.0, help="share of reads that a plate cell must map")
    parser.add_argument("--min-reads", type=int, default=0, help="reads that a plate cell must have")
    options = parser.parse_args(argv)
    floors = Floors(options.min_mapped, options.min_reads)
    rows = write_ledger(iterate_runs(options.plan), options.units, options.statuses, floors)
    with atomic_path(options.output) as partial:
        write_runs(partial, rows)
    print(summarize(rows), file=sys.stderr if is_job() else sys.stdout)
    for sentence in warnings_of(options.references):
        print(sentence)
