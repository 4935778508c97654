"""Gather what every droplet library shows of itself into results/quality/libraries.csv, a row a library.

Columns: series, species, experiment, runs (joined by ';'), chemistry, status, reason and spots of the ledger; the
figures of the counts (see scripts/droplets/library_figures.py): reads in genes, on their strand and on the other one,
genes, genes of 1,000 reads, the gene of most reads, and the shares of the reads in genes; empty for a library that was
not aligned. Shares have four digits behind the point. `flags` names what needs a look, joined by ';'.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.files import atomic_text
from scripts.droplets.library_figures import LibraryFigures
from scripts.plan.run_table import Run, iterate_runs, spots_of
from scripts.plan.units import check_field

NAMES = ("series", "species", "experiment", "runs", "chemistry", "status", "reason", "spots")
FIGURES = tuple(name for name in LibraryFigures._fields if name != "annotated")
NEEDS_A_LOOK = {
    "tr_share": 0.1,
    "ig_share": 0.5,
    "top_gene_share": 0.5,
    "mitochondrial_share": 0.3,
    "ribosomal_share": 0.6,
}
"""Figure → its value above which it is flagged; the library is counted all the same."""


def libraries_of(rows: Iterable[Run]) -> dict[str, list[Run]]:
    """Return unit → rows of the ledger of each droplet library that was worked on, in the ledger's order."""
    libraries: dict[str, list[Run]] = {}
    for row in rows:
        if row.assay == "droplet" and row.run and row.species:
            libraries.setdefault(f"{row.series}.{row.species}.{row.experiment}", []).append(row)
    worked_on = ("counted", "failed")
    return {unit: rows for unit, rows in libraries.items() if any(row.status in worked_on for row in rows)}


def row_of_library(rows: Sequence[Run], figures: Mapping[str, Any]) -> list[str]:
    """Return the values of a library's row."""
    used = [row for row in rows if row.status == "counted"] or [row for row in rows if row.status == "failed"]
    first = next((row for row in used if row.reason != "INCOMPLETE_EXPERIMENT"), used[0])
    spots = [int(number) for number in spots_of(used) if number]
    values = [first.series, first.species, first.experiment, ";".join(row.run for row in used), first.chemistry]
    values += [first.status, first.reason, str(sum(spots)) if spots else ""]
    shown = [figures.get(name, "") for name in FIGURES]
    values += [f"{value:.4f}" if isinstance(value, float) else str(value) for value in shown]
    flags = [name for name, limit in NEEDS_A_LOOK.items() if figures.get(name, 0) > limit]
    return [*values, ";".join(flags)]


def table_rows(ledger: Iterable[Run], figures: str) -> Iterator[list[str]]:
    """Yield the header and a row for each library; ``figures`` is the path of a library's figures with ``{unit}``."""
    yield [*NAMES, *FIGURES, "flags"]
    for unit, rows in libraries_of(ledger).items():
        path = Path(figures.replace("{unit}", unit))
        shown = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        yield row_of_library(rows, shown)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--figures", required=True, help="path of a library's figures, with {unit} in it")
    parser.add_argument("--output", required=True, help="the table to write (results/quality/libraries.csv)")
    options = parser.parse_args(argv)
    check_field("--figures", options.figures)
    with atomic_text(options.output) as handle:
        csv.writer(handle, lineterminator="\n").writerows(table_rows(iterate_runs(options.ledger), options.figures))
