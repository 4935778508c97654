"""Cases for tests.fuzzing: genomes and annotations with faults, through `reference` and `count_index`."""

import gzip

from scripts.references.count_index import make_count_index
from scripts.references.fasta import contig_lengths
from scripts.references.gene_intervals import read_gene_intervals
from scripts.references.genes_table import read_genes
from tests import fuzzing
from tests.references import sources

WORDS = ("../../x", "/etc/passwd", "-rf", "\x1b[31m", "", "chr1 x", 'a"b', "a;b", "9" * 5000, "9" * 19, "-1", "é", ";")
NAMED = ("chr1", "chr2", '"b"', '"a"', "gene_id", "transcript_id", "exon", "\t60\t", "\t1\t", "+")


def prepare(folder):
    folder.mkdir()


def make_reference(folder, fasta, gtf):
    made = sources.make(folder, fasta, gtf)
    lengths, genes = contig_lengths(made / "genome.fa"), read_genes(made / "genes.tsv")
    assert genes
    assert {contig for gene in genes for contig in gene.contig.split(";")} <= set(lengths)
    assert all(0 < gene.length <= sum(lengths.values()) for gene in genes)
    make_count_index(made / "annotation.gtf", made / "genes.tsv", folder / "index.npz", folder / "exons.gtf")
    read_gene_intervals(folder / "index.npz")


def make(dice, folder):
    fasta, gtf = sources.FASTA, sources.GTF.encode()
    for _ in range(dice.randint(1, 3)):
        if dice.randrange(3):
            gtf = spoil(dice, gtf)
        else:
            fasta = spoil(dice, fasta)
    if not dice.randrange(6):
        fasta, gtf = gzip.compress(fasta), gzip.compress(gtf)[: dice.choice((None, -9))]
    return repr((fasta[:300], gtf[:300])), lambda: make_reference(folder, fasta, gtf), None


def spoil(dice, data):
    if dice.randrange(2):
        return data.replace(dice.choice(NAMED).encode(), dice.choice(WORDS).encode(), dice.choice((1, -1)))
    return fuzzing.spoil(dice, data)
