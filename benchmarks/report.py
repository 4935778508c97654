"""The report of a data set as big as that of 2017: 69,000 cells of 179 series, 2 % of them failed.

    python -m benchmarks.report [--quick]

Plan, ledger and the h5ad files of two species are made from a seed (--quick: 5,000 cells); the page is drawn by a
process of its own. CPU is its user and system time, peak its memory. The peer is the same figures read by anndata and
drawn as one page of per-cell rows, which is what a table of all cells would be.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scripts.formats import h5ad
from scripts.plan.run_table import Run, write_runs
from scripts.plates.shard_counts import TALLIES

SEED = 69_070
HOME = Path(__file__).parent.parent
SPECIES = {"mus": (129, 47_102), "homo": (50, 21_968)}
REASONS = ("DOWNLOAD_FAILED", "EMPTY_READS", "LOW_MAPPING", "ARCHIVE_CORRUPT")
PEER = """
import anndata
rows = []
for species in ("mus", "homo"):
    cells = anndata.read_h5ad(f"results/{species}.h5ad")
    table = cells.obs.assign(genes=cells.X.getnnz(axis=1), counts=cells.X.sum(axis=1))
    rows.append(table.to_html())
open("peer.html", "w").write("".join(rows))
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


def make_results(folder: Path, share: float) -> int:
    """Write plan, ledger and h5ad files of that share of the cells; return how many rows the ledger has."""
    random = np.random.default_rng(SEED)
    folder.mkdir()
    rows: list[Run] = []
    for species, (series, cells) in SPECIES.items():
        counted = []
        for number, size in enumerate((random.dirichlet(np.ones(series)) * cells * share).astype(int).tolist()):
            name = f"GSE{60_000 + number}{species[0] == 'h':d}"
            for _ in range(size + 1):
                run = len(rows)
                row = Run(name, name, f"GSM{run}", f"SRX{run}", f"SRR{run}", species=species, assay="plate")
                row = row._replace(status="counted", spots="1000000")
                if random.random() < 0.02:
                    reason = REASONS[random.integers(len(REASONS))]
                    row = row._replace(status="failed", reason=reason, detail=f"{row.run} could not be used.")
                else:
                    counted.append(row)
                rows.append(row)
        write_cells(folder / f"{species}.h5ad", counted, random)
    write_runs(folder / "runs.tsv", rows)
    write_runs(folder / "plan.tsv", [row._replace(status="planned", reason="", detail="") for row in rows])
    return len(rows)


def write_cells(path: Path, rows: Sequence[Run], random: np.random.Generator) -> None:
    """Write an h5ad of cells with a few hundred counts each: the figures of the page do not depend on how many."""
    cells = len(rows)
    lengths = random.integers(100, 400, cells)
    reads = (10 ** random.normal(6, 0.5, cells)).astype(np.int64)
    mapped = np.clip(random.normal(72, 14, cells), 0, 100)
    with h5py.File(path, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.create_group(root, "X", "csr_matrix")
        matrix.attrs["shape"] = np.array([cells, 500], np.int64)
        h5ad.write_array(matrix, "data", random.integers(1, 900, lengths.sum()).astype(np.int32))
        h5ad.write_array(matrix, "indices", np.concatenate([np.arange(n, dtype=np.int32) for n in lengths.tolist()]))
        h5ad.write_array(matrix, "indptr", np.concatenate([[0], np.cumsum(lengths)]))
        obs: dict[str, object] = {
            "series": [row.series for row in rows],
            "experiment": [row.experiment for row in rows],
        }
        obs |= {name: random.integers(0, 10**6, cells) for name in TALLIES}
        obs |= {"star_number_of_input_reads": reads, "star_uniquely_mapped_reads_percent": mapped}
        h5ad.write_frame(root, "obs", [row.experiment for row in rows], obs)
        h5ad.write_frame(root, "var", [f"g{gene:03d}" for gene in range(500)], {})
        h5ad.write_text(h5ad.create_group(root, "uns"), "reference", "mm10")
        h5ad.write_empty_parts(root)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run, a few seconds")
    options = parser.parse_args(argv)
    share = 5_000 / 69_070 if options.quick else 1.0
    ours = [
        sys.executable,
        "-m",
        "scripts",
        "report",
        "--plan",
        "results/plan.tsv",
        "--ledger",
        "results/runs.tsv",
    ]
    with tempfile.TemporaryDirectory(prefix="report.") as temporary:
        folder = Path(temporary)
        rows = make_results(folder / "results", share)
        costs: dict[str, list[Cost]] = {"report": [], "a row a cell": []}
        for _ in range(3):
            costs["report"].append(measure([*ours, "--output", "report.html"], folder))
            costs["a row a cell"].append(measure([sys.executable, "-W", "ignore", "-c", PEER], folder))
        sizes = {
            "report": (folder / "report.html").stat().st_size,
            "a row a cell": (folder / "peer.html").stat().st_size,
        }
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*reported, strict=True)))
        for name, reported in costs.items()
    }
    print(f"{rows:,} runs\n\n{'':16}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'page MB':>9}")
    for name, cost in medians.items():
        print(f"{name:16}{cost.cpu:9.2f}{cost.wall:9.2f}{cost.peak:9.0f}{sizes[name] / 1e6:9.2f}")
    ratio = round(medians["report"].cpu / medians["a row a cell"].cpu, 3)
    print(f"\nratio of CPU{ratio:13.3f}\n")
    figures = {
        name: {"cpu_s": round(cost.cpu, 2), "peak_mb": round(cost.peak), "page_bytes": sizes[name]}
        for name, cost in medians.items()
    }
    print(
        json.dumps({"benchmark": "report", "quick": options.quick, "runs": rows, "ratio_cpu": ratio, "costs": figures})
    )


if __name__ == "__main__":
    main()
