"""Sums are written only for results that are what the ledger says."""

import os
import shutil
import subprocess

import pytest

from scripts.core.errors import InputError
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest import checksums
from scripts.plan.run_table import Run, write_runs

LEDGER = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR2", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR3", species="mus", assay="plate", status="failed", reason="EMPTY_READS"),
    Run("GSE2", "GSE2", "GSM3", "SRX3", "SRR4", species="homo", assay="droplet", status="counted"),
    Run("GSE2", "GSE2", "GSM3", "SRX3", "SRR4", species="mus", assay="droplet", status="counted"),
    Run(
        "GSE2",
        "GSE2",
        "GSM4",
        "SRX4",
        "SRR5",
        species="homo",
        assay="droplet",
        status="failed",
        reason="LOW_GENE_SHARE",
    ),
    Run("GSE2", "GSE2", "GSM5", status="left_out", reason="NO_RUN"),
]


def make(folder, ledger=LEDGER, columns=("SRR1;SRR2",)):
    write_runs(folder / "runs.tsv", ledger)
    for ending in ("htseq-count", "log"):
        write_csv_gz(folder / f"mus.{ending}.csv.gz", [["NAME", *columns], ["EXP_ID", *("x" for _ in columns)]])
    for library in ("SRX3.homo", "SRX3.mus"):
        (folder / "mex" / library).mkdir(parents=True)
        (folder / "mex" / library / "Gene_Unique_raw.tar.gz").write_text(library)
    (folder / "mex" / "SRX4").mkdir()
    (folder / "Äpfel.txt").write_text("last in byte order")


def call(folder):
    checksums.main(["--results", str(folder), "--output", str(folder / "SHA256SUMS")])
    return (folder / "SHA256SUMS").read_text()


def test_sums_are_those_of_sha256sum_and_sorted(tmp_path):
    make(tmp_path)
    text = call(tmp_path)
    assert [line.split("  ")[1] for line in text.splitlines()] == [
        "mex/SRX3.homo/Gene_Unique_raw.tar.gz",
        "mex/SRX3.mus/Gene_Unique_raw.tar.gz",
        "mus.htseq-count.csv.gz",
        "mus.log.csv.gz",
        "runs.tsv",
        "Äpfel.txt",
    ]
    assert call(tmp_path) == text  # a second call does not sum the sums
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_nothing_counted_is_no_fault(tmp_path):
    write_runs(tmp_path / "runs.tsv", [LEDGER[-1]])
    assert call(tmp_path).endswith("  runs.tsv\n")


def test_results_that_are_not_those_of_the_ledger_get_no_sums(tmp_path):
    make(tmp_path, columns=("SRR1",))
    with pytest.raises(InputError, match=r"needs 2 corrections:\nmus.htseq-count.csv.gz: SRR2 is counted in the"):
        call(tmp_path)
    assert not (tmp_path / "SHA256SUMS").exists()


def test_the_engine_s_time_stamps_are_no_results(tmp_path):
    make(tmp_path)
    folder = tmp_path / "mex" / "SRX3.homo"
    stamp = folder / ".snakemake_timestamp"
    stamp.touch()
    os.utime(stamp, ns=(10**18, 10**18))
    checksums.main(["--results", str(tmp_path), "--output", str(tmp_path / "SHA256SUMS")])
    assert not stamp.exists()
    assert folder.stat().st_mtime_ns == 10**18
