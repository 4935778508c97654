"""Gather the STAR logs of all plate cells of a species into one gzipped CSV table.

The table has the rows FIELD_NAMES (the runs of each cell, joined by ';'), EXP_ID, TAXON and GSM, then a row for each
field of Log.final.out, in STAR's order; a field that the log of a cell does not have is empty there. The fields that
tell of the clock keep their rows but no values, unless --clock keep. Columns are those of the table of counts.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from scripts.formats import csv_gz
from scripts.formats.errors import InputError, run_command
from scripts.formats.run_table import read_runs
from scripts.formats.shard_counts import ShardReader
from scripts.formats.star_log import CLOCK_FIELDS, merge_fields
from scripts.formats.table_columns import (
    HEADERS,
    TableColumn,
    check_shard_columns,
    group_by_unit,
    header_values,
    table_columns,
)


def read_logs(columns: Sequence[TableColumn], counts: str) -> list[dict[str, str]]:
    """Return the STAR log of each column; ``counts`` is the path of a shard's counts, with ``{unit}`` in it."""
    logs: list[dict[str, str]] = [{} for _ in columns]
    for unit, places in sorted(group_by_unit(columns).items()):
        with ShardReader(counts.replace("{unit}", unit)) as reader:
            of_shard = reader.logs()
            in_shard = check_shard_columns(reader, [columns[place] for place in places])
        for place, cell in zip(places, in_shard, strict=True):
            logs[place] = {sys.intern(name): sys.intern(value) for name, value in of_shard[cell].items()}
    return logs


def table_rows(
    columns: Sequence[TableColumn], logs: Sequence[dict[str, str]], keep_clock: bool
) -> Iterator[Sequence[str]]:
    """Yield the rows of the table."""
    values = [header_values(column) for column in columns]
    yield ["FIELD_NAMES", *(column.runs for column in columns)]
    for place, name in enumerate(HEADERS):
        yield [name, *(value[place] for value in values)]
    for name in merge_fields(log.keys() for log in logs):
        if name in CLOCK_FIELDS and not keep_clock:
            yield [name, *("" for _ in logs)]
        else:
            yield [name, *(log.get(name, "") for log in logs)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, help="the run table before work (results/plan.tsv)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--counts", required=True, help="path of a shard's counts, with {unit} in it")
    parser.add_argument("--species", required=True, help="label of the species, the TAXON of the table")
    parser.add_argument("--shard-size", type=int, required=True, help="experiments in a plate shard")
    parser.add_argument("--count-by", choices=("experiment", "run"), default="experiment", help="what a column is")
    parser.add_argument("--clock", choices=("drop", "keep"), default="drop", help="values of the clock's fields")
    parser.add_argument("--level", type=int, choices=csv_gz.LEVELS, default=csv_gz.DEFAULT_LEVEL, help="of deflate")
    parser.add_argument("--output", required=True, help="the table to write ({species}.log.csv.gz)")
    options = parser.parse_args(argv)
    if "{unit}" not in options.counts:
        raise InputError(f"--counts {options.counts}: there must be {{unit}} in it, e.g. 'work/count/{{unit}}.h5ad'.")
    plan, ledger = read_runs(options.plan), read_runs(options.ledger)
    _, columns = table_columns(plan, ledger, options.species, options.shard_size, options.count_by)
    logs = read_logs(columns, options.counts)
    csv_gz.write_csv_gz(options.output, table_rows(columns, logs, options.clock == "keep"), options.level)
    print(f"{options.output}: {len(columns)} cells.", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
