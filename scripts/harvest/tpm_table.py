"""Gather the transcripts per million (TPM) of all plate cells of a species into one gzipped CSV table.

Laid out as the table of counts, without the tallies; see counts_table. TPM have six significant digits; the formula is
that of scripts/harvest/gene_tables/tpm.py, with the lengths of --genes.
"""

from collections.abc import Sequence

from scripts.core.command import command_parser
from scripts.core.numeric import tune_for_arrays
from scripts.harvest.gene_tables.columns import add_table_options, columns_of_options
from scripts.harvest.gene_tables.gene_rows import add_workers, names_of, write_table
from scripts.references.genes_table import read_genes


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_table_options(parser)
    parser.add_argument("--genes", required=True, help="table of genes with their lengths (genes.tsv)")
    parser.add_argument("--gene-names", nargs="?", help="table of genes (genes.tsv), for a column of their names")
    add_workers(parser)
    parser.add_argument("--output", required=True, help="the table to write ({species}.tpm.csv.gz)")
    options = parser.parse_args(argv)
    tune_for_arrays()
    units, columns = columns_of_options(options)
    lengths = {gene.gene_id: gene.length for gene in read_genes(options.genes)}
    names = names_of(options.gene_names)
    write_table(
        options.output, columns, units, options.counts, workers=options.workers, gene_names=names, lengths=lengths
    )
