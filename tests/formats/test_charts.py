"""Charts are SVG of any values, and say what they show."""

import re

import numpy as np
import pytest

from scripts.formats.charts import Scale, bar_list, heat_map, histogram, scale_of, shades
from scripts.formats.pages import short_number
from tests.formats.test_pages import EVIL, Page

_RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [np.zeros(0), np.zeros(3), np.ones(1), _RNG.random(50), 10 ** (_RNG.random(99) * 9), np.array([0, 1e12])],
    ids=["none", "zeros", "one", "small", "large", "far apart"],
)
@pytest.mark.parametrize("log", [False, True])
def test_a_histogram_of_any_values(values, log):
    text = histogram(values, scale_of(values, log), "<reads>", noun="cells")
    page = Page(text)
    assert ("<reads> (log)" if log else "<reads>") in page.text
    assert "cells" in page.text
    assert not re.search("NaN|nan|Infinity|undefined", text)
    bars = [int(found.replace(",", "")) for found in re.findall(r": ([\d,]+) cells</title>", text)]
    assert sum(bars) == len(values)
    assert (f"median {short_number(np.median(values))}" in page.text) if len(values) else "median" not in text


def test_a_histogram_says_how_many_are_in_a_bar():
    text = histogram(np.array([1.0, 2.0, 9.0]), Scale(0, 10, False), "genes", np.array([5, 1, 1]), bins=10)
    hints = re.findall("<title>(.*?)</title>", text)
    assert hints == ["1 to 2: 5 cells", "2 to 3: 1 cells", "9 to 10: 1 cells"]
    assert "median 1" in Page(text).text


def test_a_logarithmic_axis_has_powers_of_ten_as_ticks():
    text = histogram(np.array([1.0, 500.0]), Scale(0, 3, True), "reads")
    ticks = [words for words in Page(text).text if re.fullmatch(r"\d+k?", words)]
    assert ticks[:4] == ["1", "10", "100", "1k"]


def test_charts_are_the_same_bytes_each_time():
    values = _RNG.random(50)
    assert len({histogram(values, scale_of(values, False), "a") for _ in range(2)}) == 1


def test_short_numbers():
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
        assert [words for words in page.text if re.fullmatch(r"<\d>", words)] == [
            f"<{row}>" for row in range(rows) for _ in range(columns)
        ]
        assert page.tags[1][1]["aria-label"] == "<t>"
        assert "cells" in page.text
    assert Page(bar_list(["<a>", "b"], [1, 0], ["1", "0"], "t")).text[-4:] == ["1", "0", "<a>", "b"]
    assert Page(bar_list([], [], [], "t")).text == []


def test_text_of_others_stays_text_in_a_chart():
    names = [EVIL, "b"]
    charts = [
        histogram(np.arange(9.0), Scale(0, 9, False), EVIL),
        heat_map((names, names), np.eye(2), Scale(0, 1, False), EVIL, EVIL, lambda row, column: EVIL, blank=EVIL),
        bar_list([EVIL], [1.0], [EVIL], EVIL),
    ]
    for chart in charts:
        page = Page(chart)
        assert {tag for tag, _ in page.tags} <= {"svg", "g", "path", "line", "text", "title", "div"}
        assert not [name for _, given in page.tags for name in given if name.startswith("on") or name == "style"]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", chart)
        assert any(r"\x1b[2J\u202e" in words for words in page.text)
