"""The plan as a person reads it: what will be counted, what it will cost, what is left out and why."""

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from scripts.core.progress import format_bytes
from scripts.core.tables import format_table
from scripts.core.workflow.endings import command_line
from scripts.plan.reasons import worth_retry
from scripts.plan.run_table import Run
from scripts.plan.sizes.cost import NODE_CORES, NODE_GB, Cost, Estimator
from scripts.plan.sizes.footprint import archive_bytes
from scripts.plan.sizes.forecast import Forecast
from scripts.plan.sizes.size_model import scratch_mb
from scripts.plan.units import Unit, is_shard

_EXAMPLES = 3  # runs that a remark names
_REMARKS = 20
_GROUPS = 60  # of runs, a line each


def format_plan(
    rows: Sequence[Run],
    units: Mapping[str, Unit],
    estimator: Estimator,
    open_runs: Collection[str] = (),
    remarks: Mapping[str, str] | None = None,
) -> str:
    """Return the summary of a plan and its ``units`` for a terminal.

    ``open_runs`` are those whose reads must decide what the records leave open; ``remarks`` maps run → what needs a
    look, None: the details of the rows.
    """
    planned = [row for row in rows if row.status == "planned"]
    lines = ["Nothing will be counted."]
    if planned:
        lines = ["What will be counted:", *_groups(planned, units, estimator), "(scratch: of the largest unit of work)"]
    unknown = len({row.run for row in planned if not archive_bytes(row)})
    if unknown:
        lines.append(f"(the records do not give the size of {unknown:,} runs, which are not in these figures)")
    lines += _left_out([row for row in rows if row.status != "planned"])
    lines += _look({row.run: row.detail if remarks is None else remarks.get(row.run, "") for row in planned}, open_runs)
    return "\n".join(lines)


def _groups(planned: Sequence[Run], units: Mapping[str, Unit], estimator: Estimator) -> list[str]:
    """Return a table of the planned runs by series, species and assay."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for row in planned:
        groups.setdefault((row.series, row.species, row.assay), []).append(row)
    figures = {key: [0.0, 0.0, 0.0] for key in groups}  # GB to download, peak GB of scratch, core-hours
    for name, unit in units.items():
        sums = figures[unit.series, unit.species, "plate" if is_shard(name) else "droplet"]
        jobs = list(estimator.unit_jobs(name, unit))
        sums[0] += unit.bytes / 1e9
        sums[1] = max(sums[1], *(scratch_mb(*job) / 1000 for job in jobs))
        sums[2] += sum(estimator.core_hours(*job) for job in jobs)
    lines = [("series", "species", "assay", "experiments", "runs", "download GB", "scratch GB", "core-hours")]
    lines += [(*key, *_figures(groups[key], figures[key])) for key in sorted(groups)[:_GROUPS]]
    if len(groups) > _GROUPS:
        lines.append((f"… and {len(groups) - _GROUPS:,} more", "", "", "", "", "", "", ""))
    if len(groups) > 1:
        downloads, peaks, hours = zip(*figures.values(), strict=True)
        lines.append(("all", "", "", *_figures(planned, [sum(downloads), max(peaks), sum(hours)])))
    return format_table(lines, left=3, indent="  ")


def _figures(group: Sequence[Run], figures: Sequence[float]) -> tuple[str, str, str, str, str]:
    experiments, runs = len({row.experiment for row in group}), len({row.run for row in group})
    downloads, peak, hours = (f"{value:,.1f}" for value in figures)
    return f"{experiments:,}", f"{runs:,}", downloads, peak, hours


def format_costs(costs: Sequence[Cost], estimator: Estimator, limit_gb: float | None) -> str:
    """Return what a plan costs by stage, and by which model, for a terminal."""
    refitted = sum(stage.jobs for stage in estimator.model.stages.values())
    model = f"fitted to {refitted:,} jobs done here" if refitted else "as shipped"
    lines: list[Sequence[str]] = [
        ("stage", "jobs", "download GB", "scratch GB", "memory GB", "core-hours", "node-hours")
    ]
    lines += [
        (
            cost.stage,
            f"{cost.jobs:,}",
            *(_short(value) for value in (cost.download_gb, cost.scratch_gb, cost.memory_gb)),
            *(_short(value) for value in (cost.core_hours, cost.node_hours)),
        )
        for cost in costs
    ]
    text = ["What it will cost:", *format_table(lines, indent="  ")]
    text.append(
        f"(the model of scripts/plan/sizes/size_model.py, {model}; a node of {NODE_CORES} cores and {NODE_GB:g} GB;"
        " scratch and memory: of the largest job)"
    )
    most = costs[-1].scratch_gb
    if limit_gb and most > limit_gb:
        text.append(f"(the largest unit needs {most:,.0f} GB of scratch; scratch.limit_gb is {limit_gb:g})")
    return "\n".join(text)


def format_forecast(found: Forecast) -> str:
    """Return what of a plan will fail, and what may, for a terminal; empty where nothing does."""
    lines = []
    for title, sentences in (("What will fail:", found.sure), ("What may fail:", found.likely)):
        lines += [title, *(f"  {sentence}" for sentence in sentences)] if sentences else []
    return "\n".join(lines)


def format_made(results: str | Path, shown: str | Path) -> str:
    """Return what is in a folder of results, a line a file or folder; ``shown`` is the folder as it is named."""
    lines = []
    for path in sorted(Path(results).iterdir()):
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        number = "1 file" if len(files) == 1 else f"{len(files):,} files"
        name = f"{path.name}/ ({number})" if path.is_dir() else path.name
        lines.append((name, format_bytes(sum(file.stat().st_size for file in files))))
    return "\n".join([f"What was made, in {shown}/:", *format_table(lines, indent="  ")])


def format_finished(rows: Iterable[Run]) -> str:
    """Return what came of the runs of a finished analysis, and why runs were left out."""
    rows = list(rows)
    found = Counter(row.status for row in rows)
    words = {"counted": "counted", "left_out": "left out", "failed": "failed"}
    numbers = ", ".join(f"{found[status]:,} {word}" for status, word in words.items() if found[status])
    reasons = sorted(Counter(row.reason for row in rows if row.status == "left_out").items())
    left_out = ", ".join(f"{reason} ({number:,})" for reason, number in reasons)
    first = f"Of {found.total():,} runs: {numbers or 'none'}."
    return "\n".join(
        [first, *(textwrap.wrap(f"Left out: {left_out}.", 79, subsequent_indent="  ") if left_out else [])]
    )


def format_failed(rows: Iterable[Run], ledger: str | Path) -> str:
    """Return the last words of a run with failed runs: their reasons, the first run of each, and what can be done."""
    failed: dict[str, list[Run]] = {}
    for row in rows:
        if row.status == "failed":
            failed.setdefault(row.reason, []).append(row)
    if not failed:
        return ""
    number = sum(map(len, failed.values()))
    lines = ["1 run failed:" if number == 1 else f"{number:,} runs failed:"]
    for reason, of_reason in sorted(failed.items()):
        first = of_reason[0]
        lines.append(f"  {reason} ({len(of_reason):,}): {first.run} ({first.series}): {first.detail}")
    lines.append(f"All are in {ledger}; docs/reasons.md says what can be done for each reason.")
    if again := worth_retry(failed):
        retry = f"retry=[{','.join(again)}]"
        lines[-1] += " To try them again:"
        lines.append(f"  {command_line(retry)}")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _left_out(rows: Sequence[Run]) -> list[str]:
    if not rows:
        return []
    lines = ["Left out:"]
    for reason, number in sorted(Counter(row.reason for row in rows).items()):
        first = next(row for row in rows if row.reason == reason)
        name = first.run or first.experiment or first.sample or first.series
        lines.append(f"  {reason} ({number:,}): {name}: {first.detail}")
    return lines


def _look(remarks: Mapping[str, str], open_runs: Collection[str]) -> list[str]:
    lines = []
    noted: dict[str, list[str]] = {}
    for run, remark in remarks.items():
        if remark:
            noted.setdefault(remark, []).append(run)
    for remark, runs in list(noted.items())[:_REMARKS]:
        lines.append(f"  {_some(runs)}: {remark}")
    if len(noted) > _REMARKS:
        lines.append(f"  … and {len(noted) - _REMARKS:,} more notes in the column detail of the plan")
    undecided = [run for run in remarks if run in open_runs]
    if undecided:
        lines.append(f"  {_some(undecided)}: the records leave the layout of the reads open; the reads will decide")
    return ["Needs a look:", *lines] if lines else []


def _some(runs: Iterable[str]) -> str:
    names = list(dict.fromkeys(runs))
    first = ", ".join(names[:_EXAMPLES])
    return f"{first} and {len(names) - _EXAMPLES:,} more runs" if len(names) > _EXAMPLES else first
