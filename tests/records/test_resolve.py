"""Accessions to runs, on small records: those that lie there, those that a loopback server gives, and hostile ones."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.core.http import RateLimit
from scripts.plan.run_table import Run, read_runs
from scripts.records import client, resolve
from tests.records.small_archives import SmallArchives, family, keep, package, package_set, run, sample

HUMAN, MOUSE, FISH = ("9606", "Homo sapiens"), ("10090", "Mus musculus"), ("7955", "Danio rerio")
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def spaces(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The spaces between requests that the rate limit would keep; here nobody waits."""
    kept: list[float] = []
    monkeypatch.setattr(RateLimit, "wait", lambda self: kept.append(self.interval))
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    return kept


@pytest.fixture
def small() -> Iterator[SmallArchives]:
    archives = SmallArchives()
    yield archives
    archives.close()


def plan(tmp_path: Path, *words: str, small: SmallArchives | None = None) -> dict[str, list[Run]]:
    """Resolve and return run (or, without one, experiment or sample or series) → rows."""
    url = small.url if small else UNREACHABLE
    command = ["--series", *words, "--species", "homo=9606", "mus=10090", "--first-wait", "0.01", "--retries", "3"]
    command += ["--geo", f"{url}/geo", "--eutils", f"{url}/eutils", "--ena", f"{url}/ena"]
    command += ["--records", str(tmp_path / "records"), "--evidence", str(tmp_path / "work" / "evidence.jsonl")]
    resolve.main([*command, "--output", str(tmp_path / "results" / "plan.tsv")])
    rows: dict[str, list[Run]] = {}
    for row in read_runs(tmp_path / "results" / "plan.tsv"):
        rows.setdefault(row.run or row.experiment or row.sample or row.series, []).append(row)
    return rows


def two_cells(gse: str = "GSE1") -> tuple[str, dict[str, str]]:
    """A family of two samples, the first with two runs, and its packages."""
    soft = family(
        gse,
        [sample("GSM1", ["SRX1"], series=[gse]), sample("GSM2", ["SRX2"], series=[gse])],
        relations=["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"],
    )
    packages = {
        "SRX1": package("SRX1", [run("SRR1", spots=10), run("SRR2", spots=20)], gsm="GSM1", gse=gse),
        "SRX2": package("SRX2", [run("SRR3", lengths=(50,))], gsm="GSM2", gse=gse, layout="SINGLE"),
    }
    return soft, packages


def test_records_that_lie_there_are_used_and_nothing_is_asked(tmp_path: Path, small: SmallArchives) -> None:
    soft, packages = two_cells()
    keep(tmp_path / "records", "GSE1", soft, package_set(*packages.values()), "run_accession\n")
    rows = plan(tmp_path, "GSE1", small=small)
    assert small.requests == []
    assert rows["SRR2"] == [
        Run(
            series="GSE1",
            exp_id="GSE1",
            sample="GSM1",
            experiment="SRX1",
            run="SRR2",
            tax_id="10090",
            organism="Mus musculus",
            species="mus",
            assay="plate",
            layout="paired",
            spots="20",
            bases="3000",
            bytes="1000",
            md5="0" * 32,
            source="sra",
            status="planned",
        )
    ]
    assert {name: group[0].layout for name, group in rows.items()} == {
        "SRR1": "paired",
        "SRR2": "paired",
        "SRR3": "single",
    }


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
    assert set(kept) == {"GSE1_family.soft.gz", "sra.xml.gz", "ena.tsv.gz"}
    assert gzip.decompress(kept["GSE1_family.soft.gz"].read_bytes()).decode() == soft
    assert small.packages["SRX2"] in gzip.decompress(kept["sra.xml.gz"].read_bytes()).decode()
    plan_bytes = (tmp_path / "results" / "plan.tsv").read_bytes()
    evidence = (tmp_path / "work" / "evidence.jsonl").read_bytes()
    small.requests.clear()
    assert plan(tmp_path, "GSE1", small=small) == first
    assert small.requests == []
    assert (tmp_path / "results" / "plan.tsv").read_bytes() == plan_bytes
    assert (tmp_path / "work" / "evidence.jsonl").read_bytes() == evidence


def test_only_the_xml_lies_there_and_there_is_no_network(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", xml=package_set(*two_cells()[1].values()))
    rows = plan(tmp_path, "GSE1")
    assert sorted(rows) == ["SRR1", "SRR2", "SRR3"]
    assert {row.detail for group in rows.values() for row in group} == {
        "GEO's family file of GSE1 could not be fetched."
    }
    assert rows["SRR3"][0].sample == "GSM2"


def test_only_the_family_lies_there_and_there_is_no_network(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", two_cells()[0])
    rows = plan(tmp_path, "GSE1")
    assert {name: (group[0].reason, group[0].sample) for name, group in rows.items()} == {
        "SRX1": ("NO_RUN", "GSM1"),
        "SRX2": ("NO_RUN", "GSM2"),
    }
    assert rows["SRX1"][0].detail == "No archive could be asked for its runs."


def test_nothing_lies_there_and_there_is_no_network(tmp_path: Path) -> None:
    rows = plan(tmp_path, "GSE1", "SRP7", "GSM5", "SRR6")
    assert {(row.series, row.sample, row.reason) for group in rows.values() for row in group} == {
        ("GSE1", "", "NO_RUN"),
        ("SRP7", "", "NO_RUN"),
        ("", "GSM5", "NO_RUN"),
        ("", "", "NO_RUN"),
    }
    assert rows[""][0].detail == "SRR6: No archive could be asked for its runs."


def test_a_failing_source_is_replaced_by_the_other(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = two_cells()[0]
    small.reports["PRJNA1"] = (
        "run_accession\texperiment_accession\tsample_alias\ttax_id\tscientific_name\tlibrary_layout\tread_count\n"
        "SRR1\tSRX1\tGSM1\t10090\tMus musculus\tPAIRED\t10\nSRR9\tSRX9\tGSM9\t10090\tMus musculus\tPAIRED\t10\n"
    )
    small.before = lambda path, form: (500, b"") if path.startswith("/eutils") else None
    rows = plan(tmp_path, "GSE1", small=small)
    assert rows["SRR1"][0].detail == "Runs from ENA, not from NCBI."
    assert (rows["SRR1"][0].spots, rows["SRR1"][0].layout, rows["SRR1"][0].status) == ("10", "paired", "planned")
    assert "SRR9" not in rows  # of the project, but not of the series
    assert rows["SRX2"][0].detail == "The archive has no public run of the experiment. Runs from ENA, not from NCBI."
    assert plan(tmp_path, "GSE1", small=small) == rows  # the same words when ENA's record lies there


def test_when_no_source_tells_the_runs_the_fault_is_told(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = two_cells()[0]
    small.before = lambda path, form: None if path.startswith("/geo") else (503, b"")
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "GSE1", "SRP5", "SRX7", "GSM8", small=small)
    assert str(caught.value).splitlines() == [
        "The look-up needs 3 correction(s):",
        "GSE1: its runs could not be looked up; try again later.",
        "SRP5: its runs could not be looked up; try again later.",
        "SRX7, GSM8: no archive could be asked for them; try again later.",
    ]
    assert not (tmp_path / "results" / "plan.tsv").exists()
    assert (tmp_path / "records" / "GSE1" / "GSE1_family.soft.gz").exists()


def test_ena_that_has_not_heard_of_the_series_is_no_witness(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    small.before = lambda path, form: (500, b"") if path.startswith("/eutils") else None
    for asked, told in (("GSE1", "GSE1: its runs"), ("SRP1", "SRP1: its runs")):
        with pytest.raises(InputError, match=f"{told} could not be looked up; try again later"):
            plan(tmp_path, asked, small=small)
    small.before = lambda path, form: None
    assert len(plan(tmp_path, "GSE1", small=small)) == 3


def test_geo_gives_a_web_page(tmp_path: Path, small: SmallArchives) -> None:
    small.packages = two_cells()[1]
    small.before = lambda path, form: (200, b"<!DOCTYPE html><html>captcha</html>") if "/geo/" in path else None
    rows = plan(tmp_path, "GSE1", small=small)
    assert sorted(rows) == ["SRR1", "SRR2", "SRR3"]
    assert rows["SRR1"][0].detail == "GEO's family file of GSE1 could not be fetched."
    assert not list((tmp_path / "records" / "GSE1").glob("*family*"))


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
            return status, body[: len(body) * 2 // 3]  # a length that fits: only the content tells
        return None

    small.before = before
    assert sorted(plan(tmp_path, "GSE1", small=small)) == ["SRR1", "SRR2", "SRR3"]
    assert cuts == []
    assert len(list((tmp_path / "records" / "GSE1").iterdir())) == 3


def test_samples_without_experiments_and_experiments_without_runs(tmp_path: Path) -> None:
    soft = family(
        "GSE1", [sample("GSM1", ["SRX1"]), sample("GSM2"), sample("GSM3", ["SRX3"]), sample("GSM4", ["SRX4"])]
    )
    xml = package_set(package("SRX1", [run("SRR1")], gsm="GSM1"), package("SRX3", [], gsm="GSM3"))
    keep(tmp_path / "records", "GSE1", soft, xml)
    rows = plan(tmp_path, "GSE1")
    told = {name: (group[0].sample, group[0].status, group[0].reason, group[0].detail) for name, group in rows.items()}
    assert told == {
        "SRR1": ("GSM1", "planned", "", ""),
        "GSM2": ("GSM2", "left_out", "NO_RUN", "GEO names no SRA experiment for the sample."),
        "SRX3": ("GSM3", "left_out", "NO_RUN", "The archive has the experiment, but no run of it."),
        "SRX4": ("GSM4", "left_out", "NO_RUN", "The archive has no public run of the experiment."),
    }
    assert rows["GSM2"][0].species == "mus"


def test_a_sample_that_is_listed_but_not_described(tmp_path: Path) -> None:
    soft, packages = two_cells()
    soft = soft.replace("^SAMPLE", "!Series_sample_id = GSM1\n!Series_sample_id = GSM7\n^SAMPLE", 1)
    soft = soft.replace("!Series_title", "!Series_sample_id = GSM7\n!Series_sample_id = GSM1\n!Series_title")
    keep(tmp_path / "records", "GSE1", soft, package_set(*packages.values()))
    rows = plan(tmp_path, "GSE1")
    assert sorted(rows) == ["GSM7", "SRR1", "SRR2", "SRR3"]
    assert (rows["GSM7"][0].reason, rows["GSM7"][0].detail) == (
        "NO_RUN",
        "GEO lists the sample, but does not describe it.",
    )


def test_a_series_without_samples_and_one_that_nobody_knows(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = family("GSE1")
    rows = plan(tmp_path, "GSE1", "GSE2", small=small)
    assert rows["GSE1"][0].detail == "The series has no sample with a run."
    told = "The series has no sample with a run. GEO's family file of GSE2 could not be fetched."
    assert (rows["GSE2"][0].reason, rows["GSE2"][0].detail) == ("NO_RUN", told)


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


def test_a_run_that_is_not_public(tmp_path: Path, small: SmallArchives) -> None:
    error = b'<?xml version="1.0"?><ERROR>SRR1 is not public</ERROR>'
    small.before = lambda path, form: (200, error) if "efetch" in path else None
    (row,) = plan(tmp_path, "SRR1", small=small)[""]
    assert (row.run, row.status, row.reason) == ("", "left_out", "NO_RUN")
    assert row.detail == "SRR1: The archives know of no public run. NCBI says: SRR1 is not public."


def test_an_entity_bomb_in_a_record_is_told(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><EXPERIMENT_PACKAGE_SET>&b;</EXPERIMENT_PACKAGE_SET>'
    keep(tmp_path / "records", "GSE1", two_cells()[0], bomb)
    with pytest.raises(InputError, match=r"sra\.xml\.gz: the document declares entities"):
        plan(tmp_path, "GSE1")


def test_a_superseries_of_superseries_in_a_circle(tmp_path: Path, small: SmallArchives) -> None:
    part_of = "SuperSeries of: {}".format
    small.families = {
        "GSE1": family("GSE1", relations=[part_of("GSE2"), part_of("GSE3")]),
        "GSE2": family("GSE2", relations=[part_of("GSE4"), part_of("GSE1")]),
        "GSE3": family("GSE3", [sample("GSM3", ["SRX3"], series=["GSE3", "GSE1"])]),
        "GSE4": family(
            "GSE4",
            [sample("GSM4", ["SRX4"], series=["GSE4", "GSE2"]), sample("GSM3", ["SRX3"], series=["GSE3"])],
            relations=[part_of("GSE2"), part_of("../../GSE5"), part_of("GSE9")],
        ),
    }
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", gse=f"GSE{n}") for n in (3, 4)}
    rows = plan(tmp_path, "GSE1", small=small)
    assert sorted(rows) == ["SRR3", "SRR4"]
    assert {group[0].series for group in rows.values()} == {"GSE1"}
    assert rows["SRR4"][0].detail == (
        "GEO's family file of GSE9 (a part of GSE1) could not be fetched. Of GSE4, GSE2, a part of the SuperSeries."
    )
    assert sorted(path.name for path in (tmp_path / "records").iterdir() if path.name[0] != ".") == [
        "GSE1",
        "GSE2",
        "GSE3",
        "GSE4",
    ]


def test_a_superseries_that_holds_its_samples_is_not_walked(tmp_path: Path, small: SmallArchives) -> None:
    series = ["GSE2", "GSE1"]
    small.families["GSE1"] = family(
        "GSE1", [sample("GSM1", ["SRX1"], series=series)], relations=["SuperSeries of: GSE2"]
    )
    small.packages["SRX1"] = package("SRX1", [run("SRR1")], gsm="GSM1", gse="GSE2")
    rows = plan(tmp_path, "GSE1", small=small)
    assert len([path for path, _ in small.requests if "/geo/" in path]) == 1
    assert rows["SRR1"][0].detail == "Of GSE2, a part of the SuperSeries."


def test_a_run_of_two_series_is_one_row(tmp_path: Path) -> None:
    soft, packages = two_cells()
    xml = package_set(*packages.values())
    for name in ("GSE1", "GSE2"):
        keep(tmp_path / "records", name, soft.replace("GSE1", name), xml)
    for asked in (["GSE1", "GSE2"], ["GSE2", "GSE1"], ["GSE1", "GSE2", "GSE1", "GSE2"]):
        rows = plan(tmp_path, *asked)
        assert {len(group) for group in rows.values()} == {1}
        assert {group[0].series for group in rows.values()} == {asked[0]}
        assert {group[0].detail for group in rows.values()} == {f"Also in {asked[1]}."}


def test_a_series_of_two_platforms_and_a_sample_of_two_experiments(tmp_path: Path) -> None:
    samples = [sample("GSM1", ["SRX1", "SRX2"], more=["platform_id = GPL1"]), sample("GSM2", ["SRX2"])]
    soft = family("GSE1", samples, platforms=["GPL1", "GPL2"], table_rows=5)
    keep(tmp_path / "records", "GSE1", soft, package_set(*two_cells()[1].values()))
    rows = plan(tmp_path, "GSE1")
    assert rows["SRR1"][0].sample == "GSM1"
    assert rows["SRR3"][0].sample == "GSM1"
    assert (
        rows["SRR3"][0].detail == "GEO names the experiment for GSM1, GSM2. GEO says that the sample is GSM1, SRA GSM2."
    )


def test_species(tmp_path: Path) -> None:
    taxa = {
        "1": ([HUMAN], HUMAN),
        "2": ([HUMAN, MOUSE], HUMAN),  # two species, of which SRA knows one
        "3": ([MOUSE], HUMAN),
        "4": ([FISH], FISH),
        "5": ([HUMAN, FISH], FISH),
        "6": ([HUMAN, MOUSE], ("1427524", "mixed sample")),
        "7": ([], MOUSE),
    }
    samples = [sample(f"GSM{n}", [f"SRX{n}"], taxa=of_geo) for n, (of_geo, _) in taxa.items()]
    packages = [package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", taxon=of_sra) for n, (_, of_sra) in taxa.items()]
    keep(tmp_path / "records", "GSE1", family("GSE1", samples), package_set(*packages))
    rows = plan(tmp_path, "GSE1")
    told = {name: [(row.tax_id, row.species, row.status, row.detail) for row in group] for name, group in rows.items()}
    both = "A sample of homo and mus, counted in each."
    mixture = "SRA says mixed sample (1427524), GEO Homo sapiens (9606) and Mus musculus (10090): GEO is followed, "
    mixture += f"which names the species of the mixture. {both}"
    assert told == {
        "SRR1": [("9606", "homo", "planned", "")],
        "SRR2": [("9606", "homo", "planned", both), ("10090", "mus", "planned", both)],
        "SRR3": [
            ("9606", "homo", "planned", "SRA says Homo sapiens (9606), GEO Mus musculus (10090): SRA is followed.")
        ],
        "SRR4": [("7955", "", "left_out", "Danio rerio (tax id 7955) is not configured.")],
        "SRR5": [("9606", "homo", "planned", "It also holds Danio rerio (tax id 7955), not configured.")],
        "SRR6": [("9606", "homo", "planned", mixture), ("10090", "mus", "planned", mixture)],
        "SRR7": [("10090", "mus", "planned", "")],
    }
    assert rows["SRR4"][0].reason == "OTHER_SPECIES"


def test_the_pool_of_a_run_tells_its_species_and_samples(tmp_path: Path) -> None:
    members = [("GSM1", *HUMAN), ("GSM2", *MOUSE)]
    xml = package_set(package("SRX1", [run("SRR1", members=members)], gsm="GSM1", taxon=FISH))
    keep(tmp_path / "records", "GSE1", xml=xml)
    rows = plan(tmp_path, "GSE1")
    assert [row.species for row in rows["SRR1"]] == ["homo", "mus"]
    assert "The run pools the samples GSM1, GSM2." in rows["SRR1"][0].detail


def test_reasons(tmp_path: Path) -> None:
    bam = [("a.bam", "10X Genomics bam file", 7, ""), ("SRR6", "SRA Normalized", 5, "1" * 32)]
    packages = [
        package("SRX1", [run("SRR1")], gsm="GSM1", strategy="WGS", source="GENOMIC"),
        package("SRX2", [run("SRR2")], gsm="GSM2", library="S1_HTO"),
        package("SRX3", [run("SRR3")], gsm="GSM3", title="bulk control", source="TRANSCRIPTOMIC"),
        package("SRX4", [run("SRR4", cluster="dbgap")], gsm="GSM4"),
        package("SRX5", [run("SRR5", files=[("SRR5.lite", "SRA Lite", 9, "2" * 32)])], gsm="GSM5"),
        package("SRX6", [run("SRR6", lengths=(98,), files=bam)], gsm="GSM6"),
        package("SRX7", [run("SRR7", lengths=(8, 28, 91))], gsm="GSM7"),
    ]
    link = '<Alternatives url="s3://x/a.bam" access_type="Use Cloud Data Delivery"/>'  # not for everybody
    packages[5] = packages[5].replace(' url="https://example.org/a.bam"/>', f">{link}</SRAFile>")
    keep(tmp_path / "records", "GSE1", family("GSE1", [sample("GSM2", ["SRX2"])]), package_set(*packages))
    rows = {name: group[0] for name, group in plan(tmp_path, "GSE1").items()}
    assert {name: row.reason for name, row in rows.items()} == {
        "SRR1": "NOT_RNA",
        "SRR2": "NOT_RNA",
        "SRR3": "NOT_SINGLE_CELL",
        "SRR4": "CONTROLLED_ACCESS",
        "SRR5": "",
        "SRR6": "BARCODE_LOST",
        "SRR7": "",
    }
    assert rows["SRR5"].detail == "Only SRA Lite (simplified qualities) is on offer."
    assert (rows["SRR5"].bytes, rows["SRR5"].md5) == ("990", "")
    assert (rows["SRR6"].bytes, rows["SRR6"].md5) == ("5", "1" * 32)
    assert "s3://x/a.bam" in rows["SRR6"].detail
    assert (rows["SRR7"].assay, rows["SRR7"].read_roles) == ("droplet", "index,barcode,cdna")
    lines = (tmp_path / "work" / "evidence.jsonl").read_text().splitlines()
    evidence = {told["run"]: told for told in map(json.loads, lines)}
    assert sorted(evidence) == sorted(rows)
    assert evidence["SRR7"]["reads"][1] == {"length": 28.0, "stdev": 0.0, "count": 100, "kind": ""}
    assert evidence["SRR5"]["lite"] and not evidence["SRR5"]["full_quality"]


def test_a_bam_on_offer_stands_in_for_lost_barcodes(tmp_path: Path) -> None:
    bam = [("a.bam", "10X Genomics bam file", 7, "3" * 32), ("SRR1", "SRA Normalized", 5, "1" * 32)]
    text = package("SRX1", [run("SRR1", lengths=(98,), files=bam)], gse="")
    link = '<Alternatives url="https://x/a.bam" access_type="anonymous"/>'
    text = text.replace('url="https://example.org/a.bam"/>', f'url="https://example.org/a.bam">{link}</SRAFile>')
    for name in ("SRP1", "SRX1"):
        keep(tmp_path / "records", name, xml=package_set(text))
    (row,) = plan(tmp_path, "SRP1")["SRR1"]
    assert (row.status, row.reason, row.source, row.assay) == ("planned", "", "bam", "droplet")
    assert (row.bytes, row.md5) == ("7", "3" * 32)
    assert row.detail == "The archive lost the barcodes; the reads are those of the submitter's BAM, a.bam."
    (row,) = plan(tmp_path, "SRX1")["SRR1"]  # the download finds addresses in the record of a series only
    assert (row.status, row.reason, row.source) == ("left_out", "BARCODE_LOST", "sra")


def test_singles(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    rows = plan(tmp_path, "SRR2", "GSM2", "SRX2", "SRX9", "GSM9", small=small)
    assert {name: (group[0].series, group[0].sample, group[0].reason) for name, group in rows.items()} == {
        "SRR2": ("GSE1", "GSM1", ""),
        "SRR3": ("GSE1", "GSM2", ""),
        "SRX9": ("", "", "NO_RUN"),
        "GSM9": ("", "GSM9", "NO_RUN"),
    }
    assert sorted(path.name for path in (tmp_path / "records").iterdir() if path.name[0] != ".") == [
        "GSE1",
        "GSM2",
        "SRR2",
        "SRX2",
    ]
    small.requests.clear()
    assert plan(tmp_path, "SRR2", "GSM2", "SRX2", small=small).keys() == {"SRR2", "SRR3"}
    assert small.requests == []


def test_a_search_must_find_the_very_accession(tmp_path: Path, small: SmallArchives) -> None:
    other = package("SRX5", [run("SRR5")], gsm="GSM55", gse="GSE7", title="like GSM9 of GSE1", project="PRJNA5")
    small.packages = {"SRX5": other}
    rows = plan(tmp_path, "GSM9", "GSE1", small=small)
    assert {name: group[0].reason for name, group in rows.items()} == {"GSM9": "NO_RUN", "GSE1": "NO_RUN"}


def test_a_study_and_a_project(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft.replace(
        "!Sample_taxid_ch1 = 10090", "!Sample_taxid_ch1 = 10090\n!Sample_taxid_ch1 = 9606"
    )
    rows = plan(tmp_path, "PRJNA1", "SRP1", small=small)
    assert {group[0].series for group in rows.values()} == {"PRJNA1"}
    assert {len(group) for group in rows.values()} == {2}
    assert all(group[0].detail.endswith("Also in SRP1.") for group in rows.values())


def test_a_study_that_only_ena_has(tmp_path: Path, small: SmallArchives) -> None:
    small.reports["ERP1"] = (
        "run_accession\texperiment_accession\ttax_id\tscientific_name\tlibrary_layout\tread_count\tbase_count\n"
        "ERR1\tERX1\t9606\tHomo sapiens\tSINGLE\t5\t250\n"
    )
    rows = plan(tmp_path, "ERP1", small=small)
    row = rows["ERR1"][0]
    assert (row.series, row.experiment, row.sample, row.status, row.layout) == ("ERP1", "ERX1", "", "planned", "single")
    assert row.detail == "Runs from ENA, not from NCBI."
    assert plan(tmp_path, "ERP1", small=small) == rows


def test_what_a_long_answer_lacks_is_asked_for_once_more(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    hidden = [small.packages.pop("SRX2")]

    def before(path: str, form: dict[str, str]) -> None:
        if form.get("id") == "SRX2":
            small.packages["SRX2"] = hidden[0]

    small.before = before
    assert sorted(plan(tmp_path, "GSE1", small=small)) == ["SRR1", "SRR2", "SRR3"]


def test_a_project_above_others(tmp_path: Path, small: SmallArchives) -> None:
    above = "<STUDY_ATTRIBUTES><STUDY_ATTRIBUTE><TAG>parent_bioproject</TAG><VALUE>PRJNA7</VALUE></STUDY_ATTRIBUTE>"
    text = package("SRX1", [run("SRR1")], gse="").replace("</STUDY>", f"{above}</STUDY_ATTRIBUTES></STUDY>")
    other = package("SRX2", [run("SRR2")], gse="", title="not like PRJNA7", project="PRJNA8")
    small.packages = {"SRX1": text, "SRX2": other}
    rows = plan(tmp_path, "PRJNA7", small=small)
    assert list(rows) == ["SRR1"]
    assert rows["SRR1"][0].sample == "SRS1"  # no GEO sample: SRA's own
    assert plan(tmp_path, "PRJNA7", small=small) == rows


def test_long_reads_need_a_look(tmp_path: Path) -> None:
    platform = "<PLATFORM><PACBIO_SMRT><INSTRUMENT_MODEL>Sequel II</INSTRUMENT_MODEL></PACBIO_SMRT></PLATFORM>"
    text = package("SRX1", [run("SRR1")], gse="").replace("</EXPERIMENT>", f"{platform}</EXPERIMENT>")
    keep(tmp_path / "records", "SRP1", xml=package_set(text))
    (row,) = plan(tmp_path, "SRP1")["SRR1"]
    assert row.detail == "The reads are long ones (Sequel II), for which the alignment is not made."


def test_batches(tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BATCH", 3)
    numbers = range(1, 8)
    small.families["GSE1"] = family("GSE1", [sample(f"GSM{n}", [f"SRX{n}"]) for n in numbers])
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}") for n in numbers}
    assert len(plan(tmp_path, "GSE1", small=small)) == 7
    assert len(plan(tmp_path, "SRP1", small=small)) == 7
    asked = [form.get("id", form.get("retstart")) for path, form in small.requests if "efetch" in path]
    assert asked == ["SRX1,SRX2,SRX3", "SRX4,SRX5,SRX6", "SRX7", "0", "3", "6"]


def test_a_sample_with_a_path_for_a_name_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soft = family("GSE1", [sample("../../GSM1", ["SRX1"]), sample("GSM2", ["SRX2"])])
    keep(tmp_path / "records", "GSE1", soft, package_set(*two_cells()[1].values()))
    rows = plan(tmp_path, "GSE1")
    assert {group[0].sample for group in rows.values()} == {"GSM1", "GSM2"}  # SRA's own word for the first
    assert "'../../GSM1', which is no GSM accession; it is skipped" in capsys.readouterr().err


def test_what_is_asked_for_may_stand_in_files(tmp_path: Path) -> None:
    listed = tmp_path / "series.txt"
    listed.write_text("# two series\nGSE1\n\n GSE2  # the second\nGSE1\n")
    assert resolve.read_asked([str(listed), "SRX3", "GSE1"]) == ["GSE1", "GSE2", "SRX3"]


def test_malformed_accessions_are_told_at_once(tmp_path: Path) -> None:
    listed = tmp_path / "series.txt"
    listed.write_text("GSE1\nGSE\n")
    with pytest.raises(InputError) as caught:
        resolve.read_asked(["gse75140", str(listed), "SAMN05379703", "../GSE1", "X99", "SRS7"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "What is asked for needs 6 correction(s):"
    assert "'gse75140' is not an accession that can be looked up; did you mean GSE75140?" in lines
    assert any(re.search(r"series\.txt, line 2: 'GSE' is not an accession .*; e\.g\. GSE67835", line) for line in lines)
    assert sum("name the sample's experiments (SRX…) or runs (SRR…)" in line for line in lines) == 2
    assert any("../GSE1: the list of accessions cannot be read" in line for line in lines)


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="nothing is asked for"):
        resolve.read_asked([str(tmp_path / "none.txt")])


def test_a_run_table_is_planned_without_a_look_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.tsv").write_text(
        "run\tspecies\tassay\tsource\nA2\tmus\tplate\tfile:a.fastq.gz\nA1\thomo\tplate\t\n"
    )
    output = tmp_path / "plan.tsv"
    words = ["--run-table", str(tmp_path / "runs.tsv"), "--species", "homo=9606", "mus=10090", "--output", str(output)]
    resolve.main([*words, "--geo", UNREACHABLE, "--evidence", str(tmp_path / "evidence.jsonl")])
    assert [(row.run, row.source) for row in read_runs(output)] == [("A1", "sra"), ("A2", "file:a.fastq.gz")]
    assert (tmp_path / "evidence.jsonl").read_bytes() == b""
    assert "What will be counted:" in capsys.readouterr().out


def test_a_key_raises_the_rate_and_is_sent(
    tmp_path: Path, small: SmallArchives, spaces: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    small.packages = two_cells()[1]
    plan(tmp_path, "SRX2", small=small)
    monkeypatch.setenv("NCBI_API_KEY", "secret")
    plan(tmp_path, "SRX1", small=small)
    assert [form.get("api_key") for path, form in small.requests if "eutils" in path] == [None, "secret"]
    assert spaces == [1 / 3, 1 / 10]
    assert b"secret" not in (tmp_path / "results" / "plan.tsv").read_bytes()
