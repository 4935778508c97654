"""Archives that fail: an error inside a 200; cut, short and repeated pages; one archive down, both; the next day."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import client
from tests.records.looked_up import plan
from tests.records.small_archives import SmallArchives, family, package, package_set, run, sample

HEADER = (
    "run_accession\texperiment_accession\tsecondary_study_accession\tstudy_accession\tsample_alias\ttax_id\t"
    "scientific_name\tlibrary_layout\tlibrary_strategy\tlibrary_source\tread_count\n"
)
BIOPROJECT = "BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"
HEADING = "The look-up could not be completed: no plan is written, and the same command asks again."

Before = Callable[[str, dict[str, str]], tuple[int, bytes] | None]


@pytest.fixture(autouse=True)
def batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BATCH", 4)


def study(numbers: range, kind: str = "S") -> dict[str, str]:
    texts = {
        f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", gse="GSE1" if kind == "S" else "")
        for n in numbers
    }
    if kind == "S":
        return texts
    names = (("SRX", "ERX"), ("SRR", "ERR"), ("SRP", "ERP"), ("PRJNA", "PRJEB"))
    for old, new in names:
        texts = {key.replace(old, new): text.replace(old, new) for key, text in texts.items()}
    return texts


def report(numbers: range, kind: str = "S") -> str:
    line = "{k}RR{n}\t{k}RX{n}\t{k}RP1\t{p}1\tGSM{n}\t10090\tMus musculus\tPAIRED\tRNA-Seq\t"
    line += "TRANSCRIPTOMIC SINGLE CELL\t100\n"
    project = "PRJNA" if kind == "S" else "PRJEB"
    return HEADER + "".join(line.format(k=kind, n=n, p=project) for n in numbers)


def series(small: SmallArchives, size: int, linked: bool = True) -> None:
    """Serve GSE1 of so many samples: its family file, its packages, and nothing at ENA."""
    samples = [sample(f"GSM{n}", [f"SRX{n}"] if linked else []) for n in range(1, size + 1)]
    small.families["GSE1"] = family("GSE1", samples, relations=[BIOPROJECT])
    small.packages = study(range(1, size + 1))


def failing(tool: str, answer: tuple[int, bytes], times: int = 1000) -> Before:
    """Return what answers the next requests to a tool like this."""
    left = [times]

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if tool in path and left[0]:
            left[0] -= 1
            return answer
        return None

    return before


def healed(small: SmallArchives) -> None:
    small.before = lambda path, form: None
    small.requests.clear()


def planned(rows: dict) -> list[str]:
    return [name for name, group in rows.items() if group[0].status == "planned"]


def named(*numbers: int) -> list[str]:
    return sorted(f"SRR{n}" for n in numbers)


def error_set(tag: str) -> bytes:
    return package_set(f"<{tag}>Internal Server Error (db)</{tag}>").encode()


NO_ANSWERS = {
    "Error": (200, error_set("Error")),
    "ERROR": (200, error_set("ERROR")),
    "error": (200, error_set("error")),
    "backend": (200, b"<eFetchResult><ERROR>Internal error: backend is not available</ERROR></eFetchResult>"),
    "json": (200, b'{"error":"API rate limit exceeded","count":"4"}'),
    "html": (200, b"<!DOCTYPE html><html><body>captcha</body></html>"),
    "cut": (200, package_set(*study(range(1, 4)).values()).encode()[:-200]),
    "empty": (200, b""),
    "other": (200, b'<?xml version="1.0"?><eFetchResult/>'),
    "busy": (429, b""),
    "down": (503, b""),
    "bad": (400, b"<eFetchResult><ERROR>Cannot process the request</ERROR></eFetchResult>"),
}


@pytest.mark.parametrize("fault", NO_ANSWERS)
def test_what_is_no_answer_is_asked_for_again(tmp_path: Path, small: SmallArchives, fault: str) -> None:
    series(small, 3)
    good = plan(tmp_path / "good", "GSE1", small=small)
    small.before = failing("efetch", NO_ANSWERS[fault])
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "GSE1", small=small)
    heading, line = str(caught.value).splitlines()
    assert heading == HEADING
    assert line.startswith(f"GSE1: SRX1, SRX2, SRX3: NCBI: {small.url}/eutils/efetch.fcgi: ")
    assert not (tmp_path / "results").exists()
    assert not list((tmp_path / "records" / "GSE1").glob("[!G]*"))  # the family file alone
    healed(small)
    assert plan(tmp_path, "GSE1", small=small) == good
    assert planned(good) == named(1, 2, 3)


@pytest.mark.parametrize("fault", NO_ANSWERS)
def test_ena_stands_in_for_an_ncbi_that_fails(tmp_path: Path, small: SmallArchives, fault: str) -> None:
    series(small, 3)
    small.reports["PRJNA1"] = report(range(1, 4))
    small.before = failing("eutils", NO_ANSWERS[fault])
    rows = plan(tmp_path, "GSE1", small=small)
    assert planned(rows) == named(1, 2, 3)
    assert {group[0].detail for group in rows.values()} == {"Runs from ENA, not from NCBI."}
    assert plan(tmp_path, "GSE1", small=small) == rows
    assert plan(tmp_path, "GSE1") == rows  # without network
    healed(small)  # the next day NCBI is asked again
    rows = plan(tmp_path, "GSE1", small=small)
    assert {group[0].detail for group in rows.values()} == {""}
    assert [path for path, _ in small.requests] == ["/eutils/efetch.fcgi"]
    assert plan(tmp_path, "GSE1") == rows


def test_ena_stands_in_for_a_study(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = {name: text.replace("GSE1", "") for name, text in study(range(1, 4)).items()}
    small.reports["SRP1"] = report(range(1, 4))
    small.before = failing("eutils", (503, b""))
    rows = plan(tmp_path, "SRP1", small=small)
    assert {group[0].detail for group in rows.values()} == {"Runs from ENA, not from NCBI."}
    assert plan(tmp_path, "SRP1") == rows
    healed(small)
    rows = plan(tmp_path, "SRP1", small=small)
    assert {group[0].detail for group in rows.values()} == {""}
    assert planned(plan(tmp_path, "SRP1")) == named(1, 2, 3)


@pytest.mark.parametrize("fault", NO_ANSWERS)
def test_single_accessions_of_an_ncbi_that_fails(tmp_path: Path, small: SmallArchives, fault: str) -> None:
    series(small, 3)
    small.before = failing("eutils", NO_ANSWERS[fault])
    small.reports = {"SRR1": report(range(1, 2)), "SRP1": report(range(1, 3))}
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "SRR1", "SRX2", "GSM3", small=small)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()[1:]] == [["GSM3", "NCBI"]]
    assert planned(plan(tmp_path, "SRR1", "SRX2", small=small)) == named(1, 2)


def test_a_search_that_fails_is_no_answer(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 3)
    answers = [
        b"<eSearchResult><ERROR>Search Backend failed: Unable to open connection</ERROR></eSearchResult>",
        b"<eSearchResult><Error>x</Error><Count>0</Count></eSearchResult>",
        b'{"error":"API rate limit exceeded"}',
        b"<eSearchResult/>",
        b"<eSearchResult><Count>1000000000</Count></eSearchResult>",
        b"<eSearchResult><Count>12345678901234567</Count></eSearchResult>",
        b"<eSearchResult><Count>-1</Count></eSearchResult>",
    ]
    for answer in answers:
        small.before = failing("esearch", (200, answer))
        for asked in ("SRP1", "GSM1"):
            with pytest.raises(InputError, match=f"{asked}: NCBI: .*esearch"):
                plan(tmp_path, asked, small=small)
    healed(small)
    assert planned(plan(tmp_path, "SRP1", small=small)) == named(1, 2, 3)


@pytest.mark.parametrize("times", [1, 3])
def test_an_error_in_one_batch_of_several(tmp_path: Path, small: SmallArchives, times: int) -> None:
    series(small, 11)
    left = [times]

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if "SRX5" in form.get("id", "") and left[0]:
            left[0] -= 1
            return NO_ANSWERS["Error"]
        return None

    small.before = before
    assert planned(plan(tmp_path, "GSE1", small=small)) == named(*range(1, 12))


def repeated(small: SmallArchives, start: int) -> tuple[int, bytes]:
    return 200, package_set(*(small.packages[name] for name in small.found[:4])).encode()


def short(small: SmallArchives, start: int) -> tuple[int, bytes]:
    return 200, package_set(*(small.packages[name] for name in small.found[start : start + 2])).encode()


def wrong(small: SmallArchives, start: int) -> tuple[int, bytes]:
    return NO_ANSWERS["backend"]


def test_pages_that_are_always_short(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = {name: text.replace("GSE1", "") for name, text in study(range(1, 30)).items()}
    small.before = lambda path, form: short(small, int(form["retstart"])) if "WebEnv" in form else None
    assert planned(plan(tmp_path, "SRP1", small=small)) == named(*range(1, 30))
    assert len(small.requests) <= 1 + 15 + 1


@pytest.mark.parametrize("page", [repeated, short, wrong])
@pytest.mark.parametrize("times", [1, 4, 1000])
def test_pages_that_fail(tmp_path: Path, small: SmallArchives, page: Callable, times: int) -> None:
    small.packages = {name: text.replace("GSE1", "") for name, text in study(range(1, 12)).items()}
    left = [times]

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        start = int(form.get("retstart", 0))
        if "efetch" in path and 4 <= start < 8 and left[0]:
            left[0] -= 1
            return page(small, start)
        return None

    small.before = before
    if times < 1000 or page is short:  # half a page comes whole
        assert planned(plan(tmp_path, "SRP1", small=small)) == named(*range(1, 12))
        return
    with pytest.raises(InputError, match=r"SRP1: NCBI: .*: \d+ of 11 experiments came for SRP1"):
        plan(tmp_path, "SRP1", small=small)
    assert not list((tmp_path / "records").glob("SRP1/*"))
    small.reports["SRP1"] = report(range(1, 8))  # one fewer than NCBI counts
    with pytest.raises(InputError, match="SRP1: NCBI: "):
        plan(tmp_path, "SRP1", small=small)
    small.reports["SRP1"] = report(range(1, 12))  # ENA's accessions: NCBI is asked for them by these
    rows = plan(tmp_path, "SRP1", small=small)
    assert planned(rows) == named(*range(1, 12))
    assert {group[0].detail for group in rows.values()} == {""}


def test_pages_that_fail_are_completed_by_the_series(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 11)
    small.before = lambda path, form: repeated(small, 0) if "WebEnv" in form else None
    assert planned(plan(tmp_path, "SRP1", small=small)) == named(*range(1, 12))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_answers_that_are_short(tmp_path: Path, small: SmallArchives, most: int) -> None:
    series(small, 11)

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        names = form.get("id", "").split(",")
        texts = [small.packages[name] for name in names[:most] if name in small.packages]
        return (200, package_set(*texts).encode()) if "efetch" in path else None

    small.before = before
    assert planned(plan(tmp_path, "GSE1", small=small)) == named(*range(1, 12))


def test_answers_to_many_that_are_empty(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 11)
    small.before = lambda path, form: (200, package_set().encode()) if "," in form.get("id", "") else None
    assert planned(plan(tmp_path, "GSE1", small=small)) == named(*range(1, 12))


def test_what_ncbi_does_not_have_is_no_run_once_it_was_asked_for_alone(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 11)
    for name in ("SRX3", "SRX4", "SRX9"):
        del small.packages[name]
    rows = plan(tmp_path, "GSE1", small=small)
    assert planned(rows) == named(1, 2, 5, 6, 7, 8, 10, 11)
    assert {rows[name][0].reason for name in ("SRX3", "SRX4", "SRX9")} == {"NO_RUN"}
    assert [form.get("id") for _, form in small.requests].count("SRX9") == 2
    small.requests.clear()
    assert plan(tmp_path, "GSE1", small=small) == rows
    assert small.requests == []


@pytest.mark.parametrize("asked", ["GSE1", "SRX1", "SRR1"])
def test_empty_answers_for_what_the_search_knows_are_none(tmp_path: Path, small: SmallArchives, asked: str) -> None:
    series(small, 1)
    small.before = failing("efetch", (200, package_set().encode()))
    with pytest.raises(InputError) as raised:
        plan(tmp_path, asked, small=small)
    assert "0 of 1 experiments came for" in str(raised.value)
    healed(small)
    assert planned(plan(tmp_path, asked, small=small)) == named(1)


def test_ids_that_ncbi_does_not_know_are_an_answer(tmp_path: Path, small: SmallArchives) -> None:
    error = b"<eFetchResult><ERROR>ID list is empty! Possibly it has no correct IDs.</ERROR></eFetchResult>"
    small.before = failing("efetch", (400, error))
    (row,) = plan(tmp_path, "SRR7", small=small)[""]
    assert (row.reason, row.detail) == ("NO_RUN", "SRR7: The archives know of no public run.")


def test_a_damaged_package_costs_no_other(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 6)
    small.packages["SRX2"] = small.packages["SRX2"].replace("<TITLE>", "<TITLE>\x01", 1)
    small.packages["SRX5"] = small.packages["SRX5"].replace("<TITLE>", "<TITLE>&nope;", 1)
    rows = plan(tmp_path / "without", "GSE1", small=small)
    assert planned(rows) == named(1, 3, 4, 6)
    assert rows["SRX2"][0].reason == "NO_RUN"
    assert rows["SRX2"][0].detail == (
        "The archive has no public run of the experiment. NCBI says of it: the package of SRX2 is not well-formed XML."
    )
    small.reports["PRJNA1"] = report(range(1, 7))
    rows = plan(tmp_path / "with", "GSE1", small=small)
    assert planned(rows) == named(*range(1, 7))
    assert rows["SRR2"][0].detail == "Runs from ENA, not from NCBI."
    assert rows["SRR1"][0].detail == ""
    small.reports.clear()
    rows = plan(tmp_path / "study", "SRP1", small=small)
    assert planned(rows) == named(1, 3, 4, 6)
    assert rows["SRX5"][0].reason == "NO_RUN"


def test_ncbi_and_ena_are_compared_run_by_run(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = study(range(1, 3), "E")
    extra = report(range(1, 7), "E") + report(range(1, 2), "E").splitlines()[1].replace("ERR1", "ERR10") + "\n"
    small.reports["PRJEB1"] = extra
    rows = plan(tmp_path, "PRJEB1", small=small)
    assert planned(rows) == sorted(["ERR10", *(f"ERR{n}" for n in range(1, 7))])
    assert {name: group[0].detail for name, group in rows.items() if group[0].detail} == {
        "ERR10": "The run is in ENA, not in NCBI.",
        **{f"ERR{n}": "Runs from ENA, not from NCBI." for n in range(3, 7)},
    }
    small.requests.clear()
    assert plan(tmp_path, "PRJEB1", small=small) == rows
    assert small.requests == []


@pytest.mark.parametrize("asked", ["PRJEB1", "ERP1", "ERX2"])
def test_ena_must_answer_for_what_is_its_own(tmp_path: Path, small: SmallArchives, asked: str) -> None:
    small.packages = study(range(1, 3), "E")
    small.before = failing("ena", (503, b""))
    with pytest.raises(InputError, match=r"ENA: .* 503"):
        plan(tmp_path, asked, small=small)
    healed(small)
    assert len(planned(plan(tmp_path, asked, small=small))) == (1 if asked == "ERX2" else 2)


def test_an_ena_that_is_down_is_compared_later(
    tmp_path: Path, small: SmallArchives, capsys: pytest.CaptureFixture[str]
) -> None:
    series(small, 3)
    small.reports["PRJNA1"] = report(range(1, 4))
    good = plan(tmp_path / "good", "GSE1", small=small)
    bytes_of_plan = (tmp_path / "good" / "results" / "plan.tsv").read_bytes()
    small.before = failing("ena", (503, b""))
    assert plan(tmp_path, "GSE1", small=small) == good
    assert (tmp_path / "results" / "plan.tsv").read_bytes() == bytes_of_plan
    assert "GSE1: runs of PRJNA1 that only ENA has are not in the plan. ENA: " in capsys.readouterr().out
    healed(small)
    assert plan(tmp_path, "GSE1", small=small) == good
    assert [path for path, _ in small.requests] == ["/ena/portal/api/filereport"]
    small.requests.clear()
    assert plan(tmp_path, "GSE1", small=small) == good
    assert small.requests == []


def test_geo_is_down(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 3)
    small.before = failing("geo", (503, b""))
    for asked in ("GSE1", "SRP1", "SRR2", "GSM3"):
        with pytest.raises(InputError, match=r"GEO's family file of GSE1 could not be fetched: .* 503"):
            plan(tmp_path, asked, small=small)
    assert not (tmp_path / "results").exists()
    healed(small)
    assert planned(plan(tmp_path, "GSE1", small=small)) == named(1, 2, 3)


def test_a_part_of_a_superseries_is_not_to_be_had(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = study(range(1, 3))
    parts = [f"SuperSeries of: GSE{n}" for n in (1, 2)]
    small.families["GSE9"] = family("GSE9", relations=parts)
    for n in (1, 2):
        small.families[f"GSE{n}"] = family(f"GSE{n}", [sample(f"GSM{n}", [f"SRX{n}"], series=[f"GSE{n}"])])
    small.before = lambda path, form: (503, b"") if "GSE2_family" in path else None
    with pytest.raises(InputError, match=r"GEO's family file of GSE2 \(a part of GSE9\) could not be fetched"):
        plan(tmp_path, "GSE9", small=small)
    healed(small)
    assert planned(plan(tmp_path, "GSE9", small=small)) == named(1, 2)


def test_an_older_plan_stays(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 3)
    plan(tmp_path, "GSE1", small=small)
    older = (tmp_path / "results" / "plan.tsv").read_bytes()
    small.before = failing("e", (503, b""))
    with pytest.raises(InputError, match="The look-up could not be completed: "):
        plan(tmp_path, "GSE1", "GSE2", "SRP7", small=small)
    assert (tmp_path / "results" / "plan.tsv").read_bytes() == older


def test_all_faults_are_told_at_once(tmp_path: Path, small: SmallArchives) -> None:
    small.before = failing("e", (503, b""))
    bad = tmp_path / "records" / "GSE3"
    bad.mkdir(parents=True)
    (bad / "sra.xml.gz").write_bytes(b"no record")
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "GSE1", "GSE2", "GSE3", "SRP4", "SRX5", small=small)
    text = str(caught.value)
    assert text.startswith(f"{bad}/sra.xml.gz: ")
    assert all(word in text for word in ("GSE1", "GSE2", "SRP4: NCBI", "SRX5: NCBI"))


def test_ena_stands_in_only_where_it_knows_all_studies(tmp_path: Path, small: SmallArchives) -> None:
    series(small, 3)
    small.families["GSE1"] += "^SERIES = GSE2\n!Series_relation = BioProject: x/bioproject/PRJNA2\n"
    small.before = failing("eutils", (503, b""))
    small.reports["PRJNA1"] = report(range(1, 3))  # SRX3 is of the other study
    with pytest.raises(InputError, match=r"GSE1: SRX3: NCBI: .* 503"):
        plan(tmp_path, "GSE1", small=small)
    small.reports["PRJNA2"] = report(range(3, 4))
    rows = plan(tmp_path, "GSE1", small=small)
    assert planned(rows) == named(1, 2, 3)
