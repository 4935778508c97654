"""Small files that are read as a whole, gzipped or not: their first bytes tell, not their names."""

import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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


def size_of_folder(folder: str | Path) -> int:
    """Return how many bytes the files below a folder hold; a file that goes while we look counts as nothing."""
    total = 0
    stack = [str(folder)]
    while stack:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def line_blocks(handle: BinaryIO, size: int = 1 << 22) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines, each of at least ``size`` bytes or so.

    A last line without an end comes last, by itself.
    """
    rest = b""
    while piece := handle.read(size):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = piece[cut:]
        else:
            rest += piece
    if rest:
        yield rest


def hash_file(path: str | Path) -> str:
    """Return the sha256 of a file, in hex."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file beside its place and put it there in one step."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
