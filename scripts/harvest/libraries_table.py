"""Gather what every droplet library shows of itself into results/quality/libraries.csv, a row a library.

Columns: series, species, experiment, runs (joined by ';'), chemistry, status, reason and spots of the ledger; the
figures of the counts (see scripts/droplets/library_figures.py): reads in genes, on their strand and on the other one,
genes, genes of 1,000 reads, the gene of most reads, and the shares of the reads in genes; empty for a library that was
not aligned; the cell filter in effect and STAR's own figures (see below). Shares have four digits behind the point.
`flags` names what needs a look, joined by ';'.

STAR's figures are all of STARsolo's Summary.csv under their names there, those of another feature than Gene after
`{feature}: `, and some of Log.final.out. Cells that there are not have none: STAR writes numbers at random for them.
"""

import csv
import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.files import atomic_text
from scripts.droplets.library_figures import LibraryFigures
from scripts.droplets.starsolo import read_command, read_skipped_filters, read_summary
from scripts.harvest.quality import flags
from scripts.plan.matrices import ALL_FEATURES
from scripts.plan.run_table import Run, iterate_runs, spots_of
from scripts.plan.units import check_field
from scripts.star.log import read_star_log

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
"""Fields of Log.final.out that are in the table, without their percent signs."""
_OF_READS = ("Number of Reads", "Reads With Valid Barcodes", "Q30 Bases", "Reads Mapped to Genome")
_CELLS = "Estimated Number of Cells"  # the first of the figures of cells


def star_figures(kept: Path) -> dict[str, str]:
    """Return column → value of what STAR says of a library in the folder that ``solo --kept`` wrote."""
    figures: dict[str, str] = {}
    log = kept / "Log.final.out"
    if log.is_file():
        fields = read_star_log(log)
        figures = {name: fields[name].removesuffix("%") for name in OF_MAPPING if name in fields}
    for feature in ALL_FEATURES:
        folder = kept / "Solo.out" / feature
        if not (folder / "Summary.csv").is_file():
            continue
        umis = folder / "UMIperCellSorted.txt.gz"
        called = umis.is_file() and bool(gzip.decompress(umis.read_bytes()))
        of_cells = False
        for name, value in read_summary(folder / "Summary.csv").items():
            of_cells |= name == _CELLS
            if feature != "Gene" and name.startswith(_OF_READS):
                continue  # the same as of Gene
            known = value.lstrip("-") not in ("nan", "inf") and (called or not of_cells)
            figures[name if feature == "Gene" else f"{feature}: {name}"] = value if known else ""
    return figures


def filter_in_effect(kept: Path) -> tuple[str, bool]:
    """Return the cell filter that was in effect for Gene, and whether STAR skipped the one asked for."""
    log = kept / "Log.out"
    if not log.is_file():
        return "", False
    if skipped := read_skipped_filters(log).get("Gene"):
        return skipped.instead, True
    _, words = read_command(log)
    after = words[words.index("--soloCellFilter") + 1 :] if "--soloCellFilter" in words else []
    return " ".join(itertools.takewhile(lambda word: not word.startswith("--"), after)), False


def libraries_of(rows: Iterable[Run]) -> dict[str, list[Run]]:
    """Return unit → rows of the ledger of each droplet library that was worked on, in the ledger's order."""
    libraries: dict[str, list[Run]] = {}
    for row in rows:
        if row.assay == "droplet" and row.run and row.species:
            libraries.setdefault(f"{row.series}.{row.species}.{row.experiment}", []).append(row)
    worked_on = ("counted", "failed")
    return {unit: rows for unit, rows in libraries.items() if any(row.status in worked_on for row in rows)}


def row_of_library(rows: Sequence[Run], figures: Mapping[str, Any], kept: Path) -> dict[str, str]:
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
    row["cell_filter"], skipped = filter_in_effect(kept)
    of_star = star_figures(kept)
    found += ["EMPTYDROPS_SKIPPED"] if skipped else []
    found += ["NO_CELLS"] if of_star.get(_CELLS) in ("", "0") else []
    return row | of_star | {"flags": flags.join_flags(found)}


def table_rows(ledger: Iterable[Run], figures: str, kept: str) -> Iterator[list[str]]:
    """Yield the header and a row for each library.

    ``figures`` is the path of a library's figures, ``kept`` that of STAR's logs and statistics, with ``{unit}`` in it.
    """
    rows = []
    for unit, runs in libraries_of(ledger).items():
        path = Path(figures.replace("{unit}", unit))
        shown = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        rows.append(row_of_library(runs, shown, Path(kept.replace("{unit}", unit))))
    of_star = dict.fromkeys(name for row in rows for name in row if name != "flags")
    columns = list(dict.fromkeys([*NAMES, *FIGURES, "cell_filter", *of_star, "flags"]))
    yield columns
    yield from ([row.get(name, "") for name in columns] for row in rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--figures", required=True, help="path of a library's figures, with {unit} in it")
    parser.add_argument("--kept", required=True, help="folder of STAR's logs and statistics, with {unit} in it")
    parser.add_argument("--output", required=True, help="the table to write (results/quality/libraries.csv)")
    options = parser.parse_args(argv)
    check_field("--figures", options.figures)
    check_field("--kept", options.kept)
    with atomic_text(options.output) as handle:
        csv.writer(handle, lineterminator="\n").writerows(
            table_rows(iterate_runs(options.ledger), options.figures, options.kept)
        )
