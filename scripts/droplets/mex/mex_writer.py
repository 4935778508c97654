"""Write MEX archives: one matrix with its barcodes, features and metadata in a gzip'd tar (docs/formats.md).

The same content gives the same bytes on every machine, at any number of threads.
"""

import hashlib
import io
import re
import struct
import tarfile
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import isal_zlib

from scripts.core.disk.files import atomic_path
from scripts.core.errors import InputError

TYPE = "MexGeneArchive_v1"
METADATA_NAMES = ("metadata.tsv", "manifest.tsv")
"""Names of the metadata: the specification's, and the one that the published reader looks for."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters, which no text in an archive has."""
MD5 = "md5sum:"
"""Begins the value of a member in the metadata."""

PIECE = 1 << 19
"""Bytes that are deflated by themselves; a fixed number, so that threads do not change the bytes."""
LEVEL = 3
BARCODE_LEVEL = 1
"""Level of ISA-L; sequences shrink to the two bits of a base at any of them, and level 1 is faster."""
_BLOCK = tarfile.BLOCKSIZE
_READ = 1 << 18  # bytes that are read and hashed while they are in the processor's cache
_STORED = 0xFFFF
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time
_LAST_BLOCK = b"\x03\x00"


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    info.uname = info.gname = "root"
    # Sizes from 8 GiB on need GNU's binary field; below, the two formats differ in nothing but USTAR's magic.
    return info.tobuf(tarfile.GNU_FORMAT if size >= 1 << 33 else tarfile.USTAR_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


def metadata_text(fields: Mapping[str, str], members: Mapping[str, str]) -> bytes:
    """Return the text of metadata.tsv; ``members`` is path in the archive → md5 in hexadecimal digits.

    White space and control characters inside a value become a blank, so that a line is a name, a tab and a value. Only
    a value that begins with a quote is quoted, as csv readers (the published one, and ours) expect it.
    """
    lines = ["name\tvalue"]
    for name, value in fields.items():
        line = " ".join(CONTROL.sub(" ", value).split())
        if line.startswith('"'):
            line = '"' + line.replace('"', '""') + '"'
        lines.append(f"{name}\t{line}")
    lines += [f"{path}\t{MD5}{digest}" for path, digest in members.items()]
    return ("\n".join(lines) + "\n").encode()


def _store(content: bytes) -> bytes:
    """Return content as stored deflate blocks: its length is known before its bytes are."""
    pieces = []
    for start in range(0, len(content), _STORED):
        part = content[start : start + _STORED]
        pieces.append(struct.pack("<BHH", 0, len(part), len(part) ^ _STORED) + part)
    return b"".join(pieces)


def _deflate(piece: bytearray, level: int) -> tuple[bytes, int, int]:
    packer = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
    packed = packer.compress(piece) + packer.flush(isal_zlib.Z_FULL_FLUSH)
    return packed, isal_zlib.crc32(piece), len(piece)


class _Deflater:
    """Deflates a stream in pieces of PIECE bytes, ``threads`` at a time, and writes them in order."""

    def __init__(self, handle: BinaryIO, threads: int, pool: ThreadPoolExecutor | None) -> None:
        self.handle, self.threads, self.pool = handle, threads, pool
        self.crc, self.length = 0, 0
        self._waiting: deque[Future[tuple[bytes, int, int]]] = deque()
        self._piece = bytearray()
        self.level = self._piece_level = LEVEL  # a piece has the level of its first byte

    def write(self, content: bytes) -> None:
        """Take some bytes of the stream."""
        start = 0
        while start < len(content):
            if len(self._piece) == PIECE:
                self._submit()
            end = min(len(content), start + PIECE - len(self._piece))
            self._piece += memoryview(content)[start:end]
            start = end

    def _submit(self) -> None:
        piece, level = self._piece, self._piece_level
        self._piece, self._piece_level = bytearray(), self.level
        if self.pool is None:
            self._put(_deflate(piece, level))
            return
        if len(self._waiting) > self.threads:
            self._put(self._waiting.popleft().result())
        self._waiting.append(self.pool.submit(_deflate, piece, level))

    def _put(self, result: tuple[bytes, int, int]) -> None:
        packed, crc, length = result
        self.handle.write(packed)
        self.crc = isal_zlib.crc32_combine(self.crc, crc, length)
        self.length += length

    def close(self) -> None:
        """Deflate what is left and wait for all."""
        if self._piece:
            self._submit()
        while self._waiting:
            self._put(self._waiting.popleft().result())


def _open(source: str | Path | bytes, stack: ExitStack) -> io.FileIO | io.BytesIO:
    """Open a part of an archive, until the stack is closed. Raises InputError where it is missing."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not Path(source).is_file():
        raise InputError(f"{source}: there is no such file to be packed.")
    return stack.enter_context(Path(source).open("rb", buffering=0))


def write_archive(
    target: str | Path,
    folder: str,
    matrix_name: str,
    *,
    fields: Mapping[str, str],
    barcodes: str | Path | bytes,
    features: str | Path | bytes,
    matrix: str | Path | bytes,
    metadata_name: str = METADATA_NAMES[0],
    threads: int = 1,
) -> dict[str, str]:
    """Write an archive and return path in the archive → md5 of its three parts.

    ``folder`` is that of the members, ``Gene/raw``; ``fields`` are the metadata before those of the members, in their
    order; the parts are paths or bytes. Each is read once; memory holds some pieces of it. Raises InputError where
    a part is no regular text of its kind: a link that leads nowhere, no last line end, a matrix without head or with
    another number of entries than it says.
    """
    names = [f"{folder}/barcodes.tsv", f"{folder}/features.tsv", f"{folder}/{matrix_name}"]
    blank = metadata_text(fields, dict.fromkeys(names, "0" * 32))
    with ExitStack() as stack:
        parts = [_open(source, stack) for source in (barcodes, features, matrix)]
        handle = stack.enter_context(stack.enter_context(atomic_path(target)).open("wb"))
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        head = _tar_header(f"{folder}/{metadata_name}", len(blank))
        handle.write(_GZIP_HEAD + _store(head + blank + _padding(len(blank))))
        deflater = _Deflater(handle, threads, pool)
        total = len(head) + len(blank) + len(_padding(len(blank)))
        digests = {}
        for name, source in zip(names, parts, strict=True):
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
            deflater.write(_tar_header(name, size))
            digests[name] = _pack_part(deflater, source, size, name, matrix=name == names[2])
            total += _BLOCK + size + len(_padding(size))
        deflater.write(b"\0" * (2 * _BLOCK + -(total + 2 * _BLOCK) % tarfile.RECORDSIZE))
        deflater.close()
        _finish(handle, head, metadata_text(fields, digests), deflater)
    return digests


def _lines_of_matrix(source: io.FileIO | io.BytesIO, name: str) -> int:
    """Return how many lines a matrix must have by its head, and rewind its file."""
    from scripts.formats.matrix_market import FormatError, parse_head

    start = source.read(1 << 17)
    source.seek(0)
    try:
        head = parse_head(start)
    except FormatError as error:
        raise InputError(f"{name}: {error}.") from error
    if head is None:
        raise InputError(f"{name}: not a Matrix Market file; it has no head.")
    return head[0].entries + start[: head[1]].count(b"\n")


def _pack_part(deflater: _Deflater, source: io.FileIO | io.BytesIO, size: int, name: str, *, matrix: bool) -> str:
    """Pack a member behind its header; return its md5. Raises InputError for a file that changes or is cut short."""
    expected = _lines_of_matrix(source, name) if matrix else 0
    deflater.level = BARCODE_LEVEL if name.endswith("/barcodes.tsv") else LEVEL
    digest = hashlib.md5(usedforsecurity=False)
    read = lines = 0
    last = 10
    while piece := source.read(min(_READ, size - read)):
        if matrix:
            lines += int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == 10))
        digest.update(piece)
        read += len(piece)
        last = piece[-1]
        deflater.write(piece)
    if read != size or source.read(1):
        raise InputError(f"{name}: the file changed while it was packed.")
    if last != 10:
        raise InputError(f"{name}: the last line is cut short; was the disk full?")
    if matrix and lines != expected:
        raise InputError(f"{name}: {lines} lines, but its head promises {expected}; was the disk full?")
    deflater.write(_padding(size))
    return digest.hexdigest()


def _finish(handle: BinaryIO, head: bytes, metadata: bytes, deflater: _Deflater) -> None:
    """Write gzip's end, and the true metadata over the blank ones, which are as long."""
    first = head + metadata + _padding(len(metadata))
    crc = isal_zlib.crc32_combine(isal_zlib.crc32(first), deflater.crc, deflater.length)
    handle.write(_LAST_BLOCK + struct.pack("<II", crc, (len(first) + deflater.length) & 0xFFFFFFFF))
    handle.seek(len(_GZIP_HEAD))
    handle.write(_store(first))
