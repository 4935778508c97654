"""The quality of plate cells by species and series: figures of all cells as charts, and a row for each series."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from scripts.core.errors import InputError
from scripts.formats.charts import Scale, histogram, scale_of
from scripts.formats.pages import Bar, Spread, cut, percent, several, short_number, thousands
from scripts.harvest.quality.flags import FLAGS
from scripts.harvest.report_page.charts import Mark, density
from scripts.harvest.report_page.quality_tables import about_flag, present

MOST_SERIES = 1000
"""Series that get a row of their own."""
MOST_FLAGGED = 1000
"""Flagged cells that get a row of their own."""
MOST_MARKS = 150
"""Flagged cells that are marked in a chart."""
Row = list[Any]


class Figure(NamedTuple):
    """A figure of plate cells."""

    title: str
    """Of an axis."""
    name: str
    """Of a column and a chart."""
    percent: bool = False
    log: bool = False


FIGURES = {
    "reads": Figure("reads a cell", "reads", log=True),
    "pct_mapped": Figure("reads mapped, %", "mapped", percent=True),
    "n_genes_by_counts": Figure("genes a cell", "genes"),
    "pct_counts_spike_in": Figure("counts on spike-ins, %", "spike-ins", percent=True),
    "pct_counts_mt": Figure("counts on mitochondrial genes, %", "mitochondrial", percent=True),
}
"""Column of cells.csv.gz → what it is; percents are of 100."""
_DENSITIES = (("reads", "n_genes_by_counts"), ("n_genes_by_counts", "pct_counts_mt"), ("reads", "pct_mapped"))
READS = {
    "mapped_once": "mapped once",
    "mapped_several": "mapped several times",
    "too_many_loci": "mapped too often",
    "unmapped_short": "unmapped: too short",
    "unmapped_mismatches": "unmapped: mismatches",
    "unmapped_other": "unmapped: other",
}
"""Where STAR puts every read; together all of them."""
COUNTS = {
    "total_counts": "in genes",
    "no_feature": "in no gene",
    "ambiguous": "in several genes",
    "too_low_aQual": "low quality",
    "alignment_not_unique": "of several loci",
}
"""What the counter makes of those that are mapped."""
_SHORT = {
    "mapped several times": "several times",
    "mapped too often": "too often",
    "unmapped: too short": "too short",
    "unmapped: mismatches": "mis\u00admatches",
    "unmapped: other": "other",
    "in several genes": "several genes",
    "of several loci": "several loci",
}
"""Words → how the head of a column has them."""
_COUNTED_TOO = ("ambiguous", "alignment_not_unique")


def read_notes(path: Path) -> dict[str, str]:
    """Return the texts in uns of an h5ad that name the reference and the parameters, by name; empty without a file."""
    if not path.exists():
        return {}
    try:
        with h5py.File(path, "r") as root:
            uns = root.get("uns", {})
            notes = {"reference": uns["reference"].asstr()[()]} if "reference" in uns else {}
            parameters = uns.get("parameters", {})
            texts = [name for name in sorted(parameters) if h5py.check_string_dtype(parameters[name].dtype)]
            return notes | {name: parameters[name].asstr()[()] for name in texts}
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as counts of cells: {error}.") from error


def words_of(cell: pd.Series) -> str:
    """Return what is shown of a cell under the mouse."""
    known = [cell.get("cell", cell.experiment), cell.series, cell["flags"].replace(";", ", ")]
    for name, figure in FIGURES.items():
        value = cell.get(name, np.nan)
        if value == value:
            shown = f"{value:.1f} %" if figure.percent else thousands(value)
            known.append(f"{figure.name}: {shown}")
    return "\n".join(filter(None, known))


def _rank_of_flags(flags: pd.Series) -> pd.Series:
    """Return for each text of flags the position of the worst one."""
    order = {code: position for position, code in enumerate(FLAGS)}
    return flags.map(lambda text: min(order.get(code, len(order)) for code in text.split(";")))


def flagged_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the flagged cells, those with the worst flags first."""
    flagged = cells[cells["flags"] != ""]
    return flagged.iloc[_rank_of_flags(flagged["flags"]).argsort(kind="stable")] if len(flagged) else flagged


def _charts(cells: pd.DataFrame, scales: Mapping[str, Scale]) -> list[tuple[Any, str, str]]:
    charts = []
    for name, scale in scales.items():
        values = cells[name].dropna()
        low, high = values.quantile([0.05, 0.95])
        drawn = _drawn(cells, name)
        chart = histogram(drawn[name].to_numpy(), scale, FIGURES[name].title)
        words = (
            f"90 % of cells: {short_number(low)} to {short_number(high)}{_not_drawn(len(values) - len(drawn), name)}"
        )
        charts.append((chart, FIGURES[name].name.capitalize(), words))
    flagged = flagged_of(cells).head(MOST_MARKS)
    hints = [words_of(cell) for _, cell in flagged.iterrows()]
    for across, up in _DENSITIES:
        if across in scales and up in scales:
            known = cells[cells[across].notna() & cells[up].notna()]
            both = _drawn(_drawn(known, across), up)
            names = both.get("cell", both.experiment).tolist()
            marks = [
                Mark(x, y, hint)
                for x, y, hint in zip(flagged[across], flagged[up], hints, strict=True)
                if x == x and y == y and not (FIGURES[across].log and x <= 0)
            ]
            titles = FIGURES[across].title, FIGURES[up].title
            pairs = both[across].to_numpy(), both[up].to_numpy()
            chart, key = density(*pairs, (scales[across], scales[up]), titles, marks, names)
            name = f"{FIGURES[up].name.capitalize()} by {FIGURES[across].name}"
            key += "; diamonds: cells with a flag" if marks else ""
            charts.append((chart, name, key + _not_drawn(len(known) - len(both), across)))
    return charts


def _drawn(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the cells that have a position on the axis of a figure: a logarithmic one has none for 0."""
    return cells[cells[name] > 0] if FIGURES[name].log else cells[cells[name].notna()]


def _not_drawn(number: int, name: str) -> str:
    """Return how many cells a chart lacks, as the end of its caption."""
    is_are = "is" if number == 1 else "are"
    return f"; {several(number, 'cell')} without {FIGURES[name].name} {is_are} not drawn" if number else ""


def _scales(cells: pd.DataFrame) -> dict[str, Scale]:
    return {
        name: scale_of(_drawn(cells, name)[name].to_numpy(), figure.log, 100.0 if name == "pct_mapped" else None)
        for name, figure in FIGURES.items()
        if name in present(cells, list(FIGURES))
    }


def _parts(sums: Mapping[Any, float], names: Mapping[str, str], whole: float) -> list[tuple[str, str, float]]:
    """Return class, words and share of each part of the reads."""
    whole = max(whole, 1.0)
    return [
        (f"part-{index}", words, float(sums[name]) / whole)
        for index, (name, words) in enumerate(names.items())
        if name in sums
    ]


class ReadParts(NamedTuple):
    """Where the reads of some cells went: parts of STAR, then those of the counter, as shares of all reads."""

    aligned: list[tuple[str, str, float]]
    counted: list[tuple[str, str, float]]


def read_parts(sums: Mapping[Any, float], counted_once: bool) -> ReadParts:
    """Return the parts of reads from the sums of their columns.

    ``counted_once`` is False where ambiguous reads count for their genes as well: they are then no part of their own.
    """
    aligned = {name: words for name, words in READS.items() if name in sums}
    counted = {
        name: words for name, words in COUNTS.items() if name in sums and (counted_once or name not in _COUNTED_TOO)
    }
    reads = float(sums.get("reads", sum(sums[name] for name in aligned)))
    return ReadParts(
        _parts(sums, aligned, max(reads, sum(sums[name] for name in aligned))),
        _parts(sums, counted, max(reads, sum(sums[name] for name in counted))),
    )


def plate_part(species: str, cells: pd.DataFrame, notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the section of a species: charts of all its cells, and two rows for each series."""
    part: dict[str, Any] = {"species": species, "cells": len(cells), "notes": sorted(notes.items())}
    if cells.empty:
        return part
    scales = _scales(cells)
    columns = present(cells, ["reads", *READS, *COUNTS])
    once = notes.get("nonunique", "none") == "none"
    rows, reads = [], []
    for series, mine in cells.groupby("series"):
        rows.append([series, len(mine), int((mine["flags"] != "").sum()), *_figures_of(str(series), mine, scales)])
        reads.append([series, *_reads_of(str(series), mine[columns].sum().to_dict(), once)])
    whole = read_parts(cells[columns].sum().to_dict(), once)
    head = ["series", "#cells", "#flagged"]
    for name in scales:
        title = FIGURES[name].name.replace("mitochondrial", "mito\u00adchondrial")
        head += [("%" if FIGURES[name].percent else "#") + title, "|spread"]
    words = [[f"%{_SHORT.get(words, words)}" for _, words, _ in parts] + ["|parts"] if parts else [] for parts in whole]
    rows_shown, note = cut(rows, MOST_SERIES, "series", "quality/cells.csv.gz")
    return part | {
        "charts": _charts(cells, scales),
        "whole": whole,
        "head": head,
        "rows": rows_shown,
        "reads_head": ["series", "#reads", *words[0], *words[1]],
        "reads": reads[:MOST_SERIES],
        "note": note,
    }


def _figures_of(series: str, cells: pd.DataFrame, scales: Mapping[str, Scale]) -> Row:
    """Return the median of each figure of a series, and how it spreads."""
    row: Row = []
    for name, scale in scales.items():
        values = cells[name].dropna().to_numpy()
        if not len(values):
            row += [None, None]
            continue
        found = np.percentile(values, [5, 25, 50, 75, 95])
        median = float(found[2])
        shown = median / 100 if FIGURES[name].percent else median
        row += [shown, Spread(scale.position(found).tolist(), f"{series}: {_spread_words(found)}")]
    return row


def _reads_of(series: str, sums: Mapping[Any, float], counted_once: bool) -> Row:
    """Return the number of reads of a series, and where they went."""
    row: Row = [float(sums["reads"]) if "reads" in sums else None]
    titles = f"{series}: where its reads went", f"{series}: what its reads count for"
    for parts, title in zip(read_parts(sums, counted_once), titles, strict=True):
        row += [share for _, _, share in parts]
        row += [Bar(parts, title)] if parts else []
    return row


def _spread_words(values: np.ndarray) -> str:
    low, first, middle, third, high = (short_number(value) for value in values)
    return f"median {middle}; half of the cells {first} to {third}; 90 % of them {low} to {high}"


def flagged_rows(cells: pd.DataFrame) -> tuple[list[str], list[Row]]:
    """Return head and rows of the table of cells that need a look."""
    flagged = flagged_of(cells)
    names = present(flagged, list(FIGURES))
    head = ["`cell", "series", "sample", "species", "~flags", "status"]
    head += [f"{'%' if FIGURES[name].percent else '#'}{FIGURES[name].name}" for name in names]
    shown = flagged.head(MOST_FLAGGED)
    about = [
        "; ".join(filter(None, (about_flag(cell, code) for code in cell["flags"].split(";"))))
        for _, cell in shown.iterrows()
    ]
    head += ["~in what"] if any(about) else []
    rows = []
    for (_, cell), words in zip(shown.iterrows(), about, strict=True):
        row: Row = [cell.get("cell", cell.experiment), cell.series, cell.get("sample", ""), cell.species]
        row += [cell["flags"].replace(";", " "), cell.status.replace("_", " ")]
        row += [_shown(cell[name], FIGURES[name].percent) for name in names]
        rows.append([*row, words] if any(about) else row)
    return head, rows


def _shown(value: float, share: bool) -> float | int | None:
    if value != value:
        return None
    return float(value) / 100 if share else int(value) if float(value).is_integer() else float(value)


def legend_of(parts: list[tuple[str, str, float]]) -> list[tuple[str, str]]:
    """Return class and words of each part, with its share."""
    return [(kind, f"{words} {percent(share)} %") for kind, words, share in parts]
