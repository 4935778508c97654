"""What a plan costs: jobs, hours, scratch and downloads by stage, estimated with the size model; and how it is shown.

A unit of work (a plate shard or a droplet library) holds its archives and its FASTQ at the height of its conversion.
"""

import argparse
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.core.files import write_atomic
from scripts.core.snakemake import Benchmark
from scripts.plan.footprint import archive_bytes
from scripts.plan.run_table import Run
from scripts.plan.size_model import (
    FILE,
    Job,
    SizeModel,
    memory_seen,
    read_model,
    reference_sizes,
    scratch_mb,
    unit_sizes,
)
from scripts.plan.units import Unit, cut_into_units, is_shard, summarize_unit

_EXAMPLES = 3  # runs that a note names
NODE_CORES, NODE_GB = 16, 64.0
"""The node by which hours are told: a job that takes all its cores, or all its memory, for an hour is a node-hour."""
# Threads of a stage's jobs, where nobody tells: as in profiles/slurm.
THREADS = {
    "download": 2, "fastq": 4, "star_index": 16, "align": 16, "count": 4, "solo": 16, "mex_archive": 2, "table": 2,
}  # fmt: skip
_PLATE = ("download", "fastq", "align", "count")
_DROPLET = ("download", "fastq", "read_roles", "solo", "mex_archive")
_REFERENCE = ("reference", "star_index", "count_index")
_RULES = {"counts_table": "table", "log_table": "table", "counts_h5ad": "table"}  # rule → stage, where they differ
COLUMNS = ("stage", "jobs", "download_gb", "scratch_gb", "memory_gb", "core_hours", "node_hours")


class Cost(NamedTuple):
    """What the jobs of a stage cost together; scratch and memory are those of the largest."""

    stage: str
    jobs: int
    download_gb: float
    scratch_gb: float
    memory_gb: float
    core_hours: float
    node_hours: float


class Estimator:
    """Knows what the jobs of an analysis need to be estimated: the model, the references and the threads."""

    def __init__(
        self,
        model: SizeModel,
        references: Mapping[str, Mapping[str, float]],
        species: Mapping[str, str],
        shard_size: int,
        threads: Mapping[str, int] | None = None,
    ) -> None:
        """``references`` is name → sizes, ``species`` label → reference, ``threads`` those of stages."""
        self.model = model
        self.references = references
        self.species = species
        self.shard_size = shard_size
        self.threads = {**THREADS, **(threads or {})}

    def sizes(self, stage: str, *known: Mapping[str, float]) -> dict[str, float]:
        """Return the sizes of a job of a stage."""
        sizes = {"threads": float(self.threads.get(stage, 1))}
        for more in known:
            sizes |= more
        return sizes

    def unit_jobs(self, name: str, unit: Unit) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield the jobs of a unit: stage and sizes."""
        reference = self.references[self.species[unit.species]]
        sizes = unit_sizes(unit)
        for stage in _PLATE if is_shard(name) else _DROPLET:
            yield stage, self.sizes(stage, sizes, reference)

    def jobs(self, units: Mapping[str, Unit], missing: Iterable[str] = ()) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield all jobs of a plan; ``missing`` names the references that are still to be made."""
        for name in missing:
            for stage in _REFERENCE:
                yield stage, self.sizes(stage, self.references[name])
        for name, unit in units.items():
            yield from self.unit_jobs(name, unit)
        for species in self.species:
            cells = self.cells_of(species, units)
            for _ in range(3 if cells else 0):
                yield "table", self.sizes("table", {"cells": cells})
        for _ in {(unit.series, unit.species) for name, unit in units.items() if not is_shard(name)}:
            yield "droplets_h5ad", self.sizes("droplets_h5ad")
        if units:
            yield "report", self.sizes("report")

    def cells_of(self, species: str, units: Mapping[str, Unit]) -> float:
        """Return how many plate cells of a species are planned, at most."""
        return float(self.shard_size * sum(unit.species == species and is_shard(name) for name, unit in units.items()))

    def core_hours(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return for how long a job keeps how many cores."""
        return self.model.minutes(stage, sizes) / 60 * sizes["threads"]

    def node_hours(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return for how long a job keeps which part of a node: that of its cores or of its memory, the larger."""
        memory = self.model.asked_mb(stage, sizes) / 1000
        return self.model.minutes(stage, sizes) / 60 * max(sizes["threads"] / NODE_CORES, memory / NODE_GB)

    def costs(self, units: Mapping[str, Unit], missing: Iterable[str] = ()) -> list[Cost]:
        """Return the cost of each stage in the order of the work, and the sum of all."""
        found: dict[str, list[float]] = {}
        for stage, sizes in self.jobs(units, missing):
            sums = found.setdefault(stage, [0, 0.0, 0.0, 0.0, 0.0, 0.0])
            sums[0] += 1
            sums[2] = max(sums[2], scratch_mb(stage, sizes) / 1000)
            sums[3] = max(sums[3], self.model.asked_mb(stage, sizes) / 1000)
            sums[4] += self.core_hours(stage, sizes)
            sums[5] += self.node_hours(stage, sizes)
        if "download" in found:
            found["download"][1] = sum(unit.bytes for unit in units.values()) / 1e9
        costs = [Cost(stage, int(found[stage][0]), *found[stage][1:]) for stage in self.model.stages if stage in found]
        whole = [sum(cost[place] for cost in costs) for place in (1, 2, 5, 6)]
        most = [max((cost[place] for cost in costs), default=0.0) for place in (3, 4)]
        return [*costs, Cost("all", int(whole[0]), whole[1], *most, *whole[2:])]


def jobs_done(
    benchmarks: Iterable[Benchmark], units: Mapping[str, Unit], estimator: Estimator
) -> tuple[list[Job], list[str]]:
    """Return the jobs of a plan of which there is a benchmark, and the names of benchmarks that are of no job of it."""
    experiments: dict[str, list[str]] = {}
    for name, unit in units.items():
        if not is_shard(name):
            for archive in (unit.experiment, f"{unit.experiment}.{unit.species}"):
                experiments.setdefault(archive, []).append(name)
    jobs, others = [], []
    for benchmark in benchmarks:
        stage = _RULES.get(benchmark.rule, benchmark.rule)
        if stage not in estimator.model.stages:
            continue
        known: Mapping[str, float] | None = {}
        if stage in (*_PLATE, *_DROPLET):
            names = experiments.get(benchmark.job, []) if stage == "mex_archive" else [benchmark.job]
            unit = units.get(names[0]) if names else None
            known = unit and {**unit_sizes(unit), **estimator.references[estimator.species[unit.species]]}
        elif stage in _REFERENCE:
            known = estimator.references.get(benchmark.job)
        elif stage == "table":
            known = {"cells": estimator.cells_of(benchmark.job, units)}
        if known is None:
            others.append(f"{benchmark.rule}/{benchmark.job}")
            continue
        memory = benchmark.memory_mb if memory_seen(benchmark.seconds) else None
        jobs.append(Job(stage, {**known, "threads": float(benchmark.threads)}, benchmark.seconds / 60, memory))
    return jobs, others


def cost_table(costs: Iterable[Cost]) -> list[str]:
    """Return the lines of a table for a person."""
    lines = [("stage", "jobs", "download GB", "scratch GB", "memory GB", "core-hours", "node-hours")]
    lines += [(cost.stage, f"{cost.jobs:,}", *map(_short, cost[2:])) for cost in costs]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    told = []
    for line in lines:
        figures = (text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))
        told.append("  ".join(["", line[0].ljust(widths[0]), *figures]))
    return told


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def write_costs(path: str | Path, costs: Iterable[Cost]) -> None:
    """Write costs as a table: a header line, tab-separated, three decimals."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join([cost.stage, str(cost.jobs), *(f"{value:.3f}" for value in cost[2:])]) for cost in costs]
    write_atomic(path, "\n".join(lines) + "\n")


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a command is told what the costs of a plan depend on beside the plan."""
    parser.add_argument("--references", nargs="+", metavar="SPECIES=NAME", help="the reference of each species")
    parser.add_argument("--resources", default="resources", help="folder of the references")
    parser.add_argument("--model", default=FILE, help="what was learnt of the size model, where there is such a file")
    parser.add_argument("--threads", nargs="+", metavar="STAGE=NUMBER", help="threads of the jobs of a stage")
    parser.add_argument("--limit-gb", type=float, help="what all live jobs together may hold on the scratch")


def estimator_of(
    options: argparse.Namespace, species: Mapping[str, str], shard_size: int
) -> tuple[Estimator, list[str]]:
    """Return what reckons the costs that parsed options ask for, and which references are still to be made.

    ``species`` is label → reference, where the options name none. Raises InputError for words that are no pairs.
    """
    species = {**species, **_pairs("--references", options.references)}
    folders = {name: Path(options.resources) / name for name in species.values()}
    threads = _pairs("--threads", options.threads)
    if wrong := [value for value in threads.values() if not value.isdecimal() or value == "0"]:
        raise InputError(f"--threads: {wrong[0]!r} is not a number of threads.")
    estimator = Estimator(
        read_model(options.model),
        {name: reference_sizes(folder) for name, folder in folders.items()},
        species,
        shard_size,
        {stage: int(value) for stage, value in threads.items()},
    )
    return estimator, [name for name, folder in folders.items() if not (folder / "star").exists()]


def _pairs(option: str, words: Iterable[str] | None) -> dict[str, str]:
    pairs = [word.partition("=") for word in words or ()]
    if wrong := ["".join(pair) for pair in pairs if not (pair[0] and pair[2])]:
        raise InputError(f"{option}: {wrong[0]!r} is not of the form NAME=VALUE.")
    return {name: value for name, _, value in pairs}


def plan_table(
    rows: Sequence[Run],
    estimator: Estimator,
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
    for name, runs in cut_into_units(planned, estimator.shard_size).items():
        unit = summarize_unit(runs)
        told = figures.setdefault((runs[0].series, runs[0].species, runs[0].assay), [0.0, 0.0, 0.0])
        jobs = list(estimator.unit_jobs(name, unit))
        told[0] += unit.bytes / 1e9
        told[1] = max(told[1], *(scratch_mb(*job) / 1000 for job in jobs))
        told[2] += sum(estimator.core_hours(*job) for job in jobs)
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


def format_costs(costs: Sequence[Cost], estimator: Estimator, limit_gb: float | None) -> str:
    """Return what a plan costs by stage, for a terminal, and by what model."""
    learnt = sum(stage.jobs for stage in estimator.model.stages.values())
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
