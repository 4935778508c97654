"""npz files: a zip of arrays (npy). Written as ``numpy.savez`` does, whatever the versions of Python and numpy; read
with bounds, since a file may come from anywhere.

A zip as here has, for each array: a local header, the array's header and its numbers, stored; then the directory. All
members are dated 1980-01-01, and sizes are in the zip64 field of the local header. The page is docs/formats.md; the
bytes are those of numpy 2 and Python 3.11.
(https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)
"""

import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from scripts.core.disk.files import atomic_path, open_regular
from scripts.core.errors import InputError

_VERSION = 45  # of zip64
_DATE = 1 << 5 | 1  # 1980-01-01
_MODE = 0o600 << 16
_ZIP64 = (1 << 31) - 1  # sizes and offsets beyond are in a zip64 field
_MOST_MEMBERS = 0xFFFF
_ALIGN = 64
_GROWTH = 21  # digits that the number of rows has room for
_MOST_DIRECTORY = 1 << 20  # bytes; an array has about 60
_TAIL = 65536 + 22  # bytes in which the end of the directory is: with the longest comment
FREE, MOST_INFLATED = 1 << 24, 50
"""Bytes that deflated arrays may inflate to: the first number, and as many times their own size as the second."""
METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
DAMAGED = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, RuntimeError, EOFError, zlib.error)
"""What is raised for a zip that is damaged."""


class ZipMember(NamedTuple):
    """An array in the zip: its name there, the CRC and the size of header and numbers, and where it begins."""

    name: str
    crc: int = 0
    size: int = 0
    offset: int = 0


def array_header(dtype: np.dtype, shape: tuple[int, ...], fortran: bool = False) -> bytes:
    """Return the header of an array (npy 1.0)."""
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    if shape:
        text += " " * (_GROWTH - len(repr(shape[-1 if fortran else 0])))
    text += " " * (_ALIGN - (10 + len(text) + 1) % _ALIGN) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1")


def local_header(member: ZipMember) -> bytes:
    """Return what is before an array. Its length does not depend on CRC and size, so it can be written again."""
    name = member.name.encode("ascii")
    fields = _VERSION, 0, 0, 0, _DATE, member.crc, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + struct.pack("<2H2Q", 1, 16, *[member.size] * 2)


def _directory_entry(member: ZipMember) -> bytes:
    name = member.name.encode("ascii")
    wide = [member.size, member.size] if member.size > _ZIP64 else []
    wide += [member.offset] if member.offset > _ZIP64 else []
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    size = 0xFFFFFFFF if member.size > _ZIP64 else member.size
    offset = 0xFFFFFFFF if member.offset > _ZIP64 else member.offset
    head = _VERSION, 3, _VERSION, 0, 0, 0, 0, _DATE  # 3: made on Unix
    fields = member.crc, size, size, len(name), len(extra), 0, 0, 0, _MODE, offset
    return struct.pack("<4s4B4H3L5H2L", b"PK\x01\x02", *head, *fields) + name + extra


def directory(members: Sequence[ZipMember], start: int) -> bytes:
    """Return the directory behind all arrays, which begins at ``start``."""
    entries = b"".join(map(_directory_entry, members))
    count, size = len(members), len(entries)
    end = b""
    if count > _MOST_MEMBERS or start > _ZIP64 or size > _ZIP64:
        fields = 44, _VERSION, _VERSION, 0, 0, count, count, size, start
        end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *fields)
        end += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
        count, size, start = min(count, 0xFFFF), min(size, 0xFFFFFFFF), min(start, 0xFFFFFFFF)
    return entries + end + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays under their names: the same arrays, the same bytes. Arrays of Python objects are a TypeError."""
    members = []
    with atomic_path(path) as partial, partial.open("wb") as handle:
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise TypeError(f"{path}: {name} is an array of Python objects")
            fortran = array.flags.f_contiguous and not array.flags.c_contiguous
            content = array_header(array.dtype, array.shape, fortran) + array.tobytes("F" if fortran else "C")
            members.append(ZipMember(f"{name}.npy", zlib.crc32(content), len(content), handle.tell()))
            handle.write(local_header(members[-1]) + content)
        handle.write(directory(members, handle.tell()))


@lru_cache(maxsize=256)
def parse_array_header(head: bytes) -> tuple[np.dtype, tuple[int, ...], bool, int]:
    """Return type, shape, whether the order is Fortran's, and the length of the header of an array.

    Raises ValueError where it has none as numpy writes it, holds Python objects, or its shape is none.
    """
    try:
        handle = BytesIO(head)
        version = npy.read_magic(handle)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote
            shape, fortran, dtype = read(handle)
    except (SyntaxError, TypeError, TokenError, RecursionError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    if any(isinstance(size, bool) or not 0 <= size < 1 << 62 for size in shape):
        raise ValueError(f"its shape {shape} is none")
    return dtype, shape, fortran and len(shape) > 1, handle.tell()


def header_length(head: bytes) -> int:
    """Return the length of the header at the beginning of an npy, as it says itself."""
    return int.from_bytes(head[8:10], "little") + 10 if head[6:7] == b"\x01" else len(head)


def map_npy(path: str | Path) -> np.ndarray:
    """Return the array of an npy as a memory map, read only. Raises InputError, ValueError or OSError for others."""
    with open_regular(path) as handle:
        head = handle.read(4096)
        size = os.fstat(handle.fileno()).st_size
    dtype, shape, fortran, begin = parse_array_header(head[: header_length(head)])
    if size - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{size - begin:,} bytes of numbers, but its shape is {shape}")
    if size == begin:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", begin, shape, "F" if fortran else "C")


def zip_members(handle: BinaryIO) -> list[zipfile.ZipInfo]:
    """Return the members of a zip. Raises one of :data:`DAMAGED` where it is none, or its directory is too large."""
    if _directory_size(handle) > _MOST_DIRECTORY:
        raise zipfile.BadZipFile(f"its directory has more than {_MOST_DIRECTORY:,} bytes")
    handle.seek(0)
    with zipfile.ZipFile(handle) as archive:
        return archive.infolist()


def _directory_size(handle: BinaryIO) -> int:
    """Return the size of the directory of a zip, 0 where there is none."""
    end = handle.seek(0, os.SEEK_END)
    start = handle.seek(max(0, end - _TAIL - 20))
    tail = handle.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) < found + 22:
        return 0
    size: int = struct.unpack_from("<L", tail, found + 12)[0]
    if tail[max(0, found - 20) :][:4] == b"PK\x06\x07":  # there is a record for large files, which counts
        handle.seek(min(struct.unpack_from("<Q", tail, found - 12)[0], start + found))
        record = handle.read(48)
        size = max(size, struct.unpack_from("<Q", record, 40)[0] if len(record) == 48 else 0)
        record = tail[max(0, found - 76) : found - 20]  # or just before it, as zipfile reads
        size = max(size, struct.unpack_from("<Q", record, 40)[0] if record[:4] == b"PK\x06\x06" else 0)
    return size


def read_npz(path: str | Path, what: str) -> dict[str, np.ndarray]:
    """Return name → array of an npz. Raises InputError where it is none: it says that the file is no ``what``.

    Memory holds at most FREE bytes, or MOST_INFLATED times the size of the file.
    """
    try:
        with open_regular(path) as handle:
            members = zip_members(handle)
            packed = os.fstat(handle.fileno()).st_size
            size = sum(member.file_size for member in members)
            if size > FREE + packed and size > FREE + MOST_INFLATED * packed:
                raise ValueError(f"its arrays inflate to {size:,} bytes")
            if len({member.filename for member in members}) < len(members):
                raise ValueError("an array is there more than once")
            with zipfile.ZipFile(handle) as archive:
                return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read as {what}: {str(error).rstrip('.')}.") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.flag_bits & 1 or member.compress_type not in METHODS:
        raise ValueError(f"{member.filename!r:.80} is neither stored nor deflated")
    with archive.open(member) as handle:
        content = handle.read(member.file_size)
    dtype, shape, fortran, begin = parse_array_header(content[: header_length(content[:4096])])
    if len(content) - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{member.filename!r:.80} has {len(content) - begin:,} bytes, but its shape is {shape}")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape, order="F" if fortran else "C")
