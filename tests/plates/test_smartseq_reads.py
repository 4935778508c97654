"""Numbers of reads of each cell from a BAM file as STARsolo writes it. Real ones: test_smartseq.py."""

from pathlib import Path

import numpy as np
import pysam
import pytest

from scripts.plates.bam_groups import BamError
from scripts.plates.smartseq_reads import NUMBERS, ReadNumbers, check_sums, read_numbers
from tests.plates.test_bam_groups import HEADER, write

UNIQUE, MULTIPLE = "Uniquely mapped reads number", "Number of reads mapped to multiple loci"


def write_tagged(path: Path, *records: tuple[int, list[tuple[str, object, str]]]) -> Path:
    header = pysam.AlignmentHeader.from_dict(HEADER)
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for number, (flag, tags) in enumerate(records):
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag, read.query_sequence = f"r{number}", flag, "ACGTA"
            if not flag & 4:
                read.reference_id, read.reference_start, read.cigartuples = 0, 5, [(0, 5)]
            read.set_tags(tags)
            out.write(read)
    return path


def mapped(cell: int, hits: int, gene: str, genes: str, flag: int = 0) -> tuple[int, list[tuple[str, object, str]]]:
    return flag, [
        ("NH", hits, "C"),
        ("RG", f"{cell:05d}", "Z"),
        ("GX", gene, "Z"),
        ("gx", genes, "Z"),
        ("XS", "+", "A"),
    ]


def unmapped(cell: int, kind: str) -> tuple[int, list[tuple[str, object, str]]]:
    tags = [("NH", 0, "C"), ("HI", 0, "C"), ("AS", 300, "S"), ("nM", 2, "C"), ("uT", kind, "A")]
    return 4, [*tags, ("RG", f"{cell:05d}", "Z")]


def test_every_read_is_counted_for_its_cell(tmp_path: Path) -> None:
    path = write_tagged(
        tmp_path / "a.bam",
        mapped(0, 1, "g1", "g1"),
        mapped(0, 1, "-", "-"),
        mapped(0, 1, "-", "g1;g2"),
        mapped(1, 1, "-g", "-g"),  # a gene whose name begins with a dash
        mapped(1, 3, "-", "g1"),
        mapped(1, 3, "g1", "g1", 256),  # another alignment of the same read
        *(unmapped(1, kind) for kind in "0112223333"),
    )
    found = read_numbers(path, 3)
    assert found.of("Number of input reads").tolist() == [3, 12, 0]
    assert found.of(UNIQUE).tolist() == [3, 1, 0]
    assert found.of(MULTIPLE).tolist() == [0, 1, 0]
    kinds = ["unmapped: other", "unmapped: too short", "unmapped: too many mismatches", "mapped to too many loci"]
    assert [found.of(f"Number of reads {kind}").tolist()[1] for kind in kinds] == [1, 2, 3, 4]
    assert found.settle(np.array([1, 2, 0]))  # the read of three loci counts: all its genes are one
    tallies = dict(
        zip(("no_feature", "ambiguous", "low", "unaligned", "not_unique"), found.tallies().T.tolist(), strict=True)
    )
    assert tallies == {
        "no_feature": [1, 0, 0],
        "ambiguous": [1, 0, 0],
        "low": [0, 0, 0],
        "unaligned": [0, 0, 0],
        "not_unique": [0, 0, 0],
    }
    assert found.settle(np.array([1, 1, 0])) and found.tallies()[1, -1] == 1
    assert not found.settle(np.array([1, 3, 0])) and not found.settle(np.array([0, 1, 0]))


def test_numbers_are_held_against_the_log_of_the_call() -> None:
    table = np.zeros((2, len(NUMBERS)), np.int64)
    table[:, NUMBERS.index(UNIQUE)] = [3, 4]
    log = dict.fromkeys(NUMBERS, "0") | {UNIQUE: "7"}
    assert check_sums(ReadNumbers(table), log) == ""
    assert check_sums(ReadNumbers(table), log | {UNIQUE: "8"}) == f"{UNIQUE}: 7 in its BAM file, but 8 in its log."


def test_a_bam_file_of_another_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BamError, match="a record without the tag RG where STARsolo writes it"):
        read_numbers(write(tmp_path / "a.bam", 0, query_sequence="ACGTACGTAC"), 1)
