"""What people bring: lists of accessions, and tables of runs that archives' pages and programs make.

A list has an accession a line; what follows ``#`` is a comment. A table of runs is recognised by its header, not by
its name, and read with any separator, quoted or not, as it comes or as R writes it (row names, or a header that is
shorter by them):

- SraRunTable of the Run Selector: a column ``Run`` and any others; until 2018 names ended in ``_s`` or ``_l``
- RunInfo (efetch, rettype=runinfo): 47 columns whose header may be missing, or be repeated
- ENA's filereport: ``run_accession`` and any others

Standard library only, so that the workflow reads what is asked for before any tool is installed.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.core.untrusted import open_lines, quoted, strip_blanks
from scripts.plan.accessions import KINDS, accession_of, accessions_meant, parse_accession, why_not_asked
from scripts.plan.hints import path_hint
from scripts.plan.run_table import COLUMNS

RUNINFO = (
    "Run ReleaseDate LoadDate spots bases spots_with_mates avgLength size_MB AssemblyName download_path Experiment "
    "LibraryName LibraryStrategy LibrarySelection LibrarySource LibraryLayout InsertSize InsertDev Platform Model "
    "SRAStudy BioProject Study_Pubmed_id ProjectID Sample BioSample SampleType TaxID ScientificName SampleName "
    "g1k_pop_code source g1k_analysis_group Subject_ID Sex Disease Tumor Affection_Status Analyte_Type "
    "Histological_Type Body_Site CenterName Submission dbgap_study_accession Consent RunHash ReadHash"
).split()
"""The columns of RunInfo; the names under which values of all tables are kept."""
ENA = {
    "run_accession": "Run",
    "experiment_accession": "Experiment",
    "sample_accession": "BioSample",
    "secondary_sample_accession": "Sample",
    "study_accession": "BioProject",
    "secondary_study_accession": "SRAStudy",
    "tax_id": "TaxID",
    "scientific_name": "ScientificName",
    "library_name": "LibraryName",
    "library_layout": "LibraryLayout",
    "library_strategy": "LibraryStrategy",
    "library_source": "LibrarySource",
    "library_selection": "LibrarySelection",
    "instrument_model": "Model",
    "read_count": "spots",
    "base_count": "bases",
    "experiment_title": "ExperimentTitle",
    "sample_title": "SampleTitle",
    "study_title": "StudyTitle",
    "experiment_alias": "ExperimentName",
    "sample_alias": "SampleName",
    "run_alias": "RunName",
    "study_alias": "StudyName",
}
"""ENA's columns."""
_SELECTOR = {  # names of the Run Selector, in lower case, other characters as '_'
    "acc": "Run",
    "assay_type": "LibraryStrategy",
    "sra_study": "SRAStudy",
    "sra_sample": "Sample",
    "organism": "ScientificName",
    "instrument": "Model",
    "geo_accession_exp": "GeoAccession",
    "geo_accession": "GeoAccession",
    "center_name": "CenterName",
    "avgspotlen": "avgLength",
    "mbases": "MBases",
    "mbytes": "MBytes",
    "bytes": "Bytes",
    "organism_taxid": "TaxID",  # these as pysradb has them
    "organism_name": "ScientificName",
    "run_total_spots": "spots",
    "run_total_bases": "bases",
    "total_size": "Bytes",
}
_OF_SAMPLE = "source Subject_ID Sex Disease Tumor Affection_Status Analyte_Type Histological_Type Body_Site".split()
_LIBRARY = [name for name in RUNINFO if name not in _OF_SAMPLE]
_NAMES = {
    **{name.lower(): name for name in _LIBRARY},
    **{re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): name for name in _LIBRARY},  # as R's packages write them
    **ENA,
    **_SELECTOR,
}
_OWN_ALONE = {"series", "exp_id", "species", "assay", "chemistry", "layout", "read_roles", "status", "reason", "detail"}
_HEADS = {"run", "run_s", "acc", "run_accession"}
_NOTHING = {"na", "nan", "n/a", "null", "none", "missing"}
# Columns that say nothing of the sample; all others that are not known go on as its attributes.
_PLAIN = re.compile(
    r"datastore_.*|release_?date|load_?date|create_date|version|platform|.*_(ftp|md5|bytes|aspera|galaxy|format)"
    r"|download_path|(run|read)_?hash|insert_?(size|dev)|first_(created|public)|last_updated|.*_accession|accession|nominal_.*"
)


class ListedRun(NamedTuple):
    """A row of a table of runs."""

    line: int
    run: str
    """Empty where the row names none."""
    values: dict[str, str]
    """Under RunInfo's names; columns that have none of these are under their own."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Of the sample: (column, value) of columns that say more of it than its names."""
    fault: str = ""
    """Why the row cannot be used."""


def known_name(column: str) -> str:
    """Return RunInfo's name for a column of a table of runs, empty where it has none."""
    return _NAMES.get(_plain(column), "")


def _plain(column: str) -> str:
    column = strip_blanks(column).strip("\"'")
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"_[sldt]$", "", column).lower()).strip("_")


def _split(line: str) -> list[str]:
    """Return the cells of a header line."""
    separator = _separator(line)
    return [strip_blanks(cell).strip("\"'") for cell in next(csv.reader([line], delimiter=separator), [])]


def _separator(line: str) -> str:
    counts = {separator: line.count(separator) for separator in "\t,;"}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] else " " if line.startswith('"') and '" "' in line else "\t"


def begins_run_list(line: str) -> bool:
    """Return whether a first line is that of a table of runs of an archive, rather than of a list or a run table."""
    cells = _split(line)
    if accession_of(cells[0].upper() if cells else "", "run"):
        return len(cells) > len(RUNINFO) // 2  # RunInfo without its header
    names = {cell.lower() for cell in cells}
    if not names & _HEADS or "assay" in cells:
        return False
    own = len(names & _OWN_ALONE)
    archives = sum(bool(known_name(name)) and name not in COLUMNS for name in names) + ("Run" in cells)
    return archives > own or (not own and ("Run" in cells or "run" not in names))


def is_run_list(path: str | Path) -> bool:
    """Return whether a file is a table of runs of an archive. Raises InputError where it cannot be read.

    A table that names files in ``source`` is a run table, whatever its further columns are called.
    """
    lines = (line for line in open_lines(path) if strip_blanks(line) and not line.startswith("#"))
    header = next(lines, "")
    return begins_run_list(header) and not _names_files(_split(header), lines)


def _names_files(header: Sequence[str], lines: Iterable[str]) -> bool:
    if not {"run", "source"} <= set(header):
        return False
    source = header.index("source")
    rows = (line.rstrip("\n").split("\t") for line in lines)
    return any(cell.startswith("file:") for cells in rows for cell in cells[source : source + 1])


def parse_run_list(lines: Iterable[str], name: str | Path) -> Iterator[ListedRun]:
    """Yield the rows of a table of runs; a row that cannot be used has a fault. Blank lines are passed over.

    Raises InputError for what is no table of runs: without a header in a table that is not RunInfo.
    """
    columns: _Columns | None = None
    for number, cells in _rows(lines, name):
        begins_with_run = bool(accession_of(strip_blanks(cells[0]).upper(), "run"))
        if not begins_with_run and any(known_name(cell) == "Run" for cell in cells):
            columns = _Columns(cells)
            continue
        if columns is None:
            if not begins_with_run:
                raise InputError(f"{name}: not a table of runs; its first line begins with {quoted(cells[0], 40)}.")
            columns = _Columns(RUNINFO)
        yield columns.row(number, cells, name)


def _rows(lines: Iterable[str], name: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that is not blank, with the number of the line."""
    numbered = enumerate(lines, 1)
    begun = next(((number, line) for number, line in numbered if strip_blanks(line) and line[0] != "#"), None)
    if begun is None:
        return
    before, first = begun
    separator = _separator(first)
    # A cell that begins with a quote may run over separators only where a program has quoted cells.
    plain = separator == "\t" and '"' not in first
    rest = (f"{line}\n" for line in _and_then(first, (line for _, line in numbered)))
    reader = csv.reader(rest, delimiter=separator, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL, strict=True)
    start = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{name}, line {before + start - 1}: a cell is too long, or its quote is not closed."
            ) from error
        if cells is None:
            return
        if any(map(strip_blanks, cells)):
            yield before + start - 1, [_unquoted(cell) for cell in cells] if plain else cells
        start = reader.line_num + 1


def _and_then(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


class _Columns:
    """The columns of a table of runs, by its header."""

    def __init__(self, header: Sequence[str]) -> None:
        names = [strip_blanks(name) for name in header]
        while names and not names[-1]:
            names.pop()
        self.names = names
        self.known: dict[str, int] = {}  # RunInfo's name → the first column of it
        self.others: dict[str, int] = {}
        self.attributes: list[tuple[str, int]] = []
        for index, name in enumerate(names):
            known = known_name(name)
            if known and known not in self.known:
                self.known[known] = index
            elif not known and name:
                self.others.setdefault(name, index)
            if name and (not known or self.known[known] != index) and not _PLAIN.fullmatch(_plain(name)):
                self.attributes.append((re.sub(r"_[sldt]$", "", name), index))
        self.doubled = names.count(names[self.known["Run"]]) > 1 if "Run" in self.known else False
        self.shift: bool | None = None  # rows begin with a name of their own, which the header does not have

    def row(self, line: int, cells: list[str], name: str | Path) -> ListedRun:
        """Return a row of the table."""
        cells = [strip_blanks(cell) for cell in cells]
        run_at = self.known["Run"]
        if self.shift is None:
            longer = len(cells) == len(self.names) + 1 and bool(self.names[0])
            self.shift = longer and not self._run(cells, run_at) and bool(self._run(cells, run_at + 1))
        if self.shift:
            cells = cells[1:]
        while len(cells) > len(self.names) and not cells[-1]:
            cells.pop()
        where = f"{name}, line {line}"
        if len(cells) != len(self.names):
            words = f"{len(cells)} values, but the header has {len(self.names)} columns."
            return ListedRun(line, "", {}, fault=f"{where}: {words}")
        run = self._run(cells, run_at)
        fault = ""
        if not run:
            fault = (
                f"{where}: {quoted(cells[run_at])} in column {self.names[run_at]} is not a run (SRR…, ERR… or DRR…)."
            )
        elif self.doubled:
            fault = f"{where}: the table has two columns {self.names[run_at]}."
        elif any(_run_of(rest) for cell in cells for rest in cell.split("\n")[1:]):
            fault = f"{where}: the quote of a cell is not closed: the cell has another run's line in it."
        values = {known: _value(cells[index]) for known, index in (*self.others.items(), *self.known.items())}
        attributes = tuple((name, value) for name, index in self.attributes if (value := _value(cells[index])))
        return ListedRun(line, run, {**values, "Run": run}, attributes, fault)

    @staticmethod
    def _run(cells: Sequence[str], index: int) -> str:
        return accession_of(cells[index].upper(), "run") if index < len(cells) else ""


def _value(cell: str) -> str:
    return "" if cell.lower() in _NOTHING else " ".join(cell.split("\n"))


def _run_of(cell: str) -> str:
    """Return the run with which a cell, or a line in it, begins; empty where there is none."""
    return accession_of(re.split(r"[\t,;\" ]", strip_blanks(cell), maxsplit=1)[0].upper(), "run")


def asked_for(series: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the accessions that ``series`` names, each once, and all that is wrong with it, a sentence each.

    A word that looks like a path is that of a list or of a table of runs.
    """
    accessions: dict[str, None] = {}
    faults: list[str] = []
    for number, word in enumerate([series] if isinstance(series, str) else series):
        key, before = f"series.{number}", len(faults)
        if not is_path(word):
            found = [(key, word)]
        else:
            try:
                found = _listed(word, faults)
            except InputError as error:
                near = [] if Path(word).exists() else accessions_meant(word)
                hint = f"; did you mean {', '.join(near)}?" if near else path_hint(word)
                faults.append(f"{key}: {str(error).removesuffix('.')}{hint}" if hint else f"{key}: {error}")
                continue
            if not found and len(faults) == before:
                faults.append(f"{key}: {word} has no accession.")
        for where, name in found:
            parsed = parse_accession(name)
            if parsed and parsed.kind in KINDS:
                accessions.setdefault(parsed.text)
            else:
                faults.append(f"{where}: {why_not_asked(name)}")
    return list(accessions), faults


def is_path(word: str) -> bool:
    """Return whether a word of ``series`` is the path of a file rather than an accession."""
    return parse_accession(word) is None and ("/" in word or "." in word)


def is_empty_list(path: str | Path) -> bool:
    """Return whether a list of accessions does not exist, or has nothing but comments and blank lines."""
    return not Path(path).exists() or not any(strip_blanks(line.partition("#")[0]) for line in open_lines(path))


def _listed(path: str, faults: list[str]) -> list[tuple[str, str]]:
    """Return (where, word) of what a list or a table of runs names, accessions in upper case; adds faults of rows."""
    if is_run_list(path):
        rows = list(parse_run_list(open_lines(path), path))
        faults += [row.fault for row in rows if row.fault]
        return [(f"{path}, line {row.line}", row.run) for row in rows if not row.fault]
    found = []
    for number, line in enumerate(open_lines(path), 1):
        for cell in re.split(r"[\t,;]", line.partition("#")[0]):
            word = strip_blanks(strip_blanks(cell).strip("\"'"))
            upper = parse_accession(word.upper())
            if word:
                found.append((f"{path}, line {number}", upper.text if upper else word))
    return found


def sample_attributes(row: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return those columns of a line of a filereport that say more of its sample than its names."""
    return tuple(
        (name, value) for name, value in row.items() if value and not known_name(name) and not _PLAIN.fullmatch(name)
    )
