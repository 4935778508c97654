"""Planning large data sets: seconds and memory of `snakemake -n`, beside a workflow with a job for each cell and step.

    python -m benchmarks.plan_scale [--quick | --series NUMBER]

Run tables are made from a seed: plate cells of 180 series (of 3,600 for a million), and droplet libraries. Two peers
are written here, as plain as can be: a workflow of four rules a cell (download, fastq, align, count) and one harvest;
and one of as many jobs and files as the droplet libraries have here, without functions, params or units, which is
what Snakemake itself takes. Each dry run is a process of its own, `snakemake -n --quiet rules`, which prints the
table of jobs; --quick plans fewer cells and leaves the largest plan out. What Snakemake itself takes to run a job is
measured with jobs that do nothing but touch their output, a job for each cell and step beside a job for each shard
and step. --series measures something else alone: a plan of so many series of one cell each, its table (`resolve`) and
the first of the calls with `--batch` that share its jobs out, as the workflow asks for them.
"""

import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.inputs.measure import HOME, Cost, in_child, python, run_measured
from scripts.core.command import command_parser
from scripts.plan.run_table import Run, write_runs
from scripts.plan.sizes.forecast import UNITS_A_BATCH

SEED = 9
SHARD_SIZE = 96
# A job for each part and step; a part is a cell, or a shard.
PEER = """
PARTS = [f"part{number:08d}" for number in range(config["parts"])]

rule all:
    input: "harvest.csv"

rule download:
    output: temp("sra/{part}.sra")
    shell: "touch {output}"

rule fastq:
    input: "sra/{part}.sra"
    output: temp("fastq/{part}.fastq")
    shell: "touch {output}"

rule align:
    input: "fastq/{part}.fastq"
    output: temp("bam/{part}.bam")
    shell: "touch {output}"

rule count:
    input: "bam/{part}.bam"
    output: "counts/{part}.txt"
    shell: "touch {output}"

rule harvest:
    input: expand("counts/{part}.txt", part=PARTS)
    output: "harvest.csv"
    shell: "touch {output}"
"""

# The jobs and files of droplet libraries, and of what is made of all of them together.
PLAIN = """
PARTS = [f"part{number:08d}" for number in range(config["parts"])]
ARCHIVES = expand("archives/{part}.tsv", part=PARTS)

rule all:
    input: "sums", ARCHIVES

rule runs:
    output: directory("runs")
    shell: "mkdir {output}"

rule reference:
    output: "index", "kmers.1", "kmers.2"
    shell: "touch {output}"

rule download:
    input: "runs", "index"
    output: temp(directory("download/{part}"))
    log: "logs/download/{part}.log"
    benchmark: "logs/benchmarks/download/{part}.tsv"
    resources: mem_mb=1000, runtime=60, scratch_mb=1000
    shell: "touch {output}"

rule fastq:
    input: "runs", "download/{part}", "kmers.1", "kmers.2"
    output: temp(directory("fastq/{part}"))
    log: "logs/fastq/{part}.log"
    benchmark: "logs/benchmarks/fastq/{part}.tsv"
    resources: mem_mb=1000, runtime=60, scratch_mb=1000
    shell: "touch {output}"

rule roles:
    input: "runs", "fastq/{part}"
    output: "roles/{part}.json"
    log: "logs/roles/{part}.log"
    benchmark: "logs/benchmarks/roles/{part}.tsv"
    resources: mem_mb=1000, runtime=60
    shell: "touch {output}"

rule solo:
    input: "runs", "fastq/{part}", "roles/{part}.json", "index"
    output: directory("solo/{part}"), "figures/{part}.json"
    log: "logs/solo/{part}.log"
    benchmark: "logs/benchmarks/solo/{part}.tsv"
    resources: mem_mb=1000, runtime=60, scratch_mb=1000
    shell: "touch {output}"

rule cells:
    input: "solo/{part}", "figures/{part}.json"
    output: directory("cells/{part}"), "status/{part}.tsv"
    log: "logs/cells/{part}.log"
    benchmark: "logs/benchmarks/cells/{part}.tsv"
    resources: mem_mb=1000, runtime=60
    shell: "touch {output}"

rule archive:
    input: "runs", "solo/{part}", "cells/{part}", "status/{part}.tsv"
    output: "archives/{part}.tsv"
    log: "logs/archive/{part}.log"
    benchmark: "logs/benchmarks/archive/{part}.tsv"
    resources: mem_mb=1000, runtime=60
    shell: "touch {output}"

rule ledger:
    input: expand("status/{part}.tsv", part=PARTS)
    output: "ledger"
    shell: "touch {output}"

rule provenance:
    input: "ledger", ARCHIVES
    output: "provenance"
    shell: "touch {output}"

rule report:
    input: "provenance", ARCHIVES
    output: "report"
    shell: "touch {output}"

rule sums:
    input: "report", ARCHIVES
    output: "sums"
    shell: "touch {output}"
"""


class Plan(NamedTuple):
    """A data set to plan: its plate cells, their series, and droplet libraries."""

    cells: int
    series: int
    libraries: int = 0


def plan_rows(plan: Plan) -> Iterator[Run]:
    """Yield the rows of a run table, as the look-up would write them."""
    dice = random.Random(SEED)
    for number in range(plan.cells + plan.libraries):
        droplet = number >= plan.cells
        spots = dice.randrange(10**8, 4 * 10**8) if droplet else dice.randrange(10**5, 2 * 10**6)
        series = number % plan.series
        yield Run(
            series=f"GSE{100000 + series}",
            exp_id=f"GSE{100000 + series}",
            sample=f"GSM{number:08d}",
            experiment=f"SRX{number:08d}",
            run=f"SRR{number:08d}",
            species="mus" if series % 3 else "homo",
            assay="droplet" if droplet else "plate",
            layout="paired",
            spots=str(spots),
            bases=str(150 * spots),
            bytes=str(60 * spots),
            md5=f"{dice.getrandbits(128):032x}",
            source="sra",
            status="planned",
        )


def write_analysis(folder: Path, plan: Plan) -> None:
    """Lay out an analysis directory whose run table is this plan."""
    (folder / "config").mkdir(parents=True)
    write_runs(folder / "runs.tsv", plan_rows(plan))
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"run_table": "runs.tsv"}), encoding="utf-8")


def dry_run(folder: Path, snakefile: Path, *options: str) -> tuple[Cost, int]:
    """Return what a dry run costs, and how many jobs it plans."""
    reported = folder / "reported.txt"
    command = ["-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder), "-n", *options]
    cost = run_measured(python(*command, "--quiet", "rules"), reported)
    lines = reported.read_text(encoding="utf-8").splitlines()
    return cost, next(int(line.split()[1]) for line in lines if line.startswith("total"))


def measure_ours(place: Path, plan: Plan, repeats: int) -> dict[str, float]:
    """Return CPU seconds, peak memory and jobs of planning with this workflow, see :func:`dry_run`."""
    folder = place / f"ours.{plan.cells}.{plan.libraries}"
    if not folder.exists():
        in_child(write_analysis, folder, plan)
    runs = [dry_run(folder, HOME / "Snakefile") for _ in range(repeats)]
    return {
        "cpu_s": statistics.median(cost.cpu for cost, _ in runs),
        "peak_mb": statistics.median(cost.peak_mb for cost, _ in runs),
        "jobs": runs[0][1],
    }


def measure_series(place: Path, number: int) -> dict[str, dict[str, float]]:
    """Return CPU seconds and peak memory of planning series of one cell each: the table, and one call of the jobs."""
    folder = place / f"series.{number}"
    in_child(write_analysis, folder, Plan(number, number))
    table = ["resolve", "--run-table", str(folder / "runs.tsv"), "--species", "homo=9606", "mus=10090"]
    outputs = {"--output": "plan.tsv", "--units": "units", "--index": "units.tsv"}
    written = [word for option, name in outputs.items() for word in (option, str(folder / name))]
    resolve = run_measured(python("-m", "scripts", *table, *written), folder / "said.txt")
    calls = max(1, math.ceil(number / UNITS_A_BATCH))
    batch = ["--batch", f"ledger=1/{calls}"] if calls > 1 else []
    cost, jobs = dry_run(folder, HOME / "Snakefile", *batch)
    return {
        "resolve": {"cpu_s": resolve.cpu, "peak_mb": resolve.peak_mb, "series": number},
        "first_call": {"cpu_s": cost.cpu, "peak_mb": cost.peak_mb, "jobs": jobs, "calls": calls},
    }


def measure_peer(place: Path, rules: str, parts: int) -> dict[str, float]:
    """Return CPU seconds, peak memory and jobs of planning a workflow of these rules for so many parts."""
    folder = Path(tempfile.mkdtemp(dir=place))
    snakefile = folder / "Snakefile"
    snakefile.write_text(rules, encoding="utf-8")
    cost, jobs = dry_run(folder, snakefile, "--config", f"parts={parts}")
    return {"cpu_s": cost.cpu, "peak_mb": cost.peak_mb, "jobs": jobs}


def measure_run(place: Path, parts: int) -> dict[str, float]:
    """Return CPU and wall seconds, and jobs, of a run of jobs that do nothing, four for each part and one harvest."""
    folder = place / f"run.{parts}"
    folder.mkdir()
    (folder / "Snakefile").write_text(PEER, encoding="utf-8")
    command = ["-m", "snakemake", "--snakefile", str(folder / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", "2", "--scheduler", "greedy", "--quiet", "--config", f"parts={parts}"]
    started = time.monotonic()
    cost = run_measured(python(*command))
    return {"cpu_s": cost.cpu, "wall_s": time.monotonic() - started, "jobs": 4 * parts + 2}


def report_series(number: int) -> None:
    """Print what planning so many series of one cell each costs."""
    with tempfile.TemporaryDirectory() as place:
        found = measure_series(Path(place), number)
    table, call = found["resolve"], found["first_call"]
    title = f"{number:,} series of one cell each"
    print(f"{title:<44}{'CPU s':>9}{'peak MB':>9}{'jobs':>9}")
    print(f"{'resolve':<44}{table['cpu_s']:>9.1f}{table['peak_mb']:>9.0f}")
    title = f"snakemake -n, the first of {call['calls']:.0f} calls"
    print(f"{title:<44}{call['cpu_s']:>9.1f}{call['peak_mb']:>9.0f}{call['jobs']:>9,}")
    print(json.dumps(found))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells, under a minute")
    parser.add_argument("--series", type=int, metavar="NUMBER", help="only a plan of so many series of one cell each")
    arguments = parser.parse_args(argv)
    if arguments.series:
        report_series(arguments.series)
        return

    peer_cells = 2_000 if arguments.quick else 10_000
    plans = {
        f"{peer_cells:,} cells": (Plan(peer_cells, 40), 1),
        "50,000 cells": (Plan(50_000, 180), 1 if arguments.quick else 3),
        "2,000 droplet libraries": (Plan(0, 100, 2_000), 1),
    }
    if not arguments.quick:
        plans["1,000,000 cells"] = (Plan(1_000_000, 3_600), 1)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, (plan, repeats) in plans.items():
            figures[name] = measure_ours(Path(place), plan, repeats)
        libraries = plans["2,000 droplet libraries"][0].libraries
        plain = measure_peer(Path(place), PLAIN, libraries)
        peer = measure_peer(Path(place), PEER, peer_cells)
        run_cells = 96 if arguments.quick else 480
        shards = max(1, run_cells // SHARD_SIZE)
        nothing, sharded, single = (measure_run(Path(place), parts) for parts in (0, shards, run_cells))
    print(f"{'snakemake -n':<50}{'CPU s':>9}{'peak MB':>9}{'jobs':>9}")
    reported = {
        **figures,
        "as many jobs and files, rules without functions": plain,
        f"{peer_cells:,} cells, a job for each cell and step": peer,
    }
    for name, row in reported.items():
        print(f"{name:<50}{row['cpu_s']:>9.1f}{row['peak_mb']:>9.0f}{row['jobs']:>9,}")
    ours = figures[f"{peer_cells:,} cells"]
    ratios = {key: ours[key] / peer[key] for key in ("cpu_s", "peak_mb", "jobs")}
    print(f"ours / a job for each cell and step, at {peer_cells:,} cells: CPU {ratios['cpu_s']:.3f}, ", end="")
    print(f"memory {ratios['peak_mb']:.3f}, jobs {ratios['jobs']:.4f}")
    ratios["libraries_cpu_s"] = figures["2,000 droplet libraries"]["cpu_s"] / plain["cpu_s"]
    print(f"ours / rules without functions, at {libraries:,} libraries: CPU {ratios['libraries_cpu_s']:.2f}")
    overhead = {
        "cells": run_cells,
        "start_cpu_s": nothing["cpu_s"],
        "a_job_cpu_ms": 1000 * (single["cpu_s"] - nothing["cpu_s"]) / (single["jobs"] - nothing["jobs"]),
        "a_job_wall_ms": 1000 * (single["wall_s"] - nothing["wall_s"]) / (single["jobs"] - nothing["jobs"]),
        "shards": {**sharded, "a_cell_cpu_ms": 1000 * sharded["cpu_s"] / run_cells},
        "a_job_for_each_cell_and_step": {**single, "a_cell_cpu_ms": 1000 * single["cpu_s"] / run_cells},
    }
    title = f"snakemake, jobs that do nothing, {run_cells} cells"
    print(f"\n{title:<44}{'CPU s':>9}{'wall s':>9}{'jobs':>9}{'CPU ms a cell':>15}")
    for name, row in (("shards", sharded), ("a job for each cell and step", single)):
        a_cell = 1000 * row["cpu_s"] / run_cells
        print(f"{name:<44}{row['cpu_s']:>9.1f}{row['wall_s']:>9.1f}{row['jobs']:>9,}{a_cell:>15.0f}")
    print(f"a start: {nothing['cpu_s']:.1f} s of CPU; ", end="")
    print(f"a job: {overhead['a_job_cpu_ms']:.0f} ms of CPU, {overhead['a_job_wall_ms']:.0f} ms", end="; ")
    ratios["run_cpu_s"] = sharded["cpu_s"] / single["cpu_s"]
    print(f"shards / a job for each cell and step: CPU {ratios['run_cpu_s']:.3f}")
    peers = {"peer": {"cells": peer_cells, **peer}, "plain": plain}
    print(json.dumps({"plans": figures, **peers, "overhead": overhead, "ratios": ratios}))


if __name__ == "__main__":
    main()
