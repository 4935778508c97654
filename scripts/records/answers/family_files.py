"""GEO family files, in SOFT or MINiML format: the series, samples and platforms of a series.

SOFT (``<GSE>_family.soft[.gz]``) holds entities. Each starts with ``^KIND = accession`` (DATABASE, SERIES, PLATFORM,
SAMPLE, in any order) and has lines ``!Kind_field = value``; a field may repeat. Data tables stand between
``!kind_table_begin`` and ``!kind_table_end``; lines that start with ``#`` describe their columns. Text is UTF-8; lines
of older records that are not UTF-8 are read as Windows-1252. Read as a stream, tables skipped.
Format: https://www.ncbi.nlm.nih.gov/geo/info/soft.html.

MINiML (``<GSE>_family.xml[.gz]``) has the same content as XML; its tables are external and not read. Its fields get
their names in SOFT. Schema: https://www.ncbi.nlm.nih.gov/geo/info/MINiML.xsd.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

from scripts.core.errors import InputError
from scripts.core.untrusted import LONGEST_LINE, decode_text
from scripts.plan.accessions import KINDS, accession_of, taxon
from scripts.records.answers.reading import open_record, parse_xml

_PLATFORM = re.compile("GPL[0-9]{1,12}")
_LINKS = {  # kind of accession, field, and what is before the accession
    "experiments": ("experiment", "relation", r"\s*SRA:.*\b"),
    "studies": ("study", "relation", r"\s*SRA:.*\b"),
    "projects": ("project", "relation", r"\s*BioProject:.*\b"),
    "parts": ("series", "relation", r"\s*SuperSeries of:\s*"),
    "samples": ("sample", "sample_id", r"\s*"),
}
_LINKED = {name: re.compile(f"{before}({KINDS[kind]}[0-9]{{1,12}})\\b") for name, (kind, _, before) in _LINKS.items()}
_KINDS = {"Series": "series", "Sample": "sample", "Platform": "platform"}
_DATES = {"Submission-Date": "submission_date", "Release-Date": "status", "Last-Update-Date": "last_update_date"}
_IN_CHANNEL = {
    "Source": "source_name",
    "Label": "label",
    "Label-Protocol": "label_protocol",
    "Molecule": "molecule",
    "Treatment-Protocol": "treatment_protocol",
    "Growth-Protocol": "growth_protocol",
    "Extract-Protocol": "extract_protocol",
}
_REFERENCES = {"Platform-Ref": "platform_id", "Sample-Ref": "sample_id"}
_RENAMED = {"Supplementary-Data": "supplementary_file"}
_LARGEST_ENTITY = 1 << 24  # bytes of the fields of an entity; a series of 200,000 samples has 6 MB
_LARGEST_MINIML = 1 << 28  # bytes; a series of 20,000 samples has 80 MB
_SKIPPED = ("Contact-Ref", "Contributor-Ref")


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
        if self.kind == "platform":
            return _PLATFORM.fullmatch(self.accession) is not None
        return bool(accession_of(self.accession, self.kind))

    def first(self, field: str) -> str:
        """The first value of a field, empty when there is none."""
        values = self.fields.get(field)
        return values[0].strip() if values else ""

    def linked(self, kind: str) -> list[str]:
        """The accessions that the entity names, each once.

        ``kind``: experiments (SRX …) of a sample; studies (SRP …), projects (BioProject), parts (of a SuperSeries) or
        samples (GSM) of a series.
        """
        pattern = _LINKED[kind]
        found = (pattern.match(value) for value in self.fields.get(_LINKS[kind][1], ()))
        return list(dict.fromkeys(item[1] for item in found if item))

    def taxa(self) -> dict[str, str]:
        """Tax id → organism over all channels of a sample; the organism is empty where the file does not say."""
        fields = sorted(self.fields)
        tax_ids, names = (
            [value.strip() for field in fields if field.startswith(f"{name}_ch") for value in self.fields[field]]
            for name in ("taxid", "organism")
        )
        if not tax_ids:
            tax_ids = [""] * len(names)
        elif len(names) != len(tax_ids):
            names = [""] * len(tax_ids)
        taxa: dict[str, str] = {}
        for tax_id, name in zip(tax_ids, names, strict=True):
            if any(found := taxon(tax_id, name)):
                taxa.setdefault(*found)
        return taxa


def family_address(base: str, series: str) -> str:
    """Return where GEO keeps the family file of a series: its stub has ``nnn`` for the last three digits."""
    return f"{base.rstrip('/')}/series/GSE{series[3:-3]}nnn/{series}/soft/{series}_family.soft.gz"


def is_miniml(path: str | Path) -> bool:
    """Whether a record is XML and names MINiML near its beginning."""
    with open_record(path) as handle:
        start = handle.read(2048)
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and b"<MINiML" in start


def read_family(path: str | Path) -> Iterator[Entity]:
    """Yield the entities of a family file, gzipped or not, in either format by its first bytes.

    Of SOFT one at a time, in the file's order; of MINiML the series last. Raises InputError for a file that is cut
    short or damaged, declares entities of XML, or is something else.
    """
    with open_record(path) as handle:
        yield from _miniml_entities(handle, path) if is_miniml(path) else _soft_entities(handle, path)


def _soft_entities(handle: BinaryIO, path: str | Path) -> Iterator[Entity]:
    entity: Entity | None = None
    prefix = b"!"
    size = 0  # bytes of the fields of the entity
    lines = _bounded_lines(handle, path)
    for number, line in enumerate(lines):
        if number == 0:
            line = _first_line(line, path)
        mark = line[:1]
        if mark == b"!":
            if line.startswith(prefix) and entity is not None:
                name, equals, value = line[len(prefix) :].partition(b" = ")
                if not equals:
                    name = name.rstrip(b"\r\n =")
                if equals or not name.endswith(b"table_begin"):
                    size += len(line)
                    if size > _LARGEST_ENTITY:
                        raise InputError(f"{path}: {entity.kind} {entity.accession!r} has more text than any of GEO.")
                    entity.fields.setdefault(name.decode("ascii", "replace"), []).append(_text(value))
                    continue
            if line.rstrip().lower().endswith(b"_table_begin"):
                _skip_table(lines)
        elif mark == b"^":
            if entity is not None:
                yield entity
            keyword, _, accession = line[1:].partition(b"=")
            kind = keyword.strip().decode("ascii", "replace")
            entity = Entity(kind.lower(), _text(accession).strip(), {})
            size = 0
            prefix = f"!{kind.capitalize()}_".encode()
    if entity is None:
        raise InputError(f"{path}: not a family file in SOFT format; it has no line that begins with '^'.")
    yield entity


def _first_line(line: bytes, path: str | Path) -> bytes:
    """Return the first line without a byte order mark. Raises InputError for what is not SOFT."""
    line = line.removeprefix(codecs.BOM_UTF8)
    if line.lstrip()[:1] == b"<" or b"\0" in line or b"\r" in line.rstrip(b"\r\n"):
        raise InputError(f"{path}: not a family file in SOFT format; it begins with {line[:40]!r}.")
    return line


def _bounded_lines(handle: BinaryIO, path: str | Path) -> Iterator[bytes]:
    while line := handle.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise InputError(f"{path}: a line of more than {LONGEST_LINE:,} bytes is not read.")
        yield line


def _skip_table(lines: Iterator[bytes]) -> None:
    for row in lines:
        if row[:1] == b"!" and row.rstrip().lower().endswith(b"_table_end"):
            return
    raise EOFError


def _text(value: bytes) -> str:
    return decode_text(value.rstrip(b"\r\n").replace(b"\r", b" "))


def _miniml_entities(handle: BinaryIO, path: str | Path) -> Iterator[Entity]:
    body = handle.read(_LARGEST_MINIML + 1)
    if len(body) > _LARGEST_MINIML:
        raise InputError(f"{path}: more than {_LARGEST_MINIML >> 20} MB of MINiML; use the family file in SOFT format.")
    root = parse_xml(body, path)
    if _tag(root) != "MINiML":
        raise InputError(f"{path}: not a family file in MINiML format; its outermost element is {_tag(root)!r}.")
    entities = [_miniml_entity(_KINDS[_tag(element)], element) for element in root if _tag(element) in _KINDS]
    members = [entity.accession for entity in entities if entity.kind == "sample"]
    for entity in sorted(entities, key=lambda entity: entity.kind == "series"):
        if entity.kind == "series":
            entity.fields.setdefault("sample_id", members)
        yield entity


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _miniml_entity(kind: str, element: Element) -> Entity:
    fields: dict[str, list[str]] = {}
    accession = element.get("iid", "")
    for child in element:
        if _tag(child) == "Accession":
            accession = _value(child)
        for name, value in _miniml_fields(child):
            if value:
                fields.setdefault(name, []).append(value)
    return Entity(kind, accession, fields)


def _miniml_fields(element: Element) -> Iterator[tuple[str, str]]:
    """Yield the fields of SOFT, and their values, for a child of an entity."""
    tag = _tag(element)
    if tag == "Accession":
        yield "geo_accession", _value(element)
    elif tag == "Status":
        yield from ((_DATES[_tag(date)], _value(date)) for date in element if _tag(date) in _DATES)
    elif tag == "Channel":
        for child in element:
            yield from _channel_fields(child, f"ch{element.get('position', '1')}")
    elif tag == "Organism":
        yield from (("organism", _value(element)), ("taxid", element.get("taxid", "")))
    elif tag == "Relation":
        yield "relation", f"{element.get('type', '')}: {element.get('target', '')}"
    elif tag in _REFERENCES:
        yield _REFERENCES[tag], element.get("ref", "")
    elif tag not in _SKIPPED:
        yield _RENAMED.get(tag, tag.lower().replace("-", "_")), _value(element)


def _channel_fields(element: Element, channel: str) -> Iterator[tuple[str, str]]:
    tag = _tag(element)
    if tag == "Organism":
        yield from ((f"organism_{channel}", _value(element)), (f"taxid_{channel}", element.get("taxid", "")))
    elif tag == "Characteristics":
        name = element.get("tag")
        yield f"characteristics_{channel}", f"{name}: {_value(element)}" if name else _value(element)
    elif tag in _IN_CHANNEL:
        yield f"{_IN_CHANNEL[tag]}_{channel}", _value(element)
