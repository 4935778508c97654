"""What the counts of a library show, and which libraries are no gene expression."""

import json

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.library_figures import (
    Bounds,
    LibraryFigures,
    check_figures,
    check_strand,
    measure,
    read_genes_of_index,
    write_figures,
)

EVEN = LibraryFigures(1000, 20, 300, 200.0, "MALAT1", 0.2, 0.03, 0.02, 0.1, 0.2, 30_000)
"""A sound library: blood."""


@pytest.fixture
def index(tmp_path):
    """An index of four genes as STAR writes it, the third without a name, and on two contigs."""
    (tmp_path / "chrName.txt").write_text("chr1\nchrM\n")
    (tmp_path / "chrStart.txt").write_text("0\n1000\n2000\n")
    (tmp_path / "geneInfo.tab").write_text("4\nE1\tIGKC\tIG_C_gene\nE2\tACTB\tprotein_coding\nE3\t\nE4\tX\tlncRNA\n")
    transcripts = "T1 10 20 20 1 1 0 0", "T2 30 40 20 1 1 1 1", "T4 1000 1020 40 1 1 2 3", "T5 1100 1120 1020 1 1 3 3"
    (tmp_path / "transcriptInfo.tab").write_text("\n".join(["4", *transcripts, ""]).replace(" ", "\t"))
    return tmp_path


def test_shares_are_of_the_reads_on_the_strand_of_the_kit(index, tmp_path):
    counts = tmp_path / "ReadsPerGene.out.tab"
    counts.write_text(
        "N_unmapped\t9\t9\t9\nN_ambiguous\t1\t1\t1\nE1\t65\t60\t5\nE2\t30\t30\t0\nE3\t0\t0\t0\nE4\t15\t10\t5\n"
    )
    genes = read_genes_of_index(index)
    figures = measure(counts, genes, "Forward")
    assert figures == (100, 10, 3, pytest.approx(3.0, abs=1e-9), "IGKC", 0.6, 0.6, 0.0, 0.1, 0.0, 4)
    assert measure(counts, genes, "Reverse")[:3] == (10, 100, 2)
    assert measure(counts, genes, "Unstranded")[:3] == (110, 0, 3)
    counts.write_text("N_unmapped\t9\t9\t9\n")
    assert measure(counts, genes, "Forward") == (0, 0, 0, 0.0, "", 0.0, 0.0, 0.0, 0.0, 0.0, 4)
    assert measure(tmp_path / "none", genes, "Forward") is None


def test_genes_of_1000_reads(index, tmp_path):
    counts = tmp_path / "counts"
    counts.write_text("E1\t9990\t9990\t0\nE2\t10\t10\t0\n")
    figures = measure(counts, read_genes_of_index(index), "Forward")
    assert figures.genes_per_1000 == pytest.approx(1 + 1 - 0.999**1000)


@pytest.mark.parametrize(
    "figures",
    [
        EVEN,
        EVEN._replace(ig_share=0.7, top_gene="IGKC", top_gene_share=0.3, genes_per_1000=120),  # plasma cells
        EVEN._replace(tr_share=0.06),  # T cells
        EVEN._replace(mitochondrial_share=0.8, genes_per_1000=60),  # heart muscle
        EVEN._replace(top_gene="HBB", top_gene_share=0.6, genes_per_1000=25),  # red blood cells
        EVEN._replace(top_gene="MALAT1", top_gene_share=0.7),  # nuclei
        EVEN._replace(annotated=1, genes=1, genes_per_1000=1, top_gene_share=1.0),  # a world of one gene
        EVEN._replace(annotated=70, genes=4, genes_per_1000=4.0),
        EVEN._replace(gene_reads=99, tr_share=1.0, genes_per_1000=1),  # too few reads to show anything
    ],
)
def test_sound_libraries_pass(figures):
    check_figures(figures, Bounds())


@pytest.mark.parametrize(
    "changes, reason, words",
    [
        (
            {"tr_share": 0.912},
            "ENRICHED_LIBRARY",
            "of the 1,000 reads in genes 91.2% are on segments of T-cell receptors (TR genes) (bound 30.0%): the"
            " library was enriched for them, so that its counts are no gene expression.",
        ),
        ({"ig_share": 0.9}, "ENRICHED_LIBRARY", "90.0% are on segments of immunoglobulins (IG genes) (bound 85.0%)"),
        (
            {"top_gene": "CAR", "top_gene_share": 0.97, "mitochondrial_share": 0.96},
            "ENRICHED_LIBRARY",
            "96.0% are of mitochondria (bound 95.0%) and 97.0% are on the gene CAR (bound 90.0%)",
        ),
        ({"ribosomal_share": 0.99}, "ENRICHED_LIBRARY", "99.0% are of ribosomes (bound 95.0%)"),
        (
            {"genes_per_1000": 8.04},
            "LOW_COMPLEXITY",
            "1,000 of the 1,000 reads in genes are of 8.0 genes; the floor is 10.",
        ),
        (
            {"annotated": 200, "genes_per_1000": 3.0},
            "LOW_COMPLEXITY",
            "1,000 of the 1,000 reads in genes are of 3.0 genes; the floor is 4.",
        ),
    ],
)
def test_enriched_libraries_fail_by_their_reason(changes, reason, words):
    with pytest.raises(RunFault) as raised:
        check_figures(EVEN._replace(**changes), Bounds())
    assert raised.value.reason == reason
    assert words in raised.value.detail
    check_figures(EVEN._replace(**changes), Bounds(1, 1, 1, 1, 1, 0))  # the user may count it all the same


def test_strand_of_the_reads_is_that_of_the_kit_or_said():
    assert check_strand(EVEN, "10x", "Forward") == ""
    assert check_strand(EVEN._replace(antisense_reads=600), "10x", "Unstranded") == ""
    assert check_strand(EVEN._replace(gene_reads=3, antisense_reads=90), "10x", "Forward") == ""
    assert check_strand(EVEN._replace(antisense_reads=600), "10x", "Forward") == (
        "The strand is in doubt: 10x has cDNA of strand Forward, of the reads in genes 1,000 are on the genes' strand"
        " and 600 on the other."
    )
    for strand, is_set, words in (
        (
            "Forward",
            False,
            "10x has cDNA of strand Forward, but most reads in genes are of the other strand: 1,000 are on the genes'"
            " strand and 2,001 on the other. Name another kit, or none.",
        ),
        (
            "Reverse",
            True,
            "star_options sets soloStrand Reverse, but most reads in genes are of the other strand: 2,001 are on the"
            " genes' strand and 1,000 on the other. Take soloStrand out of star_options.",
        ),
    ):
        with pytest.raises(RunFault) as raised:
            check_strand(EVEN._replace(antisense_reads=2001), "10x", strand, is_set)
        assert (raised.value.reason, raised.value.detail) == ("CHEMISTRY_UNKNOWN", words)


def test_figures_are_written_with_their_names(tmp_path):
    write_figures(tmp_path / "one.json", EVEN)
    assert json.loads((tmp_path / "one.json").read_text())["top_gene"] == "MALAT1"
    write_figures(tmp_path / "none.json", None)
    assert json.loads((tmp_path / "none.json").read_text()) == {}
