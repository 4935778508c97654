"""Charts are SVG of any values."""

import re

import numpy as np

from scripts.formats.charts import Scale, density, histogram, parts_bar, scale_of, short_number, spread
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
