"""The report in a browser: it asks for nothing, can be sorted, searched and read by mouse, keyboard and on paper."""

import json
from urllib.parse import unquote

import pytest

from scripts.plan.run_table import write_runs
from tests.browser import CONTRAST, chromium, needs_chromium, opened
from tests.formats.test_pages import EVIL
from tests.harvest.report_page.large_results import FLAGGED, write_results
from tests.harvest.test_report import hostile_page, make

pytestmark = [pytest.mark.tools, needs_chromium]


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis") / "results"
    make(folder, write_results(folder))
    return folder / "report.html"


@pytest.fixture
def tab(browser, report_page):
    with opened(browser, report_page) as found:
        yield found
        assert found.said == []
        assert found.asked == [report_page.as_uri()]


def column(tab, table, number):
    return tab.texts(f"{table} tbody tr > :nth-child({number})")


def test_a_table_is_sorted_by_each_column(tab):
    head = tab.page.locator("#cells-flagged thead th", has_text="reads")
    head.get_by_role("button").click()
    number = 1 + tab.texts("#cells-flagged thead th").index("reads")
    reads = [int(text.replace(",", "")) for text in column(tab, "#cells-flagged", number)]
    assert reads == sorted(reads, reverse=True)
    assert len(set(reads)) > 5
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert [int(text.replace(",", "")) for text in column(tab, "#cells-flagged", number)] == reads[::-1]
    tab.page.locator("#cells-flagged thead button").first.click()
    assert column(tab, "#cells-flagged", 1) == sorted(column(tab, "#cells-flagged", 1), key=lambda name: int(name[3:]))
    assert tab.page.locator("#cells-flagged [aria-sort]").count() == 1


def test_rows_without_a_value_come_last_either_way(tab):
    number = 1 + tab.texts("#libraries thead th").index("reads in cells %")
    for last in ("–", "–"):
        tab.page.locator("#libraries thead th", has_text="reads in cells").get_by_role("button").click()
        shares = column(tab, "#libraries", number)
        assert shares[-1] == last
        assert shares[:-1] in (sorted(shares[:-1], key=float), sorted(shares[:-1], key=float, reverse=True))


def test_a_table_is_searched_by_all_words(tab):
    tab.page.get_by_label("Search runs:").fill("srr1 mus")
    found = tab.texts("#not-counted tbody tr")
    assert found
    assert all("SRR1" in row and "mus" in row for row in found)
    assert tab.texts("#not-counted .count") == [f"{len(found)} of 12 rows"]
    tab.page.get_by_label("Search runs:").fill("")
    assert len(tab.texts("#not-counted tbody tr")) == 12


def test_a_finding_leads_to_its_rows(tab):
    tab.page.get_by_role("link", name="See the rows of FEW_READS").click()
    rows = tab.texts("#cells-flagged tbody tr")
    assert 0 < len(rows) < 15
    assert all("FEW_READS" in row for row in rows)
    assert tab.page.evaluate("document.activeElement.tagName") == "INPUT"
    box = tab.page.locator("#cells-flagged").bounding_box()
    assert 0 <= box["y"] < 900


def test_the_number_of_failed_runs_leads_to_their_sentences(tab):
    tab.page.locator(".lost a", has_text="failed").click()
    assert {row.split("\t")[0] for row in tab.texts("#not-counted tbody tr")} == {"failed"}


def test_what_is_under_the_mouse_is_said(tab):
    hint = tab.page.locator("#hint")
    assert not hint.is_visible()
    mark = tab.page.locator(".charts path[fill='var(--mark)']").first
    painted = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    mark.evaluate(f'each => {{ each.scrollIntoView({{block: "center"}}); return {painted}; }}')  # scrolling hides it
    mark.hover(force=True)
    assert hint.is_visible()
    words = hint.inner_text().split("\n")
    assert words[0].startswith("SRX")
    assert any(word.startswith("reads: ") for word in words)
    tab.page.keyboard.press("Escape")
    assert not hint.is_visible()


def test_the_keyboard_goes_past_the_links_and_shows_where_it_is(tab):
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    button = tab.page.locator("#cells-flagged thead button").first
    button.focus()
    tab.page.keyboard.press("Shift+Tab")
    tab.page.keyboard.press("Tab")
    style = button.evaluate("each => getComputedStyle(each).outlineStyle")
    assert style == "solid"


def test_every_link_leads_somewhere(tab, report_page):
    for link in tab.page.locator("a").all():
        address = link.get_attribute("href")
        if address.startswith("#"):
            assert tab.page.evaluate("id => !!document.getElementById(id)", unquote(address[1:])), address
        else:
            assert (report_page.parent / unquote(address)).exists() or address == "./SHA256SUMS"


def test_the_paragraph_for_a_paper_is_copied(tab):
    tab.page.locator("[data-copy]").locator("xpath=preceding-sibling::button[1]").click()
    assert tab.page.evaluate("getSelection().toString()").startswith("Reads were aligned")


def test_long_tables_are_laid_out_without_scrolling(tab):
    assert tab.page.locator(".long").count() > 0
    visible = 'each => getComputedStyle(each).contentVisibility === "visible"'
    tab.page.wait_for_function(f'[...document.querySelectorAll(".long")].every({visible})', timeout=10_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_too_pale_or_too_wide(browser, report_page, scheme, width):
    with opened(browser, report_page, width, color_scheme=scheme) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") == width
        pale = {name: round(ratio, 2) for name, ratio in tab.page.evaluate(CONTRAST).items() if ratio < 4.5}
        assert pale == {}
        light = tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light == (scheme == "light")
        cut = """() => [...document.querySelectorAll("svg.chart")].filter((svg) => {
          const edge = svg.getBoundingClientRect();
          return [...svg.querySelectorAll("text")].some((text) => {
            const box = text.getBoundingClientRect();
            return box.left < edge.left - 1 || box.right > edge.right + 1 || box.top < edge.top - 1;
          });
        }).map((svg) => svg.getAttribute("aria-label"))"""
        assert tab.page.evaluate(cut) == []


def test_no_column_is_cut_on_paper(browser, report_page):
    with opened(browser, report_page, 1046) as tab:  # A4 across, less its margins
        tab.page.emulate_media(media="print")
        wide = """() => [...document.querySelectorAll("table")].filter((table) => table.scrollWidth > 1046
          || table.parentElement.scrollWidth > table.parentElement.clientWidth + 1).map((table) => table.innerText)"""
        assert tab.page.evaluate(wide) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 1046
        assert tab.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_all_can_be_read_without_the_script(browser, report_page):
    with opened(browser, report_page, java_script_enabled=False) as tab:
        assert tab.page.locator("button, input, #hint").count() == 0
        assert len(tab.texts("#not-counted tbody tr")) == 12
        assert tab.page.locator("#cells-flagged tbody tr").count() == FLAGGED


@pytest.mark.parametrize("kind", ["as it is", "another style", "a script"])
def test_a_browser_runs_nothing_that_others_wrote(browser, tmp_path, kind):
    text = hostile_page(tmp_path)
    if kind == "another style":
        text = text.replace("<style>", "<style>b{color:red}")
    elif kind == "a script":  # as if a text were not escaped
        attack = f'<body onload="document.title=\'run\'"><script>document.title="run"</script>{EVIL}'
        text = text.replace("<body>", attack)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with opened(browser, tmp_path / "page.html") as tab:
        for head in tab.page.locator("thead button").all()[:20]:
            head.click()
        over = 'each.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}))'
        tab.page.evaluate(f'document.querySelectorAll("svg :has(> title)").forEach((each) => {over})')
        assert "onfocus" in tab.page.locator("#hint").text_content()
        assert tab.page.title() == "sra2matrix: report"
        assert tab.page.locator("img").count() == (1 if kind == "a script" else 0)
        assert bool(tab.said) == (kind != "as it is"), tab.said
        assert all("Content Security Policy" in words for words in tab.said)


def test_an_empty_run_is_a_page_too(browser, tmp_path):
    for rows in ([], None):
        write_runs(tmp_path / "runs.tsv", [])
        (tmp_path / "provenance.json").write_text(json.dumps({}), encoding="utf-8")
        make(tmp_path, rows or [])
        with opened(browser, tmp_path / "report.html") as tab:
            assert tab.said == []
            assert "Nothing was found" in tab.page.inner_text("main")
