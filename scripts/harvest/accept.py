"""Accept the ledger, or stop where too many runs of a series failed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.workflow.endings import command_line
from scripts.plan.reasons import REASONS, worth_retry
from scripts.plan.run_table import Run, read_runs

MOST_LINES = 50
"""Faults of the runs of a series that are named one by one; runs that failed alike are one."""
_NAMED = 3  # runs of a line


def faults_of_series(rows: Iterable[Run], max_failed: float) -> list[str]:
    """Return, for each series in which the failed share of the runs worked on is above ``max_failed``, what failed."""
    series: dict[str, list[Run]] = {}
    for row in rows:
        if row.status in ("counted", "failed"):
            series.setdefault(row.series, []).append(row)
    faults = []
    for name, worked_on in sorted(series.items()):
        failed = [row for row in worked_on if row.status == "failed"]
        share = len(failed) / len(worked_on)
        if share <= max_failed:
            continue
        lines = [
            f"{name}: {len(failed)} of {len(worked_on)} runs failed ({share:.1%}; max_failed is {max_failed:.1%}):"
        ]
        alike: dict[tuple[str, str], list[str]] = {}
        for row in failed:
            alike.setdefault((row.reason, row.detail), []).append(f"{row.run} ({row.species})")
        for (reason, detail), names in list(alike.items())[:MOST_LINES]:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            lines.append(f"  {', '.join(names[:_NAMED])}{more} {reason}: {detail}")
        others = Counter({reason: 0 for reason, _ in alike})
        for (reason, _), names in list(alike.items())[MOST_LINES:]:
            others[reason] += len(names)
        if len(alike) > MOST_LINES:
            rest = ", ".join(f"{count:,} {reason}" for reason, count in sorted(others.items()) if count)
            lines.append(f"  and {others.total():,} more (see the ledger): {rest}")
        faults.append("\n".join(lines))
    return faults


def advice(rows: Iterable[Run]) -> str:
    """Return what a person can do about failed runs, with their reason codes filled in."""
    reasons = {row.reason for row in rows if row.status == "failed" and row.reason}
    again = worth_retry(reasons)
    retry = f"retry=[{','.join(again)}]"
    words = [f"  try them again:      {command_line(retry)}"] if again else []
    known = [REASONS[reason] for reason in reasons & REASONS.keys()]
    if any(reason.put_right for reason in known):
        words += [
            "  put it right:        what the sentences name, in configuration or run table; then call the same again"
        ]
    if bounds := sorted({reason.bound for reason in known if reason.bound}):
        words += [f"  count them anyway:   change {' or '.join(bounds)} in the configuration; nothing is aligned again"]
    return "\n".join(
        [
            "What can be done:",
            *words,
            "  go on without them:  raise max_failed in the configuration; they stay in the ledger with their reason",
            "  leave them out:      leave_out: {accession: reason} in the configuration; they then count no more",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--max-failed", type=float, required=True, help="greatest failed share of a series, 0 to 1")
    parser.add_argument("--output", required=True, help="file to write where the ledger is accepted")
    options = parser.parse_args(argv)
    if not 0 <= options.max_failed <= 1:
        raise InputError(f"max_failed: {options.max_failed} is not a share; give a number from 0 to 1, e.g. 0.05.")
    rows = read_runs(options.ledger)
    faults = faults_of_series(rows, options.max_failed)
    if faults:
        raise InputError("\n".join(["Too many runs failed, so no tables are made.", *faults, advice(rows)]))
    counts = Counter(row.status for row in rows)
    text = "".join(f"{status}\t{count}\n" for status, count in sorted(counts.items()))
    Path(options.output).write_text(text, encoding="utf-8")
