"""The parts of an AnnData file (h5ad) as this workflow writes them: integer arrays, text arrays, data frames.

Written with h5py after AnnData's on-disk format 0.1.0, so that the same content gives the same bytes: no times, fixed
chunks, members in a fixed order. Text has a fixed width (a variable width costs megabytes a file). Big arrays are
shuffled and deflated by ISA-L chunk by chunk; any HDF5 reads them as ``gzip`` with ``shuffle``.
"""

import os
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    import scipy.sparse

CHUNK = 16384
"""Elements in a chunk of a big array."""
MATRIX_CHUNK = 1 << 16
"""Elements in a chunk of a matrix."""
SMALL = 1 << 16
"""Bytes of a chunk up to which zlib deflates it."""
LEVEL = 1
_PACKED = {"shuffle": True, "compression": "gzip", "compression_opts": LEVEL}


def set_encoding(item: Any, kind: str, version: str) -> None:
    """Mark a group or data set as AnnData does."""
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def create_group(parent: h5py.Group, name: str, kind: str = "dict", version: str = "0.1.0") -> h5py.Group:
    """Make a group of an AnnData kind."""
    group = parent.create_group(name)
    set_encoding(group, kind, version)
    return group


def deflate_chunk(values: np.ndarray, size: int) -> bytes:
    """Return the bytes of one chunk of ``size`` elements: padded with zeros, shuffled, deflated in zlib's frame.

    A small chunk is deflated by zlib: ISA-L's one call has been seen to give 61 and 64 bytes for the same 56.
    """
    from isal import isal_zlib

    planes = np.zeros((values.dtype.itemsize, size), np.uint8)
    whole = values.view(f"u{values.dtype.itemsize}")
    greatest = int(whole.max()) if len(whole) else 0
    for plane in range(values.dtype.itemsize):
        if greatest >> (8 * plane) == 0:
            break
        planes[plane, : len(values)] = (whole >> (8 * plane)).astype(np.uint8)
    if planes.nbytes <= SMALL:
        return zlib.compress(planes.tobytes(), LEVEL)
    packer = isal_zlib.compressobj(LEVEL)
    return packer.compress(planes.tobytes()) + packer.flush()


def inflate_chunk(data: bytes, itemsize: int, room: np.ndarray) -> np.ndarray:
    """Return the elements of a chunk of whole numbers from 0 that was shuffled and deflated.

    The type is the narrowest unsigned one that all bytes which are not zero fit in: most chunks need only one byte.
    The elements are in ``room``, which has a byte for each byte of the chunk.
    """
    from isal import isal_zlib

    planes = np.frombuffer(isal_zlib.decompress(data, bufsize=len(room)), np.uint8).reshape(itemsize, -1)
    width = itemsize
    while width > 1 and not planes[width // 2 : width].max():
        width //= 2
    values = room[: width * planes.shape[1]].view(f"u{width}")
    values[:] = planes[0]
    for plane in range(1, width):
        values |= planes[plane].astype(values.dtype) << (8 * plane)
    return values


class ChunkedArray:
    """Positions of the chunks of an array of whole numbers from 0, or of float64, in its file: slices without HDF5.

    Slices that follow each other inflate each chunk once.
    """

    def __init__(self, root: h5py.Group, path: str) -> None:
        from h5py import h5d, h5z

        item = h5d.open(root.id, path.encode())
        self.itemsize: int = item.dtype.itemsize
        self.length: int = item.shape[0]
        self.is_decimal = item.dtype == np.float64
        self.chunk = 0
        self.chunks: list[tuple[int, int]] = []
        """Offset and size of each chunk in the file."""
        if self.length:
            layout = item.get_create_plist()
            filters = [layout.get_filter(number)[0] for number in range(layout.get_nfilters())]
            if filters != [h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE] or not (item.dtype.kind in "iu" or self.is_decimal):
                raise ValueError(f"{path} is not stored as shuffled and deflated chunks of numbers")
            self.chunk = layout.get_chunk()[0]
            found: dict[int, tuple[int, int]] = {}
            item.chunk_iter(lambda info: found.update({info.chunk_offset[0]: (info.byte_offset, info.size)}))
            self.chunks = [found[start] for start in range(0, self.length, self.chunk)]
        self._last: tuple[int, np.ndarray] | None = None
        self._room: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None, "_room": None}  # inflated chunks stay in this process

    @property
    def room(self) -> int:
        """Bytes of an inflated chunk."""
        return self.chunk * self.itemsize

    def use_room(self, room: np.ndarray) -> None:
        """Inflate chunks into this memory (uint8) from now on."""
        self._last, self._room = None, room

    def _inflate(self, file: int, number: int) -> np.ndarray:
        if self._room is None:
            self._room = np.empty(self.room, np.uint8)
        if self._last is None or self._last[0] != number:
            offset, size = self.chunks[number]
            data = os.pread(file, size, offset)
            self._last = number, inflate_chunk(data, self.itemsize, self._room)
        return self._last[1]

    def read(self, file: int, start: int, stop: int) -> np.ndarray:
        """Return the elements ``start`` to ``stop``; ``file`` is the descriptor of the open file."""
        if start == stop:
            return np.zeros(0, np.uint8)
        parts = []
        for number in range(start // self.chunk, (stop - 1) // self.chunk + 1):
            first = number * self.chunk
            parts.append(self._inflate(file, number)[max(0, start - first) : stop - first].copy())
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values.astype(np.uint64).view(np.float64) if self.is_decimal else values


def share_room(arrays: Sequence[ChunkedArray]) -> None:
    """Give many arrays their room in one piece of memory.

    Rooms allocated one by one, between other arrays, fragment the heap into thousands of holes, which every later
    allocation searches.
    """
    ends = np.cumsum([array.room for array in arrays])
    for array, room in zip(arrays, np.split(np.empty(ends[-1], np.uint8), ends[:-1]), strict=True):
        array.use_room(room)


def read_whole(root: h5py.Group, path: str) -> np.ndarray:
    """Return a small data set; text as bytes. Takes a third of h5py's own time, which matters for many files.

    Raises KeyError where it is not there.
    """
    from h5py import h5d, h5s

    item = h5d.open(root.id, path.encode())
    values = np.empty(item.shape, item.dtype)
    if values.size:
        item.read(h5s.ALL, h5s.ALL, values)
    return values


class ArrayWriter:
    """Writes a one-dimensional array of numbers, compressed, piece by piece; its length need not be known before."""

    def __init__(self, parent: h5py.Group, name: str, dtype: DTypeLike, chunk: int = CHUNK) -> None:
        self.chunk = chunk
        self.item = parent.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(chunk,), **_PACKED)
        set_encoding(self.item, "array", "0.2.0")
        self._written = 0
        self._rest = np.zeros(0, dtype)

    def append(self, values: np.ndarray) -> None:
        """Append values; they are converted to the type of the array."""
        values = np.concatenate([self._rest, values.astype(self._rest.dtype, copy=False)])
        whole = len(values) // self.chunk * self.chunk
        for start in range(0, whole, self.chunk):
            self._write(values[start : start + self.chunk])
        self._rest = values[whole:].copy()

    def _write(self, values: np.ndarray) -> None:
        self.item.resize((self._written + len(values),))
        self.item.id.write_direct_chunk((self._written,), deflate_chunk(values, self.chunk))
        self._written += len(values)

    def finish(self) -> None:
        """Write what is left."""
        if len(self._rest):
            self._write(self._rest)


class CsrWriter:
    """Writes a csr_matrix row by row; its number of rows need not be known before."""

    def __init__(
        self, parent: h5py.Group, name: str, dtype: DTypeLike, shape: tuple[int, int] | None = None, wide: bool = False
    ) -> None:
        """Begin the matrix, of a shape that may be known; ``wide`` makes indices int64, for more than 2**31 values."""
        self.group = create_group(parent, name, "csr_matrix")
        if shape:
            self.group.attrs["shape"] = np.array(shape, np.int64)
        self._index_type: type = np.int64 if wide else np.int32
        self._data = ArrayWriter(self.group, "data", dtype, MATRIX_CHUNK)
        self._indices = ArrayWriter(self.group, "indices", self._index_type, MATRIX_CHUNK)
        self._lengths = [np.zeros(1, np.int64)]

    def append(self, rows: "scipy.sparse.csr_matrix") -> None:
        """Append rows."""
        self._data.append(rows.data)
        self._indices.append(rows.indices)
        self._lengths.append(np.diff(rows.indptr))

    def finish(self, columns: int) -> None:
        """Write what is left, the pointers and the shape."""
        self._data.finish()
        self._indices.finish()
        pointers = np.cumsum(np.concatenate(self._lengths), dtype=np.int64)
        if pointers[-1] <= np.iinfo(np.int32).max:
            pointers = pointers.astype(self._index_type)  # scipy wants pointers and indices of one type
        write_array(self.group, "indptr", pointers)
        if "shape" not in self.group.attrs:
            self.group.attrs["shape"] = np.array([len(pointers) - 1, columns], np.int64)


def write_array(parent: h5py.Group, name: str, values: np.ndarray, chunk: int = CHUNK) -> h5py.Dataset:
    """Write a one-dimensional array of numbers, compressed where it is not empty."""
    if len(values) == 0:
        item = parent.create_dataset(name, data=values)
    else:
        chunk = min(chunk, len(values))
        item = parent.create_dataset(name, values.shape, values.dtype, chunks=(chunk,), **_PACKED)
        for start in range(0, len(values), chunk):
            item.id.write_direct_chunk((start,), deflate_chunk(values[start : start + chunk], chunk))
    set_encoding(item, "array", "0.2.0")
    return item


def write_categories(parent: h5py.Group, name: str, values: Sequence[str | None]) -> h5py.Group:
    """Write text that repeats, as a categorical; None is a missing value. Categories are in byte order."""
    known = sorted({value for value in values if value is not None}, key=str.encode)
    codes = {value: code for code, value in enumerate(known)}
    group = create_group(parent, name, "categorical", "0.2.0")
    group.attrs["ordered"] = False
    write_texts(group, "categories", known)
    dtype = np.int8 if len(known) < 128 else np.int16 if len(known) < 2**15 else np.int32
    write_array(group, "codes", np.array([-1 if value is None else codes[value] for value in values], dtype))
    return group


def write_texts(parent: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    """Write an array of text (any shape) with a fixed width in UTF-8."""
    encoded = np.char.encode(np.asarray(values, dtype=str), "utf-8")
    dtype = h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize))
    options = {"compression": "gzip", "compression_opts": 6, "chunks": encoded.shape} if encoded.size else {}
    item = parent.create_dataset(name, data=encoded.astype(dtype), dtype=dtype, **options)
    set_encoding(item, "string-array", "0.2.0")
    return item


def write_text(parent: h5py.Group, name: str, value: str) -> None:
    """Write one text, of variable width as AnnData does."""
    set_encoding(parent.create_dataset(name, data=value, dtype=h5py.string_dtype()), "string", "0.2.0")


def write_text_group(parent: h5py.Group, name: str, values: Mapping[str, str]) -> None:
    """Write a mapping of text, sorted by its keys."""
    group = create_group(parent, name)
    for key, value in sorted(values.items()):
        write_text(group, key, value)


def read_texts(item: h5py.Dataset) -> list[Any]:
    """Return an array of text as (nested) lists of str."""
    return item.asstr()[()].tolist()


def read_text_column(root: h5py.Group, path: str) -> list[str]:
    """Return a one-dimensional array of text, see :func:`read_whole`."""
    return [text.decode() for text in read_whole(root, path).tolist()]


def write_frame(parent: h5py.Group, name: str, index: Sequence[str], columns: Mapping[str, Any]) -> h5py.Group:
    """Write a data frame: its index, and columns of numbers (numpy arrays) or of text (lists of str).

    Text that repeats becomes a categorical, and so does text with None, which stands for a missing value.
    """
    frame = create_group(parent, name, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    frame.attrs.create("column-order", list(columns), (len(columns),), h5py.string_dtype())
    write_texts(frame, "_index", index)
    for column, values in columns.items():
        if isinstance(values, np.ndarray):
            write_array(frame, column, values)
        elif None in values or len(set(values)) < len(values):
            write_categories(frame, column, values)
        else:
            write_texts(frame, column, values)
    return frame


EMPTY_PARTS = ("layers", "obsm", "obsp", "varm", "varp")
"""Parts of an AnnData file that are empty unless there is something in them."""


def write_empty_parts(root: h5py.Group, names: Sequence[str] = EMPTY_PARTS) -> None:
    """Write the parts of an AnnData file that stay empty here."""
    for name in names:
        create_group(root, name)


def read_column(frame: h5py.Group, name: str) -> list[str]:
    """Return a column of text of a data frame, which may be a categorical; a missing value is empty."""
    item = frame[name]
    if isinstance(item, h5py.Dataset):
        return read_texts(item)
    categories = [*read_texts(item["categories"]), ""]
    return [categories[code] for code in item["codes"][()].tolist()]
