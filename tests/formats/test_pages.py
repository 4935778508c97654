"""Pages are whole HTML, and every text in them is escaped."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError

from scripts.formats import pages
from scripts.formats.charts import Scale, bar_list, heat_map, histogram, parts_bar


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
    assert macro("table", ["a"], [["b"]] * 40).strip().startswith('<div class="wide">')
    assert macro("table", ["a"], [["b"]] * 41).strip().startswith('<div class="long">')


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


EVIL = (
    "x onfocus=document.title='run' autofocus tabindex=1 \"'><script>document.title='run'</script>"
    "<img src=x onerror=\"document.title='run'\"> \x1b[2J\u202e"
)
"""What others may write: a name that would be script, a tag or an attribute of its own, and control characters."""


@pytest.mark.parametrize("path", sorted(pages._SCRIPTS.glob("*/templates/*.*")), ids=lambda path: path.name)
def test_a_template_quotes_every_attribute(path):
    text = re.sub(r"{#.*?#}|{%.*?%}", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"{{.*?}}", "VALUE", text, flags=re.S)
    tags = re.findall(r"<[a-z][^<>]*>", text) if path.suffix != ".css" else []
    assert [tag for tag in tags if re.search("VALUE|=(?!Q)", re.sub('"[^"]*"', "Q", tag))] == []
    assert not re.search(r"<script|\sstyle=|\son\w+=|\|\s*safe\b|autoescape", path.read_text(encoding="utf-8"))


def hostile_page():
    rows = [[EVIL, 1, EVIL, parts_bar([(EVIL, EVIL, 1.0)], title=EVIL)]]
    names = [EVIL, "b"]
    part = {
        "species": EVIL,
        "cells": 1,
        "notes": EVIL,
        "charts": [(histogram(np.arange(9.0), Scale(0, 9, False), EVIL), EVIL, EVIL)],
        "bar": heat_map(
            (names, names), np.eye(2), Scale(0, 1, False), EVIL, EVIL, lambda row, column: EVIL, blank=EVIL
        ),
        "shares": [(EVIL, EVIL)],
        "rows": [],
        "caption": EVIL,
    }
    return pages.render(
        "harvest/templates/report.html",
        totals={
            "series": 1,
            "rows": 1,
            "planned": 1,
            "cells": 1,
            "libraries": 0,
            "counted": 1,
            "left_out": 0,
            "failed": 1,
        },
        statuses={EVIL: EVIL},
        warnings=[EVIL],
        flagged=([[EVIL] * 8], EVIL),
        flags={EVIL: EVIL},
        links=[(EVIL, EVIL)],
        series=(rows, EVIL),
        reasons=rows,
        failed=([[EVIL] * 6], EVIL),
        notes=(rows, EVIL),
        plates=[part],
        libraries=(rows, EVIL),
        droplets=[(EVIL, 1, [(bar_list([EVIL], [1.0], [EVIL], EVIL), EVIL, EVIL)])],
        files=(rows, EVIL),
    )


def test_text_of_others_stays_text(tmp_path):
    text = hostile_page()
    assert text == hostile_page()
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    attributes = {name for _, given in page.tags for name in given}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not [
        name for name in attributes if name.startswith("on") or name in ("autofocus", "tabindex", "style", "src")
    ]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert any(r"\x1b[2J\u202e" in words for words in page.text)


def test_a_page_allows_its_own_style_alone():
    page = Page(hostile_page())
    policy = next(given["content"] for _, given in page.tags if given.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", hostile_page(), re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
@pytest.mark.parametrize("kind", ["as it is", "another style", "a script"])
def test_a_browser_runs_nothing_of_a_page(tmp_path, kind):
    text = str(hostile_page())
    if kind == "another style":
        text = text.replace("<style>", "<style>b{color:red}")
    elif kind == "a script":  # as if a text were not escaped
        text = text.replace(
            "<body>", f'<body onload="document.title=\'run\'"><script>document.title="run"</script>{EVIL}'
        )
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"]
    done = subprocess.run(
        ["chromium", *options, f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "<title>sra2matrix: report</title>" in done.stdout
    refused = [line for line in done.stderr.splitlines() if "Content Security Policy" in line]
    assert bool(refused) == (kind != "as it is"), refused
