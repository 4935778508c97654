"""What the counts of a library show: on which genes its reads are, on how many genes, and on which strand of them.

A library of gene expression has its reads on thousands of genes. Where V(D)J segments, some transcripts or those of
the mitochondria were amplified, most reads are on a few, and the counts are no expression.

The reads are those that STAR counts with ``--quantMode GeneCounts`` (``ReadsPerGene.out.tab``: gene, reads on either
strand, on the gene's, on the other one): aligned to one place and in the exons of one gene, all copies of a molecule.
Molecules would not do: in an amplified library most of those off target have one read, and outnumber the others.
Genes are those of the index: ``geneInfo.tab`` (gene, name, biotype) and ``transcriptInfo.tab`` (of each transcript in
column 2 the start in the genome, in column 8 the number of the gene), both with a first line of their own.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.disk.files import write_atomic
from scripts.core.errors import RunFault
from scripts.references.gene_kinds import kind_of_gene

READS_PER_GENE = "ReadsPerGene.out.tab"
MIN_READS = 100
"""Reads in genes below which shares show nothing."""
MIN_GENES = 20
"""Genes of an annotation below which most reads may well be on one of them."""
_SHARE_OF_GENES = 0.02  # of the genes of a small annotation that are enough for its complexity
_STRAND_COLUMNS = {"Unstranded": 1, "Forward": 2, "Reverse": 3}


class Bounds(NamedTuple):
    """What the figures of a library of gene expression may be: the largest shares of reads, and the fewest genes."""

    max_tr_share: float = 0.3
    max_ig_share: float = 0.85
    max_top_gene_share: float = 0.9
    max_mitochondrial_share: float = 0.95
    max_ribosomal_share: float = 0.95
    min_genes_per_1000: float = 10.0


class LibraryFigures(NamedTuple):
    """The figures of a library; shares are of its reads in genes, from 0 to 1."""

    gene_reads: int
    """Reads in a gene, on the strand of the kit."""
    antisense_reads: int
    """Reads on the other strand of a gene; 0 for a kit without strand."""
    genes: int
    """Genes with a read."""
    genes_per_1000: float
    """Genes that 1,000 of the reads are expected to be of, drawn with replacement."""
    top_gene: str
    top_gene_share: float
    ig_share: float
    tr_share: float
    mitochondrial_share: float
    ribosomal_share: float
    annotated: int
    """Genes of the annotation."""


class _KnownGene(NamedTuple):
    name: str
    kind: str
    """``tr``, ``ig``, ``mitochondrial``, ``ribosomal`` or empty."""


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the values of the lines behind the first, which has their number."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        next(lines, "")
        for line in lines:
            yield line.rstrip("\n").split("\t")


def _contigs_of_genes(index: Path) -> dict[int, str]:
    """Return number of a gene → its contig, by its first transcript."""
    names = (index / "chrName.txt").read_text(encoding="utf-8").splitlines()
    starts = np.array([int(start) for start in (index / "chrStart.txt").read_text(encoding="utf-8").split()])
    firsts: dict[int, int] = {}
    for row in _rows(index / "transcriptInfo.tab"):
        firsts.setdefault(int(row[7]), int(row[1]))
    contigs = np.searchsorted(starts, list(firsts.values()), side="right") - 1
    return {gene: names[contig] for gene, contig in zip(firsts, contigs.tolist(), strict=True)}


def read_genes_of_index(index: Path) -> dict[str, _KnownGene]:
    """Return gene id → gene, as STAR's index has them."""
    contigs = _contigs_of_genes(index)
    genes = {}
    for number, row in enumerate(_rows(index / "geneInfo.tab")):
        gene_id, name, biotype = (*row, "", "")[:3]
        genes[gene_id] = _KnownGene(name or gene_id, kind_of_gene(name, biotype, contigs.get(number, "")))
    return genes


def measure(counts: Path, genes: Mapping[str, _KnownGene], strand: str) -> LibraryFigures | None:
    """Return the figures of a library from STAR's reads per gene; None where it counted none of them.

    ``strand`` is STAR's word for that of the library.
    """
    if not counts.is_file():
        return None
    column = _STRAND_COLUMNS.get(strand, 1)
    reads: dict[str, int] = {}
    other = 0
    with counts.open(encoding="utf-8") as lines:
        for line in lines:
            values = line.rstrip("\n").split("\t")
            if values[0] in genes:
                reads[values[0]] = int(values[column])
                other += int(values[5 - column]) if column > 1 else 0
    total = sum(reads.values())
    shares = dict.fromkeys(("tr", "ig", "mitochondrial", "ribosomal", ""), 0.0)
    for gene, count in reads.items():
        shares[genes[gene].kind] += count / total if total else 0.0
    part = np.array(list(reads.values()), dtype=np.float64) / max(total, 1)
    top = max(reads, key=lambda gene: reads[gene], default="")
    return LibraryFigures(
        gene_reads=total,
        antisense_reads=other,
        genes=sum(count > 0 for count in reads.values()),
        genes_per_1000=float((1 - (1 - part) ** 1000).sum()),
        top_gene=genes[top].name if total else "",
        top_gene_share=reads[top] / total if total else 0.0,
        ig_share=shares["ig"],
        tr_share=shares["tr"],
        mitochondrial_share=shares["mitochondrial"],
        ribosomal_share=shares["ribosomal"],
        annotated=len(genes),
    )


def write_figures(path: Path, figures: LibraryFigures | None) -> None:
    """Write the figures of a library as JSON, an empty object where it has none."""
    write_atomic(path, json.dumps(figures._asdict() if figures else {}) + "\n")


def check_figures(figures: LibraryFigures, bounds: Bounds) -> None:
    """Check what a library shows against what one of gene expression may show.

    Raises RunFault: ENRICHED_LIBRARY where too many reads are on one kind of genes or on one gene, LOW_COMPLEXITY where
    they are on too few genes. Both need MIN_READS reads; one gene is held against none of fewer than MIN_GENES.
    """
    if figures.gene_reads < MIN_READS:
        return
    few = figures.annotated < MIN_GENES
    kinds = (
        ("on segments of T-cell receptors (TR genes)", figures.tr_share, bounds.max_tr_share),
        ("on segments of immunoglobulins (IG genes)", figures.ig_share, bounds.max_ig_share),
        ("of mitochondria", figures.mitochondrial_share, bounds.max_mitochondrial_share),
        ("of ribosomes", figures.ribosomal_share, bounds.max_ribosomal_share),
        (f"on the gene {figures.top_gene}", 0.0 if few else figures.top_gene_share, bounds.max_top_gene_share),
    )
    above = [f"{share:.1%} are {words} (bound {bound:.1%})" for words, share, bound in kinds if share > bound]
    if above:
        raise RunFault(
            "ENRICHED_LIBRARY",
            f"of the {figures.gene_reads:,} reads in genes {' and '.join(above)}: the library was enriched for them, so"
            " that its counts are no gene expression.",
        )
    floor = min(bounds.min_genes_per_1000, _SHARE_OF_GENES * figures.annotated)
    if figures.genes_per_1000 < floor:
        raise RunFault(
            "LOW_COMPLEXITY",
            f"1,000 of the {figures.gene_reads:,} reads in genes are of {figures.genes_per_1000:.1f} genes; the floor"
            f" is {floor:g}.",
        )


def check_strand(figures: LibraryFigures, title: str, strand: str, is_set: bool = False) -> str:
    """Return a warning where reads are on both strands of the genes alike, empty where the strand is the one expected.

    That is the kit's, or the user's, who set it by an option of STAR (``is_set``). Raises RunFault (CHEMISTRY_UNKNOWN)
    where most reads are on the other strand.
    """
    own, other = figures.gene_reads, figures.antisense_reads
    if strand == "Unstranded" or own + other < MIN_READS or own > 2 * other:
        return ""
    whose = f"star_options sets soloStrand {strand}" if is_set else f"{title} has cDNA of strand {strand}"
    remedy = "Take soloStrand out of star_options." if is_set else "Name another kit, or none."
    forward, reverse = (other, own) if strand == "Reverse" else (own, other)
    words = f"{forward:,} are on the genes' strand and {reverse:,} on the other"
    if other > 2 * own:
        raise RunFault(
            "CHEMISTRY_UNKNOWN",
            f"{whose}, but most reads in genes are of the other strand: {words}. {remedy}",
        )
    return f"The strand is in doubt: {whose}, of the reads in genes {words}."
