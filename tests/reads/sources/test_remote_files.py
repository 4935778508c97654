"""The files that archives have of a run, by the records of NCBI and ENA."""

import gzip
import re

import pytest

from scripts.core.errors import InputError
from scripts.core.http import RemoteError
from scripts.plan.run_table import Run
from scripts.reads.sources import remote_files
from scripts.reads.sources.remote_files import UnitRecords
from scripts.records.answers.sra_xml import Read, RemoteFile

RECORD = """<?xml version="1.0"?>
<EXPERIMENT_PACKAGE_SET><EXPERIMENT_PACKAGE><RUN_SET>
<RUN accession="SRR1" size="900"><SRAFiles>
 <SRAFile filename="SRR1.lite" url="https://a/SRR1.lite.1" size="500" md5="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" semantic_name="SRA Lite" supertype="Primary ETL" sratoolkit="1">
  <Alternatives url="https://a/SRR1.lite.1" access_type="anonymous" org="NCBI"/>
  <Alternatives url="s3://b/SRR1.lite.1" access_type="aws identity" org="AWS"/></SRAFile>
 <SRAFile filename="SRR1" url="https://o/SRR1" size="905" md5="BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" semantic_name="SRA Normalized" supertype="Primary ETL" sratoolkit="1">
  <Alternatives url="https://o/SRR1" access_type="anonymous" org="AWS"/></SRAFile>
 <SRAFile filename="R1.fastq.gz" size="7" md5="cccccccccccccccccccccccccccccccc" semantic_name="fastq" supertype="Original" sratoolkit="0">
  <Alternatives url="https://src/R1.fastq.gz" access_type="anonymous" org="AWS"/></SRAFile>
 <SRAFile filename="x.bam" size="70" md5="dddddddddddddddddddddddddddddddd" semantic_name="10X Genomics bam file" supertype="Original" sratoolkit="0">
  <Alternatives url="https://src/x.bam.1" access_type="anonymous" org="AWS"/></SRAFile>
</SRAFiles></RUN>
<RUN accession="SRR2"><SRAFiles>
 <SRAFile filename="SRR2" url="https://o/SRR2" size="?" semantic_name="run" sratoolkit="1"/></SRAFiles></RUN>
<RUN accession="SRR3"><SRAFiles>
 <SRAFile filename="SRR3" url="gs://o/SRR3" size="3" semantic_name="SRA Normalized" sratoolkit="1">
  <Alternatives url="gs://o/SRR3" access_type="gcp identity" org="GCP"/></SRAFile></SRAFiles></RUN>
</RUN_SET></EXPERIMENT_PACKAGE></EXPERIMENT_PACKAGE_SET>
"""  # noqa: E501
ADDRESS = "https://o/SRR1"
FULL = RemoteFile("SRR1", "SRA Normalized", 905, "BB" * 16, ADDRESS, (ADDRESS,))
LITE = RemoteFile("SRR1.lite", "SRA Lite", 500, "aa" * 16, "https://a/SRR1.lite.1", ("https://a/SRR1.lite.1",))
RUNS = [Run(series="GSE1", experiment="SRX1", run=f"SRR{number}") for number in range(1, 5)]


def records(tmp_path, ena="", runs=RUNS, **contents):
    """Return the records of a series: its ``sra`` XML and its ``ena`` report."""
    for name, content in contents.items():
        path = tmp_path / "GSE1" / name.replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content.encode()))
    return UnitRecords(runs, tmp_path, ena, patience=1.0)


def test_full_quality_comes_before_lite_and_only_what_anybody_may_fetch(tmp_path):
    found = records(tmp_path, sra_xml=RECORD)
    assert found.files("ncbi", "SRR1") == [FULL, LITE]
    assert [file.url for file in found.files("ncbi", "SRR2")] == ["https://o/SRR2"]
    assert found.files("ncbi", "SRR3") == []
    assert [remote_files.is_lite(file) for file in (FULL, LITE)] == [False, True]


def test_runs_of_other_units_are_left_out(tmp_path):
    found = records(tmp_path, sra_xml=RECORD, runs=RUNS[1:2])
    assert found.files("ncbi", "SRR1") == []
    assert found.files("ncbi", "SRR2") != []


def test_the_bam_that_was_submitted_is_found(tmp_path):
    found = records(tmp_path, sra_xml=RECORD)
    assert [(file.url, file.size, file.md5) for file in found.files("bam", "SRR1")] == [
        ("https://src/x.bam.1", 70, "dd" * 16)
    ]
    assert found.files("bam", "SRR2") == []


def test_without_a_record_there_is_no_file(tmp_path):
    found = records(tmp_path)
    assert [found.files(source, "SRR1") for source in ("ncbi", "bam", "ena", "ena_fastq")] == [[]] * 4
    assert found.reads("SRR1") == ()


def test_a_record_that_cannot_be_read_is_reported_and_has_no_reads(tmp_path):
    found = records(tmp_path, sra_xml="cut short", ena_tsv="nothing of ENA\n")
    for source in ("ncbi", "bam", "ena"):
        with pytest.raises(InputError, match=r"GSE1/(sra\.xml|ena\.tsv)\.gz: "):
            found.files(source, "SRR1")
    assert found.reads("SRR1") == ()


def test_ena_is_asked_where_there_is_no_report_and_may_not_answer(tmp_path):
    with pytest.raises(RemoteError):
        records(tmp_path, ena="http://127.0.0.1:9").files("ena", "SRR1")
    assert records(tmp_path, ena="http://127.0.0.1:9", ena_tsv="run_accession\n").files("ena", "SRR1") == []


def test_the_reads_of_a_spot_are_those_of_the_statistics(tmp_path):
    spots = '<Statistics nreads="{}"><Read index="0" count="9" average="26" stdev="0"/></Statistics></RUN>'
    found = records(tmp_path, sra_xml=RECORD.replace("</RUN>", spots.format(1), 1))
    assert found.reads("SRR1") == (Read(26.0, 0.0, 9),)
    assert found.reads("SRR2") == ()
    assert records(tmp_path, sra_xml=RECORD.replace("</RUN>", spots.format("variable"), 1)).reads("SRR1") == ()


def test_addresses_of_ena_get_a_scheme_and_keep_the_one_they_have(tmp_path):
    rows = [
        "run_accession\tfastq_ftp\tsra_ftp\tsra_md5\tsra_bytes",
        "SRR1\tx;y\tftp.sra.ebi.ac.uk/vol1/srr/SRR1/SRR1\tAB\t12",
        "SRR2\t\thttp://127.0.0.1:1/SRR2\tcd\t13",
        "SRR3\t\tftp://h/SRR3\t\t",
        "SRR4\t\t\t\t",
        "SRR9\t\th/SRR9\t\t",
    ]
    found = records(tmp_path, ena_tsv="\n".join(rows) + "\n")
    assert [file for run in ("SRR1", "SRR2", "SRR3", "SRR4", "SRR9") for file in found.files("ena", run)] == [
        RemoteFile("SRR1", "sra", 12, "AB", "https://ftp.sra.ebi.ac.uk/vol1/srr/SRR1/SRR1"),
        RemoteFile("SRR2", "sra", 13, "cd", "http://127.0.0.1:1/SRR2"),
        RemoteFile("SRR3", "sra", 0, "", "https://h/SRR3"),
    ]


# ENA's FASTQ

COLUMNS = "run_accession\tfastq_ftp\tfastq_md5\tfastq_bytes"


def offered(tmp_path, *names, md5="aa", size="7"):
    values = [";".join(items) for items in ([f"h/{name}" for name in names], [md5] * len(names), [size] * len(names))]
    return records(tmp_path, ena_tsv=f"{COLUMNS}\nSRR1\t{chr(9).join(values)}\n").files("ena_fastq", "SRR1")


def reads(*lengths):
    return [Read(length, 0, 100 if length else 0) for length in lengths]


ONE, MATES = "SRR1.fastq.gz", ("SRR1_1.fastq.gz", "SRR1_2.fastq.gz")
THREE = (*MATES, "SRR1_3.fastq.gz")


@pytest.mark.parametrize(
    ("names", "lengths", "layout", "taken"),
    [
        ((ONE,), (50,), "", {ONE: ONE}),
        ((ONE,), (50, 0), "", {ONE: ONE}),
        (MATES[:1], (50,), "", {ONE: MATES[0]}),
        (MATES, (50, 50), "", dict(zip(MATES, MATES, strict=True))),
        ((ONE, *MATES), (50, 50), "", {ONE: ONE, **dict(zip(MATES, MATES, strict=True))}),
        (THREE, (8, 28, 90), "", dict(zip(THREE, THREE, strict=True))),
        (MATES, (28, 0, 90), "", {THREE[0]: THREE[0], THREE[2]: THREE[1]}),
        (MATES, (), "paired", dict(zip(MATES, MATES, strict=True))),
        ((ONE,), (), "single", {ONE: ONE}),
    ],
)
def test_fastq_with_every_read_is_taken(tmp_path, names, lengths, layout, taken):
    found = remote_files.whole_fastq("SRR1", offered(tmp_path, *names), reads(*lengths), layout)
    assert {name: file.name for name, file in found.items()} == taken
    assert {(file.url, file.size, file.md5) for file in found.values()} == {
        (f"https://h/{file.name}", 7, "aa") for file in found.values()
    }


@pytest.mark.parametrize(
    ("names", "lengths", "layout", "fault"),
    [
        ((ONE,), (8, 28, 90), "", "ENA's FASTQ has 1 of the 3 reads of a spot"),
        ((ONE,), (28, 90), "", "ENA's FASTQ has 1 of the 2 reads of a spot"),
        ((ONE,), (), "paired", "ENA's FASTQ has 1 of the 2 reads of a spot"),
        (MATES, (8, 28, 90), "", "ENA's FASTQ has 2 of the 3 reads of a spot"),
        (THREE[1:], (28, 90), "", "ENA's FASTQ has the reads 2, 3, the record 2"),
        (MATES, (50,), "", "ENA's FASTQ has 2 reads of a spot, the record 1"),
        (THREE, (50, 50), "", "ENA's FASTQ has the reads 1, 2, 3, the record 2"),
        (MATES, (), "", "the record does not say how many reads a spot has, and ENA's FASTQ may lack one"),
        (MATES, (0, 0), "paired", "the record does not say how many reads a spot has, and ENA's FASTQ may lack one"),
        (("SRR1_R1.fastq.gz",), (50,), "", "ENA's FASTQ has a file of another name, SRR1_R1.fastq.gz"),
    ],
)
def test_fastq_that_may_lack_a_read_is_refused(tmp_path, names, lengths, layout, fault):
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        remote_files.whole_fastq("SRR1", offered(tmp_path, *names), reads(*lengths), layout)


@pytest.mark.parametrize("less", [{"md5": ""}, {"size": ""}])
def test_fastq_without_checksum_or_size_is_refused(tmp_path, less):
    with pytest.raises(ValueError, match=r"^the record gives no size and checksum of SRR1\.fastq\.gz$"):
        remote_files.whole_fastq("SRR1", offered(tmp_path, ONE, **less), reads(50))


# What was submitted


def test_submitted_files_are_those_of_ena_or_the_originals_of_ncbi_that_anybody_may_fetch(tmp_path):
    line = "run_accession\tsubmitted_ftp\tsubmitted_md5\tsubmitted_bytes\nSRR1\th/a_1.fq.gz;h/a_2.fq.gz\tab;cd\t7;8\n"
    found = records(tmp_path, sra_xml=RECORD, ena_tsv=line).files("submitted", "SRR1")
    assert [(file.name, file.url, file.size, file.md5) for file in found] == [
        ("a_1.fq.gz", "https://h/a_1.fq.gz", 7, "ab"),
        ("a_2.fq.gz", "https://h/a_2.fq.gz", 8, "cd"),
    ]
    found = records(tmp_path, sra_xml=RECORD, ena_tsv="run_accession\n").files("submitted", "SRR1")
    assert [file.url for file in found] == ["https://src/R1.fastq.gz", "https://src/x.bam.1"]
    closed = RECORD.replace(
        '"https://src/R1.fastq.gz" access_type="anonymous"', '"s3://src/R1" access_type="aws identity"'
    )
    assert records(tmp_path, sra_xml=closed, ena_tsv="run_accession\n").files("submitted", "SRR1") == []


def given(*names, md5="aa", size=7):
    return [RemoteFile(name, "submitted", size, md5, f"https://h/{name}") for name in names]


@pytest.mark.parametrize(
    ("names", "row", "taken"),
    [
        (("b_R2_001.fastq.gz", "b_R1_001.fastq.gz"), {"layout": "paired"}, ("b_R1_001.fastq.gz", "b_R2_001.fastq.gz")),
        (("b_2.fq.bz2", "b_1.fq.bz2", "b_I1.fq.bz2"), {"layout": "paired"}, ("b_1.fq.bz2", "b_2.fq.bz2")),
        (("cell.fq",), {"layout": "single"}, ("cell.fq",)),
        (("x.R1.fq.gz", "x.R2.fq.gz"), {}, ("x.R1.fq.gz", "x.R2.fq.gz")),
        (("x_read2.fastq", "x_read1.fastq"), {"layout": "paired"}, ("x_read1.fastq", "x_read2.fastq")),
        (
            ("l_R2_001.fastq.gz", "l_I1_001.fastq.gz", "l_R1_001.fastq.gz"),
            {"assay": "droplet", "read_roles": "barcode,cdna"},
            ("l_R1_001.fastq.gz", "l_R2_001.fastq.gz"),
        ),
        (
            ("l_S1_L001_R2_001.fastq.gz", "l_S1_L001_I1_001.fastq.gz", "l_S1_L001_R1_001.fastq.gz"),
            {"assay": "droplet"},
            ("l_S1_L001_I1_001.fastq.gz", "l_S1_L001_R1_001.fastq.gz", "l_S1_L001_R2_001.fastq.gz"),
        ),
    ],
)
def test_submitted_fastq_is_taken_in_the_order_of_its_reads(names, row, taken):
    row = Run(**{"run": "SRR1", "assay": "plate", **row})
    found = remote_files.submitted_files("SRR1", given(*names), row)
    assert {name: file.name for name, file in found.items()} == {
        f"SRR1.submitted_{number}.fastq.gz": name for number, name in enumerate(taken, 1)
    }


def test_a_submitted_bam_is_taken_alone():
    row = Run(run="SRR1", assay="droplet")
    found = remote_files.submitted_files("SRR1", given("possorted.bam", "possorted.bam.bai"), row)
    assert {name: file.name for name, file in found.items()} == {"SRR1.bam": "possorted.bam"}


@pytest.mark.parametrize(
    ("files", "row", "fault"),
    [
        (given("a.h5", "b.txt"), {}, "what was submitted is neither FASTQ nor one BAM file"),
        (given("a.bam", "b.bam"), {}, "what was submitted is neither FASTQ nor one BAM file"),
        (given("a_R1.fq.gz", "a.bam"), {}, "what was submitted is neither FASTQ nor one BAM file"),
        (given("a_R1.fq.gz"), {"layout": "paired"}, "1 of the 2 reads of a spot were submitted"),
        (given("R2.fq.gz"), {"assay": "droplet"}, "1 of the 2 reads of a spot were submitted"),
        (given("a_R1.fq.gz", "a_R2.fq.gz"), {"layout": "single"}, "2 of the 1 reads of a spot were submitted"),
        (
            given("a_R1.fq.gz", "a_R2.fq.gz"),
            {"assay": "droplet", "read_roles": "index,barcode,cdna"},
            "2 of the 3 reads of a spot were submitted",
        ),
        (
            given("L1_R1.fq.gz", "L2_R1.fq.gz"),
            {},
            "the names of the submitted files do not say which read each has: L1_R1.fq.gz, L2_R1.fq.gz",
        ),
        (given("a_R1.fq.gz", md5=""), {}, "the record gives no size and checksum of a_R1.fq.gz"),
        (given("a.bam", size=0), {}, "the record gives no size and checksum of a.bam"),
    ],
)
def test_submitted_files_that_are_not_surely_all_reads_are_refused(files, row, fault):
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        remote_files.submitted_files("SRR1", files, Run(**{"run": "SRR1", "assay": "plate", **row}))
