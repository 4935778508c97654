"""FASTQ files: four lines a read, plain or compressed (gzip, bzip2, xz); counted by line ends, not read by read.

The first bytes decide the kind of a file, never its name.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from scripts.core.disk.files import path_below
from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import RunFault

SUFFIXES = (".fastq.gz", ".fastq")
"""Ends of the names of FASTQ files in our folders: compressed as they were written, or links to what a user has."""
_PIECE = 1 << 20
_LEVEL = 2  # of ISA-L; 3 is no smaller on reads, and slower
_INFLATED = 1 << 18  # bytes that are inflated at a time
_TAIL = 1 << 16
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\x00"
LONGEST_LINE = 1 << 26
"""Bytes of the longest line that is read; the longest reads have some million bases."""


def kind_of(path: str | Path) -> str:
    """Return ``sra``, ``bam``, ``fastq``, ``fastq.gz``, ``fastq.bz2`` or ``fastq.xz``; else empty.

    An empty file is an empty FASTQ, and so is one of blank lines. One of bzip2 or xz that is cut
    short is found where it is read.
    """
    with Path(path).open("rb") as handle:
        start = handle.read(1 << 16)
    if start.startswith(b"NCBI.sra"):
        return "sra"
    if start.startswith(b"\x1f\x8b"):
        try:
            inside = zlib.decompressobj(wbits=31).decompress(start, 8)
        except zlib.error:
            return ""
        if inside.startswith(b"BAM\x01"):
            return "bam"
        return "fastq.gz" if _begins_fastq(inside) else ""
    if kind := _packed_kind(path):
        try:
            with open_reads(path) as reads:
                return kind if _begins_fastq(reads.read(8)) else ""
        except EOFError:  # cut short
            return kind
        except (OSError, lzma.LZMAError):
            return ""
    return "fastq" if _begins_fastq(start) else ""


def _begins_fastq(start: bytes) -> bool:
    return start.lstrip(b"\r\n")[:1] in (b"@", b"")


@contextlib.contextmanager
def open_reads(path: str | Path) -> Iterator[BinaryIO]:
    """Open a FASTQ file for reading its bytes, as :func:`~scripts.core.disk.gzip_files.open_bytes`; bzip2 and xz, too.

    Those raise EOFError where they are cut short, OSError without a number or lzma.LZMAError where they are damaged.
    """
    kind = _packed_kind(path)
    if kind == "fastq.bz2":
        with bz2.open(path) as reads:
            yield cast(BinaryIO, reads)
    elif kind == "fastq.xz":
        with lzma.open(path) as reads:
            yield cast(BinaryIO, reads)
    else:
        with open_bytes(path) as plain:
            yield plain


def find_reads(folder: str | Path, name: str) -> Path | None:
    """Return the FASTQ file of this name without its end, compressed or plain, None where there is none."""
    paths = (path_below(folder, name + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def suffix_of(path: Path) -> str:
    """Return the end of the name of a FASTQ file in our folders, one of SUFFIXES."""
    return next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))


def is_packed(path: str | Path) -> bool:
    """Return whether a file is compressed, by its first bytes."""
    with Path(path).open("rb") as handle:
        start = handle.read(len(_XZ))
    return start.startswith((b"\x1f\x8b", _BZIP2, _XZ))


def read_pieces(path: str | Path) -> Iterator[bytes]:
    """Yield the text of a FASTQ file, compressed or plain, in pieces; raises as :func:`open_reads`."""
    with open_reads(path) as reads:
        while piece := reads.read(_INFLATED):
            yield piece


class Room:
    """What files of reads may hold together: ``most`` bytes. ``name`` is that of their source in errors."""

    def __init__(self, name: str, most: float) -> None:
        self.name, self.most = name, most
        self.used = 0

    def use(self, size: int) -> None:
        """Count bytes that are about to be written. Raises RunFault(DISK_LIMIT) where there is no room for them."""
        self.used += size
        if self.used > self.most:
            raise RunFault(
                "DISK_LIMIT",
                f"{self.name} has more than the {self.most / 1e9:.3g} GB of reads that scratch.limit_gb leaves for it;"
                " set that to more where the file is sound, and retry to [DISK_LIMIT].",
            )


@contextlib.contextmanager
def open_packed(path: str | Path, room: Room | None = None) -> Iterator[BinaryIO]:
    """Open a new gzipped FASTQ file for writing, compressed as it is written, without a name or a time in it.

    Raises RunFault(DISK_LIMIT) where it has more bytes than there is room for.
    """
    from isal import igzip

    with Path(path).open("wb") as handle:
        bounded = _Bounded(handle, room or Room("", math.inf))
        with igzip.IGzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=bounded, mtime=0) as packed:
            yield cast(BinaryIO, packed)


class _Bounded(io.RawIOBase):
    """Writes to a file, as far as there is room."""

    def __init__(self, handle: BinaryIO, room: Room) -> None:
        self._handle, self._room = handle, room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._room.use(len(data))
        return self._handle.write(data)


def _packed_kind(path: str | Path) -> str:
    """Return ``fastq.bz2`` or ``fastq.xz`` by a file's first bytes, else empty."""
    with Path(path).open("rb") as handle:
        start = handle.read(len(_XZ))
    return "fastq.bz2" if start.startswith(_BZIP2) else "fastq.xz" if start == _XZ else ""


def count_reads(path: str | Path) -> int:
    """Return the number of reads of a FASTQ file, compressed or plain.

    Raises RunFault: READS_MISSING when the file does not begin with a read or its last read is not whole,
    ARCHIVE_CORRUPT for a broken stream.
    """
    with whole_stream(path, Path(path).name), open_reads(path) as handle:
        return _count(handle, None, Path(path).name)


def repack(path: str | Path, target: str | Path, name: str, most: float = math.inf) -> int:
    """Write the reads of a compressed file to ``target``, gzipped, and return their number.

    ``name`` is that of the file in errors. Raises as :func:`count_reads`, and RunFault(DISK_LIMIT) where ``target`` has
    more than ``most`` bytes.
    """
    with whole_stream(path, name), open_reads(path) as handle, open_packed(target, Room(name, most)) as copy:
        return _count(handle, copy, name)


@contextlib.contextmanager
def whole_stream(path: str | Path, name: str) -> Iterator[None]:
    """Raise what is wrong with the compressed stream that is read in the block as RunFault(ARCHIVE_CORRUPT)."""
    try:
        yield
    except (EOFError, OSError, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk
            raise
        kind = {"fastq.bz2": "bzip2", "fastq.xz": "xz"}.get(_packed_kind(path), "gzip")
        raise RunFault("ARCHIVE_CORRUPT", f"{name} is a broken {kind} file: {error}.") from error


def _count(handle: BinaryIO, copy: BinaryIO | None, name: str) -> int:
    lines = 0
    tail = b""
    first = True
    while piece := handle.read(_PIECE):
        if first and not piece.startswith(b"@"):
            raise RunFault("READS_MISSING", f"{name} is not FASTQ: it begins with {piece[:1]!r} instead of '@'.")
        first = False
        if copy is not None:
            copy.write(piece)
        lines += piece.count(b"\n")
        tail = piece[-_TAIL:] if len(piece) >= _TAIL else (tail + piece)[-_TAIL:]
    if first:
        return 0
    no_base = lines % 4 == 3 and re.search(rb"\n\r?\n\+[^\n]*\n\Z", tail)  # the last line is empty, without its end
    if no_base or not tail.endswith(b"\n"):
        lines += 1
        tail += b"\n"
        if copy is not None:
            copy.write(b"\n")
    whole = _is_whole(tail)
    while (lines % 4 or not whole) and (blank := re.search(rb"\n(\r?\n)\Z", tail)):  # blank lines at the end
        lines -= 1
        tail = tail[: blank.start(1)]
        whole = _is_whole(tail)
    if lines % 4 or not whole:
        raise RunFault("READS_MISSING", f"{name} is cut off: its last read, number {-(-lines // 4):,}, is not whole.")
    return lines // 4


def _is_whole(tail: bytes) -> bool:
    """Whether a file that ends so ends with a whole read; of one longer than the tail only the lines are counted."""
    last = tail.split(b"\n")[-5:-1] if tail.count(b"\n") > 4 or len(tail) < _TAIL else []
    return not last or (
        len(last) == 4
        and last[0].startswith(b"@")
        and last[2].startswith(b"+")
        and len(last[1].rstrip(b"\r")) == len(last[3].rstrip(b"\r"))
    )


def first_lengths(path: str | Path, most: int = 100) -> list[int]:
    """Return the lengths of the first reads of a FASTQ file, gzipped or not; fewer where it is broken or short."""
    lengths: list[int] = []
    with contextlib.suppress(EOFError, gzip.BadGzipFile), open_bytes(path) as handle:
        while len(lengths) < most and handle.readline(LONGEST_LINE):
            lengths.append(len(handle.readline(LONGEST_LINE).rstrip()))
            handle.readline(LONGEST_LINE), handle.readline(LONGEST_LINE)
    return lengths


def first_qualities(path: str | Path, most: int = 1000) -> set[int]:
    """Return the bytes in the quality lines of the first reads of a FASTQ file; fewer where it is broken or short."""
    found: set[int] = set()
    with contextlib.suppress(EOFError, gzip.BadGzipFile, lzma.LZMAError), open_reads(path) as handle:
        for _ in range(most):
            lines = [handle.readline(LONGEST_LINE) for _ in range(4)]
            found.update(lines[3].rstrip())
            if not lines[0]:
                break
    return found


def link(path: str | Path, target: str | Path) -> None:
    """Replace ``target`` by a symbolic link to the absolute path of a file."""
    target = Path(target)
    target.unlink(missing_ok=True)
    target.symlink_to(Path(path).resolve())
