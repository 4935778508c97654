"""Rows of the plan: species, samples, reasons and details, on small records."""

import json
from pathlib import Path

import pytest

from scripts.plan.choices import parse_choices
from scripts.records.answers.series_record import SeriesRecord
from scripts.records.answers.sra_xml import read_experiments
from scripts.records.rows import Origin, Plan, add_experiments
from tests.records.looked_up import FISH, HUMAN, MOUSE, plan, two_cells
from tests.records.small_archives import family, keep, package, package_set, run, sample


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
    found = {name: [(row.tax_id, row.species, row.status, row.detail) for row in group] for name, group in rows.items()}
    both = "A sample of homo and mus, counted in each."
    mixture = "SRA says mixed sample (1427524), GEO Homo sapiens (9606) and Mus musculus (10090): GEO is followed, "
    mixture += f"which names the species of the mixture. {both}"
    assert found == {
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


def test_the_pool_of_a_run_names_its_species_and_samples(tmp_path: Path) -> None:
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
    assert (
        rows["SRR5"].detail
        == "Only SRA Lite (simplified qualities) is on offer; archives: {accept_lite: true} takes it."
    )
    assert (rows["SRR5"].bytes, rows["SRR5"].md5) == ("990", "")
    assert (rows["SRR6"].bytes, rows["SRR6"].md5) == ("5", "1" * 32)
    assert "s3://x/a.bam" in rows["SRR6"].detail
    assert (rows["SRR7"].assay, rows["SRR7"].read_roles) == ("droplet", "index,barcode,cdna")
    lines = (tmp_path / "work" / "evidence.jsonl").read_text().splitlines()
    evidence = {found["run"]: found for found in map(json.loads, lines)}
    assert sorted(evidence) == sorted(rows)
    assert evidence["SRR7"]["reads"][1] == {"length": 28.0, "stdev": 0.0, "count": 100, "kind": ""}
    assert evidence["SRR5"]["lite"] and not evidence["SRR5"]["full_quality"]


def test_a_bam_on_offer_stands_in_for_lost_barcodes(tmp_path: Path) -> None:
    bam = [("a.bam", "10X Genomics bam file", 7, "3" * 32), ("SRR1", "SRA Normalized", 5, "1" * 32)]
    text = package("SRX1", [run("SRR1", lengths=(98,), files=bam)], gse="")
    link = '<Alternatives url="https://x/a.bam" access_type="anonymous"/>'
    text = text.replace('url="https://example.org/a.bam"/>', f'url="https://example.org/a.bam">{link}</SRAFile>')
    for name in ("SRP1", "SRX1", "SRR1"):
        keep(tmp_path / "records", name, xml=package_set(text))
    (row,) = plan(tmp_path, "SRP1")["SRR1"]
    assert (row.status, row.reason, row.source, row.assay) == ("planned", "", "bam", "droplet")
    assert (row.bytes, row.md5) == ("7", "3" * 32)
    assert row.detail == "The archive lost the barcodes; the reads are those of the submitter's BAM, a.bam."
    for asked in ("SRX1", "SRR1"):
        assert plan(tmp_path, asked)["SRR1"] == [row]


def test_libraries_beside_gene_expression(tmp_path: Path) -> None:
    names = {"1": "P1_GEX", "2": "P1_T", "3": "P2_T", "4": "P1_ADT"}
    packages = [package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", title=name) for n, name in names.items()]
    keep(tmp_path / "records", "GSE1", xml=package_set(*packages))
    rows = {name: group[0] for name, group in plan(tmp_path, "GSE1").items()}
    assert [rows[f"SRR{n}"].reason for n in names] == ["", "NOT_RNA", "", "NOT_RNA"]
    sentence = "Its name 'P1_T' differs from 'P1_GEX' (SRX1) in one word: V(D)J beside gene expression."
    assert rows["SRR2"].detail.startswith(sentence)
    assert rows["SRR4"].detail.startswith("Its name 'P1_ADT' says antibody tags (ADT).")
    for accession in ("GSM2", "SRX2", "SRR2"):  # who names the library itself knows what it is
        options = ["--assay", f"{accession}=plate"]
        rows = {name: group[0] for name, group in plan(tmp_path, "GSE1", options=options).items()}
        assert (rows["SRR2"].status, rows["SRR4"].status) == ("planned", "left_out")
    rows = {name: group[0] for name, group in plan(tmp_path, "GSE1", options=["--assay", "GSE1=plate"]).items()}
    assert (rows["SRR2"].reason, rows["SRR4"].reason) == ("NOT_RNA", "NOT_RNA")


def test_names_of_geo_and_of_a_kit(tmp_path: Path) -> None:
    said = {
        "1": ["data_processing = *library strategy: Spatial transcriptomics"],
        "2": ["data_processing = library strategy: scRNA-seq", "data_processing = library strategy: VDJ"],
        "3": ["characteristics_ch1 = assay: TCR"],
        "4": ["characteristics_ch1 = chemistry: Flex"],
        "5": ["extract_protocol_ch1 = Chromium Fixed RNA Profiling kit, 16 probe barcodes"],
        "6": ["characteristics_ch1 = kit: 10x Chromium Single Cell V(D)J"],
        "7": [],
        "8": ["molecule_ch1 = protein"],
    }
    samples = [sample(f"GSM{n}", [f"SRX{n}"], title=f"P{n}", more=lines) for n, lines in said.items()]
    samples[6] = samples[6].replace("P7", "TCR_1")
    packages = [package(f"SRX{n}", [run(f"SRR{n}", lengths=(28, 91))], gsm=f"GSM{n}") for n in said]
    keep(tmp_path / "records", "GSE1", family("GSE1", samples), package_set(*packages))
    rows = {name: group[0] for name, group in plan(tmp_path, "GSE1").items()}
    assert {name: row.reason for name, row in rows.items()} == {
        "SRR1": "NOT_SINGLE_CELL",
        "SRR2": "",  # both are of the sample
        "SRR3": "NOT_RNA",
        "SRR4": "CHEMISTRY_UNKNOWN",
        "SRR5": "CHEMISTRY_UNKNOWN",
        "SRR6": "",  # the kit of both
        "SRR7": "NOT_RNA",
        "SRR8": "NOT_RNA",
    }
    probes = "whose ligated probes are counted against a probe set and not against the genome."
    overrule = "If that misleads, set `assay: {SRX4: droplet}`."
    assert rows["SRR4"].detail == f"Its attribute 'Flex' says 10x Flex (Flex), {probes} {overrule}"
    assert rows["SRR5"].detail.startswith(f"Its protocol says 10x Flex (Fixed RNA Profiling), {probes}")
    lines = (tmp_path / "work" / "evidence.jsonl").read_text().splitlines()
    evidence = {found["run"]: found["evidence"][-1] for found in map(json.loads, lines)}
    assert evidence["SRR4"] == {
        "code": "LIBRARY_KIND",
        "weight": -20,
        "where": "its attribute 'Flex'",
        "words": "Flex",
    }
    assert "says spots of a tissue (Spatial transcriptomics), not cells." in rows["SRR1"].detail


def test_long_reads_are_left_out_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    platform = "<PLATFORM><PACBIO_SMRT><INSTRUMENT_MODEL>Sequel II</INSTRUMENT_MODEL></PACBIO_SMRT></PLATFORM>"
    text = package("SRX1", [run("SRR1")], gse="").replace("</EXPERIMENT>", f"{platform}</EXPERIMENT>")
    keep(tmp_path / "records", "SRP1", xml=package_set(text))
    (row,) = plan(tmp_path, "SRP1")["SRR1"]
    assert (row.status, row.reason) == ("left_out", "CHEMISTRY_UNKNOWN")
    assert row.detail == "Its instrument says long reads (Sequel II), for which the alignment is not made."
    (row,) = plan(tmp_path, "SRP1", options=["--assay", "SRP1=plate"])["SRR1"]
    assert row.status == "planned"
    assert row.detail == "The reads are long ones (Sequel II), for which the alignment is not made."


def test_only_what_is_wanted_gets_a_row(tmp_path: Path) -> None:
    keep(tmp_path, "GSE1", xml=package_set(*two_cells()[1].values()))
    choices = parse_choices(["--species", "homo=9606", "mus=10090"])
    expected = {"SRR2": ["SRR2"], "SRX2": ["SRR3"], "GSM1": ["SRR1", "SRR2"], "": ["SRR1", "SRR2", "SRR3"], "X": []}
    for wanted, runs in expected.items():
        origin = Origin("GSE1", wanted, SeriesRecord(), "SRA", only=frozenset(filter(None, [wanted])))
        made = Plan(choices)
        add_experiments(read_experiments(tmp_path / "GSE1" / "sra.xml.gz"), origin, {}, made)
        assert sorted(made.rows) == runs


def test_a_species_with_a_tax_id_is_followed(tmp_path: Path) -> None:
    samples = [sample("GSM1", ["SRX1"], taxa=[MOUSE]), sample("GSM2", ["SRX2"], taxa=[]), sample("GSM3", ["SRX3"])]
    taxa = {"1": ("", "wood mouse"), "2": ("", "wood mouse"), "3": ("", "")}
    packages = [package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", taxon=taxon) for n, taxon in taxa.items()]
    keep(tmp_path / "records", "GSE1", family("GSE1", samples), package_set(*packages))
    rows = plan(tmp_path, "GSE1")
    assert {name: (group[0].species, group[0].reason) for name, group in rows.items()} == {
        "SRR1": ("mus", ""),
        "SRR2": ("", "OTHER_SPECIES"),
        "SRR3": ("mus", ""),
    }


def pieces_of(tmp_path: Path) -> dict[str, list[dict[str, object]]]:
    lines = (tmp_path / "work" / "evidence.jsonl").read_text().splitlines()
    return {found["run"]: found["evidence"] for found in map(json.loads, lines)}


def test_each_sample_of_a_mixed_series_has_its_own_verdict(tmp_path: Path) -> None:
    samples = [
        sample("GSM1", ["SRX1"], title="islet_single_cell_1", more=["characteristics_ch1 = cell count: 1"]),
        sample("GSM2", ["SRX2"], title="islet_500_cells_1", more=["characteristics_ch1 = cell count: 500"]),
        sample("GSM3", ["SRX3"], title="islet, sorted", more=["extract_protocol_ch1 = RNA by RNeasy; TruSeq RNA kit."]),
    ]
    packages = [
        package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", title="islet", source="TRANSCRIPTOMIC") for n in (1, 2, 3)
    ]
    keep(tmp_path / "records", "GSE1", family("GSE1", samples), package_set(*packages))
    rows = plan(tmp_path, "GSE1")
    assert {name: group[0].reason for name, group in rows.items()} == {
        "SRR1": "",
        "SRR2": "NOT_SINGLE_CELL",
        "SRR3": "NOT_SINGLE_CELL",
    }
    assert rows["SRR2"][0].detail == (
        "Not shown to be a single cell: sample title says '500 cells', and nothing says that it is a single cell. "
        "If it is a single cell, set `assay: {SRX2: plate}`."
    )
    pieces = pieces_of(tmp_path)
    assert {"code": "CELL_COUNT_ONE", "weight": 6, "where": "characteristics 'cell count'", "words": "1"} in pieces[
        "SRR1"
    ]
    assert {piece["code"] for piece in pieces["SRR3"]} == {"LIBRARY_KIT_OF_POPULATIONS", "RNA_KIT_OF_POPULATIONS"}


def test_the_user_overrules_the_records(tmp_path: Path) -> None:
    soft = family("GSE1", [sample("GSM1", ["SRX1"], title="liver", series=["GSE1", "GSE2"])])
    xml = package_set(package("SRX1", [run("SRR1"), run("SRR2")], gsm="GSM1", title="liver", source="TRANSCRIPTOMIC"))
    keep(tmp_path / "records", "GSE1", soft, xml)
    for words in (["SRR9=plate"], ["auto"]):
        assert {group[0].reason for group in plan(tmp_path, "GSE1", options=["--assay", *words]).values()} == {
            "NOT_SINGLE_CELL"
        }
    for name in ("SRR1", "SRR2", "SRX1", "GSM1", "GSE1", "GSE2", "SRP1", "PRJNA1"):
        rows = plan(tmp_path, "GSE1", options=["--assay", f"{name}=plate"])
        assert {group[0].status for group in rows.values()} == {"planned"}
    rows = plan(tmp_path, "GSE1", options=["--assay", "plate"])
    assert {(group[0].status, group[0].assay) for group in rows.values()} == {("planned", "plate")}


def test_pooled_cells_are_left_out_of_the_plan(tmp_path: Path) -> None:
    xml = package_set(package("SRX1", [run("SRR1", lengths=(12, 90))], protocol="Cells in 384-well plates, mCEL-Seq2."))
    keep(tmp_path / "records", "SRX1", xml=xml)
    row = plan(tmp_path, "SRX1")["SRR1"][0]
    assert (row.assay, row.status, row.reason) == ("droplet", "left_out", "CHEMISTRY_UNKNOWN")
    assert "speak of a method that pools barcoded cells (mCEL-Seq2)" in row.detail


def test_the_design_of_an_experiment_is_read(tmp_path: Path) -> None:
    text = package("SRX1", [run("SRR1")], source="TRANSCRIPTOMIC", title="K562_4")
    text = text.replace("<DESIGN>", "<DESIGN><DESIGN_DESCRIPTION>RNA-seq of a single K562 cell</DESIGN_DESCRIPTION>")
    keep(tmp_path / "records", "SRX1", xml=package_set(text))
    assert plan(tmp_path, "SRX1")["SRR1"][0].status == "planned"


REPORT = "run_accession\texperiment_accession\tstudy_accession\tsubmitted_ftp\tsubmitted_md5\tsubmitted_bytes\n"


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("a_I1.fastq.gz a_R1.fastq.gz a_R2.fastq.gz", "a_I1.fastq.gz, a_R1.fastq.gz, a_R2.fastq.gz"),
        ("a_1.fq.gz a_2.fq.gz", "a_1.fq.gz, a_2.fq.gz"),
        ("possorted.bam possorted.bam.bai", "possorted.bam"),
        ("a_R2.fastq.gz", ""),
        ("a_L1_R1.fastq.gz a_L2_R1.fastq.gz a_L1_R2.fastq.gz a_L2_R2.fastq.gz", ""),
        ("a.bam b.bam", ""),
        ("", ""),
    ],
)
def test_files_that_ena_has_as_submitted_stand_in_for_lost_barcodes(tmp_path: Path, names: str, taken: str) -> None:
    files = names.split()
    addresses = ";".join(f"ftp.sra.ebi.ac.uk/vol1/run/{name}" for name in files)
    values = [addresses, ";".join(["3" * 32] * len(files)), ";".join(["7"] * len(files))]
    report = REPORT + "\t".join(["ERR1", "ERX1", "PRJEB1", *values]) + "\n"
    text = package(
        "ERX1", [run("ERR1", lengths=(98,))], gse="", study="ERP1", project="PRJEB1", protocol="10x Genomics 3' v2"
    )
    keep(tmp_path / "records", "ERP1", xml=package_set(text), ena=report)
    (row,) = plan(tmp_path, "ERP1")["ERR1"]
    if not taken:
        assert (row.status, row.reason, row.source == "submitted") == ("left_out", "BARCODE_LOST", False)
        return
    assert (row.status, row.reason, row.source, row.assay) == ("planned", "", "submitted", "droplet")
    assert row.detail == f"The archive lost the barcodes; the reads are those that were submitted, {taken}."
    assert (row.bytes, row.md5) == (str(7 * len(taken.split())), "")
