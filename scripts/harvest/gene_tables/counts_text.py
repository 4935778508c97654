"""Sparse counts as the text of a CSV table, made with whole-array steps: no number is ever a Python object.

A row without counts is its name and ``,0`` for each column. A count of one digit replaces a ``0``; one of more digits
also moves what follows. So the text is filled with alternating ``,`` and ``0``, which are swapped after each count of
an even number of digits (a running sum, eight bytes at a time), and then the digits are written over them.
"""

import re
from collections.abc import Sequence

import numpy as np

BLOCK = 1 << 20
"""Bytes of text that are formatted together: small enough to stay in a processor's cache."""

_COMMA = 0x2C
_DECIMAL = re.compile(rb"[0-9]{1,18}(\.[0-9]{1,25})?(e[+-][0-9]{1,2})?")
_STEP = 0x1C  # ',' xor '0'
_ONES = 0x0101010101010101
_PATTERN = int.from_bytes(b",0,0,0,0", "little")


def rows_of_block(width: int) -> int:
    """Return how many rows of ``width`` columns are formatted together."""
    return max(1, BLOCK // (2 * width + 24))


def format_rows(
    names: Sequence[bytes], width: int, bounds: np.ndarray, offsets: np.ndarray, counts: np.ndarray
) -> memoryview:
    """Return the lines of a few rows of a table.

    ``names`` are the rows' first values as text, quoted where needed, ``width`` is the number of columns. The counts
    other than zero of row number n are at ``bounds[n]`` to ``bounds[n + 1]``, in the order of their columns:
    ``counts`` (uint32 or uint64), and in ``offsets`` (int32) twice the column of each.
    """
    if not names:
        return memoryview(b"")
    # How many digits each count has more than one, and by how much all digits so far move what follows.
    greatest = int(counts.max()) if len(counts) else 0
    more = (counts > 9).view(np.uint8)
    power = 100
    while power <= greatest:
        more += (counts >= power).view(np.uint8)
        power *= 10
    moved = np.cumsum(more, dtype=np.int64)
    moved_before = np.where(bounds > 0, moved[bounds - 1], 0) if len(moved) else np.zeros(len(bounds), np.int64)

    lengths = np.fromiter(map(len, names), np.int64, len(names))
    row_ends = np.cumsum(lengths + 2 * width + 1) + moved_before[1:]
    starts = np.concatenate([[0], row_ends[:-1]])
    bodies = starts + lengths
    total = int(row_ends[-1])

    # Position of the last digit of each count.
    lasts = np.repeat(bodies - moved_before[:-1] + 1, np.diff(bounds))
    lasts += moved
    lasts += offsets

    words = np.zeros(-(-total // 8), np.uint64)
    text = words.view(np.uint8)
    if width:
        # A 1 wherever commas change from even to odd bytes or back: in a count of an even number of digits, behind
        # its first, and where a row begins, unless the row before has left off in step.
        seconds = lasts - more
        seconds += 1
        text[seconds] = more & 1
        wanted = bodies & 1
        left_off = wanted + np.diff(moved_before)
        text[bodies] = wanted ^ np.concatenate([[0], left_off[:-1] & 1])
        _alternate(words)

    rest = counts // 10
    text[lasts] = _digits(counts - rest * 10)
    longer = np.flatnonzero(rest > 0)
    rest, positions = rest.take(longer), lasts.take(longer)
    while len(rest):
        positions -= 1
        above = rest // 10
        text[positions] = _digits(rest - above * 10)
        longer = np.flatnonzero(above > 0)
        rest, positions = above.take(longer), positions.take(longer)
    view = text.data
    for name, start, body, end in zip(names, starts.tolist(), bodies.tolist(), row_ends.tolist(), strict=True):
        view[start:body] = name
        view[end - 1] = 10
    return view[:total]


def format_decimals(
    names: Sequence[bytes],
    width: int,
    bounds: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
    whole: np.ndarray | None = None,
    digits: int = 0,
) -> memoryview:
    """Return the lines of a few rows of a table of decimals, as :func:`format_rows` takes them.

    ``counts`` are float64, and ``whole`` says of each row whether it is one of whole numbers (a tally). A decimal is
    written as htseq-count writes it: the shortest text that reads back as the same number, or with so many significant
    ``digits``; none is ``0``.
    """
    lines = []
    for number, name in enumerate(names):
        values = ["0"] * width
        here = slice(bounds[number], bounds[number + 1])
        there = counts[here].tolist()
        if whole is not None and whole[number]:
            written = [str(int(count)) for count in there]
        else:
            written = [f"{count:.{digits}g}" for count in there] if digits else [str(count) for count in there]
        for offset, text in zip(offsets[here].tolist(), written, strict=True):
            values[offset // 2] = text
        lines.append(b",".join([name, *map(str.encode, values)]) + b"\n")
    return memoryview(b"".join(lines))


def _digits(values: np.ndarray) -> np.ndarray:
    """Return values from 0 to 9 as text."""
    text = values.astype("u1")
    text += 48
    return text


def _alternate(words: np.ndarray) -> None:
    """Replace the bytes of an array (uint64, little-endian) by ``,0,0``; each 1 swaps comma and zero from there on."""
    words *= np.uint64(_ONES)  # now each byte is the sum of its word's bytes up to it
    words &= np.uint64(_ONES)
    before = words >> np.uint64(56)
    np.bitwise_xor.accumulate(before, out=before)
    before *= np.uint64(_STEP * _ONES)
    words *= np.uint64(_STEP)
    words ^= np.uint64(_PATTERN)
    words[1:] ^= before[:-1]


def parse_numbers(raw: np.ndarray, lasts: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
    """Return the whole numbers (int64) in a text (uint8) whose last digits are at ``lasts``.

    ``lengths`` are their digits. None where a byte of them is not a digit, or where a number has more than 18.
    """
    if lengths.max(initial=0) > 18:
        return None
    digits = raw[lasts] - 48  # what is not a digit wraps round to more than 9
    values = digits.astype(np.int64)
    longer = np.flatnonzero(lengths > 1)
    shift = 0
    while not (digits > 9).any() and len(longer):
        shift += 1
        digits = raw[lasts[longer] - shift] - 48
        values[longer] += digits.astype(np.int64) * 10**shift
        longer = longer[lengths[longer] > shift + 1]
    return None if (digits > 9).any() else values


def parse_row(body: bytes, width: int) -> np.ndarray:
    """Return the counts (int64) of a row of ``width`` columns; ``body`` is its text after the name: ``,0,12,0``.

    Raises ValueError where the text is not that of as many whole numbers.
    """
    raw = np.frombuffer(body, np.uint8)
    commas = np.flatnonzero(raw == _COMMA)
    lengths = np.diff(commas, append=len(raw)) - 1
    if len(commas) == width and (not width or (commas[0] == 0 and lengths.min() > 0)):
        values = parse_numbers(raw, commas + lengths, lengths)
        if values is not None:
            return values
    raise ValueError(f"not {width} whole numbers, each after a comma")


def parse_decimals(body: bytes, width: int) -> np.ndarray:
    """Return the counts (float64) of a row of decimals, see :func:`parse_row`."""
    fields = body.split(b",")
    if fields[0] or len(fields) != width + 1 or not all(map(_DECIMAL.fullmatch, fields[1:])):
        raise ValueError(f"not {width} numbers, each after a comma")
    return np.array(fields[1:], float)
