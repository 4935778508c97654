"""The parts of an AnnData file (h5ad) as this workflow writes them: integer arrays, text arrays, data frames.

Written with h5py after AnnData's on-disk format 0.1.0, so that the same content gives the same bytes: no times, fixed
chunks, members in a fixed order. Text has a fixed width (a variable width costs megabytes a file). Big arrays are
shuffled and deflated by ISA-L chunk by chunk; any HDF5 reads them as ``gzip`` with ``shuffle``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    import numpy

CHUNK = 16384
"""Elements in a chunk of a big array."""
LEVEL = 1


def set_encoding(item: Any, kind: str, version: str) -> None:
    """Mark a group or data set as AnnData does."""
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def create_group(parent: "h5py.Group", name: str, kind: str = "dict", version: str = "0.1.0") -> "h5py.Group":
    """Make a group of an AnnData kind."""
    group = parent.create_group(name)
    set_encoding(group, kind, version)
    return group


def deflate_chunk(values: "numpy.ndarray", size: int) -> bytes:
    """Return the bytes of one chunk of ``size`` elements: padded with zeros, shuffled, deflated in zlib's frame."""
    import numpy as np
    from isal import isal_zlib

    if len(values) < size:
        values = np.concatenate([values, np.zeros(size - len(values), values.dtype)])
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(size, -1).T
    return isal_zlib.compress(np.ascontiguousarray(planes), LEVEL)


def inflate_chunk(data: bytes, dtype: "numpy.dtype") -> "numpy.ndarray":
    """Return the elements of a chunk that :func:`deflate_chunk`, or HDF5 with shuffle and gzip, wrote."""
    import numpy as np
    from isal import isal_zlib

    planes = np.frombuffer(isal_zlib.decompress(data), np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def write_array(parent: "h5py.Group", name: str, values: "numpy.ndarray", chunk: int = CHUNK) -> "h5py.Dataset":
    """Write a one-dimensional array of whole numbers, compressed."""
    if len(values) == 0:
        item = parent.create_dataset(name, data=values)
    else:
        chunk = min(chunk, len(values))
        item = parent.create_dataset(
            name, values.shape, values.dtype, chunks=(chunk,), shuffle=True, compression="gzip", compression_opts=LEVEL
        )
        for start in range(0, len(values), chunk):
            item.id.write_direct_chunk((start,), deflate_chunk(values[start : start + chunk], chunk))
    set_encoding(item, "array", "0.2.0")
    return item


def write_texts(parent: "h5py.Group", name: str, values: Any) -> "h5py.Dataset":
    """Write an array of text (any shape) with a fixed width in UTF-8."""
    import h5py
    import numpy as np

    encoded = np.char.encode(np.asarray(values, dtype=str), "utf-8")
    dtype = h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize))
    options = {"compression": "gzip", "compression_opts": 6, "chunks": encoded.shape} if encoded.size else {}
    item = parent.create_dataset(name, data=encoded.astype(dtype), dtype=dtype, **options)
    set_encoding(item, "string-array", "0.2.0")
    return item


def write_text(parent: "h5py.Group", name: str, value: str) -> None:
    """Write one text, of variable width as AnnData does."""
    import h5py

    set_encoding(parent.create_dataset(name, data=value, dtype=h5py.string_dtype()), "string", "0.2.0")


def read_texts(item: "h5py.Dataset") -> list[Any]:
    """Return an array of text as (nested) lists of str."""
    return item.asstr()[()].tolist()


def write_frame(parent: "h5py.Group", name: str, index: Sequence[str], columns: Mapping[str, Any]) -> "h5py.Group":
    """Write a data frame: its index, and columns of text (lists of str) or of whole numbers (numpy arrays)."""
    import h5py
    import numpy as np

    frame = create_group(parent, name, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    frame.attrs.create("column-order", list(columns), (len(columns),), h5py.string_dtype())
    write_texts(frame, "_index", index)
    for column, values in columns.items():
        if isinstance(values, np.ndarray):
            write_array(frame, column, values)
        else:
            write_texts(frame, column, values)
    return frame


def write_empty_parts(root: "h5py.Group", names: Sequence[str] = ("layers", "obsm", "obsp", "varm", "varp")) -> None:
    """Write the parts of an AnnData file that stay empty here."""
    for name in names:
        create_group(root, name)
