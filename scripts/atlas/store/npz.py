"""Arrays in files as numpy saves them: an npz of ``arr_0`` (stored or deflated), or a plain npy.

:class:`ArrayFile` recognises a file by its first bytes, never by its name, and reads it in chunks or as a memory map;
:class:`NpzWriter` writes the bytes of ``numpy.savez(file, array)`` in chunks of rows.
"""

import math
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

import numpy as np
from isal import isal_zlib

from scripts.core.disk.files import atomic_path, open_regular
from scripts.core.disk.gzip_files import deflate_error
from scripts.core.errors import InputError
from scripts.formats.npz import (
    DAMAGED,
    FREE,
    METHODS,
    ZipMember,
    array_header,
    directory,
    header_length,
    local_header,
    parse_array_header,
    zip_members,
)

MEMBER = "arr_0.npy"  # the name that numpy.savez gives an array without one
PIECE = 1 << 20  # bytes that are read at a time
_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_HEAD = 4096  # bytes in which the header of an array is searched; numpy's has 128
_MOST_INFLATED = 200  # times its own size, beyond FREE
_LOCAL = struct.Struct("<4s5H3I2H")


class ArrayFile:
    """An array in a file. Raises InputError, naming the file, for what is no array or is cut short.

    Opening reads only what is before and after the numbers.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.kind = "npy"
        """npy, stored or deflated."""
        self.crc: int | None = None
        self._start = 0  # of the member in the file
        try:
            with open_regular(self.path) as handle:
                self.bytes = os.fstat(handle.fileno()).st_size
                head = os.pread(handle.fileno(), _HEAD, 0)
                if head[:4] == _ZIP:
                    head = self._open_zip(handle)
                elif head[:6] == _NPY:
                    self._stored = self._size = self.bytes
                else:
                    found = f"its first bytes are {head[:6]!r}" if head else "an empty file"
                    raise InputError(f"{self.path.name}: neither an npz nor an npy: {found}.")
        except OSError as error:
            raise InputError(f"{self.path.name}: cannot be read: {error.strerror}.") from error
        try:
            self.dtype, self.shape, self.fortran, header = parse_array_header(head[: header_length(head)])
        except ValueError as error:
            raise InputError(f"{self.path.name}: its array has no header as numpy writes it: {error}.") from error
        if not self.shape:
            raise InputError(f"{self.path.name}: it holds a single number, not rows.")
        self.row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        if self.shape[0] and not self.row_bytes:
            raise InputError(f"{self.path.name}: its shape {self.shape} of {self.dtype} has rows without any bytes.")
        expected = self.row_bytes * self.shape[0]
        if self._size - header != expected:
            raise InputError(
                f"{self.path.name}: {self._size - header:,} bytes of numbers, but its shape {self.shape} of"
                f" {self.dtype} is {expected:,} bytes; the file is cut short, or was changed."
            )
        self.offset = self._start + header
        self._header = header

    def _open_zip(self, handle: BinaryIO) -> bytes:
        """Find the array's member; return its first bytes."""
        name = self.path.name
        try:
            members = zip_members(handle)
        except DAMAGED as error:
            raise InputError(
                f"{name}: no whole npz ({str(error).rstrip('.')}); the file is cut short or damaged."
            ) from error
        names = [member.filename for member in members]
        if names != [MEMBER]:
            raise InputError(
                f"{name}: its arrays are {', '.join(names) or 'none'}; expected the one array"
                f" {MEMBER.removesuffix('.npy')} that numpy.savez(file, array) writes."
            )
        (member,) = members
        if member.flag_bits & 1 or member.compress_type not in METHODS:
            raise InputError(f"{name}: neither stored nor deflated; numpy.savez writes such files.")
        self.kind = METHODS[member.compress_type]
        self.crc, self._stored, self._size = member.CRC, member.compress_size, member.file_size
        if self._size > FREE + _MOST_INFLATED * self._stored:
            raise InputError(
                f"{name}: its array inflates to {self._size:,} bytes, more than {_MOST_INFLATED} times its size, as no"
                " array of an atlas does."
            )
        local = os.pread(handle.fileno(), _LOCAL.size, member.header_offset)
        if len(local) < _LOCAL.size or local[:4] != _ZIP:
            raise InputError(f"{name}: no whole npz (no header before its array); the file is damaged.")
        self._start = member.header_offset + _LOCAL.size + sum(_LOCAL.unpack(local)[-2:])
        if self._start + self._stored > self.bytes:
            raise InputError(f"{name}: no whole npz (its array is longer than the file); the file is cut short.")
        first = os.pread(handle.fileno(), min(_HEAD, self._stored), self._start)
        return self._inflate(first, _HEAD) if self.kind == "deflated" else first

    def _inflate(self, data: bytes, most: int) -> bytes:
        try:
            return isal_zlib.decompressobj(-15).decompress(data, most)
        except deflate_error() as error:
            raise InputError(f"{self.path.name}: its array cannot be inflated ({error}); it is damaged.") from error

    @property
    def rows(self) -> int:
        return self.shape[0]

    def map(self) -> np.ndarray:
        """Return the array as a memory map, read only; a deflated one cannot be mapped (ValueError).

        A memory map does not check the CRC.
        """
        if self.kind == "deflated":
            raise ValueError(f"{self.path}: deflated")
        if not self.row_bytes * self.rows:
            return np.zeros(self.shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F" if self.fortran else "C")

    def read(self) -> np.ndarray:
        """Return the whole array: a memory map, or in memory where it is deflated."""
        if self.kind != "deflated":
            return self.map()
        chunks = list(self.scan(max(1, self.rows)))
        return chunks[0] if chunks else np.empty(self.shape, self.dtype)

    def scan(self, size: int, start: int = 0, stop: int | None = None, verify: bool = False) -> Iterator[np.ndarray]:
        """Yield rows in chunks of at most ``size``, in a buffer that the next chunk overwrites.

        Faster than memory maps where every row is read once. The CRC is checked when all rows of a deflated array have
        been read, and with ``verify`` of a stored one too: raises InputError where a bit is not as it was written.
        """
        stop = self.rows if stop is None else min(stop, self.rows)
        if self.fortran and len(self.shape) > 1:
            raise InputError(f"{self.path.name}: {FORTRAN}")
        deflated = self.kind == "deflated"
        verify = (verify or deflated) and start == 0 and stop == self.rows and self.crc is not None
        buffer = np.empty((max(1, min(size, stop - start)), *self.shape[1:]), self.dtype)
        flat = buffer.reshape(-1).view(np.uint8).data
        with self.path.open("rb", buffering=0) as handle:
            handle.seek(self._start)
            source = _Inflater(handle, self._stored) if deflated else handle
            crc = isal_zlib.crc32(self._fill(source, memoryview(bytearray(self._header))))
            if deflated:
                self._skip(source, start * self.row_bytes)
            else:
                handle.seek(start * self.row_bytes, os.SEEK_CUR)
            for first in range(start, stop, size):
                rows = min(size, stop - first)
                view = self._fill(source, flat[: rows * self.row_bytes])
                if verify:
                    crc = isal_zlib.crc32(view, crc)
                yield buffer[:rows]
        if verify and crc != self.crc:
            raise InputError(
                f"{self.path.name}: damaged: the CRC of its numbers is {crc:08x}, but {self.crc:08x} is stored with"
                " them; get the file again."
            )

    def _fill(self, source: Any, view: memoryview) -> memoryview:
        """Fill and return a view. Raises InputError where the source ends before, or is damaged."""
        filled = 0
        while filled < len(view):
            try:
                read = source.readinto(view[filled : filled + PIECE])
            except deflate_error() as error:
                raise InputError(f"{self.path.name}: its array cannot be inflated ({error}); it is damaged.") from error
            if not read:
                raise InputError(
                    f"{self.path.name}: its array ends before its last row; the file is cut short or damaged."
                )
            filled += read
        return view

    def _skip(self, source: Any, size: int) -> None:
        scratch = memoryview(bytearray(min(PIECE, size)))
        while size:
            size -= len(self._fill(source, scratch[:size]))


FORTRAN = "it is in Fortran order and cannot be read row by row; save numpy.ascontiguousarray(array) instead."


class _Inflater:
    """Inflates ``size`` bytes of a file in sequence, in bounded memory."""

    def __init__(self, handle: IO[bytes], size: int) -> None:
        self.handle = handle
        self.left = size
        self.inflater = isal_zlib.decompressobj(-15)

    def readinto(self, view: memoryview) -> int:
        """Fill at least one byte of a view; return how many, 0 at the end."""
        while not self.inflater.eof:
            data = self.inflater.unconsumed_tail
            if not data:
                data = self.handle.read(min(PIECE >> 2, self.left))
                self.left -= len(data)
            inflated = self.inflater.decompress(data, len(view))
            view[: len(inflated)] = inflated
            if inflated or not data:
                return len(inflated)
        return 0


class NpzWriter:
    """Write an array of known shape in chunks of rows, as the bytes that ``numpy.savez(path, array)`` writes.

    Only the rows of a chunk are in memory. The file gets its name when it is complete; after an error nothing is left
    of it. ::

        with NpzWriter(path, "<f2", (rows, 424)) as writer:
            writer.append(chunk)
    """

    def __init__(self, path: str | Path, dtype: np.typing.DTypeLike, shape: tuple[int, ...]) -> None:
        self.path = Path(path)
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.written = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._crc32 = isal_zlib.crc32  # several times as fast as that of zipfile
        self._member = ZipMember(MEMBER)
        with ExitStack() as stack:
            self._handle = stack.enter_context(stack.enter_context(atomic_path(self.path)).open("wb"))
            with suppress(OSError):  # only faster, and not possible on every file system
                os.posix_fallocate(self._handle.fileno(), 0, math.prod(self.shape) * self.dtype.itemsize)
            self._handle.write(local_header(self._member))
            self._write(memoryview(array_header(self.dtype, self.shape)))
            self._stack = stack.pop_all()
        return self

    def _write(self, data: memoryview) -> None:
        crc, size = self._crc32(data, self._member.crc), self._member.size + data.nbytes
        self._member = self._member._replace(crc=crc, size=size)
        self._handle.write(data)

    def append(self, rows: np.ndarray) -> None:
        """Append rows of exactly the array's type and width (ValueError for others)."""
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape[1:]:
            raise ValueError(f"{self.path}: {rows.dtype} {rows.shape} does not fit {self.dtype} {self.shape}")
        if self.written + len(rows) > self.shape[0]:
            raise ValueError(f"{self.path}: more rows than the {self.shape[0]} of its shape")
        if rows.size:
            data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
            for start in range(0, len(data), PIECE):  # a piece stays in the cache between checksum and write
                self._write(data[start : start + PIECE])
        self.written += len(rows)

    def __exit__(self, *error: Any) -> None:
        if any(error):
            self._stack.__exit__(*error)
            return
        with self._stack:
            if self.written != self.shape[0]:
                raise ValueError(f"{self.path}: {self.written} rows, but its shape has {self.shape[0]}")
            self._handle.write(directory([self._member], self._handle.tell()))
            self._handle.truncate()
            self._handle.seek(0)
            self._handle.write(local_header(self._member))
