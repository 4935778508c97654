"""Charts of many cells name the few that are far from the others."""

import re

import numpy as np

from scripts.formats.charts import Scale
from scripts.harvest.report_page.charts import Mark, RankPoint, density, rank_plot, scatter
from tests.formats.test_pages import EVIL, Page

SCALES = Scale(0, 10, False), Scale(0, 3, True)


def hints(chart):
    return re.findall("<title>(.*?)</title>", chart, re.S)


def test_a_density_names_cells_that_are_alone_and_counts_the_others():
    across, up = np.array([1.0, 1, 1, 1, 9]), np.array([10.0, 10, 10, 10, 500])
    chart, key = density(across, up, SCALES, ("genes", "reads"), [Mark(9, 500, "SRX5\nFEW_READS")], list("abcde"))
    assert hints(chart) == ["4 cells", "e", "SRX5\nFEW_READS"]
    assert {"genes", "reads (log)"} <= set(Page(chart).text)
    assert Page(f"<p>{key}</p>").text == ["1", "4 cells"]
    assert hints(density(across[:1], up[:1], SCALES, ("a", "b"))[0]) == ["1 cell"]


def test_what_is_beyond_an_axis_is_drawn_at_its_end():
    chart = scatter([Mark(-5, 0, "low")], [Mark(99, 9e9, "high")], SCALES, ("a", "b"), "Libraries")
    assert hints(chart) == ["low", "high"]
    assert re.search(r'translate\(0,170\)"[^>]*><title>low', chart)
    assert re.search(r'translate\(270,0\)"[^>]*><title>high', chart)


def test_the_called_part_of_a_rank_plot_says_how_much_of_it_is_cells():
    points = [RankPoint(1, 900, 1.0), RankPoint(10, 500, 0.25), RankPoint(20, 3, 0.0), RankPoint(99, 1, 0.0)]
    assert hints(rank_plot(points, "t")) == [
        "rank 1 to 10: 900 molecules; 100% of the barcodes are called cells",
        "rank 10 to 20: 500 molecules; 25% of the barcodes are called cells",
    ]


def test_text_of_others_stays_text():
    evil = [Mark(1, 1, EVIL)]
    charts = [
        density(np.ones(1), np.ones(1), SCALES, (EVIL, EVIL), evil, [EVIL])[0],
        scatter(evil, evil, SCALES, (EVIL, EVIL), EVIL),
        rank_plot([RankPoint(1, 9, 1.0), RankPoint(2, 1, 0.0)], EVIL),
    ]
    for chart in charts:
        assert {tag for tag, _ in Page(chart).tags} <= {"svg", "g", "path", "line", "text", "title"}
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", chart)
