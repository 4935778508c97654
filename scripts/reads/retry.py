"""Set aside what a unit has counted and what is still right, so that only its other columns are done.

A column is kept where it is planned as it was counted, with the same options, and none of its runs failed for a reason
that is tried again. All its rows of the shard's status table are kept, and its counts where it was counted. A droplet
library is always done again as a whole. failed.tsv has the status of the failed runs that are tried again: what an
archive has lost is asked for elsewhere.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder
from scripts.plan.counted import read_counted
from scripts.plan.local_files import RECORD, FileDigests
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, column_digests, read_unit


def kept_statuses(
    columns: Mapping[str, Sequence[Run]],
    counted: Mapping[str, str],
    statuses: Mapping[str, RunStatus],
    reasons: Collection[str],
) -> list[RunStatus]:
    """Return the rows that are kept; those of counted runs get the state ``kept``.

    ``counted`` has column → digest of what was planned for it when it was counted.
    """
    planned = column_digests(columns, FileDigests(RECORD).recorded)
    kept = []
    for column, runs in columns.items():
        known = [statuses[row.run] for row in runs if row.run in statuses]
        if len(known) < len(runs) or planned[column] != counted.get(column):
            continue
        if any(status.state == "failed" and status.reason in reasons for status in known):
            continue
        kept += [status._replace(state="kept") if status.ok else status for status in known]
    return kept


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--counted", required=True, help="record of what was counted (units/counted/{unit}.json)")
    parser.add_argument("--reasons", nargs="*", default=[], help="reason codes to try again, or all")
    parser.add_argument("--status", required=True, help="the shard's final status table")
    parser.add_argument("--counts", required=True, help="counts of the shard")
    parser.add_argument("--options", default="", help="digest of options and reference; columns of others are not kept")
    parser.add_argument("--output", required=True, help="folder for status.tsv, failed.tsv and counts.h5ad")
    arguments = parser.parse_args(argv)
    reasons = REASONS if arguments.reasons == ["all"] else frozenset(arguments.reasons)
    counted = read_counted(arguments.counted)
    statuses = read_statuses(arguments.status) if Path(arguments.status).exists() else {}
    kept: list[RunStatus] = []
    if counted and counted.options == arguments.options and Path(arguments.counts).exists():
        kept = kept_statuses(read_unit(arguments.runs), counted.columns, statuses, reasons)
    failed = [status for status in statuses.values() if status.state == "failed" and status.reason in reasons]
    with atomic_folder(arguments.output) as folder:
        if any(status.state == "kept" for status in kept):
            shutil.copyfile(arguments.counts, folder / "counts.h5ad")
        write_statuses(folder / "status.tsv", kept)
        write_statuses(folder / "failed.tsv", failed)
