"""What is kept: complete records, what they lack is asked for again, and all of them where `refresh` says so."""

import gzip
import json
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records.answers import record_files
from scripts.records.answers.record_files import Answers, RecordWriter
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, keep, package, package_set, run, sample

ENA = "run_accession\texperiment_accession\n"


def test_what_a_placed_record_lacks_is_asked_for(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    keep(tmp_path / "records", "GSE1", soft, package_set(small.packages["SRX1"]))
    rows = plan(tmp_path, "GSE1")  # no network
    assert rows["SRX2"][0].detail == (
        "The record that is kept of GSE1 has no such experiment, and no archive could be asked."
    )
    small.before = lambda path, form: (503, b"") if "eutils" in path else None
    with pytest.raises(InputError, match=r"GSE1: SRX2: NCBI: .* 503"):
        plan(tmp_path, "GSE1", small=small)
    small.before = lambda path, form: None
    small.requests.clear()
    rows = plan(tmp_path, "GSE1", small=small)
    assert sorted(rows) == ["SRR1", "SRR2", "SRR3"]
    assert [form["id"] for path, form in small.requests if "efetch" in path] == ["SRX2"]
    assert plan(tmp_path, "GSE1") == rows


def test_what_our_record_lacks_ends_the_look_up(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    plan(tmp_path, "GSE1", small=small)
    keep(tmp_path / "records", "GSE1", soft + sample("GSM3", ["SRX3"]))  # GEO has a sample more
    with pytest.raises(InputError, match="GSE1: SRX3: NCBI: "):
        plan(tmp_path, "GSE1")
    rows = plan(tmp_path, "GSE1", small=small)
    assert rows["SRX3"][0].reason == "NO_RUN"
    assert plan(tmp_path, "GSE1") == rows


def test_a_record_of_a_look_up_that_was_killed_is_not_used(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    small.reports["PRJNA1"] = f"{ENA}SRR1\tSRX1\n"
    rows = plan(tmp_path, "GSE1", small=small)
    folder = tmp_path / "records" / "GSE1"
    for gone in ("sra.xml.gz", "ena.tsv.gz"):
        (folder / gone).unlink()  # as if it had not been written yet
        small.requests.clear()
        assert plan(tmp_path, "GSE1", small=small) == rows
        assert [path for path, _ in small.requests] == ["/eutils/efetch.fcgi", "/ena/portal/api/filereport"]


def test_a_record_that_a_person_replaced_is_used(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    plan(tmp_path, "GSE1", small=small)
    texts = [text.replace('total_spots="10"', 'total_spots="11"') for text in small.packages.values()]
    keep(tmp_path / "records", "GSE1", xml=package_set(*texts))
    assert plan(tmp_path, "GSE1")["SRR1"][0].spots == "11"


def test_a_writer_keeps_nothing_before_its_end(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "GSE1") as writer:
        writer.add(package("SRX1", []).encode())
    assert not (tmp_path / "GSE1").exists()
    answers = Answers({"SRX2": "gone"}, ("GSM1",), ("GSE2",))
    with RecordWriter(tmp_path / "GSE1") as writer:
        writer.add(package("SRX1", []).encode())
        writer.commit(ENA.encode(), answers)
    folder = tmp_path / "GSE1"
    assert sorted(path.name for path in folder.iterdir()) == ["answers.json", "ena.tsv.gz", "sra.xml.gz"]
    assert gzip.decompress((folder / "sra.xml.gz").read_bytes()).count(b"<EXPERIMENT_PACKAGE>") == 1
    found = record_files.answers_of(folder)
    assert found is not None
    assert (found.absent, list(found.unlinked), list(found.no_family)) == ({"SRX2": "gone"}, ["GSM1"], ["GSE2"])
    for text in ("", "{", "[]", '{"files": 1}', json.dumps({"files": {"sra.xml.gz": "0"}})):
        (folder / "answers.json").write_text(text)
        assert record_files.answers_of(folder) is None
        assert record_files.is_placed(folder)


def changed(small: SmallArchives) -> None:
    """SRR2 is gone, SRR3 has other spots, SRR4 is new."""
    small.packages["SRX1"] = package("SRX1", [run("SRR1", spots=10)], gsm="GSM1")
    small.packages["SRX2"] = package("SRX2", [run("SRR3", lengths=(50,), spots=7), run("SRR4")], gsm="GSM2")


@pytest.mark.parametrize("refresh", ["GSE1", "all", "SRX1"])
def test_a_refresh_asks_anew_and_says_what_changed(
    tmp_path: Path, small: SmallArchives, capsys: pytest.CaptureFixture[str], refresh: str
) -> None:
    asked = "SRX1" if refresh == "SRX1" else "GSE1"
    small.families["GSE1"], small.packages = two_cells()
    plan(tmp_path, asked, small=small)
    changed(small)
    old = plan(tmp_path, asked, small=small)
    assert "SRR2" in old
    capsys.readouterr()
    rows = plan(tmp_path, asked, small=small, options=["--refresh", refresh])
    assert sorted(rows) == (["SRR1"] if asked == "SRX1" else ["SRR1", "SRR3", "SRR4"])
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == (
        "GSE1, asked for again: 1 run(s) new (SRR4); 1 run(s) gone (SRR2); 1 run(s) with other counts of spots (SRR3)."
    )
    assert plan(tmp_path, asked) == rows
    plan(tmp_path, asked, small=small, options=["--refresh", refresh])
    assert capsys.readouterr().out.splitlines()[-1] == "GSE1, asked for again: no run is new or gone (3)."


@pytest.mark.parametrize("word", ["/geo", "efetch"])
def test_a_refresh_that_fails_replaces_nothing(tmp_path: Path, small: SmallArchives, word: str) -> None:
    small.families["GSE1"], small.packages = two_cells()
    old = plan(tmp_path, "GSE1", small=small)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "records" / "GSE1").iterdir()}
    changed(small)
    small.families["GSE1"] += sample("GSM3", ["SRX3"])
    small.before = lambda path, form: (503, b"") if word in path else None
    with pytest.raises(InputError, match="The look-up could not be completed"):
        plan(tmp_path, "GSE1", small=small, options=["--refresh", "all"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "records" / "GSE1").iterdir()} == kept
    assert plan(tmp_path, "GSE1") == old


def test_a_refresh_of_something_else(tmp_path: Path, small: SmallArchives, capsys: pytest.CaptureFixture[str]) -> None:
    small.families["GSE1"], small.packages = two_cells()
    plan(tmp_path, "GSE1", small=small)
    small.requests.clear()
    plan(tmp_path, "GSE1", small=small, options=["--refresh", "GSE7"])
    assert small.requests == []
    assert capsys.readouterr().out.splitlines()[-1] == "refresh: GSE7 is not in the plan."


def test_ena_does_not_replace_a_record_of_ncbi(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    small.reports["PRJNA1"] = f"{ENA}SRR1\tSRX1\nSRR3\tSRX2\n"
    old = plan(tmp_path, "GSE1", small=small)
    small.before = lambda path, form: (503, b"") if "eutils" in path else None
    with pytest.raises(InputError, match=r"GSE1: SRX1, SRX2: NCBI: .* 503"):
        plan(tmp_path, "GSE1", small=small, options=["--refresh", "all"])
    assert plan(tmp_path, "GSE1") == old


def test_a_refresh_of_runs_that_are_all_gone(
    tmp_path: Path, small: SmallArchives, capsys: pytest.CaptureFixture[str]
) -> None:
    small.families["GSE1"], small.packages = two_cells()
    plan(tmp_path, "GSE1", small=small)
    small.packages.clear()
    rows = plan(tmp_path, "GSE1", small=small, options=["--refresh", "all"])
    assert {group[0].reason for group in rows.values()} == {"NO_RUN"}
    assert capsys.readouterr().out.splitlines()[-1] == "GSE1, asked for again: 3 run(s) gone (SRR1, SRR2, SRR3)."
    assert plan(tmp_path, "GSE1") == rows


def test_samples_that_geo_took_out_are_described_still(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    plan(tmp_path, "GSE1", small=small)
    small.families["GSE1"] = small.families["GSE1"].partition("^SAMPLE = GSM2")[0].replace("= cell", "= renamed")
    for _ in range(2):
        plan(tmp_path, "GSE1", small=small, options=["--refresh", "all"])
        described = [
            (entity.accession, entity.first("title"))
            for family in record_files.walk_families(tmp_path / "records", "GSE1", set())
            for entity in family
            if entity.kind == "sample"
        ]
        assert described == [("GSM1", "renamed"), ("GSM1", "cell"), ("GSM2", "cell")]  # the first of each holds
