"""The folder of results: which files are in it, and whether they agree with the ledger.

``runs.tsv`` is the ledger; ``{species}.htseq-count.csv.gz``, ``{species}.log.csv.gz`` and ``{species}.h5ad`` are the
plate tables of a species; ``mex/{experiment}/`` (``mex/{experiment}.{species}/`` where an experiment is counted for
more than one species) has the archives of a droplet library; ``SHA256SUMS`` has the sum of every other file.
"""

import csv
import gzip
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.errors import InputError
from scripts.core.files import write_atomic
from scripts.plan.matrices import archive_folders
from scripts.plan.run_table import Run, read_runs

SUMS = "SHA256SUMS"
COUNTS = ".htseq-count.csv.gz"
LOGS = ".log.csv.gz"
_SUM = re.compile(r"([0-9A-Fa-f]{64}) [ *](.+)")
FINAL = ("counted", "left_out", "failed")
TIME_STAMP = ".snakemake_timestamp"
"""The file by which Snakemake remembers when it made a folder; where there is none it takes the folder's own time."""


def list_files(results: str | Path) -> list[str]:
    """Return the paths of all files in the folder but SHA256SUMS and Snakemake's own, relative to it, in byte order."""
    results = Path(results)
    files = (path for path in results.rglob("*") if path.is_file() and path.name != TIME_STAMP)
    paths = (path.relative_to(results).as_posix() for path in files)
    return sorted((path for path in paths if path not in (SUMS, f"{SUMS}.part")), key=str.encode)


def write_sums(path: str | Path, sums: Mapping[str, str]) -> None:
    """Write path → sha256 in the format of ``sha256sum``, sorted by path."""
    write_atomic(path, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums, key=str.encode)))


def read_sums(path: str | Path) -> dict[str, str]:
    """Return path → sha256 of a file that :func:`write_sums` or ``sha256sum`` wrote.

    Raises InputError, naming the line, for another file.
    """
    sums = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{Path(path).name}: not text in UTF-8: {error}.") from error
    for number, line in enumerate(lines, 1):
        found = _SUM.fullmatch(line)
        if found is None:
            raise InputError(f"{Path(path).name}, line {number}: not 'sha256  path' as sha256sum writes it: {line!r}.")
        sums[found[2]] = found[1].lower()
    return sums


def read_header(path: str | Path, rows: int = 4) -> list[list[str]]:
    """Return the first rows of a gzipped CSV table."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        lines = csv.reader(handle)
        return list(itertools.islice(lines, rows))


def counted_libraries(ledger: Sequence[Run]) -> dict[tuple[str, str], bool]:
    """Return (experiment, species) → whether it is counted, for every droplet library that was worked on."""
    counted: dict[tuple[str, str], bool] = {}
    for row in ledger:
        if row.assay == "droplet" and row.status in ("counted", "failed") and row.run:
            library = (row.experiment, row.species)
            counted[library] = counted.get(library, True) and row.status == "counted"
    return counted


def conservation_faults(results: str | Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each way in which the folder does not have what the ledger says, no more and no less."""
    results = Path(results)
    yield from _plan_faults(results / "plan.tsv", ledger)
    for row in ledger:
        name = row.run or row.experiment or row.sample or row.series
        if row.status not in FINAL:
            yield f"runs.tsv: {name} ends as {row.status!r}; expected {', '.join(FINAL)}."
        elif row.status != "counted" and not row.reason:
            yield f"runs.tsv: {name} is {row.status} without a reason."
    counted: dict[str, set[str]] = {}
    worked_on = set()
    for row in ledger:
        if row.assay == "plate" and row.status in ("counted", "failed"):
            worked_on.add(row.species)
            if row.status == "counted":
                counted.setdefault(row.species, set()).add(row.run)
    for ending in (COUNTS, LOGS):
        there = {path.name.removesuffix(ending) for path in results.glob(f"*{ending}")}
        for species in sorted(worked_on | there):
            path = results / f"{species}{ending}"
            if species not in there:
                yield f"{path.name}: not there, though plate runs of {species} are in the ledger."
                continue
            yield from _column_faults(path, counted.get(species, set()))
    libraries = counted_libraries(ledger)
    folders = {folder: libraries[library] for library, folder in archive_folders(libraries).items()}
    there = {path.parent.name for path in results.glob("mex/*/*.tar.gz")}
    for folder in sorted(folders.keys() | there):
        if folders.get(folder, False) and folder not in there:
            yield f"mex/{folder}: no archive in it, though the library is counted in the ledger."
        elif not folders.get(folder, False) and folder in there:
            yield f"mex/{folder}: archives of a library that is not counted in the ledger."


def _plan_faults(path: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the ledger has not the rows of the plan."""
    if not path.exists():
        return
    try:
        plan = read_runs(path)
    except InputError as error:
        yield " ".join(str(error).splitlines())
        return
    planned, settled = (
        Counter((row.series, row.sample, row.experiment, row.run, row.species) for row in rows)
        for rows in (plan, ledger)
    )
    for more, words in ((planned - settled, "in plan.tsv, but not in"), (settled - planned, "not in plan.tsv, but in")):
        if more:
            names = sorted({run or experiment or sample or series for series, sample, experiment, run, _ in more})
            yield f"runs.tsv: {_name_some(names)} {words} the ledger."


def _column_faults(path: Path, expected: set[str]) -> Iterator[str]:
    try:
        header = read_header(path, 1)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        yield f"{path.name}: its first row cannot be read: {error}."
        return
    runs = [run for column in (header[0][1:] if header else []) for run in column.split(";")]
    found = set(runs)
    twice = sorted(run for run, times in Counter(runs).items() if times > 1)
    if twice:
        yield f"{path.name}: {_name_some(twice)} there more than once."
    if expected - found:
        yield f"{path.name}: {_name_some(sorted(expected - found))} counted in the ledger, but not in it."
    if found - expected:
        yield f"{path.name}: {_name_some(sorted(found - expected))} in it, but not counted in the ledger."


def _name_some(names: Sequence[str]) -> str:
    if len(names) <= 5:
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
    return f"{', '.join(names[:5])} and {len(names) - 5} more are"
