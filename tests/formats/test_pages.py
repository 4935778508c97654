"""Pages are whole HTML, and every text in them is escaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from scripts.formats import pages
from scripts.formats.pages import Bar, Spread


class Page(HTMLParser):
    """Text and tags of a page; every tag must be closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.tags = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script") and data.strip():
            self.text.append(data.strip())


def macro(name, *values):
    return getattr(pages._environment().get_template("formats/templates/macros.html").module, name)(*values)


def test_a_table_escapes_texts_and_formats_numbers():
    head = ["name", "#cells", "#depth", "%mapped", "`reason", "~detail", "|parts", "|spread"]
    bar, spread = Bar([("part-0", "<in>", 0.25), ("part-1", "out", 0.75)], "<b>"), Spread([0, 0.2, 0.5, 0.7, 1], "<s>")
    rows = [
        ["<a> & b", 1234, 1500.0, 0.5, "R", "set `x: <1>`", bar, spread],
        ["c", None, None, None, None, None, None, None],
    ]
    text = macro("table", head, rows, "<note>", "cells", "rows")
    page = Page(text)
    assert page.text == [
        *("<note>", "name", "cells", "depth", "mapped\u00a0%", "reason", "detail", "parts", "spread"),
        *("<a> & b", "1,234", "1.5k", "50.0", "R", "set", "x: <1>", "<in>: 25.0 %", "out: 75.0 %", "<s>"),
        *("c", *"–––––––"),
    ]
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert [attributes["scope"] for attributes in heads] == ["col"] * 8 + ["row"] * 2
    cells = [attributes for tag, attributes in page.tags if tag == "td"]
    assert cells[:3] == [{"class": "n"}, {"class": "n", "data-v": "1500"}, {"class": "n", "data-v": "0.5"}]
    assert "<code>x: &lt;1&gt;</code>" in text


def test_a_table_with_a_long_text_is_a_list_on_a_narrow_screen():
    for head, kind in ((["", "~text"], "wide cards"), (["", "b"], "wide"), (["~text", "%share"], "wide")):
        region = next(given for _, given in Page(macro("table", head, [["a", "b"]])).tags if "tabindex" in given)
        assert region["class"] == kind


def test_a_long_table_scrolls():
    for rows, kind in ((25, "wide"), (26, "long"), (101, "long cut")):
        region = next(given for tag, given in Page(macro("table", ["a"], [["b"]] * rows)).tags if "tabindex" in given)
        assert region == {"class": kind, "tabindex": "0", "role": "region", "aria-label": "Table: a"}


def test_figures_tiles_legend_and_links_are_whole():
    for text, words in (
        (macro("figures", [(Markup("<svg></svg>"), "<n>", "t")]), ["<n>", "t"]),
        (macro("tiles", [(1234, "cells", "", "#a"), ("1 %", "<w>", "failed")]), ["1,234", "cells", "1 %", "<w>"]),
        (macro("legend", [("part-0", "<a>"), ("part-1", "b")]), ["<a>", "b"]),
        (macro("nav", [("a", "<A>")]), ["<A>"]),
    ):
        assert Page(text).text == words


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="'totals' is undefined"):
        pages.render("harvest/templates/report.html")


def test_long_lists_are_cut_with_a_note():
    assert pages.cut([1, 2], 2, "row") == ([1, 2], "")
    assert pages.cut([1, 2, 3], 2, "library") == ([1, 2], "The first 2 of 3 libraries; all of them are in runs.tsv.")
    assert pages.cut([1, 2, 3], 2, "line", "")[1] == "The first 2 of 3 lines."


def test_numbers_and_nouns():
    assert [pages.several(number, noun) for number, noun in ((1, "cell"), (2, "library"), (0, "series"))] == [
        *("1 cell", "2 libraries", "0 series")
    ]
    assert [pages.thousands(1234.5), pages.tenth(2.0), pages.tenth(2.25)] == ["1,234", "2", "2.2"]


def test_shares_are_never_rounded_to_none_or_all():
    assert [pages.percent(share) for share in (0.0, 0.0001, 0.5, 0.99999, 1.0)] == [
        "0.0",
        "<0.1",
        "50.0",
        ">99.9",
        "100.0",
    ]


def test_what_is_between_backticks_is_code():
    assert pages.with_code("set `a: <b>`, or `c`") == "set <code>a: &lt;b&gt;</code>, or <code>c</code>"
    assert [pages.with_code(text) for text in ("", "a ` b", "`a` ` \x1b")] == ["", "a ` b", r"<code>a</code> ` \x1b"]


def test_a_policy_allows_one_style_and_one_script():
    digests = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in (b"a{}", b"1;")]
    assert pages.policy("a{}", "1;") == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}';"
        " base-uri 'none'; form-action 'none'"
    )


EVIL = (
    "x onfocus=document.title='run' autofocus tabindex=1 \"'><script>document.title='run'</script>"
    "<img src=x onerror=\"document.title='run'\"> \x1b[2J\u202e"
)
"""What others may write: a name that would be script, a tag or an attribute of its own, and control characters."""


@pytest.mark.parametrize("path", sorted(pages._SCRIPTS.glob("*/templates/*.*")), ids=lambda path: path.name)
def test_a_template_quotes_every_attribute(path):
    text = re.sub(r"{#.*?#}|{%.*?%}", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"{{.*?}}", "VALUE", text, flags=re.S)
    tags = re.findall(r"<[a-z][^<>]*>", text) if path.suffix == ".html" else []
    assert [tag for tag in tags if re.search("VALUE|=(?!Q)", re.sub('"[^"]*"', "Q", tag))] == []
    forbidden = r"\sstyle=|\son\w+=|\|\s*safe\b|autoescape|innerHTML|\beval\b"
    forbidden += "" if path.name == "page.html" else "|<script"
    assert not re.search(forbidden, path.read_text(encoding="utf-8"))
