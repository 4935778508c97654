"""Charts are SVG of any values."""

import re

import numpy as np

from scripts.formats.charts import (
    Scale,
    bar_list,
    density,
    heat_map,
    histogram,
    parts_bar,
    scale_of,
    shades,
    short_number,
    spread,
)
from tests.formats.test_pages import Page


def test_charts_of_any_values():
    rng = np.random.default_rng(0)
    for values in (
        np.zeros(0),
        np.zeros(3),
        np.ones(1),
        rng.random(50),
        10 ** (rng.random(99) * 9),
        np.array([0, 1e12]),
    ):
        for log in (False, True):
            scale = scale_of(values, log)
            assert 1 <= len(scale.ticks()) <= 8
            for chart in (
                histogram(values, scale, "<t>"),
                density(values, values, (scale, scale), "t"),
                spread(values, scale, "t"),
                parts_bar([("a", "b", 1), ("b", "c", 0)], title="t"),
            ):
                Page(chart)
                assert "nan" not in chart
                assert "inf" not in chart
                for name in ("x", "x1", "x2"):
                    assert all(0 <= float(value) <= 360 for value in re.findall(rf' {name}="([^"]*)"', chart))


def test_round_ticks_and_short_numbers():
    assert [text for _, text in Scale(0, 100, False).ticks()] == ["0", "50", "100"]
    assert [text for _, text in Scale(0, 3, True).ticks()] == ["1", "10", "100", "1k"]
    assert [short_number(value) for value in (0, 0.25, 12, 1500, 2e7, 3e9)] == ["0", "0.25", "12", "1.5k", "20M", "3G"]


def test_shades_and_maps_of_any_values():
    scale = Scale(0, 3, True)
    assert shades(np.array([0, 1, 999, 1000, np.nan]), scale).tolist() == [0, 1, 9, 9, 0]
    assert shades(np.array([0.0, 0.001, 0.5, 1]), Scale(-3, 0, True)).tolist() == [0, 1, 9, 9]
    assert shades(np.array([-1, 0, 1, np.nan]), Scale(-1, 1, False)).tolist() == [1, 5, 9, 0]
    for rows, columns in ((0, 0), (1, 1), (2, 3)):
        names = [f"<row {row}>" * 9 for row in range(rows)], [f"column {column}" for column in range(columns)]
        chart = heat_map(names, np.ones((rows, columns)), scale, "<t>", "cells", lambda row, column: f"<{row}>")
        page = Page(chart)
        assert chart.count('<rect class="shade-1"') == rows * columns + 1
        assert all(attributes.get("aria-label", "<t>") == "<t>" for _, attributes in page.tags)
        assert "nan" not in chart
    assert Page(bar_list(["<a>", "b"], [1, 0], ["1", "0"], "t")).text == ["<a>", "1", "b", "0"]
    assert Page(bar_list([], [], [], "t")).text == []
