"""Files that may be gzipped: their first two bytes decide, not their names."""

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from scripts.core.errors import InputError


def deflate_error() -> type[Exception]:
    """Return the exception that isal raises for damaged deflate data; its type hints have it as a value."""
    from isal import isal_zlib

    return cast(type[Exception], isal_zlib.error)


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
    """Return what is in a file, gzipped or not. Raises InputError where it cannot be inflated."""
    try:
        with open_bytes(path) as handle:
            return handle.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut short or damaged, it cannot be inflated: {error}.") from error


def read_text(path: str | Path) -> str:
    """Return the text of a file, gzipped or not. Raises InputError where it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8: {error}.") from error
