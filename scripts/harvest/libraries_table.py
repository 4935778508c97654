"""Gather what every droplet library shows of itself into results/quality/libraries.csv, a row a library.

docs/quality.md has the columns. STAR's figures are all of STARsolo's Summary.csv under their names there, those of
another feature than Gene after `{feature}: `, and those of Log.final.out. Cells that there are not have none: STAR
writes numbers at random for them.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_text
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.kept.cell_calls import CalledCells
from scripts.droplets.library_figures import LibraryFigures
from scripts.droplets.starsolo import read_summary
from scripts.harvest.quality import flags
from scripts.harvest.quality.barcodes import shared_barcodes
from scripts.harvest.quality.copies import best_partners, find_alike
from scripts.harvest.quality.libraries import (
    CELLS,
    PROOF,
    SKETCH,
    Key,
    LibraryCells,
    Row,
    flags_of_figures,
    genefull_ratio,
    keys_of,
    list_size,
    proof_of,
    read_matrix,
    texts_of,
)
from scripts.harvest.quality.reads import ReadsOfAnalysis, read_reads
from scripts.harvest.quality.sexes import is_other_sex, sex_of_counts, sex_of_record, sexes_of_records
from scripts.plan.matrices import ALL_FEATURES
from scripts.plan.own_metadata import OwnMetadata, read_own_metadata
from scripts.plan.run_table import Run, iterate_runs, spots_of
from scripts.plan.units import check_field
from scripts.star.log import CLOCK_FIELDS, read_star_log

FLOORS = ("min_valid_barcodes", "min_gene_share")
NAMES = ("series", "species", "experiment", "runs", "chemistry", "status", "reason", "spots")
FIGURES = tuple(name for name in LibraryFigures._fields if name != "annotated")
NEEDS_A_LOOK = {
    "tr_share": ("HIGH_TR", flags.HIGH_TR),
    "ig_share": ("HIGH_IG", flags.HIGH_IG),
    "top_gene_share": ("HIGH_TOP_GENE", flags.HIGH_TOP_GENE),
    "mitochondrial_share": ("HIGH_MITOCHONDRIAL", flags.HIGH_MITOCHONDRIAL),
    "ribosomal_share": ("HIGH_RIBOSOMAL", flags.HIGH_RIBOSOMAL),
}
"""Figure → the flag of a share above so many percent; the library is counted all the same."""

COLUMNS = (
    *("series", "species", "sample", "experiment", "runs", "chemistry", "status", "reason", "flags", "spots"),
    *(*PROOF, *FIGURES, "genefull_ratio", *FLOORS, "cell_filter", *CELLS),
    *("sampled_reads", "pct_known_reads", "pct_own_species", "other_species", "pct_other_species"),
    *("pct_runs_agree", "same_reads_as", "pct_same_reads", "same_counts_as", "pct_same_counts"),
    *("sex_of_record", "sex_of_genes", "xist_counts", "y_counts"),
    *("barcodes_shared_with", "barcodes_shared", "barcodes_expected"),
)
"""All but those of STAR, which follow."""
OF_MAPPING = (
    "Average input read length",
    "Uniquely mapped reads %",
    "Average mapped length",
    "Mismatch rate per base, %",
    "% of reads mapped to multiple loci",
    "% of reads mapped to too many loci",
    "% of reads unmapped: too short",
    "% of reads unmapped: other",
)
"""Fields of Log.final.out that are in the table first, without their percent signs; the others follow."""
_OF_READS = ("Number of Reads", "Reads With Valid Barcodes", "Q30 Bases", "Reads Mapped to Genome")
_CELLS = "Estimated Number of Cells"  # the first of the figures of cells


def star_figures(kept: Path, cells: CalledCells) -> dict[str, str]:
    """Return column → value of what STAR says of a library in its folder below units/solo, and of its cells."""
    figures: dict[str, str] = {}
    log = kept / "Log.final.out"
    if log.is_file():
        fields = read_star_log(log)
        figures = {name: fields[name].removesuffix("%") for name in OF_MAPPING if name in fields}
        figures |= {
            name: value.removesuffix("%") for name, value in fields.items() if value and name not in CLOCK_FIELDS
        }
    for feature in ALL_FEATURES:
        summary = cells.folder / feature / "Summary.csv"
        if not cells.exist:  # STAR failed
            summary = kept / "Solo.out" / feature / "Summary.csv"
        if not summary.is_file():
            continue
        names = cells.barcodes(feature)
        called = names is not None and names.stat().st_size > 0
        of_cells = False
        for name, value in read_summary(summary).items():
            of_cells |= name == _CELLS
            if feature != "Gene" and name.startswith(_OF_READS):
                continue  # the same as of Gene
            known = value.lstrip("-") not in ("nan", "inf") and (called or not of_cells)
            figures[name if feature == "Gene" else f"{feature}: {name}"] = value if known else ""
    return figures


def filter_in_effect(cells: CalledCells) -> tuple[str, bool]:
    """Return the cell filter that was in effect for Gene, and whether STAR skipped the one asked for."""
    skipped = cells.skipped.get("Gene")
    return (skipped.instead, True) if skipped else (cells.cell_filter, False)


def libraries_of(rows: Iterable[Run]) -> dict[str, list[Run]]:
    """Return unit → rows of the ledger of each droplet library that was worked on, in the ledger's order."""
    libraries: dict[str, list[Run]] = {}
    for row in rows:
        if row.assay == "droplet" and row.run and row.species:
            libraries.setdefault(f"{row.series}.{row.species}.{row.experiment}", []).append(row)
    worked_on = ("counted", "failed")
    return {unit: rows for unit, rows in libraries.items() if any(row.status in worked_on for row in rows)}


def row_of_library(rows: Sequence[Run], figures: Mapping[str, Any], kept: Path, cells: CalledCells) -> dict[str, str]:
    """Return column → value of a library's row; ``kept`` is the folder of STAR's logs and statistics."""
    used = [row for row in rows if row.status == "counted"] or [row for row in rows if row.status == "failed"]
    first = next((row for row in used if row.reason != "INCOMPLETE_EXPERIMENT"), used[0])
    spots = [int(number) for number in spots_of(used) if number]
    values = [first.series, first.species, first.experiment, ";".join(row.run for row in used), first.chemistry]
    values += [first.status, first.reason, str(sum(spots)) if spots else ""]
    shown = [figures.get(name, "") for name in FIGURES]
    values += [f"{value:.4f}" if isinstance(value, float) else str(value) for value in shown]
    row = dict(zip((*NAMES, *FIGURES), values, strict=True))
    found = [code for name, (code, limit) in NEEDS_A_LOOK.items() if 100 * figures.get(name, 0) > limit]
    row["cell_filter"], skipped = filter_in_effect(cells)
    of_star = star_figures(kept, cells)
    found += ["EMPTYDROPS_SKIPPED"] if skipped else []
    found += ["NO_CELLS"] if of_star.get(_CELLS) in ("", "0") else []
    return row | of_star | {"flags": flags.join_flags(found)}


class Sources(NamedTuple):
    """Where the figures of the libraries are; paths of units have ``{unit}`` in them."""

    figures: str
    """Figures of the genes."""
    kept: str
    """STAR's logs and statistics."""
    cells: str
    """Called cells."""
    roles: str = ""
    """Verdicts on the reads."""
    chemistries: str | None = None
    matrices: Sequence[str] = ()
    """The h5ad of every series."""
    records: str = ""
    own: OwnMetadata = OwnMetadata()
    reads: ReadsOfAnalysis | None = None
    floors: Mapping[str, str] = {}
    """Column → the floor that all libraries are held against."""

    def path(self, name: str, unit: str) -> Path:
        """Return the path of a file of a unit, given the name of the field."""
        return Path(getattr(self, name).replace("{unit}", unit))


def table_rows(ledger: Iterable[Run], sources: Sources) -> Iterator[list[str]]:
    """Yield the header and a row for each library."""
    rows, units = [], []
    for unit, runs in libraries_of(ledger).items():
        path = sources.path("figures", unit)
        shown = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        called = CalledCells(sources.path("cells", unit))
        row = row_of_library(runs, shown, sources.path("kept", unit), called)
        rows.append(row | {"sample": runs[0].sample})
        units.append(unit)
    found = [set(filter(None, row["flags"].split(";"))) for row in rows]
    complete(rows, units, found, sources)
    for row, codes in zip(rows, found, strict=True):
        row["flags"] = flags.join_flags(codes)
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    yield columns
    yield from ([row.get(name, "") for name in columns] for row in rows)


def complete(rows: Sequence[Row], units: Sequence[str], found: Sequence[set[str]], sources: Sources) -> None:
    """Add to the rows of all libraries what is not in STAR's figures, and to ``found`` the flags of it."""
    kits, known = read_chemistries(sources.chemistries) if sources.chemistries else ({}, {})
    cells: dict[Key, LibraryCells] = {}
    for path in sources.matrices:
        cells |= read_matrix(Path(path))
    for row, unit, key in zip(rows, units, keys_of(rows), strict=True):
        row |= (
            dict(sources.floors) | proof_of(sources.path("roles", unit), kits) | {"genefull_ratio": genefull_ratio(row)}
        )
        row |= cells[key].figures if key in cells else {}
    add_copies(rows, cells, found)
    for series, species in sorted({(row["series"], row["species"]) for row in rows}):
        group = [at for at, row in enumerate(rows) if (row["series"], row["species"]) == (series, species)]
        sizes = [
            list_size(sources.path("roles", units[at]), kits.get(rows[at]["chemistry"]), known, cells[key].barcodes[0])
            for at, key in zip(group, keys_of([rows[at] for at in group]), strict=True)
            if key in cells
        ]
        add_barcodes(rows, group, cells, min(sizes, default=1), found)
    add_sexes(rows, cells, sources, found)
    if sources.reads:
        for row, codes in zip(rows, found, strict=True):
            values, of_reads = sources.reads.describe(row["runs"].split(";"), row["species"])
            row.update(texts_of(values))
            codes |= of_reads
    for row, codes in zip(rows, found, strict=True):
        codes.update(flags_of_figures(row))


def add_copies(rows: Sequence[Row], cells: Mapping[Key, LibraryCells], found: Sequence[set[str]]) -> None:
    """Add the library that shares most cells with the same counts with each, and flag copies."""
    keys = keys_of(rows)
    nothing = np.zeros(0, np.uint64)
    sketches = [cells[key].sketch if key in cells else nothing for key in keys]
    for at, (other, likeness) in best_partners(find_alike(sketches, SKETCH, flags.FEWEST_SAME_COUNTS)).items():
        share = 100 * likeness.share
        rows[at].update(texts_of({"same_counts_as": rows[other]["experiment"], "pct_same_counts": share}))
        if share >= flags.SAME_COUNTS:
            found[at].add("DUPLICATE_COUNTS")


def add_barcodes(
    rows: Sequence[Row], group: Sequence[int], cells: Mapping[Key, LibraryCells], size: int, found: Sequence[set[str]]
) -> None:
    """Add what the libraries of a series share in barcodes, and flag what is above chance."""
    keys = keys_of([rows[at] for at in group])
    shared = shared_barcodes([cells[key].barcodes if key in cells else [] for key in keys], size)
    for at, of_library in zip(group, shared, strict=True):
        if of_library:
            values = {
                "barcodes_shared_with": rows[group[of_library.other]]["experiment"],
                "barcodes_shared": of_library.shared,
                "barcodes_expected": of_library.expected,
            }
            rows[at].update(texts_of(values))
            found[at].update(["BARCODE_OVERLAP"] if of_library.is_above_chance else [])


def add_sexes(
    rows: Sequence[Row], cells: Mapping[Key, LibraryCells], sources: Sources, found: Sequence[set[str]]
) -> None:
    """Add the sex of each library's sample in its record and by its counts, and flag the other sex."""
    samples = [(row["series"], row["sample"]) for row in rows]
    of_records = sexes_of_records(sources.records, samples) if sources.records else {}
    sums: dict[tuple[str, str, str], np.ndarray] = {}
    for row, key in zip(rows, keys_of(rows), strict=True):
        of_sample = sums.setdefault((row["series"], row["species"], row["sample"]), np.zeros(2, np.int64))
        if key in cells:
            of_sample += (cells[key].xist, cells[key].y_genes)
            row.update(texts_of({"xist_counts": cells[key].xist, "y_counts": cells[key].y_genes}))
    for row, sample, codes in zip(rows, samples, found, strict=True):
        owned = sex_of_record(sources.own.of_runs(row["runs"].split(";")))
        record = owned or of_records.get(sample, "")
        counts = sex_of_counts(*sums[row["series"], row["species"], row["sample"]].tolist())
        row.update(sex_of_record=record, sex_of_genes=counts)
        codes.update(["SEX_MISMATCH"] if is_other_sex(record, counts) else [])


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--figures", required=True, help="path of a library's figures, with {unit} in it")
    parser.add_argument("--kept", required=True, help="folder of STAR's logs and statistics, with {unit} in it")
    parser.add_argument("--cells", required=True, help="folder of called cells, with {unit} in it")
    parser.add_argument("--roles", default="", help="path of the verdict on a library's reads, with {unit} in it")
    parser.add_argument("--chemistries", help="the kits: config/chemistries.yaml")
    parser.add_argument("--matrices", nargs="*", default=[], help="the called cells of every series (h5ad)")
    parser.add_argument("--units", default="", help="folder of the units' run tables (units/runs), with --reads")
    parser.add_argument("--reads", default="", help="figures of a unit's reads, with {unit} in it (units/reads)")
    parser.add_argument("--records", default="", help="folder of the archives' answers (resources/records)")
    parser.add_argument("--own-metadata", help="the user's own columns (units/own_metadata.tsv)")
    for name in FLOORS:
        parser.add_argument(f"--{name.replace('_', '-')}", default="", help="the floor, for the table")
    parser.add_argument("--output", required=True, help="the table to write (results/quality/libraries.csv)")
    options = parser.parse_args(argv)
    for name in ("figures", "kept", "cells", *(["roles"] if options.roles else [])):
        check_field(f"--{name}", getattr(options, name))
    sources = Sources(
        options.figures,
        options.kept,
        options.cells,
        options.roles,
        options.chemistries,
        options.matrices,
        options.records,
        read_own_metadata(options.own_metadata),
        read_reads(options.units, options.ledger, options.reads) if options.reads else None,
        {name: getattr(options, name) for name in FLOORS},
    )
    with atomic_text(options.output) as handle:
        csv.writer(handle, lineterminator="\n").writerows(table_rows(iterate_runs(options.ledger), sources))
