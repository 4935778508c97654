"""The series of a release, as they are cited: ``series.tsv``, from the ledger and the kept records."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import path_below
from scripts.core.errors import InputError
from scripts.harvest.releases.digests import LIBRARY, CellDigest
from scripts.plan.run_table import Run, write_table
from scripts.records.answers import record_files

SERIES = "series.tsv"
_YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
_AUTHORS = 10  # that a citation names
_PUBMED = re.compile(r"[0-9]{1,9}")
_RELATED = {"bioproject": re.compile(r"\bPRJ[A-Z]{2}\d+"), "study": re.compile(r"\b[SED]RP\d+")}


class SeriesRow(NamedTuple):
    """A row of the table: a series that entered, or a part of a SuperSeries whose record is kept."""

    series: str
    part_of: str = ""
    title: str = ""
    citation: str = ""
    pubmed_ids: str = ""
    bioproject: str = ""
    study: str = ""
    plate_cells: str = ""
    libraries: str = ""
    runs_counted: str = ""
    runs_left_out: str = ""
    runs_failed: str = ""


def series_rows(ledger: Iterable[Run], cells: Sequence[CellDigest], records: Path) -> list[SeriesRow]:
    """Return the rows of all series in a ledger, sorted. Series without a kept record are named on stderr."""
    statuses: dict[str, Counter[str]] = {}
    for row in ledger:
        if row.run:
            statuses.setdefault(row.series, Counter())[row.status] += 1
        elif row.series:
            statuses.setdefault(row.series, Counter())
    numbers = Counter((cell.series, cell.kind == LIBRARY) for cell in cells)
    rows: dict[tuple[str, str], SeriesRow] = {}
    for series, runs in sorted(statuses.items()):
        described = dict(_described(records, series))
        if not described:
            print(f"{series}: no record of it is kept in {records}, so it has no title or citation.", file=sys.stderr)
        of_runs = [str(runs[status]) for status in ("counted", "left_out", "failed")]
        of_cells = [str(numbers[series, of_libraries]) for of_libraries in (False, True)]
        known = described.pop(series, SeriesRow(series))
        rows[series, ""] = SeriesRow(*known[:7], *of_cells, *of_runs)
        rows |= {(part, series): row._replace(part_of=series) for part, row in described.items()}
    return [rows[key] for key in sorted(rows)]


def _described(records: Path, series: str) -> Iterator[tuple[str, SeriesRow]]:
    """Yield accession → row, as far as the records describe a series and its parts."""
    try:
        path_below(records, series)
        if series.startswith("GSE"):
            for family in record_files.walk_families(records, series, set()):
                for entity in family:
                    if entity.kind == "series" and entity.well_named:
                        yield entity.accession, _of_geo(entity.accession, entity.fields)
            return
        kept = record_files.read_any_runs(records / series)
        for experiment in kept.experiments if kept else ():
            row = SeriesRow(series, title=experiment.study_title, bioproject=experiment.project, study=experiment.study)
            yield series, row
            return
    except InputError as error:
        print(error, file=sys.stderr)


def _of_geo(series: str, fields: Mapping[str, Sequence[str]]) -> SeriesRow:
    title = " ".join(fields.get("title", ()))
    related = " ".join(fields.get("relation", ()))
    found = {name: ";".join(dict.fromkeys(pattern.findall(related))) for name, pattern in _RELATED.items()}
    pubmed = [word for value in fields.get("pubmed_id", ()) for word in _PUBMED.findall(value)]
    return SeriesRow(series, "", title, _citation(series, title, fields), ";".join(dict.fromkeys(pubmed)), **found)


def _citation(series: str, title: str, fields: Mapping[str, Sequence[str]]) -> str:
    """Return how the data of a series are cited: contributors, year, title, archive and accession."""
    names = [name for value in fields.get("contributor", ()) if (name := _author(value))]
    authors = ", ".join(names[:_AUTHORS]) + (", et al." if len(names) > _AUTHORS else "")
    dates = " ".join((*fields.get("status", ()), *fields.get("submission_date", ())))
    year = _YEAR.search(dates)
    who = " ".join(filter(None, (authors, f"({year[1]})" if year else "")))
    return ". ".join(filter(None, (who, title.rstrip("."), f"Gene Expression Omnibus, {series}"))) + "."


def _author(value: str) -> str:
    """Return a contributor of GEO (``First,Middle,Last``) as journals write it: ``Last FM``."""
    *given, last = (part.strip() for part in value.split(","))
    initials = "".join(part[:1].upper() for part in given if part)
    return " ".join(filter(None, (last, initials)))


def write_series(path: str | Path, rows: Iterable[SeriesRow]) -> None:
    """Write the table."""
    write_table(path, SeriesRow._fields, rows)
