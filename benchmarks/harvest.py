"""The harvest at the size of the 2017 mouse data: tables of 47,102 cells × 55,000 genes, 8 % of them counted.

    python -m benchmarks.harvest [--quick] [--cells N] [--folder FOLDER]

Shards are made from a seed (--quick: 1,000 cells). Every measurement is a process of its own, or a few: CPU is user and
system time of all of them, peak their memory together (proportional set size, sampled). From shards: the table, beside
`igzip -1` and `pigz -6` on the finished text, and the h5ad, beside anndata's gzip writer. From text files of 1,000
cells (--quick: 60): the table, beside a straightforward Python 3 reading of the 2017 algorithm, pandas and polars.
Polars is measured where it is installed; where it is not, the table says so. --folder keeps the shards for a next time.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse

from scripts.core.command import command_parser
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import cut_into_units, write_units
from scripts.plates.shard_counts import TALLIES, ShardCounts, write_shard_counts
from scripts.references.genes_table import GeneRow, write_genes

SEED = 2017
GENES = 55_000
SHARD = 96
HOME = Path(__file__).parent.parent
FIELDS = ("Number of input reads", "Uniquely mapped reads number", "Number of reads mapped to multiple loci")


class Cost(NamedTuple):
    """CPU and wall seconds of a process and its children, and their peak memory together (MB)."""

    cpu: float
    wall: float
    peak: float


class Sizes(NamedTuple):
    """How much is made, and how often each is measured."""

    cells: int
    text_cells: int
    repeats: int


FULL = Sizes(47_102, 1_000, 3)
QUICK = Sizes(1_000, 60, 2)

# The peers, each run by a Python of its own ---------------------------------------------------------------------------

PLAIN = """
import csv, gzip
from collections import defaultdict
from pathlib import Path
table = defaultdict(list)
files = sorted(Path("texts").iterdir())
for path in files:
    with path.open() as handle:
        for line in handle:
            name, count = line.rstrip().split("\\t")
            table[name].append(count)
runs = [path.name.partition(".")[0] for path in files]
with gzip.open("peer.csv.gz", "wt", compresslevel=LEVEL, newline="") as handle:
    writer = csv.writer(handle, lineterminator="\\n")
    writer.writerow(["GENENAME", *runs])
    writer.writerow(["EXP_ID", *("" for _ in runs)])
    writer.writerow(["TAXON", *("mus" for _ in runs)])
    writer.writerow(["GSM", *("" for _ in runs)])
    for name in sorted(table):
        writer.writerow([name, *table[name]])
"""
PANDAS = """
import pandas
from pathlib import Path
files = sorted(Path("texts").iterdir())
runs = [path.name.partition(".")[0] for path in files]
cells = [pandas.read_csv(path, sep="\\t", header=None, index_col=0, names=["", run]) for path, run in zip(files, runs)]
table = pandas.concat(cells, axis=1).sort_index()
table.index.name = "GENENAME"
table.to_csv("peer.csv.gz", compression={"method": "gzip", "compresslevel": 9, "mtime": 0})
"""
POLARS = """
import gzip, polars
from pathlib import Path
files = sorted(Path("texts").iterdir())
def read(path, columns):
    names = ["GENENAME", path.name]
    return polars.read_csv(path, separator="\\t", has_header=False, new_columns=names, columns=columns)
table = polars.concat([read(files[0], [0, 1]), *(read(path, [1]) for path in files[1:])], how="horizontal")
with gzip.open("peer.csv.gz", "wb", compresslevel=9) as handle:
    table.sort("GENENAME").write_csv(handle)
"""
ANNDATA = """
import anndata, scipy.sparse
from pathlib import Path
shards = [anndata.read_h5ad(path) for path in sorted(Path("shards").iterdir())]
counts = scipy.sparse.vstack([shard.X.tocsr() for shard in shards], format="csr")
index = [name for shard in shards for name in shard.obs_names]
anndata.AnnData(counts, obs={"runs": index}, var=shards[0].var).write_h5ad("peer.h5ad", compression="gzip")
"""


def descendants(root: int) -> list[int]:
    """Return a process and all processes that it started."""
    found, left = [], [root]
    while left:
        process = left.pop()
        found.append(process)
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                left += map(int, task.read_text().split())
            except OSError:  # it has ended
                continue
    return found


def memory_of(root: int) -> float:
    """Return the memory of a process and its children together, in MB; what they share is counted once."""
    total = 0
    for process in descendants(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1000


def measure(command: Sequence[str], folder: Path, source: Path | None = None, target: Path | None = None) -> Cost:
    """Run a command and return its cost; it must succeed. ``source`` is a gzipped file whose text it gets as input."""
    start = time.perf_counter()
    feeder = None
    if source is not None:
        feeder = subprocess.Popen([sys.executable, "-m", "isal.igzip", "-d", "-c", str(source)], stdout=subprocess.PIPE)
    with (target or Path(os.devnull)).open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=feeder.stdout if feeder else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        )
    peak = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], memory_of(process.pid))
            done.wait(0.05)

    sampler = threading.Thread(target=sample)
    sampler.start()
    reported = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    sampler.join()
    if process.stderr:
        process.stderr.close()
    if feeder and feeder.stdout:
        feeder.stdout.close()
        feeder.wait()
    if process.returncode:
        sys.exit(f"{command}: exit status {process.returncode}\n{reported.decode()}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - start, peak[0])


class Model:
    """Counts of cells, drawn from a seed: genes and cells of very different depth, 8 % of all counts not zero."""

    def __init__(self) -> None:
        random = np.random.default_rng(SEED)
        self.genes = sorted({f"ENSMUSG{number:011d}.{number % 12 + 1}" for number in range(1, 2 * GENES, 2)})[:GENES]
        self.share = np.minimum(np.exp(random.normal(-4.2, 2.2, GENES)), 0.98).astype(np.float32)
        self.share *= 0.08 / self.share.mean()
        self.mean = (np.log1p(self.share * 30) + 0.3).astype(np.float32)

    def cells(self, number: int, cells: int) -> tuple[scipy.sparse.csc_matrix, np.ndarray]:
        """Return counts (cells × genes) and tallies of a shard."""
        random = np.random.default_rng([SEED, number])
        depth = random.lognormal(0, 0.3, cells).astype(np.float32)
        there = random.random((GENES, cells), np.float32) < self.share[:, None] * depth
        gene, cell = np.nonzero(there)
        noise = random.standard_normal(len(gene), np.float32) * 1.2
        counts = np.exp(self.mean[gene] + noise).astype(np.int32) + 1
        indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        matrix = scipy.sparse.csc_matrix((counts, cell.astype(np.int32), indptr), shape=(cells, GENES))
        return matrix, random.integers(0, 10**6, (cells, len(TALLIES)))


def make_shards(folder: Path, cells: int, model: Model) -> None:
    """Write plan, ledger, table of genes and shards of that many cells, unless they are there."""
    if (folder / "made").exists() and (folder / "made").read_text() == f"{SEED} {cells}":
        return
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    rows = []
    series = 0
    for number, start in enumerate(range(0, cells, SHARD)):
        if number % 4 == 0:
            series += 1
        count = min(SHARD, cells - start)
        names = [f"{start + cell:07d}" for cell in range(count)]
        matrix, tallies = model.cells(number, count)
        mapped = np.asarray(matrix.sum(axis=1)).ravel() + tallies.sum(axis=1)
        logs = [dict(zip(FIELDS, (str(total), str(total), "0"), strict=True)) for total in mapped.tolist()]
        shard = ShardCounts(
            *(model.genes, [f"SRX{name}" for name in names], [f"SRR{name}" for name in names]),
            *(matrix, tallies, logs, "mm10 sha256:0"),
        )
        write_shard_counts(folder / "shards" / f"GSE{series:06d}.mus.{number % 4:04d}.h5ad", shard)
        row = Run(f"GSE{series:06d}", f"GSE{series:06d}", species="mus", assay="plate", status="counted")
        rows += [row._replace(sample=f"GSM{name}", experiment=f"SRX{name}", run=f"SRR{name}") for name in names]
    write_runs(folder / "runs.tsv", rows)
    planned = [row._replace(status="planned") for row in rows]
    write_units(folder / "units", cut_into_units(planned, SHARD), "experiment")
    write_genes(folder / "genes.tsv", [GeneRow(gene, gene, "protein_coding", 1000, "chr1") for gene in model.genes])
    (folder / "made").write_text(f"{SEED} {cells}")


def make_texts(folder: Path, cells: int, model: Model) -> None:
    """Write the text files of htseq-count of that many cells."""
    (folder / "texts").mkdir(parents=True)
    for number, start in enumerate(range(0, cells, SHARD)):
        matrix, tallies = model.cells(number, min(SHARD, cells - start))
        for cell, counts in enumerate(matrix.toarray().tolist()):
            lines = [f"{gene}\t{count}\n" for gene, count in zip(model.genes, counts, strict=True)]
            lines += [f"{name}\t{count}\n" for name, count in zip(TALLIES, tallies[cell].tolist(), strict=True)]
            path = folder / "texts" / f"SRR{start + cell:07d}.mus.htseq-count.txt"
            path.write_text("".join(lines))


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def in_turn(repeats: int, measured: dict[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Measure all in turn, several times over; return the median of each."""
    costs: dict[str, list[Cost]] = {name: [] for name in measured}
    for _ in range(repeats):
        for name, call in measured.items():
            costs[name].append(call())
            print(f"{name}: {costs[name][-1].cpu:.2f} s", file=sys.stderr, flush=True)
    return {name: median(reported) for name, reported in costs.items()}


def text_of(path: Path) -> tuple[int, str]:
    """Return length and md5 of the text of a gzipped file."""
    from isal import igzip

    digest, length = hashlib.md5(), 0
    with igzip.open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
            length += len(block)
    return length, digest.hexdigest()


def installed(module: str) -> bool:
    """Whether a Python package can be imported."""
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def table_from_shards(folder: Path, sizes: Sizes, reported: dict[str, object]) -> dict[str, Cost]:
    """Measure the table from shards, with one and two processors, and the deflaters on its text."""
    arguments = [sys.executable, "-m", "scripts", "counts_table", "--units", "units", "--ledger", "runs.tsv"]
    arguments += ["--counts", "shards/{unit}.h5ad", "--species", "mus"]
    table, other = folder / "table.csv.gz", folder / "two.csv.gz"
    measured = {
        "table, 1 processor": lambda: measure([*arguments, "--output", str(table)], folder),
        "table, 2 processors": lambda: measure([*arguments, "--workers", "2", "--output", str(other)], folder),
    }
    igzip = shutil.which("igzip")
    compressor = [igzip, "-1", "-c"] if igzip else [sys.executable, "-m", "isal.igzip", "-1", "-c"]
    measured["limit: igzip -1" if igzip else "limit: python -m isal.igzip -1"] = lambda: measure(
        compressor, folder, source=table
    )
    costs = in_turn(sizes.repeats, measured)
    if shutil.which("pigz"):
        costs["pigz -6"] = measure(["pigz", "-p1", "-6", "-n", "-c"], folder, source=table)
    reported["table_bytes"] = table.stat().st_size
    reported["text_bytes"], digest = text_of(table)
    reported["table_same_bytes_for_1_and_2_processors"] = table.read_bytes() == other.read_bytes()
    reported["table_text_md5"] = digest
    other.unlink()
    return costs


def h5ad_from_shards(folder: Path, reported: dict[str, object]) -> dict[str, Cost]:
    """Measure the h5ad from shards, and anndata's own writer."""
    arguments = [sys.executable, "-m", "scripts", "counts_h5ad", "--units", "units", "--ledger", "runs.tsv"]
    arguments += ["--counts", "shards/{unit}.h5ad", "--species", "mus"]
    arguments += ["--genes", "genes.tsv", "--records", "records", "--output", "mus.h5ad"]
    costs = in_turn(
        1,
        {
            "h5ad": lambda: measure(arguments, folder),
            "anndata gzip": lambda: measure([sys.executable, "-W", "ignore", "-c", ANNDATA], folder),
        },
    )
    reported["h5ad_bytes"] = (folder / "mus.h5ad").stat().st_size
    reported["anndata_bytes"] = (folder / "peer.h5ad").stat().st_size
    (folder / "peer.h5ad").unlink()
    return costs


def table_from_texts(folder: Path, sizes: Sizes, reported: dict[str, object]) -> dict[str, Cost]:
    """Measure the table from text files, beside programs that read them as they are."""
    peers = {"2017, gzip 9": PLAIN.replace("LEVEL", "9"), "2017, gzip 6": PLAIN.replace("LEVEL", "6")}
    if installed("pandas"):
        peers["pandas, gzip 9"] = PANDAS
    if installed("polars"):
        peers["polars, gzip 9"] = POLARS
    ours = [sys.executable, "-m", "scripts", "counts_table", "--htseq-counts", "texts", "--species", "mus"]
    measured = {"from text": lambda: measure([*ours, "--output", "ours.csv.gz"], folder)}
    for name, program in peers.items():
        measured[name] = lambda program=program: measure([sys.executable, "-c", program], folder)
    costs = in_turn(1, measured)
    measure([sys.executable, "-c", PLAIN.replace("LEVEL", "1")], folder)
    reported["text_from_files_same_as_2017"] = text_of(folder / "ours.csv.gz") == text_of(folder / "peer.csv.gz")
    more = [measured["from text"]() for _ in range(sizes.repeats - 1)]
    return costs | {"from text": median([costs["from text"], *more])}


RATIOS = (
    ("table / igzip -1", "table, 1 processor", "limit: igzip -1", 3.5),
    ("table, 2 processors / igzip -1", "table, 2 processors", "limit: igzip -1", 3.5),
    ("table / igzip -1 (of Python)", "table, 1 processor", "limit: python -m isal.igzip -1", 3.5),
    ("table / pigz -6", "table, 1 processor", "pigz -6", 0.3),
    ("h5ad / anndata gzip", "h5ad", "anndata gzip", 0.2),
    ("from text / 2017, gzip 9", "from text", "2017, gzip 9", 0.12),
    ("from text / 2017, gzip 6", "from text", "2017, gzip 6", 0.21),
    ("from text / pandas", "from text", "pandas, gzip 9", 0.08),
    ("from text / polars", "from text", "polars, gzip 9", None),
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, less than a minute")
    parser.add_argument("--cells", type=int, help="cells of the table from shards")
    parser.add_argument("--folder", type=Path, help="where the made shards are kept")
    options = parser.parse_args(argv)
    sizes = QUICK if options.quick else FULL
    if options.cells:
        sizes = sizes._replace(cells=options.cells)
    model = Model()
    reported: dict[str, object] = {"cells": sizes.cells, "genes": GENES, "text_cells": sizes.text_cells}
    with tempfile.TemporaryDirectory(prefix="harvest.") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        started = time.perf_counter()
        make_shards(folder, sizes.cells, model)
        print(f"made {sizes.cells:,} cells in {time.perf_counter() - started:.0f} s", flush=True)
        costs = table_from_shards(folder, sizes, reported)
        costs |= h5ad_from_shards(folder, reported)
        shutil.rmtree(folder / "texts", ignore_errors=True)
        make_texts(folder, sizes.text_cells, model)
        costs |= table_from_texts(folder, sizes, reported)
        shutil.rmtree(folder / "texts")

    print(f"\n{sizes.cells:,} cells × {GENES:,} genes from shards; {sizes.text_cells:,} cells from text\n")
    print(f"{'':32}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}{'MB/s of text':>14}")
    rate = {}
    for name, cost in costs.items():
        if name.startswith(("table", "limit", "pigz")):
            rate[name] = float(str(reported["text_bytes"])) / 1e6 / cost.cpu
        speed = f"{rate[name]:14.0f}" if name in rate else ""
        print(f"{name:32}{cost.cpu:9.2f}{cost.wall:9.2f}{cost.peak:9.0f}{speed}")
    print(f"\n{'ratio of CPU':32}{'':>9}{'aim':>9}")
    ratios = {}
    for name, ours, peer, aim in RATIOS:
        if ours in costs and peer in costs:
            ratios[name] = round(costs[ours].cpu / costs[peer].cpu, 3)
            print(f"{name:32}{ratios[name]:9.3f}{'' if aim is None else f'{aim:9.2f}'}")
        elif peer.startswith(("pandas", "polars", "pigz")):
            print(f"{name:32}{'not installed':>18}")
    ratios["h5ad / anndata gzip, memory"] = round(costs["h5ad"].peak / costs["anndata gzip"].peak, 3)
    print(f"{'h5ad / anndata gzip, memory':32}{ratios['h5ad / anndata gzip, memory']:9.3f}{0.1:9.2f}")
    limit = next(name for name in rate if name.startswith("limit"))
    reported["share_of_limit"] = round(rate["table, 1 processor"] / rate[limit], 3)
    print(f"{'share of the limit':32}{reported['share_of_limit']:9.3f}")
    print(f"same bytes for 1 and 2 processors: {reported['table_same_bytes_for_1_and_2_processors']}")
    print(f"same text from files as the plain program: {reported['text_from_files_same_as_2017']}\n")
    figures = {
        name: {"cpu_s": round(c.cpu, 2), "wall_s": round(c.wall, 2), "peak_mb": round(c.peak)}
        for name, c in costs.items()
    }
    print(json.dumps({"benchmark": "harvest", "quick": options.quick, **reported, "ratios": ratios, "costs": figures}))


if __name__ == "__main__":
    main()
