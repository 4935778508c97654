"""Gather the counts of all plate cells of a species into one gzipped CSV table.

From the shards of a plan (--units, --ledger, --counts), or from a folder of text files that htseq-count wrote
elsewhere (--htseq-counts; its subfolders too), one file a run, named after it: SRR1234567.homo.htseq-count.txt, or
the same gzipped.
The table has the rows GENENAME (the runs of each cell, joined by ';'), EXP_ID, TAXON and GSM, then a row a gene, in
byte order, with the five tallies of htseq-count sorted in among them. Columns are sorted by series, then by first run.
With --gene-names there is a column gene_name behind the first one. The table of a species of which every planned cell
failed has no columns; the ledger says why.
"""

import contextlib
import tempfile
from collections.abc import Sequence

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.numeric import tune_for_arrays
from scripts.harvest.gene_tables.columns import columns_of_options
from scripts.harvest.gene_tables.gene_rows import add_workers, names_of, write_table
from scripts.harvest.gene_tables.text_inputs import COUNTS, add_folder_options, columns_of_folder, pack_folder


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_folder_options(parser, "--htseq-counts", "folder of htseq-count outputs, instead of shards")
    parser.add_argument("--gene-names", nargs="?", help="table of genes (genes.tsv), for a column of their names")
    add_workers(parser)
    parser.add_argument("--output", required=True, help="the table to write ({species}.htseq-count.csv.gz)")
    options = parser.parse_args(argv)
    tune_for_arrays()
    with contextlib.ExitStack() as stack:
        if options.folder:
            counts = f"{stack.enter_context(tempfile.TemporaryDirectory())}/{{unit}}.h5ad"
            found = columns_of_folder(options.folder, COUNTS, options.species, options.ledger, options.count_by)
            units, columns = pack_folder(found, counts, options.workers)
        elif options.units and options.counts and options.ledger:
            counts = options.counts
            units, columns = columns_of_options(options)
        else:
            raise InputError("counts_table: give --units, --ledger and --counts, or --htseq-counts with a folder.")
        write_table(
            options.output, columns, units, counts, options.level, options.workers, names_of(options.gene_names)
        )
