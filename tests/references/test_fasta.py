"""Genomes in FASTA."""

from pathlib import Path

import pytest

from scripts.references.fasta import contig_lengths, copy_fasta


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
