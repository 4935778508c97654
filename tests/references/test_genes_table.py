"""The table of genes."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references.genes_table import GeneRow, read_genes, write_genes

GENES = [
    GeneRow("b", "B", "lncRNA", 50, "chr2"),
    GeneRow("a", 'A "x"', "", 3, "chr1;chr2"),
    GeneRow("B", "B", "", 1, "1"),
]


def test_genes_come_back_in_byte_order(tmp_path: Path) -> None:
    write_genes(tmp_path / "genes.tsv", GENES)
    assert (tmp_path / "genes.tsv").read_text().splitlines()[0] == "gene_id\tgene_name\tbiotype\tlength\tcontig"
    assert read_genes(tmp_path / "genes.tsv") == [GENES[2], GENES[1], GENES[0]]


def test_a_table_of_no_gene(tmp_path: Path) -> None:
    write_genes(tmp_path / "genes.tsv", [])
    assert read_genes(tmp_path / "genes.tsv") == []


@pytest.mark.parametrize("text", ["", "gene_id\tgene_name\n", "run\n"])
def test_what_is_no_table_of_genes(tmp_path: Path, text: str) -> None:
    (tmp_path / "genes.tsv").write_text(text)
    with pytest.raises(InputError, match=r"not a table of genes; its first line must be 'gene_id gene_name biotype"):
        read_genes(tmp_path / "genes.tsv")
