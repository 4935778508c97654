"""What plate counting needs of an annotation."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references import count_index
from scripts.references.gene_intervals import read_gene_intervals
from scripts.references.genes_table import GeneRow, read_genes
from scripts.references.gtf import Exon, read_exons
from tests.references.sources import gtf_line, make

EXONS = [Exon("chr2", 0, 20, "+", "b"), Exon("chr2", 10, 30, "+", "b"), Exon("chr2", 40, 60, "+", "b")]


def test_exons_keep_nothing_but_their_gene(tmp_path: Path) -> None:
    made = make(tmp_path)
    words = [f"--annotation={made / 'annotation.gtf'}", f"--genes={made / 'genes.tsv'}"]
    count_index.main([*words, f"--output={tmp_path / 'index.npz'}", f"--exons={tmp_path / 'exons.gtf'}"])
    assert list(read_exons(tmp_path / "exons.gtf")) == [*EXONS, Exon("chr1", 1, 4, "+", "a")]
    line = (tmp_path / "exons.gtf").read_text().splitlines()[0]
    assert line == 'chr2\t.\texon\t1\t20\t.\t+\t.\tgene_id "b";'
    index = read_gene_intervals(tmp_path / "index.npz")
    assert (index.genes, index.contigs) == (["a", "b"], ["chr2", "chr1"])


def test_an_annotation_of_other_genes_leaves_nothing(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "other.gtf").write_text(gtf_line("chr1", 1, 4, 'gene_id "q";'))
    with pytest.raises(InputError, match="gene 'q' of the annotation is not in the table of genes"):
        count_index.make_count_index(
            tmp_path / "other.gtf", made / "genes.tsv", tmp_path / "index.npz", tmp_path / "exons.gtf"
        )
    assert not list(tmp_path.glob("index.npz*")) and not list(tmp_path.glob("exons.gtf*"))


def test_features_of_another_type_are_counted_under_another_attribute(tmp_path: Path) -> None:
    made = make(tmp_path)
    words = [f"--annotation={made / 'annotation.gtf'}", f"--genes={made / 'genes.tsv'}"]
    words += [f"--output={tmp_path / 'i.npz'}", f"--exons={tmp_path / 'e.gtf'}", f"--features={tmp_path / 'f.tsv'}"]
    count_index.main([*words, "--type=gene", "--id-attribute=gene_name"])
    assert list(read_exons(tmp_path / "e.gtf")) == [Exon("chr2", 0, 60, "+", "B")]
    assert read_genes(tmp_path / "f.tsv") == [GeneRow("B", "B", "lncRNA", 60, "chr2")]
    assert read_gene_intervals(tmp_path / "i.npz").genes == ["B"]
    count_index.main([*words, "--id-attribute=gene_name"])
    assert read_genes(tmp_path / "f.tsv") == [GeneRow("B", "B", "lncRNA", 50, "chr2"), GeneRow("a", "a", "", 3, "chr1")]
    count_index.main(words)
    assert (tmp_path / "f.tsv").read_bytes() == (made / "genes.tsv").read_bytes()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (["--id-attribute=transcript_id"], r"annotation.gtf, line 6: an exon without transcript_id\."),
        (["--type=CDS"], "annotation.gtf: no line has 'CDS' in its third column; set plates.type to a word that is"),
    ],
)
def test_features_that_cannot_be_counted_are_refused(tmp_path: Path, chosen: list[str], words: str) -> None:
    made = make(tmp_path)
    targets = [f"--output={tmp_path / 'i.npz'}", f"--exons={tmp_path / 'e.gtf'}"]
    with pytest.raises(InputError, match=words):
        count_index.main(
            [f"--annotation={made / 'annotation.gtf'}", f"--genes={made / 'genes.tsv'}", *targets, *chosen]
        )
    assert not (tmp_path / "i.npz").exists() and not (tmp_path / "e.gtf").exists()
