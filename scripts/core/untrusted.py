"""What others wrote, before anything else uses it: lines of text, numbers, addresses, and words to quote."""

import codecs
import difflib
import functools
import itertools
import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError

_MARKS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, .ods; .xls
_PIECE = 1 << 18
LONGEST_LINE = 1 << 26
LARGEST_TEXT = 1 << 30
"""Bytes; a longer line is not read into memory, and no more of a text than that, when it is inflated."""
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"  # byte order marks and blanks of no width, which str.strip leaves
_PLAIN_ADDRESS = re.compile(r"([a-z0-9]{1,10})://[A-Za-z0-9][A-Za-z0-9.-]{0,250}/[!-~]{0,3000}")
_WHOLE = re.compile(r"[0-9]{1,18}")
_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3}){1,5}")
_DECIMAL = re.compile(r"[0-9]{0,18}\.?[0-9]{0,18}([eE][+-]?[0-9]{1,3})?")


def open_lines(path: str | Path, most: int = LARGEST_TEXT) -> Iterator[str]:
    """Yield the lines of a text file of at most so many bytes, gzipped or not, see :func:`text_lines`.

    Raises InputError, which names the file, where it cannot be read.
    """
    try:
        with open_bytes(path) as handle:
            yield from text_lines(handle, path, most)
    except EOFError as error:
        raise InputError(f"{path}: it cannot be read: it is cut short.") from error
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {cause_of(error, path)}.") from error


def text_lines(handle: BinaryIO, name: str | Path, most: int = LARGEST_TEXT) -> Iterator[str]:
    r"""Yield the lines of a text without their ends: ``\n`` or ``\r\n``, or ``\r`` where the text has no ``\n``.

    Whatever else Unicode counts among line ends (VT, FF, U+0085, U+2028) is part of a line, and a ``\r`` within one
    becomes a blank. UTF-16 is known by its byte order mark; all else is UTF-8, but a line that is not is read as
    Windows-1252. Raises InputError, with the line, for what is no text, for a line beyond LONGEST_LINE, and for a text
    of more than ``most`` bytes.
    """
    head = handle.read(_PIECE)
    if head.startswith(_WORKBOOKS):
        raise InputError(f"{name}: this is a workbook, not a text; save it as text, separated by tabs.")
    mark, encoding = next(((mark, encoding) for mark, encoding in _MARKS if head.startswith(mark)), (b"", ""))
    pieces: Iterator[bytes] = itertools.chain([head[len(mark) :]], iter(functools.partial(handle.read, _PIECE), b""))
    if encoding:
        pieces = map(_as_utf8(encoding), pieces)
    first = next(pieces)
    end = b"\r" if b"\r" in first and b"\n" not in first else b"\n"
    number = 0
    for block in _blocks(itertools.chain([first], pieces), end, name, most):
        lines = _decode(block, end)
        if b"\0" in block:
            number += next(index for index, line in enumerate(lines, 1) if "\0" in line)
            raise InputError(f"{name}, line {number}: not a text, it has a NUL character; save it as text in UTF-8.")
        number += len(lines)
        yield from lines


def _decode(block: bytes, end: bytes) -> list[str]:
    try:
        lines = block.decode().split(end.decode())
    except UnicodeDecodeError:
        lines = [decode_text(line) for line in block.split(end)]
    if b"\r" in block and end == b"\n":
        lines = [line.removesuffix("\r").replace("\r", " ") for line in lines]
    return lines


def _as_utf8(encoding: str) -> "functools.partial[bytes]":
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return functools.partial(lambda piece: decoder.decode(piece).encode())


def _blocks(pieces: Iterable[bytes], end: bytes, name: str | Path, most: int) -> Iterator[bytes]:
    """Yield whole lines, several at once, without the end of the last of them."""
    rest = b""
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise InputError(f"{name}: too long for what it should be; the rest of it is not read.")
        lines, cut, rest = (rest + piece).rpartition(end)
        if cut:
            yield lines
        if len(rest) > LONGEST_LINE:
            raise InputError(f"{name}: a line of more than {LONGEST_LINE:,} bytes is not read.")
    if rest:
        yield rest


def decode_text(line: bytes) -> str:
    """Return text in UTF-8, or in Windows-1252 where it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def strip_blanks(text: str) -> str:
    """Return a text without the blanks around it, also those that do not break or have no width."""
    return text.strip().strip(_INVISIBLE).strip()


def quoted(value: object, most: int = 60) -> str:
    """Return a value in quotes for a message, at most so many characters of it, without control characters."""
    text = str(value)
    return repr(text if len(text) <= most else f"{text[:most]}…")


def whole_number(text: str, most: int = 10**15) -> int | None:
    """Return a whole number, also written as ``1,234`` or ``12.0``; None for anything else, and above ``most``."""
    if len(text) < 15 and text.isascii() and text.isdecimal():
        return int(text) if int(text) <= most else None
    text = strip_blanks(text)
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    whole, _, zeros = text.partition(".")
    if not _WHOLE.fullmatch(whole) or zeros.strip("0"):
        return None
    return int(whole) if int(whole) <= most else None


def decimal_number(text: str, most: float = 1e15) -> float | None:
    """Return a number of zero or more, also written as ``4.9e+09``; None for anything else, and above ``most``."""
    text = strip_blanks(text)
    if not any(map(str.isdecimal, text)) or not _DECIMAL.fullmatch(text):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value <= most else None


def web_address(text: str, schemes: Container[str] = ("https", "http")) -> str:
    """Return an address of one of these schemes, of the web by default, with a host; empty for anything else."""
    plain = _PLAIN_ADDRESS.fullmatch(text)
    if plain and plain[1] in schemes:
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # e.g. "http://[::1", or a port that is no number
        return ""
    sound = text.isascii() and text.isprintable() and " " not in text and len(text) <= 4000
    return text if sound and parts.scheme in schemes and parts.hostname and port != 0 else ""


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str:
    """Return the known word that ``word`` may be with a slip, the first of those alike; empty where none is near.

    ``least`` is the smallest similarity, from 0 to 1 (difflib's ratio); upper and lower case are alike.
    """
    plain = word.casefold()
    ratios = {name: difflib.SequenceMatcher(None, plain, name.casefold()).ratio() for name in sorted(known)}
    best = max(ratios, key=lambda name: ratios[name], default="")
    return best if best and ratios[best] >= least else ""
