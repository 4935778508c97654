"""What GEO says of the counted samples: the tarball and the two tables."""

import csv
import gzip
import json
import re
import tarfile
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest import metadata
from scripts.plan.run_table import Run, write_runs
from tests.records.small_archives import family, keep, package, package_set, run, sample

COUNTED = Run(series="GSE1", exp_id="GSE1", species="mus", status="counted")


def gather(tmp_path: Path, rows: list[Run], species: str = "mus") -> dict[str, dict]:
    """Gather and return exp_id → the content of its JSON file."""
    write_runs(tmp_path / "runs.tsv", rows)
    words = ["--ledger", str(tmp_path / "runs.tsv"), "--records", str(tmp_path / "records"), "--species", species]
    words += ["--archive", str(tmp_path / "meta.tgz"), "--samples", str(tmp_path / "samples.csv")]
    metadata.main([*words, "--series", str(tmp_path / "series.csv")])
    found = {}
    with tarfile.open(tmp_path / "meta.tgz") as archive:
        for member in archive:
            folder, name = member.name.split("/")
            assert folder == f"{species}_meta"
            assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "root", 0o644)
            found[name.removesuffix(".metadata.json")] = json.loads(archive.extractfile(member).read())
    assert not list(tmp_path.glob("*.part"))
    return found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def cell(number: int, **more: object) -> Run:
    return COUNTED._replace(sample=f"GSM{number}", experiment=f"SRX{number}", run=f"SRR{number}")._replace(**more)


def soft() -> str:
    described = ["characteristics_ch1 = age: P1; old", "characteristics_ch1 = strain: B6", "platform_id = GPL2"]
    samples = [sample(f"GSM{n}", [f"SRX{n}"], title=f'cell {n}, "é"', more=described) for n in (3, 1, 2)]
    return family("GSE1", samples, platforms=["GPL2", "GPL1"], table_rows=9, relations=["BioProject: x/PRJNA1"])


def test_the_content_is_that_of_the_family_file(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    rows = [cell(1), cell(2), cell(3, status="failed", reason="ALIGN_FAILED"), cell(4, species="homo")]
    found = gather(tmp_path, rows)
    assert list(found) == ["GSE1"]
    assert list(found["GSE1"]) == ["GSM1", "GSM2"]  # counted, in the order of their accessions
    cell_data = found["GSE1"]["GSM1"]
    assert sorted(cell_data) == ["platform_data", "sample_data", "series_data"]
    assert cell_data["series_data"]["summary"] == ["First = second, über"]
    assert cell_data["sample_data"]["characteristics_ch1"] == ["age: P1; old", "strain: B6"]
    assert cell_data["sample_data"]["geo_accession"] == ["GSM1"]
    assert cell_data["platform_data"] == [
        {"gpl_key": "GPL1", "title": ["NextSeq"]},
        {"gpl_key": "GPL2", "title": ["NextSeq"]},
    ]
    assert cell_data["series_data"] == found["GSE1"]["GSM2"]["series_data"]


def test_the_tables(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    gather(tmp_path, [cell(1), cell(2)])
    assert table(tmp_path / "samples.csv")[0] == {
        "doc_id": "GSE1",
        "geo_accession": "GSM1",
        "title": 'cell 1, "é"',
        "treatment_protocol_ch1": "",
        "taxid_ch1": "10090",
        "characteristics_ch1": "age: P1; old;strain: B6",
        "platform_id": "GPL2",
    }
    (series,) = table(tmp_path / "series.csv")
    assert list(series) == [
        *("doc_id", "title", "overall_design", "summary", "platform_id", "pubmed_id", "sample_taxid", "relation")
    ]
    assert (series["doc_id"], series["title"], series["pubmed_id"]) == ("GSE1", "Title of GSE1", "1")
    assert b"\r" not in (tmp_path / "samples.csv").read_bytes() + (tmp_path / "series.csv").read_bytes()


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    names = ("meta.tgz", "samples.csv", "series.csv")
    keep(tmp_path / "records", "GSE1", soft())
    gather(tmp_path, [cell(1), cell(2)])
    first = [(tmp_path / name).read_bytes() for name in names]
    gather(tmp_path, [cell(2), cell(1)])
    assert [(tmp_path / name).read_bytes() for name in names] == first
    assert first[0][3:8] == b"\0\0\0\0\0"  # gzip: no flags (name), no time


def test_json_is_sorted_and_keeps_its_letters(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    gather(tmp_path, [cell(1), cell(2)])
    with tarfile.open(tmp_path / "meta.tgz") as archive:
        text = archive.extractfile("mus_meta/GSE1.metadata.json").read()
    assert text == json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False).encode() + b"\n"
    assert "über".encode() in text


def test_the_identifier_of_entrez_joins_too(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    assert list(gather(tmp_path, [cell(1, exp_id="200000001")])) == ["200000001"]
    assert table(tmp_path / "samples.csv")[0]["doc_id"] == "200000001"


def test_a_superseries_has_its_samples_from_its_parts(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE9", family("GSE9", relations=["SuperSeries of: GSE1", "SuperSeries of: GSE9"]))
    keep(tmp_path / "records", "GSE1", soft())
    found = gather(tmp_path, [cell(2, series="GSE9", exp_id="GSE9")])
    assert found["GSE9"]["GSM2"]["series_data"]["title"] == ["Title of GSE9"]
    assert found["GSE9"]["GSM2"]["sample_data"]["title"] == ['cell 2, "é"']


def test_a_series_that_geo_does_not_have_is_described_by_sra(tmp_path: Path) -> None:
    xml = package_set(package("SRX1", [run("SRR1")], gse=""), package("SRX2", [run("SRR2")], gse="", taxon=("1", "x")))
    keep(tmp_path / "records", "SRP1", xml=xml)
    found = gather(tmp_path, [cell(1, series="SRP1", exp_id="SRP1", sample="")])
    assert list(found["SRP1"]) == ["SRX1"]
    cell_data = found["SRP1"]["SRX1"]
    assert cell_data["platform_data"] == []
    assert cell_data["series_data"] == {"title": ["Study"], "relation": ["BioProject: PRJNA1", "SRA: SRP1"]}
    assert cell_data["sample_data"]["characteristics_ch1"] == ["tissue: brain"]
    assert cell_data["sample_data"]["taxid_ch1"] == ["10090"]


def test_a_study_of_geo_samples_is_described_by_geo(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    keep(tmp_path / "records", "PRJNA1", xml=package_set(package("SRX1", [run("SRR1")], gsm="GSM1")))
    found = gather(tmp_path, [cell(1, series="PRJNA1", exp_id="PRJNA1")])
    assert found["PRJNA1"]["GSM1"]["sample_data"]["characteristics_ch1"][1] == "strain: B6"


def test_records_of_single_runs(tmp_path: Path) -> None:
    keep(tmp_path / "records", "SRR1", xml=package_set(package("SRX1", [run("SRR1")], gsm="GSM1")))
    assert gather(tmp_path, [cell(1)])["GSE1"]["GSM1"]["sample_data"]["title"] == ["cell"]


def test_nothing_counted_and_nothing_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gather(tmp_path, [cell(1, status="left_out")]) == {}
    assert table(tmp_path / "samples.csv") == table(tmp_path / "series.csv") == []
    assert gather(tmp_path, [cell(1, series="local", exp_id="local", sample="")]) == {}
    assert "local: there is no record of it, so it has no metadata." in capsys.readouterr().err


def test_two_series_of_one_identifier_are_refused(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    keep(tmp_path / "records", "GSE2", soft().replace("GSE1", "GSE2"))
    with pytest.raises(InputError, match="GSE1 and GSE2 share the exp_id X; give each series its own"):
        gather(tmp_path, [cell(1, exp_id="X"), cell(2, series="GSE2", exp_id="X")])
    assert not (tmp_path / "meta.tgz").exists()


def test_a_damaged_family_file_is_reported(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", soft())
    path = tmp_path / "records" / "GSE1" / "GSE1_family.soft.gz"
    path.write_bytes(gzip.compress(soft().encode())[:-9])
    with pytest.raises(InputError, match=r"GSE1_family\.soft\.gz: it is cut short"):
        gather(tmp_path, [cell(1)])


def text_of(cell: str) -> str:
    """The text of a cell by docs/formats.md: without the first apostrophe, where a formula would follow it."""
    follows = cell.removeprefix("'").lstrip("'")
    number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell.removeprefix("'"))
    return cell[1:] if cell[:1] == "'" and follows[:1] in tuple("=+-@\t\r\n＝＋－＠") and not number else cell


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+49 30 1", "'+49 30 1"),
        ("-80 °C", "'-80 °C"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
        ("'=1", "''=1"),
        ("''=1", "'''=1"),
        ("'-1.5", "''-1.5"),
        ("-1.5", "-1.5"),
        ("+2e-3", "+2e-3"),
        ("-.5", "-.5"),
        ("-1.5;=2", "'-1.5;=2"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("", ""),
        ("'", "'"),
    ],
)
def test_no_cell_is_a_formula_and_each_can_be_read_back(text: str, written: str) -> None:
    assert metadata.without_formula(text) == written
    assert text_of(written) == text


def test_titles_of_others_are_no_formulas(tmp_path: Path) -> None:
    formula = '=cmd|"/C calc"!A0'
    keep(tmp_path / "records", "GSE1", family("GSE1", [sample("GSM1", ["SRX1"], title=formula)], platforms=["GPL1"]))
    found = gather(tmp_path, [cell(1)])
    assert found["GSE1"]["GSM1"]["sample_data"]["title"] == [formula]
    assert table(tmp_path / "samples.csv")[0]["title"] == f"'{formula}"
