"""The table of what was discovered, and the list of the accessions that are accepted."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import atomic_path, write_atomic
from scripts.core.errors import InputError
from scripts.core.untrusted import open_lines, quoted
from scripts.plan.accessions import kind_of
from scripts.plan.run_table import write_table
from scripts.plan.sizes.footprint import format_gb

CERTAIN, LIKELY, UNKNOWN, UNANSWERED, NOT_JUDGED, NO = (
    "certain",
    "likely",
    "unknown",
    "unanswered",
    "not_judged",
    "no",
)
VERDICTS = {
    CERTAIN: "single cells; every library that would be counted is clearly shown to be of them",
    LIKELY: "single cells, but the records of some library say little",
    UNKNOWN: "the archives have no run of it (yet): it may be private until its date, or withdrawn",
    UNANSWERED: "an archive could not be asked; the next call asks again",
    NOT_JUDGED: "beyond the limit: found, but its records were not asked for",
    NO: "no single-cell RNA of a configured species",
}
"""What is said of single cells in a series, the most certain first, and what that means."""


class Discovered(NamedTuple):
    """A series or study; numbers are None where they are not known."""

    series: str
    verdict: str
    weight: int = 0
    """The least sum of evidence over its single-cell libraries; see records/libraries/single_cell.py."""
    evidence: str = ""
    """What the verdict rests on: the strongest pieces, or why most of its runs would be left out."""
    title: str = ""
    published: str = ""
    organisms: str = ""
    species: str = ""
    """Labels of the configured species that would be counted."""
    assay: str = ""
    chemistry: str = ""
    """The method that its texts name, and the length of the barcode read."""
    samples: int | None = None
    experiments: int | None = None
    runs: int | None = None
    planned: int | None = None
    """Runs that would be counted."""
    gb: float | None = None
    """Of their archives."""
    core_hours: float | None = None
    node_hours: float | None = None
    left_out: str = ""
    """Runs that would be left out, by reason code."""
    in_analysis: str = ""
    part_of: str = ""
    parts: str = ""
    superseded_by: str = ""
    status: str = ""
    """What GEO says of a series that is not public any more, or that it has no family file."""
    archive: str = "GEO"
    pubmed: str = ""
    note: str = ""

    def texts(self) -> list[str]:
        """Return the values as the table has them: whole numbers, GB and hours with three decimals."""
        return [
            "" if value is None else f"{value:.3f}" if isinstance(value, float) else _cell(str(value)) for value in self
        ]


def _cell(text: str) -> str:
    """Return a text as a cell that neither ends in another row nor is a formula to a program that opens the table.

    A text that begins with a quote is quoted, as in CSV; one that begins as a formula does gets an apostrophe.
    """
    text = text.strip()
    if text.startswith(('"', "'")):
        return '"' + text.replace('"', '""') + '"'
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def in_order(rows: Iterable[Discovered]) -> list[Discovered]:
    """Return rows sorted: the most certain first, of these the newest."""
    order = list(VERDICTS)
    newest = sorted(rows, key=lambda row: (row.published, row.series), reverse=True)
    return sorted(newest, key=lambda row: (order.index(row.verdict), -row.weight))


def write_discovered(path: str | Path, rows: Sequence[Discovered]) -> None:
    """Write the table; what others wrote has no tab, line end or control character in it."""
    with atomic_path(path) as partial:
        write_table(partial, Discovered._fields, (row.texts() for row in rows))


def accepted(rows: Iterable[Discovered], most_gb: float) -> list[Discovered]:
    """Return the rows that are taken without a look: certain, new here, and of a known size up to ``most_gb``.

    A SuperSeries is not taken where one of its parts was found: its parts are taken one by one. Nor is one that is
    withdrawn or superseded.
    """
    rows = list(rows)
    found = {row.series for row in rows}
    return [
        row
        for row in rows
        if row.verdict == CERTAIN
        and row.in_analysis == "no"
        and row.planned
        and row.gb is not None
        and row.gb <= most_gb
        and not row.status
        and not row.superseded_by
        and found.isdisjoint(row.parts.split(", "))
    ]


def add_to_list(path: str | Path, rows: Iterable[Discovered]) -> list[str]:
    """Add accessions to a list that ``series:`` takes, a line each; return those that are new in it.

    What is in the list stays. An accession that stands in a comment (``# GSE1``) was taken out by a person and is not
    added again. Raises InputError for a file that is no list.
    """
    path = Path(path)
    lines = list(open_lines(path)) if path.exists() else [HEAD]
    for number, line in enumerate(lines, 1):
        if wrong := [word for word in _words(line.partition("#")[0]) if not kind_of(word)]:
            raise InputError(
                f"{path}, line {number}: {quoted(wrong[0])} is no accession, so this is not the list of accepted"
                " series; nothing is added to it. Set `discover: {accept: …}` to another file."
            )
    known = {word.upper() for line in lines for word in re.findall("[A-Za-z]+[0-9]+", line)}
    new = [row for row in rows if row.series not in known]
    lines = lines[:-1] if lines and not lines[-1] else lines
    lines += [f"{row.series}  # {row.assay}, {row.species}, {format_gb((row.gb or 0) * 1e9)}" for row in new]
    if new or not path.exists():
        write_atomic(path, "".join(f"{line}\n" for line in lines))
    return [row.series for row in new]


HEAD = "# Series that were discovered and accepted, for `series:`. Put # before one to take it out for good."


def listed_in(path: str | Path) -> list[str]:
    """Return the accessions of a list, none where there is no file."""
    if not Path(path).exists():
        return []
    words = (_words(line.partition("#")[0]) for line in open_lines(path))
    return [word for line in words for word in line if kind_of(word)]


def _words(line: str) -> list[str]:
    return re.sub("[#,;\"']", " ", line).upper().split()
