"""Requests to the archives: what is asked for, kept, asked for again, and how fast."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import client
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, family, package, run, sample


def test_records_are_fetched_once_and_kept(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    small.reports["PRJNA1"] = "run_accession\texperiment_accession\nSRR1\tSRX1\n"
    first = plan(tmp_path, "GSE1", small=small)
    assert [path for path, _ in small.requests] == [
        "/geo/series/GSEnnn/GSE1/soft/GSE1_family.soft.gz",
        "/eutils/efetch.fcgi",
        "/ena/portal/api/filereport",
    ]
    assert small.requests[1][1] == {"db": "sra", "tool": "sra2matrix", "id": "SRX1,SRX2", "rettype": "full"}
    kept = {path.name: path for path in (tmp_path / "records" / "GSE1").iterdir()}
    assert set(kept) == {"GSE1_family.soft.gz", "sra.xml.gz", "ena.tsv.gz", "answers.json"}
    assert gzip.decompress(kept["GSE1_family.soft.gz"].read_bytes()).decode() == soft
    assert small.packages["SRX2"] in gzip.decompress(kept["sra.xml.gz"].read_bytes()).decode()
    plan_bytes = (tmp_path / "results" / "plan.tsv").read_bytes()
    evidence = (tmp_path / "work" / "evidence.jsonl").read_bytes()
    small.requests.clear()
    assert plan(tmp_path, "GSE1", small=small) == first
    assert small.requests == []
    assert (tmp_path / "results" / "plan.tsv").read_bytes() == plan_bytes
    assert (tmp_path / "work" / "evidence.jsonl").read_bytes() == evidence


def test_geo_gives_a_web_page(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = two_cells()[1]
    small.before = lambda path, form: (200, b"<!DOCTYPE html><html>captcha</html>") if "/geo/" in path else None
    with pytest.raises(InputError, match=r"GEO's family file of GSE1 could not be fetched: .*the answer is a web page"):
        plan(tmp_path, "GSE1", small=small)
    assert not list((tmp_path / "records").glob("GSE1/*"))


def test_429_three_times_then_good(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    answers = [429, 429, 429]

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        return (answers.pop(), b"") if "efetch" in path and answers else None

    small.before = before
    assert sorted(plan(tmp_path, "GSE1", small=small)) == ["SRR1", "SRR2", "SRR3"]
    assert len([path for path, _ in small.requests if "efetch" in path]) == 4


@pytest.mark.parametrize("part", ["family", "xml", "report"])
def test_an_answer_cut_short_is_asked_for_again(tmp_path: Path, small: SmallArchives, part: str) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    small.reports["PRJNA1"] = "run_accession\texperiment_accession\nSRR1\tSRX1\n"
    word = {"family": "/geo/", "xml": "efetch", "report": "filereport"}[part]
    cuts = [True, True]

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if word in path and cuts:
            cuts.pop()
            status, body = small.answer(path, form)
            return status, body[: len(body) * 2 // 3]  # a length that fits: only the content shows it
        return None

    small.before = before
    assert sorted(plan(tmp_path, "GSE1", small=small)) == ["SRR1", "SRR2", "SRR3"]
    assert cuts == []
    assert len(list((tmp_path / "records" / "GSE1").iterdir())) == 4


def test_an_error_answer_spoils_only_its_own_accession(tmp_path: Path, small: SmallArchives) -> None:
    samples = [sample(f"GSM{n}", [f"SRX{n}"]) for n in range(1, 6)]
    small.families["GSE1"] = family("GSE1", samples)
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}") for n in range(1, 6)}
    error = b'<?xml version="1.0"?><eFetchResult><ERROR>SRX4 is not public</ERROR></eFetchResult>'
    small.before = lambda path, form: (200, error) if "SRX4" in form.get("id", "") else None
    rows = plan(tmp_path, "GSE1", small=small)
    assert [name for name, group in rows.items() if group[0].status == "planned"] == ["SRR1", "SRR2", "SRR3", "SRR5"]
    assert rows["SRX4"][0].reason == "NO_RUN"
    assert "NCBI says: SRX4 is not public." in rows["SRX4"][0].detail


def test_what_a_long_answer_lacks_is_asked_for_once_more(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    hidden = [small.packages.pop("SRX2")]

    def before(path: str, form: dict[str, str]) -> None:
        if form.get("id") == "SRX2":
            small.packages["SRX2"] = hidden[0]

    small.before = before
    assert sorted(plan(tmp_path, "GSE1", small=small)) == ["SRR1", "SRR2", "SRR3"]


def test_batches(tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BATCH", 3)
    numbers = range(1, 8)
    small.families["GSE1"] = family("GSE1", [sample(f"GSM{n}", [f"SRX{n}"]) for n in numbers])
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}") for n in numbers}
    assert len(plan(tmp_path, "GSE1", small=small)) == 7
    assert len(plan(tmp_path, "SRP1", small=small)) == 7
    asked = [form.get("id", form.get("retstart")) for path, form in small.requests if "efetch" in path]
    assert asked == ["SRX1,SRX2,SRX3", "SRX4,SRX5,SRX6", "SRX7", "0", "3", "6"]


def test_a_key_raises_the_rate_and_is_sent(
    tmp_path: Path, small: SmallArchives, spaces: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    small.packages = two_cells()[1]
    plan(tmp_path / "first", "SRX2", small=small)
    monkeypatch.setenv("NCBI_API_KEY", "secret")
    plan(tmp_path, "SRX1", small=small)
    keys = [form.get("api_key") for path, form in small.requests if "eutils" in path]
    assert keys == [None, None, None, "secret", "secret", "secret"]  # for the experiment, then for all of its series
    assert spaces == 3 * [1 / 3] + 3 * [1 / 10]
    assert b"secret" not in (tmp_path / "results" / "plan.tsv").read_bytes()
