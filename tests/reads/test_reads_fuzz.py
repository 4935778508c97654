"""Spoiled BAM and FASTQ files are converted right or refused, in bounded memory, disk and time."""

from tests import fuzzing


def test_spoiled_reads_are_refused():
    summary = fuzzing.check("tests.reads.spoiled_reads", 300, seed=19)
    assert summary["refused"] > 100
    assert summary["accepted"] > 50
