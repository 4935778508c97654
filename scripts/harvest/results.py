"""The folder of results: which files are in it, and whether they agree with the ledger.

``runs.tsv`` is the ledger; ``{species}.htseq-count.csv.gz``, ``{species}.log.csv.gz`` and ``{species}.h5ad`` are the
plate tables of a species; ``mex/{experiment}/`` (``mex/{experiment}.{species}/`` where an experiment is counted for
more than one species) has the archives of a droplet library; ``SHA256SUMS`` has the sum of every other file.
"""

import csv
import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from scripts.core.disk.files import bounded_lines, kind_of_item, open_regular, path_below, read_bounded, write_atomic
from scripts.core.errors import InputError
from scripts.plan.matrices import archive_folders
from scripts.plan.run_table import Run, iterate_runs

GENE_NAME = "gene_name"
"""Head of the column of names that a table of genes may have behind the first one."""

SUMS = "SHA256SUMS"
CHANGES = "changes.tsv"
MULTIQC = ("multiqc/", ".multiqc.")
"""How the paths of MultiQC's report begin, and of what is left of one that was cut off."""
"""What the last refresh found. It depends on when the archives were asked before, so that no checksum of it is kept."""
DISCOVERED = ("discovered.tsv", "discovered.html", "discovered.accepted.txt")
"""What ``discover`` writes: it depends on the day and is no result of the analysis, so that it has no checksum."""
COUNTS = ".htseq-count.csv.gz"
LOGS = ".log.csv.gz"
TPM = ".tpm.csv.gz"
_SUM = re.compile(r"([0-9A-Fa-f]{64}) [ *](.+)")
SAMPLE_COLUMNS = "doc_id geo_accession title treatment_protocol_ch1 taxid_ch1 characteristics_ch1 platform_id".split()
SERIES_COLUMNS = "doc_id title overall_design summary platform_id pubmed_id sample_taxid relation".split()
"""Columns of {species}.metadata.samples.csv and {species}.metadata.series.csv."""
FINAL = ("counted", "left_out", "failed")
TIME_STAMP = ".snakemake_timestamp"
"""Snakemake's file with the time of a folder; without one it takes the folder's own time. It is empty."""
MOST_ROWS = 500_000
"""Rows of a ledger that are compared with other files, some 300 MB in memory."""
MOST_FAULTS = 20
"""Faults of a list of files that are reported one by one."""
_MOST_SUMS = 1 << 26  # bytes of SHA256SUMS
_NOT_COMPARED = dict.fromkeys(
    "tax_id organism chemistry layout read_roles spots bases bytes md5 source detail".split(), ""
)
_ROW = 256  # characters of a row that are kept, on average at most; there are about 90
_LONGEST_VALUE = 1 << 16  # characters
_LONGEST_NAME = 1 << 12  # bytes of the name of a gene or a field
_LONGEST_NUMBER = 24  # bytes of a number with its comma


def look_through(results: str | Path) -> tuple[dict[str, int], list[str]]:
    """Return path → size of all files in the folder, relative to it, in byte order; and what else is in it.

    No link is followed. Each link, FIFO, device and so on is a sentence, and so is a name that is no plain text.
    """
    found: dict[str, int] = {}
    strange: list[str] = []
    folders = [""]
    while folders:
        parent = folders.pop()
        try:
            with os.scandir(Path(results, parent)) as items:
                for item in items:
                    path = f"{parent}/{item.name}" if parent else item.name
                    status = item.stat(follow_symlinks=False)
                    kind = kind_of_item(status.st_mode)
                    if not item.name.isprintable():
                        strange.append(f"{path!r}: a {kind} whose name has control characters or is not UTF-8.")
                    elif kind == "file":
                        found[path] = status.st_size
                    elif kind == "folder":
                        folders.append(path)
                    else:
                        strange.append(f"{path}: a {kind}; a folder of results has only files and folders.")
        except OSError as error:
            strange.append(f"{parent or results}: cannot be read: {error.strerror}.")
    return {path: found[path] for path in sorted(found, key=str.encode)}, sorted(strange)


def list_files(results: str | Path) -> list[str]:
    """Return the paths of the files that SHA256SUMS names, relative to the folder, in byte order.

    These are all but SHA256SUMS itself, the table of changes, what ``discover`` writes, the report of MultiQC and
    Snakemake's own.
    """
    skipped = (SUMS, f"{SUMS}.part", CHANGES, *DISCOVERED)
    return [
        path
        for path in look_through(results)[0]
        if path not in skipped and Path(path).name != TIME_STAMP and not path.startswith(MULTIQC)
    ]


def broken_folders(results: str | Path) -> set[str]:
    """Return the folders in the results that lack a file which SHA256SUMS names, and those above them.

    A folder with a file that is newer than SHA256SUMS was made again since, and may have other files.
    """
    results = Path(results)
    sums = results / SUMS
    try:
        names = read_sums(sums)
        written = sums.stat().st_mtime
    except (OSError, InputError):  # there are none; or they are damaged, and made again
        return set()
    listed: dict[Path, set[str]] = {}
    for path in map(Path, names):
        listed.setdefault(path.parent, set()).add(path.name)
    broken: set[str] = set()
    for folder, files in listed.items():
        place = results / folder
        have = {entry.name: entry.stat().st_mtime for entry in os.scandir(place)} if place.is_dir() else {}
        if not files <= have.keys() and max(have.values(), default=0) <= written:
            broken.update(str(results / above) for above in (folder, *folder.parents) if above.name)
    return broken


def write_sums(path: str | Path, sums: Mapping[str, str]) -> None:
    """Write path → sha256 in the format of ``sha256sum``, sorted by path."""
    write_atomic(path, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums, key=str.encode)))


def read_sums(path: str | Path) -> dict[str, str]:
    """Return path → sha256 of a file that :func:`write_sums` or ``sha256sum`` wrote.

    Raises InputError, with all lines that are none, or whose path is doubled, absolute or has ``..``.
    """
    name = Path(path).name
    sums: dict[str, str] = {}
    faults = []
    try:
        lines = read_bounded(path, _MOST_SUMS).decode().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not text in UTF-8: {error}.") from error
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        found = _SUM.fullmatch(line)
        if found is None:
            faults.append(f"{name}, line {number}: not 'sha256  path' as sha256sum writes it: {line[:200]!r}.")
            continue
        try:
            path_below("the folder", *found[2].split("/"))
        except InputError as error:
            faults.append(f"{name}, line {number}: {found[2][:200]!r} is no path in the folder: {error}")
        if found[2] in sums:
            faults.append(f"{name}, line {number}: {found[2]!r} is there more than once.")
        sums[found[2]] = found[1].lower()
    if faults:
        more = [f"{name}: and {len(faults) - MOST_FAULTS} more lines like these."] if faults[MOST_FAULTS:] else []
        raise InputError("\n".join(faults[:MOST_FAULTS] + more))
    return sums


def longest_line(ledger: Sequence[Run]) -> int:
    """Return how many bytes a line of a table of these plate runs has at most.

    A line has a name and, for each run at most, a number or an accession of each of its kinds.
    """
    plates = [row for row in ledger if row.assay == "plate"]
    names = sum(len(row.run) + len(row.exp_id or row.series) + len(row.species) + len(row.sample) for row in plates)
    return _LONGEST_NAME + 4 * names + _LONGEST_NUMBER * len(plates)


def read_ledger(path: str | Path, most: int = MOST_ROWS) -> list[Run]:
    """Return the rows of a plan or a ledger without the values that are not compared with other files.

    Raises InputError where it is no run table, or has more than ``most`` rows.
    """
    rows: list[Run] = []
    characters = 0
    for row in iterate_runs(path):
        if len(rows) == most:
            raise InputError(f"{Path(path).name}: more than {most:,} rows; see the option --max-rows of verify.")
        if (longest := max(map(len, row))) > _LONGEST_VALUE:
            raise InputError(
                f"{Path(path).name}: {row.run[:80]!r} has a value of {longest:,} characters, too long for any."
            )
        rows.append(row._replace(**_NOT_COMPARED))
        characters += sum(map(len, rows[-1]))
        if characters > _ROW * most:
            raise InputError(f"{Path(path).name}: more text in its first {len(rows):,} rows than accessions have.")
    return rows


def counted_libraries(ledger: Sequence[Run]) -> dict[tuple[str, str], bool]:
    """Return (experiment, species) → whether it is counted, for every droplet library that was worked on."""
    counted: dict[tuple[str, str], bool] = {}
    for row in ledger:
        if row.assay == "droplet" and row.status in ("counted", "failed") and row.run:
            library = (row.experiment, row.species)
            counted[library] = counted.get(library, True) and row.status == "counted"
    return counted


def conservation_faults(results: str | Path, ledger: Sequence[Run], most: int = MOST_ROWS) -> Iterator[str]:
    """Yield a sentence for each difference between the folder and the ledger; ``most`` as for :func:`read_ledger`."""
    results = Path(results)
    files = list_files(results)
    if "plan.tsv" in files:
        yield from _plan_faults(results / "plan.tsv", ledger, most)
    for row in ledger:
        name = row.run or row.experiment or row.sample or row.series
        if row.status not in FINAL:
            yield f"runs.tsv: {name} ends as {row.status!r}; expected {', '.join(FINAL)}."
        elif row.status != "counted" and not row.reason:
            yield f"runs.tsv: {name} is {row.status} without a reason."
    yield from _table_faults(results, files, ledger)
    yield from _archive_faults(files, ledger)


def species_of(files: Iterable[str], ending: str) -> list[str]:
    """Return the species that have a table with this ending, sorted."""
    return sorted(name.removesuffix(ending) for name in files if name.endswith(ending) and "/" not in name)


def archive_files(files: Iterable[str]) -> list[str]:
    """Return the MEX archives among the files, ``mex/{library}/{matrix}.tar.gz``."""
    return [name for name in files if re.fullmatch(r"mex/[^/]+/[^/]+\.tar\.gz", name)]


def _table_faults(results: Path, files: Sequence[str], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the columns of a table are not the counted plate runs of its species."""
    counted: dict[str, set[str]] = {}
    for row in ledger:
        if row.assay == "plate" and row.status in ("counted", "failed"):
            counted.setdefault(row.species, set()).update([row.run] if row.status == "counted" else [])
    for ending in (COUNTS, LOGS, TPM):
        tables = set(species_of(files, ending))
        for species in sorted(counted.keys() | tables):
            if species in tables:
                path = results / f"{species}{ending}"
                yield from _column_faults(path, counted.get(species, set()), longest_line(ledger))
            elif ending != TPM:
                yield f"{species}{ending}: missing, though plate runs of {species} are in the ledger."


def _archive_faults(files: Sequence[str], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the folders with archives are not those of the counted droplet libraries."""
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    counted = {folders[library] for library, whole in libraries.items() if whole}
    found = {name.split("/")[1] for name in archive_files(files)}
    for folder in sorted(counted ^ found):
        if folder in counted:
            yield f"mex/{folder}: no archive in it, though the library is counted in the ledger."
        else:
            yield f"mex/{folder}: archives of a library that is not counted in the ledger."


def _plan_faults(path: Path, ledger: Sequence[Run], most: int) -> Iterator[str]:
    """Yield a sentence where the rows of the ledger are not those of the plan."""
    try:
        plan = read_ledger(path, most)
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


def split_line(line: bytes) -> list[str]:
    """Return the values of a line of a CSV table, none of an empty one. Raises ValueError where it is no such line."""
    try:
        return next(csv.reader([line.decode()]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(str(error)) from error


def _column_faults(path: Path, expected: set[str], longest: int) -> Iterator[str]:
    try:
        with open_regular(path) as packed, gzip.open(packed) as handle:
            columns = split_line(next(bounded_lines(cast(BinaryIO, handle), longest, path.name), b""))[1:]
            columns = columns[1:] if columns[:1] == [GENE_NAME] else columns
    except InputError as error:
        yield str(error)
        return
    except (OSError, EOFError, zlib.error, ValueError) as error:
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
