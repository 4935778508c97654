"""The genes of a reference (genes.tsv): gene_id, gene_name, biotype, length, contig; a header; in byte order.

Length is that of the union of a gene's exons, in bases; several contigs are joined by ``;``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError


class GeneRow(NamedTuple):
    """A gene; all text but ``length``."""

    gene_id: str
    gene_name: str
    biotype: str
    length: int
    contig: str


def read_genes(path: str | Path) -> list[GeneRow]:
    """Return the genes in the order of the file. Raises InputError where the header is not that of a table of genes."""
    with Path(path).open(encoding="utf-8", newline="\n") as handle:
        lines = (line.rstrip("\n").split("\t") for line in handle)
        if tuple(next(lines, ())) != GeneRow._fields:
            raise InputError(f"{path}: not a table of genes; its first line must be {' '.join(GeneRow._fields)!r}.")
        return [
            GeneRow(gene_id, name, biotype, int(length), contig) for gene_id, name, biotype, length, contig in lines
        ]


def write_genes(path: str | Path, genes: Iterable[GeneRow]) -> None:
    """Write the table of genes, sorted by gene_id in byte order."""
    with Path(path).open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(GeneRow._fields) + "\n")
        for gene in sorted(genes, key=lambda gene: gene.gene_id.encode()):
            handle.write("\t".join(map(str, gene)) + "\n")
