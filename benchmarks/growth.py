"""Growth on Slurm: what 1, 10, 100 and 1,000 shards of jobs that do nothing cost Snakemake and Slurm's controller.

    python -m benchmarks.growth [--quick] [--shards NUMBER ...] [--only KIND ...] [--minutes NUMBER]

A Slurm of its own on loopback (`tests/workflow/slurm_node.py`, as root), with a node that pretends to have 2,000 CPUs.
Plan, rules and profile (profiles/slurm) are the real ones, up to the ledger: four jobs a shard. A job makes its outputs
and nothing else. Jobs ask Slurm what Snakemake's own would ask it, but start no Snakemake, except in the rows `own`.
The bounds of the configuration on downloads and scratch are lifted: `jobs` of the profile is what bounds.

    profile    as the profile has it
    own        jobs that start Snakemake, twice each, as the plugin does it
    minute     the rate of submissions bounded by the minute (--max-jobs-per-timespan 100/1m)
    groups     the four jobs of a shard as one job of Slurm (--groups)
    wide       the same, a thousand at a time (--jobs 1000), as many shards need it
    arrays     jobs of a rule submitted together (--slurm-array-jobs all, --jobs without bound)
    sacct      accounting (slurmdbd and MariaDB: envs/setup.sh slurm-accounting), which is asked for the ends of jobs
    squeue     accounting, but squeue is asked

CPU is that of Snakemake with the clients of Slurm that it calls. Requests are those to slurmctld, counted by itself
(sdiag), of Snakemake, jobs and node together; those to slurmdbd are in the JSON line. A row that takes longer than
--minutes is stopped, and says so. --quick: 1 and 10 shards as `profile`, whose jobs are looked at every second. Nothing
is measured without Slurm or root.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.inputs.measure import HOME, in_child
from benchmarks.plan_scale import SHARD_SIZE, Plan, write_analysis
from scripts.core.command import command_parser
from tests.workflow.slurm_node import SlurmNode, reason_to_skip

PROFILE = HOME / "profiles" / "slurm"
SNAKEFILE = HOME / "benchmarks" / "inputs" / "nothing.smk"
JOB = HOME / "benchmarks" / "inputs" / "empty_job.py"
# What starts a job instead of Python, and how often the plugin looks at jobs, where not as the profile says.
SNAKEMAKE = """
import sys
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

job, seconds = {job!r}, {seconds!r}
sys.executable = job or sys.executable
if seconds:
    RemoteExecutor.next_seconds_between_status_checks = property(lambda self: seconds, lambda self, value: None)
main()
"""
REQUESTS = re.compile(r"^\s*([A-Z][A-Z_]+)\s*\(\s*\d+\)\s*count:(\d+)", re.MULTILINE)
OUR_OWN = "REQUEST_STATS_INFO"  # of sdiag
AS_ON_CLUSTERS = {"gather_seconds": 30, "min_job_age": 300}  # Slurm's defaults
OF_A_SHARD = ("download", "fastq", "align", "count")
AS_GROUPS = ("--groups", *(f"{rule}=shard" for rule in OF_A_SHARD))


class Kind(NamedTuple):
    """How jobs are submitted and looked at: options beside the profile, and what the rows of this kind go up to."""

    most_shards: int
    options: tuple[str, ...] = ()
    own_jobs: bool = False
    accounting: bool = False


KINDS = {
    "profile": Kind(sys.maxsize),
    "own": Kind(10, own_jobs=True),
    "minute": Kind(1_000, ("--max-jobs-per-timespan", "100/1m")),
    "groups": Kind(100, AS_GROUPS),
    "wide": Kind(sys.maxsize, (*AS_GROUPS, "--jobs", "1000")),
    "arrays": Kind(100, ("--max-jobs-per-timespan", "100000/1s", "--jobs", "100000", "--slurm-array-jobs", "all")),
    "sacct": Kind(100, ("--slurm-status-command", "sacct"), accounting=True),
    "squeue": Kind(100, accounting=True),
}


class Row(NamedTuple):
    """What a run took. Requests are counts by their name in Slurm; ``node_cpu_s`` is the CPU of the jobs."""

    kind: str
    shards: int
    finished: bool
    submitted: int
    completed: int
    wall_s: float
    cpu_s: float
    own_cpu_s: float
    peak_mb: float
    node_cpu_s: float
    slurmctld_cpu_s: float
    requests: dict[str, int]
    database_requests: dict[str, int]

    @property
    def all_requests(self) -> int:
        return sum(self.requests.values())


def write_input(folder: Path, shards: int) -> None:
    """Lay out an analysis of so many shards, whose downloads and scratch are not bounded."""
    write_analysis(folder, Plan(SHARD_SIZE * shards, shards))
    path = folder / "config" / "config.yaml"
    bounds = {"archives": {"per_host": 100_000}, "scratch": {"limit_gb": 10_000_000}}
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(bounds), encoding="utf-8")


def command(folder: Path, kind: Kind, quick: bool) -> list[str]:
    """Return the command of a workflow on Slurm, which ends with this process."""
    job = folder / "job"
    job.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {JOB} "$@"\n', encoding="utf-8")
    job.chmod(0o755)
    started = SNAKEMAKE.format(job="" if kind.own_jobs else str(job), seconds=1 if quick else 0)
    words = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-c", started, "results/runs.tsv"]
    words += ["--snakefile", str(SNAKEFILE), "--directory", str(folder), "--workflow-profile", str(PROFILE)]
    words += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"] if quick else []
    return [*words, *kind.options]


def counted(reported: str) -> Counter[str]:
    """Return request → how often it came, of what `sdiag` or `sacctmgr show stats` says."""
    counts = Counter({name: int(number) for name, number in REQUESTS.findall(reported)})
    del counts[OUR_OWN]
    return counts


def number_after(words: str, reported: str) -> int:
    """Return the number that `sdiag` says after these words."""
    found = re.search(rf"{words}:\s*(\d+)", reported)
    return int(found[1]) if found else 0


def node_cpu(node: SlurmNode) -> tuple[float, float]:
    """Return the CPU seconds of a node's jobs, with the programs of Slurm that start them, and those of slurmctld."""
    top = psutil.Process(node.process.pid)
    total, daemons = 0.0, Counter[str]()
    for process in [top, *top.children(recursive=True)]:
        try:
            times = process.cpu_times()
            total += sum(times[:4])
            if process.name() in ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged"):
                daemons[process.name()] += times.user + times.system
        except psutil.NoSuchProcess:  # a job that ended just now
            continue
    return total - sum(daemons.values()), daemons["slurmctld"]


def measure(name: str, shards: int, minutes: float, quick: bool) -> Row:
    """Run the workflow once. Raises RuntimeError, with what it said, where it fails."""
    kind = KINDS[name]
    seconds = int(60 * minutes) + 600
    with (
        tempfile.TemporaryDirectory() as place,
        SlurmNode(2_000, 10_000_000, seconds, **AS_ON_CLUSTERS, accounting=kind.accounting) as node,
    ):
        folder = Path(place) / "analysis"
        in_child(write_input, folder, shards)
        node.ask("sdiag", "-r")
        database = counted(node.ask("sacctmgr", "show", "stats")) if kind.accounting else Counter()
        before = node_cpu(node)
        started, own_cpu = time.monotonic(), 0.0
        with (folder / "reported").open("wb") as reported:
            process = subprocess.Popen(
                command(folder, kind, quick),
                cwd=folder,
                env=node.environment,
                stdin=subprocess.DEVNULL,
                stdout=reported,
                stderr=subprocess.STDOUT,
            )
        watched = psutil.Process(process.pid)
        is_late = False
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            try:
                own_cpu = sum(watched.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
            if not is_late and time.monotonic() - started > 60 * minutes:
                is_late = True
                process.kill()
            time.sleep(0.2)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        if process.returncode and not is_late:
            raise RuntimeError(f"{name}, {shards} shards:\n{(folder / 'reported').read_text()[-3000:]}")
        said, after = node.ask("sdiag"), node_cpu(node)
        if kind.accounting:
            database = counted(node.ask("sacctmgr", "show", "stats")) - database
        requests = counted(said)
        return Row(
            kind=name,
            shards=shards,
            finished=not is_late,
            submitted=requests["REQUEST_SUBMIT_BATCH_JOB"],
            completed=number_after("Jobs completed", said),
            wall_s=wall,
            cpu_s=ended[2].ru_utime + ended[2].ru_stime,
            own_cpu_s=own_cpu,
            peak_mb=ended[2].ru_maxrss / 1024,
            node_cpu_s=after[0] - before[0],
            slurmctld_cpu_s=after[1] - before[1],
            requests=dict(requests.most_common()),
            database_requests=dict(database.most_common()),
        )


COLUMNS = ("kind", "shards", "jobs", "sbatch", "wall s", "CPU s", "ms/job", "peak MB", "node ms/job")
OF_REQUESTS = ("requests", "/job", "/minute")


def print_line(words: Sequence[str]) -> None:
    """Print a line of the table."""
    print(
        f"{words[0]:<8}" + "".join(f"{word:>{11 if at == 7 else 10}}" for at, word in enumerate(words[1:])), flush=True
    )


def print_row(row: Row) -> None:
    """Print what a run took."""
    jobs = max(1, row.completed)
    numbers = [f"{number:,}" for number in (row.shards, row.completed, row.submitted)]
    numbers += [f"{row.wall_s:.0f}", f"{row.cpu_s:.1f}", f"{1000 * row.cpu_s / jobs:.0f}", f"{row.peak_mb:.0f}"]
    numbers += [f"{1000 * row.node_cpu_s / jobs:.0f}", f"{row.all_requests:,}", f"{row.all_requests / jobs:.1f}"]
    print_line([row.kind, *numbers, f"{60 * row.all_requests / row.wall_s:.0f}", "" if row.finished else "stopped"])


def growth(rows: Sequence[Row]) -> dict[str, float]:
    """Return what a further job takes, from the first to the last row of a kind that ended."""
    ended = [row for row in rows if row.finished]
    if len(ended) < 2:
        return {}
    first, last = ended[0], ended[-1]
    jobs = last.completed - first.completed
    return {
        "cpu_ms": 1000 * (last.cpu_s - first.cpu_s) / jobs,
        "memory_kb": 1024 * (last.peak_mb - first.peak_mb) / jobs,
        "requests": (last.all_requests - first.all_requests) / jobs,
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="1 and 10 shards as `profile`, under a minute")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 10, 100, 1_000], help="such as 10000")
    parser.add_argument("--only", nargs="+", default=list(KINDS), choices=KINDS, help="rows of these kinds")
    parser.add_argument("--minutes", type=float, default=25, help="bound on each row")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that Slurm ends, and its folder goes

    if reason := reason_to_skip():
        print(f"growth: nothing is measured: {reason}")
        print(json.dumps({"skipped": reason}))
        return
    shards, names = ([1, 10], ["profile"]) if arguments.quick else (arguments.shards, arguments.only)
    if reason := reason_to_skip(accounting=True):
        print(f"growth: no rows with accounting: {reason}")
        names = [name for name in names if not KINDS[name].accounting]
    print_line([*COLUMNS, *OF_REQUESTS])
    rows: list[Row] = []
    for name in names:
        for number in shards:
            if number <= KINDS[name].most_shards:
                rows.append(measure(name, number, arguments.minutes, arguments.quick))
                print_row(rows[-1])
    further: dict[str, Any] = {name: growth([row for row in rows if row.kind == name]) for name in names}
    for name, figures in further.items():
        if figures:
            print(f"{name}, each further job: {figures['cpu_ms']:.0f} ms of CPU, {figures['memory_kb']:.0f} kB", end="")
            print(f", {figures['requests']:.1f} requests")
    print(json.dumps({"rows": [row._asdict() for row in rows], "a_further_job": further}))


if __name__ == "__main__":
    main()
