"""The plan told to a person: what will be counted, what it will cost, what is left out and why.

What it will cost is reckoned with the size model, see plan_cost.py: a unit of work (a plate shard or a droplet library)
holds its archives and its FASTQ at the height of its work.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from scripts.plan.cost import NODE_CORES, NODE_GB, Cost, Reckoner, cost_table
from scripts.plan.footprint import archive_bytes
from scripts.plan.run_table import Run
from scripts.plan.size_model import scratch_mb
from scripts.plan.units import cut_into_units, summarize_unit

_EXAMPLES = 3


def plan_table(
    rows: Sequence[Run],
    reckoner: Reckoner,
    open_runs: Collection[str] = (),
    remarks: Mapping[str, str] | None = None,
) -> str:
    """Return the table for a terminal.

    ``open_runs`` are those whose reads must decide what the records leave open; ``remarks`` maps run → what a person
    should look at, None: the details of the rows.
    """
    planned = [row for row in rows if row.status == "planned"]
    groups: dict[tuple[str, str, str], list[Run]] = {}
    figures: dict[tuple[str, str, str], list[float]] = {}  # bytes to download, peak scratch, core-hours
    for row in planned:
        groups.setdefault((row.series, row.species, row.assay), []).append(row)
    for name, runs in cut_into_units(planned, reckoner.shard_size).items():
        unit = summarize_unit(runs)
        told = figures.setdefault((runs[0].series, runs[0].species, runs[0].assay), [0.0, 0.0, 0.0])
        jobs = list(reckoner.unit_jobs(name, unit))
        told[0] += unit.bytes / 1e9
        told[1] = max(told[1], *(scratch_mb(*job) / 1000 for job in jobs))
        told[2] += sum(reckoner.core_hours(*job) for job in jobs)
    lines = [("series", "species", "assay", "experiments", "runs", "download GB", "scratch GB", "core-hours")]
    for key in sorted(groups):
        lines.append((*key, *_figures(groups[key], figures[key])))
    if len(groups) > 1:
        downloads, peaks, hours = zip(*figures.values(), strict=True)
        lines.append(("all", "", "", *_figures(planned, [sum(downloads), max(peaks), sum(hours)])))
    told = ["What will be counted:", *_aligned(lines)] if planned else ["Nothing will be counted."]
    if planned:
        told.append("(scratch: of the largest unit of work)")
    unknown = len({row.run for row in planned if not archive_bytes(row)})
    if unknown:
        told.append(f"(the records do not tell the size of {unknown:,} runs: they are not in these figures)")
    told += _left_out([row for row in rows if row.status != "planned"])
    told += _look({row.run: row.detail if remarks is None else remarks.get(row.run, "") for row in planned}, open_runs)
    return "\n".join(told)


def tell_costs(costs: Sequence[Cost], reckoner: Reckoner, limit_gb: float | None) -> str:
    """Return what a plan costs by stage, for a terminal, and by what model."""
    learnt = sum(stage.jobs for stage in reckoner.model.stages.values())
    model = f"learnt of {learnt:,} jobs done here" if learnt else "as shipped"
    told = ["What it will cost:", *cost_table(costs)]
    told.append(
        f"(the model of scripts/plan/size_model.py, {model}; a node of {NODE_CORES} cores and {NODE_GB:g} GB;"
        " scratch and memory: of the largest job)"
    )
    most = costs[-1].scratch_gb
    if limit_gb and most > limit_gb:
        told.append(f"(the largest unit needs {most:,.0f} GB of scratch; scratch.limit_gb is {limit_gb:g})")
    return "\n".join(told)


def _figures(group: Sequence[Run], figures: Sequence[float]) -> tuple[str, ...]:
    return (
        f"{len({row.experiment for row in group}):,}",
        f"{len({row.run for row in group}):,}",
        *(f"{value:,.1f}" for value in figures),
    )


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  "
        + "  ".join(
            text.ljust(width) if column < 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


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
    for remark, runs in list(noted.items())[:20]:
        lines.append(f"  {_some(runs)}: {remark}")
    if len(noted) > 20:
        lines.append(f"  … and {len(noted) - 20:,} more notes in the column detail of the plan")
    undecided = [run for run in remarks if run in open_runs]
    if undecided:
        lines.append(f"  {_some(undecided)}: the records leave the layout of the reads open; the reads will decide")
    return ["Needs a look:", *lines] if lines else []


def _some(runs: Iterable[str]) -> str:
    names = list(dict.fromkeys(runs))
    told = ", ".join(names[:_EXAMPLES])
    return f"{told} and {len(names) - _EXAMPLES:,} more runs" if len(names) > _EXAMPLES else told
