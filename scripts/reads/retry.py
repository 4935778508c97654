"""Set aside what a unit has counted, so that only its failed runs are tried again.

A run that failed for one of the reasons is tried again together with the other runs of its column. All other rows of
the unit's status table are kept, and the counts of counted columns with them. A droplet library is always tried again
as a whole. failed.tsv has the status of the failed runs: what an archive has lost is asked for elsewhere.
"""

import shutil
from collections.abc import Collection, Iterable, Sequence

from scripts.core.command import command_parser
from scripts.core.files import atomic_folder
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit


def kept_statuses(
    columns: Iterable[Sequence[Run]], statuses: dict[str, RunStatus], reasons: Collection[str]
) -> list[RunStatus]:
    """Return the rows that are not tried again; those of counted runs get the state ``kept``."""
    kept = []
    for runs in columns:
        known = [statuses[row.run] for row in runs if row.run in statuses]
        if len(known) < len(runs) or any(status.state == "failed" and status.reason in reasons for status in known):
            continue
        kept += [status._replace(state="kept") if status.ok else status for status in known]
    return kept


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--reasons", nargs="+", required=True, help="reason codes to try again, or all")
    parser.add_argument("--status", required=True, help="the unit's final status table")
    parser.add_argument("--counts", required=True, help="counts of the shard")
    parser.add_argument("--round", default="", help="what identifies this try, for a later call of the workflow")
    parser.add_argument(
        "--output", required=True, help="folder for what is kept: status.tsv, failed.tsv, counts.h5ad and round"
    )
    arguments = parser.parse_args(argv)
    reasons = REASONS if arguments.reasons == ["all"] else frozenset(arguments.reasons)
    columns = read_unit(arguments.runs).values()
    statuses = read_statuses(arguments.status)
    is_plate = all(row.assay == "plate" for rows in columns for row in rows)
    kept = kept_statuses(columns, statuses, reasons) if is_plate else []
    failed = [status for status in statuses.values() if status.state == "failed" and status.reason in reasons]
    with atomic_folder(arguments.output) as folder:
        if any(status.state == "kept" for status in kept):
            shutil.copyfile(arguments.counts, folder / "counts.h5ad")
        write_statuses(folder / "status.tsv", kept)
        write_statuses(folder / "failed.tsv", failed)
        (folder / "round").write_text(f"{arguments.round}\n", encoding="utf-8")
