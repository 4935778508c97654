"""A gzipped CSV table: ``\\n`` line ends, quotes only where needed, one gzip member without name and time.

The member is put together from raw-deflate pieces, which can be made side by side: each ends on a byte (a sync flush)
and starts with an empty window, so the bytes depend on where the text is cut and on nothing else. Levels 0 to 3 are
those of ISA-L (fast), 4 to 9 those of zlib. One member, because some readers stop after the first. RFC 1952, RFC 1951.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from isal import isal_zlib

LEVELS = range(10)
DEFAULT_LEVEL = 1
PIECE = 32 << 20
"""Bytes of text in a piece, about."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_TO_BE_QUOTED = frozenset(',"\r\n')


class Piece(NamedTuple):
    """A deflated piece of a member."""

    data: bytes
    crc: int
    length: int
    """Bytes of its text."""


def csv_line(values: Iterable[str]) -> bytes:
    """Return a line of a CSV table."""
    return (",".join(map(csv_value, values)) + "\n").encode()


def csv_value(text: str) -> str:
    """Return a value as it stands in a CSV table: in quotes where it has a comma, a quote or a line end."""
    if _TO_BE_QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def deflate_texts(texts: Iterable[bytes | memoryview], level: int) -> Piece:
    """Return the piece whose text is that of ``texts``, one after the other."""
    packer = isal_zlib.compressobj(level, wbits=-15) if level <= 3 else zlib.compressobj(level, zlib.DEFLATED, -15)
    crc = length = 0
    parts = []
    for text in texts:
        crc = isal_zlib.crc32(text, crc)
        length += len(text)
        parts.append(packer.compress(text))
    parts.append(packer.flush(zlib.Z_SYNC_FLUSH))
    return Piece(b"".join(parts), crc, length)


class OneMemberWriter:
    """Writes one gzip member from pieces, beside the target, which appears when all is written."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.partial = Path(f"{path}.part")
        self.crc = self.length = 0

    def __enter__(self) -> "OneMemberWriter":
        self.handle = self.partial.open("wb")
        self.handle.write(_HEADER)
        return self

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        self.handle.write(piece.data)
        self.account(piece.crc, piece.length)

    def account(self, crc: int, length: int) -> None:
        """Take note of a piece that was written to ``handle`` by other means."""
        self.crc = isal_zlib.crc32_combine(self.crc, crc, length)
        self.length += length

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.handle.write(_LAST_BLOCK + struct.pack("<II", self.crc, self.length & 0xFFFFFFFF))
        self.handle.close()
        if kind is None:
            self.partial.replace(self.path)
        else:
            self.partial.unlink(missing_ok=True)


def _cut(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    gathered: list[bytes] = []
    length = 0
    for line in lines:
        gathered.append(line)
        length += len(line)
        if length >= size:
            yield gathered
            gathered, length = [], 0
    if gathered:
        yield gathered


def write_csv_gz(path: str | Path, rows: Iterable[Sequence[str]], level: int = DEFAULT_LEVEL) -> None:
    """Write a table of text row by row."""
    with OneMemberWriter(path) as member:
        for lines in _cut(map(csv_line, rows), PIECE):
            member.add(deflate_texts([b"".join(lines)], level))
