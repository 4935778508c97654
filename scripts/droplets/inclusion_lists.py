"""Inclusion lists (STAR: whitelists) of cell barcodes: plain text, one barcode of A, C, G and T on each line.

In memory a list of barcodes of one length is a sorted array of numbers: two bits a base (A 0, C 1, G 2, T 3), first
base highest, as uint32 up to 16 bases and uint64 up to 32.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import InputError

_NO_BASE = 4
_BLOCK = 1 << 24

BASE_CODES = np.full(256, _NO_BASE, dtype=np.uint8)
"""Code of each letter: A 0, C 1, G 2, T 3, in either case; every other byte 4."""
for _code, _letter in enumerate("ACGT"):
    BASE_CODES[[ord(_letter), ord(_letter.lower())]] = _code


def packed_type(length: int) -> type[np.unsignedinteger]:
    """Return the number type that holds a packed barcode of this length. Raises InputError above 32 bases."""
    if not 1 <= length <= 32:
        raise InputError(f"A barcode of {length} bases cannot be packed; 1 to 32 can.")
    return np.uint32 if length <= 16 else np.uint64


def pack_codes(codes: np.ndarray) -> np.ndarray:
    """Return the packed barcodes of base codes (barcodes × bases, each 0 to 3)."""
    length = codes.shape[1]
    packed = np.zeros(codes.shape[0], dtype=packed_type(length))
    two = packed.dtype.type(2)
    for column in range(length):
        packed <<= two
        packed |= codes[:, column]
    return packed


def _line_blocks(handle: BinaryIO, name: str | Path) -> Iterator[bytes]:
    """Yield blocks of whole lines with ``\\n`` line ends; the last line gets one where it has none.

    Raises InputError for a line of more than a block, of which no more is read.
    """
    rest = b""
    while piece := handle.read(_BLOCK):
        lines, end, after = piece.rpartition(b"\n")
        if end:
            yield (rest + lines + end).replace(b"\r\n", b"\n")
            rest = after
        elif len(rest) + len(after) > _BLOCK:
            raise InputError(f"{name}: a line of more than {_BLOCK:,} bytes; is it a list of barcodes, one a line?")
        else:
            rest += after
    if rest:
        yield rest.rstrip(b"\r") + b"\n"


def copy_checked(source: str | Path, target: str | Path, *, one_length: bool = True) -> tuple[int, int]:
    """Copy an inclusion list, gzip or plain, as plain text; return its number of barcodes and their length (0: any).

    A second column (10x ships some lists with one) is dropped. Raises InputError, with the line, for a letter other
    than A, C, G, T, for another length than that of the first barcode, and for an empty list.
    """
    count, length = 0, 0
    try:
        with open_bytes(source) as reader, Path(target).open("wb") as writer:
            for block in _line_blocks(reader, source):
                if b"\t" in block:
                    block = b"".join(line.split(b"\t", 1)[0] + b"\n" for line in block.splitlines())
                count, length = _check_block(source, block, count, length, one_length)
                writer.write(block)
    except (EOFError, OSError) as error:
        raise InputError(f"{source}: the inclusion list cannot be read: {error}.") from error
    if not count:
        raise InputError(f"{source}: the inclusion list has no barcode; it must have one on each line.")
    return count, length


def _check_block(source: str | Path, block: bytes, count: int, length: int, one_length: bool) -> tuple[int, int]:
    """Return ``count`` with the barcodes of the block, and their length; ``length`` is that of the blocks before."""
    if not count:
        length = block.index(b"\n")
    end = _end_of_barcodes(block, b"{%d}" % length) if length else 0
    if end < len(block) and not one_length:
        length, end = 0, _end_of_barcodes(block, b"+")
    if end < len(block):
        line = block[end : block.index(b"\n", end)]
        number = count + block.count(b"\n", 0, end) + 1
        where = f"{source}, line {number}"
        if line and not line.translate(None, b"ACGTacgt"):
            raise InputError(f"{where}: a barcode of {len(line)} letters, but the first has {length}.")
        text = line.decode("ascii", "replace")
        raise InputError(f"{where}: expected a barcode of A, C, G and T, but found {text[:60]!r}.")
    return count + block.count(b"\n"), length


def _end_of_barcodes(block: bytes, times: bytes) -> int:
    """Return the end of the lines at the beginning of a block that are each a barcode of so many letters."""
    found = re.match(rb"(?:[ACGTacgt]%b\n)*+" % times, block)
    return found.end() if found else 0


def read_packed(path: str | Path) -> tuple[np.ndarray, int]:
    """Return the sorted packed barcodes of an inclusion list and their length in bases.

    Raises InputError for an empty list, another letter than A, C, G, T, and barcodes of several lengths.
    """
    parts: list[np.ndarray] = []
    length = 0
    with open_bytes(path) as handle:
        for block in _line_blocks(handle, path):
            if not length:
                length = block.index(b"\n")
            letters = np.frombuffer(block, dtype=np.uint8)
            whole = letters.size % (length + 1) == 0 and length > 0
            table = letters.reshape(-1, length + 1) if whole else np.full((1, 2), 255, dtype=np.uint8)
            codes = BASE_CODES[table[:, :-1]]
            if not whole or (table[:, -1] != 10).any() or codes.max() == _NO_BASE:
                raise InputError(f"{path}: not a list of barcodes of A, C, G and T of one length, one on each line.")
            parts.append(pack_codes(codes))
    if not parts:
        raise InputError(f"{path}: the inclusion list has no barcode; it must have one on each line.")
    packed = np.concatenate(parts)
    if (packed[1:] < packed[:-1]).any():
        packed.sort()
    return packed, length


def barcode_lines(packed: np.ndarray, length: int) -> Iterator[bytes]:
    """Yield packed barcodes as text, a line each, some thousand at a time."""
    shifts = np.arange(2 * (length - 1), -1, -2, dtype=packed.dtype)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    for start in range(0, packed.size, 1 << 16):
        lines = letters[packed[start : start + (1 << 16), None] >> shifts & packed.dtype.type(3)]
        yield np.pad(lines, ((0, 0), (0, 1)), constant_values=10).tobytes()


def content_digest(path: str | Path, length: int) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a plain list's barcodes, sorted, each once, a line each.

    ``length`` is that of its barcodes in bases, 0 where they have several. The same as that of ``LC_ALL=C sort -u``.
    """
    if not length:
        barcodes = sorted(set(Path(path).read_bytes().split()))
        return hashlib.sha256(b"".join(barcode + b"\n" for barcode in barcodes)).hexdigest()[:16]
    packed, _ = read_packed(path)
    digest = hashlib.sha256()
    for lines in barcode_lines(packed[np.append(True, packed[1:] != packed[:-1])], length):
        digest.update(lines)
    return digest.hexdigest()[:16]


def keep_bases(path: str | Path, first: int, last: int) -> tuple[int, int]:
    """Cut the barcodes of a plain list to these bases, counted from 1; return how many are left, each once, and length.

    Raises InputError where they are shorter.
    """
    barcodes = sorted({barcode[first - 1 : last] for barcode in Path(path).read_bytes().split()})
    if len(barcodes[0]) != last - first + 1 or len(barcodes[-1]) != len(barcodes[0]):
        raise InputError(f"{path}: its barcodes are too short to take bases {first} to {last} of them.")
    Path(path).write_bytes(b"".join(barcode + b"\n" for barcode in barcodes))
    return len(barcodes), last - first + 1
