"""Where archives lie, as the records of NCBI and ENA say it."""

import gzip
import re

import pytest

from scripts.reads import sources
from scripts.reads.sources import ArchiveObject
from scripts.records.sra_xml import Read

RECORD = """<?xml version="1.0"?>
<EXPERIMENT_PACKAGE_SET><EXPERIMENT_PACKAGE><RUN_SET>
<RUN accession="SRR1" size="900"><SRAFiles>
 <SRAFile filename="SRR1.lite" url="https://a/SRR1.lite.1" size="500" md5="aa" semantic_name="SRA Lite" supertype="Primary ETL" sratoolkit="1">
  <Alternatives url="https://a/SRR1.lite.1" access_type="anonymous" org="NCBI"/>
  <Alternatives url="s3://b/SRR1.lite.1" access_type="aws identity" org="AWS"/></SRAFile>
 <SRAFile filename="SRR1" url="https://o/SRR1" size="905" md5="BB" semantic_name="SRA Normalized" supertype="Primary ETL" sratoolkit="1">
  <Alternatives url="https://o/SRR1" access_type="anonymous" org="AWS"/></SRAFile>
 <SRAFile filename="R1.fastq.gz" size="7" md5="cc" semantic_name="fastq" supertype="Original" sratoolkit="0">
  <Alternatives url="https://src/R1.fastq.gz" access_type="anonymous" org="AWS"/></SRAFile>
 <SRAFile filename="x.bam" size="70" md5="dd" semantic_name="10X Genomics bam file" supertype="Original" sratoolkit="0">
  <Alternatives url="https://src/x.bam.1" access_type="anonymous" org="AWS"/></SRAFile>
</SRAFiles></RUN>
<RUN accession="SRR2"><SRAFiles>
 <SRAFile filename="SRR2" url="https://o/SRR2" size="?" semantic_name="run" sratoolkit="1"/></SRAFiles></RUN>
<RUN accession="SRR3"><SRAFiles>
 <SRAFile filename="SRR3" url="gs://o/SRR3" size="3" semantic_name="SRA Normalized" sratoolkit="1">
  <Alternatives url="gs://o/SRR3" access_type="gcp identity" org="GCP"/></SRAFile></SRAFiles></RUN>
</RUN_SET></EXPERIMENT_PACKAGE></EXPERIMENT_PACKAGE_SET>
"""  # noqa: E501
FULL = ArchiveObject("https://o/SRR1", 905, "bb", False, "SRR1")
LITE = ArchiveObject("https://a/SRR1.lite.1", 500, "aa", True, "SRR1.lite")


def record(tmp_path):
    path = tmp_path / "sra.xml.gz"
    path.write_bytes(gzip.compress(RECORD.encode()))
    return path


def test_full_quality_comes_before_lite_and_only_what_anybody_may_fetch(tmp_path):
    found = sources.ncbi_objects(record(tmp_path), ["SRR1", "SRR2", "SRR3"])
    assert found == {"SRR1": [FULL, LITE], "SRR2": [ArchiveObject("https://o/SRR2", None, "", False, "SRR2")]}


def test_other_runs_are_left_out(tmp_path):
    assert list(sources.ncbi_objects(record(tmp_path), ["SRR2"])) == ["SRR2"]


def test_the_bam_that_was_submitted_is_found(tmp_path):
    found = sources.submitted_bams(record(tmp_path), ["SRR1", "SRR2"])
    assert found == {"SRR1": [ArchiveObject("https://src/x.bam.1", 70, "dd", False, "x.bam")]}


def test_no_record_no_objects(tmp_path):
    assert sources.ncbi_objects(tmp_path / "sra.xml.gz", ["SRR1"]) == {}
    assert sources.ena_objects(tmp_path / "ena.tsv.gz", ["SRR1"]) == {}


def test_ena_values_get_a_scheme_and_keep_the_one_they_have(tmp_path):
    path = tmp_path / "ena.tsv.gz"
    rows = [
        "run_accession\tfastq_ftp\tsra_ftp\tsra_md5\tsra_bytes",
        "SRR1\tx;y\tftp.sra.ebi.ac.uk/vol1/srr/SRR1/SRR1\tAB\t12",
        "SRR2\t\thttp://127.0.0.1:1/SRR2\tcd\t13",
        "SRR3\t\tftp://h/SRR3\t\t",
        "SRR4\t\t\t\t",
        "SRR9\t\th/SRR9\t\t",
    ]
    path.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    assert sources.ena_objects(path, ["SRR1", "SRR2", "SRR3", "SRR4"]) == {
        "SRR1": [ArchiveObject("https://ftp.sra.ebi.ac.uk/vol1/srr/SRR1/SRR1", 12, "ab", False, "SRR1")],
        "SRR2": [ArchiveObject("http://127.0.0.1:1/SRR2", 13, "cd", False, "SRR2")],
        "SRR3": [ArchiveObject("https://h/SRR3", None, "", False, "SRR3")],
    }


# ENA's FASTQ

COLUMNS = "run_accession\tfastq_ftp\tfastq_md5\tfastq_bytes"


def offers(tmp_path, *names, md5="aa", size="7"):
    path = tmp_path / "ena.tsv.gz"
    values = [";".join(items) for items in ([f"h/{name}" for name in names], [md5] * len(names), [size] * len(names))]
    path.write_bytes(gzip.compress(f"{COLUMNS}\nSRR1\t{chr(9).join(values)}\n".encode()))
    return sources.ena_objects(path, ["SRR1"], "http", "fastq")["SRR1"]


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
    found = sources.whole_fastq("SRR1", offers(tmp_path, *names), reads(*lengths), layout)
    assert {name: offer.name for name, offer in found.items()} == taken
    assert {(offer.url, offer.size, offer.md5) for offer in found.values()} == {
        (f"http://h/{offer.name}", 7, "aa") for offer in found.values()
    }


@pytest.mark.parametrize(
    ("names", "lengths", "layout", "told"),
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
def test_fastq_that_may_lack_a_read_is_refused(tmp_path, names, lengths, layout, told):
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        sources.whole_fastq("SRR1", offers(tmp_path, *names), reads(*lengths), layout)


@pytest.mark.parametrize("less", [{"md5": ""}, {"size": ""}])
def test_fastq_without_checksum_or_size_is_refused(tmp_path, less):
    with pytest.raises(ValueError, match=r"^the record gives no size and checksum of SRR1\.fastq\.gz$"):
        sources.whole_fastq("SRR1", offers(tmp_path, ONE, **less), reads(50))


def test_what_a_download_left_of_a_run(tmp_path):
    names = ["SRR1.sra", "SRR1.fastq.gz", "SRR1_2.fastq.gz", "SRR12.sra", "SRR1.sra.part", "SRR1.json", "SRR1_x.sra"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in sources.arrived(tmp_path, "SRR1")] == sorted(names[:3])
