"""Where archives lie, as the records of NCBI and ENA say it."""

import gzip

from scripts.formats import archive_objects
from scripts.formats.archive_objects import ArchiveObject

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
    found = archive_objects.ncbi_objects(record(tmp_path), ["SRR1", "SRR2", "SRR3"])
    assert found == {"SRR1": [FULL, LITE], "SRR2": [ArchiveObject("https://o/SRR2", None, "", False, "SRR2")]}


def test_other_runs_are_left_out(tmp_path):
    assert list(archive_objects.ncbi_objects(record(tmp_path), ["SRR2"])) == ["SRR2"]


def test_the_bam_that_was_submitted_is_found(tmp_path):
    found = archive_objects.submitted_bams(record(tmp_path), ["SRR1", "SRR2"])
    assert found == {"SRR1": [ArchiveObject("https://src/x.bam.1", 70, "dd", False, "x.bam")]}


def test_no_record_no_objects(tmp_path):
    assert archive_objects.ncbi_objects(tmp_path / "sra.xml.gz", ["SRR1"]) == {}
    assert archive_objects.ena_objects(tmp_path / "ena.tsv.gz", ["SRR1"]) == {}


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
    assert archive_objects.ena_objects(path, ["SRR1", "SRR2", "SRR3", "SRR4"]) == {
        "SRR1": [ArchiveObject("https://ftp.sra.ebi.ac.uk/vol1/srr/SRR1/SRR1", 12, "ab", False, "SRR1")],
        "SRR2": [ArchiveObject("http://127.0.0.1:1/SRR2", 13, "cd", False, "SRR2")],
        "SRR3": [ArchiveObject("https://h/SRR3", None, "", False, "SRR3")],
    }
