"""Files: atomic writing, checksums, sizes, blocks of lines."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO


def size_of_folder(folder: str | Path) -> int:
    """Return the bytes of all files below a folder; files that are removed meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total


def line_blocks(handle: BinaryIO, size: int = 1 << 22) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines, of about ``size`` bytes or one line.

    A last line without a line end is a block by itself.
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


def hash_file(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file, in hex."""
    import hashlib

    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | Path, shared: bool = False) -> Iterator[Path]:
    """Yield the path of a partial file beside ``path``, which takes its place when the block ends without an error.

    The partial file is ``{path}.part``, so that a job that was killed leaves nothing that the next one does not
    replace; ``shared`` gives each process one of its own, for files that several may write at once.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part" if shared else f"{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file (UTF-8, ``\\n``) for writing; it appears under its name when the block ends without an error."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        yield handle


def write_atomic(path: str | Path, content: bytes | str, shared: bool = False) -> None:
    """Write a whole file, text as UTF-8, see :func:`atomic_path`."""
    with atomic_path(path, shared) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder ``{path}.part``, which replaces ``path`` when the block ends without an error."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        replace_folder(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_folder(folder: Path, target: Path) -> None:
    """Replace ``target``, if it exists, by a folder, which may be on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if folder.parent != target.parent:
        arriving = target.with_name(f".{target.name}.arriving")
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.move(folder, arriving)
        folder = arriving
    shutil.rmtree(target, ignore_errors=True)
    folder.replace(target)
