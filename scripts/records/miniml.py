"""GEO family files in MINiML format (``<GSE>_family.xml``): the same content as SOFT, as XML.

Schema: https://www.ncbi.nlm.nih.gov/geo/info/MINiML.xsd. Entities are :class:`scripts.records.soft.Entity` with the
field names of SOFT, so that callers know one kind of family file. Tables are external and not read.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from scripts.core.errors import InputError
from scripts.records.reading import open_record, parse_xml
from scripts.records.soft import Entity

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
_SKIPPED = ("Contact-Ref", "Contributor-Ref")


def read_miniml(path: str | Path) -> Iterator[Entity]:
    """Yield the series, samples and platforms of a MINiML file, gzipped or not.

    Raises InputError for a file that is damaged, declares entities or is something else.
    """
    with open_record(path) as handle:
        root = parse_xml(handle.read(), path)
    if _tag(root) != "MINiML":
        raise InputError(f"{path}: not a family file in MINiML format; its outermost element is {_tag(root)!r}.")
    members: list[str] = []
    series: list[Entity] = []
    for element in root:
        kind = _KINDS.get(_tag(element))
        if kind is None:
            continue
        entity = _entity(kind, element)
        if kind == "series":
            series.append(entity)
            continue
        if kind == "sample":
            members.append(entity.accession)
        yield entity
    for entity in series:
        entity.fields.setdefault("sample_id", members)
        yield entity


def is_miniml(path: str | Path) -> bool:
    """Whether a record is XML and names MINiML near its beginning."""
    with open_record(path) as handle:
        start = handle.read(2048)
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and b"<MINiML" in start


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _entity(kind: str, element: Element) -> Entity:
    fields: dict[str, list[str]] = {}
    accession = element.get("iid", "")
    for child in element:
        if _tag(child) == "Accession":
            accession = _value(child)
        for name, value in _fields(child):
            if value:
                fields.setdefault(name, []).append(value)
    return Entity(kind, accession, fields)


def _fields(element: Element) -> Iterator[tuple[str, str]]:
    """Yield the fields of SOFT, and their values, for a child of an entity."""
    tag = _tag(element)
    if tag == "Accession":
        yield "geo_accession", _value(element)
    elif tag == "Status":
        yield from ((_DATES[_tag(date)], _value(date)) for date in element if _tag(date) in _DATES)
    elif tag == "Channel":
        yield from _channel_fields(element, element.get("position", "1"))
    elif tag == "Organism":
        yield from (("organism", _value(element)), ("taxid", element.get("taxid", "")))
    elif tag == "Relation":
        yield "relation", f"{element.get('type', '')}: {element.get('target', '')}"
    elif tag in _REFERENCES:
        yield _REFERENCES[tag], element.get("ref", "")
    elif tag not in _SKIPPED:
        yield _RENAMED.get(tag, tag.lower().replace("-", "_")), _value(element)


def _channel_fields(channel: Element, position: str) -> Iterator[tuple[str, str]]:
    for child in channel:
        tag = _tag(child)
        if tag == "Organism":
            yield f"organism_ch{position}", _value(child)
            yield f"taxid_ch{position}", child.get("taxid", "")
        elif tag == "Characteristics":
            name = child.get("tag")
            yield f"characteristics_ch{position}", f"{name}: {_value(child)}" if name else _value(child)
        elif tag in _IN_CHANNEL:
            yield f"{_IN_CHANNEL[tag]}_ch{position}", _value(child)
