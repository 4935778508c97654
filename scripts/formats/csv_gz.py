"""A gzipped CSV table: ``\\n`` line ends, quotes only where needed, one gzip member without name and time.

The member is put together from raw-deflate pieces, which can be made side by side: each ends on a byte (a sync flush)
and starts with an empty window, so the bytes depend on where the text is cut and on nothing else. Levels 0 to 3 are
those of ISA-L (fast), 4 to 9 those of zlib. Levels 0 to 2 give the same bytes on every x86-64 processor with SSE4.2,
level 3 others without AVX2. One member, because some readers stop after the first. RFC 1952, RFC 1951.
"""

import contextlib
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from isal import isal_zlib

from scripts.core.disk.files import atomic_path

LEVELS = range(10)
DEFAULT_LEVEL = 1
PIECE = 32 << 20
"""Bytes of text in a piece, about."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_TO_BE_QUOTED = frozenset(',"\r\n')


def csv_line(values: Iterable[str]) -> bytes:
    """Return a line of a CSV table."""
    return (",".join(map(csv_value, values)) + "\n").encode()


def csv_value(text: str) -> str:
    """Return a value of a CSV table: in quotes where it has a comma, a quote or a line end."""
    if _TO_BE_QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


class PieceWriter:
    """Writes deflated pieces to a file, one after the other, and keeps the CRC and the length of their text."""

    def __init__(self, handle: IO[bytes], level: int) -> None:
        self.handle, self.level = handle, level
        self.crc = self.length = 0

    def add(self, texts: Iterable[bytes | memoryview | None]) -> None:
        """Append a piece whose text is that of ``texts``, one after the other; None ends it and begins another."""
        packer = self._begin_piece()
        for text in texts:
            if text is None:
                self.handle.write(packer.flush(zlib.Z_SYNC_FLUSH))
                packer = self._begin_piece()
                continue
            self.crc = isal_zlib.crc32(text, self.crc)
            self.length += len(text)
            self.handle.write(packer.compress(text))
        self.handle.write(packer.flush(zlib.Z_SYNC_FLUSH))

    def add_file(self, path: str | Path, crc: int, length: int) -> None:
        """Append pieces that another writer wrote to a file."""
        with Path(path).open("rb") as pieces:
            shutil.copyfileobj(pieces, self.handle, 1 << 20)
        self.crc = isal_zlib.crc32_combine(self.crc, crc, length)
        self.length += length

    def _begin_piece(self) -> Any:
        if self.level <= 3:
            return isal_zlib.compressobj(self.level, wbits=-15)
        return zlib.compressobj(self.level, zlib.DEFLATED, -15)


@contextlib.contextmanager
def one_member(path: str | Path, level: int) -> Iterator[PieceWriter]:
    """Open a gzip file of one member for writing; it appears when the block ends without an error."""
    with atomic_path(path) as partial, partial.open("wb") as handle:
        handle.write(_HEADER)
        pieces = PieceWriter(handle, level)
        yield pieces
        handle.write(_LAST_BLOCK + struct.pack("<II", pieces.crc, pieces.length & 0xFFFFFFFF))


def _cut(lines: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yield lines, and None between pieces."""
    length = 0
    for line in lines:
        if length >= PIECE:
            yield None
            length = 0
        yield line
        length += len(line)


def write_csv_gz(path: str | Path, rows: Iterable[Sequence[str]], level: int = DEFAULT_LEVEL) -> None:
    """Write a table of text row by row."""
    with one_member(path, level) as pieces:
        pieces.add(_cut(map(csv_line, rows)))
