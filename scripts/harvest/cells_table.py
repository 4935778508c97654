"""Write the quality of every plate cell: a row a cell, with what STAR and the counter say of it, and flags.

A row is there for every planned cell that was counted in a shard, also for those that a floor has failed or left out
(`plates: {min_mapped: …, min_reads: …}`). `flags` are codes, joined by ';': see docs/outputs.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.formats import csv_gz
from scripts.harvest.quality.cells import COLUMNS, CellQuality, depths, read_cells, table_row
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.units import check_field, is_shard, read_unit_rows, unit_names


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--units", required=True, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--counts", required=True, help="path of a shard's counts, with {unit} in it")
    parser.add_argument("--output", required=True, help="the table to write (results/quality/cells.csv.gz)")
    options = parser.parse_args(argv)
    check_field("--counts", options.counts, example=", e.g. 'units/counts/{unit}.h5ad'")
    settled: dict[str, dict[str, Run]] = {}
    for row in iterate_runs(options.ledger):
        if row.assay == "plate" and row.run:
            settled.setdefault(row.species, {})[row.run] = row
    cells: list[CellQuality] = []
    for unit in filter(is_shard, unit_names(options.units)):
        of_species = settled.get(unit.split(".")[1], {})
        planned = {row.run: of_species.get(row.run) for row in read_unit_rows(Path(options.units) / f"{unit}.tsv")}
        known = {run: row for run, row in planned.items() if row}  # a shard may have cells that were left out since
        cells += read_cells(options.counts.replace("{unit}", unit), known)
    cells.sort(key=lambda cell: (cell.row.species, cell.row.series, cell.row.run))
    depth = depths(cells)
    rows = [table_row(cell, depth[cell.row.series, cell.row.species]) for cell in cells]
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    csv_gz.write_csv_gz(options.output, [COLUMNS, *rows])
    flagged = sum(1 for row in rows if row[COLUMNS.index("flags")])
    print(f"{options.output}: {len(rows)} cells, {flagged} of them flagged.", file=sys.stderr)
