"""Gather the STAR logs of all plate cells of a species into one gzipped CSV table.

From the shards of a plan (--units, --ledger, --counts), or from a folder of logs that STAR wrote elsewhere (--logs; its
subfolders too), one a run: SRR1234567.homo.Log.final.out, SRR1234567Log.final.out or SRR1234567/Log.final.out.
The table has the rows FIELD_NAMES (the runs of each cell, joined by ';'), EXP_ID, TAXON and GSM, then a row for each
field of Log.final.out, in STAR's order; a field that the log of a cell does not have is empty. The clock's fields keep
their rows but no values, unless --clock keep. Columns are those of the table of counts.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.errors import InputError, raise_faults
from scripts.formats import csv_gz
from scripts.harvest.gene_tables.columns import TableColumn, columns_of_options, header_rows, open_shards
from scripts.harvest.gene_tables.text_inputs import LOG, add_folder_options, columns_of_folder
from scripts.star.log import CLOCK_FIELDS, merge_fields, read_star_log, sum_logs


def read_logs(columns: Sequence[TableColumn], units: Sequence[str], counts: str) -> list[dict[str, str]]:
    """Return the STAR log of each column, see :func:`~scripts.harvest.gene_tables.columns.open_shards`."""
    logs: list[dict[str, str]] = [{} for _ in columns]
    for reader, indices, cells in open_shards(columns, units, counts):
        of_shard = reader.logs()
        for index, cell in zip(indices, cells, strict=True):
            logs[index] = of_shard[cell]
    return logs


def read_files(files: Sequence[Sequence[Path]]) -> list[dict[str, str]]:
    """Return the STAR log of each column from its files; those of several runs are summed.

    Raises InputError naming every file that is no log or is cut short.
    """
    faults, logs = [], []
    for paths in files:
        try:
            logs.append([read_star_log(path) for path in paths])
        except InputError as error:
            faults.append(str(error))
    raise_faults("The folder of logs", faults)
    return [runs[0] if len(runs) == 1 else sum_logs(runs) for runs in logs]


def table_rows(
    columns: Sequence[TableColumn], logs: Sequence[dict[str, str]], keep_clock: bool
) -> Iterator[Sequence[str]]:
    """Yield the rows of the table."""
    yield from header_rows("FIELD_NAMES", columns)
    for name in merge_fields(log.keys() for log in logs):
        if name in CLOCK_FIELDS and not keep_clock:
            yield [name, *("" for _ in logs)]
        else:
            yield [name, *(log.get(name, "") for log in logs)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_folder_options(parser, "--logs", "folder of STAR's logs, instead of shards")
    parser.add_argument("--clock", choices=("drop", "keep"), default="drop", help="values of the clock's fields")
    parser.add_argument("--output", required=True, help="the table to write ({species}.log.csv.gz)")
    options = parser.parse_args(argv)
    if options.folder:
        found = columns_of_folder(options.folder, LOG, options.species, options.ledger, options.count_by)
        columns, logs = [column for column, _ in found], read_files([files for _, files in found])
    elif options.units and options.ledger and options.counts:
        units, columns = columns_of_options(options)
        logs = read_logs(columns, units, options.counts)
    else:
        raise InputError("log_table: give --units, --ledger and --counts, or --logs with a folder.")
    csv_gz.write_csv_gz(options.output, table_rows(columns, logs, options.clock == "keep"), options.level)
    print(f"{options.output}: {len(columns)} cells.", file=sys.stderr)
