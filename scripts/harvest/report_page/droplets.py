"""Droplet libraries: how their barcodes rank, what STARsolo says of each, and how their kit was found."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from scripts.formats.charts import Scale, histogram, scale_of
from scripts.formats.pages import cut, percent, short_number
from scripts.harvest.report_page.barcode_ranks import read_called, read_curve
from scripts.harvest.report_page.charts import Mark, RankPoint, density, rank_plot, scatter
from scripts.harvest.report_page.quality_tables import about_flag, present

MOST_LIBRARIES = 1000
"""Libraries that get a row of their own."""
MOST_PLOTS = 24
"""Libraries that get a barcode-rank plot with axes; all have a small one in their row."""
Row = list[Any]
CellFigures = dict[str, np.ndarray]
"""Column of obs → its values."""


class Column(NamedTuple):
    """A figure of a library in a table of the page."""

    head: str
    """As the table macro has it: "%" is a share of 1."""
    name: str
    """Its column in libraries.csv."""
    of_hundred: bool = False


CELLS = (
    Column("#reads", "Number of Reads"),
    Column("#cells", "cells"),
    Column("%reads in cells", "Fraction of Unique Reads in Cells"),
    Column("#reads a cell", "Mean Reads per Cell"),
    Column("#median molecules", "median_counts"),
    Column("#median genes", "median_genes"),
    Column("%median mito\u00adchondrial", "median_pct_mt", True),
)
READS = (
    Column("%valid barcodes", "Reads With Valid Barcodes"),
    Column("%saturation", "Sequencing Saturation"),
    Column("%Q30 barcode", "Q30 Bases in CB+UMI"),
    Column("%Q30 cDNA", "Q30 Bases in RNA read"),
    Column("%mapped", "Reads Mapped to Genome: Unique+Multiple"),
    Column("%mapped once", "Reads Mapped to Genome: Unique"),
    Column("%in Gene", "Reads Mapped to Gene: Unique Gene"),
    Column("%in GeneFull", "GeneFull: Reads Mapped to GeneFull: Unique GeneFull"),
    Column("%mito\u00adchondrial", "mitochondrial_share"),
    Column("%ribosomal", "ribosomal_share"),
)
PROOF = (
    Column("%spots on it", "list_share"),
    Column("%by chance", "list_chance"),
    Column("%spots on that", "next_share"),
)
_IN_OLD_TABLES = {
    "cells": "Estimated Number of Cells",
    "median_counts": "Median UMI per Cell",
    "median_genes": "Median Gene per Cell",
}
"""Column → that of STARsolo which stands in for it in a table of version 0.1."""


class Curve(NamedTuple):
    """A small barcode-rank plot: the points of the whole curve and of its part with called cells, in 100 × 40."""

    whole: str
    cells: str
    title: str


class LibraryCurve(NamedTuple):
    """A library with its barcode-rank curve."""

    unit: str
    experiment: str
    flags: str
    cells: float
    curve: list[RankPoint]

    def small_curve(self) -> Curve | None:
        """Return the curve for a table, None where nothing is known of it."""
        if len(self.curve) < 2:
            return None
        wide, high = np.log10(max(2, self.curve[-1].rank)), np.log10(max(2, self.curve[0].molecules))
        points = [
            f"{100 * np.log10(point.rank) / wide:.1f},{38 - 36 * np.log10(max(1, point.molecules)) / high:.1f}"
            for point in self.curve
        ]
        last = max((index for index, point in enumerate(self.curve) if point.called >= 0.5), default=-1)
        called = " ".join(points[: last + 2]) if last >= 0 else ""
        return Curve(" ".join(points), called, f"Barcode ranks of {self.experiment}")


def _unit(library: pd.Series) -> str:
    return f"{library.series}.{library.species}.{library.experiment}"


def read_libraries_curves(
    libraries: pd.DataFrame, results: Path, kept: str
) -> tuple[list[LibraryCurve], dict[str, list[CellFigures]]]:
    """Return the counted libraries with their curves, and species → the figures of the called cells of each h5ad.

    ``kept`` is the folder of a library's statistics, with ``{unit}`` in it.
    """
    called: dict[str, dict[str, np.ndarray]] = {}
    cells: dict[str, list[CellFigures]] = {}
    for series, species in dict.fromkeys(zip(libraries.series, libraries.species, strict=True)):
        path = results / "droplets" / f"{series}.{species}.h5ad"
        if path.is_file() and path.parent.resolve() == (results / "droplets").resolve():
            of_experiment, figures = read_called(path)
            called[f"{series}.{species}"] = of_experiment
            cells.setdefault(species, []).append(figures)
    found = []
    for _, row in libraries.iterrows():
        unit = _unit(row)
        molecules = called.get(f"{row.series}.{row.species}", {}).get(row.experiment, np.zeros(0))
        folder = Path(kept.replace("{unit}", unit))
        matrix = "GeneFull" if row.get("matrix") == "GeneFull" else "Gene"
        curve = read_curve(folder, matrix, molecules) if "/" not in unit else []
        found.append(LibraryCurve(unit, row.experiment, row["flags"], row.get("cells", np.nan), curve))
    return found, cells


def rank_plots(libraries: Sequence[LibraryCurve]) -> list[tuple[Markup, str, str]]:
    """Return the plots of the first libraries, those with flags before the others."""
    drawn = sorted((each for each in libraries if len(each.curve) > 1), key=lambda each: not each.flags)
    plots = []
    for each in drawn[:MOST_PLOTS]:
        words = f"{each.cells:,.0f} cells of {each.curve[-1].rank:,} barcodes" if each.cells == each.cells else ""
        chart = rank_plot(each.curve, f"Barcode ranks of {each.experiment}")
        plots.append(
            (chart, each.experiment, f"{words}{'; ' if each.flags and words else ''}{each.flags.replace(';', ', ')}")
        )
    return plots


def _known(libraries: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.name in present(libraries, [column.name])]


def cell_rows(libraries: pd.DataFrame, drawn: Sequence[LibraryCurve]) -> tuple[list[str], list[Row]]:
    """Return head and rows of the table on the cells of each library, with its flags."""
    known = _known(libraries, CELLS)
    rows = []
    about = []
    for (_, row), library in itertools.islice(zip(libraries.iterrows(), drawn, strict=True), MOST_LIBRARIES):
        start: Row = [row.experiment, row.series, row.species, row.get("chemistry") or None, library.small_curve()]
        values = [_number(row[column.name], column) for column in known]
        rows.append([*start, len(row.get("runs", "").split(";")), *values, row["flags"].replace(";", " ") or None])
        about.append("; ".join(filter(None, (about_flag(row, code) for code in row["flags"].split(";")))))
    head = ["`experiment", "series", "species", "chemistry", "|ranks", "#runs"]
    head += [*(column.head for column in known), "~flags"]
    if any(about):
        return [*head, "~in what"], [[*row, words] for row, words in zip(rows, about, strict=True)]
    return head, rows


def read_rows(libraries: pd.DataFrame) -> tuple[list[str], list[Row]]:
    """Return head and rows of the table on the reads of each library."""
    known = _known(libraries, READS)
    rows = [
        [row.experiment, row.series, row.species, *(_number(row[column.name], column) for column in known)]
        for _, row in libraries.head(MOST_LIBRARIES).iterrows()
    ]
    return ["`experiment", "series", "species", *(column.head for column in known)], rows


def proof_rows(libraries: pd.DataFrame) -> tuple[list[str], list[Row]]:
    """Return head and rows of the table on the chemistry of each library: on what it rests, and the next best list."""
    if not {"evidence", "inclusion_list", "next_list"} <= set(libraries):
        return [], []
    known = _known(libraries, PROOF)
    heads = {column.name: column.head for column in known}
    head = ["`experiment", "series", "chemistry", "reads", "~proved by", "inclusion list"]
    head += [heads[name] for name in ("list_share", "list_chance") if name in heads]
    head += ["next list", heads["next_share"]] if "next_share" in heads else []
    rows = []
    for _, row in libraries.head(MOST_LIBRARIES).iterrows():
        numbers = {column.name: _number(row[column.name], column) for column in known}
        texts = [row.experiment, row.series, row.get("chemistry") or None, row.get("read_roles") or None]
        texts += [row.evidence or None, row.inclusion_list or None]
        texts += [numbers[name] for name in ("list_share", "list_chance") if name in numbers]
        rows.append(texts + ([row.next_list or None, numbers["next_share"]] if "next_share" in numbers else []))
    return head, rows


def _number(value: float, column: Column) -> float | int | None:
    if value != value:
        return None
    if column.head.startswith("%"):
        return float(value) / (100 if column.of_hundred else 1)
    return int(value) if float(value).is_integer() else float(value)


def library_charts(libraries: pd.DataFrame) -> list[tuple[Markup, str, str]]:
    """Return charts with a point for each library."""
    charts = []
    gene, full = READS[6].name, READS[7].name
    pairs = (
        (gene, full, ("reads in Gene (exons), %", "reads in GeneFull (with introns), %"), "Gene against GeneFull",
         "nuclei are far above the others"),
        ("Mean Reads per Cell", "Sequencing Saturation", ("reads a cell", "saturation, %"), "Saturation by depth",
         "low saturation: more reads would show more molecules"),
        ("cells", "Fraction of Unique Reads in Cells", ("cells", "reads in cells, %"),
         "Reads in cells by number of cells", "low: RNA of broken cells"),
    )  # fmt: skip
    for across, up, titles, name, words in pairs:
        if len(present(libraries, [across, up])) < 2:
            continue
        known = libraries[libraries[across].notna() & libraries[up].notna()]
        shares = titles[0].endswith("%")
        marks: dict[bool, list[Mark]] = {False: [], True: []}
        for _, row in known.iterrows():
            x = float(row[across]) * (100 if shares else 1)
            x_words = f"{percent(x / 100)} %" if shares else short_number(x)
            hint = [f"{row.experiment}, {row.series}", row["flags"].replace(";", ", ")]
            hint += [
                f"{titles[0].removesuffix(', %')}: {x_words}",
                f"{titles[1].removesuffix(', %')}: {percent(row[up])} %",
            ]
            marks[bool(row["flags"])].append(Mark(x, 100 * float(row[up]), "\n".join(filter(None, hint))))
        x_scale = Scale(0, 100, False) if shares else scale_of(known[across].to_numpy(), True)
        scales = x_scale, Scale(0, 100, False)
        chart = scatter(marks[False], marks[True], scales, titles, "Libraries")
        charts.append((chart, name, words + ("; diamonds: libraries with a flag" if marks[True] else "")))
    return charts


def cell_charts(cells: Mapping[str, Sequence[CellFigures]]) -> list[dict[str, Any]]:
    """Return species, number and charts of the called cells of each species."""
    found = []
    for species, matrices in cells.items():
        known = [figures for figures in matrices if {"total_counts", "n_genes_by_counts"} <= figures.keys()]
        if not known:
            continue
        counts, genes = (
            np.concatenate([each[name] for each in known]) for name in ("total_counts", "n_genes_by_counts")
        )
        scales = scale_of(counts, True), scale_of(genes, False)
        titles = ("molecules a cell", "genes a cell")
        both, key = density(counts, genes, scales, titles)
        charts: list[tuple[Markup, str, str]] = [
            (histogram(counts, scales[0], titles[0]), "Molecules", ""),
            (histogram(genes, scales[1], titles[1]), "Genes", ""),
            (both, "Genes by molecules", key),
        ]
        share = np.concatenate([each.get("pct_counts_mt", np.zeros(0, np.float32)) for each in known])
        share = share[np.isfinite(share)]
        if len(share):
            chart = histogram(share, scale_of(share, False), "counts on mitochondrial genes, %")
            charts.append((chart, "Mitochondrial", ""))
        found.append({"species": species, "cells": len(counts), "charts": charts})
    return found


def droplet_part(libraries: pd.DataFrame, results: Path, kept: str, notes: Sequence[Row]) -> Mapping[str, Any]:
    """Return the section on droplet libraries; ``libraries`` are the rows of libraries.csv of counted ones."""
    libraries = libraries.assign(
        **{new: libraries[old] for new, old in _IN_OLD_TABLES.items() if new not in libraries and old in libraries}
    )
    drawn, cells = read_libraries_curves(libraries, results, kept)
    plots = rank_plots(drawn)
    return {
        "libraries": len(libraries),
        "plots": plots,
        "more_plots": sum(len(each.curve) > 1 for each in drawn) - len(plots),
        "cell_rows": cell_rows(libraries, drawn),
        "read_rows": read_rows(libraries),
        "note": cut(range(len(libraries)), MOST_LIBRARIES, "library", "quality/libraries.csv")[1],
        "charts": library_charts(libraries),
        "cells": cell_charts(cells),
        "proof": proof_rows(libraries),
        "notes": cut(notes, MOST_LIBRARIES, "note"),
    }
