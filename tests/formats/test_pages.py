"""Pages are whole HTML, and every text in them is escaped."""

from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from scripts.formats import pages


class Page(HTMLParser):
    """Text and tags of a page; every tag must be closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.tags = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.text.append(data.strip())


def macro(name, *values):
    return getattr(pages._environment().get_template("formats/templates/macros.html").module, name)(*values)


def test_a_table_escapes_texts_and_formats_numbers():
    text = macro("table", ["name", "#cells", "`reason", ""], [["<a> & b", 1234, "R", None]], "<note>")
    page = Page(text)
    assert page.text == ["<note>", "name", "cells", "reason", "<a> & b", "1,234", "R", "–"]
    assert [attributes for tag, attributes in page.tags if tag == "td"] == [{}, {"class": "n"}, {}, {}]
    assert "<code>R</code>" in text


def test_a_long_table_scrolls():
    assert macro("table", ["a"], [["b"]] * 40).strip().startswith("<div class=wide>")
    assert macro("table", ["a"], [["b"]] * 41).strip().startswith("<div class=long>")


def test_figures_tiles_legend_and_links_are_whole():
    for text, words in (
        (macro("figures", [("<svg></svg>", "<n>", "t")]), ["<n>", "t", "<svg></svg>"]),
        (macro("tiles", [(1234, "cells", ""), ("1 %", "<w>", "failed")]), ["1,234", "cells", "1 %", "<w>"]),
        (macro("legend", [("part-0", "<a>"), ("part-1", "b")]), ["<a>", "b"]),
        (macro("nav", [("a", "<A>")]), ["<A>"]),
    ):
        assert Page(text).text == words


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="'width' is undefined"):
        pages.render("formats/templates/chart.svg", height=1, title="", shapes=[])


def test_long_lists_are_cut_with_a_note():
    assert pages.cut([1, 2], 2, "row") == ([1, 2], "")
    assert pages.cut([1, 2, 3], 2, "library") == ([1, 2], "The first 2 of 3 libraries; all of them are in runs.tsv.")
    assert pages.cut([1, 2, 3], 2, "line", "")[1] == "The first 2 of 3 lines."


def test_numbers_and_nouns():
    assert [pages.several(number, noun) for number, noun in ((1, "cell"), (2, "library"), (0, "series"))] == [
        *("1 cell", "2 libraries", "0 series")
    ]
    assert [pages.thousands(1234.5), pages.tenth(2.0), pages.tenth(2.25)] == ["1,234", "2", "2.2"]
