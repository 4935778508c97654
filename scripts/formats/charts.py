"""Small charts as SVG for a page: histogram, density of two values, bar of parts, spread, heat map, list of bars.

A chart's numbers are made here, as shapes; ``templates/chart.svg`` draws them. Colours and type come from the page's
style sheet (classes ``bar``, ``mark``, ``axis``, ``part-0`` …; of heat maps: ``heat_map.css``), so that a chart is as
readable on a dark page as on a light one. Charts are markup: a template shows them as they are. Nothing is drawn for
each single value: a chart of many stays small.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from scripts.formats.pages import render

WIDTH, HEIGHT = 248, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 10, 14, 26


class Scale(NamedTuple):
    """An axis: from ``low`` to ``high``, or from 10^low to 10^high."""

    low: float
    high: float
    log: bool

    def position(self, values: np.ndarray | float) -> np.ndarray:
        """Return the positions of values, 0 to 1; on a logarithmic axis less than 1 (or its low end) is 0."""
        array = np.asarray(values, float)
        if self.log:
            array = np.log10(np.maximum(array, 10.0 ** min(self.low, 0)))
        return np.clip((array - self.low) / (self.high - self.low), 0, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return position (0 to 1) and text of a few round values."""
        if self.log:
            stride = max(1, math.ceil((self.high - self.low) / 6))
            powers = range(math.ceil(self.low), math.floor(self.high) + 1, stride)
            return [((power - self.low) / (self.high - self.low), short_number(10**power)) for power in powers]
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


def scale_of(values: np.ndarray, log: bool, high: float | None = None) -> Scale:
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


class Rect(NamedTuple):
    """A rectangle in pixels from the top left corner; ``kind`` is its class, ``hint`` is shown under the mouse."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    hint: str = ""
    opacity: str = ""
    tag: str = "rect"


class Line(NamedTuple):
    """A line in pixels."""

    kind: str
    x1: float
    x2: float
    y1: float
    y2: float
    tag: str = "line"


class Text(NamedTuple):
    """A text in pixels: what is longer than ``most`` letters is cut, with the whole of it as its hint."""

    x: float
    y: float
    text: str
    anchor: str = ""
    kind: str = ""
    most: int = 1000
    upright: bool = False
    tag: str = "text"


Shape = Rect | Line | Text


def _draw(width: int, height: int, title: str, shapes: Sequence[Shape]) -> Markup:
    return render("formats/templates/chart.svg", width=width, height=height, title=title, shapes=shapes)


def histogram(values: np.ndarray, scale: Scale, title: str, times: np.ndarray | None = None) -> Markup:
    """Return a histogram with the median marked; the height of a bar is its share of the values.

    ``times`` says how often each value occurs, where values are given once and in ascending order.
    """
    bins, inner, tall = 40, WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    base = _TOP + tall
    counts = np.bincount(np.minimum((scale.position(values) * bins).astype(int), bins - 1), times, minlength=bins)
    heights = np.maximum(counts / max(float(counts.max()), 1) * tall, 1)
    step = inner / bins
    shapes: list[Shape] = [
        Rect("bar", _LEFT + number * step, base - heights[number], step - 0.7, heights[number])
        for number in np.flatnonzero(counts).tolist()
    ]
    shapes += _axis(scale, base)
    if len(values):
        if times is None:
            middle = float(np.median(values))
        else:
            sums = np.cumsum(times)
            middle = float(values[np.searchsorted(sums, sums[-1] / 2)])
        x = _LEFT + float(scale.position(middle)) * inner
        anchor, shift = ("end", -4) if x > WIDTH * 0.6 else ("start", 4)
        shapes.append(Line("mark", x, x, _TOP - 10, base))
        shapes.append(Text(x + shift, _TOP - 3, f"median {short_number(middle)}", anchor, "marked"))
    return _draw(WIDTH, HEIGHT, title, shapes)


def _axis(scale: Scale, base: float) -> list[Shape]:
    shapes: list[Shape] = [Line("axis", _LEFT, WIDTH - _RIGHT, base, base)]
    for position, text in scale.ticks():
        x = _LEFT + position * (WIDTH - _LEFT - _RIGHT)
        anchor = "start" if x < _LEFT + 6 else "end" if x > WIDTH - _RIGHT - 6 else "middle"
        shapes += [Line("axis", x, x, base, base + 3), Text(x, base + 14, text, anchor)]
    return shapes


def density(across: np.ndarray, up: np.ndarray, scales: tuple[Scale, Scale], title: str) -> Markup:
    """Return a map of how many pairs of values are where: darker is more, on a logarithmic scale."""
    columns, rows, left = 40, 22, 30
    inner, tall = WIDTH - left - _RIGHT, HEIGHT - _TOP - _BOTTOM
    base = _TOP + tall
    x = np.minimum((scales[0].position(across) * columns).astype(int), columns - 1)
    y = np.minimum((scales[1].position(up) * rows).astype(int), rows - 1)
    counts = np.bincount(y * columns + x, minlength=rows * columns)
    opacities = 0.15 + 0.85 * np.log1p(counts) / max(math.log1p(int(counts.max())), 1e-9)
    wide, high = inner / columns, tall / rows
    shapes: list[Shape] = []
    for square in np.flatnonzero(counts).tolist():
        row, column = divmod(square, columns)
        at = left + column * wide, base - (row + 1) * high
        shapes.append(Rect("bar", *at, wide, high, opacity=f"{opacities[square]:.2f}"))
    shapes += [Line("axis", left, left, _TOP, base), Line("axis", left, WIDTH - _RIGHT, base, base)]
    shapes += [Text(left + position * inner, base + 14, text, "middle") for position, text in scales[0].ticks()]
    shapes += [Text(left - 4, base - position * tall + 3, text, "end") for position, text in scales[1].ticks()]
    return _draw(WIDTH, HEIGHT, title, shapes)


def parts_bar(parts: Sequence[tuple[str, str, float]], width: int = 160, height: int = 12, title: str = "") -> Markup:
    """Return a bar cut into parts (class, words and amount), each with its share as its hint."""
    whole = sum(amount for _, _, amount in parts)
    shapes, x = [], 0.0
    for kind, words, amount in parts:
        if amount > 0:
            wide = amount / whole * width
            shapes.append(Rect(kind, x, 0, max(wide, 0.7), height, f"{words}: {amount / whole:.1%}"))
            x += wide
    return _draw(width, height, title, shapes)


def spread(values: np.ndarray, scale: Scale, title: str) -> Markup:
    """Return a line from the 5th to the 95th percentile, a thicker one between the quartiles, and the median."""
    width = 150
    shapes: list[Shape] = []
    if len(values):
        positions = scale.position(np.percentile(values, [5, 25, 50, 75, 95])) * (width - 4) + 2
        low, first, middle, third, high = positions.tolist()
        shapes = [
            Line("axis", 2, width - 2, 11.5, 11.5),
            Line("thin", low, high, 5, 5),
            Rect("bar", first, 2, max(third - first, 1), 6),
            Line("mark", middle, middle, 0, 10),
        ]
    return _draw(width, 12, title, shapes)


SHADES = 9
"""Steps of colour of a heat map, from the least to the greatest: classes ``shade-1`` … ``shade-9``."""
_CELL, _GAP, _LETTER, _LONGEST = 14, 4, 6.7, 30


def shades(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Return the step of colour of each value, 1 to :data:`SHADES`; 0 where it is 0 or no number."""
    values = np.asarray(values, float)
    blank = ~np.isfinite(values) | (values == 0 if scale.log else False)
    steps = np.minimum((scale.position(np.where(blank, 1, values)) * SHADES).astype(int), SHADES - 1) + 1
    return np.where(blank, 0, steps)


def _length(name: str) -> float:
    return min(len(name), _LONGEST) * _LETTER + 8


def _offsets(number: int, joined: bool) -> list[int]:
    """Return where each row (or column) of a heat map begins and the last one ends, in pixels."""
    return [index * _CELL + (_GAP if joined and index >= number - 1 else 0) for index in range(number + 1)]


def heat_map(
    names: tuple[Sequence[str], Sequence[str]],
    values: np.ndarray,
    scale: Scale,
    title: str,
    words: str,
    hint: Callable[[int, int], str],
    *,
    blank: str = "",
    joined: tuple[bool, bool] = (False, False),
    totals: Sequence[str] = (),
) -> Markup:
    """Return a heat map with its key: a square for each value of rows × columns, a faint one where it is blank.

    ``names`` are those of rows and columns, ``words`` say what the colour is, ``hint`` says what a square of a row and
    a column is, ``blank`` what one without colour means. ``joined`` says whether the last row and the last column
    are all the others together; they stand apart. ``totals`` are texts at the right of the rows.
    """
    rows, columns = names
    left = max([60, *map(_length, rows)])
    top = max([20, *map(_length, columns)])
    down, right = _offsets(len(rows), joined[0]), _offsets(len(columns), joined[1])
    shapes: list[Shape] = []
    for row, name in enumerate(rows):
        kind = "joined" if joined[0] and row == len(rows) - 1 else "name"
        y = top + down[row] + _CELL - 3.5
        shapes.append(Text(left - 5, y, name, "end", kind, _LONGEST))
        if totals:
            shapes.append(Text(left + right[-1] + 5, y, totals[row]))
    for column, name in enumerate(columns):
        kind = "joined" if joined[1] and column == len(columns) - 1 else "name"
        x = left + right[column] + _CELL - 3.5
        shapes.append(Text(x, top - 5, name, kind=kind, most=_LONGEST, upright=True))
    for row, steps in enumerate(shades(values, scale).tolist()):
        for column, step in enumerate(steps):
            words_of_square = hint(row, column) if step else ""
            shapes.append(Rect(f"shade-{step}", left + right[column], top + down[row], 13, 13, words_of_square))
    y = top + down[-1] + 14
    key, width_of_key = _shade_key(scale, words, blank, y)
    width = max(left + right[-1] + (46 if totals else 6), width_of_key)
    drawn = _draw(math.ceil(width), math.ceil(y + 34), title, shapes + key)
    return Markup('<div class="heat">{}</div>').format(drawn)


def _shade_key(scale: Scale, words: str, blank: str, y: float) -> tuple[list[Shape], float]:
    """Return the key of the colours, drawn below ``y``, and how wide it is."""
    step, start = 24, 4
    wide = SHADES * step
    shapes: list[Shape] = [Rect(f"shade-{shade + 1}", start + shade * step, y, step, 11) for shade in range(SHADES)]
    for position, text in scale.ticks():
        x = start + position * wide
        anchor = "start" if position < 0.02 else "end" if position > 0.98 else "middle"
        shapes += [Line("axis", x, x, y + 11, y + 14), Text(x, y + 24, text, anchor)]
    end = start + wide + 10.0
    shapes.append(Text(end, y + 9.5, words))
    end += len(words) * 5.9 + 18
    if blank:
        shapes += [Rect("shade-0", end, y, 13, 11), Text(end + 18, y + 9.5, blank)]
        end += 18 + len(blank) * 5.9
    return shapes, end + 4


def bar_list(
    names: Sequence[str], values: Sequence[float], texts: Sequence[str], title: str, joined: bool = False
) -> Markup:
    """Return a list of names with a bar each, the longest for the greatest value, and a text at its end.

    ``joined`` says that the last one is all others together.
    """
    width, pitch, inner = 340, 16, 90
    left = min(max([40, *map(_length, names)]), 165)
    most = int((left - 8) / _LETTER)
    top = max([1e-9, *values])
    shapes: list[Shape] = []
    for index, (name, value, text) in enumerate(zip(names, values, texts, strict=True)):
        y = index * pitch
        long = max(value / top * inner, 1) if value else 0
        bar, kind = ("left_out", "joined") if joined and index == len(names) - 1 else ("bar", "name")
        shapes += [
            Text(left - 5, y + 11, name, "end", kind, most),
            Rect(bar, left, y + 2, long, 11),
            Text(left + long + 5, y + 11, text),
        ]
    return _draw(width, max(len(names), 1) * pitch, title, shapes)
