"""ENA's filereport."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import ena
from scripts.records.sra_xml import RemoteFile

HEADER = "\t".join(
    "run_accession experiment_accession tax_id scientific_name library_layout read_count sample_alias "
    "fastq_ftp fastq_md5 fastq_bytes".split()
)
FILES = "h/SRR2.fastq.gz;h/SRR2_1.fastq.gz;h/SRR2_2.fastq.gz\ta;b;c\t1;2;3"
ROWS = (
    f"SRR2\tSRX1\t9606\tHomo sapiens\tPAIRED\t7\tGSM1\t{FILES}",
    "SRR1\tSRX1\t9606\tHomo sapiens\tPAIRED\t5\tGSM1\t\t\t",
    "SRR3\tSRX0\t10090\tMus musculus\tSINGLE\t6\tE-1\th/SRR3.fastq.gz\t\t",
)
REPORT = "\n".join([HEADER, *ROWS]) + "\n"


def test_runs_are_grouped_by_experiment() -> None:
    first, second = ena.experiments_of_report(ena.parse_report(REPORT.encode(), "ena"))
    assert (first.experiment, first.samples, first.layout) == ("SRX0", (), "single")
    assert (second.experiment, second.samples, second.layout) == ("SRX1", ("GSM1",), "paired")
    assert [(run.run, run.spots) for run in second.runs] == [("SRR1", "5"), ("SRR2", "7")]
    assert second.runs[0].taxa == (("9606", "Homo sapiens"),)


@pytest.mark.parametrize(
    "title", ["GSM77: cell 1", "Illumina HiSeq 2000 sequencing; GSM77: cell; Mus musculus; RNA-Seq", "GSM77_r1"]
)
def test_the_sample_may_stand_in_a_title(title: str) -> None:
    body = f"run_accession\texperiment_title\nSRR1\t{title}\n".encode()
    (found,) = ena.experiments_of_report(ena.parse_report(body, "ena"))
    assert found.samples == ("GSM77",)


def test_files_are_matched_by_place_only_where_lists_agree() -> None:
    rows = ena.parse_report(REPORT.encode(), "ena")
    assert ena.files_of(rows[0], "fastq") == [
        RemoteFile("SRR2.fastq.gz", "fastq", 1, "a", "https://h/SRR2.fastq.gz"),
        RemoteFile("SRR2_1.fastq.gz", "fastq", 2, "b", "https://h/SRR2_1.fastq.gz"),
        RemoteFile("SRR2_2.fastq.gz", "fastq", 3, "c", "https://h/SRR2_2.fastq.gz"),
    ]
    assert ena.files_of(rows[1], "fastq") == []
    assert ena.files_of(rows[2], "fastq") == [RemoteFile("SRR3.fastq.gz", "fastq", 0, "", "https://h/SRR3.fastq.gz")]
    assert ena.files_of(rows[2], "submitted") == []
    short = {**rows[0], "fastq_md5": "a;b", "fastq_ftp": "ftp://h/1;http://h/2;h/3"}
    assert [(file.url, file.md5) for file in ena.files_of(short, "fastq")] == [
        ("https://h/1", ""),
        ("http://h/2", ""),
        ("https://h/3", ""),
    ]


def test_a_report_may_be_empty() -> None:
    assert ena.parse_report(b"", "ena") == []
    assert ena.parse_report(b"run_accession\ttax_id\n", "ena") == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (REPORT[:-20], "ena: the last line is cut short"),
        (REPORT + "SRR9\tSRX9\n", "ena, line 5: 2 values, but the header has 10 columns"),
        ("<html></html>\n", "not a filereport of ENA; its first line has no column 'run_accession'"),
    ],
)
def test_what_is_no_whole_report_is_refused(body: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ena.parse_report(body.encode(), "ena")


def test_a_report_is_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "ena.tsv").write_text(REPORT)
    (tmp_path / "ena.tsv.gz").write_bytes(gzip.compress(REPORT.encode()))
    assert ena.read_report(tmp_path / "ena.tsv") == ena.read_report(tmp_path / "ena.tsv.gz")


def test_the_address_asks_for_everything() -> None:
    address = ena.report_address("https://www.ebi.ac.uk/ena/", "PRJNA1")
    assert address.startswith(
        "https://www.ebi.ac.uk/ena/portal/api/filereport?accession=PRJNA1&result=read_run&fields=run"
    )
    assert address.endswith("&format=tsv&limit=0")
