"""Tables of runs: ENA's filereport, RunInfo and SraRunTable."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.lists import RUNINFO
from scripts.records.answers import run_reports
from scripts.records.answers.sra_xml import RemoteFile

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
    first, second = run_reports.experiments_of_report(run_reports.parse_report(REPORT.encode(), "ena"))
    assert (first.experiment, first.samples, first.layout) == ("SRX0", (), "single")
    assert (second.experiment, second.samples, second.layout) == ("SRX1", ("GSM1",), "paired")
    assert [(run.run, run.spots) for run in second.runs] == [("SRR1", "5"), ("SRR2", "7")]
    assert second.runs[0].taxa == (("9606", "Homo sapiens"),)


@pytest.mark.parametrize(
    "title", ["GSM77: cell 1", "Illumina HiSeq 2000 sequencing; GSM77: cell; Mus musculus; RNA-Seq", "GSM77_r1"]
)
def test_the_sample_may_stand_in_a_title(title: str) -> None:
    body = f"run_accession\texperiment_title\nSRR1\t{title}\n".encode()
    (found,) = run_reports.experiments_of_report(run_reports.parse_report(body, "ena"))
    assert found.samples == ("GSM77",)


def test_files_are_matched_by_place_only_where_lists_agree() -> None:
    rows = run_reports.parse_report(REPORT.encode(), "ena")
    assert run_reports.files_of(rows[0], "fastq") == [
        RemoteFile("SRR2.fastq.gz", "fastq", 1, "a", "https://h/SRR2.fastq.gz"),
        RemoteFile("SRR2_1.fastq.gz", "fastq", 2, "b", "https://h/SRR2_1.fastq.gz"),
        RemoteFile("SRR2_2.fastq.gz", "fastq", 3, "c", "https://h/SRR2_2.fastq.gz"),
    ]
    assert run_reports.files_of(rows[1], "fastq") == []
    assert run_reports.files_of(rows[2], "fastq") == [
        RemoteFile("SRR3.fastq.gz", "fastq", 0, "", "https://h/SRR3.fastq.gz")
    ]
    assert run_reports.files_of(rows[2], "submitted") == []
    short = {**rows[0], "fastq_md5": "a;b", "fastq_ftp": "ftp://h/1;http://h/2;h/3"}
    assert [(file.url, file.md5) for file in run_reports.files_of(short, "fastq")] == [
        ("https://h/1", ""),
        ("http://h/2", ""),
        ("https://h/3", ""),
    ]


def test_a_report_may_be_empty() -> None:
    assert run_reports.parse_report(b"", "ena") == []
    assert run_reports.parse_report(b"run_accession\ttax_id\n", "ena") == []


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
        run_reports.parse_report(body.encode(), "ena")


def test_a_report_is_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "ena.tsv").write_text(REPORT)
    (tmp_path / "ena.tsv.gz").write_bytes(gzip.compress(REPORT.encode()))
    assert run_reports.read_report(tmp_path / "ena.tsv") == run_reports.read_report(tmp_path / "ena.tsv.gz")


def test_the_address_asks_for_everything() -> None:
    address = run_reports.report_address("https://www.ebi.ac.uk/ena/", "PRJNA1")
    assert address.startswith(
        "https://www.ebi.ac.uk/ena/portal/api/filereport?accession=PRJNA1&result=read_run&fields=run"
    )
    assert address.endswith("&format=tsv&limit=0")


def line(run: str, experiment: str = "SRX1", **values: str) -> str:
    values = {
        "Run": run,
        "Experiment": experiment,
        "spots": "10",
        "bases": "1500",
        "LibraryLayout": "PAIRED",
        "TaxID": "9606",
        "ScientificName": "Homo sapiens",
        "SampleName": "GSM5",
        "CenterName": '"INSTITUTE OF TOYS, ZURICH"',
        "Consent": "public",
        **values,
    }
    return ",".join(values.get(name, "") for name in RUNINFO)


@pytest.mark.parametrize("header", [True, False])
def test_the_header_may_be_missing(header: bool) -> None:
    head = [",".join(RUNINFO)] if header else []
    text = "\n".join([*head, line("SRR2"), "", line("SRR1"), line("SRR1"), "", *head, line("SRR3", "SRX0")]) + "\n\n"
    first, second = run_reports.parse_run_list(text.encode(), "runinfo")
    assert (first.experiment, [run.run for run in first.runs]) == ("SRX0", ["SRR3"])
    assert [(run.run, run.spots, run.bases) for run in second.runs] == [("SRR1", "10", "1500"), ("SRR2", "10", "1500")]
    assert (second.samples, second.layout, second.taxa) == (("GSM5",), "paired", (("9606", "Homo sapiens"),))
    assert second.runs[0].closed == ""


def test_a_consent_group_closes_a_run() -> None:
    (found,) = run_reports.parse_run_list(line("SRR1", Consent="GRU").encode(), "runinfo")
    assert found.runs[0].closed == "its consent group is 'GRU', not public"


def test_the_old_run_selector() -> None:
    text = (
        "AvgSpotLen_l\tExperiment_s\tMBases_l\tRun_s\tSample_Name_s\tLibraryLayout_s\tOrganism_s\tSRA_Study_s\n"
        "150\tSRX9\t314\tSRR1975007\tGSM1658365\tPAIRED\tMus musculus\tSRP057196\n"
    )
    (found,) = run_reports.parse_run_list(text.encode(), "table")
    assert (found.experiment, found.samples, found.study) == ("SRX9", ("GSM1658365",), "SRP057196")
    assert found.taxa == (("10090", "Mus musculus"),)
    assert (found.layout, found.runs[0].run, found.runs[0].spots) == ("paired", "SRR1975007", "")


def test_the_run_selector_of_today() -> None:
    text = (
        "Run,Assay Type,Bases,Bytes,Consent,Experiment,GEO_Accession (exp),LibraryLayout,Organism,Sample Name\n"
        'SRR7,RNA-Seq,494,352,public,SRX4,GSM3,SINGLE,Danio rerio,"x, y"\n'
    )
    (found,) = run_reports.parse_run_list(text.encode(), "table")
    assert (found.experiment, found.samples, found.strategy, found.taxa) == (
        "SRX4",
        ("GSM3",),
        "RNA-Seq",
        (("7955", "Danio rerio"),),
    )
    assert (found.runs[0].bases, found.runs[0].size) == ("494", "352")


def test_an_empty_table_has_no_run() -> None:
    assert run_reports.parse_run_list(b"\n\n", "runinfo") == []


@pytest.mark.parametrize("body", ["<?xml version='1.0'?><ERROR>no</ERROR>", "Error: no such run\n", "a,b\n1,2\n"])
def test_what_is_no_table_of_runs_is_refused(body: str) -> None:
    with pytest.raises(InputError, match="runinfo: not a table of runs; it"):
        run_reports.parse_run_list(body.encode(), "runinfo")


def test_only_line_feeds_end_lines_of_a_report() -> None:
    title = "GSM1: a\u2028b\x0bc\x85d\re"
    body = f"run_accession\texperiment_title\r\nSRR1\t{title}\r\nSRR2\t\n".encode()
    rows = run_reports.parse_report(body, "ena")
    assert [row["run_accession"] for row in rows] == ["SRR1", "SRR2"]
    assert rows[0]["experiment_title"] == title.replace("\r", " ")


def test_a_bad_run_of_a_report_is_that_run_alone() -> None:
    body = b"run_accession\texperiment_accession\n/home/x\tSRX1\nSRR2\tSRX1\nSRR3\t../SRX9\n"
    second, first = run_reports.experiments_of_report(run_reports.parse_report(body, "ena"))[::-1]
    assert (second.experiment, [(run.run, run.fault) for run in second.runs]) == (
        "SRX1",
        [("SRR2", ""), ("", "ENA's report, line 2: '/home/x' is not a run.")],
    )
    fault = "Its experiment is named '../SRX9', which is no accession."
    assert (first.experiment, [(run.run, run.fault) for run in first.runs]) == ("", [("SRR3", fault)])


def test_bad_values_of_other_columns_are_not_used() -> None:
    body = b"Run,Experiment,BioSample,SRA Study,BioProject,TaxID\nSRR1,SRX1,SAMN1,/x,PRJNA1,-1\n"
    (found,) = run_reports.parse_run_list(body, "table")
    assert (found.study, found.project, found.others, found.taxa) == ("", "PRJNA1", ("SAMN1",), ())
    assert found.faults == ("SRAStudy is '/x', which is no accession.",)


@pytest.mark.parametrize(
    ("columns", "values", "size"),
    [
        ("Bytes", "352", "352"),
        ("bytes", "352.0", "352"),
        ("Bytes", "3.5e+09", "3500000000"),  # as spreadsheets write it
        ("size_MB", "2", str(2 << 20)),
        ("MBytes_l", "2", str(2 << 20)),
        ("MBases_l", "10", "4194304"),  # two fifths of the bases
        ("MBases,Bases", "10,100", ""),  # the bases say more
        ("sra_bytes,fastq_bytes", "7,1;2", "7"),
        ("fastq_bytes", "1;2;3", "6"),
        ("fastq_bytes", "1;x", ""),
        ("Bytes", "-1", ""),
        ("Bytes", "9" * 5000, ""),
    ],
)
def test_sizes(columns: str, values: str, size: str) -> None:
    run = "run_accession" if "_bytes" in columns else "Run"
    text = f"{run},Experiment,{columns}\nSRR1,SRX1,{values}\n"
    (found,) = run_reports.parse_run_list(text.encode(), "table")
    assert found.runs[0].size == size


def test_tables_of_other_programs() -> None:
    text = (
        "study_accession\texperiment_accession\torganism_taxid\torganism_name\tlibrary_strategy\tsample_accession\t"
        "run_accession\trun_total_spots\trun_total_bases\ttotal_size\n"
        "SRP1\tSRX1\t10090\tMus musculus\tRNA-Seq\tSRS1\tSRR1\t7\t700\t350\n"
    )
    (found,) = run_reports.parse_run_list(text.encode(), "table")
    (run,) = found.runs
    assert (found.experiment, found.study, found.others, found.strategy) == ("SRX1", "SRP1", ("SRS1",), "RNA-Seq")
    assert (found.taxa, run.spots, run.bases, run.size) == ((("10090", "Mus musculus"),), "7", "700", "350")


def test_numbers_as_r_writes_them() -> None:
    (found,) = run_reports.parse_run_list(b'"Run","spots","bases"\n"SRR1",12.0,"1,234,567"\n', "table")
    assert (found.runs[0].spots, found.runs[0].bases) == ("12", "1234567")


def test_numbers_that_are_none_are_told() -> None:
    (found,) = run_reports.parse_run_list(b"Run,spots,bases\nSRR1,-1,1e3\nSRR1,2,NA\n", "table")
    assert (found.runs[0].spots, found.runs[0].bases) == ("", "")
    assert found.faults == (
        "The spots of SRR1 are '-1', which is no number.",
        "The bases of SRR1 are '1e3', which is no number.",
    )


def test_columns_of_samples_are_attributes() -> None:
    header = "Run,Experiment,cell count,source_name,ReleaseDate,Platform,DATASTORE region"
    text = f"{header}\nSRR1,SRX1,1,skin,2020,ILLUMINA,x\n"
    (found,) = run_reports.parse_run_list(text.encode(), "table")
    assert found.attributes == (("cell count", "1"), ("source_name", "skin"))
    report = "run_accession\tcell_type\tfastq_ftp\tfirst_public\nSRR1\tneuron\tx\t2020\n"
    (found,) = run_reports.experiments_of_report(run_reports.parse_report(report.encode(), "ena"))
    assert found.attributes == (("cell_type", "neuron"),)


def test_runs_without_an_experiment_are_not_one_experiment() -> None:
    found = run_reports.parse_run_list(b"Run,BioProject\nERR1,PRJEB1\nERR2,PRJEB1\n", "table")
    assert [(item.experiment, len(item.runs)) for item in found] == [("ERR1", 1), ("ERR2", 1)]


def test_rows_of_a_kept_table_that_name_no_run_stay() -> None:
    text = "Run,Experiment\nSRR1 ,SRX1\nsrr2,SRX1\nSRR 3,SRX1\n"
    (found,) = run_reports.parse_run_list(text.encode("utf-16"), "table")
    assert [(run.run, run.fault) for run in found.runs] == [
        ("SRR1", ""),
        ("SRR2", ""),
        ("", "table, line 4: 'SRR 3' in column Run is not a run (SRR…, ERR… or DRR…)."),
    ]


@pytest.mark.parametrize("address", ["http://[::1", "file:///etc/passwd", "s3://a/b"])
def test_files_have_addresses_of_the_web(address: str) -> None:
    row = {"fastq_ftp": f"{address};h/2.gz", "fastq_md5": "a;b", "fastq_bytes": f"{'9' * 5000};2"}
    assert run_reports.files_of(row, "fastq") == [RemoteFile("2.gz", "fastq", 2, "b", "https://h/2.gz")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"Invalid accession: GSE1\n", "Invalid accession: GSE1"),
        (b'{"timestamp": 1, "message" : "Invalid field(s)"}', "Invalid field(s)"),
        (b"<html>no</html>", ""),
        (b'{"error": 1}', ""),
        (b"", ""),
        (b"a\x1b[31m", ""),
    ],
)
def test_the_words_of_a_refusal(body: bytes, words: str) -> None:
    assert run_reports.report_error(body) == words


def test_a_table_that_inflates_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ena.tsv.gz"
    with gzip.open(path, "wb") as handle:
        handle.write(b"run_accession\n")
        for _ in range(60):
            handle.write(b"SRR1\n" * 200_000)
    with pytest.raises(InputError, match=r"ena\.tsv\.gz: more than \d+ MB of text, longer than any table of runs"):
        run_reports.read_report(path)
