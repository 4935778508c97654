"""Genomes in FASTA."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references.fasta import contig_lengths, copy_fasta, sequences


@pytest.mark.parametrize("block", [1, 2, 3, 7, 16, 1 << 20])
def test_fasta_at_every_cut_of_its_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("scripts.references.fasta.BLOCK_BYTES", block)
    path = tmp_path / "a.fa"
    path.write_bytes(b">a\r\nAC\r\nGT\r\n\r\n>b x\r\nA\r\n>c\r\nGGG")
    contigs: dict[str, int] = {}
    found: list[str] = []
    with (tmp_path / "b.fa").open("wb") as output:
        copy_fasta(path, output, contigs, found)
    assert found == []
    assert contigs == {"a": 4, "b": 1, "c": 3}
    assert (tmp_path / "b.fa").read_bytes() == b">a\nAC\nGT\n>b x\nA\n>c\nGGG\n"


def test_a_sequence_in_one_line_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.references.fasta.BLOCK_BYTES", 4)
    path, copy = tmp_path / "a.fa", tmp_path / "b.fa"
    path.write_bytes(b">a\n" + b"ACGT" * 100 + b"\r\n\r\n>b\n" + b"AC" * 50)
    assert max(len(bases) for _, bases in sequences(path)) <= 8
    contigs: dict[str, int] = {}
    with copy.open("wb") as output:
        copy_fasta(path, output, contigs, [])
    assert contigs == {"a": 400, "b": 100}
    assert copy.read_bytes() == b">a\n" + b"ACGT" * 100 + b"\n>b\n" + b"AC" * 50 + b"\n"


def test_names_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, copy = tmp_path / "a.fa", tmp_path / "b.fa"
    path.write_bytes(b">" + b"c" * 1001 + b"\nACGT\n")
    faults: list[str] = []
    with copy.open("wb") as output:
        copy_fasta(path, output, {}, faults)
    assert faults == [f"{path}: the name '{'c' * 60}…' has 1,001 letters; shorten it."]
    monkeypatch.setattr("scripts.references.fasta.LONGEST_HEADER", 500)
    monkeypatch.setattr("scripts.references.fasta.BLOCK_BYTES", 100)
    with pytest.raises(InputError, match=r"a\.fa: a header of more than 500 bytes; is it a FASTA file\?"):
        contig_lengths(path)


def test_lengths_of_contigs(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_bytes(b">a x\nACGT\nAC\n>b\n>c\nN")
    assert contig_lengths(tmp_path / "genome.fa") == {"a": 6, "b": 0, "c": 1}


def test_many_faults_end_the_reading(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_bytes(b"".join(b">c%d\n" % number for number in range(9)))
    faults: list[str] = []
    with (tmp_path / "copy.fa").open("wb") as output:
        copy_fasta(tmp_path / "genome.fa", output, {}, faults)
    assert len(faults) == 6
    assert faults[-1] == f"{tmp_path / 'genome.fa'}: the rest of the file was not read."
