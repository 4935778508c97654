"""Charts of a page: histogram, heat map, list of bars; any other one is drawn by :mod:`scripts.formats.drawing`.

They are made with Altair and drawn as SVG when the page is made, so that it needs no script for them. Nothing is drawn
for each single value: a chart of many stays small. Charts are markup: a template shows them as they are. Axes have
titles with their unit, and "log" where they are logarithmic; what is under the mouse is said by a ``<title>``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from scripts.core.output import printable
from scripts.formats.drawing import draw
from scripts.formats.pages import short_number

WIDTH, HEIGHT = 270, 150
"""Size of the plot of a chart, without its axes, in pixels."""


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

    def edges(self, bins: int) -> np.ndarray:
        """Return where bins of one width begin, and where the last one ends."""
        edges = np.linspace(self.low, self.high, bins + 1)
        return 10.0**edges if self.log else edges

    def axis(self, title: str, **options: Any) -> dict[str, Any]:
        """Return scale, axis and title of an encoding of Altair; "log" is added to the title of a logarithmic one."""
        import altair

        low, high = self.edges(1).tolist()
        if self.log:
            stride = max(1, math.ceil((self.high - self.low) / 6))
            options["values"] = [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1, stride)]
        else:
            options.setdefault("tickCount", 5)
        return {
            "type": "quantitative",
            "scale": altair.Scale(type="log" if self.log else "linear", domain=[low, high], nice=False, zero=False),
            "axis": altair.Axis(**options),
            "title": f"{title} (log)" if self.log and title else title,
        }


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


def histogram(
    values: np.ndarray,
    scale: Scale,
    title: str,
    times: np.ndarray | None = None,
    *,
    noun: str = "cells",
    bins: int = 40,
) -> Markup:
    """Return a histogram of what the axis ``title`` says, with the median marked; the other axis has the ``noun``.

    ``times`` says how often each value occurs, where values are given once and in ascending order. On a logarithmic
    axis what is less than its low end is in the first bin.
    """
    import altair

    numbers = np.minimum((scale.position(values) * bins).astype(int), bins - 1)
    counts = np.bincount(numbers, times, minlength=bins)
    edges = scale.edges(bins)
    rows = [
        {
            "from": float(edges[bin_]),
            "to": float(edges[bin_ + 1]),
            "number": float(counts[bin_]),
            "hint": f"{short_number(edges[bin_])} to {short_number(edges[bin_ + 1])}: {counts[bin_]:,.0f} {noun}",
        }
        for bin_ in np.flatnonzero(counts).tolist()
    ]
    x = altair.X("from", **scale.axis(title))
    bars = (
        altair.Chart(altair.Data(values=rows))
        .mark_bar(binSpacing=0.6, minBandSize=1)
        .encode(x=x, x2="to", y=_numbers(noun, float(counts.max())), y2=altair.datum(0), description="hint:N")
    )
    chart = altair.layer(bars, *_median(values, scale, times, x)).properties(width=WIDTH, height=HEIGHT)
    return draw(chart, f"Histogram: {title}")


def _numbers(noun: str, most: float) -> Any:
    """Return the axis of numbers of a noun, with whole numbers as ticks."""
    import altair

    power = 10 ** max(0, math.floor(math.log10(max(most, 1))) - 1)
    step = next(power * times for times in (1, 2, 5, 10, 20, 50, 100) if power * times >= most / 4)
    ticks = [float(tick) for tick in range(0, max(math.ceil(most / step), 1) * step + 1, step)]
    scale = altair.Scale(domain=[0, ticks[-1]], nice=False)
    return altair.Y("number:Q", title=noun, axis=altair.Axis(values=ticks), scale=scale)


def _median(values: np.ndarray, scale: Scale, times: np.ndarray | None, x: Any) -> list[Any]:
    """Return the layers that mark the median."""
    import altair

    if not len(values):
        return []
    if times is None:
        middle = float(np.median(values))
    else:
        sums = np.cumsum(times)
        middle = float(values[np.searchsorted(sums, sums[-1] / 2)])
    position = float(scale.position(middle))
    at = float(scale.edges(1)[0]) if position == 0 else min(middle, float(scale.edges(1)[1]))
    left = position < 0.6
    marked = altair.Chart(altair.Data(values=[{"from": at, "words": f"median {short_number(middle)}"}])).encode(x=x)
    words = marked.mark_text(
        aria=False, align="left" if left else "right", dx=3 if left else -3, color="var(--mark)", fontWeight=700
    )
    return [
        marked.mark_rule(aria=False, strokeWidth=1.6),
        words.encode(text="words:N", y=altair.value(-6)),
    ]


SHADES = 9
"""Steps of colour of a map, from the least to the greatest: variables ``--s1`` … ``--s9`` of the page's style."""
SHADE_COLOURS = ["var(--tint)", *(f"var(--s{step})" for step in range(1, SHADES + 1))]
_CELL, _GAP, _LONGEST = 14, 4, 30


def shades(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Return the step of colour of each value, 1 to :data:`SHADES`; 0 where it is 0 or no number."""
    values = np.asarray(values, float)
    blank = ~np.isfinite(values) | (values == 0 if scale.log else False)
    steps = np.minimum((scale.position(np.where(blank, 1, values)) * SHADES).astype(int), SHADES - 1) + 1
    return np.where(blank, 0, steps)


def shade_of(field: str) -> Any:
    """Return the colour of a step of :func:`shades`."""
    import altair

    scale = altair.Scale(domain=list(range(SHADES + 1)), range=SHADE_COLOURS)
    return altair.Color(f"{field}:O", scale=scale, legend=None)


def cut_name(name: str, most: int = _LONGEST) -> str:
    """Return a name of at most ``most`` letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


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
    import altair

    rows, columns = names
    down, right = _offsets(len(rows), joined[0]), _offsets(len(columns), joined[1])
    squares = [
        {"x": right[column], "y": down[row], "step": step, "hint": hint(row, column) if step else ""}
        for row, steps in enumerate(shades(values, scale).tolist())
        for column, step in enumerate(steps)
    ]
    x, y = (altair.X("x:Q", axis=None, scale=None), altair.Y("y:Q", axis=None, scale=None))
    square = altair.Chart(altair.Data(values=squares)).mark_rect(
        width=_CELL - 1, height=_CELL - 1, stroke="var(--line)", strokeWidth=0.4, xOffset=_CELL / 2, yOffset=_CELL / 2
    )
    drawn = square.encode(x=x, y=y, color=shade_of("step"), description="hint:N")
    texts = [
        {"x": -5, "y": down[row] + _CELL / 2, "text": cut_name(name), "italic": joined[0] and row == len(rows) - 1}
        for row, name in enumerate(rows)
    ]
    upright = [
        {
            "x": right[column] + _CELL / 2,
            "y": -5,
            "text": cut_name(name),
            "italic": joined[1] and column + 1 == len(columns),
        }
        for column, name in enumerate(columns)
    ]
    ends = [{"x": right[-1] + 5, "y": down[row] + _CELL / 2, "text": text} for row, text in enumerate(totals)]
    layers = [drawn]
    for entries, options in (
        (texts, {"align": "right"}),
        (upright, {"align": "left", "angle": 270}),
        (ends, {"align": "left", "color": "var(--soft)"}),
    ):
        for italic in (False, True):
            mine = [entry for entry in entries if bool(entry.get("italic")) == italic]
            style = {"fontStyle": "italic"} if italic else {}
            layers += [_texts(mine, x, y, baseline="middle", **options, **style)] if mine else []
    layers += _shade_key(scale, words, blank, down[-1] + 16)
    size = {"width": max(right[-1], 1), "height": max(down[-1], 1)}
    chart = altair.layer(*layers).properties(**size)
    return Markup('<div class="wide" tabindex="0" role="region" aria-label="{}">{}</div>').format(
        printable(f"Map: {title}"), draw(chart, title)
    )


def _texts(entries: Sequence[dict[str, Any]], x: Any, y: Any, **options: Any) -> Any:
    import altair

    return (
        altair.Chart(altair.Data(values=list(entries))).mark_text(aria=False, **options).encode(x=x, y=y, text="text:N")
    )


def _shade_key(scale: Scale, words: str, blank: str, top: float) -> list[Any]:
    """Return the layers of the key of the colours, below ``top``."""
    import altair

    step = 24
    x, y = (altair.X("x:Q", axis=None, scale=None), altair.Y("y:Q", axis=None, scale=None))
    entries = [{"x": shade * step, "y": top, "step": shade + 1} for shade in range(SHADES)]
    edges = scale.edges(SHADES)
    texts = [{"x": index * step, "y": top + 22, "text": short_number(edges[index])} for index in (0, 3, 6, SHADES)]
    texts.append({"x": 0, "y": top + 39, "text": words, "left": True})
    if blank:
        entries.append({"x": 0, "y": top + 51, "step": 0})
        texts.append({"x": step + 6, "y": top + 57, "text": blank, "left": True})
    boxes = altair.Chart(altair.Data(values=entries)).mark_rect(
        aria=False, width=step, height=11, xOffset=step / 2, yOffset=6, stroke="var(--line)", strokeWidth=0.4
    )
    return [boxes.encode(x=x, y=y, color=shade_of("step"))] + [
        _texts([text for text in texts if bool(text.get("left")) == left], x, y, baseline="middle", align=align)
        for left, align in ((True, "left"), (False, "center"))
    ]


def bar_list(
    names: Sequence[str], values: Sequence[float], texts: Sequence[str], title: str, joined: bool = False
) -> Markup:
    """Return a list of names with a bar each, the longest for the greatest value, and a text at its end.

    ``joined`` says that the last one is all others together.
    """
    import altair

    pitch, inner = 17, 110
    top = max([1e-9, *values])
    entries: list[dict[str, Any]] = [
        {"y": index * pitch, "x": value / top * inner, "name": cut_name(name), "text": text, "hint": f"{name}: {text}"}
        for index, (name, value, text) in enumerate(zip(names, values, texts, strict=True))
    ]
    for entry in entries[-1:] if joined else ():
        entry["joined"] = True
    x, y = (altair.X("x:Q", axis=None, scale=None), altair.Y("y:Q", axis=None, scale=None))
    bars = altair.Chart(altair.Data(values=entries)).mark_bar(height=11, yOffset=pitch / 2)
    colours = altair.when("datum.joined").then(altair.value("var(--other)")).otherwise(altair.value("var(--hue)"))
    layers = [bars.encode(x=x, x2=altair.datum(0), y=y, color=colours, description="hint:N")]
    layers.append(
        _texts(
            [{**entry, "y": entry["y"] + pitch / 2, "x": entry["x"] + 5} for entry in entries],
            x,
            y,
            align="left",
            baseline="middle",
            color="var(--soft)",
        )
    )
    layers.append(
        _texts(
            [{"x": -5, "y": entry["y"] + pitch / 2, "text": entry["name"]} for entry in entries],
            x,
            y,
            align="right",
            baseline="middle",
        )
    )
    chart = altair.layer(*layers).properties(width=inner + 60, height=max(len(entries), 1) * pitch)
    return draw(chart, title)
