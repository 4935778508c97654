"""Write the quality of every plate cell: a row a cell, with what STAR and the counter say of it, and flags.

A row is there for every planned cell that was counted in a shard, also for those that a floor has failed or left out
(`plates: {min_mapped: …, min_reads: …}`). `flags` are codes, joined by ';': see docs/quality.md for all columns.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scripts.core.command import command_parser, parse_paths
from scripts.core.errors import InputError
from scripts.formats import csv_gz
from scripts.harvest.quality import flags
from scripts.harvest.quality.cells import (
    COLUMNS,
    SKETCH,
    TEXTS,
    CellsOfShard,
    GenesOfSpecies,
    add_scores,
    counts_text,
    describe_genes,
    flags_of_cells,
    read_cells,
    table_rows,
)
from scripts.harvest.quality.copies import best_partners, find_alike
from scripts.harvest.quality.flags import join_flags
from scripts.harvest.quality.reads import COLUMNS as OF_READS
from scripts.harvest.quality.reads import ReadsOfAnalysis, read_reads
from scripts.harvest.quality.sexes import is_other_sex, sex_of_counts, sex_of_record, sexes_of_records
from scripts.plan.own_metadata import OwnMetadata, read_own_metadata
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.units import check_field, is_shard, read_unit_rows, unit_names
from scripts.references.gene_kinds import spike_in_contigs
from scripts.references.genes_table import read_genes

if TYPE_CHECKING:
    import pandas as pd


def read_shards(
    units: str, ledger: str, counts: str, genes: Mapping[str, GenesOfSpecies]
) -> Iterator[tuple[str, CellsOfShard]]:
    """Yield species and cells of every plate shard; ``counts`` is the path of its counts, with {unit} in it."""
    settled: dict[str, dict[str, Run]] = {}
    for row in iterate_runs(ledger):
        if row.assay == "plate" and row.run:
            settled.setdefault(row.species, {})[row.run] = row
    for unit in filter(is_shard, unit_names(units)):
        species = unit.split(".")[1]
        of_species = settled.get(species, {})
        planned = {row.run: of_species.get(row.run) for row in read_unit_rows(Path(units) / f"{unit}.tsv")}
        known = {run: row for run, row in planned.items() if row}  # a shard may have cells that were left out since
        if species not in genes:
            raise InputError(f"--genes: {unit} has counts of {species}, but no table of its genes is given.")
        yield species, read_cells(counts.replace("{unit}", unit), known, genes[species])


class Gathered(NamedTuple):
    """The cells of all shards, sorted by species, series and run."""

    frame: "pd.DataFrame"
    sketches: list[np.ndarray]
    fingerprints: np.ndarray


def gather(shards: Sequence[tuple[str, CellsOfShard]]) -> Gathered:
    """Return the cells of all shards."""
    import pandas as pd

    if not shards:
        return Gathered(pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS}), [], np.zeros(0, np.uint64))
    cells = pd.concat([shard.frame for _, shard in shards], ignore_index=True)
    sketches = [sketch for _, shard in shards for sketch in shard.sketches]
    fingerprints = np.concatenate([shard.fingerprints for _, shard in shards])
    first = cells.runs.str.split(";").str[0]
    order = cells.assign(first=first).sort_values(["species", "series", "first"], kind="stable").index.to_numpy()
    in_order = [sketches[cell] for cell in order.tolist()]
    return Gathered(cells.loc[order].reset_index(drop=True), in_order, fingerprints[order])


def add_copies(gathered: Gathered, found: list[set[str]]) -> None:
    """Add the cell that shares most counts with each, of those of its species, and flag copies."""
    cells = gathered.frame
    same: dict[int, tuple[int, float]] = {}
    for species in sorted(set(cells.species)):
        group = np.flatnonzero(cells.species == species).tolist()
        alike = find_alike([gathered.sketches[cell] for cell in group], SKETCH, flags.FEWEST_SAME_COUNTS)
        partners = best_partners(alike).items()
        same |= {group[cell]: (group[other], 100 * likeness.share) for cell, (other, likeness) in partners}
    same |= {cell: (other, 100.0) for cell, other in find_equal(gathered).items()}
    names = cells.cell.tolist()
    cells["same_counts_as"] = [names[same[cell][0]] if cell in same else "" for cell in range(len(cells))]
    cells["pct_same_counts"] = [same[cell][1] if cell in same else np.nan for cell in range(len(cells))]
    for cell, (_, percent) in same.items():
        if percent >= flags.SAME_COUNTS:
            found[cell].add("DUPLICATE_COUNTS")


def find_equal(gathered: Gathered) -> dict[int, int]:
    """Return cell → another one of its species with exactly the same counts, of cells with enough genes and counts."""
    cells = gathered.frame
    enough = (cells.n_genes_by_counts >= flags.FEWEST_SAME_COUNTS) & (cells.total_counts >= flags.FEWEST_COUNTS)
    chosen = cells[enough].assign(fingerprint=gathered.fingerprints[enough])
    equal: dict[int, int] = {}
    for group in chosen.groupby(["species", "fingerprint"]).groups.values():
        members = [int(cell) for cell in group]
        if len(members) > 1:
            equal |= dict(zip(members, [*members[1:], members[0]], strict=True))
    return equal


def add_reads(cells: "pd.DataFrame", reads: ReadsOfAnalysis, found: list[set[str]]) -> None:
    """Add what the reads of each cell show, and flag it."""
    described = [
        reads.describe(runs.split(";"), species) for runs, species in zip(cells.runs, cells.species, strict=True)
    ]
    for name in OF_READS:
        cells[name] = [values.get(name, "" if name in TEXTS else np.nan) for values, _ in described]
    cells["sampled_reads"] = [str(values.get("sampled_reads", "")) for values, _ in described]
    for of_cell, (_, codes) in zip(found, described, strict=True):
        of_cell |= codes


def add_sexes(cells: "pd.DataFrame", records: str, own: OwnMetadata, found: list[set[str]]) -> None:
    """Add the sex of each cell's sample in its record and by its counts, and flag where these are of the other sex."""
    samples = list(zip(cells.series, cells["sample"], strict=True))
    of_records = sexes_of_records(records, samples) if records else {}
    owned = (sex_of_record(own.of_runs(runs.split(";"))) for runs in cells.runs)
    cells["sex_of_record"] = [sex or of_records.get(sample, "") for sex, sample in zip(owned, samples, strict=True)]
    sums = cells.groupby(["series", "sample", "species"])[["xist_counts", "y_counts"]].transform("sum")
    cells["sex_of_genes"] = [sex_of_counts(*pair) for pair in zip(sums.xist_counts, sums.y_counts, strict=True)]
    for of_cell, record, counts in zip(found, cells.sex_of_record, cells.sex_of_genes, strict=True):
        if is_other_sex(record, counts):
            of_cell.add("SEX_MISMATCH")


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--units", required=True, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--counts", required=True, help="path of a shard's counts, with {unit} in it")
    parser.add_argument(
        "--genes",
        nargs="*",
        default=[],
        metavar="SPECIES=PATH",
        help="table of what is counted, in the folder of the reference",
    )
    parser.add_argument("--reads", default="", help="figures of a unit's reads, with {unit} in it (units/reads)")
    parser.add_argument("--records", default="", help="folder of the archives' answers (resources/records)")
    parser.add_argument("--own-metadata", help="the user's own columns (units/own_metadata.tsv)")
    parser.add_argument("--output", required=True, help="the table to write (results/quality/cells.csv.gz)")
    options = parser.parse_args(argv)
    check_field("--counts", options.counts, example=", e.g. 'units/counts/{unit}.h5ad'")
    genes = {
        species: describe_genes(read_genes(path), spike_in_contigs(Path(path).with_name("reference.json")))
        for species, path in parse_paths(options.genes, "--genes").items()
    }
    gathered = gather(list(read_shards(options.units, options.ledger, options.counts, genes)))
    cells = gathered.frame
    if len(cells):
        found = [one | other for one, other in zip(add_scores(cells), flags_of_cells(cells), strict=True)]
        add_copies(gathered, found)
        add_reads(cells, read_reads(options.units, options.ledger, options.reads), found)
        add_sexes(cells, options.records, read_own_metadata(options.own_metadata), found)
        cells["flags"] = list(map(join_flags, found))
        for name in ("total_counts", "xist_counts", "y_counts"):
            cells[name] = cells[name].map(counts_text)
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    csv_gz.write_csv_gz(options.output, [COLUMNS, *table_rows(cells, COLUMNS)])
    flagged = sum(1 for text in cells["flags"] if text)
    print(f"{options.output}: {len(cells)} cells, {flagged} of them flagged.", file=sys.stderr)
