"""Matrix Market coordinate files, as STARsolo writes them, read and cut in numpy a block of lines at a time.

``%%MatrixMarket matrix coordinate {integer,real} general``, comment lines that begin with ``%``, a line ``rows columns
entries``, then a line ``row column value`` for every entry, counted from 1, one blank between, ordered by column and
then by row. (https://math.nist.gov/MatrixMarket/formats.html)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.core.files import line_blocks

if TYPE_CHECKING:
    import scipy.sparse

BLOCK = 1 << 22
_MAX_HEAD = 1 << 16
_SHORTEST_ENTRY = 6  # "1 1 1\n"
_WORD = 8
_ZEROS = np.uint64(0x3030303030303030)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class Shape(NamedTuple):
    """The head of a matrix: ``kind`` is ``integer`` or ``real``; ``comments`` the lines between banner and sizes."""

    kind: str
    rows: int
    columns: int
    entries: int
    comments: tuple[bytes, ...] = ()


class FormatError(ValueError):
    """A file that is not as the format says; the message tells what is wrong, without the file's name."""


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
            if words[:3] != [b"%%matrixmarket", b"matrix", b"coordinate"] or words[4:] != [b"general"]:
                raise FormatError(f"not a Matrix Market coordinate file: it begins with {line[:60]!r}")
            if words[3] not in (b"integer", b"real"):
                raise FormatError(
                    f"a matrix of kind {words[3].decode('ascii', 'replace')!r}; integer and real are read"
                )
            kind = words[3].decode()
        elif line.startswith(b"%"):
            comments.append(line)
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


def _head_bytes(shape: Shape) -> bytes:
    lines = [f"%%MatrixMarket matrix coordinate {shape.kind} general".encode(), *shape.comments]
    return b"\n".join([*lines, f"{shape.rows} {shape.columns} {shape.entries}".encode(), b""])


class _Block:
    """Whole lines of entries, with the places of their separators; the text is preceded by eight bytes of padding."""

    def __init__(self, lines: bytes) -> None:
        self.text = b"00000000" + lines
        self.letters = np.frombuffer(self.text, dtype=np.uint8)
        places = np.flatnonzero(self.letters <= 32)
        if places.size % 3:
            raise FormatError("an entry is not 'row column value'")
        self.blank1, self.blank2, self.ends = (places[part::3] for part in range(3))
        kinds = self.letters[places].reshape(-1, 3)
        if (kinds != (32, 32, 10)).any():
            raise FormatError("an entry is not 'row column value'")
        self.size = self.ends.size
        self._words = np.ndarray((self.letters.size - 7,), "<u8", self.letters.data, 0, (1,))

    def starts(self) -> np.ndarray:
        """Places at which the lines begin."""
        starts = np.empty_like(self.ends)
        starts[0] = _WORD
        starts[1:] = self.ends[:-1] + 1
        return starts

    def columns(self, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries with which a column begins (or may begin again), and the columns, int64.

        Raises FormatError where a column is not one of 1 to ``limit``.
        """
        widths = self.blank2 - self.blank1 - 1
        if widths.min() < 1 or widths.max() > 2 * _WORD:
            raise FormatError("a number of an entry is empty or too long")
        if widths.max() > _WORD:
            changes = np.arange(self.size)
        else:
            words = self.words(self.blank2, widths)
            changes = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]]))
        columns = self.numbers(self.blank2[changes], widths[changes])
        if columns.min() < 1 or columns.max() > limit:
            raise FormatError(f"an entry is outside the {limit} columns")
        return changes, columns

    def words(self, ends: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """Return, as uint64, the last eight characters before ``ends`` less ``'0'``, those before the number 0."""
        words = self._words[ends - _WORD]
        words ^= _ZEROS  # no borrow from character to character
        words &= _ALL << ((_WORD - np.minimum(widths, _WORD)).astype(np.uint64) << np.uint64(3))
        return words

    def numbers(self, ends: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """Return the whole numbers of ``widths`` digits that end before ``ends``, int64. Raises FormatError."""
        if widths.size == 0:
            return np.zeros(0, np.int64)
        if widths.min() < 1 or widths.max() > 18:
            raise FormatError("a number of an entry is empty or too long")
        numbers = decimals_of(self.words(ends, widths))
        long = np.flatnonzero(widths > _WORD)
        if long.size:
            numbers[long] += self.numbers(ends[long] - _WORD, widths[long] - _WORD) * 10**_WORD
        return numbers


def decimals_of(words: np.ndarray) -> np.ndarray:
    """Return the numbers of eight decimal digits each, the first in the lowest byte. Raises FormatError otherwise."""
    bad = words + np.uint64(0x7676767676767676)
    bad |= words
    bad &= np.uint64(0x8080808080808080)
    if bad.any():
        raise FormatError("a number of an entry has other characters than digits")
    numbers = words * np.uint64(2561)
    numbers >>= np.uint64(8)
    numbers &= np.uint64(0x00FF00FF00FF00FF)
    numbers *= np.uint64(6553601)
    numbers >>= np.uint64(16)
    numbers &= np.uint64(0x0000FFFF0000FFFF)
    numbers *= np.uint64(42949672960001)
    numbers >>= np.uint64(32)
    return numbers.view(np.int64)


def _real_values(block: _Block) -> np.ndarray:
    """Return the values of a block as float64, exactly those that ``float`` would give."""
    starts, ends = block.blank2 + 1, block.ends
    widths = ends - starts
    values = np.empty(block.size, dtype=np.float64)
    whole = widths == 1
    single = block.letters[starts[whole]].astype(np.int64) - 48
    if (single < 0).any() or (single > 9).any():
        raise FormatError("a value is no number")
    values[whole] = single
    short = np.flatnonzero((widths > 1) & (widths <= _WORD))
    if short.size:  # the same few texts over and over: each is read once
        words, which = np.unique(block.words(ends[short], widths[short]), return_inverse=True)
        texts = (words ^ _ZEROS).astype("<u8").tobytes()
        values[short] = np.array([_float(texts[place : place + 8]) for place in range(0, len(texts), 8)])[which]
    for place in np.flatnonzero((widths > _WORD) | (widths < 1)).tolist():
        values[place] = _float(block.text[starts[place] : ends[place]])
    return values


def _float(text: bytes) -> float:
    """Return the number of a text, which may be padded with zeros on the left."""
    try:
        number = float(text if b"-" not in text and b"+" not in text else text.lstrip(b"0"))
    except ValueError:
        raise FormatError(f"a value is no number: {text[:30]!r}") from None
    if b"_" in text or not np.isfinite(number):
        raise FormatError(f"a value is no number: {text[:30]!r}")
    return number


def _whole_values(block: _Block) -> np.ndarray:
    starts, ends = block.blank2 + 1, block.ends
    widths = ends - starts
    if widths.min() < 1:
        raise FormatError("an entry has no value")
    values = block.letters[ends - 1].astype(np.int64) - 48
    if (values < 0).any() or (values > 9).any():
        raise FormatError("a value is no whole number")
    longer = np.flatnonzero(widths > 1)
    values[longer] = block.numbers(ends[longer], widths[longer])
    return values


class MatrixReader:
    """Takes the text of a matrix piece by piece (:meth:`feed`) and gives it as scipy's csc_matrix (:meth:`finish`).

    Rows are int32, whole values int32 (int64 where one needs it), real ones float64. ``size`` is the length of the
    text in bytes: a head that promises more entries than that can hold is refused before memory is taken.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.shape: Shape | None = None
        self._rest = b""
        self._filled = 0
        self._last_column = 0
        self._unsorted: list[np.ndarray] = []

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises FormatError."""
        text = self._rest + piece if self._rest else piece
        if self.shape is None:
            head = parse_head(text)
            if head is None:
                self._rest = text
                return
            self._begin(head[0])
            text = text[head[1] :]
        cut = text.rfind(b"\n") + 1
        self._rest = text[cut:]
        if cut:
            self._take(_Block(text[:cut]))

    def _begin(self, shape: Shape) -> None:
        if shape.entries > self.size // _SHORTEST_ENTRY:
            raise FormatError(f"{shape.entries} entries are promised, more than its {self.size} bytes can hold")
        if shape.rows >= 2**31 or shape.columns > 2**31:
            raise FormatError(f"{shape.rows} rows and {shape.columns} columns are more than can be read")
        self.shape = shape
        self._rows = np.empty(shape.entries, dtype=np.int32)
        self._values: np.ndarray = np.empty(shape.entries, dtype=np.float64 if shape.kind == "real" else np.int32)
        self._firsts: list[tuple[np.ndarray, np.ndarray]] = []

    def _take(self, block: _Block) -> None:
        shape = self.shape
        assert shape is not None
        first, last = self._filled, self._filled + block.size
        if last > shape.entries:
            raise FormatError(f"more entries than the {shape.entries} promised")
        rows = block.numbers(block.blank1, block.blank1 - block.starts())
        if rows.min() < 1 or rows.max() > shape.rows:
            raise FormatError(f"an entry is outside the {shape.rows} rows")
        rows -= 1
        self._rows[first:last] = rows
        values = _real_values(block) if shape.kind == "real" else _whole_values(block)
        if shape.kind == "integer" and self._values.dtype == np.int32 and values.max() > np.iinfo(np.int32).max:
            self._values = self._values.astype(np.int64)
        self._values[first:last] = values
        self._filled = last
        self._take_columns(block, first)

    def _take_columns(self, block: _Block, first: int) -> None:
        assert self.shape is not None
        changes, columns = block.columns(self.shape.columns)
        self._firsts.append((changes + first, columns))

    def finish(self) -> "scipy.sparse.csc_matrix":
        """Return the matrix. Raises FormatError where entries are missing or the last line is not whole."""
        import scipy.sparse

        if self.shape is None:
            raise FormatError("not a Matrix Market file: it has no head")
        if self._rest.strip():
            raise FormatError("the last line is cut short")
        if self._filled != self.shape.entries:
            raise FormatError(f"{self._filled} entries, but {self.shape.entries} are promised")
        shape = (self.shape.rows, self.shape.columns)
        empty = np.zeros(0, dtype=np.int64)
        places = np.concatenate([part[0] for part in self._firsts] or [empty])
        columns = np.concatenate([part[1] for part in self._firsts] or [empty]) - 1
        self._firsts = []
        dtype = np.int32 if self.shape.entries < 2**31 else np.int64
        if (columns[1:] < columns[:-1]).any():
            of_entries = np.repeat(columns, np.diff(places, append=self._filled)).astype(np.int32)
            order = np.lexsort((self._rows, of_entries))
            self._rows, self._values = self._rows[order], self._values[order]
            places, columns = np.arange(order.size), of_entries[order]
        pointers = np.full(shape[1] + 1, self._filled, dtype=dtype)
        pointers[columns[::-1]] = places[::-1]  # of a column that was cut by a block, the first place stays
        np.minimum.accumulate(pointers[::-1], out=pointers[::-1])
        return scipy.sparse.csc_matrix((self._values, self._rows, pointers), shape=shape)


def entry_blocks(handle: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines. Raises FormatError where the last line has no end."""
    for block in line_blocks(handle, BLOCK):
        if not block.endswith(b"\n"):
            raise FormatError("the last line is cut short")
        yield block


def read_head(handle: BinaryIO) -> Shape:
    """Read the head of a matrix and leave the handle at its first entry. Raises FormatError."""
    text = b""
    while (head := parse_head(text)) is None:
        piece = handle.read(4096)
        if not piece:
            raise FormatError("not a Matrix Market file: it has no head")
        text += piece
    handle.seek(head[1])
    return head[0]


def filter_columns(source: str | Path, target: str | Path, columns: np.ndarray) -> int:
    """Write the matrix of some of the columns, renumbered in the order given; return how many entries it has.

    ``columns`` are numbers from 0. Entries come in the order of the new columns, then of the rows, each with the text
    of its value as it was. Memory holds a block of the source at a time. Raises InputError for a file that is no
    matrix or is cut short.
    """
    try:
        with Path(source).open("rb") as handle:
            shape = read_head(handle)
            renumbered = np.zeros(shape.columns + 1, dtype=np.int32)
            if columns.size and (columns.min() < 0 or columns.max() >= shape.columns):
                raise FormatError(f"a column is outside its {shape.columns} columns")
            renumbered[columns + 1] = np.arange(1, columns.size + 1)
            room = len(_head_bytes(shape._replace(columns=columns.size)))  # the number of entries only gets shorter
            part = Path(f"{target}.part")
            with part.open("wb") as writer:
                writer.write(b" " * room)
                kept, ordered = _copy_columns(handle, shape, renumbered, writer.write)
            if not ordered:
                _sort_entries(part, room)
            head = _head_bytes(shape._replace(columns=columns.size, entries=kept))
            with part.open("rb") as body, Path(target).open("wb") as writer:
                writer.write(head)
                body.seek(room)
                while piece := body.read(BLOCK):
                    writer.write(piece)
            part.unlink()
    except FormatError as error:
        raise InputError(f"{source}: {error}.") from error
    return kept


def _copy_columns(
    handle: BinaryIO, shape: Shape, renumbered: np.ndarray, write: Callable[[bytes], object]
) -> tuple[int, bool]:
    """Copy the entries of the wanted columns; return how many, and whether they came out in order."""
    seen = kept = 0
    ordered = True
    last_old = last_new = 0
    for lines in entry_blocks(handle):
        block = _Block(lines)
        seen += block.size
        firsts, columns = block.columns(shape.columns)
        new = renumbered[columns]
        wanted = np.flatnonzero(new)
        starts = np.concatenate([block.starts()[firsts], [block.letters.size]])
        counts = np.diff(firsts, append=block.size)
        kept += int(counts[wanted].sum())
        ordered &= not ((columns[1:] < columns[:-1]).any() or columns[0] < last_old)
        ordered &= not ((np.diff(new[wanted]) < 0).any() or (wanted.size > 0 and new[wanted[0]] < last_new))
        last_old = int(columns[-1])
        text = block.text
        pieces = []
        for place, old, number in zip(wanted.tolist(), columns[wanted].tolist(), new[wanted].tolist(), strict=True):
            last_new = number
            pieces.append(text[starts[place] : starts[place + 1]].replace(b" %d " % old, b" %d " % number))
        write(b"".join(pieces))
    if seen != shape.entries:
        raise FormatError(f"{seen} entries, but {shape.entries} are promised")
    return kept, ordered


def _sort_entries(path: Path, head: int) -> None:
    """Sort the entries behind the head by column, then row: for sources that are not ordered by column."""
    content = path.read_bytes()
    lines = content[head:].splitlines(keepends=True)
    lines.sort(key=lambda line: tuple(int(word) for word in line.split(b" ", 2)[1::-1]))
    path.write_bytes(content[:head] + b"".join(lines))


def matrix_text(matrix: "scipy.sparse.csc_matrix") -> Iterator[bytes]:
    """Yield a matrix as text, as STAR writes it: ordered by column, then row; real values with six digits."""
    columns = matrix.tocsc()
    columns.sort_indices()
    real = columns.dtype.kind == "f"
    yield _head_bytes(Shape("real" if real else "integer", *columns.shape, columns.nnz, (b"%",)))
    line = "{} {} {:g}\n" if real else "{} {} {}\n"
    step = max(1, BLOCK // 64)
    numbers = np.repeat(np.arange(1, columns.shape[1] + 1), np.diff(columns.indptr))
    for start in range(0, columns.nnz, step):
        part = slice(start, start + step)
        rows, values = (columns.indices[part] + 1).tolist(), columns.data[part].tolist()
        yield "".join(map(line.format, rows, numbers[part].tolist(), values)).encode()
