"""Answers of E-utilities on GEO's data sets (``db=gds``): searches and summaries.

A search (esearch) answers ``eSearchResult`` with ``Count``, ``IdList/Id`` and, where it did not understand everything,
``ErrorList`` and ``WarningList``. A summary (esummary) of version 2.0 comes as JSON: ``result`` has ``uids`` and, for
each uid, its fields in lower case, or ``error``. As XML it is a ``DocumentSummarySet`` of ``DocumentSummary`` with an
attribute ``uid``, and in version 1.0 an ``eSummaryResult`` of ``DocSum`` with ``Item`` elements; all three are read.
The uid of a series is 200000000 plus its number. https://www.ncbi.nlm.nih.gov/books/NBK25499/
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from scripts.core.errors import InputError
from scripts.core.untrusted import quoted, whole_number
from scripts.records.answers.reading import parse_xml

_SERIES_UID = re.compile(r"2[0-9]{8}")
_MOST_FOUND = 10_000_000
_PUBLISHED = re.compile(r"([0-9]{4})[/-]([0-9]{2})[/-]([0-9]{2})")
_NOTES = {
    "phrasenotfound": "a phrase is not found",
    "fieldnotfound": "there is no such field",
    "phraseignored": "a phrase is ignored",
    "quotedphrasenotfound": "a phrase in quotes is not found",
    "outputmessage": "it says",
}
_LONGEST_TITLE = 2000  # characters of a title that are kept


class SearchPage(NamedTuple):
    """A page of the result of a search: how many there are in all, the uids of this page, and what it did not take."""

    total: int
    uids: list[str]
    notes: list[str]


class SeriesSummary(NamedTuple):
    """What GEO's summary says of a series; ``published`` is a date as YYYY-MM-DD, empty where there is none."""

    series: str
    title: str = ""
    published: str = ""
    organisms: str = ""
    samples: int | None = None
    pubmed: tuple[str, ...] = ()


def read_search(body: bytes) -> SearchPage:
    """Return what a search answers. Raises InputError for what is no result of a search."""
    name = "the answer"
    root = parse_xml(body, name)
    for element in root.iter():
        if element.tag.lower() == "error":
            raise InputError(f"{name}: NCBI says: {_text(element).rstrip('.')}.")
    count = whole_number(root.findtext("Count") or "", _MOST_FOUND)
    if root.tag != "eSearchResult" or count is None:
        raise InputError(f"{name}: it is no result of a search.")
    uids = [_text(element) for element in root.iterfind("IdList/Id")]
    lists = [*root.iterfind("ErrorList/*"), *root.iterfind("WarningList/*")]
    notes = [f"{_NOTES[element.tag.lower()]}: {_text(element)}" for element in lists if element.tag.lower() in _NOTES]
    return SearchPage(count, uids, notes)


def is_series_uid(uid: str) -> bool:
    """Return whether a uid is that of a series of GEO."""
    return _SERIES_UID.fullmatch(uid) is not None


def series_of_uid(uid: str) -> str:
    """Return the series of a uid."""
    return f"GSE{int(uid[1:])}"


def read_summaries(body: bytes) -> dict[str, SeriesSummary | str]:
    """Return uid → its summary, or what the archive says instead.

    Raises InputError for what is no answer of esummary, also for an error in place of all summaries.
    """
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    documents = _of_json(body) if start == b"{" else _of_xml(body)
    return {uid: _summary(uid, fields) for uid, fields in documents if is_series_uid(uid)}


def _of_json(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the answer: not JSON: {error}.") from error
    said = answer.get("error") or answer.get("esummaryresult")
    result = answer.get("result")
    if not isinstance(result, dict):
        raise InputError(f"the answer: NCBI says: {quoted(said or 'nothing', 200)}.")
    for uid, fields in result.items():
        if uid != "uids":
            yield uid, fields if isinstance(fields, dict) else {"error": fields}


def _of_xml(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    root = parse_xml(body, "the answer")
    if root.tag != "eSummaryResult":
        raise InputError(f"the answer: no summaries; its outermost element is {root.tag!r}.")
    documents = [*root.iter("DocSum"), *root.iter("DocumentSummary")]
    errors = [_text(element) for element in root if element.tag.lower() == "error"]
    if errors and not documents and not all(re.match(r"UID=", error) for error in errors):
        raise InputError(f"the answer: NCBI says: {errors[0].rstrip('.')}.")
    for error in errors:
        if found := re.match(r"UID=([0-9]+)", error):
            yield found[1], {"error": error}
    for document in documents:
        yield (document.get("uid") or document.findtext("Id") or "").strip(), dict(_fields(document))


def _fields(document: Element) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a document: text, or a list of texts."""
    for element in document:
        name = (element.get("Name") or element.tag).lower()
        yield name, [_text(item) for item in element] if len(element) else _text(element)


def _summary(uid: str, fields: Mapping[str, Any]) -> SeriesSummary | str:
    if error := fields.get("error"):
        return quoted(error, 200)
    pubmed = fields.get("pubmedids")
    published = _PUBLISHED.fullmatch(_plain(fields.get("pdat")))
    return SeriesSummary(
        series_of_uid(uid),
        _plain(fields.get("title"))[:_LONGEST_TITLE],
        "-".join(published.groups()) if published else "",
        _plain(fields.get("taxon"))[:_LONGEST_TITLE],
        whole_number(_plain(fields.get("n_samples"))),
        tuple(word for word in map(_plain, pubmed if isinstance(pubmed, list) else ()) if word.isdecimal()),
    )


def _plain(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str | int) else ""


def _text(element: Element) -> str:
    return " ".join(" ".join(element.itertext()).split())
