"""Small files that are read as a whole, gzipped or not: their first bytes tell, not their names."""

import gzip
import zlib
from pathlib import Path

from scripts.core.errors import InputError


def read_bytes(path: str | Path) -> bytes:
    """Return what is in a file, gzipped or not. Raises InputError where it cannot be inflated."""
    data = Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: cut short or damaged, it cannot be inflated: {error}.") from error


def read_text(path: str | Path) -> str:
    """Return the text of a file, gzipped or not. Raises InputError where it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8: {error}.") from error
