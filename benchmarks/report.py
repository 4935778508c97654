"""The report of a large data set: 50,000 plate cells of 179 series and 500 droplet libraries, 2 % of the runs failed.

    python -m benchmarks.report [--quick] [--keep FOLDER]

Plan, ledger, the tables of quality, STAR's statistics of libraries and the h5ad files that the page reads are made from
a seed (--quick: a tenth); the page is drawn by a process of its own. CPU is its user and system time, peak its memory.
Time to open is until Chromium has loaded and painted the page, where there is one. The peer is the table of cells as
one HTML table by pandas, which is what a row a cell would be.
"""

import csv
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from scripts.core.command import command_parser
from scripts.formats import csv_gz, h5ad
from scripts.harvest.quality import flags
from scripts.harvest.quality.cells import COLUMNS
from scripts.plan.run_table import Run, write_runs

SEED = 50_179
HOME = Path(__file__).parent.parent
SPECIES = {"mus": (129, 34_100), "homo": (50, 15_900)}
LIBRARIES, SERIES_OF_LIBRARIES = 500, 40
REASONS = ("DOWNLOAD_FAILED", "EMPTY_READS", "LOW_MAPPING", "ARCHIVE_CORRUPT")
FLAGS = [code for code, flag in flags.FLAGS.items() if "cell" in flag.subjects]
PEER = """
import pandas
open("peer.html", "w").write(pandas.read_csv("results/quality/cells.csv.gz").to_html())
"""


class Cost(NamedTuple):
    """CPU and wall seconds and peak memory (MB) of a process."""

    cpu: float
    wall: float
    peak: float


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run a command and return its cost; it must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(HOME)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command}: exit status {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - start, used.ru_maxrss / 1000)


def time_to_open(page: Path, repeats: int = 3) -> float | None:
    """Return the seconds until Chromium has loaded and painted a page, the median; None without Chromium."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if not chromium:
        return None
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for _ in range(repeats):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            tab.goto(page.absolute().as_uri(), wait_until="load", timeout=600_000)
            tab.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # it has been painted
            found.append(time.perf_counter() - start)
            tab.close()
        browser.close()
    return statistics.median(found)


def make_results(folder: Path, share: float) -> int:
    """Write what the page is made from, of that share of cells and libraries; return how many rows the ledger has."""
    random = np.random.default_rng(SEED)
    (folder / "results" / "quality").mkdir(parents=True)
    rows: list[Run] = []
    for species, (series, cells) in SPECIES.items():
        for number, size in enumerate((random.dirichlet(np.ones(series)) * cells * share).astype(int).tolist()):
            name = f"GSE{60_000 + number}{species[0] == 'h':d}"
            rows += [_row(name, len(rows) + run, species, "plate", random) for run in range(size + 1)]
    cells_of = [row for row in rows if row.status == "counted"]
    write_cells(folder / "results" / "quality" / "cells.csv.gz", cells_of, random)
    libraries = []
    for number in range(max(1, int(LIBRARIES * share))):
        name = f"GSE{90_000 + number % SERIES_OF_LIBRARIES}"
        libraries.append(_row(name, len(rows) + number, "homo", "droplet", random)._replace(chemistry="10x_3p_v3"))
    write_libraries(folder, [row for row in libraries if row.status == "counted"], random)
    rows = sorted(rows + libraries, key=lambda row: (row.series, row.experiment))
    write_runs(folder / "results" / "runs.tsv", rows)
    plan = [row._replace(status="planned", reason="", detail="") for row in rows]
    write_runs(folder / "results" / "plan.tsv", plan)
    return len(rows)


def _row(series: str, number: int, species: str, assay: str, random: np.random.Generator) -> Run:
    row = Run(series, series, f"GSM{number}", f"SRX{number}", f"SRR{number}", species=species, assay=assay)
    row = row._replace(status="counted", spots="1000000")
    if random.random() < 0.02:
        reason = REASONS[random.integers(len(REASONS))]
        return row._replace(
            status="failed", reason=reason, detail=f"{row.run} could not be used: the reads ended early."
        )
    return row


def write_cells(path: Path, rows: Sequence[Run], random: np.random.Generator) -> None:
    """Write the table of plate cells; one of 100 has a flag."""
    cells = len(rows)
    known: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in ("series", "sample", "experiment")}
    known |= {"cell": known["experiment"], "runs": [row.run for row in rows], "species": [row.species for row in rows]}
    reads = (10 ** random.normal(6, 0.5, cells)).astype(np.int64)
    shares = random.dirichlet((60, 9, 1, 0.1, 25, 2), cells)
    names = (
        "mapped_once",
        "mapped_several",
        "too_many_loci",
        "unmapped_mismatches",
        "unmapped_short",
        "unmapped_other",
    )
    known |= {name: (reads * share).astype(np.int64) for name, share in zip(names, shares.T, strict=True)}
    counted = random.dirichlet((80, 15, 5), cells).T * known["mapped_once"]
    known |= dict(zip(("total_counts", "no_feature", "ambiguous"), counted.astype(np.int64), strict=True))
    known |= {"reads": reads, "pct_mapped": (100 * shares[:, :2].sum(axis=1)).round(2)}
    known |= {
        "status": ["counted"] * cells,
        "alignment_not_unique": known["mapped_several"],
        "too_low_aQual": [0] * cells,
    }
    known["n_genes_by_counts"] = np.clip(random.normal(5200, 1800, cells) * (reads / 1e6) ** 0.2, 0, None).astype(int)
    known["pct_counts_mt"] = (100 * random.beta(2, 30, cells)).round(2)
    known["pct_counts_spike_in"] = (100 * random.beta(2, 40, cells)).round(2)
    flagged = random.random(cells) < 0.01
    known["flags"] = [FLAGS[random.integers(len(FLAGS))] if is_so else "" for is_so in flagged]
    table = [known.get(name, [""] * cells) for name in COLUMNS]
    csv_gz.write_csv_gz(path, [list(COLUMNS), *(list(map(str, row)) for row in zip(*table, strict=True))])


def write_libraries(folder: Path, rows: Sequence[Run], random: np.random.Generator) -> None:
    """Write the table of libraries, their molecules by barcode (100,000 each) and the cells that were called."""
    table, called = [], {}
    for row in rows:
        cells = int(random.integers(500, 9000))
        molecules = np.concatenate([10 ** random.normal(3.8, 0.25, cells), 10 ** random.normal(1.2, 0.5, 100_000)])
        molecules = np.sort(molecules.astype(np.int64))[::-1]
        kept = folder / "units" / "solo" / f"{row.series}.{row.species}.{row.experiment}" / "Solo.out" / "Gene"
        kept.mkdir(parents=True)
        text = "\n".join(map(str, molecules.tolist())) + "\n"
        (kept / "UMIperCellSorted.txt.gz").write_bytes(gzip.compress(text.encode(), 1, mtime=0))
        called.setdefault((row.series, row.species), []).append((row.experiment, molecules[:cells]))
        exons = random.uniform(0.3, 0.8)
        table.append(
            {
                **{name: getattr(row, name) for name in ("series", "species", "experiment", "chemistry", "status")},
                "runs": row.run,
                "Number of Reads": cells * 30_000,
                "Reads With Valid Barcodes": random.uniform(0.9, 0.99),
                "Sequencing Saturation": random.uniform(0.3, 0.9),
                "Q30 Bases in CB+UMI": random.uniform(0.9, 0.98),
                "Q30 Bases in RNA read": random.uniform(0.85, 0.95),
                "Reads Mapped to Genome: Unique+Multiple": 0.95,
                "Reads Mapped to Genome: Unique": 0.9,
                "Reads Mapped to Gene: Unique Gene": exons,
                "GeneFull: Reads Mapped to GeneFull: Unique GeneFull": exons + random.uniform(0.02, 0.15),
                "Estimated Number of Cells": cells,
                "Fraction of Unique Reads in Cells": random.uniform(0.5, 0.98),
                "Mean Reads per Cell": random.uniform(10_000, 60_000),
                "Median UMI per Cell": int(np.median(molecules[:cells])),
                "Median Gene per Cell": int(random.integers(1500, 3500)),
                "flags": "LOW_READS_IN_CELLS" if random.random() < 0.03 else "",
            }
        )
    with (folder / "results" / "quality" / "libraries.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    (folder / "results" / "droplets").mkdir()
    for (series, species), of_series in called.items():
        counts = np.concatenate([cells for _, cells in of_series])
        with h5py.File(folder / "results" / "droplets" / f"{series}.{species}.h5ad", "w") as root:
            obs: dict[str, object] = {"experiment": [name for name, cells in of_series for _ in cells]}
            obs |= {"total_counts": counts, "n_genes_by_counts": (counts * 0.4).astype(np.int64)}
            obs |= {"pct_counts_mt": 100 * random.beta(2, 30, len(counts))}
            h5ad.write_frame(root, "obs", [f"{number}" for number in range(len(counts))], obs)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, less than a minute")
    parser.add_argument("--keep", type=Path, help="folder to make the data set and the page in, and to leave them")
    options = parser.parse_args(argv)
    share, repeats = (0.1, 1) if options.quick else (1.0, 3)
    ours = [sys.executable, "-m", "scripts", "report", "--plan", "results/plan.tsv", "--ledger", "results/runs.tsv"]
    with tempfile.TemporaryDirectory(prefix="report.") as temporary:
        folder = options.keep or Path(temporary)
        rows = make_results(folder, share)
        costs: dict[str, list[Cost]] = {"report": [], "a row a cell": []}
        for _ in range(repeats):
            costs["report"].append(measure([*ours, "--output", "results/report.html"], folder))
            costs["a row a cell"].append(measure([sys.executable, "-W", "ignore", "-c", PEER], folder))
        pages = {"report": folder / "results" / "report.html", "a row a cell": folder / "peer.html"}
        sizes = {name: path.stat().st_size for name, path in pages.items()}
        opened = {"report": time_to_open(pages["report"]), "a row a cell": time_to_open(pages["a row a cell"], 1)}
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*reported, strict=True)))
        for name, reported in costs.items()
    }
    print(f"{rows:,} runs\n\n{'':16}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'page MB':>9}{'opens s':>9}")
    for name, cost in medians.items():
        shown = f"{opened[name]:9.2f}" if opened[name] is not None else f"{'–':>9}"
        print(f"{name:16}{cost.cpu:9.2f}{cost.wall:9.2f}{cost.peak:9.0f}{sizes[name] / 1e6:9.2f}{shown}")
    ratio = round(medians["report"].cpu / medians["a row a cell"].cpu, 3)
    print(f"\nratio of CPU{ratio:13.3f}\n")
    figures = {
        name: {
            "cpu_s": round(cost.cpu, 2),
            "wall_s": round(cost.wall, 2),
            "peak_mb": round(cost.peak),
            "page_bytes": sizes[name],
            "opens_s": None if opened[name] is None else round(opened[name], 2),
        }
        for name, cost in medians.items()
    }
    print(
        json.dumps({"benchmark": "report", "quick": options.quick, "runs": rows, "ratio_cpu": ratio, "costs": figures})
    )


if __name__ == "__main__":
    main()
