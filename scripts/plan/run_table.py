"""The run table: one row for every run that entered, as plan (results/plan.tsv) and as ledger (results/runs.tsv).

Tab-separated UTF-8 with ``\\n`` line ends and one header line; rows sorted by series, experiment, run, species.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError, raise_faults
from scripts.core.output import printable
from scripts.core.untrusted import open_lines, quoted, strip_blanks
from scripts.plan.accessions import accession_of, parse_accession, why_not_asked
from scripts.plan.reasons import REASONS


class Run(NamedTuple):
    """A row of the run table; every value is text, empty where unknown."""

    series: str = ""
    exp_id: str = ""
    sample: str = ""
    experiment: str = ""
    run: str = ""
    tax_id: str = ""
    organism: str = ""
    species: str = ""
    assay: str = ""
    chemistry: str = ""
    layout: str = ""
    read_roles: str = ""
    spots: str = ""
    bases: str = ""
    bytes: str = ""
    md5: str = ""
    source: str = ""
    status: str = ""
    reason: str = ""
    detail: str = ""


COLUMNS = Run._fields

STATUSES = ("planned", "counted", "left_out", "failed")
ASSAYS = ("plate", "droplet")
LAYOUTS = ("single", "paired")
SOURCES = ("sra", "ncbi", "ena")
"""What ``archives.order`` may name: NCBI's resolver, the addresses in NCBI's record, those in ENA's."""
ORDERED = (*SOURCES, "ena_fastq")
"""What ``archives.order`` may name, too: ENA's FASTQ, which otherwise stands in for archives where ``ena`` is named."""
ARCHIVES = (*ORDERED, "submitted", "bam")
"""Values of ``source`` other than files: the archives, and what ENA and the submitter have as FASTQ and BAM."""
ROLES = ("cdna", "barcode", "umi", "index", "cdna2", "none")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")  # safe in a path, in a wildcard, and behind an option
_DOTTED = re.compile(r"(?!.{81})[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")  # is never the first part of a unit
_NUMBERED = re.compile(r"(.+)_[0-9]+")  # as the FASTQ files of a run are named
_FASTQ = re.compile(r"\.f(?:ast)?q(?:\.\w+)?$", re.IGNORECASE)
_NOT_NAMED = "no accession; a letter, then letters, digits, '_' and '-' make one, 80 at most"
_SHAPES = (
    ("series", _NAME, _NOT_NAMED),
    *((column, _DOTTED, f"{_NOT_NAMED}, and dots between them") for column in ("experiment", "run")),
    (
        "sample",
        re.compile(r"(?![.-])[^/\\\x00-\x1f\x7f]{1,200}"),
        "no name of a sample; letters, digits and blanks make one",
    ),
    ("exp_id", re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}"), "no name of a file"),
    ("tax_id", re.compile(r"[1-9][0-9]{0,9}"), "not a whole number"),
    ("md5", re.compile(r"[0-9A-Fa-f]{32}"), "no MD5 checksum, which has 32 hex digits"),
)
_NUMBER = re.compile(r"[0-9]{1,15}")
_LARGEST = 1 << 34  # bytes: of some ten million rows
_LONGEST_NAME = 80
_MOST_FAULTS = 1000  # that are reported at once
NUMBERS = ("spots", "bases", "bytes")
# A column of accessions or of a small vocabulary repeats down the table: one string object serves all its rows.
_REPEATED = [COLUMNS.index(name) for name in COLUMNS if name not in ("run", "spots", "bases", "bytes", "md5", "detail")]


def row_order(row: Run) -> tuple[str, ...]:
    """Key that sorts rows as both tables are sorted."""
    return row.series, row.experiment, row.run, row.species, row.sample


def iterate_values(path: str | Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the values of each row of a run table in the order of ``columns``; columns that it lacks are empty.

    A table that a person made may have blanks and quotes around its cells, blank lines and empty columns. Raises
    InputError, naming the file, for an unreadable file, a missing header, an unknown or doubled column and, behind the
    other rows, for all rows of the wrong width.
    """
    title = f"The run table ({path})"
    lines = enumerate(_lines(path, title), 1)
    where, header = _header(lines, columns)
    faults = [f"{where}: {quoted(name)} is not a column of a run table." for name in header if name not in columns]
    faults += [
        f"{where}: column {quoted(name)} is duplicated." for name in sorted(set(header)) if header.count(name) > 1
    ]
    if "run" not in header:
        faults.append(f"{where}: no column 'run'; {_separation(header)}.")
    raise_faults(title, faults)
    in_order = header == list(columns)
    indices = [header.index(name) if name in header else None for name in columns]
    width = len(header)
    for number, line in lines:
        values = line.split("\t") if _is_plain(line) else _cells(line)
        if len(values) > width and not any(values[width:]):
            values = values[:width]
        if len(values) == width and any(values):
            yield values if in_order else ["" if index is None else values[index] for index in indices]
        elif any(values):
            faults.append(f"line {number}: {len(values)} values, but the header has {width} columns.")
            if len(faults) == _MOST_FAULTS:
                break
    raise_faults(title, faults)


def _separation(header: Sequence[str]) -> str:
    """Return what to do about a first line without the column that is needed."""
    for separator, name in ((",", "commas"), (";", "semicolons"), (" ", "blanks")):
        if len(header) == 1 and "run" in header[0].lower().split(separator):
            return f"the table is separated by {name}; save it separated by tabs"
    return "the first line names the columns, separated by tabs"


def _lines(path: str | Path, title: str) -> Iterator[str]:
    try:
        yield from open_lines(path, _LARGEST)
    except InputError as error:
        raise_faults(title, [str(error).removeprefix(f"{path}: ")])


def header_of(path: str | Path, columns: Sequence[str]) -> list[str]:
    """Return the names of a table's columns; those of ``columns`` in lower case. Raises InputError, naming the file."""
    return _header(enumerate(_lines(path, f"The run table ({path})"), 1), columns)[1]


def _header(lines: Iterable[tuple[int, str]], columns: Sequence[str]) -> tuple[str, list[str]]:
    """Return where the first line is that is not blank, and the names in it but for empty ones at its end."""
    for number, line in lines:
        cells = _cells(line)
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            return f"line {number}", [name.lower() if name.lower() in columns else name for name in cells]
    return "line 1", []


def _is_plain(line: str) -> bool:
    """Whether no cell of a line can have blanks or quotes around it."""
    return line.isascii() and not ('"' in line or "\t " in line or " \t" in line or line[:1] == " " or line[-1:] == " ")


def _cells(line: str) -> list[str]:
    cells = [strip_blanks(cell) for cell in line.split("\t")]
    return [cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell for cell in cells]


def iterate_runs(path: str | Path) -> Iterator[Run]:
    """Yield the rows of a run table, see :func:`iterate_values`."""
    yield from map(as_run, iterate_values(path, COLUMNS))


def as_run(values: list[str]) -> Run:
    """Return a row of a run table from its values, in the order of the columns."""
    for column in _REPEATED:
        values[column] = sys.intern(values[column])
    return Run._make(values)


def read_runs(path: str | Path) -> list[Run]:
    """Return all rows of a run table, see :func:`iterate_values`."""
    return list(iterate_runs(path))


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write tab-separated rows below a header line.

    Tabs and line ends inside values become blanks, and other control characters escapes: people look at tables
    on terminals. Several blanks become one, but in paths.
    """
    with Path(path).open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(columns) + "\n")
        for row in rows:
            line = "\t".join(value if _is_path(value) else " ".join(value.split()) for value in row)
            handle.write(f"{printable(line)}\n")


def _is_path(value: str) -> bool:
    return value.startswith("file:") and value.isprintable()


def write_runs(path: str | Path, rows: Iterable[Run]) -> None:
    """Write rows as a run table, sorted."""
    ordered = sorted(rows, key=row_order)
    write_table(path, COLUMNS, ordered)


class Fault(NamedTuple):
    """A value in a run table that cannot be used."""

    column: str
    value: str
    sentence: str


class RunFaults:
    """What cannot be used in a run table, asked row by row; ``species`` are the configured labels."""

    def __init__(self, species: Iterable[str]) -> None:
        self._known = sorted(species)
        self._series: dict[str, dict[str, str]] = {}
        """Species → run → its series, of the planned rows so far."""
        self._assays: dict[str, dict[str, str]] = {}
        """Species → experiment → its assay."""

    def of_row(self, row: Run) -> Iterator[Fault]:
        """Yield every value in a row that cannot be used, or contradicts a row before it."""
        name = row.run or row.experiment or row.sample or row.series
        name = name if name.isprintable() and len(name) <= _LONGEST_NAME else quoted(name)
        yield from _faults_of_row(row, name)
        if row.status not in ("", "planned"):
            return
        yield from _faults_of_planned(row, name, self._known)
        assays = self._assays.setdefault(row.species, {})
        if row.assay in ASSAYS and assays.setdefault(row.experiment, row.assay) != row.assay:
            sentence = f"{name}: experiment {row.experiment} is plate in one row and droplet in another."
            yield Fault("assay", row.assay, sentence)
        series = self._series.setdefault(row.species, {})
        if row.run in series:
            yield Fault("run", row.run, f"{name}: the run is duplicated for {row.species}.")
        series.setdefault(row.run, row.series)

    def of_names(self) -> Iterator[Fault]:
        """Yield the runs whose files would be named like those of another one, after the last row."""
        numbered = (  # no accession has "_"
            (series, species, run)
            for species, runs in self._series.items()
            for run, series in runs.items()
            if "_" in run
        )
        for series, species, run in sorted(numbered):
            if (found := _NUMBERED.fullmatch(run)) and self._series[species].get(found[1]) == series:
                words = f"its FASTQ files would be named like those of {found[1]}; rename one of the two runs."
                yield Fault("run", run, f"{run}: {words}")


def faults_of(rows: Iterable[Run], species: Iterable[str]) -> Iterator[Fault]:
    """Yield every value in a run table that cannot be used; ``species`` are the configured labels."""
    faults = RunFaults(species)
    for row in rows:
        yield from faults.of_row(row)
    yield from faults.of_names()


def _faults_of_row(row: Run, name: str) -> Iterator[Fault]:
    for column, pattern, words in _SHAPES:
        value = getattr(row, column)
        if value and not pattern.fullmatch(value):
            yield Fault(column, value, f"{name}: {column} {quoted(value)} is {words}.")
    if row.status not in ("", *STATUSES):
        yield Fault("status", row.status, f"{name}: status {quoted(row.status)} is not one of {', '.join(STATUSES)}.")
    if row.reason and row.reason not in REASONS:
        yield Fault("reason", row.reason, f"{name}: reason {quoted(row.reason)} is not a code of the ledger.")
    for column in NUMBERS:
        value = getattr(row, column)
        if value and not _NUMBER.fullmatch(value):
            yield Fault(column, value, f"{name}: {column} {quoted(value)} is not a whole number.")


def _faults_of_planned(row: Run, name: str, species: Sequence[str]) -> Iterator[Fault]:
    if not row.run:
        yield Fault("run", "", f"{name}: a planned row needs a run.")
    if row.species not in species:
        sentence = f"{name}: species {quoted(row.species)} is not configured; known are {', '.join(species)}."
        yield Fault("species", row.species, sentence)
    if row.assay not in ASSAYS:
        yield Fault("assay", row.assay, f"{name}: assay {quoted(row.assay)} is neither plate nor droplet.")
    if row.layout not in ("", *LAYOUTS):
        yield Fault("layout", row.layout, f"{name}: layout {quoted(row.layout)} is neither single nor paired.")
    if row.read_roles and not set(row.read_roles.split(",")) <= set(ROLES):
        sentence = f"{name}: read_roles {quoted(row.read_roles)} has a word that is not one of {', '.join(ROLES)}."
        yield Fault("read_roles", row.read_roles, sentence)
    elif row.read_roles and row.assay == "plate":
        yield from _faults_of_roles(row, name)
    if row.source.startswith("file:"):
        yield from _faults_of_files(row, name)
    elif row.source and row.source not in ARCHIVES:
        sentence = (
            f"{name}: source {quoted(row.source)} is no archive ({', '.join(ARCHIVES)}); a path is written file:PATH,"
            f" several are joined by ';'{_as_paths(row.source)}."
        )
        yield Fault("source", row.source, sentence)
    elif _DOTTED.fullmatch(row.run) and not accession_of(row.run, "run"):
        why = why_not_asked(row.run) if parse_accession(row.run) else ""
        why = why or f"{name}: no accession of a run (SRR…, ERR…, DRR…), so that no archive has it."
        yield Fault("source", row.source, f"{why} Give its files as source, e.g. file:R1.fastq.gz;R2.fastq.gz.")


def _as_paths(source: str) -> str:
    """Return a hint where a source looks like paths."""
    paths = [strip_blanks(word) for word in re.split("[;,]", source)]
    return f": file:{';'.join(paths)}" if all("." in path or "/" in path for path in paths) else ""


def _faults_of_roles(row: Run, name: str) -> Iterator[Fault]:
    """Yield what contradicts the assay in ``read_roles``: what a table says is done or refused, never passed over."""
    roles = row.read_roles.split(",")
    given = f"{name}: read_roles {quoted(row.read_roles)}"
    if {"barcode", "umi"} & set(roles):
        yield Fault(
            "read_roles", row.read_roles, f"{given} name a barcode, but a plate run is one cell; is it a droplet run?"
        )
    elif not 1 <= sum(role.startswith("cdna") for role in roles) <= 2:
        yield Fault("read_roles", row.read_roles, f"{given} must name one or two reads of cDNA (cdna, cdna2).")


def _faults_of_files(row: Run, name: str) -> Iterator[Fault]:
    """Yield where the local files of a run are not as many as its ``read_roles`` and its ``layout`` say."""
    paths = local_files(row)
    roles = row.read_roles.split(",") if row.read_roles else []
    if len(paths) == 1 and not _FASTQ.search(paths[0]):
        return  # an archive or a BAM file, with any number of reads
    if roles and len(roles) != len(paths):
        sentence = (
            f"{name}: read_roles {quoted(row.read_roles)} has {len(roles)} words, but source has {len(paths)} file(s)."
        )
        yield Fault("read_roles", row.read_roles, sentence)
    cdna = sum(role.startswith("cdna") for role in roles) or len(paths)
    if row.assay == "plate" and row.layout == "single" and cdna > 1:
        sentence = (
            f"{name}: layout is single, but source has {cdna} files of cDNA; give each lane a row of its own with the"
            " same experiment, or mates the layout paired."
        )
        yield Fault("layout", row.layout, sentence)
    if row.assay == "plate" and row.layout == "paired" and cdna == 1:
        sentence = (
            f"{name}: layout is paired, but source has one file of cDNA; give both mates: file:R1.fastq.gz;R2.fastq.gz,"
            " or no layout where the file has them by turns (interleaved)."
        )
        yield Fault("layout", row.layout, sentence)


def local_files(row: Run) -> list[str]:
    """Return the paths that a run of source ``file:`` names, in read order."""
    return [path for path in row.source.removeprefix("file:").split(";") if path]


def has_second_reads(row: Run) -> bool:
    """Whether a run holds, by its ``read_roles``, only the second reads of spots whose first ones are another run's."""
    roles = row.read_roles.split(",")
    if row.assay == "droplet":
        return bool(row.read_roles) and "barcode" not in roles
    return "cdna2" in roles and "cdna" not in roles


def spots_of(rows: Iterable[Run]) -> list[str]:
    """Return the spots of runs that are counted together, as the table has them; those of a joined pair once."""
    return [row.spots for row in rows if not has_second_reads(row)]


def column_of(row: Run, count_by: str) -> str:
    """Return the accession under which a run is counted: its experiment, or itself with ``count_by: run``."""
    return row.run if count_by == "run" else row.experiment


def columns_of(rows: Iterable[Run], count_by: str = "experiment") -> dict[str, list[Run]]:
    """Return column → its runs, both sorted by run."""
    columns: dict[str, list[Run]] = {}
    for row in sorted(rows, key=lambda row: row.run):
        columns.setdefault(column_of(row, count_by), []).append(row)
    return columns
