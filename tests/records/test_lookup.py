"""Accessions to runs, on small records: kept ones, those that a loopback server gives, and hostile ones."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, family, keep, package, package_set, run, sample


def test_kept_records_are_used_and_nothing_is_asked(tmp_path: Path, small: SmallArchives) -> None:
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


def test_only_the_xml_is_kept_and_there_is_no_network(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", xml=package_set(*two_cells()[1].values()))
    rows = plan(tmp_path, "GSE1")
    assert sorted(rows) == ["SRR1", "SRR2", "SRR3"]
    assert {row.detail for group in rows.values() for row in group} == {
        "GEO's family file of GSE1 could not be fetched."
    }
    assert rows["SRR3"][0].sample == "GSM2"


def test_only_the_family_file_is_kept_and_there_is_no_network(tmp_path: Path) -> None:
    keep(tmp_path / "records", "GSE1", two_cells()[0])
    with pytest.raises(InputError, match=r"GSE1: SRX1, SRX2: .*no connection.* ENA: .*no connection"):
        plan(tmp_path, "GSE1")
    assert not (tmp_path / "results").exists()
    assert [path.name for path in (tmp_path / "records" / "GSE1").iterdir()] == ["GSE1_family.soft.gz"]


def test_nothing_is_kept_and_there_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "GSE1", "SRP7", "GSM5", "SRR6")
    heading, *lines = str(caught.value).splitlines()
    assert heading == "The look-up could not be completed: no plan is written, and the same command asks again."
    assert [line.partition(":")[0] for line in lines] == [
        "GEO's family file of GSE1 could not be fetched",
        "SRP7",
        "SRR6",
        "GSM5",
    ]
    assert all("no connection: Connection refused" in line for line in lines)
    assert not (tmp_path / "results").exists()


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
    assert plan(tmp_path, "GSE1", small=small) == rows  # the same words when there is a record of ENA


def test_no_archive_gives_the_runs(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = two_cells()[0]
    small.before = lambda path, form: None if path.startswith("/geo") else (503, b"")
    with pytest.raises(InputError) as caught:
        plan(tmp_path, "GSE1", "SRP5", "SRX7", "GSM8", small=small)
    lines = str(caught.value).replace(small.url, "URL").splitlines()[1:]
    answer = "the server answered 503 Service Unavailable"
    ena = f"ENA: URL/ena/portal/api/filereport: {answer}"
    assert lines == [
        f"GSE1: SRX1, SRX2: NCBI: URL/eutils/efetch.fcgi: {answer} (2 tries). {ena} (2 tries).",
        f"SRP5: NCBI: URL/eutils/esearch.fcgi: {answer} (2 tries). {ena} (2 tries).",
        f"SRX7: NCBI: URL/eutils/efetch.fcgi: {answer} (2 tries). {ena} (2 tries).",
        f"GSM8: NCBI: URL/eutils/esearch.fcgi: {answer} (2 tries). {ena} (2 tries).",
    ]
    assert not (tmp_path / "results" / "plan.tsv").exists()
    assert (tmp_path / "records" / "GSE1" / "GSE1_family.soft.gz").exists()


def test_an_empty_answer_of_ena_is_no_answer(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"], small.packages = two_cells()
    small.before = lambda path, form: (500, b"") if path.startswith("/eutils") else None
    for asked, words in (("GSE1", "GSE1: SRX1, SRX2: NCBI: "), ("SRP1", "SRP1: NCBI: ")):
        with pytest.raises(InputError, match=f"{words}.* 500 .* ENA knows of no run of"):
            plan(tmp_path, asked, small=small)
    small.before = lambda path, form: None
    assert len(plan(tmp_path, "GSE1", small=small)) == 3


def test_samples_without_experiments_and_experiments_without_runs(tmp_path: Path) -> None:
    soft = family(
        "GSE1", [sample("GSM1", ["SRX1"]), sample("GSM2"), sample("GSM3", ["SRX3"]), sample("GSM4", ["SRX4"])]
    )
    xml = package_set(package("SRX1", [run("SRR1")], gsm="GSM1"), package("SRX3", [], gsm="GSM3"))
    keep(tmp_path / "records", "GSE1", soft, xml)
    rows = plan(tmp_path, "GSE1")
    words = {name: (group[0].sample, group[0].status, group[0].reason, group[0].detail) for name, group in rows.items()}
    kept = "The record that is kept of GSE1 has no such experiment, and no archive could be asked."
    assert words == {
        "SRR1": ("GSM1", "planned", "", ""),
        "GSM2": ("GSM2", "left_out", "NO_RUN", "GEO names no SRA experiment for the sample."),
        "SRX3": ("GSM3", "left_out", "NO_RUN", "The archive has the experiment, but no run of it."),
        "SRX4": ("GSM4", "left_out", "NO_RUN", kept),
    }
    assert rows["GSM2"][0].species == "mus"


def test_a_series_without_samples_and_one_that_nobody_knows(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = family("GSE1")
    rows = plan(tmp_path, "GSE1", "GSE2", small=small)
    assert rows["GSE1"][0].detail == "The series has no sample with a run."
    words = "The series has no sample with a run. GEO has no family file of GSE2."
    assert (rows["GSE2"][0].reason, rows["GSE2"][0].detail) == ("NO_RUN", words)


def test_a_run_that_is_not_public(tmp_path: Path, small: SmallArchives) -> None:
    error = b'<?xml version="1.0"?><ERROR>SRR1 is not public</ERROR>'
    small.before = lambda path, form: (200, error) if "efetch" in path else None
    (row,) = plan(tmp_path, "SRR1", small=small)[""]
    assert (row.run, row.status, row.reason) == ("", "left_out", "NO_RUN")
    assert row.detail == "SRR1: The archives know of no public run. NCBI says: SRR1 is not public."


def test_an_entity_bomb_in_a_record_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><EXPERIMENT_PACKAGE_SET>&b;</EXPERIMENT_PACKAGE_SET>'
    keep(tmp_path / "records", "GSE1", two_cells()[0], bomb)
    with pytest.raises(InputError, match=r"sra\.xml\.gz: the document declares entities"):
        plan(tmp_path, "GSE1")


def test_runs_that_were_not_asked_for_are_named(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    small.packages["SRX1"] = package("SRX1", [run(f"SRR{number}") for number in (1, 2, 4)], gsm="GSM1")
    (row,) = plan(tmp_path, "SRR2", small=small)["SRR2"]
    assert row.detail == "Of the runs of SRX1, SRR1, SRR4 were not asked for."


def test_single_accessions(tmp_path: Path, small: SmallArchives) -> None:
    soft, small.packages = two_cells()
    small.families["GSE1"] = soft
    rows = plan(tmp_path, "SRR2", "GSM2", "SRX2", "SRX9", "GSM9", small=small)
    assert {name: (group[0].series, group[0].sample, group[0].reason) for name, group in rows.items()} == {
        "SRR2": ("GSE1", "GSM1", ""),
        "SRR3": ("GSE1", "GSM2", ""),
        "SRX9": ("", "", "NO_RUN"),
        "GSM9": ("", "GSM9", "NO_RUN"),
    }
    assert rows["SRR2"][0].detail == "Of the runs of SRX1, SRR1 was not asked for."
    assert sorted(path.name for path in (tmp_path / "records").iterdir() if path.name[0] != ".") == [
        "GSE1",
        "homes.tsv",
    ]
    small.requests.clear()
    assert plan(tmp_path, "SRR2", "GSM2", "SRX2", "SRX9", "GSM9", small=small) == rows
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
        "run_accession\texperiment_accession\ttax_id\tscientific_name\tlibrary_layout\tread_count\tbase_count\tlibrary_source\n"
        "ERR1\tERX1\t9606\tHomo sapiens\tSINGLE\t5\t250\tTRANSCRIPTOMIC SINGLE CELL\n"
    )
    rows = plan(tmp_path, "ERP1", small=small)
    row = rows["ERR1"][0]
    assert (row.series, row.experiment, row.sample, row.status, row.layout) == ("ERP1", "ERX1", "", "planned", "single")
    assert row.detail == "Runs from ENA, not from NCBI."
    assert plan(tmp_path, "ERP1", small=small) == rows


def test_a_project_above_others(tmp_path: Path, small: SmallArchives) -> None:
    above = "<STUDY_ATTRIBUTES><STUDY_ATTRIBUTE><TAG>parent_bioproject</TAG><VALUE>PRJNA7</VALUE></STUDY_ATTRIBUTE>"
    text = package("SRX1", [run("SRR1")], gse="").replace("</STUDY>", f"{above}</STUDY_ATTRIBUTES></STUDY>")
    other = package("SRX2", [run("SRR2")], gse="", title="not like PRJNA7", project="PRJNA8")
    small.packages = {"SRX1": text, "SRX2": other}
    rows = plan(tmp_path, "PRJNA7", small=small)
    assert list(rows) == ["SRR1"]
    assert rows["SRR1"][0].sample == "SRS1"  # no GEO sample: SRA's own
    assert plan(tmp_path, "PRJNA7", small=small) == rows


@pytest.mark.parametrize("asked", ["SRS7", "SAMN8", "SRA9", "E-GEOD-1"])
def test_samples_and_submissions_by_all_their_names(tmp_path: Path, small: SmallArchives, asked: str) -> None:
    soft, packages = two_cells()
    small.families["GSE1"] = soft
    first = packages["SRX1"].replace('SAMPLE accession="SRS1"', 'SAMPLE accession="SRS7"')
    ids = '<IDENTIFIERS><EXTERNAL_ID namespace="BioSample">SAMN8</EXTERNAL_ID></IDENTIFIERS><TITLE>cell</TITLE>'
    first = first.replace("<TITLE>cell</TITLE><SAMPLE_NAME>", f"{ids}<SAMPLE_NAME>")
    first = first.replace("<STUDY ", '<SUBMISSION accession="SRA9"/><STUDY ')
    small.packages = packages | {"SRX1": first}
    rows = plan(tmp_path, asked, small=small)
    assert sorted(rows) == (["SRR1", "SRR2", "SRR3"] if asked == "E-GEOD-1" else ["SRR1", "SRR2"])
    assert {row.series for group in rows.values() for row in group} == {"GSE1"}


def test_the_words_of_ena_are_told(tmp_path: Path, small: SmallArchives) -> None:
    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        return (400, b"Cannot find the accession ERP1") if "/ena/" in path else None

    small.before = before
    with pytest.raises(
        InputError, match=r"the server answered 400 Bad Request\. It says: Cannot find the accession ERP1"
    ):
        plan(tmp_path, "ERP1", small=small)


def test_experiments_that_ena_misnames_are_not_asked_for(tmp_path: Path, small: SmallArchives) -> None:
    header = "run_accession\texperiment_accession\tstudy_accession\tsample_alias\ttax_id\n"
    small.reports["ERP1"] = f"{header}ERR1\t/home/x\tPRJEB1\tGSM1\t10090\nERR2\tERX2\tPRJEB1\tGSM2\t10090\n"
    rows = plan(tmp_path, "ERP1", small=small)
    assert {name: group[0].reason for name, group in rows.items()} == {"ERR1": "NO_RUN", "ERR2": "NOT_SINGLE_CELL"}
    assert "Its experiment is named '/home/x', which is no accession." in rows["ERR1"][0].detail
    assert all("" not in form["id"].split(",") for _, form in small.requests if "id" in form)
