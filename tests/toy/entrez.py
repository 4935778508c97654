"""Entrez's search and summaries of GEO (``db=gds``), as E-utilities give them: terms, JSON and both kinds of XML.

A term has words and phrases in quotes, each with a field in brackets or none, ranges of dates, AND, OR, NOT and
brackets. Words beside each other are joined by AND.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<operator>(?:AND|OR|NOT)\b)"
    r"|(?P<phrase>\"[^\"]*\"|[^\s()\[\]\"]+)(?P<field>\[[^\]]*\])?)"
)
_FIELDS = {
    "etyp": "entry",
    "entry type": "entry",
    "organism": "organism",
    "organism:exp": "organism",
    "orgn": "organism",
    "dataset type": "type",
    "gtyp": "type",
    "accn": "accession",
    "pdat": "published",
    "udat": "updated",
    "mdat": "updated",
    "source": "source",
    "strategy": "strategy",
    "access": "access",
    "titl": "text",
    "all fields": "text",
}


class Document(NamedTuple):
    """A record of a database: ``fields`` maps a name of a field to its values, in lower case; dates are YYYY/MM/DD."""

    uid: str
    fields: Mapping[str, Sequence[str]]


class Found(NamedTuple):
    """The uids that a term finds, the newest first, and what of the term is not understood."""

    uids: list[str]
    unknown_phrases: list[str]
    unknown_fields: list[str]


def search(term: str, documents: Iterable[Document]) -> Found:
    """Return what a term finds among documents."""
    documents = list(documents)
    found = Found([], [], [])
    matches = _Parser(term, documents, found).parse()
    hits = [document for document in documents if matches(document)]
    hits.sort(key=lambda document: int(document.uid), reverse=True)
    found.uids.extend(document.uid for document in hits)
    return found


Matches = Callable[[Document], bool]


class _Parser:
    def __init__(self, term: str, documents: Sequence[Document], found: Found) -> None:
        self.tokens = [match for match in _TOKEN.finditer(term) if match[0].strip()]
        self.documents, self.found = documents, found

    def parse(self) -> Matches:
        left = self._one()
        while self.tokens and self.tokens[0]["bracket"] != ")":
            operator = self.tokens.pop(0)["operator"] if self.tokens[0]["operator"] else "AND"
            left = _joined(operator, left, self._one())
        return left

    def _one(self) -> Matches:
        token = self.tokens.pop(0)
        if token["bracket"] == "(":
            inner = self.parse()
            self.tokens.pop(0)
            return inner
        phrase, field = token["phrase"].strip('"').lower(), (token["field"] or "").strip("[]").lower()
        name = _FIELDS.get(field, "text")
        if field and field not in _FIELDS:
            self.found.unknown_fields.append(field)
        matches = _matcher(name, phrase)
        if name == "text" and not any(map(matches, self.documents)):
            self.found.unknown_phrases.append(token["phrase"])
        return matches


def _joined(operator: str, left: Matches, right: Matches) -> Matches:
    if operator == "OR":
        return lambda document: left(document) or right(document)
    if operator == "NOT":
        return lambda document: left(document) and not right(document)
    return lambda document: left(document) and right(document)


def _matcher(name: str, phrase: str) -> Matches:
    if name in ("published", "updated"):
        first, _, last = phrase.partition(":")
        return lambda document: any(first <= date <= (last or first) for date in document.fields.get(name, ()))
    if name == "text":
        word = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)")
        texts = ("text", "accession")
        return lambda document: any(word.search(text) for key in texts for text in document.fields.get(key, ()))
    return lambda document: phrase in document.fields.get(name, ())


def add_lists(root: ET.Element, found: Found) -> None:
    """Add ErrorList and WarningList to an ``eSearchResult``."""
    words = [("PhraseNotFound", phrase) for phrase in found.unknown_phrases if not phrase.startswith('"')]
    words += [("FieldNotFound", field) for field in found.unknown_fields]
    quoted = [("QuotedPhraseNotFound", phrase) for phrase in found.unknown_phrases if phrase.startswith('"')]
    quoted += [] if found.uids else [("OutputMessage", "No items found.")]
    for name, children in (("ErrorList", words), ("WarningList", quoted)):
        if children:
            parent = ET.SubElement(root, name)
            for tag, text in children:
                ET.SubElement(parent, tag).text = text


Summary = dict[str, object]
"""The fields of a summary under their names in version 1.0; lists hold texts or maps."""


def summaries_json(summaries: Mapping[str, Summary | None]) -> str:
    """Return the answer of esummary, version 2.0, as JSON; a uid without a summary has an error."""
    result: dict[str, object] = {"uids": list(summaries)}
    for uid, summary in summaries.items():
        result[uid] = {"uid": uid, **(_lower(summary) if summary else {"error": "cannot get document summary"})}
    return json.dumps({"header": {"type": "esummary", "version": "0.3"}, "result": result})


def _lower(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return {
        key.lower(): [_lower(item) if isinstance(item, dict) else item for item in held]
        if isinstance(held, list)
        else held
        for key, held in value.items()
    }


def summaries_xml(summaries: Mapping[str, Summary | None], version: str) -> str:
    """Return the answer of esummary as XML, version 1.0 (``DocSum``) or 2.0 (``DocumentSummary``)."""
    root = ET.Element("eSummaryResult")
    parent = ET.SubElement(root, "DocumentSummarySet", status="OK") if version == "2.0" else root
    for uid, summary in summaries.items():
        if version == "2.0":
            document = ET.SubElement(parent, "DocumentSummary", uid=uid)
            if summary is None:
                ET.SubElement(document, "error").text = "cannot get document summary"
            for name, value in (summary or {}).items():
                _element(document, name, value)
        elif summary is None:
            ET.SubElement(root, "ERROR").text = f"UID={uid}: cannot get document summary"
        else:
            document = ET.SubElement(root, "DocSum")
            ET.SubElement(document, "Id").text = uid
            document.extend(_items(summary))
    return '<?xml version="1.0" encoding="UTF-8" ?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _element(parent: ET.Element, name: str, value: object) -> None:
    child = ET.SubElement(parent, name)
    if not isinstance(value, list):
        child.text = str(value)
        return
    for item in value:
        if isinstance(item, dict):
            structure = ET.SubElement(child, name.removesuffix("s"))
            for key, text in item.items():
                _element(structure, key, text)
        else:
            ET.SubElement(child, "int").text = str(item)


def _items(fields: Mapping[str, object]) -> Iterator[ET.Element]:
    for name, value in fields.items():
        kind = "List" if isinstance(value, list) else "Integer" if isinstance(value, int) else "String"
        item = ET.Element("Item", Name=name, Type=kind)
        if isinstance(value, list):
            for held in value:
                if isinstance(held, dict):
                    structure = ET.SubElement(item, "Item", Name=name.removesuffix("s"), Type="Structure")
                    structure.extend(_items(held))
                else:
                    ET.SubElement(item, "Item", Name="int", Type="Integer").text = str(held)
        else:
            item.text = str(value)
        yield item
