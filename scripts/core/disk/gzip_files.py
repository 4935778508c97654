"""Files that may be gzipped: their first two bytes decide, not their names."""

import contextlib
import gzip
import io
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from scripts.core.disk.files import open_regular
from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError

LARGEST = 1 << 28
"""Bytes of a file that is read whole."""
FREE = 1 << 24
"""Bytes that a small gzip stream may inflate to whatever its size."""


def deflate_error() -> type[Exception]:
    """Return the exception that isal raises for damaged deflate data; its type hints have it as a value."""
    from isal import isal_zlib

    return cast(type[Exception], isal_zlib.error)


class BoundedGzip:
    """The text of a gzip stream from anywhere. Every fault is an InputError with the name of the file.

    ``most`` is how many times its own bytes it may inflate to, beyond :data:`FREE`; None for any number.
    """

    def __init__(self, handle: BinaryIO, name: str, most: int | None = None) -> None:
        from isal import igzip

        self.name = name
        self.most = most
        self.inflated = 0
        self.lines = 0
        self._packed = _PackedBytes(handle)
        self._stream = igzip.IGzipFile(fileobj=cast(BinaryIO, self._packed), mode="rb")
        self._errors = (OSError, EOFError, zlib.error, deflate_error())

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``; none at the end."""
        return self._take(self._stream.read, size)

    def line(self, most: int) -> bytes:
        """Return the next line with its end, empty at the end. Raises InputError where it has more bytes."""
        line = self._take(self._stream.readline, most + 1)
        self.lines += 1
        if len(line) > most:
            raise InputError(f"{self.name}, line {self.lines}: more than {most:,} bytes, too long for such a file.")
        return line

    def _take(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            piece = read(size)
        except EOFError as error:
            raise InputError(f"{self.name}: cannot be read to its end: it is cut short, or not gzipped.") from error
        except self._errors as error:
            raise InputError(f"{self.name}: cannot be read to its end: {error}.") from error
        self.inflated += len(piece)
        if self.most is not None and self.inflated > FREE + self.most * self._packed.bytes:
            raise InputError(f"{self.name}: it inflates to more than {self.most} times its size, as no such file does.")
        return piece


class _PackedBytes(io.RawIOBase):
    """Counts the bytes that are read from a file."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        piece = self._handle.read(len(view))
        view[: len(piece)] = piece
        self.bytes += len(piece)
        return len(piece)


@contextlib.contextmanager
def open_bounded(path: str | Path, name: str, most: int | None = None) -> Iterator[BoundedGzip]:
    """Open a gzipped file of a folder that somebody else made, see :func:`~scripts.core.disk.files.open_regular`.

    ``name`` is that of the file in errors, ``most`` as for :class:`BoundedGzip`. Raises InputError.
    """
    try:
        handle = open_regular(path)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {cause_of(error, name)}.") from error
    with handle:
        yield BoundedGzip(handle, name, most)


@contextlib.contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading its bytes, inflated where its first two bytes are those of gzip.

    A gzip stream that is cut short raises EOFError in the block, a damaged one leaves the block as gzip.BadGzipFile,
    which is an OSError.
    """
    with Path(path).open("rb") as handle:
        if handle.peek(2)[:2] != b"\x1f\x8b":
            yield handle
            return
        from isal import igzip

        try:
            with igzip.IGzipFile(fileobj=handle, mode="rb") as inflated:
                yield cast(BinaryIO, inflated)
        except deflate_error() as error:
            raise gzip.BadGzipFile(str(error)) from error


def read_bytes(path: str | Path) -> bytes:
    """Return what is in a file, gzipped or not. Raises InputError where it cannot be inflated, or has over 256 MiB."""
    try:
        with open_bytes(path) as handle:
            content = handle.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise InputError(f"{path}: more than {LARGEST >> 20} MiB of text, too long for such a file.")
            return content
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut short or damaged, it cannot be inflated: {error}.") from error


def read_text(path: str | Path) -> str:
    """Return the text of a file, gzipped or not. Raises InputError where it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8: {error}.") from error


_LEVEL = 2  # of ISA-L: as small as zlib's 3, and several times as fast
_BLOCK = 1 << 20


def pack_bytes(pieces: Iterable[bytes], target: str | Path) -> None:
    """Write a gzipped file, without name and time in its head: the same text gives the same bytes."""
    from isal import igzip

    with Path(target).open("wb") as handle, igzip.IGzipFile("", "wb", _LEVEL, cast(Any, handle), mtime=0) as packed:
        for piece in pieces:
            packed.write(piece)


def pack_file(source: str | Path, target: str | Path) -> None:
    """Write a gzipped copy of a file, see :func:`pack_bytes`."""
    with Path(source).open("rb") as handle:
        pack_bytes(iter(lambda: handle.read(_BLOCK), b""), target)


def unpack_file(source: str | Path, target: Path) -> Path:
    """Write the text of a gzipped file to another one; return that. Raises InputError where it cannot be inflated."""
    try:
        with open_bytes(source) as packed, target.open("wb") as handle:
            shutil.copyfileobj(packed, handle, _BLOCK)
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{source}: cut short or damaged, it cannot be inflated: {error}.") from error
    return target
