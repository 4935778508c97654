"""Samples of the reads of a FASTQ file."""

import pytest

from scripts.core.errors import InputError
from scripts.droplets.fastq_sample import make_sample, sample_lines, sample_reads


def fastq(reads) -> str:
    return "".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(reads))


@pytest.mark.parametrize(
    ("size", "skip", "expected"), [(2, 1, [1, 2]), (9, 0, [0, 1, 2, 3]), (2, 9, [2, 3]), (4, 2, [0, 1, 2, 3])]
)
def test_sample_is_taken_after_the_first_reads_or_at_the_end(tmp_path, size, skip, expected):
    reads = ["ACGT", "CC", "GGGNA", "T" * 150]
    (tmp_path / "a.fastq").write_text(fastq(reads))
    sample = sample_reads(tmp_path / "a.fastq", size, skip)
    assert sample.lengths.tolist() == [len(reads[index]) for index in expected]
    assert (sample.codes == make_sample([reads[index] for index in expected]).codes).all()
    (tmp_path / "b.fastq").write_bytes(b"".join(sample_lines(tmp_path / "a.fastq", size, skip)))
    assert sample_reads(tmp_path / "b.fastq", 9, 0).lengths.tolist() == sample.lengths.tolist()


def test_last_line_without_end_is_read(tmp_path):
    (tmp_path / "a.fastq").write_text(fastq(["ACGT", "CC"])[:-1])
    assert sample_reads(tmp_path / "a.fastq", 9, 0).lengths.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("text", "words"), [("@1\nAC\n+\n", "cut short"), (">1\nAC\n>2\nAC\n", "not FASTQ with four lines")]
)
def test_other_files_than_fastq_are_refused(tmp_path, text, words):
    (tmp_path / "a.fastq").write_text(text)
    with pytest.raises(InputError, match=words):
        sample_reads(tmp_path / "a.fastq", 9, 0)
