"""Packing, filtering and reading MEX archives, beside the published mex_gene_archive, on a made-up raw matrix.

    python -m benchmarks.mex_archive [--quick]

A raw matrix of 6,794,880 barcodes and 60 million entries (--quick: 700 thousand and 3 million) is made from a seed.
Every measurement is a process of its own; CPU is its user and system time, memory its peak. The cell filter is
measured on a smaller matrix, since the published one holds every kept entry as Python objects.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.command import command_parser

SEED = 7
GENES = 36_601
CELLS = 8_000
HOME = Path(__file__).parent.parent


class Size(NamedTuple):
    """How much is made, and how often each peer is measured."""

    barcodes: int
    entries: int
    filter_entries: int
    repeats: int
    slow_repeats: int


FULL = Size(6_794_880, 60_000_000, 6_000_000, 3, 1)
QUICK = Size(700_000, 3_000_000, 1_000_000, 3, 1)


class Cost(NamedTuple):
    """CPU seconds, wall seconds and peak memory (MB) of a process."""

    cpu: float
    wall: float
    peak: float


# What is measured: each line is run by a Python of its own -----------------------------------------------------------

PACK_OURS = """
from scripts.droplets.mex.mex_writer import write_archive
fields = dict(type="MexGeneArchive_v1", software="STAR", software_version="2.7.10b", arguments="STAR", output_type="x",
              experiment_accession="SRX1", description="d", library_accession="GSM1")
raw = "solo/Solo.out/Gene/raw"
write_archive("ours.tar.gz", "Gene/raw", "matrix.mtx", fields=fields, barcodes=f"{raw}/barcodes.tsv",
              features=f"{raw}/features.tsv", matrix=f"{raw}/matrix.mtx", threads=THREADS, metadata_name="manifest.tsv")
"""
PACK_THEIRS = """
import gzip
from pathlib import Path
from mex_gene_archive import starsolo
plain = gzip.GzipFile
class gzip: GzipFile = staticmethod(lambda name, mode, mtime: plain(name, mode, LEVEL, mtime=mtime))
starsolo.gzip = gzip
config = dict(experiment_accession="SRX1", description="d", library_accession="GSM1")
target = Path("theirsLEVEL.tar.gz")
starsolo.archive_star_solo(Path("solo/Solo.out"), config, "Gene", "Unique", "raw", destination=target)
"""
READ_OURS = """
from scripts.droplets.mex.mex_reader import read_archive
archive = read_archive("ours.tar.gz")
matrix = archive.matrix.T.tocsr()
"""
READ_THEIRS = """
from mex_gene_archive.reader import read_mex_archive_as_anndata
data = read_mex_archive_as_anndata("ours.tar.gz")
"""
FILTER_OURS = """
from scripts.formats.matrix_market import filter_columns
from scripts.droplets.starsolo import find_barcodes
filter_columns("small.mtx", "ours.mtx", find_barcodes("solo/Solo.out/Gene/raw/barcodes.tsv", "cells.tsv"))
"""
FILTER_THEIRS = """
from mex_gene_archive.filter import write_filtered_mtx
write_filtered_mtx("solo/Solo.out/Gene/raw/barcodes.tsv", "small.mtx", "cells.tsv", "theirs.mtx")
"""


def measure(code: str, folder: Path) -> Cost:
    """Run Python code in a folder and return what it cost."""
    import time

    started = time.monotonic()
    process = os.fork()
    if not process:
        os.chdir(folder)
        environment = os.environ | {"PYTHONPATH": str(HOME), "PYTHONWARNINGS": "ignore"}
        os.execve(sys.executable, [sys.executable, "-c", code], environment)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"a measurement ended with status {os.waitstatus_to_exitcode(status)}:\n{code}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def in_turn(folder: Path, repeats: int, *codes: str) -> list[Cost]:
    """Return the medians of several pieces of code, measured in turn."""
    costs: list[list[Cost]] = [[] for _ in codes]
    for _ in range(repeats):
        for place, code in enumerate(codes):
            costs[place].append(measure(code, folder))
    return [Cost(*(statistics.median(values) for values in zip(*several, strict=True))) for several in costs]


# What is made ---------------------------------------------------------------------------------------------------------


def decimal_lines(*columns: np.ndarray) -> bytes:
    """Return lines of whole numbers with blanks between."""
    parts = []
    for place, numbers in enumerate(columns):
        width = len(str(int(numbers.max())))
        powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
        digits = numbers[:, None] // powers % 10
        shown = np.cumsum(digits, axis=1) > 0
        shown[:, -1] = True
        last = np.full((numbers.size, 1), 10 if place == len(columns) - 1 else 32, dtype=np.uint8)
        parts.append((np.concatenate([digits.astype(np.uint8) + 48, last], 1), shown))
    letters = np.concatenate([part[0] for part in parts], axis=1)
    shown = np.concatenate([np.pad(part[1], ((0, 0), (0, 1)), constant_values=True) for part in parts], axis=1)
    return letters[shown].tobytes()


def write_matrix(path: Path, barcodes: int, entries: int, dice: np.random.Generator) -> None:
    """Write a raw matrix: some thousand cells with most of the counts, and a long tail of droplets with few."""
    cells = dice.choice(barcodes, CELLS, replace=False)
    per_column = np.bincount(dice.integers(0, barcodes, entries // 2), minlength=barcodes)
    per_column[cells] += dice.multinomial(entries - entries // 2, dice.dirichlet(np.full(CELLS, 2.0)))
    weights = np.cumsum(dice.lognormal(0, 2, GENES))
    starts = np.concatenate([[0], np.cumsum(per_column)])
    with path.open("wb") as handle:
        handle.write(b"%%%%MatrixMarket matrix coordinate integer general\n%%\n%d %d %d\n" % (GENES, barcodes, entries))
        block = 1_000_000
        for first in range(0, entries, block):
            last = min(first + block, entries)
            column = np.searchsorted(starts, np.arange(first, last), side="right")
            row = np.searchsorted(weights, dice.random(last - first) * weights[-1]) + 1
            order = np.lexsort((row, column))
            value = np.minimum(1 + dice.geometric(0.8, last - first) - 1, 99)
            handle.write(decimal_lines(np.minimum(row[order], GENES), column[order], value))


def make_input(folder: Path, size: Size) -> None:
    """Write a Solo.out folder, a smaller matrix for the filter, and the cells."""
    dice = np.random.default_rng(SEED)
    raw = folder / "solo/Solo.out/Gene/raw"
    raw.mkdir(parents=True)
    codes = np.unique(dice.integers(0, 1 << 32, size.barcodes * 11 // 10, dtype=np.int64))
    codes = np.sort(dice.choice(codes, size.barcodes, replace=False))
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[codes[:, None] >> np.arange(30, -2, -2) & 3]
    lines = np.concatenate([letters, np.full((size.barcodes, 1), 10, dtype=np.uint8)], axis=1)
    (raw / "barcodes.tsv").write_bytes(lines.tobytes())
    kept = np.sort(dice.choice(size.barcodes, CELLS, replace=False))
    (folder / "cells.tsv").write_bytes(lines[kept].tobytes())
    genes = (f"ENSG{number:011d}.1\tGENE{number}\tGene Expression\n" for number in range(GENES))
    (raw / "features.tsv").write_text("".join(genes))
    (folder / "solo/Log.out").write_text("STAR version=2.7.10b\n##### Command Line:\nSTAR --runThreadN 1\n")
    write_matrix(raw / "matrix.mtx", size.barcodes, size.entries, dice)
    write_matrix(folder / "small.mtx", size.barcodes, size.filter_entries, dice)


# The figures ----------------------------------------------------------------------------------------------------------


def run(folder: Path, size: Size, tell: Callable[[str], None]) -> dict[str, float]:
    """Make the input, measure everything, tell it as a table, and return the figures."""
    maker = os.fork()  # its memory would count as that of the processes measured
    if not maker:
        make_input(folder, size)
        os._exit(0)
    if os.waitpid(maker, 0)[1]:
        raise SystemExit("the input could not be made")
    ours = PACK_OURS.replace("THREADS", "2")
    figures: dict[str, float] = {"barcodes": size.barcodes, "entries": size.entries}
    tell(f"{'':34}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'MB':>9}")

    def row(name: str, cost: Cost, path: str = "") -> None:
        megabytes = f"{(folder / path).stat().st_size / 1e6:9.1f}" if path else ""
        tell(f"{name:34}{cost.cpu:9.2f}{cost.wall:9.2f}{cost.peak:9.0f}{megabytes}")
        key = name.replace(" ", "_").replace(",", "")
        figures[f"{key}_cpu"], figures[f"{key}_peak_mb"] = round(cost.cpu, 3), round(cost.peak)

    fast, level_1 = in_turn(folder, size.repeats, ours, PACK_THEIRS.replace("LEVEL", "1"))
    (level_9,) = in_turn(folder, size.slow_repeats, PACK_THEIRS.replace("LEVEL", "9"))
    row("pack", fast, "ours.tar.gz")
    row("pack, published", level_9, "theirs9.tar.gz")
    row("pack, published at level 1", level_1, "theirs1.tar.gz")
    read_ours, read_theirs = in_turn(folder, size.slow_repeats, READ_OURS, READ_THEIRS)
    row("read", read_ours)
    row("read, published", read_theirs)
    filter_ours, filter_theirs = in_turn(folder, size.slow_repeats, FILTER_OURS, FILTER_THEIRS)
    row("filter", filter_ours)
    row("filter, published", filter_theirs)
    if (folder / "ours.mtx").read_bytes() != (folder / "theirs.mtx").read_bytes():
        tell("the filtered matrices differ")
    sizes = {name: (folder / f"{name}.tar.gz").stat().st_size for name in ("ours", "theirs9", "theirs1")}
    figures |= {
        "pack_cpu_ratio": round(fast.cpu / level_9.cpu, 4),
        "pack_size_ratio": round(sizes["ours"] / sizes["theirs9"], 4),
        "pack_cpu_ratio_level_1": round(fast.cpu / level_1.cpu, 4),
        "read_cpu_ratio": round(read_ours.cpu / read_theirs.cpu, 4),
        "filter_cpu_ratio": round(filter_ours.cpu / filter_theirs.cpu, 4),
    }
    for name in ("pack_cpu_ratio", "pack_size_ratio", "pack_cpu_ratio_level_1", "read_cpu_ratio", "filter_cpu_ratio"):
        tell(f"{name:34}{figures[name]:9.3f}")
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small matrix, at most a minute")
    parser.add_argument("--folder", type=Path, help="where the matrix is made; default: a temporary folder")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        figures = run(Path(folder), QUICK if args.quick else FULL, print)
    print(json.dumps({"benchmark": "mex_archive", "quick": args.quick, **figures}))


if __name__ == "__main__":
    main()
