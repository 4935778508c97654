"""Barcode read and kit from the reads: share of a battery of libraries that is judged right, and the cost.

    python -m benchmarks.read_roles [--quick] [--inclusion-lists FOLDER]

The battery has every kit in ten orders of reads, four lengths and four error rates, trimmed barcodes, bulk, and hard
ones: spots without bases, control, poly-T, swapped reads, plates with some reads like those of droplets.
The cost is that of the command's work on one library of 200,000 sampled spots of three reads, against eight inclusion
lists in their true sizes (--quick: a tenth, and half of the battery), reading FASTQ and lists included. There is no
peer to measure beside it.
Lists that the package ngs-tools has, where it is installed, or that lie in a folder as NAME.txt, take the place of made
ones.
"""

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from benchmarks.inputs.droplet_reads import TENX, Maker, battery, hostile, make_lists, unpack
from scripts.core.command import command_parser
from scripts.core.errors import RunFault
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.inclusion_list import PACKAGE, fetch_list
from scripts.droplets.inclusion_lists import read_packed
from scripts.droplets.roles.role_evidence import judge_run
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses

HOME = Path(__file__).parent.parent
CHEMISTRIES = HOME / "config/chemistries.yaml"
SEED = 5
SPOTS = 200_000
KITS = ("10x_3p_v2", "10x_3p_v3", "10x_3p_v4")


def judge_battery(fraction: float, spots: int, step: int) -> dict[str, float]:
    """Judge every so many-th library of the battery; return how many are right, refused without need, and wrong."""
    chemistries, known = read_chemistries(CHEMISTRIES)
    lists = make_lists(known, [name for name, one in known.items() if one.length], fraction, SEED)
    reported: Counter[str] = Counter()
    cpu = 0.0
    libraries = chain(battery(chemistries, lists, spots, SEED), hostile(chemistries, lists, spots, SEED))
    for made in islice(libraries, 0, None, step):
        started = time.process_time()
        try:
            verdict = judge_run(made.samples, len(made.roles) or len(made.samples), list(chemistries.values()), lists)
            same = verdict.roles == made.roles and made.kit in [kit.name for kit in verdict.candidates]
            outcome = "right" if same and not made.fault else "wrong"
        except RunFault as fault:
            outcome = "right" if fault.reason == made.fault else "ambiguous"
        cpu += time.process_time() - started
        reported[outcome] += 1
    judged = reported.total()
    return {
        "libraries": judged,
        "right": reported["right"],
        "ambiguous": reported["ambiguous"],
        "wrong": reported["wrong"],
        "right_share": round(reported["right"] / judged, 4),
        "cpu_ms_a_library": round(1000 * cpu / judged, 1),
    }


def gather_lists(folder: Path, given: str) -> list[str]:
    """Put the true inclusion lists that can be obtained into ``folder/lists``; return their names."""
    _, known = read_chemistries(CHEMISTRIES)
    installed = importlib.util.find_spec("ngs_tools") is not None
    (folder / "lists").mkdir()
    names = []
    for name in TENX:
        own = Path(given, f"{name}.txt") if given else None
        packaged = installed and known[name].packaged
        if (own and own.is_file()) or packaged:
            source = str(own) if own and own.is_file() else PACKAGE
            fetch_list(source, folder / f"lists/{name}.txt", wanted=known[name], known=known)
            names.append(name)
    return names


def make_library(folder: Path, fraction: float, kit: str, true: list[str]) -> list[str]:
    """Write plan, FASTQ and lists of one library; return the command's arguments.

    ``true`` are the inclusion lists that are in place already.
    """
    chemistries, known = read_chemistries(CHEMISTRIES)
    lists = make_lists(known, TENX, fraction, SEED)
    letters = np.frombuffer(b"ACGTN", dtype=np.uint8)
    for name in true:
        lists.packed[name], _ = read_packed(folder / f"lists/{name}.txt")  # type: ignore[index]
    for name, packed in lists.packed.items():
        if name in true:
            continue
        with (folder / f"lists/{name}.txt").open("wb") as handle:
            for start in range(0, packed.size, 1 << 20):
                lines = letters[unpack(packed[start : start + (1 << 20)], lists.lengths[name])]
                handle.write(np.pad(lines, ((0, 0), (0, 1)), constant_values=10).tobytes())
    reads = folder / "fastq"
    reads.mkdir(exist_ok=True)
    maker = Maker(lists, SPOTS, SEED)
    made = maker.library(chemistries[kit], "IBC", chemistries[kit].read_end, 0.01)
    for number, sample in made.samples.items():
        length = int(sample.lengths[0])
        bases = letters[sample.codes[:, :length]].tobytes()
        quality = b"F" * length
        with (reads / f"SRR1_{number + 1}.fastq").open("wb") as handle:
            for spot in range(SPOTS):
                handle.write(b"@%d\n%s\n+\n%s\n" % (spot, bases[spot * length : (spot + 1) * length], quality))
    write_statuses(reads / "status.tsv", [RunStatus("SRR1")])
    row = Run(series="S", experiment="X", run="SRR1", species="homo", assay="droplet", status="planned")
    write_runs(folder / "S.homo.X.tsv", [row])
    arguments = ["--runs", "S.homo.X.tsv", "--fastq", "fastq", "--chemistries", str(CHEMISTRIES)]
    return [*arguments, "--inclusion-lists", "lists", "--sample", str(SPOTS), "--output", f"{kit}.json"]


def measure(folder: Path, arguments: Sequence[str]) -> tuple[float, float]:
    """Run the command; return its CPU seconds and its peak memory in MB."""
    process = os.fork()
    if not process:
        os.chdir(folder)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        words = [sys.executable, "-m", "scripts", "read_roles", *arguments]
        os.execve(sys.executable, words, os.environ | {"PYTHONPATH": str(HOME)})
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"read_roles ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def in_own_process(work: object, *arguments: object) -> object:
    """Call a function in a process of its own, whose memory does not count as that of the ones measured."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.write(writer, json.dumps(work(*arguments)).encode())  # type: ignore[operator]
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        reported = answer.read()
    if os.waitpid(process, 0)[1]:
        raise SystemExit("the input could not be made")
    return json.loads(reported)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="lists of a tenth of their size, half of the battery")
    parser.add_argument("--inclusion-lists", default="", help="folder with true lists, NAME.txt")
    args = parser.parse_args(argv)
    fraction = 0.1 if args.quick else 1.0
    figures = in_own_process(judge_battery, 0.05, 400, 2 if args.quick else 1)
    assert isinstance(figures, dict)
    for name, value in figures.items():
        print(f"{name:34}{value:>12}")
    with tempfile.TemporaryDirectory() as folder:
        true = in_own_process(gather_lists, Path(folder), args.inclusion_lists)
        assert isinstance(true, list)
        print(f"true lists: {', '.join(true) or 'none'}; the others are made")
        costs = []
        for kit in KITS:
            arguments = in_own_process(make_library, Path(folder), fraction, kit, true)
            assert isinstance(arguments, list)
            cpu, peak = measure(Path(folder), arguments)
            verdict = json.loads(Path(folder, f"{kit}.json").read_text(encoding="utf-8"))["runs"]["SRR1"]
            reported = "right" if kit in verdict.get("candidates", []) else "WRONG"
            print(f"{kit + ', 200,000 spots':34}{cpu:10.2f} s{peak:8.0f} MB  {reported}")
            costs.append((cpu, peak))
    figures |= {
        "quick": args.quick,
        "spots": SPOTS,
        "true_lists": len(true),
        "cpu_s": round(sorted(cost[0] for cost in costs)[len(costs) // 2], 2),
        "peak_mb": round(max(cost[1] for cost in costs)),
    }
    print(json.dumps({"benchmark": "read_roles", **figures}))


if __name__ == "__main__":
    main()
