"""What the family file of a series says of the series itself, beside its samples."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.records.answers import record_files
from scripts.records.answers.family_files import Entity, read_family

_RELATION = re.compile(r"\s*(?P<kind>[A-Za-z ]+?)\s*:\s*(?P<series>GSE[0-9]{1,12})\b")
_SUPERSEDED = re.compile(
    r"\b(?:superseded|replaced)\s+by\W{1,3}(?:\w+\s+){0,3}?(GSE[0-9]{1,12})\b", re.IGNORECASE | re.ASCII
)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DATE = re.compile(rf"({'|'.join(_MONTHS)}) ([0-9]{{2}}) ([0-9]{{4}})")


class SeriesFacts(NamedTuple):
    """Relations, state and size of a series; dates are YYYY-MM-DD, empty where there is none."""

    title: str = ""
    samples: int = 0
    updated: str = ""
    status: str = ""
    """What GEO says in place of "Public on …", e.g. that it was withdrawn."""
    part_of: tuple[str, ...] = ()
    """SuperSeries of which it is a part."""
    parts: tuple[str, ...] = ()
    superseded_by: tuple[str, ...] = ()
    pubmed: tuple[str, ...] = ()


def facts_of(records: str | Path, series: str) -> SeriesFacts | None:
    """Return what the kept family file of a series says; None where there is none.

    Raises InputError for a damaged file.
    """
    path = record_files.family_of(Path(records) / series, series)
    if path is None:
        return None
    for entity in read_family(path):
        if entity.kind == "series" and entity.accession == series:
            return _facts(entity)
    return SeriesFacts()


def _facts(entity: Entity) -> SeriesFacts:
    fields = entity.fields
    status = entity.first("status")
    found = [match for value in fields.get("relation", ()) if (match := _RELATION.match(value))]

    def related(*kinds: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(match["series"] for match in found if match["kind"].lower() in kinds))

    texts = (*fields.get("summary", ()), *fields.get("overall_design", ()), entity.first("title"), status)
    by_text = (match[1] for text in texts for match in _SUPERSEDED.finditer(text))
    return SeriesFacts(
        title=entity.first("title"),
        samples=len(set(entity.linked("samples"))),
        updated=iso_date(entity.first("last_update_date")),
        status="" if status.lower().startswith("public on") else status,
        part_of=related("subseries of"),
        parts=tuple(entity.linked("parts")),
        superseded_by=_others(entity.accession, [*related("superseded by", "replaced by"), *by_text]),
        pubmed=tuple(word.strip() for word in fields.get("pubmed_id", ()) if word.strip().isdecimal()),
    )


def _others(series: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name != series)


def iso_date(text: str) -> str:
    """Return a date of GEO (``Mar 05 2021``) as 2021-03-05, empty for anything else."""
    found = _DATE.fullmatch(text.strip())
    return f"{found[3]}-{_MONTHS.index(found[1]) + 1:02d}-{found[2]}" if found else ""
