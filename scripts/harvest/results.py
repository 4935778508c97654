"""The folder of results: which files are in it, and whether they agree with the ledger.

``runs.tsv`` is the ledger; ``{species}.htseq-count.csv.gz``, ``{species}.log.csv.gz`` and ``{species}.h5ad`` are the
plate tables of a species; ``mex/{experiment}/`` (``mex/{experiment}.{species}/`` where an experiment is counted for
more than one species) has the archives of a droplet library; ``SHA256SUMS`` has the sum of every other file.
"""

import csv
import gzip
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
"""Snakemake's file with the time of a folder; without one it takes the folder's own time."""


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


def counted_libraries(ledger: Sequence[Run]) -> dict[tuple[str, str], bool]:
    """Return (experiment, species) → whether it is counted, for every droplet library that was worked on."""
    counted: dict[tuple[str, str], bool] = {}
    for row in ledger:
        if row.assay == "droplet" and row.status in ("counted", "failed") and row.run:
            library = (row.experiment, row.species)
            counted[library] = counted.get(library, True) and row.status == "counted"
    return counted


def conservation_faults(results: str | Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each difference between the folder and the ledger."""
    results = Path(results)
    yield from _plan_faults(results / "plan.tsv", ledger)
    for row in ledger:
        name = row.run or row.experiment or row.sample or row.series
        if row.status not in FINAL:
            yield f"runs.tsv: {name} ends as {row.status!r}; expected {', '.join(FINAL)}."
        elif row.status != "counted" and not row.reason:
            yield f"runs.tsv: {name} is {row.status} without a reason."
    yield from _table_faults(results, ledger)
    yield from _archive_faults(results, ledger)


def _table_faults(results: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the columns of a table are not the counted plate runs of its species."""
    counted: dict[str, set[str]] = {}
    for row in ledger:
        if row.assay == "plate" and row.status in ("counted", "failed"):
            counted.setdefault(row.species, set()).update([row.run] if row.status == "counted" else [])
    for ending in (COUNTS, LOGS):
        tables = {path.name.removesuffix(ending) for path in results.glob(f"*{ending}")}
        for species in sorted(counted.keys() | tables):
            if species in tables:
                yield from _column_faults(results / f"{species}{ending}", counted.get(species, set()))
            else:
                yield f"{species}{ending}: missing, though plate runs of {species} are in the ledger."


def _archive_faults(results: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the folders with archives are not those of the counted droplet libraries."""
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    counted = {folders[library] for library, whole in libraries.items() if whole}
    found = {path.parent.name for path in results.glob("mex/*/*.tar.gz")}
    for folder in sorted(counted ^ found):
        if folder in counted:
            yield f"mex/{folder}: no archive in it, though the library is counted in the ledger."
        else:
            yield f"mex/{folder}: archives of a library that is not counted in the ledger."


def _plan_faults(path: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the rows of the ledger are not those of the plan."""
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
        with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
            columns = next(csv.reader(handle), [])[1:]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        yield f"{path.name}: its first row cannot be read: {error}."
        return
    runs = Counter(run for column in columns for run in column.split(";"))
    for names, words in (
        ([run for run, times in runs.items() if times > 1], "there more than once"),
        (expected - runs.keys(), "counted in the ledger, but not in it"),
        (runs.keys() - expected, "in it, but not counted in the ledger"),
    ):
        if names:
            yield f"{path.name}: {_name_some(sorted(names))} {words}."


def _name_some(names: Sequence[str]) -> str:
    if len(names) <= 5:
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
    return f"{', '.join(names[:5])} and {len(names) - 5} more are"
