"""Records are opened by their first bytes; what is wrong with one is said with a remedy."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records.answers.reading import open_record, parse_xml, xml_events

TEXT = b"^SERIES = GSE1\n" * 1000


@pytest.mark.parametrize("body", [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:])])
def test_a_record_may_be_gzipped(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "record").write_bytes(body)
    with open_record(tmp_path / "record") as handle:
        assert handle.read() == TEXT


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (gzip.compress(TEXT)[:-9], "record: it is cut short; delete it to have it fetched again."),
        (gzip.compress(TEXT)[:20] + b"garbage" * 9, "record: it is damaged"),
    ],
)
def test_faults_say_what_to_do(tmp_path: Path, body: bytes, words: str) -> None:
    (tmp_path / "record").write_bytes(body)
    with pytest.raises(InputError) as caught, open_record(tmp_path / "record") as handle:
        handle.read()
    assert words in str(caught.value)


def test_a_record_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="record: it cannot be read: No such file"), open_record(tmp_path / "record"):
        pass


def test_an_xml_document_is_read_to_its_end() -> None:
    pieces = [b"<?xml version='1.0'?><a><b", b">1</b>", b"</a>"]
    events = [(event, element.tag) for event, element in xml_events(pieces, "answer")]
    assert events == [("start", "a"), ("start", "b"), ("end", "b"), ("end", "a")]
    assert parse_xml("<a>ß</a>".encode(), "answer").text == "ß"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<a><b>", "answer: it is cut short or not well-formed XML"),
        (b"<a>&b;</a>", "answer: it is cut short or not well-formed XML"),
        (b"", "answer: it is cut short or not well-formed XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "answer: the document declares entities"),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><x/>'.encode("utf-16"), "entities"),
    ],
)
def test_faults_of_xml(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_xml(body, "answer")


@pytest.mark.parametrize("cut", range(1, 40))
def test_entities_are_found_in_whatever_pieces_a_document_comes(cut: int) -> None:
    body = b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    with pytest.raises(InputError, match="entities"):
        list(xml_events([body[:cut], body[cut:]], "answer"))


@pytest.mark.parametrize("encoding", ["UTF-7", "x-evil"])
def test_encodings_that_are_not_read(encoding: str) -> None:
    with pytest.raises(InputError, match=r"a\.xml: XML in an encoding that is not read"):
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode(), "a.xml")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<a>" * 200 + b"</a>" * 200, "more than 100 elements within each other"),
        (b"<a>" + b"x" * (20 << 20) + b"</a>", "a tag or text of more than 16 MB"),
        (b"<a b='" + b"x" * (20 << 20) + b"'/>", "a tag or text of more than 16 MB"),
    ],
)
def test_xml_without_end_is_refused(body: bytes, words: str) -> None:
    pieces = (body[begin : begin + (1 << 18)] for begin in range(0, len(body), 1 << 18))
    with pytest.raises(InputError, match=words):
        list(xml_events(pieces, "record"))
