"""The command discover: what is found and judged, what it costs in requests, and what becomes of each fault."""

import json
import re
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import read_runs
from scripts.records import discover, resolve
from scripts.records.client import Unanswered
from scripts.records.discovery import found, judged
from tests.records.discovery.found_series import EVIL, add_bulk, add_series, asked, discovered
from tests.records.small_archives import SmallArchives, package, run


def test_every_series_has_a_row_the_most_certain_first(small: SmallArchives, tmp_path: Path):
    add_bulk(small, 1, published="2026/10/09")
    add_series(small, 2, 3, published="2026/10/01")
    add_series(small, 3, published="2026/10/02")
    rows = discovered(small, tmp_path)
    verdicts = [(name, row["verdict"]) for name, row in rows.items()]
    assert verdicts == [("GSE3", "certain"), ("GSE2", "certain"), ("GSE1", "no")]
    assert rows["GSE1"]["evidence"].startswith(
        "Nothing says that it is a single cell: looked for in its library source"
    )


def test_a_row_says_what_it_is_what_it_costs_and_what_is_left_out(small: SmallArchives, tmp_path: Path):
    add_series(small, 2, 3)
    small.packages["SRX2003"] = small.packages["SRX2003"].replace("RNA-Seq<", "ATAC-seq<")
    row = discovered(small, tmp_path)["GSE2"]
    wanted = {
        "verdict": "certain",
        "title": "Single cells",
        "published": "2026-10-01",
        "organisms": "Mus musculus",
        "species": "mus",
        "assay": "droplet",
        "chemistry": "barcode read of 28 nt",
        "samples": "3",
        "experiments": "3",
        "runs": "3",
        "planned": "2",
        "gb": "4.000",
        "left_out": "NOT_RNA 1",
        "in_analysis": "no",
        "archive": "GEO",
        "pubmed": "123",
        "note": "",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert "library source says 'TRANSCRIPTOMIC SINGLE CELL'" in row["evidence"]
    assert float(row["core_hours"]) > 0
    assert float(row["node_hours"]) > 0


def test_verdicts_are_those_of_resolve_which_asks_nothing_again(small: SmallArchives, tmp_path: Path):
    series = [add_bulk(small, 1), add_series(small, 2, 2)]
    rows = discovered(small, tmp_path)
    small.requests.clear()
    words = ["--series", *series, "--species", "homo=9606", "mus=10090", "--order", "sra"]
    for name in ("geo", "eutils", "ena"):
        words += [f"--{name}", f"{small.url}/{name}"]
    resolve.main([*words, "--records", str(tmp_path / "records"), "--output", str(tmp_path / "plan.tsv")])
    assert small.requests == []
    plan = [(row.series, row.run, row.status, row.reason) for row in read_runs(tmp_path / "plan.tsv")]
    assert plan == [
        ("GSE1", "SRR1001", "left_out", "NOT_SINGLE_CELL"),
        ("GSE2", "SRR2001", "planned", ""),
        ("GSE2", "SRR2002", "planned", ""),
    ]
    assert [(rows[name]["planned"], rows[name]["left_out"]) for name in series] == [
        ("0", "NOT_SINGLE_CELL 1"),
        ("2", ""),
    ]


def test_requests_are_one_a_series_and_pages_of_summaries_and_experiments(small: SmallArchives, tmp_path: Path):
    number = 12
    for index in range(1, number + 1):
        add_series(small, index, 2)
    discovered(small, tmp_path, "--no-sra")
    assert asked(small, ".soft.gz") == number
    assert len(small.requests) == number + 3  # a search, a page of summaries, a page of experiments
    small.requests.clear()
    discovered(small, tmp_path, "--no-sra")
    assert len(small.requests) == 2


def test_what_came_before_a_call_was_cut_off_is_kept(
    small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for number in range(1, 7):
        add_series(small, number)
    monkeypatch.setattr(judged, "_AT_ONCE", 2)
    look_up, calls = judged.look_up_home, []

    def killed(name, archives, choices):
        calls.append(name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return look_up(name, archives, choices)

    monkeypatch.setattr(judged, "look_up_home", killed)
    with pytest.raises(KeyboardInterrupt):
        discovered(small, tmp_path)
    monkeypatch.setattr(judged, "look_up_home", look_up)
    small.requests.clear()
    assert len(discovered(small, tmp_path)) == 6
    assert asked(small, ".soft.gz") == 1
    assert asked(small, "/efetch.fcgi") == 2


def test_beyond_the_limit_the_oldest_are_listed_without_a_verdict(
    small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for number, day in ((1, "03"), (2, "01"), (3, "02")):
        add_series(small, number, published=f"2026/10/{day}")
    rows = discovered(small, tmp_path, "--limit", "1")
    verdicts = [(name, row["verdict"]) for name, row in rows.items()]
    assert verdicts == [("GSE1", "certain"), ("GSE3", "not_judged"), ("GSE2", "not_judged")]
    assert rows["GSE2"]["note"] == "Beyond `limit: 1`; newer ones were judged."
    assert asked(small, ".soft.gz") == 1
    said = "2 of those found are not judged: the newest 1 are. Raise discover.limit, or ask for a shorter time"
    assert said in capsys.readouterr().out


def test_nothing_found_is_an_empty_table(small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert discovered(small, tmp_path, "--accept", str(tmp_path / "accepted.txt")) == {}
    assert "Nothing was found." in capsys.readouterr().out
    assert (tmp_path / "discovered.tsv").read_text().startswith("series\tverdict\t")


# What others wrote ---------------------------------------------------------------------------------------------------


def test_a_hostile_title_is_text_in_the_table_and_on_the_page(small: SmallArchives, tmp_path: Path):
    add_series(small, 1, title=EVIL)
    add_series(small, 2, title="@SUM(1)")
    rows = discovered(small, tmp_path)
    text = (tmp_path / "discovered.tsv").read_text()
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
    assert rows["GSE1"]["title"] == '"=HYPERLINK(1) <script>alert(1)</script>\\x1b[31m\\u202e GSE9'
    assert rows["GSE2"]["title"] == "'@SUM(1)"
    page = (tmp_path / "discovered.html").read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


# Lists of accepted accessions ----------------------------------------------------------------------------------------


def test_certain_series_up_to_a_size_are_added_to_a_list_that_series_takes(small: SmallArchives, tmp_path: Path):
    accepted = tmp_path / "accepted.txt"
    add_series(small, 1)
    add_series(small, 2, 3)  # 6 GB
    add_bulk(small, 3)
    discovered(small, tmp_path, "--accept", str(accepted), "--accept-gb", "4")
    assert resolve.read_asked([str(accepted)]) == ["GSE1"]
    accepted.write_text("# GSE1: not of interest\nGSE7\n")
    discovered(small, tmp_path, "--accept", str(accepted), "--accept-gb", "6")
    assert accepted.read_text() == "# GSE1: not of interest\nGSE7\nGSE2  # droplet, mus, 6 GB\n"


def test_what_is_in_the_analysis_already_is_not_accepted(small: SmallArchives, tmp_path: Path):
    accepted = tmp_path / "accepted.txt"
    for number in (1, 2, 3):
        add_series(small, number, 2)
    (tmp_path / "plan.tsv").write_text("series\trun\nGSE9\tSRR2001\n")
    rows = discovered(small, tmp_path, "--series", "gse1", str(accepted), "--accept", str(accepted))
    said = {name: row["in_analysis"] for name, row in rows.items()}
    assert said == {"GSE1": "yes", "GSE2": "1 of 2 runs, in GSE9", "GSE3": "no"}
    assert resolve.read_asked([str(accepted)]) == ["GSE3"]


def test_a_superseries_is_not_accepted_beside_its_parts(small: SmallArchives, tmp_path: Path):
    accepted = tmp_path / "accepted.txt"
    add_series(small, 1, relations=["SubSeries of: GSE5"])
    add_series(small, 5, relations=["SuperSeries of: GSE1"])
    add_series(small, 6, relations=["SuperSeries of: GSE4"])
    rows = discovered(small, tmp_path, "--accept", str(accepted))
    assert (rows["GSE1"]["part_of"], rows["GSE5"]["parts"], rows["GSE6"]["parts"]) == ("GSE5", "GSE1", "GSE4")
    assert resolve.read_asked([str(accepted)]) == ["GSE6", "GSE1"]


def test_what_is_superseded_or_withdrawn_is_said_and_not_accepted(small: SmallArchives, tmp_path: Path):
    accepted = tmp_path / "accepted.txt"
    add_series(small, 1, lines=["summary = This series was superseded by GSE8."])
    add_series(small, 2, lines=["status = Withdrawn on Oct 05 2026"])
    add_series(small, 3, lines=["status = Public on Oct 05 2026"])
    rows = discovered(small, tmp_path, "--accept", str(accepted))
    assert rows["GSE1"]["superseded_by"] == "GSE8"
    assert rows["GSE2"]["status"] == "Withdrawn on Oct 05 2026"
    assert rows["GSE3"]["status"] == ""
    assert resolve.read_asked([str(accepted)]) == ["GSE3"]


def test_a_file_that_is_no_list_is_left_alone(small: SmallArchives, tmp_path: Path):
    add_series(small, 1)
    other = tmp_path / "config.yaml"
    other.write_text("series: []\n")
    with pytest.raises(InputError, match=r"config\.yaml, line 1: 'SERIES:' is no accession"):
        discovered(small, tmp_path, "--accept", str(other))
    assert other.read_text() == "series: []\n"


# Series that change --------------------------------------------------------------------------------------------------


def test_a_series_that_has_grown_is_asked_for_again(small: SmallArchives, tmp_path: Path):
    add_series(small, 1, 2)
    add_series(small, 2, 2)
    assert discovered(small, tmp_path)["GSE1"]["planned"] == "2"
    add_series(small, 1, 3)
    small.requests.clear()
    rows = discovered(small, tmp_path)
    assert (rows["GSE1"]["planned"], rows["GSE2"]["planned"]) == ("3", "2")
    assert asked(small, ".soft.gz") == 1


def test_one_of_the_analysis_that_has_grown_is_left_to_refresh(small: SmallArchives, tmp_path: Path):
    add_series(small, 1, 2)
    discovered(small, tmp_path)
    add_series(small, 1, 3)
    row = discovered(small, tmp_path, "--series", "GSE1")["GSE1"]
    assert row["planned"] == "2"
    assert row["note"] == "GEO now has 3 samples, its kept record 2; `refresh: [GSE1]` takes in what is new."


def test_what_had_no_run_is_asked_for_again(small: SmallArchives, tmp_path: Path):
    series = add_series(small, 1)
    text = small.families.pop(series)
    row = discovered(small, tmp_path)[series]
    assert (row["verdict"], row["left_out"]) == ("certain", "")  # SRA knows it by the name of the series
    assert row["status"] == "GEO has no family file of it"
    small.packages.clear()
    row = discovered(small, tmp_path / "private")[series]
    assert (row["verdict"], row["left_out"]) == ("unknown", "NO_RUN 1")
    assert row["evidence"].endswith("GEO has no family file of GSE1.")
    add_series(small, 1)
    assert small.families[series] == text
    assert discovered(small, tmp_path / "private")[series]["verdict"] == "certain"


# Studies outside GEO -------------------------------------------------------------------------------------------------


def outside(small: SmallArchives, number: int, day: str = "2026-10-05") -> str:
    experiment, study = f"DRX{number}", f"DRP{number}"
    text = package(experiment, [run(f"DRR{number}", lengths=(28, 91))], gse="", study=study, project=f"PRJDB{number}")
    small.packages[experiment] = text.replace("<RUN acc", f'<RUN published="{day} 01:02:03" acc')
    small.by_source.append(experiment)
    return study


def test_studies_that_no_series_names_are_found_by_their_source(small: SmallArchives, tmp_path: Path):
    add_series(small, 1)
    small.by_source.append("SRX1001")
    study = outside(small, 77)
    rows = discovered(small, tmp_path)
    assert {name: row["archive"] for name, row in rows.items()} == {"DRP77": "SRA", "GSE1": "GEO"}
    assert (rows[study]["published"], rows[study]["verdict"], rows[study]["title"]) == (
        "2026-10-05",
        "certain",
        "Study",
    )
    assert [*discovered(small, tmp_path, "--no-sra")] == ["GSE1"]
    small.requests.clear()
    assert [*discovered(small, tmp_path, "--query", "liver")] == ["GSE1"]
    assert not any("[Source]" in form.get("term", "") for _, form in small.requests)


def test_a_study_that_has_grown_is_asked_for_again(small: SmallArchives, tmp_path: Path):
    study = outside(small, 77)
    assert discovered(small, tmp_path)[study]["planned"] == "1"
    text = package("DRX78", [run("DRR78", lengths=(28, 91))], gse="", study=study, project="PRJDB77")
    small.packages["DRX78"] = text
    small.by_source.append("DRX78")
    row = discovered(small, tmp_path, "--series", study)[study]
    assert row["planned"] == "1"
    assert row["note"] == "It has further experiments; `refresh: [DRP77]` takes in what is new."
    assert discovered(small, tmp_path)[study]["planned"] == "2"
    (tmp_path / "records" / study / "sra.xml.gz").write_bytes(b"damaged")
    row = discovered(small, tmp_path)[study]
    assert row["verdict"] == "unanswered"
    assert "sra.xml.gz" in row["note"]


def test_experiments_beyond_what_is_read_are_said(
    small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(found, "MOST_EXPERIMENTS", 2)
    for number in (71, 72, 73):
        outside(small, number)
    assert len(discovered(small, tmp_path)) == 2
    assert "SRA: 3 experiments are found; studies to which only the oldest 1 of them belong" in capsys.readouterr().out


# Faults of the server ------------------------------------------------------------------------------------------------

NONSENSE = {
    "a page": b"<!DOCTYPE html><html><body>Are you a robot?</body></html>",
    "an error": b"<eSearchResult><ERROR>Search Backend failed</ERROR></eSearchResult>",
    "an error in JSON": b'{"error":"API rate limit exceeded","count":"11"}',
    "cut short": b"<eSearchResult><Count>1</Count>",
    "nothing": b"",
}


@pytest.mark.parametrize("tool", ["esearch", "esummary"])
@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_is_none_ends_without_a_table(small: SmallArchives, tmp_path: Path, tool: str, body: bytes):
    add_series(small, 1)
    small.before = lambda path, form: (200, body) if path.endswith(f"{tool}.fcgi") else None
    with pytest.raises(InputError):
        discovered(small, tmp_path)
    assert not (tmp_path / "discovered.tsv").exists()


@pytest.mark.parametrize("status", [429, 500, 404])
def test_a_status_of_the_search_ends_without_a_table(small: SmallArchives, tmp_path: Path, status: int):
    add_series(small, 1)
    small.before = lambda path, form: (status, b"") if form.get("db") == "gds" else None
    with pytest.raises(InputError, match=str(status)):
        discovered(small, tmp_path)
    assert not (tmp_path / "discovered.tsv").exists()


def test_a_page_that_comes_again_is_no_end_of_the_list(
    small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(found, "PAGE", 2)
    for number in range(1, 6):
        add_series(small, number)
    assert len(discovered(small, tmp_path / "good")) == 5

    def first_page(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        return small.answer(path, {**form, "retstart": "0"}) if form.get("db") == "gds" and "term" in form else None

    small.before = first_page
    with pytest.raises(InputError, match=r"2 of 5 series came for gse\[ETYP\]"):
        discovered(small, tmp_path / "bad")


def test_a_list_that_grows_while_it_is_read_comes_whole(
    small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(found, "PAGE", 2)
    for number in range(1, 5):
        add_series(small, number)

    def grows(path: str, form: dict[str, str]) -> None:
        if form.get("retstart") == "2" and "GSE9" not in small.summaries:
            add_series(small, 9)
            small.summaries = {"GSE9": small.summaries.pop("GSE9"), **small.summaries}

    small.before = grows
    assert sorted(discovered(small, tmp_path)) == ["GSE1", "GSE2", "GSE3", "GSE4", "GSE9"]


def test_a_series_without_a_summary_has_a_row(small: SmallArchives, tmp_path: Path):
    for number in (1, 2, 3):
        add_series(small, number)

    def lacks(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if not path.endswith("esummary.fcgi"):
            return None
        result = json.loads(small.answer(path, form)[1])["result"]
        result.pop("200000002", None)
        if "200000003" in result:
            result["200000003"] = {"uid": "200000003", "error": "cannot get document summary"}
        return 200, json.dumps({"result": result}).encode()

    small.before = lacks
    rows = discovered(small, tmp_path)
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts == {"GSE1": "certain", "GSE2": "unknown", "GSE3": "unknown"}
    assert rows["GSE2"]["note"] == "GEO gives no summary of it."
    assert rows["GSE3"]["note"] == "GEO's summary says: 'cannot get document summary'."


def test_a_phrase_that_geo_does_not_know_is_said(
    small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    body = (
        b"<eSearchResult><Count>0</Count><IdList/><ErrorList><PhraseNotFound>retinaa</PhraseNotFound></ErrorList>"
        b"<WarningList><OutputMessage>No items found.</OutputMessage></WarningList></eSearchResult>"
    )
    small.before = lambda path, form: (200, body) if "term" in form else None
    assert discovered(small, tmp_path, "--query", "retinaa") == {}
    assert "GEO: a phrase is not found: retinaa" in capsys.readouterr().out
    assert "GEO: a phrase is not found: retinaa" in (tmp_path / "discovered.html").read_text()


def test_a_hit_that_is_no_series_is_said(small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    body = b"<eSearchResult><Count>1</Count><IdList><Id>300000001</Id></IdList></eSearchResult>"
    small.before = lambda path, form: (200, body) if "term" in form and form["db"] == "gds" else None
    assert discovered(small, tmp_path) == {}
    assert "GEO: 1 hit(s) are no series and are left out, e.g. '300000001'." in capsys.readouterr().out


def test_a_family_file_that_does_not_come_costs_its_series_alone(
    small: SmallArchives, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for number in (1, 2, 3):
        add_series(small, number)
    small.before = lambda path, form: (500, b"") if "/GSE2/" in path else None
    rows = discovered(small, tmp_path)
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts == {"GSE3": "certain", "GSE1": "certain", "GSE2": "unanswered"}
    assert "GEO's family file of GSE2 could not be fetched" in rows["GSE2"]["note"]
    assert "1 could not be judged, as an archive did not answer; the same command asks" in capsys.readouterr().out
    small.before = lambda path, form: None
    assert discovered(small, tmp_path)["GSE2"]["verdict"] == "certain"


def test_experiments_that_do_not_come_are_no_verdict(small: SmallArchives, tmp_path: Path):
    for number in (1, 2):
        add_series(small, number)
    small.before = lambda path, form: (500, b"") if "SRX2001" in form.get("id", "") else None
    rows = discovered(small, tmp_path)
    assert (rows["GSE1"]["verdict"], rows["GSE2"]["verdict"]) == ("certain", "unanswered")


def test_archives_that_are_down_end_the_call(small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judged, "IN_VAIN", 3)
    for number in range(1, 10):
        add_series(small, number)
    small.before = lambda path, form: (503, b"") if path.endswith(".soft.gz") else None
    with pytest.raises(Unanswered, match="The archives did not answer for 3 series in a row"):
        discovered(small, tmp_path)
    assert not (tmp_path / "discovered.tsv").exists()


def test_a_family_file_in_three_that_fails_is_no_archive_that_is_down(
    small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(judged, "IN_VAIN", 3)
    for number in range(1, 13):
        add_series(small, number)
    small.before = lambda path, form: (503, b"") if re.search("/GSE(3|6|9|12)/", path) else None
    rows = discovered(small, tmp_path)
    assert sorted(name for name, row in rows.items() if row["verdict"] == "unanswered") == [
        "GSE12",
        "GSE3",
        "GSE6",
        "GSE9",
    ]


def test_a_history_that_expires_is_begun_again(small: SmallArchives, tmp_path: Path):
    outside(small, 77)
    terms = []

    def answer(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if path.endswith("esearch.fcgi"):
            terms.append(form["term"])
            if "[Source]" in form["term"] and form["retmax"] == "10000":  # the second time, by uids
                return 200, b"<eSearchResult><Count>1</Count><IdList><Id>77</Id></IdList></eSearchResult>"
        if "WebEnv" in form and "[Source]" in terms[-1]:
            return 200, b"<eFetchResult><ERROR>Unable to obtain query #1</ERROR></eFetchResult>"
        return small.answer(path, {**form, "id": "DRX77"}) if form.get("id") == "77" else None

    small.before = answer
    assert discovered(small, tmp_path)["DRP77"]["verdict"] == "certain"


def test_a_damaged_package_has_a_row(small: SmallArchives, tmp_path: Path):
    outside(small, 77)
    small.packages["DRX77"] = small.packages["DRX77"].replace("</TITLE>", "", 1)
    rows = discovered(small, tmp_path)
    assert rows["DRX77"]["verdict"] == "unknown"
    assert "not well-formed XML" in rows["DRX77"]["note"]


def test_an_experiment_without_a_study_has_a_row(small: SmallArchives, tmp_path: Path):
    for number in (77, 78):
        outside(small, number)
    small.packages["DRX78"] = small.packages["DRX78"].replace("DRP78", "../../evil").replace("PRJDB78", "x/y")
    rows = discovered(small, tmp_path)
    assert {name: row["verdict"] for name, row in rows.items()} == {"DRP77": "certain", "DRX78": "unknown"}
    assert rows["DRX78"]["note"] == "Its record names neither a study nor a project."


def test_what_is_asked_for_must_be_given(tmp_path: Path):
    with pytest.raises(InputError, match="give the date from which on series are new"):
        discover.main(["--species", "mus=10090", "--output", str(tmp_path / "x.tsv")])
    with pytest.raises(InputError, match="No species is configured"):
        discover.main(["--since", "2026-10-01", "--output", str(tmp_path / "x.tsv")])


def test_the_key_goes_with_every_search(small: SmallArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NCBI_API_KEY", "k3y")
    add_series(small, 1)
    discovered(small, tmp_path)
    assert {form.get("api_key") for path, form in small.requests if "/eutils/" in path} == {"k3y"}
    assert "k3y" not in (tmp_path / "discovered.html").read_text()
