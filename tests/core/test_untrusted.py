"""Lines, numbers and addresses that others wrote."""

import gzip
import io
from pathlib import Path

import pytest

from scripts.core import untrusted
from scripts.core.errors import InputError
from scripts.core.untrusted import (
    decimal_number,
    nearest,
    open_lines,
    quoted,
    strip_blanks,
    text_lines,
    web_address,
    whole_number,
)


def lines(content: bytes) -> list[str]:
    return list(text_lines(io.BytesIO(content), "a.txt"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_every_kind_of_text(encoding: str, end: str) -> None:
    assert lines(f"a\té{end}{end}b{end}".encode(encoding)) == ["a\té", "", "b"]


def test_utf_16_of_the_other_order() -> None:
    assert lines(b"\xfe\xff" + "é\nb".encode("utf-16-be")) == ["é", "b"]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_only_line_feeds_end_lines(character: str) -> None:
    assert lines(f"a{character}b\nc\n".encode()) == [f"a{character}b", "c"]


def test_a_return_within_a_line_is_a_blank() -> None:
    assert lines(b"a\rb\r\nc\n") == ["a b", "c"]


def test_lines_may_be_of_two_encodings() -> None:
    assert lines("é\n".encode() + "é\n".encode("cp1252")) == ["é", "é"]


@pytest.mark.parametrize(("content", "found"), [(b"", []), (b"\n", [""]), (b"a", ["a"]), (b"\xef\xbb\xbf", [])])
def test_short_texts(content: bytes, found: list[str]) -> None:
    assert lines(content) == found


def test_a_text_of_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "_PIECE", 3)
    assert lines("añb\ncd\r\n\nefghij".encode()) == ["añb", "cd", "", "efghij"]
    assert lines("añb\ncd".encode("utf-16")) == ["añb", "cd"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "a.txt: this is a workbook, not a text; save it as text, separated by tabs"),
        (b"a\nb\0\n", "a.txt, line 2: not a text, it has a NUL character; save it as text in UTF-8"),
        ("a\n".encode("utf-16-le"), "a.txt, line 1: not a text"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        lines(content)


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "LONGEST_LINE", 10)
    with pytest.raises(InputError, match=r"a\.txt: a line of more than 10 bytes is not read"):
        lines(b"a" * 11)


def test_files_may_be_packed_or_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"a\nb\n"))
    assert list(open_lines(tmp_path / "a")) == ["a", "b"]
    (tmp_path / "a").write_bytes(gzip.compress(b"a\nb\n")[:-6])
    with pytest.raises(InputError, match="cut short"):
        list(open_lines(tmp_path / "a"))
    with pytest.raises(InputError, match="none: it cannot be read: No such file"):
        list(open_lines(tmp_path / "none"))
    with pytest.raises(InputError, match="it cannot be read: Is a directory"):
        list(open_lines(tmp_path))


def test_blanks_of_every_kind() -> None:
    assert strip_blanks("\ufeff\xa0 a b\u200b\u2007\n") == "a b"


def test_quoted_values_are_short_and_printable() -> None:
    assert quoted("a\x1b[31m\n") == r"'a\x1b[31m\n'"
    assert quoted("x" * 100) == repr("x" * 60 + "…")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), ("12", 12), (" 12\xa0", 12), ("1,234,567", 1234567), ("10090.0", 10090), ("012", 12)),
        *(("", None), ("-1", None), ("1.5", None), ("1e5", None), ("١٢", None), ("²", None), ("1,23", None)),
        *(("9" * 5000, None), ("9" * 16, None), ("abc", None), ("1.", 1)),
    ],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("4.9e+09", 4.9e9), ("12", 12.0), (".5", 0.5), ("", None), (".", None), ("nan", None), ("inf", None)),
        *(("-1", None), ("1e999", None), ("1_0", None), ("9" * 5000, None)),
    ],
)
def test_decimal_numbers(text: str, number: float | None) -> None:
    assert decimal_number(text) == number


@pytest.mark.parametrize("address", ["https://h/a", "http://127.0.0.1:8000/a?b=c", "http://[::1]/a"])
def test_addresses_of_the_web(address: str) -> None:
    assert web_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://[::1",
        "file:///etc/passwd",
        "s3://b/c",
        "https://",
        "http://h:x/",
        "http://h/a b",
        "http://h/\n",
        "h/a",
    ],
)
def test_what_is_no_address_of_the_web(address: str) -> None:
    assert web_address(address) == ""


def test_a_text_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"\n" * 100))
    assert len(list(open_lines(tmp_path / "a.txt", 100))) == 100
    with pytest.raises(InputError, match=r"a\.txt: too long for what it should be"):
        list(open_lines(tmp_path / "a.txt", 99))


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("10xv3", ["10x_5p_v3", "10x_3p_v3", "10x_3p_v2"], "10x_3p_v3"),  # the first of those alike
        ("FEATURES", ["features", "feature"], "features"),
        ("reslove", ["resolve", "retry"], "resolve"),
        ("xyz", ["abc"], ""),
        ("a", [], ""),
    ],
)
def test_the_nearest_known_word(word, known, near):
    assert nearest(word, known) == near
