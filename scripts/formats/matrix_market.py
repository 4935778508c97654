"""Matrix Market coordinate files: read, written, and cut to some columns or joined block by block.

STARsolo and most others write the form that is read fastest:
``%%MatrixMarket matrix coordinate {integer,real} general``, comment lines that begin with ``%``, a line ``rows columns
entries``, then a line ``row column value`` for every entry, counted from 1, one blank between, ordered by column and
then by row. Entries in another order, several blanks or tabs, CRLF, blank lines and comments between entries are read
too. (https://math.nist.gov/MatrixMarket/formats.html)
"""

import io
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from scripts.core.disk.files import new_file
from scripts.core.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse

BLOCK = 1 << 22
MOST_COLUMNS = 1 << 26
"""Columns of a matrix that is read without knowing how many are expected."""
_LONGEST_LINE = 1 << 10
_MAX_HEAD = 1 << 16
_SHORTEST_ENTRY = 6  # "1 1 1\n"
_WORD = 8
_ZEROS = np.uint64(0x3030303030303030)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_POWERS = 10 ** np.arange(_WORD - 1, -1, -1, dtype=np.int64)
_PADDING = 2 * _WORD  # digits of the longest number
_VALUES = {"integer": rb"[0-9]++", "real": rb"-?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"}
_ENTRY = {kind: re.compile(rb"([0-9]++) ([0-9]++) %b" % value) for kind, value in _VALUES.items()}
_REAL_ENTRIES = re.compile(rb"(?:[0-9]++ [0-9]++ %b\n)*+" % _VALUES["real"])


class Shape(NamedTuple):
    """The head of a matrix: ``kind`` is ``integer`` or ``real``; ``comments`` the lines between banner and sizes."""

    kind: str
    rows: int
    columns: int
    entries: int
    comments: tuple[bytes, ...] = ()


class FormatError(ValueError):
    """A file that breaks the format; the message says how, without the file's name."""


def parse_head(text: bytes) -> tuple[Shape, int] | None:
    """Return the head of a matrix and its length in bytes; None when ``text`` does not yet hold all of it.

    Raises FormatError.
    """
    comments: list[bytes] = []
    start = 0
    while (end := text.find(b"\n", start)) >= 0:
        line = text[start:end].rstrip(b"\r")
        if start == 0:
            words = line.lower().split()
            if words[:3] != [b"%%matrixmarket", b"matrix", b"coordinate"] or len(words) != 5:
                raise FormatError(f"not a Matrix Market coordinate file: it begins with {line[:60]!r}")
            if words[4] != b"general":
                raise FormatError(f"a {words[4][:60]!r} matrix; those called general are read")
            kind = words[3].decode("ascii", "replace")
            if kind not in _VALUES:
                raise FormatError(f"a matrix of kind {kind!r}; integer and real are read")
        elif line.lstrip().startswith(b"%"):
            comments.append(line.strip())
        elif line.strip():
            sizes = line.split()
            if len(sizes) != 3 or not all(size.isdigit() and len(size) < 19 for size in sizes):
                raise FormatError(f"expected 'rows columns entries', but found {line[:60]!r}")
            rows, columns, entries = map(int, sizes)
            return Shape(kind, rows, columns, entries, tuple(comments)), end + 1
        start = end + 1
    if len(text) > _MAX_HEAD:
        raise FormatError("no line with the numbers of rows, columns and entries")
    return None


def head_bytes(shape: Shape) -> bytes:
    """Return the text of a head."""
    lines = [f"%%MatrixMarket matrix coordinate {shape.kind} general".encode(), *shape.comments]
    return b"\n".join([*lines, f"{shape.rows} {shape.columns} {shape.entries}".encode(), b""])


def _take_head(pieces: Iterator[bytes]) -> tuple[Shape, bytes]:
    """Return the head of a text that comes in pieces, and the beginning of its entries. Raises FormatError."""
    text = b""
    while (head := parse_head(text)) is None:
        if not (piece := next(pieces, b"")):
            raise FormatError("not a Matrix Market file: it has no head")
        text += piece
    return head[0], text[head[1] :]


def _whole_lines(start: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield ``start`` and the pieces after it, cut at line ends.

    Raises FormatError where the last line has none, or a line is longer than any entry.
    """
    rest = b""
    for piece in itertools.chain([start], pieces):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
        rest = piece[cut:] if cut else rest + piece
        if len(rest) > _LONGEST_LINE:
            raise FormatError(f"an entry of more than {_LONGEST_LINE:,} characters: {rest[:60]!r}")
    if rest:
        raise FormatError("the last line is cut short")


def _check_shape(shape: Shape, size: int | None, expected: tuple[int, int] | None) -> None:
    """Raise FormatError where a head promises more than its text of ``size`` bytes or than ``expected``."""
    if size is not None and shape.entries > size // _SHORTEST_ENTRY:
        raise FormatError(f"{shape.entries} entries are promised, more than its {size} bytes can hold")
    if expected is not None and (shape.rows, shape.columns) != expected:
        raise FormatError(
            f"the matrix is of {shape.rows} features and {shape.columns} barcodes, but there are {expected[0]} and"
            f" {expected[1]}"
        )
    if shape.rows >= 2**31 or shape.columns > MOST_COLUMNS:
        raise FormatError(f"{shape.rows} rows and {shape.columns} columns are more than can be read")


def sum_columns(pieces: Iterable[bytes], size: int, expected: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    """Return the sum of each column (uint64) of a matrix whose text comes in pieces.

    Each number counts times the weight (uint64) of its row; sums are modulo 2**64. Of a real number its 64 bits are
    taken for a whole one. Weights of several rows give as many rows of sums. ``size`` and ``expected`` as for
    :func:`read_matrix`. Memory holds a piece of the text. Raises FormatError.
    """
    shape, entries_of_blocks = _open_matrix(pieces, size, expected)
    weights = np.atleast_2d(weights)
    sums = np.zeros((len(weights), shape.columns), np.uint64)
    for entries in entries_of_blocks:
        values = entries.data.view(np.uint64) if shape.kind == "real" else entries.data.astype(np.uint64)
        for of_rows, of_columns in zip(weights, sums, strict=True):
            np.add.at(of_columns, entries.col, values * of_rows[entries.row])
    return sums


def read_columns(
    pieces: Iterable[bytes], size: int, expected: tuple[int, int], columns: np.ndarray
) -> "scipy.sparse.csc_matrix":
    """Return some columns (numbers from 0) of a matrix whose text comes in pieces, in the order given.

    ``size`` and ``expected`` as for :func:`read_matrix`. Memory holds what is returned and a piece of the text. Raises
    FormatError.
    """
    import scipy.sparse

    shape, entries_of_blocks = _open_matrix(pieces, size, expected)
    renumbered = np.full(shape.columns, -1, np.int64)
    renumbered[columns] = np.arange(columns.size)
    dtype = np.float64 if shape.kind == "real" else np.int64
    kept = [(np.zeros(0, dtype), np.zeros(0, np.int32), np.zeros(0, np.int64))]
    for entries in entries_of_blocks:
        new = renumbered[entries.col]
        wanted = new >= 0
        kept.append((entries.data[wanted], entries.row[wanted], new[wanted]))
    values, rows, chosen = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return scipy.sparse.coo_matrix((values, (rows, chosen)), shape=(shape.rows, columns.size)).tocsc()


def read_matrix(
    pieces: Iterable[bytes], size: int, expected: tuple[int, int] | None = None
) -> "scipy.sparse.csc_matrix":
    """Return the matrix whose text comes in pieces; ``size`` is the length of the text in bytes.

    ``expected``, where it is known, are its rows and columns.

    Row indices are int32, whole values int32 (int64 where one needs it), real ones float64. Memory holds the matrix and
    a piece of the text, not the entries in scipy's three long arrays; it grows with what is read, not with what the
    head promises. Raises FormatError.
    """
    import scipy.sparse

    shape, entries_of_blocks = _open_matrix(pieces, size, expected)
    rows = np.empty(0, dtype=np.int32)
    values = np.empty(0, dtype=np.float64 if shape.kind == "real" else np.int32)
    begins, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]  # where a column begins, and which it is
    filled = 0
    for entries in entries_of_blocks:
        first, filled = filled, filled + entries.nnz
        if filled > rows.size:
            room = min(shape.entries, max(filled, 2 * rows.size))
            rows.resize(room, refcheck=False)
            values.resize(room, refcheck=False)
        if values.dtype == np.int32 and entries.data.max() > np.iinfo(np.int32).max:
            values = values.astype(np.int64)
        rows[first:filled], values[first:filled] = entries.row, entries.data
        changes = np.flatnonzero(np.concatenate([[True], entries.col[1:] != entries.col[:-1]]))
        begins.append(changes + first)
        columns.append(entries.col[changes])
    begin, column = np.concatenate(begins), np.concatenate(columns)
    if (column[1:] < column[:-1]).any():
        column = np.repeat(column, np.diff(begin, append=filled))
        return scipy.sparse.coo_matrix((values, (rows, column)), shape=(shape.rows, shape.columns)).tocsc()
    pointers = np.full(shape.columns + 1, filled, dtype=np.int32 if filled < 2**31 else np.int64)
    pointers[column[::-1]] = begin[::-1]  # a column that two pieces share begins in the first
    np.minimum.accumulate(pointers[::-1], out=pointers[::-1])
    return scipy.sparse.csc_matrix((values, rows, pointers), shape=(shape.rows, shape.columns))


def _open_matrix(
    pieces: Iterable[bytes], size: int, expected: tuple[int, int] | None
) -> tuple[Shape, Iterator["scipy.sparse.coo_matrix"]]:
    """Return the head of a matrix whose text comes in pieces, and its entries block by block, none of them empty.

    Raises FormatError, as do the blocks, at their end also where they are not as many entries as promised.
    """
    pieces = iter(pieces)
    shape, text = _take_head(pieces)
    _check_shape(shape, size, expected)
    return shape, _entries_of_blocks(_plain_blocks(text, pieces, shape), shape)


def _plain_blocks(start: bytes, pieces: Iterator[bytes], shape: Shape) -> Iterator[bytes]:
    """Yield whole lines, each ``row column value`` with one blank between, as STAR writes them. Raises FormatError."""
    seen = 0
    for lines in _whole_lines(start, pieces):
        if not _are_plain(lines, shape.kind):
            words = (line.split() for line in lines.split(b"\n"))
            kept = [b" ".join(entry) + b"\n" for entry in words if entry and not entry[0].startswith(b"%")]
            lines = b"".join(kept).replace(b" +", b" ")
            if not _are_plain(lines, shape.kind):  # scipy silently drops what follows a number
                raise FormatError(_find_fault(lines, shape, seen))
        seen += lines.count(b"\n")
        if seen > shape.entries:
            raise FormatError(f"more entries than the {shape.entries} promised")
        if lines:
            yield lines
    if seen != shape.entries:
        raise FormatError(f"{seen} entries, but {shape.entries} are promised")


def _are_plain(lines: bytes, kind: str) -> bool:
    if kind == "real":
        return _REAL_ENTRIES.fullmatch(lines) is not None
    letters = np.frombuffer(lines, dtype=np.uint8)
    count = int(np.count_nonzero(letters == 10))
    blanks, others = np.count_nonzero(letters == 32), np.count_nonzero(letters < ord("0"))
    return bool(blanks == 2 * count and others == 3 * count and letters.max(initial=0) <= ord("9"))


def _entries_of_blocks(blocks: Iterable[bytes], shape: Shape) -> Iterator["scipy.sparse.coo_matrix"]:
    import scipy.io

    before = 0
    for lines in blocks:
        count = lines.count(b"\n")
        try:
            entries = scipy.io.mmread(io.BytesIO(head_bytes(shape._replace(entries=count, comments=())) + lines))
        except (ValueError, OverflowError) as error:
            raise FormatError(_find_fault(lines, shape, before)) from error
        if not np.isfinite(entries.data).all():
            raise FormatError(_find_fault(lines, shape, before))
        before += count
        yield entries


def _find_fault(lines: bytes, shape: Shape, before: int) -> str:
    """Return what is wrong with the first line that is no entry of the matrix."""
    for number, line in enumerate(lines.splitlines(), before + 1):
        entry = _ENTRY[shape.kind].fullmatch(line)
        if entry is None:
            return f"entry {number} is not 'row column value' with a value of kind {shape.kind}: {line[:60]!r}"
        for index, limit, axis in ((entry[1], shape.rows, "rows"), (entry[2], shape.columns, "columns")):
            if len(index) > 18 or not 1 <= int(index) <= limit:
                return f"entry {number} is outside the {limit} {axis}: {line[:60]!r}"
    return f"a value of the entries from {before + 1} on is too large"


def matrix_text(matrix: "scipy.sparse.csc_matrix") -> Iterator[bytes]:
    """Yield a matrix as text, as STAR writes it: ordered by column, then row.

    Real values have six digits, or as many more as they need to be read back.
    """
    sorted_columns = matrix.tocsc()
    sorted_columns.sort_indices()
    rows, columns = sorted_columns.shape
    real = sorted_columns.dtype.kind == "f"
    yield head_bytes(Shape("real" if real else "integer", rows, columns, sorted_columns.nnz, (b"%",)))
    line = "{} {} {}\n"
    step = max(1, BLOCK // 64)
    numbers = np.repeat(np.arange(1, columns + 1), np.diff(sorted_columns.indptr))
    for start in range(0, sorted_columns.nnz, step):
        some = slice(start, start + step)
        row_numbers, values = (sorted_columns.indices[some] + 1).tolist(), sorted_columns.data[some].tolist()
        if real:
            values = [short if float(short := f"{value:g}") == value else repr(value) for value in values]
        yield "".join(map(line.format, row_numbers, numbers[some].tolist(), values)).encode()


def append_columns(
    pieces: Iterable[bytes],
    size: int,
    expected: tuple[int, int],
    target: BinaryIO,
    first: int,
    rows: np.ndarray | None = None,
) -> Shape:
    """Write the entries of a matrix behind those of others in ``target``; return its head.

    Its columns come behind the ``first`` ones, and ``rows``, where it is given, maps its rows (from 0) to new ones.
    Values keep their text. Memory holds a piece of the text, or all of it where it is not ordered. Raises FormatError.
    """
    pieces = iter(pieces)
    shape, text = _take_head(pieces)
    _check_shape(shape, size, expected)
    begin, before, ordered = target.tell(), -1, True
    of_column = shape.rows if rows is None else int(rows.max(initial=0)) + 1
    for lines in _plain_blocks(text, pieces, shape):
        (entries,) = _entries_of_blocks([lines], shape)
        new_rows = (entries.row if rows is None else rows[entries.row]).astype(np.int64)
        new_columns = entries.col.astype(np.int64) + first
        places = np.append(before, new_columns * of_column + new_rows)
        ordered = ordered and bool((places[1:] >= places[:-1]).all())
        before = places[-1]
        written = zip((new_rows + 1).tolist(), (new_columns + 1).tolist(), lines.split()[2::3], strict=True)
        target.write(b"".join(map(b"%d %d %b\n".__mod__, written)))
    if not ordered:
        target.flush()
        target.seek(begin)
        in_order = sorted(target.read().splitlines(keepends=True), key=_column_and_row)
        target.seek(begin)
        target.writelines(in_order)
    return shape


def filter_columns(source: str | Path, target: str | Path, columns: np.ndarray) -> int:
    """Write the matrix of some of the columns, renumbered in the order given; return how many entries it has.

    ``columns`` are numbers from 0. Entries come in the order of the new columns, then of the rows, each with the text
    of its value as it was. Memory holds a block of the source at a time. Raises InputError for a file that is no
    matrix or is cut short.
    """
    try:
        with Path(source).open("rb") as handle:
            pieces = iter(partial(handle.read, BLOCK), b"")
            shape, text = _take_head(pieces)
            _check_shape(shape, None, None)
            renumbered = np.zeros(shape.columns + 1, dtype=np.int32)
            if columns.size and (columns.min() < 0 or columns.max() >= shape.columns):
                raise FormatError(f"a column is outside its {shape.columns} columns")
            renumbered[columns + 1] = np.arange(1, columns.size + 1)
            room = len(head_bytes(shape._replace(columns=columns.size)))  # the number of entries only gets shorter
            body = Path(f"{target}.part")
            with os.fdopen(new_file(body), "wb") as writer:
                writer.write(b" " * room)
                kept, ordered = _copy_columns(_whole_lines(text, pieces), shape, renumbered, writer.write)
            if not ordered:
                _sort_entries(body, room)
            with body.open("rb") as reader, Path(target).open("wb") as writer:
                writer.write(head_bytes(shape._replace(columns=columns.size, entries=kept)))
                reader.seek(room)
                shutil.copyfileobj(reader, writer, BLOCK)
            body.unlink()
    except FormatError as error:
        raise InputError(f"{source}: {error}.") from error
    return kept


def _copy_columns(
    blocks: Iterable[bytes], shape: Shape, renumbered: np.ndarray, write: Callable[[bytes], object]
) -> tuple[int, bool]:
    """Copy the entries of the wanted columns; return how many, and whether they came out in order."""
    seen = kept = last_old = last_new = 0
    ordered = True
    for lines in blocks:
        text = b"0" * _PADDING + lines
        letters = np.frombuffer(text, dtype=np.uint8)
        separators = np.flatnonzero(letters <= 32)
        if separators.size % 3 or (letters[separators].reshape(-1, 3) != (32, 32, 10)).any():
            raise FormatError("an entry is not 'row column value'")
        blank1, blank2, ends = (separators[part::3] for part in range(3))
        firsts, columns = _find_columns(letters, blank1, blank2, shape.columns)
        new = renumbered[columns]
        wanted = np.flatnonzero(new)
        bounds = np.append(firsts, ends.size)
        starts = np.append(_PADDING, ends + 1)[bounds]
        seen += ends.size
        kept += int(np.diff(bounds)[wanted].sum())
        ordered &= not ((columns[1:] < columns[:-1]).any() or columns[0] < last_old)
        ordered &= not ((np.diff(new[wanted]) < 0).any() or (wanted.size > 0 and new[wanted[0]] < last_new))
        last_old = int(columns[-1])
        copied = []
        for index, old, number in zip(wanted.tolist(), columns[wanted].tolist(), new[wanted].tolist(), strict=True):
            last_new = number
            copied.append(text[starts[index] : starts[index + 1]].replace(b" %d " % old, b" %d " % number))
        write(b"".join(copied))
    if seen != shape.entries:
        raise FormatError(f"{seen} entries, but {shape.entries} are promised")
    return kept, ordered


def _find_columns(
    letters: np.ndarray, blank1: np.ndarray, blank2: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries with which a column begins (or may begin again), and the columns, int64.

    The column of an entry is between the positions ``blank1`` and ``blank2``. Raises FormatError where it is not a
    number from 1 to ``limit``.
    """
    widths = blank2 - blank1 - 1
    if widths.min() < 1 or widths.max() > _PADDING:
        raise FormatError("a number of an entry is empty or too long")
    words = np.ndarray((letters.size - 7,), "<u8", letters.data, 0, (1,))  # the eight characters from a position on

    def digits_before(ends: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """Return the last eight characters of numbers, less ``'0'``, as uint64, 0 before the number."""
        masks = _ALL << ((_WORD - np.clip(widths, 0, _WORD)).astype(np.uint64) << np.uint64(3))
        return (words[ends - _WORD] ^ _ZEROS) & masks

    last = digits_before(blank2, widths)
    if widths.max() <= _WORD:
        changes = np.flatnonzero(np.concatenate([[True], last[1:] != last[:-1]]))
        columns = _decimals_of(last[changes])
    else:
        changes = np.arange(blank2.size)
        columns = _decimals_of(last) + 10**_WORD * _decimals_of(digits_before(blank2 - _WORD, widths - _WORD))
    if columns.min() < 1 or columns.max() > limit:
        raise FormatError(f"an entry is outside the {limit} columns")
    return changes, columns


def _decimals_of(words: np.ndarray) -> np.ndarray:
    """Return the numbers of eight decimal digits each, the first in the lowest byte. Raises FormatError otherwise."""
    digits = words.view(np.uint8).reshape(-1, _WORD)
    if digits.max(initial=0) > 9:
        raise FormatError("a number of an entry has other characters than digits")
    return digits @ _POWERS


def _sort_entries(path: Path, head: int) -> None:
    """Sort the entries behind the head by column, then row: for sources that are not ordered by column."""
    content = path.read_bytes()
    lines = content[head:].splitlines(keepends=True)
    lines.sort(key=_column_and_row)
    path.write_bytes(content[:head] + b"".join(lines))


def _column_and_row(line: bytes) -> tuple[int, int]:
    row, column, _ = line.split(b" ", 2)
    return int(column), int(row)
