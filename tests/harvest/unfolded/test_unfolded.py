"""Tables of results unfolded into logs: what MultiQC's modules for STAR and HTSeq look for is there."""

import gzip
import json
import re
import shutil

import pytest
import yaml

from scripts.core.errors import InputError
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest import multiqc
from scripts.harvest.results import list_files
from scripts.harvest.unfolded.custom_content import write_custom_content
from scripts.harvest.unfolded.logs import write_logs
from scripts.star.log import format_log, read_star_log

CELLS = [
    "cell,runs,species,status,total_counts,no_feature,ambiguous,too_low_aQual,not_aligned,alignment_not_unique".split(
        ","
    ),
    ["SRX1", "SRR1;SRR2", "mus", "counted", "425.5", "37", "9", "0", "0", "12"],
    ["SRX2", "SRR3", "mus", "counted", "0", "0", "0", "0", "0", "0"],
    ["SRX2", "SRR3", "homo", "counted", "7", "1", "0", "0", "0", "0"],
    ["SRX3", "SRR4", "mus", "failed", "", "", "", "", "", ""],
]
LOG = [
    ["FIELD_NAMES", "SRR1;SRR2", "SRR3"],
    ["EXP_ID", "GSE1", "GSE1"],
    ["TAXON", "mus", "mus"],
    ["GSM", "GSM1", "GSM2"],
    ["Started job on", "", ""],
    ["Number of input reads", "497", "0"],
    ["UNIQUE READS:", "", ""],
    ["Uniquely mapped reads number", "471", "0"],
    ["Uniquely mapped reads %", "94.77%", "-nan%"],
    ["Number of reads mapped to multiple loci", "12", "0"],
    ["% of reads mapped to multiple loci", "2.41%", "-nan%"],
    ["% of reads unmapped: other", "0.00%", "-nan%"],
]
SUMMARY = "Number of Reads,14970\nReads With Valid Barcodes,0.983968\nSequencing Saturation,-nan\nUMIs in Cells,3912\n"


def make_plates(results):
    (results / "quality").mkdir(parents=True)
    write_csv_gz(results / "quality/cells.csv.gz", CELLS)
    write_csv_gz(results / "mus.log.csv.gz", LOG)


def make_library(results, solo):
    (results / "quality").mkdir(parents=True, exist_ok=True)
    rows = "series,species,experiment,status\nGSE2,mus,SRX9,counted\nGSE2,mus,SRX8,failed\n"
    (results / "quality/libraries.csv").write_text(rows, encoding="utf-8")
    tools = [{"program": "STAR", "version": version} for version in ("2.7.10b", "2.7.11b")]
    (results / "provenance.json").write_text(json.dumps({"tools": tools}), encoding="utf-8")
    gene, cells = solo / "GSE2.mus.SRX9/Solo.out/Gene", solo.with_name("cells") / "GSE2.mus.SRX9/Gene"
    gene.mkdir(parents=True)
    cells.mkdir(parents=True)
    (cells / "Summary.csv").write_text(SUMMARY, encoding="utf-8")
    (gene / "UMIperCellSorted.txt.gz").write_bytes(gzip.compress(b"".join(b"%d\n" % (2000 - n) for n in range(2000))))
    (solo / "GSE2.mus.SRX9/Log.final.out").write_text(
        format_log(dict.fromkeys((name for name, *_ in LOG[5:]), "14970")), encoding="utf-8"
    )


def test_a_log_of_star_has_the_values_of_its_column(tmp_path):
    make_plates(tmp_path / "results")
    assert write_logs(tmp_path / "results", tmp_path) == 3
    path = tmp_path / "SRX1.Log.final.out"
    assert read_star_log(path)["Uniquely mapped reads %"] == "94.77%"
    text = path.read_text(encoding="utf-8")
    # as MultiQC's module looks for them
    assert re.search(r"Number of input reads \|\s+(\d+)", text)[1] == "497"
    assert re.search(r"Uniquely mapped reads % \|\s+([\d\.]+)", text)[1] == "94.77"
    assert "GSM1" not in text
    assert "Started job" not in text


def test_what_breaks_the_module_for_all_samples_is_left_out(tmp_path):
    make_plates(tmp_path / "results")
    lacking = [row for row in LOG if row[0] != "Uniquely mapped reads %"]
    write_csv_gz(tmp_path / "results/homo.log.csv.gz", lacking)
    write_logs(tmp_path / "results", tmp_path)
    assert not (tmp_path / "SRX2_homo.Log.final.out").exists()
    empty = read_star_log(tmp_path / "SRX2_mus.Log.final.out")  # STAR divided by no reads
    assert empty["Uniquely mapped reads %"] == empty["% of reads mapped to multiple loci"] == "0.00%"


def test_the_tallies_of_a_cell_are_those_of_htseq_count(tmp_path):
    make_plates(tmp_path / "results")
    write_logs(tmp_path / "results", tmp_path)
    lines = (tmp_path / "SRX1.htseq-count.txt").read_text(encoding="utf-8").splitlines()
    assert re.match(r"^\w+.*\t\d+$", lines[0])  # by which MultiQC knows such a file
    assert dict(line.split("\t") for line in lines) == {
        "in_genes": "426",
        "__no_feature": "37",
        "__ambiguous": "9",
        "__too_low_aQual": "0",
        "__not_aligned": "0",
        "__alignment_not_unique": "12",
    }


def test_a_cell_of_two_species_has_two_names(tmp_path):
    make_plates(tmp_path / "results")
    write_logs(tmp_path / "results", tmp_path)
    assert sorted(path.name for path in tmp_path.glob("SRX*")) == [
        "SRX1.Log.final.out",
        "SRX1.htseq-count.txt",
        "SRX2_homo.htseq-count.txt",
        "SRX2_mus.Log.final.out",
        "SRX2_mus.htseq-count.txt",
    ]


def test_a_library_has_its_summary_its_curve_and_its_log(tmp_path):
    make_library(tmp_path / "results", tmp_path / "solo")
    assert write_custom_content(tmp_path / "results", tmp_path / "solo", tmp_path) == 1
    table, ranks, versions = (
        yaml.safe_load((tmp_path / name).read_text(encoding="utf-8"))
        for name in ("starsolo_mqc.yaml", "barcode_ranks_mqc.yaml", "sra2matrix_mqc_versions.yml")
    )
    assert table["data"] == {"SRX9": {"Number of Reads": 14970, "Reads With Valid Barcodes": 98.4}}
    curve = ranks["data"]["SRX9"]
    assert list(curve) == sorted(curve)
    assert (curve[1], curve[10]) == (2000, 1991)
    assert 40 < len(curve) < 130
    assert versions == {"STAR": ["2.7.10b", "2.7.11b"]}
    assert (tmp_path / "SRX9.Log.final.out").is_file()


def test_nothing_counted_is_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(multiqc, "require_multiqc", lambda: "multiqc")
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="no plate cell and no droplet library was counted"):
        multiqc.main(["--results", str(tmp_path / "results"), "--output", str(tmp_path / "results/multiqc")])


def fake_multiqc(folder, words):
    """Put a program of this name on the PATH, which writes what it was called with to the report."""
    folder.mkdir()
    program = folder / "multiqc"
    program.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(folder)


def test_the_report_takes_the_place_of_an_earlier_one_and_is_no_deliverable(tmp_path, monkeypatch):
    results = tmp_path / "results"
    make_plates(results)
    (results / "multiqc").mkdir()
    (results / "multiqc/old").touch()
    before = [name for name in list_files(results) if not name.startswith("multiqc")]
    words = 'while [ "$1" != --outdir ]; do shift; done; mkdir "$2"; ls logs >"$2/multiqc_report.html"'
    monkeypatch.setenv("PATH", f"{fake_multiqc(tmp_path / 'bin', words)}:/usr/bin:/bin")
    multiqc.main(["--results", str(results), "--output", str(results / "multiqc")])
    assert [path.name for path in (results / "multiqc").iterdir()] == ["multiqc_report.html"]
    assert "SRX1.Log.final.out" in (results / "multiqc/multiqc_report.html").read_text(encoding="utf-8")
    assert list_files(results) == before
    assert not list(results.glob(".multiqc.*"))


def test_a_program_that_fails_is_quoted(tmp_path, monkeypatch):
    make_plates(tmp_path / "results")
    monkeypatch.setenv("PATH", f"{fake_multiqc(tmp_path / 'bin', 'echo no such module; exit 3')}:/usr/bin:/bin")
    with pytest.raises(InputError, match="multiqc failed: no such module"):
        multiqc.main(["--results", str(tmp_path / "results"), "--output", str(tmp_path / "results/multiqc")])


def test_without_multiqc_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"multiqc is not on the PATH\. .*--sdm conda.*pip install multiqc"):
        multiqc.require_multiqc()


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("multiqc") is None, reason="multiqc is not installed")
def test_multiqc_finds_every_sample(tmp_path):
    results = tmp_path / "results"
    make_plates(results)
    make_library(results, tmp_path / "solo")
    command = ["--results", str(results), "--solo", str(tmp_path / "solo")]
    multiqc.main([*command, "--output", str(results / "multiqc")])
    data = results / "multiqc/multiqc_report_data"
    samples = {
        name: [line.split("\t")[0] for line in (data / f"multiqc_{name}.txt").read_text().splitlines()[1:]]
        for name in ("star", "htseq", "starsolo_table", "barcode_ranks_plot")
    }
    assert samples == {
        "star": ["SRX1", "SRX2_mus", "SRX9"],
        "htseq": ["SRX1", "SRX2_homo", "SRX2_mus"],
        "starsolo_table": ["SRX9"],
        "barcode_ranks_plot": ["SRX9"],
    }
