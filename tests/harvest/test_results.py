"""The folder of results has what the ledger says, no more and no less."""

import os
import shutil

import pytest

from scripts.core.errors import InputError
from scripts.harvest.results import broken_folders, conservation_faults, read_ledger, read_sums, write_sums
from scripts.plan.run_table import Run, read_runs, write_runs
from tests.harvest.test_checksums import LEDGER, make


def found(folder):
    return list(conservation_faults(folder, read_runs(folder / "runs.tsv")))


def test_results_of_the_ledger_have_no_fault(tmp_path):
    make(tmp_path)
    assert found(tmp_path) == []


def test_rows_that_are_not_settled_are_found(tmp_path):
    make(tmp_path, ledger=[*LEDGER, LEDGER[0]._replace(run="SRR9", status="planned"), LEDGER[-1]._replace(reason="")])
    assert found(tmp_path) == [
        "runs.tsv: SRR9 ends as 'planned'; expected counted, left_out, failed.",
        "runs.tsv: GSM5 is left_out without a reason.",
    ]


def test_tables_must_have_the_counted_runs(tmp_path):
    make(tmp_path, columns=("SRR1", "SRR3", "SRR3"))
    faults = [
        "SRR3 is there more than once.",
        "SRR2 is counted in the ledger, but not in it.",
        "SRR3 is in it, but not counted in the ledger.",
    ]
    assert found(tmp_path) == [
        f"{table}: {fault}" for table in ("mus.htseq-count.csv.gz", "mus.log.csv.gz") for fault in faults
    ]


def test_missing_and_surplus_tables_and_archives_are_found(tmp_path):
    make(tmp_path)
    (tmp_path / "mus.log.csv.gz").rename(tmp_path / "homo.log.csv.gz")
    (tmp_path / "mex" / "SRX3.homo" / "Gene_Unique_raw.tar.gz").rename(tmp_path / "mex" / "SRX4" / "x.tar.gz")
    assert found(tmp_path) == [
        "homo.log.csv.gz: SRR1, SRR2 are in it, but not counted in the ledger.",
        "mus.log.csv.gz: missing, though plate runs of mus are in the ledger.",
        "mex/SRX3.homo: no archive in it, though the library is counted in the ledger.",
        "mex/SRX4: archives of a library that is not counted in the ledger.",
    ]


def test_a_folder_from_which_a_file_was_deleted_is_broken(tmp_path):
    names = ["runs.tsv", "bam/GSE1.mus.0000/SRX1.bam", "bam/GSE1.mus.0000/SRX1.bam.bai", "bam/GSE1.mus.0001/SRX2.bam"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert broken_folders(tmp_path) == set()
    write_sums(tmp_path / "SHA256SUMS", dict.fromkeys(names, "0" * 64))
    assert broken_folders(tmp_path) == set()
    for name in ("runs.tsv", "bam/GSE1.mus.0000/SRX1.bam.bai"):  # Snakemake itself sees that the first is not there
        (tmp_path / name).unlink()
    assert broken_folders(tmp_path) == {f"{tmp_path}/bam", f"{tmp_path}/bam/GSE1.mus.0000"}
    later = (tmp_path / "SHA256SUMS").stat().st_mtime + 5
    os.utime(tmp_path / "bam/GSE1.mus.0000/SRX1.bam", (later, later))  # made again, of fewer cells
    assert broken_folders(tmp_path) == set()
    shutil.rmtree(tmp_path / "bam/GSE1.mus.0001")
    assert broken_folders(tmp_path) == {f"{tmp_path}/bam", f"{tmp_path}/bam/GSE1.mus.0001"}
    (tmp_path / "SHA256SUMS").write_text("damaged")
    assert broken_folders(tmp_path) == set()


def test_sums_are_read_as_they_are_written(tmp_path):
    sums = {"b": "0" * 64, "a/ä": "f" * 64}
    write_sums(tmp_path / "SHA256SUMS", sums)
    assert (tmp_path / "SHA256SUMS").read_text().splitlines()[0] == "f" * 64 + "  a/ä"
    assert read_sums(tmp_path / "SHA256SUMS") == sums
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff")
    with pytest.raises(InputError, match="SHA256SUMS: not text in UTF-8"):
        read_sums(tmp_path / "SHA256SUMS")


def test_a_ledger_of_too_much_text_is_refused(tmp_path):
    write_runs(tmp_path / "runs.tsv", [Run(run=f"SRR{number}", sample="A" * 300) for number in range(9)])
    assert len(read_ledger(tmp_path / "runs.tsv", 20)) == 9
    with pytest.raises(InputError, match=r"^runs\.tsv: more text in its first 8 rows than accessions have\.$"):
        read_ledger(tmp_path / "runs.tsv", 9)
