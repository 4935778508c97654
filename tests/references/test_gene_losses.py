"""What is recorded of genes that are not counted, and what is said of it."""

import json
from pathlib import Path

import pytest

from scripts.references.gene_losses import GeneLosses, bare_contigs, plain_name, warnings_of
from tests.references.sources import FASTA, GTF, gtf_line, make


def test_names_of_one_contig_in_several_conventions() -> None:
    same = ("M", "MT", "chrM", "chrMT", "MtDNA", "Mito", "mitochondrion_genome")
    assert {plain_name(name) for name in same} == {"mt"}
    assert plain_name("Chr1") == plain_name("1") != plain_name("11")


def test_contigs_without_a_gene() -> None:
    losses = bare_contigs({"chr1": 800, "chr2": 150, "scaffold": 34, "chrM": 16}, ["chr1"])
    assert list(losses.sentences()) == [
        "the annotation has no gene on the mitochondrion (chrM), so that no cell has mitochondrial counts.",
        "20% of the genome are on contigs without a gene in the annotation (chr2, scaffold, chrM).",
    ]
    assert list(bare_contigs({"chr1": 800, "scaffold": 50}, ["chr1"]).sentences()) == []
    assert list(bare_contigs({}, []).sentences()) == []


def test_losses_of_two_annotations_add_up() -> None:
    first = GeneLosses(genes=100, lost_genes=2, lost_contigs=7, lost_names=("a", "b", "c", "d", "e"), bases=5)
    both = first.and_of(GeneLosses(genes=20, lost_genes=1, lost_contigs=1, lost_names=("x",), loose_genes=1))
    assert list(both.sentences()) == [
        "3 of 120 genes (2.50%) are not counted: the genome lacks their contigs (a, b, c, d, e, …).",
        "1 of 120 genes (0.83%) have exons without a transcript_id: STAR knows no splice junction between them.",
    ]


def test_the_record_of_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    genes = "".join(gtf_line("chr1", 1, 9, f'gene_id "g{gene}"; transcript_id "t";') for gene in range(7))
    gtf = GTF + genes + gtf_line("chrUn", 1, 9, 'gene_id "lost"; transcript_id "t";')
    record = make(tmp_path, fasta=FASTA + b">MT\nACGT\n", gtf=gtf) / "reference.json"
    expected = [
        "Reference toy: 1 of 10 genes (10.00%) are not counted: the genome lacks their contigs (chrUn).",
        "Reference toy: the annotation has no gene on the mitochondrion (MT), so that no cell has mitochondrial"
        " counts.",
    ]
    assert warnings_of([record]) == capsys.readouterr().out.splitlines() == expected
    described = json.loads(record.read_text())
    del described["annotation"]  # as an earlier version has made it
    record.write_text(json.dumps(described))
    assert warnings_of([record]) == []
