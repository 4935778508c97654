"""What a release says of itself: release.json for programs, datacite.json for repositories, README.md for people.

datacite.json has the properties of the DataCite Metadata Schema 4.5 in the JSON of its REST API
(https://schema.datacite.org/meta/kernel-4.5/).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scripts.core.version import VERSION
from scripts.harvest.releases.differences import ADDED, COUNTS, NAMES, REMOVED
from scripts.harvest.releases.digests import LIBRARY, CellDigest, Made
from scripts.harvest.releases.series import SeriesRow

RELEASE, DATACITE, README = "release.json", "datacite.json", "README.md"
FORMAT = 1
_UNKNOWN = "(:unav)"  # DataCite's word for a value that is not available


class About(NamedTuple):
    """What a person says of a release."""

    version: str
    title: str = ""
    creators: Sequence[str] = ()
    publisher: str = ""
    doi: str = ""


class Before(NamedTuple):
    """The release before: its version, the checksum of its SHA256SUMS, and change → number of cells since."""

    version: str
    sha256: str
    changes: Mapping[str, int]


def as_text(value: object) -> str:
    """Return JSON whose bytes depend on the value alone."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def release_json(about: About, cells: Sequence[CellDigest], made: Made, before: Before | None) -> str:
    """Return release.json."""
    return as_text(
        {
            "format": FORMAT,
            "version": about.version,
            "workflow": f"sra2matrix {VERSION}",
            "counts": counts_of(cells),
            "made_with": made,
            "since": before._asdict() if before else None,
        }
    )


def counts_of(cells: Sequence[CellDigest]) -> dict[str, dict[str, int]]:
    """Return kind → species → number: plate cells, droplet libraries, and the called cells of these."""
    plates = Counter(cell.species for cell in cells if cell.kind != LIBRARY)
    libraries = Counter(cell.species for cell in cells if cell.kind == LIBRARY)
    called: Counter[str] = Counter()
    for cell in cells:
        if cell.kind == LIBRARY:
            called[cell.species] += int(cell.cells or 0)
    return {"plate_cells": dict(plates), "libraries": dict(libraries), "droplet_cells": dict(called)}


def title_of(about: About, series: Sequence[SeriesRow]) -> str:
    """Return the title of a release."""
    number = sum(not row.part_of for row in series)
    return about.title or f"Count matrices of single-cell RNA-seq of {number:,} series, release {about.version}"


def datacite_json(about: About, series: Sequence[SeriesRow], cells: Sequence[CellDigest]) -> str:
    """Return datacite.json; what nobody said is ``(:unav)``."""
    year = re.match(r"(?:19|20)\d\d", about.version)
    related: list[dict[str, Any]] = []
    for row in series:
        if row.series.startswith("GSE"):
            address = f"https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc={row.series}"
            related.append(_related(address, "URL", "IsDerivedFrom"))
        related += [_related(pubmed, "PMID", "References") for pubmed in row.pubmed_ids.split(";") if pubmed]
    values: dict[str, Any] = {
        "titles": [{"title": title_of(about, series)}],
        "creators": [{"name": name} for name in about.creators] or [{"name": _UNKNOWN}],
        "publisher": about.publisher or _UNKNOWN,
        "publicationYear": year[0] if year else _UNKNOWN,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Count matrices"},
        "version": about.version,
        "language": "en",
        "descriptions": [{"description": _abstract(cells), "descriptionType": "Abstract"}],
        "relatedIdentifiers": list({json.dumps(item): item for item in related}.values()),
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }
    return as_text(values | ({"doi": about.doi} if about.doi else {}))


def _related(identifier: str, kind: str, relation: str) -> dict[str, str]:
    return {"relatedIdentifier": identifier, "relatedIdentifierType": kind, "relationType": relation}


def _abstract(cells: Sequence[CellDigest]) -> str:
    counts = counts_of(cells)
    words = [
        f"{number:,} {what} of {species}"
        for kind, what in (
            ("plate_cells", "plate cells"),
            ("libraries", "droplet libraries"),
            ("droplet_cells", "cells of droplet libraries"),
        )
        for species, number in sorted(counts[kind].items())
    ]
    return f"Counts made from public archives by sra2matrix: {', '.join(words) or 'no cell'}."


def readme(about: About, series: Sequence[SeriesRow], cells: Sequence[CellDigest], before: Before | None) -> str:
    """Return README.md. Texts of records are in the tables, not in it."""
    entered = [row for row in series if not row.part_of]
    lines = [
        f"# Release {about.version}",
        "",
        f"{_abstract(cells)} {len(entered):,} series, of which {_number(entered, 'runs_counted')} runs are counted,"
        f" {_number(entered, 'runs_left_out')} left out and {_number(entered, 'runs_failed')} failed,"
        " each with its reason in `results/runs.tsv`.",
        "",
        "| file | what it is |",
        "|---|---|",
        "| `results/` | the results, as they were made |",
        "| `series.tsv` | every series: title, citation, PubMed ids, what came of its runs. Cite those that you use |",
        "| `cells.tsv` | every plate cell and droplet library, with a digest of its counts |",
        *(["| `changes_since.tsv` | what changed since the release before, and why |"] if before else []),
        "| `release.json` | this page for programs: numbers, references, options and versions of tools |",
        "| `datacite.json` | the metadata that repositories of data ask for |",
        "| `SHA256SUMS` | the checksum of every file |",
        "",
        "`sha256sum -c SHA256SUMS` checks that no file changed; `python -m scripts verify FOLDER` checks more.",
    ]
    if before:
        numbers = before.changes
        lines += [
            "",
            f"## Since release {before.version}",
            "",
            f"{numbers[ADDED]:,} cells and libraries are new, {numbers[REMOVED]:,} are gone, {numbers[COUNTS]:,} have"
            f" other counts, {numbers[NAMES]:,} another series or sample. All others have the same counts.",
        ]
    return "\n".join(lines) + "\n"


def _number(rows: Sequence[SeriesRow], column: str) -> str:
    return f"{sum(int(getattr(row, column) or 0) for row in rows):,}"
