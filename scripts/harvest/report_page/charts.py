"""Charts of cells and libraries: figures of many cells with single ones marked, libraries as points, barcode ranks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from scripts.formats.charts import HEIGHT, SHADE_COLOURS, WIDTH, Scale, shade_of, shades, short_number
from scripts.formats.drawing import draw
from scripts.formats.pages import several

COLUMNS, ROWS = 45, 30
"""Squares of a density."""


class Mark(NamedTuple):
    """A single cell or library in a chart."""

    x: float
    y: float
    hint: str


def shades_key(most: int) -> Markup:
    """Return the key of the colours of a density whose fullest square has so many cells."""
    if most == 1:
        return Markup("each square: one cell")
    squares = Markup("").join(
        Markup('<rect x="{}" width="10" height="11" fill="{}"/>').format(index * 10, colour)
        for index, colour in enumerate(SHADE_COLOURS[1:])
    )
    key = '1 <svg class="shades" width="90" height="11" role="img" aria-label="from few to many">{}</svg> {} cells'
    return Markup(key).format(squares, f"{most:,}")


def _points(marks: Sequence[Mark], scales: tuple[Scale, Scale], axes: tuple[Any, Any], **options: Any) -> Any:
    """Return a layer of marks; one beyond an axis is drawn at its end."""
    import altair

    ends = [scale.edges(1).tolist() for scale in scales]
    rows = [
        {
            "x": min(max(mark.x, ends[0][0]), ends[0][1]),
            "y": min(max(mark.y, ends[1][0]), ends[1][1]),
            "hint": mark.hint,
        }
        for mark in marks
    ]
    points = altair.Chart(altair.Data(values=rows)).mark_point(filled=True, opacity=1, strokeWidth=1, **options)
    return points.encode(x=axes[0], y=axes[1], description="hint:N")


def _axes(scales: tuple[Scale, Scale], titles: tuple[str, str]) -> tuple[Any, Any]:
    import altair

    return altair.X("x", **scales[0].axis(titles[0])), altair.Y("y", **scales[1].axis(titles[1]))


MOST_NAMED = 3
"""Cells of a square that are named under the mouse; of a square with more, their number is."""


def density(
    across: np.ndarray,
    up: np.ndarray,
    scales: tuple[Scale, Scale],
    titles: tuple[str, str],
    marks: Sequence[Mark] = (),
    names: Sequence[str] = (),
) -> tuple[Markup, Markup]:
    """Return a map of how many cells are where (log), with single cells as diamonds, and the key of its colours.

    ``names`` are those of the cells, for those that are far from the others.
    """
    import altair

    x = np.minimum((scales[0].position(across) * COLUMNS).astype(int), COLUMNS - 1)
    y = np.minimum((scales[1].position(up) * ROWS).astype(int), ROWS - 1)
    numbers = y * COLUMNS + x
    counts = np.bincount(numbers, minlength=ROWS * COLUMNS)
    steps = shades(counts, Scale(0, np.log10(max(10, counts.max(initial=1))), True))
    named: dict[int, list[str]] = {}
    for cell in np.flatnonzero(counts[numbers] <= MOST_NAMED).tolist() if len(names) else ():
        named.setdefault(int(numbers[cell]), []).append(names[cell])
    edges = scales[0].edges(COLUMNS), scales[1].edges(ROWS)
    squares = []
    for square in np.flatnonzero(counts).tolist():
        row, column = divmod(square, COLUMNS)
        squares.append(
            {
                "x": float(edges[0][column]),
                "right": float(edges[0][column + 1]),
                "y": float(edges[1][row]),
                "top": float(edges[1][row + 1]),
                "step": int(steps[square]),
                "hint": ", ".join(named.get(square, ())) or several(int(counts[square]), "cell"),
            }
        )
    axes = _axes(scales, titles)
    rects = altair.Chart(altair.Data(values=squares)).mark_rect()
    layers = [
        rects.encode(x=axes[0], x2="right", y=axes[1], y2="top", color=shade_of("step"), description="hint:N"),
        _points(marks, scales, axes, shape="diamond", size=55, color="var(--mark)", stroke="var(--paper)"),
    ]
    chart = altair.layer(*layers).properties(width=WIDTH, height=HEIGHT + 20)
    return draw(chart, f"Cells by {titles[0]} and {titles[1]}"), shades_key(int(counts.max(initial=1)))


def scatter(
    plain: Sequence[Mark], flagged: Sequence[Mark], scales: tuple[Scale, Scale], titles: tuple[str, str], noun: str
) -> Markup:
    """Return points, flagged ones as diamonds."""
    import altair

    axes = _axes(scales, titles)
    layers = [
        _points(plain, scales, axes, shape="circle", size=40, color="var(--hue)", stroke="var(--paper)"),
        _points(flagged, scales, axes, shape="diamond", size=60, color="var(--mark)", stroke="var(--paper)"),
    ]
    chart = altair.layer(*layers).properties(width=WIDTH, height=HEIGHT + 20)
    return draw(chart, f"{noun} by {titles[0]} and {titles[1]}")


class RankPoint(NamedTuple):
    """A barcode of a library: its rank by molecules, its molecules, and the share of called ones down to the next."""

    rank: int
    molecules: int
    called: float


def rank_plot(points: Sequence[RankPoint], title: str) -> Markup:
    """Return the barcode-rank plot of a library: barcodes by molecules, those that were called cells in colour."""
    import altair

    most = Scale(0, max(1, int(np.ceil(np.log10(max(2, points[-1].rank))))), True)
    high = Scale(0, max(1, int(np.ceil(np.log10(max(2, points[0].molecules))))), True)
    axes = _axes((most, high), ("barcodes by rank", "molecules"))
    line = [{"x": point.rank, "y": max(1, point.molecules)} for point in points]
    called = [
        {"x": a["x"], "right": b["x"], "y": a["y"], "low": b["y"], "hint": _called_words(point, next_)}
        for a, b, point, next_ in zip(line, line[1:], points, points[1:], strict=False)
        if point.called > 0
    ]
    layers = [
        altair.Chart(altair.Data(values=line))
        .mark_line(aria=False, color="var(--other)", strokeWidth=2)
        .encode(x=axes[0], y=axes[1]),
        altair.Chart(altair.Data(values=called))
        .mark_rule(color="var(--hue)", strokeWidth=6)
        .encode(x=axes[0], y=axes[1], x2="right", y2="low", description="hint:N"),
    ]
    return draw(altair.layer(*layers).properties(width=WIDTH, height=HEIGHT), title)


def _called_words(point: RankPoint, following: RankPoint) -> str:
    return (
        f"rank {point.rank:,} to {following.rank:,}: {short_number(point.molecules)} molecules;"
        f" {point.called:.0%} of the barcodes are called cells"
    )
