"""Download and conversion of a shard of plate runs, beside the plain loop `prefetch; fasterq-dump; gzip`.

    python -m benchmarks.download [--quick] [--latency SECONDS]

Archives are made by sra-tools' own loader from a seed and served by a loopback resolver that answers each request after
--latency seconds. A shard of 96 runs (--quick: 16) is fetched and converted by our two commands, two runs at a time,
and by the loop, one run at a time and two (xargs -P). CPU is user and system time of all processes, scratch the most
that the folder held, sampled every 20 ms. The loop proves nothing: it is fed one archive with a wrong checksum and one
that is corrupt as well, after the measurement, and the result is reported.
"""

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.inputs.archive_server import Archives, served
from benchmarks.inputs.process_tree import sampling
from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file, size_of_folder
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import read_statuses
from scripts.reads.sources.sra_archive import write_settings

SEED = 4
READ_LENGTH = 75
HOME = Path(__file__).parent.parent
UNIT = "GSE1.mus.0000"
WRONG_SUM, CORRUPT = "SRR8000001", "SRR8000002"

# The peer: a run a line of runs.txt. It keeps the compressed reads alone.
LOOP = """
one() {
    prefetch --max-size u -O sra "$1" >/dev/null 2>>errors.txt
    fasterq-dump --split-3 --threads 2 --temp tmp -O fastq "sra/$1" >/dev/null 2>>errors.txt
    gzip -f fastq/"$1"*.fastq 2>>errors.txt
    rm -rf "sra/$1"
}
export -f one
mkdir -p sra fastq tmp
xargs -P "$PARALLEL" -I {} bash -c 'one {}' < runs.txt
exit 0
"""


class Size(NamedTuple):
    """How much is made, and how often it is measured."""

    runs: int
    spots: int
    repeats: int


FULL = Size(96, 10_000, 3)
QUICK = Size(16, 1_000, 1)
DIFFERENT = 8  # archives that are made; the runs of the shard are copies of them under other names


class Cost(NamedTuple):
    """CPU and wall seconds, and the most that lay on disk (MB)."""

    cpu: float
    wall: float
    scratch: float


def make_archives(folder: Path, size: Size) -> Archives:
    """Make paired archives with sra-tools' loader, one of them in two broken versions."""
    environment = write_settings(folder / "offline.mkfg")
    made = []
    dice = random.Random(SEED)
    genome = "".join(dice.choices("ACGT", k=100_000))
    for number in range(DIFFERENT):
        for mate in (1, 2):
            with (folder / f"{mate}.fastq").open("w") as handle:
                for spot in range(size.spots):
                    place = dice.randrange(len(genome) - READ_LENGTH)
                    quality = "".join(dice.choices("#-7AF", cum_weights=(2, 6, 14, 30, 100), k=READ_LENGTH))
                    handle.write(f"@r{spot}\n{genome[place : place + READ_LENGTH]}\n+\n{quality}\n")
        load = [
            "latf-load",
            "--quality",
            "PHRED_33",
            "-p",
            "ILLUMINA",
            "--no-readnames",
            "-o",
            str(folder / "database"),
        ]
        mates = ["-1", str(folder / "1.fastq"), "-2", str(folder / "2.fastq")]
        subprocess.run([*load, *mates], env=environment, check=True, capture_output=True)
        archive = folder / f"{number}.sra"
        pack = ["kar", "-c", str(archive), "-d", str(folder / "database")]
        subprocess.run(pack, env=environment, check=True, capture_output=True)
        shutil.rmtree(folder / "database")
        made.append(archive)
    files = {f"SRR90{number:05d}": made[number % DIFFERENT] for number in range(size.runs)}
    whole = made[0].read_bytes()
    middle = len(whole) // 2
    corrupt = folder / "corrupt.sra"
    corrupt.write_bytes(whole[:middle] + bytes(b ^ 0x5A for b in whole[middle : middle + 64]) + whole[middle + 64 :])
    files |= {WRONG_SUM: made[0], CORRUPT: corrupt}
    sums = {run: hash_file(path, "md5") for run, path in files.items()}
    sums[WRONG_SUM] = "0" * 32
    return Archives(files, sums)


def measure(work: Callable[[Path], None], folder: Path) -> Cost:
    """Run something in a fresh folder; children's CPU, wall time and the most that the folder held."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    peak = 0

    def watch() -> None:
        nonlocal peak
        peak = max(peak, size_of_folder(folder))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with sampling(0.02, watch):
        work(folder)
        wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall, max(peak, size_of_folder(folder)) / 1e6)


def ours(runs: Sequence[str], archives: Archives, spots: int, resolver: str) -> Callable[[Path], None]:
    """Our two commands, as the rules call them, with the figures of the plan."""
    common = Run(series="GSE1", species="mus", assay="plate", spots=str(spots), status="planned")
    common = common._replace(bases=str(spots * 2 * READ_LENGTH))

    def work(folder: Path) -> None:
        rows = [
            common._replace(
                experiment=run, run=run, bytes=str(archives.files[run].stat().st_size), md5=archives.sums[run]
            )
            for run in runs
        ]
        write_runs(folder / f"{UNIT}.tsv", rows)
        unit = ["--runs", f"{UNIT}.tsv"]
        download = ["--records", "records", "--resolver", resolver, "--order", "sra", "--parallel", "2"]
        environment = {**os.environ, "PYTHONPATH": str(HOME)}
        for words in (
            ["download", *unit, *download, "--more-passes", "0", "--output", f"work/download/{UNIT}"],
            [
                "fastq",
                *unit,
                "--archives",
                f"work/download/{UNIT}",
                "--delete-archives",
                "--threads",
                "2",
                "--output",
                "work/fastq",
            ],
        ):
            subprocess.run(
                [sys.executable, "-m", "scripts", *words],
                cwd=folder,
                env=environment,
                check=True,
                stderr=subprocess.DEVNULL,
            )

    return work


def loop(runs: Sequence[str], resolver: str, parallel: int) -> Callable[[Path], None]:
    """The plain loop."""

    def work(folder: Path) -> None:
        (folder / "runs.txt").write_text("".join(f"{run}\n" for run in runs))
        environment = {**write_settings(folder / "settings.mkfg", resolver), "PARALLEL": str(parallel)}
        subprocess.run(["bash", "-c", LOOP], cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)

    return work


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, within a minute")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before the server answers (default 0.05)")
    options = parser.parse_args(argv)
    size = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="benchmark-download.") as scratch:
        folder = Path(scratch)
        archives = make_archives(folder, size)
        runs = [run for run in archives.files if run not in (WRONG_SUM, CORRUPT)]
        packed = sum(archives.files[run].stat().st_size for run in runs) / 1e6
        with served(archives, options.latency) as resolver:
            contestants = {
                "ours, two at a time": ours(runs, archives, size.spots, resolver),
                "loop, one at a time": loop(runs, resolver, 1),
                "loop, two at a time": loop(runs, resolver, 2),
            }
            costs: dict[str, list[Cost]] = {name: [] for name in contestants}
            for _ in range(size.repeats):
                for name, work in contestants.items():
                    costs[name].append(measure(work, folder / "work"))
            broken = [WRONG_SUM, CORRUPT]
            measure(ours(broken, archives, size.spots, resolver), folder / "work")
            ended = {run: status.reason for run, status in read_statuses(folder / "work/work/fastq/status.tsv").items()}
            measure(loop(broken, resolver, 1), folder / "work")
            taken = {run: bool(list((folder / "work/fastq").glob(f"{run}*"))) for run in broken}
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*found, strict=True))) for name, found in costs.items()
    }
    print(f"{size.runs} runs of {size.spots:,} pairs, archives of {packed:.1f} MB, {options.latency:g} s a request")
    print(f"{'':24}{'wall s':>10}{'CPU s':>10}{'scratch MB':>12}{'of archives':>13}")
    for name, cost in medians.items():
        print(f"{name:24}{cost.wall:10.2f}{cost.cpu:10.2f}{cost.scratch:12.1f}{cost.scratch / packed:12.1f}x")
    for run, kind in ((WRONG_SUM, "wrong checksum"), (CORRUPT, "corrupt archive")):
        print(
            f"{kind}: ours ends as {ended[run]}; the loop {'made FASTQ of it' if taken[run] else 'made nothing of it'}"
        )
    mine, one, two = medians.values()
    figures = {
        "benchmark": "download",
        "runs": size.runs,
        "spots": size.spots,
        "repeats": size.repeats,
        "latency": options.latency,
        "archives_mb": round(packed, 1),
        "costs": {
            name: {key: round(value, 3) for key, value in cost._asdict().items()} for name, cost in medians.items()
        },
        "wall_ratio": round(one.wall / mine.wall, 2),
        "wall_ratio_two_at_a_time": round(two.wall / mine.wall, 2),
        "cpu_ratio": round(two.cpu / mine.cpu, 2),
        "scratch_of_archives": round(mine.scratch / packed, 2),
        "broken_archives_found": sum(bool(reason) for reason in ended.values()),
        "broken_archives_taken_by_loop": sum(taken.values()),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
