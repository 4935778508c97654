"""Records are opened by their first bytes; what is wrong with one is said with a remedy."""

import gzip
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from scripts.core.errors import InputError
from scripts.records.reading import checked_xml, open_record

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


def test_faults_of_xml_name_the_record() -> None:
    from defusedxml import ElementTree

    with pytest.raises(InputError, match="answer: it is cut short or not well-formed XML"), checked_xml("answer"):
        raise ParseError("no element found")
    with pytest.raises(InputError, match="answer: the document declares entities"), checked_xml("answer"):
        ElementTree.fromstring('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
