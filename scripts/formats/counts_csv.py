"""Sparse counts as the text of a CSV table, made with whole-array steps: no number is ever a Python object.

A row without counts is its name and ``,0`` for each column. A count of one digit replaces a ``0``; one of more digits
also moves what follows. So the text is filled with alternating ``,`` and ``0``, out of step after each count of an even
number of digits (a running xor, eight bytes at a time), and then the digits are put in place.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

BLOCK = 1 << 20
"""Bytes of text that are formatted together: small enough to stay in a processor's cache."""

_COMMA = 0x2C
_STEP = 0x1C  # ',' xor '0'


def rows_of_block(width: int) -> int:
    """Return how many rows of ``width`` columns are formatted together."""
    return max(1, BLOCK // (2 * width + 24))


def format_rows(
    names: Sequence[bytes], width: int, rows: "numpy.ndarray", columns: "numpy.ndarray", counts: "numpy.ndarray"
) -> memoryview:
    """Return the lines of a few rows of a table.

    ``names`` are the rows' first values as they stand in the text, ``width`` is the number of columns. ``rows``,
    ``columns`` and ``counts`` tell the counts other than zero, sorted by row and column; all are int64.
    """
    import numpy as np

    if not names:
        return memoryview(b"")
    # The number of digits of each count, less one, and where its last digit stands in its row if all were one digit.
    surplus = np.zeros(len(counts), np.int64)
    longer = np.flatnonzero(counts > 9)
    values = counts[longer]
    digits = np.ones(len(longer), np.int64)
    power = 100
    while power <= 10**18 and (above := values >= power).any():
        digits += above
        power *= 10
    surplus[longer] = digits
    moved = np.cumsum(surplus)

    lengths = np.fromiter(map(len, names), np.int64, len(names))
    bounds = np.searchsorted(rows, np.arange(len(names) + 1))
    moved_before = np.concatenate([[0], moved])[bounds]
    row_ends = np.cumsum(lengths + 2 * width + 1) + moved_before[1:]
    starts = np.concatenate([[0], row_ends[:-1]])
    bodies = starts + lengths
    total = int(row_ends[-1])

    words = np.full(-(-total // 8), _STEP * 0x0101010101010101, np.uint64)
    text = words.view(np.uint8)
    lasts = (bodies - moved_before[:-1] + 1)[rows] + 2 * columns + moved
    firsts = lasts[longer] - digits
    even = digits & 1 == 1
    text[firsts[even] + 1] = 0

    view = memoryview(text)
    if width:
        flips = np.bincount(rows[longer[even]], minlength=len(names))
        out_of_step = (row_ends - bodies - 2 - flips) & 1
        blank = bytes(int(lengths.max()) + 1)
        view[: bodies[0]] = blank[: bodies[0]]
        text[bodies[0]] = _COMMA
        for end, body in zip((row_ends[:-1] - 1).tolist(), bodies[1:].tolist(), strict=True):
            view[end:body] = blank[: body - end]
        text[bodies[1:]] = out_of_step[:-1] * _STEP
        _running_xor(words)

    text[lasts] = counts % 10 + 48 if len(longer) == len(counts) else _last_digits(counts, longer, values)
    place = lasts[longer]
    while len(values):
        values = values // 10
        place = place - 1
        there = values > 0
        if not there.all():
            values, place = values[there], place[there]
        text[place] = values % 10 + 48
    for name, start, body, end in zip(names, starts.tolist(), bodies.tolist(), row_ends.tolist(), strict=True):
        view[start:body] = name
        view[end - 1] = 10
    return view[:total]


def _last_digits(counts: "numpy.ndarray", longer: "numpy.ndarray", values: "numpy.ndarray") -> "numpy.ndarray":
    import numpy as np

    digits = (counts + 48).astype(np.uint8)
    digits[longer] = values % 10 + 48
    return digits


def _running_xor(words: "numpy.ndarray") -> None:
    """Replace each byte of an array (uint64, little-endian) by the xor of all bytes up to it."""
    import numpy as np

    shifted = np.empty_like(words)
    for bits in (8, 16, 32):
        np.left_shift(words, bits, out=shifted)
        np.bitwise_xor(words, shifted, out=words)
    np.right_shift(words, 56, out=shifted)
    np.bitwise_xor.accumulate(shifted, out=shifted)
    np.multiply(shifted, 0x0101010101010101, out=shifted)
    words[1:] ^= shifted[:-1]


def parse_row(body: bytes, width: int) -> "numpy.ndarray":
    """Return the counts (int64) of a row of ``width`` columns; ``body`` is its text after the name: ``,0,12,0``.

    Raises ValueError where the text is not that of as many whole numbers.
    """
    import numpy as np

    raw = np.frombuffer(body, np.uint8)
    commas = np.flatnonzero(raw == _COMMA)
    lengths = np.diff(commas, append=len(raw)) - 1
    if len(commas) != width or (width and (commas[0] or lengths.min() < 1)) or (raw[raw != _COMMA] - 48 > 9).any():
        raise ValueError(f"not {width} whole numbers, each after a comma")
    lasts = commas + lengths
    values = raw[lasts].astype(np.int64) - 48
    longer = np.flatnonzero(lengths > 1)
    power = 1
    while len(longer):
        power *= 10
        lasts[longer] -= 1
        values[longer] += (raw[lasts[longer]].astype(np.int64) - 48) * power
        longer = longer[lasts[longer] - commas[longer] > 1]
    return values
