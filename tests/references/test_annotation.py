"""Annotations joined and checked against the genome."""

from pathlib import Path

import pytest

from scripts.references.genes_table import GeneRow, read_genes
from tests.references.sources import GTF, faults, gtf_line, make


def test_refseq_has_names_on_the_line_of_the_gene(tmp_path: Path) -> None:
    gtf = gtf_line("chr1", 1, 9, 'gene_id "X"; transcript_id ""; gene "XIST"; gene_biotype "lncRNA";', "gene")
    made = make(tmp_path, gtf=gtf + gtf_line("chr1", 1, 9, 'gene_id "X"; transcript_id "NR_1";'))
    assert read_genes(made / "genes.tsv") == [GeneRow("X", "XIST", "lncRNA", 9, "chr1")]


def test_a_gene_on_two_contigs_is_one_gene_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = make(tmp_path, gtf=GTF + gtf_line("chr1", 1, 5, 'gene_id "b";'))
    assert read_genes(made / "genes.tsv")[1] == GeneRow("b", "B", "lncRNA", 55, "chr1;chr2")
    assert "gene b has exons on several contigs (chr1;chr2); as in htseq-count" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("contigs", "words"),
    [
        (("1", "chr1"), "in.gtf: 1 contig(s) have other names in the genome in.fa: 1 (chr1);"),
        (("chrM", "MT"), "in.gtf: 1 contig(s) have other names in the genome in.fa: chrM (MT);"),
        (("MT", "M"), "in.gtf: 1 contig(s) have other names in the genome in.fa: MT (M);"),
        (("M", "chrM"), "in.gtf: 1 contig(s) have other names in the genome in.fa: M (chrM);"),
        (("Mito", "chrM"), "in.gtf: 1 contig(s) have other names in the genome in.fa: Mito (chrM);"),
        (("Chr1", "chr1"), "in.gtf: 1 contig(s) have other names in the genome in.fa: Chr1 (chr1);"),
        (
            ("NC_1.1", "chr1"),
            "in.gtf: 1 of 1 exons are on contigs that the genome in.fa does not have (NC_1.1); it has chr1.",
        ),
    ],
)
def test_contigs_that_do_not_meet(tmp_path: Path, contigs: tuple[str, str], words: str) -> None:
    gtf_contig, fasta_contig = contigs
    (fault,) = faults(
        tmp_path, fasta=f">{fasta_contig}\nACGT\n".encode(), gtf=gtf_line(gtf_contig, 1, 4, 'gene_id "a";')
    )
    assert words in fault


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_genes_on_contigs_that_the_genome_lacks(tmp_path: Path, capsys: pytest.CaptureFixture, lost: int) -> None:
    """A few are reported, many are refused."""
    more = "".join(gtf_line("chr1", 1, 9, f'gene_id "g{gene}"; transcript_id "t";') for gene in range(10 - lost))
    for gene in range(lost):
        more += gtf_line(f"PATCH{gene}", 1, 5, f'gene_id "p{gene}"; transcript_id "t";')
    if lost == 3:
        (fault,) = faults(tmp_path, gtf=GTF + more + gtf_line("PATCH0", 1, 5, 'gene_id "b"; transcript_id "b1";'))
        words = "in.gtf: 3 of 12 genes are on contigs that the genome in.fa does not have (PATCH0, PATCH1, PATCH2);"
        assert fault == f"{words} it has chr1, chr2."
        return
    made = make(tmp_path, gtf=GTF + more)
    words = "Reference toy: 1 of 12 genes (8.33%) are not counted: the genome lacks their contigs (PATCH0).\n"
    assert capsys.readouterr().out == (words if lost else "")
    assert len(read_genes(made / "genes.tsv")) == 12 - lost  # as in STAR's index
    assert "PATCH" not in (made / "annotation.gtf").read_text()


def test_many_faults_of_a_kind_are_counted(tmp_path: Path) -> None:
    found = faults(tmp_path, gtf=GTF + gtf_line("chr1", 1, 2, "") * 9)
    assert len(found) == 6
    assert found[-1] == "in.gtf: 4 more of the same kind (an exon without gene_id)."


def test_a_gene_of_the_genome_among_the_spike_ins(tmp_path: Path) -> None:
    (tmp_path / "more.gtf").write_text(gtf_line("chr1", 1, 4, 'gene_id "a";'))
    (fault,) = faults(tmp_path, gtfs=[(str(tmp_path / "more.gtf"), None)])
    assert fault == "more.gtf, line 1: gene a is also in the annotation of the genome."


@pytest.mark.parametrize("share", [0.04, 0.06])
def test_genes_whose_exons_no_transcript_joins(tmp_path: Path, capsys: pytest.CaptureFixture, share: float) -> None:
    """STAR knows no junction of theirs: a few are reported, many are refused."""
    genes = 100
    gtf = ""
    for gene in range(genes):
        transcript = "" if gene < share * genes else f' transcript_id "t{gene}";'
        gtf += "".join(gtf_line("chr2", start, start + 1, f'gene_id "g{gene}";{transcript}') for start in (1, 9))
    gtf += gtf_line("chr1", 1, 2, 'gene_id "single"; transcript_id "s";')
    if share < 0.05:
        make(tmp_path, gtf=gtf)
        words = "Reference toy: 4 of 101 genes (3.96%) have exons without a transcript_id: STAR knows no splice"
        assert capsys.readouterr().out == f"{words} junction between them.\n"
    else:
        words = f"in.gtf: {int(share * genes)} gene(s) have exons without a transcript_id (e.g. g0), so that STAR"
        (fault,) = faults(tmp_path, gtf=gtf)
        assert fault.startswith(words)


def test_lines_of_old_macs_are_refused(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, gtf=GTF.replace("\n", "\r"))
    assert fault.startswith("in.gtf: its lines end with CR alone; convert them: tr")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.references.annotation._LONGEST_LINE", 500)
    found = faults(tmp_path, gtf=GTF + "chr1" * 200)
    assert [words for words in found if words.endswith("more than 500 bytes; is it a GTF file?")]
    monkeypatch.setattr("scripts.references.annotation._LONGEST_LINE", 20)
    assert "its lines end with CR alone" in str(faults(tmp_path, gtf=GTF.replace("\n", "\r")))


def test_a_name_in_latin_1(tmp_path: Path) -> None:
    line = gtf_line("chr1", 1, 4, 'gene_id "a"; transcript_id "t"; gene_name "caf\xe9";')
    made = make(tmp_path, gtf=line.encode("latin-1"))
    assert read_genes(made / "genes.tsv")[0].gene_name == "caf\xe9"


def test_an_odd_quote_is_refused_with_its_line(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, gtf=gtf_line("chr1", 1, 4, 'gene_id "a"; transcript_id "t"; gene_name "5" end";'))
    assert fault == "in.gtf, line 1: a quote in the attributes is not closed."
