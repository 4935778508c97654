"""One run, one fate: whatever accession led to it, it is looked up and judged with its series or study."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import client
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, family, keep, package, package_set, run, sample


def many(small: SmallArchives, size: int) -> None:
    """Serve GSE1: samples of two runs each."""
    samples = [sample(f"GSM{n}", [f"SRX{n}"]) for n in range(1, size + 1)]
    relations = ["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"]
    small.families["GSE1"] = family("GSE1", samples, relations=relations)
    small.packages = {
        f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}1"), run(f"SRR{n}2")], gsm=f"GSM{n}") for n in range(1, size + 1)
    }


def test_the_same_row_whatever_was_asked_for(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 5)
    whole = plan(tmp_path / "whole", "GSE1", small=small)
    for asked in (["SRX3"], ["GSM3"], ["SRR31", "SRR32"], ["SRR31", "GSM3"], ["GSM3", "SRX3", "SRR32"]):
        rows = plan(tmp_path / "-".join(asked), *asked, small=small)
        assert rows == {name: whole[name] for name in ("SRR31", "SRR32")}
        assert plan(tmp_path / "-".join(asked), *asked) == rows  # without network
    (row,) = plan(tmp_path / "one", "SRR32", small=small)["SRR32"]
    assert row == whole["SRR32"][0]._replace(detail="Of the runs of SRX3, SRR31 was not asked for.")
    assert plan(tmp_path / "both", "SRR32", "GSE1", small=small) == whole


def test_a_list_of_runs_costs_its_series_and_the_batches_to_find_it(
    tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BATCH", 10)
    many(small, 20)
    plan(tmp_path / "whole", "GSE1", small=small)
    of_series = len(small.requests)
    assert of_series == 1 + 2 + 1
    small.requests.clear()
    runs = [f"SRR{n}{lane}" for n in range(1, 21) for lane in (1, 2)]
    assert sorted(plan(tmp_path, *runs, small=small)) == sorted(runs)
    assert len(small.requests) == of_series + 4


def test_the_submitters_bam_is_found_by_any_accession(tmp_path: Path, small: SmallArchives) -> None:
    bam = [("a.bam", "10X Genomics bam file", 7, "3" * 32), ("SRR1", "SRA Normalized", 5, "1" * 32)]
    link = '<Alternatives url="https://x/a.bam" access_type="anonymous"/>'
    text = package("SRX1", [run("SRR1", lengths=(98,), files=bam)], gsm="GSM1")
    text = text.replace('url="https://example.org/a.bam"/>', f'url="https://example.org/a.bam">{link}</SRAFile>')
    small.families["GSE1"] = family("GSE1", [sample("GSM1", ["SRX1"])])
    small.packages["SRX1"] = text
    whole = plan(tmp_path / "whole", "GSE1", small=small)
    assert whole["SRR1"][0].source == "bam"
    for asked in ("SRX1", "SRR1", "GSM1"):
        assert plan(tmp_path / asked, asked, small=small) == whole
        assert (tmp_path / asked / "records" / "GSE1" / "sra.xml.gz").exists()  # where the download looks


def test_a_record_that_a_person_placed_needs_no_network(tmp_path: Path) -> None:
    keep(tmp_path / "records", "SRX1", xml=package_set(two_cells()[1]["SRX1"]))
    rows = plan(tmp_path, "SRX1")
    assert sorted(rows) == ["SRR1", "SRR2"]
    assert rows["SRR1"][0].series == "GSE1"
    assert rows["SRR1"][0].detail == (
        "Judged by itself: GSE1 could not be looked up. GEO's family file of GSE1 could not be fetched."
    )
    with pytest.raises(InputError, match="SRX2: NCBI: "):
        plan(tmp_path, "SRX1", "SRX2")


def test_a_placed_record_is_looked_up_with_its_series_where_there_is_a_network(
    tmp_path: Path, small: SmallArchives
) -> None:
    many(small, 3)
    keep(tmp_path / "records", "SRX2", xml=package_set(small.packages["SRX2"]))
    assert plan(tmp_path, "SRX2", small=small)["SRR21"][0].detail == ""
    assert (tmp_path / "records" / "GSE1" / "sra.xml.gz").exists()


def test_an_experiment_that_its_series_does_not_name(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 2)
    small.packages["SRX9"] = package("SRX9", [run("SRR9")], gsm="GSM9")
    assert "SRR9" not in plan(tmp_path / "whole", "GSE1", small=small)
    for asked in ("SRX9", "SRR9", "GSM9"):
        (row,) = plan(tmp_path / asked, asked, small=small)["SRR9"]
        assert (row.series, row.sample, row.status) == ("GSE1", "GSM9", "planned")


def test_a_run_of_ena_and_all_of_its_study(tmp_path: Path, small: SmallArchives) -> None:
    header = "run_accession\texperiment_accession\tsecondary_study_accession\ttax_id\tlibrary_layout\tlibrary_source\n"
    lines = [f"ERR{n}\tERX{n}\tERP1\t10090\tSINGLE\tTRANSCRIPTOMIC SINGLE CELL\n" for n in (1, 2)]
    small.reports = {"ERR1": header + lines[0], "ERP1": header + "".join(lines)}
    rows = plan(tmp_path, "ERR1", small=small)
    assert [(row.run, row.series, row.status) for group in rows.values() for row in group] == [
        ("ERR1", "ERP1", "planned")
    ]
    assert plan(tmp_path, "ERR1") == rows


def test_a_sample_and_a_submission_by_other_names(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 3)
    ids = '<IDENTIFIERS><EXTERNAL_ID namespace="BioSample">SAMN2</EXTERNAL_ID></IDENTIFIERS><TITLE>cell</TITLE>'
    text = small.packages["SRX2"].replace("<TITLE>cell</TITLE><SAMPLE_NAME>", f"{ids}<SAMPLE_NAME>")
    small.packages["SRX2"] = text.replace("<STUDY ", '<SUBMISSION accession="SRA2"/><STUDY ')
    for asked in ("SAMN2", "SRA2"):
        rows = plan(tmp_path / asked, asked, small=small)
        assert sorted(rows) == ["SRR21", "SRR22"]
        assert [rows[name][0].detail for name in sorted(rows)] == [f"Also in {asked}.", ""]
        assert plan(tmp_path / asked, asked) == rows


def test_a_sample_that_the_search_of_sra_does_not_know(tmp_path: Path, small: SmallArchives) -> None:
    small.families["GSE1"] = family("GSE1", [sample("GSM1", ["SRX1"]), sample("GSM2")])
    small.packages = {"SRX1": package("SRX1", [run("SRR1")], gsm="", gse="")}

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if form.get("db") == "gds":
            known = {"GSM1[ACCN] AND gse[ETYP]", "GSM2[ACCN] AND gse[ETYP]"}
            ids = "<Id>200000007</Id><Id>200000001</Id>" if form["term"] in known else ""
            return (
                200,
                f"<eSearchResult><Count>{ids.count('Id>') // 2}</Count><IdList>{ids}</IdList></eSearchResult>".encode(),
            )
        return None

    small.before = before
    rows = plan(tmp_path, "GSM1", "GSM2", "GSM3", small=small)
    assert {name: (group[0].series, group[0].sample, group[0].detail) for name, group in rows.items()} == {
        "SRR1": ("GSE1", "GSM1", ""),
        "GSM2": ("GSE1", "GSM2", "GEO names no SRA experiment for the sample."),
        "GSM3": ("", "GSM3", "GSM3: The archives know of no public run."),
    }


@pytest.mark.parametrize("by", ["ENA", "NCBI"])
@pytest.mark.parametrize("relation", ["BioProject: x/bioproject/PRJNA1", "SRA: https://x/sra?term=SRP1"])
def test_a_sample_without_a_relation_is_found_in_its_study(
    tmp_path: Path, small: SmallArchives, by: str, relation: str
) -> None:
    small.families["GSE1"] = family("GSE1", [sample("GSM1", ["SRX1"]), sample("GSM2")], relations=[relation])
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}") for n in (1, 2, 3)}
    if by == "ENA":
        header = "run_accession\texperiment_accession\tsample_alias\texperiment_alias\n"
        small.reports = dict.fromkeys(("PRJNA1", "SRP1"), f"{header}SRR2\tSRX2\t\tGSM2_r1\nSRR3\tSRX3\tGSM3\t\n")
    rows = plan(tmp_path, "GSE1", small=small)
    assert {name: group[0].sample for name, group in rows.items()} == {"SRR1": "GSM1", "SRR2": "GSM2"}
    small.requests.clear()
    assert plan(tmp_path, "GSE1", small=small) == rows
    assert small.requests == []


def test_homes_that_are_no_accessions_are_asked_for_again(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 1)
    rows = plan(tmp_path, "SRR11", small=small)
    kept = tmp_path / "records" / "homes.tsv"
    kept.write_text(kept.read_text().replace("GSE1", "/home/x"))
    assert plan(tmp_path, "SRR11", small=small) == rows
    assert "GSE1" in kept.read_text()


def test_a_home_by_ena_is_asked_again(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 2)
    header = "run_accession\texperiment_accession\tsecondary_study_accession\ttax_id\tlibrary_source\n"
    line = "SRR21\tSRX2\tSRP1\t10090\tTRANSCRIPTOMIC SINGLE CELL\n"
    small.reports = {"SRR21": header + line, "SRP1": header + line}
    small.before = lambda path, form: (503, b"") if "eutils" in path else None
    for _ in range(2):
        (row,) = plan(tmp_path, "SRR21", small=small)["SRR21"]
        assert (row.series, row.status) == ("SRP1", "planned")
    assert plan(tmp_path, "SRR21")["SRR21"] == [row]  # without network
    small.before = lambda path, form: None
    (row,) = plan(tmp_path, "SRR21", small=small)["SRR21"]
    assert (row.series, row.sample) == ("GSE1", "GSM2")
    assert plan(tmp_path, "SRR21")["SRR21"] == [row]


def test_a_sample_whose_package_is_damaged_is_not_absent(tmp_path: Path, small: SmallArchives) -> None:
    many(small, 2)
    good = small.packages["SRX2"]
    small.packages["SRX2"] = good.replace("<TITLE>", "<TITLE>\x01", 1)
    with pytest.raises(InputError, match=r"GSM2: NCBI: .* the package of SRX2 is not well-formed XML"):
        plan(tmp_path, "GSM2", small=small)
    small.packages["SRX2"] = good
    assert sorted(plan(tmp_path, "GSM2", small=small)) == ["SRR21", "SRR22"]
