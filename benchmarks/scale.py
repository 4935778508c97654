"""What the plan asks for, beside what is used, for every stage of the workflow on a world of real size.

    python -m benchmarks.scale [--quick] [--folder FOLDER] [--again] [--shard-size CELLS]

The world of benchmarks.inputs.real_world (made first, and kept) is counted by Snakemake itself, from .sra archives that
a server on loopback gives, to the results. Meanwhile benchmarks.inputs.job_sampler looks at every job: the memory
of its process tree, and what its unit has in the scratch folder. Printed is by stage, of all its jobs, what was asked
over what was used: from the job with least to that with most to spare. Beside what is asked stands what the
model expects, since every job is given 30 minutes more, and memory has a least amount: "floor" counts the jobs of which
that is the larger part. Then: what the model says of the human and the mouse genome, beside what is published of STAR;
and by which factor the model is off, once refitted to half of the jobs (`plan --learn`), for the other half. --folder
keeps the analysis, whose measurements --again compares with the model as it is now.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.inputs.job_sampler import JobSampler
from benchmarks.inputs.measure import HOME, python
from benchmarks.inputs.process_tree import sampling
from benchmarks.inputs.real_world import FULL, LIST, QUICK, World, make_world, served_world
from scripts.core.workflow.snakemake import read_benchmarks
from scripts.plan.run_table import read_runs
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.learning import Job, errors_of, jobs_done
from scripts.plan.sizes.size_model import (
    LEAST_MB,
    LEAST_MINUTES,
    STAGE_OF_RULE,
    SizeModel,
    expected_index_mb,
    expected_kjunctions,
    read_model,
    reference_sizes,
    scratch_mb,
)
from scripts.plan.units import Cut, Unit, read_seats, summarize_units

_MEASURED = "measured.json"
_UNIT = "unit (limit_gb)"
"""The row of what units hold in the scratch folder from their download to their counts."""

# Bases of GRCh38.primary_assembly and GRCm38.primary_assembly; MB of their FASTA with a line end every 60.
GENOMES = {"hg38": 3_099_750_718, "mm10": 2_730_871_774}
# GB of memory that are published, or follow from published sizes (alexdobin/STAR, issue 569: 3,138,387,968 bases with
# their padding and 5,891,698,134 suffixes of GRCh38) and from how STAR holds them (scripts/plan/sizes/size_model.py).
PUBLISHED = {
    "star_index hg38": (31.0, 38.5, "STAR's default limit is 31 GB, its arrays add up to 38.5 GB"),
    "align hg38": (30.0, 32.0, "Dobin and Gingeras 2015: about 30 GB, 32 GB recommended"),
    "align mm10": (27.0, 30.0, "index of 27 GB, 0.15 GB a thread and 1 GB: alexdobin/STAR, issue 1063"),
}


class Measured(NamedTuple):
    """A job: what it was asked (None: nothing of its own), what it used; MB, minutes."""

    rule: str
    job: str
    threads: int
    asked_mb: float | None
    asked_minutes: float | None
    asked_scratch_mb: float | None
    memory_mb: float
    minutes: float
    scratch_mb: float


def configuration(world: World, resolver: str, shard_size: int) -> dict[str, Any]:
    """Return the configuration of the analysis."""
    return {
        "run_table": str(world.run_table),
        "species": {"homo": {"tax_id": 9606, "reference": "real"}},
        "references": {"real": {"fasta": str(world.genome), "gtf": str(world.annotation)}},
        "plates": {"shard_size": shard_size},
        "droplets": {"inclusion_lists": {LIST: str(world.inclusion_list)}},
        "archives": {"sra": resolver, "order": ["sra"]},
    }


def run(world: World, folder: Path, shard_size: int, interval: float, cores: int) -> dict[str, Any]:
    """Run the workflow in a folder, and write what its jobs used; return that."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with served_world(world) as resolver:
        settings = configuration(world, resolver, shard_size)
        (folder / "config" / "config.yaml").write_text(yaml.safe_dump(settings))
        command = python("-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), "--directory", str(folder))
        with (folder / "snakemake.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--cores", str(cores)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(HOME)},
            )
            sampler = JobSampler(process.pid, folder)
            with sampling(interval, sampler.sample):
                status = process.wait()
    if status:
        sys.exit(f"{folder / 'snakemake.log'}: exit status {status}\n" + _end_of(folder / "snakemake.log"))
    measured = {
        "seconds": round(time.monotonic() - started, 1),
        "samples": sampler.samples,
        "cores": cores,
        "jobs": [
            [rule, job, round(use.memory_mb, 1), round(use.last - use.first, 2), round(use.scratch_mb, 3)]
            for (rule, job), use in sorted(sampler.uses.items())
        ],
    }
    (folder / _MEASURED).write_text(json.dumps(measured, indent=1) + "\n")
    return measured


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def asked_of(folder: Path) -> dict[tuple[str, str], tuple[int, Mapping[str, float]]]:
    """Return (rule, job) → threads and resources of every job, as Snakemake's own log gives them."""
    found: dict[tuple[str, str], tuple[int, Mapping[str, float]]] = {}
    name, threads = ("", ""), 1
    logs = sorted((folder / ".snakemake" / "log").glob("*.log"))
    for line in "\n".join(path.read_text(errors="replace") for path in logs).splitlines():
        word, _, value = line.strip().partition(": ")
        if word == "log":
            path = Path(value.partition(" (")[0])
            name, threads = (path.parent.name, path.stem), 1
        elif word == "threads":
            threads = int(value)
        elif word == "resources":
            pairs = (part.partition("=") for part in value.split(", "))
            found[name] = threads, {key: float(number) for key, _, number in pairs if number.isdecimal()}
    return found


def jobs_of(folder: Path, measured: Mapping[str, Any]) -> list[Measured]:
    """Return what every job was asked and used; the default of profiles/slurm for rules that ask for nothing."""
    asked = asked_of(folder)
    walls = {(one.rule, one.job): one.seconds for one in read_benchmarks(folder / "logs" / "benchmarks")}
    default = yaml.safe_load((HOME / "profiles" / "slurm" / "config.yaml").read_text())["default-resources"]
    jobs = []
    for rule, job, memory, seconds, scratch in measured["jobs"]:
        threads, resources = asked.get((rule, job), (1, {}))
        wall = walls.get((rule, job), seconds)
        jobs.append(
            Measured(
                rule,
                job,
                threads,
                resources.get("mem_mb", default["mem_mb"]),
                resources.get("runtime", default["runtime"]),
                resources.get("scratch_mb"),
                memory,
                max(wall, seconds) / 60,
                scratch,
            )
        )
    return jobs


class Row(NamedTuple):
    """A stage: ratios are asked / used over its jobs, from the smallest to the largest."""

    stage: str
    jobs: int
    asked_mb: float
    used_mb: float
    memory: tuple[float, float]
    memory_floor: int
    asked_minutes: float
    expected_minutes: float
    used_minutes: float
    time: tuple[float, float]
    expected: tuple[float, float]
    time_floor: int
    asked_scratch_mb: float
    used_scratch_mb: float
    scratch: tuple[float, float]


def table(jobs: Sequence[Measured], estimator: Estimator, units: Mapping[str, Unit], again: bool) -> list[Row]:
    """Return a row a stage in the order of the work; amounts are those of the job that used most memory, and so on."""
    stages: dict[str, list[Measured]] = {}
    for job in jobs:
        stages.setdefault(job.rule, []).append(job)
    order = [*estimator.model.stages]
    rows = []
    for rule in sorted(stages, key=lambda name: (_place(name, order), name)):
        rows.append(_row(rule, [_with_expected(job, estimator, units, again) for job in stages[rule]]))
    rows.append(_unit_row(jobs, units))
    return rows


def _place(rule: str, order: Sequence[str]) -> int:
    stage = STAGE_OF_RULE.get(rule, rule)
    return order.index(stage) if stage in order else len(order)


def _with_expected(
    job: Measured, estimator: Estimator, units: Mapping[str, Unit], again: bool
) -> tuple[Measured, float | None, float | None]:
    """Return a job, and the minutes and MB that the model expects, None where it has no such stage."""
    stage = STAGE_OF_RULE.get(job.rule, job.rule)
    found = sizes_of(job, stage, estimator, units)
    if found is None:
        return job, None, None
    model = estimator.model
    if again:
        held = scratch_mb(stage, found)
        job = job._replace(
            asked_mb=model.asked_mb(stage, found),
            asked_minutes=model.asked_minutes(stage, found),
            asked_scratch_mb=model.asked_scratch_mb(stage, found) if held else None,
        )
    return job, model.minutes(stage, found), model.memory_mb(stage, found)


def sizes_of(job: Measured, stage: str, estimator: Estimator, units: Mapping[str, Unit]) -> Mapping[str, float] | None:
    """Return the sizes of a job of the model's stages."""
    if stage not in estimator.model.stages:
        return None
    from scripts.core.workflow.snakemake import Benchmark

    made, _ = jobs_done([Benchmark(job.rule, job.job, 1.0, None, job.threads)], units, estimator)
    return made[0].sizes if made else None


def _range(ratios: Iterable[float]) -> tuple[float, float]:
    found = [ratio for ratio in ratios if math.isfinite(ratio)]
    return (min(found), max(found)) if found else (math.nan, math.nan)


def _over(asked: float | None, used: float) -> float:
    return asked / used if asked is not None and used else math.nan


def _row(rule: str, found: Sequence[tuple[Measured, float | None, float | None]]) -> Row:
    jobs = [job for job, _, _ in found]
    largest = max(jobs, key=lambda job: job.memory_mb)
    longest, expected, _ = max(found, key=lambda one: one[0].minutes)
    fullest = max(jobs, key=lambda job: job.scratch_mb)
    return Row(
        rule,
        len(jobs),
        largest.asked_mb or math.nan,
        largest.memory_mb,
        _range(_over(job.asked_mb, job.memory_mb) for job in jobs),
        sum(job.asked_mb == LEAST_MB for job in jobs),
        longest.asked_minutes or math.nan,
        math.nan if expected is None else expected,
        longest.minutes,
        _range(_over(job.asked_minutes, job.minutes) for job in jobs),
        _range(_over(minutes, job.minutes) for job, minutes, _ in found),
        sum((job.asked_minutes or 0) < 2 * LEAST_MINUTES for job in jobs),
        fullest.asked_scratch_mb or math.nan,
        fullest.scratch_mb if fullest.asked_scratch_mb else math.nan,
        _range(_over(job.asked_scratch_mb, job.scratch_mb) for job in jobs),
    )


def _unit_row(jobs: Iterable[Measured], units: Mapping[str, Unit]) -> Row:
    """Return the row of what units hold from their download to their counts."""
    used: dict[str, float] = {}
    for job in jobs:
        if job.job in units:
            used[job.job] = max(used.get(job.job, 0.0), job.scratch_mb)
    fullest = max(used, key=lambda name: used[name])
    none = (math.nan,) * 2
    ratios = _range(_over(units[name].peak / 1e6, most) for name, most in used.items())
    asked = units[fullest].peak / 1e6
    return Row(
        _UNIT, len(used), math.nan, math.nan, none, 0, math.nan, math.nan, math.nan, none, none, 0,
        asked, used[fullest], ratios,
    )  # fmt: skip


def print_table(rows: Sequence[Row]) -> None:
    print(f"{'':17}{'':>5}  {'memory, MB':^32}  {'minutes':^46}  {'scratch, MB':^28}")
    heads = ("asked", "used", "asked/used", "floor", "asked", "expect", "used", "asked/used", "exp/used", "floor")
    widths = (8, 8, 11, 6, 6, 8, 8, 12, 11, 6)
    print(f"{'stage':17}{'jobs':>5}", *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)), end="")
    print(f"{'asked':>9}{'used':>9}{'asked/used':>12}")
    for row in rows:
        cells = [
            _number(row.asked_mb), _number(row.used_mb), _span(row.memory), _count(row.memory_floor),
            _number(row.asked_minutes), _number(row.expected_minutes, 2), _number(row.used_minutes, 2),
            _span(row.time), _span(row.expected), _count(row.time_floor),
        ]  # fmt: skip
        print(
            f"{row.stage:17}{row.jobs:>5}",
            *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)),
            end="",
        )
        print(f"{_number(row.asked_scratch_mb):>9}{_number(row.used_scratch_mb):>9}{_span(row.scratch):>12}")


def _number(value: float, digits: int = 0) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _count(value: int) -> str:
    return str(value) if value else ""


def _span(ratios: tuple[float, float]) -> str:
    if math.isnan(ratios[0]):
        return "–"
    texts = [f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}" for ratio in ratios]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]}–{texts[1]}"


def known_genomes(model: SizeModel, threads: int = 16) -> dict[str, dict[str, float]]:
    """Return genome → what the model says of it: GB, and what is published."""
    found = {}
    for name, bases in GENOMES.items():
        genome = bases * 61 / 60 / 1e6
        sizes = {"genome_mb": genome, "index_mb": expected_index_mb(genome), "threads": float(threads)}
        sizes |= {"kjunctions": expected_kjunctions(genome), "runs": 96.0, "mspots": 100.0}
        found[name] = {
            "genome_mb": round(genome),
            "index_gb": round(sizes["index_mb"] / 1000, 1),
            **{
                f"{stage}_gb": round(model.memory_mb(stage, sizes) / 1000, 1)
                for stage in ("star_index", "align", "solo")
            },
            **{
                f"{stage}_asked_gb": round(model.asked_mb(stage, sizes) / 1000, 1)
                for stage in ("star_index", "align", "solo")
            },
            "star_index_minutes": round(model.minutes("star_index", sizes), 1),
        }
    return found


def learnt_factors(folder: Path, estimator: Estimator, units: Mapping[str, Unit]) -> dict[str, dict[str, Any]]:
    """Refit the model to every second job of a stage (``plan --learn``); return how far it is off for the others.

    Stage → jobs that were learnt from and predicted, and the factor (geometric mean) of time and memory before and
    after. Downloads are left out: loopback is no network, and they took a second or two.
    """
    half = folder / "half"
    shutil.rmtree(half, ignore_errors=True)
    learnt: dict[str, int] = {}
    for rule in sorted((folder / "logs" / "benchmarks").iterdir()):
        (half / rule.name).mkdir(parents=True)
        for path in sorted(rule.glob("*.tsv"))[::2]:
            shutil.copy(path, half / rule.name)
            stage = STAGE_OF_RULE.get(rule.name, rule.name)
            learnt[stage] = learnt.get(stage, 0) + 1
    words = ["-m", "scripts", "plan", "--learn", str(half), "--model", "half.json", "--output", "half.tsv"]
    (folder / "half.json").unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    subprocess.run(python(*words), cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment)
    others = [
        one
        for one in read_benchmarks(folder / "logs" / "benchmarks")
        if not (half / one.rule / f"{one.job}.tsv").exists()
    ]
    jobs = [job for job in jobs_done(others, units, estimator)[0] if job.stage != "download"]
    before, after = errors_of(estimator.model, jobs), errors_of(read_model(folder / "half.json"), jobs)
    return {
        stage: {
            "learnt": learnt.get(stage, sum(learnt.values())),
            "predicted": sum(stage in (job.stage, "all") for job in jobs),
            **{
                f"{kind}_{when}": round(factors[kind][stage], 2) if stage in factors[kind] else None
                for kind in ("minutes", "memory_mb")
                for when, factors in (("before", before), ("after", after))
            },
        }
        for stage in [*estimator.model.stages, "all"]
        if stage in before["minutes"]
    }


def single_jobs(jobs: Iterable[Job]) -> list[str]:
    """Return the stages that have one job, which cannot be both learnt from and predicted."""
    stages = [job.stage for job in jobs]
    return sorted({stage for stage in stages if stages.count(stage) == 1})


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the table as values; what is not a number is left out."""
    return {
        row.stage: {
            name: [round(part, 3) for part in value] if isinstance(value, tuple) else round(value, 3)
            for name, value in row._asdict().items()
            if name != "stage" and not any(map(math.isnan, value if isinstance(value, tuple) else (value,)))
        }
        for row in rows
    }


def report(folder: Path, shard_size: int, again: bool, quick: bool) -> dict[str, Any]:
    """Print the tables of an analysis that was measured; return their figures."""
    measured = json.loads((folder / _MEASURED).read_text())
    plan = read_runs(folder / "results" / "plan.tsv")
    units = summarize_units(plan, Cut(shard_size), seats=read_seats(folder / "units" / "seats.tsv"))
    model = SizeModel()
    estimator = Estimator(model, {"real": reference_sizes(folder / "resources" / "real")}, {"homo": "real"}, shard_size)
    jobs = jobs_of(folder, measured)
    rows = table(jobs, estimator, units, again)
    sizes = estimator.references["real"]
    print(f"{len(jobs)} jobs in {measured['seconds'] / 60:.1f} minutes on {measured['cores']} cores; ", end="")
    print(f"genome of {sizes['genome_mb']:,.0f} MB, index of {sizes['index_mb']:,.0f} MB\n")
    print_table(rows)
    genomes = known_genomes(model)
    print("\nThe model, at 16 threads (GB):   index on disk   star_index   align   solo   star_index, minutes")
    for name, found in genomes.items():
        print(
            f"{name:33}{found['index_gb']:>13}{found['star_index_gb']:>13}{found['align_gb']:>8}{found['solo_gb']:>7}"
            f"{found['star_index_minutes']:>14}"
        )
    for name, (least, most, source) in PUBLISHED.items():
        print(f"published, {name}: {least:g} to {most:g} GB ({source})")
    factors = learnt_factors(folder, estimator, units)
    print("\nRefitted to every second job; off for the others by a factor of, on average:")
    print(f"{'stage':17}{'learnt':>8}{'others':>8}{'time before':>13}{'after':>7}{'memory before':>15}{'after':>7}")
    for stage, one in factors.items():
        cells = [one[f"{kind}_{when}"] for kind in ("minutes", "memory_mb") for when in ("before", "after")]
        texts = [f"{cell:.2f}" if cell is not None else "–" for cell in cells]
        print(
            f"{stage:17}{one['learnt']:>8}{one['predicted']:>8}{texts[0]:>13}{texts[1]:>7}{texts[2]:>15}{texts[3]:>7}"
        )
    known, _ = jobs_done(read_benchmarks(folder / "logs" / "benchmarks"), units, estimator)
    if single := single_jobs(known):
        print(f"one job each, so nothing to predict: {', '.join(single)}")
    beyond = [row for row in rows if not math.isnan(row.memory[0])]
    return {
        "benchmark": "scale",
        "quick": quick,
        "seconds": measured["seconds"],
        "cores": measured["cores"],
        "least_memory_ratio": round(min(row.memory[0] for row in beyond), 2),
        "median_memory_ratio": round(statistics.median(row.memory[0] for row in beyond), 2),
        "least_scratch_ratio": round(min(row.scratch[0] for row in rows if not math.isnan(row.scratch[0])), 2),
        "learnt_time_factor": factors["all"]["minutes_after"],
        "learnt_memory_factor": factors["all"]["memory_mb_after"],
        "genomes": genomes,
        "learnt": factors,
        "stages": _figures(rows),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small world, within a minute")
    parser.add_argument("--folder", type=Path, help="run the analysis here, and leave it")
    parser.add_argument("--world", type=Path, help="folder of the world (made there, if it is not)")
    parser.add_argument("--again", action="store_true", help="compare what was measured in --folder with the model now")
    parser.add_argument("--shard-size", type=int, help="cells a shard (32; with --quick 8)")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores of the workflow")
    options = parser.parse_args(argv)
    shard_size = options.shard_size or (8 if options.quick else 32)
    with tempfile.TemporaryDirectory(prefix="benchmark-scale.") as temporary:
        folder = (options.folder or Path(temporary, "analysis")).absolute()
        if not options.again:
            world = make_world(options.world, QUICK if options.quick else FULL)
            run(world, folder, shard_size, 0.05 if options.quick else 0.25, options.cores)
        print(json.dumps(report(folder, shard_size, options.again, options.quick)))


if __name__ == "__main__":
    main()
