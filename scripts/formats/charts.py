"""Small charts as SVG text for a page: histogram, density of two values, bar of parts, heat map.

Colours and type come from the page's style sheet (classes ``bar``, ``mark``, ``axis``, ``part-0`` …), so that a chart
is as readable on a dark page as on a light one. Nothing is drawn for a single value: a chart of many stays small.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy

WIDTH, HEIGHT = 248, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 10, 14, 26


class Scale(NamedTuple):
    """An axis: from ``low`` to ``high``, or from 10^low to 10^high."""

    low: float
    high: float
    log: bool

    def place(self, values: "numpy.ndarray") -> "numpy.ndarray":
        """Return where values lie, 0 to 1; on a logarithmic axis what is below 1 (or its low end) lies there."""
        import numpy as np

        values = np.asarray(values, float)
        if self.log:
            values = np.log10(np.maximum(values, 10.0 ** min(self.low, 0)))
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return place (0 to 1) and text of a few round values."""
        if self.log:
            step = max(1, math.ceil((self.high - self.low) / 6))
            values = range(math.ceil(self.low), math.floor(self.high) + 1, step)
            return [((value - self.low) / (self.high - self.low), short_number(10**value)) for value in values]
        rough = (self.high - self.low) / 4
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.99)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        return [((value - self.low) / (self.high - self.low), short_number(value)) for value in values]


def short_number(value: float) -> str:
    """Return a number in few characters: 1.5k, 20M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def scale_of(values: "numpy.ndarray", log: bool, high: float | None = None) -> Scale:
    """Return a scale that has room for all values: from 0, or from a power of ten, to a round value or to ``high``."""
    greatest = float(values.max()) if len(values) else 1.0
    if log:
        positive = values[values > 0]
        low = math.floor(math.log10(max(float(positive.min()), 1))) if len(positive) else 0
        low = 0 if len(positive) < len(values) else low
        return Scale(low, max(math.ceil(math.log10(max(greatest, 1)) - 1e-9), low + 1), True)
    if high is None:
        power = 10 ** math.floor(math.log10(max(greatest, 1e-9)))
        high = next(power * times for times in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * times >= greatest)
    return Scale(0, high, False)


def _frame(width: int, height: int, title: str, inside: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(title)}">{"".join(inside)}</svg>'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def histogram(
    values: "numpy.ndarray", scale: Scale, title: str, bins: int = 40, times: "numpy.ndarray | None" = None
) -> str:
    """Return a histogram with the median marked; the height of a bar is its share of the values.

    ``times`` says how often each value occurs, where values are given once and in ascending order.
    """
    import numpy as np

    inner, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    base = _TOP + tall
    counts = np.bincount(np.minimum((scale.place(values) * bins).astype(int), bins - 1), times, minlength=bins)
    top = max(float(counts.max()), 1)
    step = inner / bins
    parts = []
    for number, count in enumerate(counts.tolist()):
        if count:
            high = max(count / top * tall, 1)
            parts.append(
                f'<rect class="bar" x="{_number(_LEFT + number * step)}" y="{_number(base - high)}"'
                f' width="{_number(step - 0.7)}" height="{_number(high)}"/>'
            )
    parts.append(_axis(scale, base))
    if len(values):
        if times is None:
            middle = float(np.median(values))
        else:
            sums = np.cumsum(times)
            middle = float(values[np.searchsorted(sums, sums[-1] / 2)])
        place = _LEFT + float(scale.place(np.array([middle]))[0]) * inner
        anchor = "end" if place > WIDTH * 0.6 else "start"
        shift = -4 if anchor == "end" else 4
        parts.append(
            f'<line class="mark" x1="{_number(place)}" x2="{_number(place)}" y1="{_TOP - 10}" y2="{base}"/>'
            f'<text class="marked" x="{_number(place + shift)}" y="{_TOP - 3}" text-anchor="{anchor}">'
            f"median {short_number(middle)}</text>"
        )
    return _frame(WIDTH, HEIGHT, title, parts)


def _axis(scale: Scale, base: float) -> str:
    inner = WIDTH - _LEFT - _RIGHT
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>']
    for place, text in scale.ticks():
        at = _LEFT + place * inner
        anchor = "start" if at < _LEFT + 6 else "end" if at > WIDTH - _RIGHT - 6 else "middle"
        parts.append(f'<line class="axis" x1="{_number(at)}" x2="{_number(at)}" y1="{base}" y2="{base + 3}"/>')
        parts.append(f'<text x="{_number(at)}" y="{base + 14}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def density(across: "numpy.ndarray", up: "numpy.ndarray", scales: tuple[Scale, Scale], title: str) -> str:
    """Return how many values lie where, of two values each: darker is more, on a logarithmic scale."""
    import numpy as np

    columns, rows, left = 40, 22, 30
    width, height = WIDTH, HEIGHT
    inner, tall = width - left - _RIGHT, height - _TOP - _BOTTOM
    base = _TOP + tall
    x = np.minimum((scales[0].place(across) * columns).astype(int), columns - 1)
    y = np.minimum((scales[1].place(up) * rows).astype(int), rows - 1)
    counts = np.bincount(y * columns + x, minlength=rows * columns)
    top = max(math.log1p(int(counts.max())), 1e-9)
    wide, high = inner / columns, tall / rows
    parts = []
    for place in np.flatnonzero(counts).tolist():
        shade = 0.15 + 0.85 * math.log1p(int(counts[place])) / top
        row, column = divmod(place, columns)
        parts.append(
            f'<rect class="bar" fill-opacity="{shade:.2f}" x="{_number(left + column * wide)}"'
            f' y="{_number(base - (row + 1) * high)}" width="{_number(wide)}" height="{_number(high)}"/>'
        )
    parts.append(f'<path class="axis" fill="none" d="M{left} {_TOP}V{base}H{width - _RIGHT}"/>')
    for place, text in scales[0].ticks():
        parts.append(f'<text x="{_number(left + place * inner)}" y="{base + 14}" text-anchor="middle">{text}</text>')
    for place, text in scales[1].ticks():
        parts.append(f'<text x="{left - 4}" y="{_number(base - place * tall + 3)}" text-anchor="end">{text}</text>')
    return _frame(width, height, title, parts)


def parts_bar(parts: Sequence[tuple[str, str, float]], width: int = 160, height: int = 12, title: str = "") -> str:
    """Return a bar cut into parts (class, words and amount), each with its share as its hint."""
    whole = sum(amount for _, _, amount in parts)
    drawn, at = [], 0.0
    for name, words, amount in parts:
        if amount <= 0 or not whole:
            continue
        wide = amount / whole * width
        drawn.append(
            f'<rect class="{name}" x="{_number(at)}" y="0" width="{_number(max(wide, 0.7))}" height="{height}">'
            f"<title>{escape(words)}: {amount / whole:.1%}</title></rect>"
        )
        at += wide
    return _frame(width, height, title, drawn)


def spread(values: "numpy.ndarray", scale: Scale, title: str, width: int = 150) -> str:
    """Return a line from the 5th to the 95th percentile, a thicker one between the quartiles, and the median."""
    import numpy as np

    height = 12
    if not len(values):
        return _frame(width, height, title, [])
    low, first, middle, third, high = (
        scale.place(np.percentile(values, [5, 25, 50, 75, 95])) * (width - 4) + 2
    ).tolist()
    return _frame(
        width,
        height,
        title,
        [
            f'<line class="axis" x1="2" x2="{width - 2}" y1="11.5" y2="11.5"/>',
            f'<line class="thin" x1="{_number(low)}" x2="{_number(high)}" y1="5" y2="5"/>',
            f'<rect class="bar" x="{_number(first)}" y="2" width="{_number(max(third - first, 1))}" height="6"/>',
            f'<line class="mark" x1="{_number(middle)}" x2="{_number(middle)}" y1="0" y2="10"/>',
        ],
    )


SHADES = 9
"""Steps of colour of a heat map, from the least to the greatest: classes ``shade-1`` … ``shade-9``."""
HEAT_STYLE = """
:root{--s1:#edf3c3;--s2:#c1e1b1;--s3:#8dccb4;--s4:#56b3bc;--s5:#3393bd;--s6:#2b71b1;--s7:#29509e;--s8:#273683;--s9:#1a1e5a}
@media(prefers-color-scheme:dark){:root{--s1:#243457;--s2:#284472;--s3:#2a5e93;--s4:#2c7ca8;--s5:#319bad;--s6:#4cb6a5;
--s7:#80cf94;--s8:#bee28b;--s9:#f4f3a2}}
.shade-0{fill:var(--tint);stroke:var(--line);stroke-width:.4}.shade-1{fill:var(--s1)}.shade-2{fill:var(--s2)}.shade-3{fill:var(--s3)}
.shade-4{fill:var(--s4)}.shade-5{fill:var(--s5)}.shade-6{fill:var(--s6)}.shade-7{fill:var(--s7)}.shade-8{fill:var(--s8)}
.shade-9{fill:var(--s9)}svg text.joined{font-style:italic}svg text.name{fill:var(--ink)}.heat{overflow-x:auto}
"""
"""Rules of style of heat maps, for pages that have some."""
_CELL, _GAP, _LETTER, _LONGEST = 14, 4, 6.7, 30


def shades(values: "numpy.ndarray", scale: Scale) -> "numpy.ndarray":
    """Return the step of colour of each value, 1 to :data:`SHADES`; 0 where it is 0 or no number."""
    import numpy as np

    values = np.asarray(values, float)
    blank = ~np.isfinite(values) | (values == 0 if scale.log else False)
    steps = np.minimum((scale.place(np.where(blank, 1, values)) * SHADES).astype(int), SHADES - 1) + 1
    return np.where(blank, 0, steps)


def _length(name: str) -> float:
    return min(len(name), _LONGEST) * _LETTER + 8


def _short(name: str, most: int = _LONGEST) -> str:
    """Return a name as markup, with the whole of it as its hint where it is cut."""
    if len(name) <= most:
        return escape(name)
    return f"{escape(name[: most - 1])}…<title>{escape(name)}</title>"


def heat_map(
    names: tuple[Sequence[str], Sequence[str]],
    values: "numpy.ndarray",
    scale: Scale,
    title: str,
    words: str,
    hint: Callable[[int, int], str],
    *,
    blank: str = "",
    joined: tuple[bool, bool] = (False, False),
    totals: Sequence[str] = (),
) -> str:
    """Return a heat map with its key: a square for each value of rows × columns, none drawn where it is blank.

    ``names`` are those of rows and columns, ``words`` say what the colour is, ``hint`` says what a square of a row and
    a column is, ``blank`` what one without colour means. ``joined`` tells whether the last row and the last column
    hold all the others; they stand apart. ``totals`` are texts at the right of the rows.
    """
    rows, columns = names
    left = max([60, *map(_length, rows)])
    top = max([20, *map(_length, columns)])
    apart = _GAP if joined[0] else 0, _GAP if joined[1] else 0
    wide, tall = len(columns) * _CELL + apart[1], len(rows) * _CELL + apart[0]

    def place(number: int, axis: int) -> float:
        last = joined[axis] and number == len(names[axis]) - 1
        return (left, top)[1 - axis] + number * _CELL + (apart[axis] if last else 0)

    parts = []
    for row, name in enumerate(rows):
        kind = "joined" if joined[0] and row == len(rows) - 1 else "name"
        at = _number(place(row, 0) + _CELL - 3.5)
        parts.append(f'<text class="{kind}" x="{_number(left - 5)}" y="{at}" text-anchor="end">{_short(name)}</text>')
        if totals:
            parts.append(f'<text x="{_number(left + wide + 5)}" y="{at}">{escape(totals[row])}</text>')
    for column, name in enumerate(columns):
        kind = "joined" if joined[1] and column == len(columns) - 1 else "name"
        at = f"{_number(place(column, 1) + _CELL - 3.5)} {_number(top - 5)}"
        parts.append(f'<text class="{kind}" transform="translate({at}) rotate(-90)">{_short(name)}</text>')
    for row, steps in enumerate(shades(values, scale).tolist()):
        y = _number(place(row, 0))
        for column, step in enumerate(steps):
            square = f'<rect class="shade-{step}" x="{_number(place(column, 1))}" y="{y}" width="13" height="13"'
            parts.append(f"{square}><title>{escape(hint(row, column))}</title></rect>" if step else f"{square}/>")
    at = top + tall + 14
    drawn, low = _shade_key(scale, words, blank, at)
    width = max(left + wide + (46 if totals else 6), low)
    return f"<div class=heat>{_frame(math.ceil(width), math.ceil(at + 34), title, [*parts, *drawn])}</div>"


def _shade_key(scale: Scale, words: str, blank: str, at: float) -> tuple[list[str], float]:
    """Return the key of the colours, drawn below ``at``, and how wide it is."""
    step, start = 24, 4
    wide = SHADES * step
    parts = []
    for shade in range(SHADES):
        parts.append(
            f'<rect class="shade-{shade + 1}" x="{start + shade * step}" y="{_number(at)}" width="{step}" height="11"/>'
        )
    for place, text in scale.ticks():
        x = _number(start + place * wide)
        anchor = "start" if place < 0.02 else "end" if place > 0.98 else "middle"
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{_number(at + 11)}" y2="{_number(at + 14)}"/>')
        parts.append(f'<text x="{x}" y="{_number(at + 24)}" text-anchor="{anchor}">{text}</text>')
    end = start + wide + 10
    parts.append(f'<text x="{end}" y="{_number(at + 9.5)}">{escape(words)}</text>')
    end += len(words) * 5.9 + 18
    if blank:
        parts.append(f'<rect class="shade-0" x="{_number(end)}" y="{_number(at)}" width="13" height="11"/>')
        parts.append(f'<text x="{_number(end + 18)}" y="{_number(at + 9.5)}">{escape(blank)}</text>')
        end += 18 + len(blank) * 5.9
    return parts, end + 4


def bar_list(
    names: Sequence[str], values: Sequence[float], texts: Sequence[str], title: str, joined: bool = False
) -> str:
    """Return a list of names with a bar each, the longest for the greatest value, and a text at its end.

    ``joined`` tells that the last one holds all others.
    """
    wide, pitch, inner = 340, 16, 90
    left = min(max([40, *map(_length, names)]), 165)
    most = int((left - 8) / _LETTER)
    top = max([1e-9, *values])
    parts = []
    for place, (name, value, text) in enumerate(zip(names, values, texts, strict=True)):
        at = place * pitch
        long = max(value / top * inner, 1) if value else 0
        rest = joined and place == len(names) - 1
        bar, kind = ("left_out", "joined") if rest else ("bar", "name")
        parts.append(
            f'<text class="{kind}" x="{_number(left - 5)}" y="{at + 11}" text-anchor="end">{_short(name, most)}</text>'
            f'<rect class="{bar}" x="{_number(left)}" y="{at + 2}" width="{_number(long)}" height="11"/>'
            f'<text x="{_number(left + long + 5)}" y="{at + 11}">{escape(text)}</text>'
        )
    return _frame(wide, max(len(names), 1) * pitch, title, parts)
