"""GEO family files in MINiML format (``<GSE>_family.xml``): the same content as SOFT, as XML.

Schema: https://www.ncbi.nlm.nih.gov/geo/info/MINiML.xsd. Entities come out as :class:`scripts.records.soft.Entity`
with the field names of SOFT, so that the rest of the house reads one kind of family. Tables are external and not read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from scripts.core.errors import InputError
from scripts.records.reading import checked_xml, open_record
from scripts.records.soft import Entity

_KINDS = {"Series": "series", "Sample": "sample", "Platform": "platform"}
_DATES = {"Submission-Date": "submission_date", "Release-Date": "status", "Last-Update-Date": "last_update_date"}
_IN_CHANNEL = {"Source": "source_name", "Label": "label", "Label-Protocol": "label_protocol", "Molecule": "molecule"}
_IN_CHANNEL |= {name: name.lower().replace("-", "_") for name in ("Treatment-Protocol", "Growth-Protocol")}
_IN_CHANNEL |= {"Extract-Protocol": "extract_protocol"}


def read_miniml(path: str | Path) -> Iterator[Entity]:
    """Yield the series, samples and platforms of a MINiML file, gzipped or not.

    Raises InputError for a file that is damaged, declares entities or is something else.
    """
    from defusedxml import ElementTree

    with open_record(path) as handle, checked_xml(path):
        root = ElementTree.fromstring(handle.read())
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

    def add(name: str, value: str) -> None:
        if value:
            fields.setdefault(name, []).append(value)

    accession = element.get("iid", "")
    for child in element:
        tag = _tag(child)
        if tag == "Accession":
            accession = _value(child)
            add("geo_accession", accession)
        elif tag == "Status":
            for date in child:
                if _tag(date) in _DATES:
                    add(_DATES[_tag(date)], _value(date))
        elif tag == "Channel":
            _channel(child, child.get("position", "1"), add)
        elif tag == "Organism":
            add("organism", _value(child))
            add("taxid", child.get("taxid", ""))
        elif tag == "Relation":
            add("relation", f"{child.get('type', '')}: {child.get('target', '')}")
        elif tag == "Platform-Ref":
            add("platform_id", child.get("ref", ""))
        elif tag == "Sample-Ref":
            add("sample_id", child.get("ref", ""))
        elif tag == "Supplementary-Data":
            add("supplementary_file", _value(child))
        elif tag == "Instrument-Model":
            add("instrument_model", _value(child))
        elif tag not in ("Contact-Ref", "Contributor-Ref"):
            add(tag.lower().replace("-", "_"), _value(child))
    return Entity(kind, accession, fields)


def _channel(channel: Element, position: str, add: Callable[[str, str], None]) -> None:
    for child in channel:
        tag = _tag(child)
        if tag == "Organism":
            add(f"organism_ch{position}", _value(child))
            add(f"taxid_ch{position}", child.get("taxid", ""))
        elif tag == "Characteristics":
            name = child.get("tag")
            add(f"characteristics_ch{position}", f"{name}: {_value(child)}" if name else _value(child))
        elif tag in _IN_CHANNEL:
            add(f"{_IN_CHANNEL[tag]}_ch{position}", _value(child))
