"""GEO family files in SOFT format, read as a stream: one entity at a time, tables skipped.

``<GSE>_family.soft[.gz]`` holds entities. Each starts with ``^KIND = accession`` (DATABASE, SERIES, PLATFORM, SAMPLE,
in any order) and has lines ``!Kind_field = value``; a field may repeat. Data tables stand between
``!kind_table_begin`` and ``!kind_table_end``; lines that start with ``#`` describe their columns.
Format: https://www.ncbi.nlm.nih.gov/geo/info/soft.html. Text is UTF-8; lines of older records that are not UTF-8 are
read as Windows-1252.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from scripts.core.errors import InputError
from scripts.records.reading import open_record

_EXPERIMENT = re.compile(r"\s*SRA:.*\b([SED]RX\d+)\b")
_STUDY = re.compile(r"\s*SRA:.*\b([SED]RP\d+)\b")
_PROJECT = re.compile(r"\s*BioProject:.*\b(PRJ[A-Z]{2}\d+)\b")
_PART = re.compile(r"\s*SuperSeries of:\s*(GSE\d+)\s*$")
_SERIES = re.compile(r"GSE\d+")
_TAX_ID = re.compile(r"taxid_ch\d+")
_ORGANISM = re.compile(r"organism_ch\d+")
_NAMES = {"series": re.compile(r"GSE\d+"), "sample": re.compile(r"GSM\d+"), "platform": re.compile(r"GPL\d+")}


class Entity(NamedTuple):
    """A series, sample, platform or database of a family file.

    ``kind`` is in lower case; ``fields`` maps a field's name without ``!Kind_`` to its values, in the file's order.
    """

    kind: str
    accession: str
    fields: dict[str, list[str]]

    @property
    def well_named(self) -> bool:
        """Whether the accession is one of its kind, and so is safe as the name of a file."""
        pattern = _NAMES.get(self.kind)
        return pattern is not None and pattern.fullmatch(self.accession) is not None

    def first(self, field: str) -> str:
        """The first value of a field, empty when there is none."""
        values = self.fields.get(field)
        return values[0].strip() if values else ""


def family_address(base: str, series: str) -> str:
    """Return where GEO keeps the family file of a series: its stub has ``nnn`` for the last three digits."""
    return f"{base.rstrip('/')}/series/GSE{series[3:-3]}nnn/{series}/soft/{series}_family.soft.gz"


def read_family(path: str | Path) -> Iterator[Entity]:
    """Yield the entities of a family file in its order, holding one in memory at a time.

    Raises InputError for a file that is cut short, is not SOFT or holds no entity.
    """
    with open_record(path) as handle:
        yield from _entities(handle, path)


def _entities(handle: BinaryIO, path: str | Path) -> Iterator[Entity]:
    entity: Entity | None = None
    prefix = b"!"
    for number, line in enumerate(handle):
        mark = line[:1]
        if mark == b"!":
            if line.startswith(prefix) and entity is not None:
                name, equals, value = line[len(prefix) :].partition(b" = ")
                if not equals:
                    name = name.rstrip(b"\r\n =")
                if equals or not name.endswith(b"table_begin"):
                    entity.fields.setdefault(name.decode("ascii", "replace"), []).append(_text(value))
                    continue
            if line.rstrip().lower().endswith(b"_table_begin"):
                _skip_table(handle)
        elif mark == b"^":
            if entity is not None:
                yield entity
            keyword, _, accession = line[1:].partition(b"=")
            kind = keyword.strip().decode("ascii", "replace")
            entity = Entity(kind.lower(), _text(accession).strip(), {})
            prefix = f"!{kind.capitalize()}_".encode()
        elif number == 0 and (line.lstrip()[:1] == b"<" or b"\0" in line):
            raise InputError(f"{path}: not a family file in SOFT format; it begins with {line[:40]!r}.")
    if entity is None:
        raise InputError(f"{path}: not a family file in SOFT format; it has no line that begins with '^'.")
    yield entity


def _skip_table(handle: BinaryIO) -> None:
    for row in handle:
        if row[:1] == b"!" and row.rstrip().lower().endswith(b"_table_end"):
            return
    raise EOFError


def _text(value: bytes) -> str:
    value = value.rstrip(b"\r\n")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def experiments_of(sample: Entity) -> list[str]:
    """Return the experiments (SRX, ERX, DRX) that a sample's relation lines name, each once."""
    return _named(_EXPERIMENT, sample.fields.get("relation", ()))


def studies_of(series: Entity) -> list[str]:
    """Return the SRA studies (SRP …) that a series' relation lines name, each once."""
    return _named(_STUDY, series.fields.get("relation", ()))


def projects_of(series: Entity) -> list[str]:
    """Return the BioProjects that a series' relation lines name, each once."""
    return _named(_PROJECT, series.fields.get("relation", ()))


def members_of(series: Entity) -> list[str]:
    """Return the samples (GSM) that a series lists, each once."""
    return _named(_NAMES["sample"], series.fields.get("sample_id", ()))


def parts_of(series: Entity) -> list[str]:
    """Return the series of which this one is the SuperSeries, each once."""
    return _named(_PART, series.fields.get("relation", ()))


def taxa_of(sample: Entity) -> dict[str, str]:
    """Return tax id → organism over all channels of a sample; the organism is empty where the file does not say."""
    tax_ids = [value for name in sorted(sample.fields) if _TAX_ID.fullmatch(name) for value in sample.fields[name]]
    names = [value for name in sorted(sample.fields) if _ORGANISM.fullmatch(name) for value in sample.fields[name]]
    if len(names) != len(tax_ids):
        names = [""] * len(tax_ids)
    taxa: dict[str, str] = {}
    for tax_id, name in zip(tax_ids, names, strict=True):
        if tax_id.strip().isdecimal():
            taxa.setdefault(tax_id.strip(), name.strip())
    return taxa


def _named(pattern: re.Pattern[str], lines: Iterable[str]) -> list[str]:
    """Return the last group (or the whole) of what the pattern finds at the beginning of lines, each once."""
    found = (pattern.match(line) for line in lines)
    return list(dict.fromkeys(item[item.re.groups] for item in found if item))
