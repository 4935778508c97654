"""Compare an index of STAR with the genome and the annotation of a reference.

Files of an index, as STAR's genomeGenerate writes them: ``chrName.txt``, ``chrLength.txt`` and ``chrStart.txt``
(offset of each contig), ``Genome`` (a byte a base: 0 to 3 for A C G T, more for other letters and for the padding
between contigs), ``geneInfo.tab`` (gene ids) and ``exonGeTrInfo.tab`` (first and last base of each exon, counted from 0
over the whole genome, its strand, and the index of its gene), each table with its number of lines in the first one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scripts.references.fasta import sequences
from scripts.references.gtf import read_exons
from scripts.star.program import index_contigs

_NAMED = 5  # contigs and genes that a fault lists
_CODES = np.full(256, 4, np.uint8)  # STAR's code of each letter; it has one for all that is not A C G T
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"Tt")):
    _CODES[list(_letters)] = _code


def compare_genome(index: str | Path, genome: str | Path) -> Iterator[str]:
    """Yield a fault where the contigs of an index, their lengths or their bases are not those of a genome (FASTA)."""
    index = Path(index)
    contigs = index_contigs(index)
    starts = _contig_starts(index)
    codes = np.memmap(index / "Genome", np.uint8, "r")
    position = dict.fromkeys(contigs, 0)
    differing = set()
    for contig, bases in sequences(genome):
        if contig not in contigs:
            differing.add(contig)
            continue
        begin = starts[contig] + position[contig]
        position[contig] += len(bases)
        held = np.minimum(codes[begin : begin + len(bases)], 4)
        if not np.array_equal(held, _CODES[np.frombuffer(bases, np.uint8)]):
            differing.add(contig)
    differing |= {contig for contig, length in contigs.items() if position[contig] != length}
    if differing:
        yield (
            f"{len(differing)} contig(s) are not those of the reference's genome {genome} ({_some(differing)});"
            " give the FASTA and the spike-ins it was made from."
        )


def compare_annotation(index: str | Path, annotation: str | Path) -> Iterator[str]:
    """Yield a fault where the exons or the genes that STAR knows are not those of an annotation (GTF).

    Then junctions and the genes of droplet libraries would be others than the genes that plates are counted in.
    """
    index = Path(index)
    if not (index / "exonGeTrInfo.tab").is_file():
        yield "it was made without an annotation, so that STAR knows no splice junctions."
        return
    starts = _contig_starts(index)
    genes = [line.partition("\t")[0] for line in _lines(index / "geneInfo.tab")]
    made = set()
    for line in _lines(index / "exonGeTrInfo.tab"):
        first, last, _, gene, *_ = line.split("\t")
        made.add((int(first), int(last), genes[int(gene)]))
    wanted = {
        (starts[exon.contig] + exon.start, starts[exon.contig] + exon.end - 1, exon.gene_id)
        for exon in read_exons(annotation)
        if exon.contig in starts
    }
    if differing := {gene for _, _, gene in made ^ wanted}:
        yield (
            f"{len(made ^ wanted)} exon(s) of {len(differing)} gene(s) are not those of the reference's annotation"
            f" {annotation} ({_some(differing)}); give the GTF it was made from."
        )


def _contig_starts(index: Path) -> dict[str, int]:
    """Return contig → offset of its first base in the whole genome."""
    offsets = map(int, (index / "chrStart.txt").read_text(encoding="utf-8").split())
    return dict(zip(index_contigs(index), offsets, strict=False))  # the last offset is the end


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as handle:
        next(handle, "")
        yield from (line.rstrip("\n") for line in handle)


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_NAMED]) + (", …" if len(listed) > _NAMED else "")
