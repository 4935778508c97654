"""The columns of a species' plate tables: which cells, in which order, and in which shard their counts are.

Columns are sorted by series, then by their first run. A column is an experiment (or a run, with ``count_by: run``)
whose rows in the ledger are counted; some of its runs may be left out.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError, raise_faults
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.units import check_field, is_shard, read_unit, unit_tables
from scripts.plates.shard_counts import ShardReader


class TableColumn(NamedTuple):
    """A cell of the tables."""

    unit: str
    """The shard that has its counts."""
    accession: str
    """Its name in the shard: the experiment, or the run."""
    rows: tuple[Run, ...]
    """Its rows in the ledger, sorted by run."""

    @property
    def runs(self) -> str:
        """The runs of the cell, joined by ``;``."""
        return ";".join(row.run for row in self.rows)


HEADERS = ("EXP_ID", "TAXON", "GSM")


def header_rows(first: str, columns: Sequence[TableColumn]) -> list[list[str]]:
    """Return the header rows of a table: its first one, of this name, with the runs; then EXP_ID, TAXON and GSM."""
    firsts = [(column.runs, column.rows[0]) for column in columns]
    heads = [(runs, row.exp_id or row.series, row.species, row.sample) for runs, row in firsts]
    return [list(line) for line in zip((first, *HEADERS), *heads, strict=True)]


def sort_columns(columns: Iterable[TableColumn]) -> list[TableColumn]:
    """Return columns in the order of the tables."""
    return sorted(columns, key=lambda column: (column.rows[0].series, column.rows[0].run))


def table_columns(units: str | Path, ledger: Iterable[Run], species: str) -> tuple[list[str], list[TableColumn]]:
    """Return the shards of a species, of the units' run tables in a folder, and its counted columns, both sorted.

    Raises InputError where there is no plate shard of the species, or where the ledger disagrees with the shards.
    """
    tables = {unit: path for unit, path in unit_tables(units, species).items() if is_shard(unit)}
    if not tables:
        raise InputError(f"{units}: no plate runs of species {species!r} are planned, so there is no table to make.")
    settled = {row.run: row for row in ledger if row.species == species and row.assay == "plate"}
    faults, columns = [], []
    for unit, path in tables.items():
        for accession, runs in read_unit(path).items():
            known = [settled[row.run] for row in runs if row.run in settled]
            counted = [row for row in known if row.status == "counted"]
            left_out = [row for row in known if row.status == "left_out"]
            if len(known) < len(runs):
                faults.append(
                    f"{accession}: the ledger does not have all its runs; make the ledger of this plan first."
                )
            elif counted and len(counted) + len(left_out) < len(runs):
                faults.append(f"{accession}: only some of its runs are counted in the ledger.")
            elif counted:
                columns.append(TableColumn(unit, accession, tuple(counted)))
    raise_faults(f"The ledger of species {species}", faults)
    return list(tables), sort_columns(columns)


def group_by_unit(columns: Iterable[TableColumn]) -> dict[str, list[int]]:
    """Return unit → the indices of its columns among all of them."""
    units: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        units.setdefault(column.unit, []).append(index)
    return units


def open_shards(
    columns: Sequence[TableColumn], units: Sequence[str], counts: str
) -> Iterator[tuple[ShardReader, list[int], list[int]]]:
    """Yield each shard that has columns, open, with the indices of its columns and, in the shard, of their cells.

    ``units`` are the shards of the species, ``counts`` is the path of a shard's counts, with ``{unit}`` in it. Without
    columns the first shard is yielded, for its genes. Raises InputError where shards do not fit each other or the
    columns.
    """
    of_unit = group_by_unit(columns)
    first = None
    for unit in [unit for unit in units if unit in of_unit] or units[:1]:
        with ShardReader(counts.replace("{unit}", unit)) as reader:
            first = first or reader
            _check_reference(first, reader)
            indices = of_unit.get(unit, [])
            yield reader, indices, _cells_of(reader, [columns[index] for index in indices])


def _cells_of(reader: ShardReader, columns: Iterable[TableColumn]) -> list[int]:
    cells = {accession: cell for cell, accession in enumerate(reader.columns)}
    faults, found = [], []
    for column in columns:
        cell = cells.get(column.accession)
        if cell is None:
            faults.append(f"{column.accession}: counted in the ledger, but the shard has no such column.")
        elif set(reader.runs[cell].split(";")) != {row.run for row in column.rows}:
            faults.append(f"{column.accession}: its runs are {column.runs}, but in the shard {reader.runs[cell]}.")
        else:
            found.append(cell)
    raise_faults(f"The shard {reader.path}", faults)
    return found


def _check_reference(first: ShardReader, other: ShardReader) -> None:
    if (other.genes_sha256, other.reference) != (first.genes_sha256, first.reference):
        raise InputError(
            "A table is of one reference, but counts are of two:\n"
            + "\n".join(
                f"{some.path}: reference {some.reference or 'unknown'}, gene list {some.genes_sha256[:12]}"
                for some in (first, other)
            )
            + "\nCount one of them again, with the reference of the other."
        )


def add_table_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the options that say whose counts to gather; those of the shards are all ``required``."""
    parser.add_argument("--units", required=required, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--ledger", required=required, help="the ledger (results/runs.tsv)")
    parser.add_argument("--counts", required=required, help="path of a shard's counts, with {unit} in it")
    parser.add_argument("--species", required=True, help="label of the species, the TAXON of the tables")


def columns_of_options(options: argparse.Namespace) -> tuple[list[str], list[TableColumn]]:
    """Return the shards and the counted columns that parsed options name, see :func:`table_columns`."""
    check_field("--counts", options.counts, example=", e.g. 'units/counts/{unit}.h5ad'")
    return table_columns(options.units, iterate_runs(options.ledger), options.species)
