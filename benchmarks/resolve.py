"""The look-up, discovery and GEO's family files: requests, seconds, CPU and memory, beside GEOparse.

    python -m benchmarks.resolve [--quick] [--geoparse PYTHON]

A series of plate cells is made from a seed and served on a loopback port without any latency: what is counted are the
requests and the seconds of a look-up with empty records, and of a second one, which finds them; then the same of a
discovery of 1,000 series of four plate cells each, with all that it writes. A family file of 5,000
samples and a platform table of 50,000 rows is read to its end by ours and by GEOparse (in the interpreter --geoparse
names, by default this one: it needs `pip install GEOparse six`), each in a process of its own, in turn; the metadata of
all its samples are gathered by `python -m scripts metadata`. Figures are medians; memory is the peak of the process.
"""

import contextlib
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.command import command_parser
from scripts.plan.run_table import Run, write_runs
from tests.records.small_archives import SmallArchives, family, package, run, sample

SEED = 3
HOME = Path(__file__).parent.parent
SERIES = "GSE999999"

# Peak memory is the process's own high-water mark: what wait4 reports includes that of the parent before exec.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
"""
MODULE = f"""
import contextlib, runpy, sys
{PEAK}
sys.argv = sys.argv[1:]
with contextlib.redirect_stdout(sys.stderr):
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
print(peak())
"""
OURS = f"""
import sys, time
from scripts.records.answers import family_files
{PEAK}
begin = time.process_time()
kinds = {{}}
for entity in family_files.read_family(sys.argv[1]):
    kinds[entity.kind] = kinds.get(entity.kind, 0) + 1
print(time.process_time() - begin, kinds["sample"], peak())
"""
PEER = f"""
import sys, time, warnings
warnings.simplefilter("ignore")
import GEOparse
GEOparse.logger.set_verbosity("ERROR")
{PEAK}
begin = time.process_time()
series = GEOparse.get_GEO(filepath=sys.argv[1], silent=True)
print(time.process_time() - begin, len(series.gsms), peak())
"""


class Size(NamedTuple):
    """How much is made, and how often it is measured."""

    looked_up: int
    discovered: int
    samples: int
    rows: int
    repeats: int


FULL = Size(1000, 1000, 5000, 50_000, 5)
QUICK = Size(250, 100, 1000, 10_000, 3)
EACH = 4  # samples of a series that is discovered


class IndexedArchives(SmallArchives):
    """The small server with an index, so that its own search costs nothing."""

    def named(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self.packages]


def sample_text(number: int, dice: random.Random, series: str = SERIES) -> str:
    """Return a sample of a family file, as long as a true one (about 3 kB)."""
    words = ["cortex", "neuron", "sorted", "cell", "lysis", "buffer", "oligo-dT", "µl", "primer", "library", "at 4 °C"]

    def sentence(length: int) -> str:
        return " ".join(dice.choice(words) for _ in range(length))

    more = [
        f"characteristics_ch1 = {tag}: {dice.choice(words)}" for tag in ("tissue", "age", "strain", "well", "plate")
    ]
    more += [f"{name} = {sentence(60)}" for name in ("growth_protocol_ch1", "treatment_protocol_ch1")]
    more += [f"extract_protocol_ch1 = {sentence(80)}", f"data_processing = {sentence(60)}", "platform_id = GPL1"]
    more += [f"contact_{name} = {sentence(3)}" for name in ("name", "email", "institute", "address", "city", "country")]
    more += ["library_strategy = RNA-Seq", "library_source = transcriptomic single cell", "library_selection = cDNA"]
    return sample(f"GSM{number}", [f"SRX{number}"], series=[series], title=f"cell {number}", more=more)


def family_text(samples: int, rows: int) -> str:
    """Return a family file of a series of plate cells."""
    dice = random.Random(SEED)
    relations = ["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"]
    return family(SERIES, [sample_text(n, dice) for n in range(1, samples + 1)], relations=relations, table_rows=rows)


@contextlib.contextmanager
def served(samples: int) -> Iterator[IndexedArchives]:
    """Serve a series of so many samples."""
    archives = IndexedArchives()
    archives.families[SERIES] = family_text(samples, 100)
    for number in range(1, samples + 1):
        archives.packages[f"SRX{number}"] = cell_package(number, SERIES)
    try:
        yield archives
    finally:
        archives.close()


@contextlib.contextmanager
def served_series(number: int) -> Iterator[IndexedArchives]:
    """Serve so many series of a few samples, with their summaries."""
    archives = IndexedArchives()
    dice = random.Random(SEED)
    relations = ["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"]
    for index in range(1, number + 1):
        series = f"GSE{index}"
        samples = range(EACH * index, EACH * (index + 1))
        texts = [sample_text(gsm, dice, series) for gsm in samples]
        listed = "".join(f"!Series_sample_id = GSM{gsm}\n" for gsm in samples)
        text = family(series, texts, relations=relations, table_rows=100)
        archives.families[series] = text.replace("!Series_pubmed_id", f"{listed}!Series_pubmed_id", 1)
        archives.summaries[series] = {
            "title": f"Single cells of organ {index}",
            "pdat": "2026/10/01",
            "taxon": "Mus musculus",
            "n_samples": EACH,
            "samples": [{"accession": f"GSM{gsm}", "title": f"cell {gsm}"} for gsm in samples],
        }
        for gsm in samples:
            archives.packages[f"SRX{gsm}"] = cell_package(gsm, series)
    try:
        yield archives
    finally:
        archives.close()


def cell_package(number: int, series: str) -> str:
    """Return the record of a plate cell of one run."""
    return package(
        f"SRX{number}",
        [run(f"SRR{number}", spots=1_000_000, members=[(f"GSM{number}", "10090", "Mus musculus")])],
        gsm=f"GSM{number}",
        gse=series,
        protocol="Cells were sorted into 96-well plates, Smart-seq2 " * 20,
    )


class Cost(NamedTuple):
    """Wall and CPU seconds and peak MB of a process, and the words it printed before its peak."""

    wall: float
    cpu: float
    peak: float
    words: list[str]


def look_up(archives: SmallArchives, folder: Path) -> tuple[int, Cost]:
    """Return the requests and the cost of a look-up in a process of its own."""
    words = ["resolve", "--series", SERIES, "--evidence", str(folder / "evidence.jsonl")]
    return asked(archives, folder, [*words, "--output", str(folder / "plan.tsv")])


def discover(archives: SmallArchives, folder: Path) -> tuple[int, Cost]:
    """Return the requests and the cost of a discovery in a process of its own."""
    words = ["discover", "--since", "2026-10-01", "--limit", str(len(archives.families))]
    words += ["--page", str(folder / "discovered.html"), "--accept", str(folder / "accepted.txt")]
    return asked(archives, folder, [*words, "--output", str(folder / "discovered.tsv")])


def asked(archives: SmallArchives, folder: Path, words: Sequence[str]) -> tuple[int, Cost]:
    """Return the requests and the cost of a command that asks the archives, in a process of its own."""
    addresses = [word for name in ("geo", "eutils", "ena") for word in (f"--{name}", f"{archives.url}/{name}")]
    options = ["--species", "mus=10090", "--records", str(folder / "records"), *addresses]
    archives.requests.clear()
    cost = measured([sys.executable, "-c", MODULE, "scripts", *words, *options])
    return len(archives.requests), cost


def measured(command: Sequence[str]) -> Cost:
    """Run a program that prints its peak memory last."""
    begin = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment, cwd=HOME)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begin
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command[0]}: exit status {process.returncode}: {errors.read().decode()[-800:]}")
        *words, peak = output.read().decode().split()
        return Cost(wall, used.ru_utime + used.ru_stime, float(peak), words)


def read_by(python: str, program: str, path: Path, samples: int) -> tuple[float, float]:
    """Return CPU seconds (of the reading alone) and peak MB of a program that reads a family file."""
    cost = measured([python, "-c", program, str(path)])
    cpu, found = cost.words
    if int(found) != samples:
        raise RuntimeError(f"{found} samples were read, but {samples} were written")
    return float(cpu), cost.peak


def can_import(python: str) -> bool:
    """Whether an interpreter has GEOparse."""
    return subprocess.run([python, "-c", "import GEOparse"], capture_output=True, check=False).returncode == 0


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller input, at most a minute")
    parser.add_argument("--geoparse", default=sys.executable, help="an interpreter that has GEOparse and six")
    options = parser.parse_args(argv)
    size = QUICK if options.quick else FULL
    peer = can_import(options.geoparse)
    firsts, seconds, found, again, ours, theirs, metadata = [], [], [], [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with served(size.looked_up) as archives:
            for repeat in range(size.repeats):
                place = folder / str(repeat)
                firsts.append(look_up(archives, place))
                seconds.append(look_up(archives, place))
        with served_series(size.discovered) as archives:
            for repeat in range(size.repeats):
                place = folder / f"discovered{repeat}"
                place.mkdir()
                found.append(discover(archives, place))
                again.append(discover(archives, place))
        records = folder / "records" / SERIES
        records.mkdir(parents=True)
        path = records / f"{SERIES}_family.soft.gz"
        path.write_bytes(gzip.compress(family_text(size.samples, size.rows).encode(), mtime=0))
        ledger = folder / "runs.tsv"
        counted = Run(series=SERIES, exp_id=SERIES, species="mus", status="counted")
        numbers = range(1, size.samples + 1)
        write_runs(ledger, (counted._replace(sample=f"GSM{n}", experiment=f"SRX{n}", run=f"SRR{n}") for n in numbers))
        command = [
            sys.executable,
            "-c",
            MODULE,
            "scripts",
            "metadata",
            "--ledger",
            str(ledger),
            "--species",
            "mus",
        ]
        command += ["--records", str(folder / "records"), "--archive", str(folder / "mus_meta.tgz")]
        command += ["--samples", str(folder / "samples.csv"), "--series", str(folder / "series.csv")]
        for _ in range(size.repeats):
            ours.append(read_by(sys.executable, OURS, path, size.samples))
            if peer:
                theirs.append(read_by(options.geoparse, PEER, path, size.samples))
            metadata.append(measured(command))
        packed = path.stat().st_size / 1e6
    figures = reported(size, firsts, seconds, ours, theirs, metadata, packed)
    figures |= discovery_figures(size, found, again)
    print(json.dumps(figures, sort_keys=True))


def reported(
    size: Size,
    firsts: list[tuple[int, Cost]],
    seconds: list[tuple[int, Cost]],
    ours: list[tuple[float, float]],
    theirs: list[tuple[float, float]],
    metadata: list[Cost],
    packed: float,
) -> dict[str, float | int | None]:
    """Print the table and return the figures."""
    requests, again_requests = (statistics.median(number for number, _ in reported) for reported in (firsts, seconds))
    wall, cpu, peak = (statistics.median(getattr(cost, name) for _, cost in firsts) for name in ("wall", "cpu", "peak"))
    again_wall = statistics.median(cost.wall for _, cost in seconds)
    our_cpu, our_peak = map(statistics.median, zip(*ours, strict=True))
    their_cpu, their_peak = map(statistics.median, zip(*theirs, strict=True)) if theirs else (None, None)
    meta_cpu, meta_peak = (statistics.median(getattr(cost, name) for cost in metadata) for name in ("cpu", "peak"))
    print(f"look-up of {size.looked_up:,} samples        requests   wall s    CPU s  peak MB")
    print(f"  empty folder                  {requests:8.0f} {wall:8.2f} {cpu:8.2f} {peak:8.0f}")
    print(f"  records kept                  {again_requests:8.0f} {again_wall:8.2f}")
    print(f"family of {size.samples:,} samples, {size.rows:,} rows, {packed:.1f} MB   CPU s  peak MB")
    print(f"  ours                                    {our_cpu:8.2f} {our_peak:8.0f}")
    if theirs:
        print(f"  GEOparse                                {their_cpu:8.2f} {their_peak:8.0f}")
        print(f"  ours : GEOparse                         {our_cpu / their_cpu:8.3f} {our_peak / their_peak:8.3f}")
    else:
        print("  GEOparse is not there (pip install GEOparse six, or --geoparse PYTHON)")
    print(f"  all metadata, tarball and tables        {meta_cpu:8.2f} {meta_peak:8.0f}")
    thousand = 1000 / size.looked_up
    return {
        "samples_looked_up": size.looked_up,
        "requests": int(requests),
        "requests_second_time": int(again_requests),
        "seconds_per_1000_samples": round(wall * thousand, 3),
        "cpu_seconds_look_up": round(cpu, 3),
        "peak_mb_look_up": round(peak, 1),
        "family_samples": size.samples,
        "family_platform_rows": size.rows,
        "family_mb_packed": round(packed, 2),
        "family_cpu_seconds": round(our_cpu, 3),
        "family_peak_mb": round(our_peak, 1),
        "geoparse_cpu_seconds": None if their_cpu is None else round(their_cpu, 3),
        "geoparse_peak_mb": None if their_peak is None else round(their_peak, 1),
        "family_cpu_ratio": None if their_cpu is None else round(our_cpu / their_cpu, 4),
        "family_peak_ratio": None if their_peak is None else round(our_peak / their_peak, 4),
        "metadata_cpu_seconds": round(meta_cpu, 3),
        "metadata_peak_mb": round(meta_peak, 1),
    }


def discovery_figures(
    size: Size, firsts: list[tuple[int, Cost]], seconds: list[tuple[int, Cost]]
) -> dict[str, float | int | None]:
    """Print the lines of discovery and return its figures."""
    print(f"discovery of {size.discovered:,} series, {EACH} cells   requests   wall s    CPU s  peak MB")
    figures: dict[str, float | int | None] = {"series_discovered": size.discovered}
    for words, key, costs in (("empty folder", "", firsts), ("records kept", "_second_time", seconds)):
        requests = statistics.median(number for number, _ in costs)
        wall, cpu, peak = (
            statistics.median(getattr(cost, name) for _, cost in costs) for name in ("wall", "cpu", "peak")
        )
        print(f"  {words:<28} {requests:9.0f} {wall:8.2f} {cpu:8.2f} {peak:8.0f}")
        figures[f"requests_discovery{key}"] = int(requests)
        figures[f"cpu_seconds_discovery{key}"] = round(cpu, 3)
        figures[f"peak_mb_discovery{key}"] = round(peak, 1)
    return figures


if __name__ == "__main__":
    main()
