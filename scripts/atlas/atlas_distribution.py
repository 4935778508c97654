"""Count labels of one class across labels of others, and find the pairs that no cell has.

One pass over labels (and scores, with --min-score) counts every pair of classes. The output folder gets labels.tsv
(cells of each label), for each pair ROWS_by_COLUMNS.tsv (cells) and ROWS_by_COLUMNS.shares.tsv (shares of a row),
tables.tsv (how full each is), missing.tsv (pairs of labels that both occur, but on no cell together, those with most
expected cells first), notes.txt and distribution.html (heat maps). Labels are the model's first guess. Without label
decoders they are codes, and headings say so (cell_type_code). Several atlases are counted as one; where their decoders
differ, labels are joined by name. With a map (segments.tsv), rows and columns may also be series, sample, experiment,
run or species; an atlas without labels is shown by those.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.atlas.labels import output
from scripts.atlas.labels.tables import TABLE_ROWS, PairCounter, gaps, join_rest, order_table
from scripts.atlas.options import add_atlases
from scripts.atlas.store.decoders import LabelNames, label_names
from scripts.atlas.store.files import new_folder
from scripts.atlas.store.layout import standard_name
from scripts.atlas.store.row_map import MAP_COLUMNS, MapCodes, has_map
from scripts.atlas.store.shards import Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError, raise_faults
from scripts.formats.charts import bar_list, heat_map, scale_of, short_number
from scripts.formats.pages import render, several

PAGE = "distribution.html"
MOST = 50  # labels of a class that a heat map shows; the others are joined
MOST_GAPS = 25  # missing pairs of each table that the page shows
MOST_BARS = 12  # labels of a class that get a bar
MOST_PAIRS = 1 << 22  # greatest size of a table, in pairs
ROW = "cell_type"
COLUMNS = ("tissue", "disease", "age_group", "assay", "organism")  # the default


@dataclass(frozen=True, eq=False)
class Axis:
    """A class of labels, or a column of the map, with the cells of each of its labels."""

    heading: str
    cells: pd.Series
    """int64, label → cells; labels with most cells first, those without a cell last."""
    decoded: bool
    """Whether all possible labels are known, so that those without a cell are worth a line."""

    @property
    def occurring(self) -> pd.Series:
        return self.cells[self.cells > 0]


@dataclass(frozen=True, eq=False)
class Distribution:
    """What was counted."""

    cells: int
    axes: dict[str, Axis]
    tables: list[pd.DataFrame]
    """Of each pair of classes, see :func:`~scripts.atlas.labels.tables.order_table`."""
    left_out: list[int]
    """Cells that are missing from each table because their scores are too low."""


def choose_axes(atlases: Sequence[Atlas], rows: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs to count, of classes and columns of the map. Raises InputError with all faults."""
    layout = atlases[0].layout
    labels = [name for name, _ in layout.labels] if atlases[0].has_labels else []
    mapped = list(MAP_COLUMNS) if all(map(has_map, atlases)) else []
    if not labels and not mapped:
        raise InputError(f"{atlases[0].path}: it has neither labels nor a map (segments.tsv): nothing to count.")
    chosen_rows = [standard_name(name) for name in rows] or ([ROW] if ROW in labels else (labels or ["series"])[:1])
    if columns:
        chosen_columns = [standard_name(name) for name in columns]
    elif labels:
        chosen_columns = [name for name in COLUMNS if name in labels] or (["series"] if mapped else [])
    else:
        chosen_columns = ["species"]
    faults = []
    for name in dict.fromkeys([*chosen_rows, *chosen_columns]):
        if name in labels or name in mapped:
            continue
        if name in MAP_COLUMNS:
            faults.append(f"{name}: only an atlas with a map (segments.tsv) has it.")
        else:
            faults.append(f"{name}: neither a class of labels nor of the map; there are {', '.join(labels + mapped)}.")
    raise_faults("--rows and --columns", faults)
    return [pair for pair in itertools.product(chosen_rows, chosen_columns) if pair[0] != pair[1]]


Codes = tuple[dict[str, np.ndarray], dict[tuple[str, str], np.ndarray]]
"""Cells of an atlas by the codes of each class or column, and of each pair of them."""


def count(
    atlas: Atlas, map_codes: MapCodes, names: Sequence[str], pairs: Sequence[tuple[str, str]], least: float | None
) -> Codes:
    """Count the cells of each code and of each pair of codes in one pass over the rows of an atlas.

    ``names``: the classes and columns of the map; ``least``: the score that a label must have to count.
    """
    labels = {name: atlas.columns("top3", name).start for name in names if name not in map_codes.codes}
    single = {name: PairCounter() for name in names}
    double = {pair: PairCounter() for pair in pairs}
    for codes, kept in _chunks(atlas, labels, map_codes, least):
        most = {name: int(values.max()) for name, values in codes.items()}
        if too_many := [name for name, code in most.items() if code >= 1 << 16]:
            raise InputError(f"{', '.join(too_many)}: more than 65,536 values; choose a coarser column of the map.")
        for name in names:
            values = codes[name][kept[name]] if name in kept else codes[name]
            if len(values):
                single[name].add(values, most[name], None, 0)
        for first, second in pairs:
            rows, columns = codes[first], codes[second]
            filters = [kept[name] for name in (first, second) if name in kept]
            if filters:
                both = filters[0] & filters[-1]
                rows, columns = rows[both], columns[both]
            if len(rows):
                double[first, second].add(rows, most[first], columns, most[second])
    return (
        {name: _dense(counter, name)[:, 0] for name, counter in single.items()},
        {pair: _dense(counter, " by ".join(pair)) for pair, counter in double.items()},
    )


def _chunks(
    atlas: Atlas, labels: Mapping[str, int], map_codes: MapCodes, least: float | None
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yield, for chunks of rows, name → code (intp) and, with a least score, class → whether its score reaches it.

    The next chunk overwrites the codes.
    """
    buffer = np.empty((len(labels), TABLE_ROWS), np.intp)  # the same for all chunks, so that it stays in the cache
    for shard, mapped in map_codes.shards(atlas):
        bounds = shard.first, shard.first + shard.rows
        starts = range(0, shard.rows, TABLE_ROWS)
        tops: Iterable[np.ndarray | None] = itertools.repeat(None, len(starts))
        scores: Iterable[np.ndarray | None] = itertools.repeat(None, len(starts))
        if labels:
            tops = atlas.scan(None, TABLE_ROWS, "top3", *bounds)
        if labels and least is not None:
            scores = atlas.scan(None, TABLE_ROWS, "scores", *bounds)
        for start, top, score in zip(starts, tops, scores, strict=True):
            codes = {name: values[start : start + TABLE_ROWS] for name, values in mapped.items()}
            if top is not None:
                for (name, column), values in zip(labels.items(), buffer[:, : len(top)], strict=True):
                    np.copyto(values, top[:, column])
                    codes[name] = values
            kept = {}
            if score is not None:
                kept = {name: score[:, column] >= np.float16(least) for name, column in labels.items()}
            yield codes, kept


def _dense(counter: PairCounter, what: str) -> np.ndarray:
    """Return the counts as array[first code, second code]. Raises InputError where it would be too large."""
    first, second, counts = counter.table()
    shape = int(first.max(initial=-1)) + 1, int(second.max(initial=0)) + 1
    if shape[0] * shape[1] > MOST_PAIRS:
        raise InputError(
            f"{what}: a table of {shape[0]:,} × {shape[1]:,} is too large (more than {MOST_PAIRS:,} pairs). Choose"
            " others; if these are labels, look for wrong codes with 'python -m scripts atlas_check'."
        )
    table = np.zeros(shape, np.int64)
    table[first, second] = counts
    return table


def distribute(atlases: Sequence[Atlas], pairs: Sequence[tuple[str, str]], least: float | None = None) -> Distribution:
    """Count the pairs in all atlases together."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(pairs)))
    map_codes = MapCodes(name for name in names if name in MAP_COLUMNS)
    meanings = {name: label_names(name, atlases) for name in names if name not in map_codes.codes}
    counted = [count(atlas, map_codes, names, pairs, least) for atlas in atlases]
    for name in map_codes.codes:
        known = tuple(map_codes.codes[name])
        meanings[name] = LabelNames(name, known, (dict(enumerate(range(len(known)))),) * len(atlases), ())
    cells = sum(atlas.rows_total for atlas in atlases)
    axes = {}
    for name, meaning in meanings.items():
        counts = np.sum(meaning.joined([single[name] for single, _ in counted]), axis=0)
        axes[name] = order_labels(meaning, counts)
    tables = []
    for first, second in pairs:
        rows, columns = meanings[first], meanings[second]
        counts = np.sum(columns.joined(rows.joined([double[first, second] for _, double in counted]), 1), axis=0)
        labels = rows.names(counts.shape[0]), columns.names(counts.shape[1])
        tables.append(order_table((rows.heading, columns.heading), labels, counts))
    left_out = [cells - int(whole.to_numpy().sum()) for whole in tables]
    return Distribution(cells, {name: axes[name] for name in names}, tables, left_out)


def order_labels(meaning: LabelNames, counts: np.ndarray) -> Axis:
    """Return the labels of a class by their cells, those with most first."""
    names = meaning.names(len(counts))
    order = np.argsort(-counts, kind="stable")
    cells = pd.Series(counts[order], index=pd.Index([names[code] for code in order.tolist()], dtype=object))
    return Axis(meaning.heading, cells, meaning.known is not None)


def write_tables(folder: Path, found: Distribution) -> None:
    """Write the tables of a distribution into a folder."""
    labels: list[tuple[str, str, int, float]] = []
    for axis in found.axes.values():
        cells = axis.cells if axis.decoded else axis.occurring
        shares = cells.to_numpy() / max(int(cells.sum()), 1)
        labels += zip(itertools.repeat(axis.heading), cells.index, cells.tolist(), shares.tolist(), strict=False)
    output.write_frame(folder / "labels.tsv", pd.DataFrame(labels, columns=["class", "label", "cells", "share"]))
    summary, missing = [], []
    for whole, left_out in zip(found.tables, found.left_out, strict=True):
        rows, columns = str(whole.index.name), str(whole.columns.name)
        cells = whole.sum(axis=1)
        for name, values in (("", whole), (".shares", whole.div(cells, axis=0))):
            beside = values.copy()
            beside.insert(0, "cells", cells, allow_duplicates=True)
            output.write_frame(folder / f"{rows}_by_{columns}{name}.tsv", beside, index=rows)
        pairs = gaps(whole)
        numbers = [int(cells.sum()), left_out, *whole.shape, whole.size, whole.size - len(pairs), len(pairs)]
        summary.append([rows, columns, *numbers, len(pairs) / max(whole.size, 1)])
        pairs.insert(0, "rows", rows)
        pairs.insert(2, "columns", columns)
        missing.append(pairs)
    head = ["rows", "columns", "cells", "left_out", "row_labels", "column_labels", "pairs", "found", "missing"]
    output.write_frame(folder / "tables.tsv", pd.DataFrame(summary, columns=[*head, "missing_share"]))
    head = ["rows", "row", "columns", "column", "row_cells", "column_cells", "expected"]
    output.write_frame(folder / "missing.tsv", pd.concat(missing) if missing else pd.DataFrame(columns=head))


def notes_of(atlases: Sequence[Atlas], found: Distribution, least: float | None) -> list[str]:
    """Return what to know before reading the tables."""
    labels = [name for name in found.axes if name not in MAP_COLUMNS]
    notes = []
    if not atlases[0].has_labels:
        notes.append("This atlas has no labels, its back end gives none: cells are shown by what the map knows.")
    elif labels:
        notes.append("A label is the first guess of the model that made the atlas, not what somebody saw in the cells.")
    codes = [name for name in labels if not found.axes[name].decoded]
    if codes:
        notes.append(output.code_words(codes))
    if least is not None and labels:
        kind = output.score_words(output.score_kind(atlases))
        notes.append(f"A label counts where its score is {least:g} or more. Scores are {kind}.")
    return notes + output.atlas_notes(atlases)


def draw_page(found: Distribution, notes: Sequence[str], made: str) -> str:
    """Return the page; ``made`` says of which species the cells are, and what made the vectors."""
    tables = [table_section(whole, left_out) for whole, left_out in zip(found.tables, found.left_out, strict=True)]
    links = [("labels", "Labels"), *((each["name"], f"{each['rows']} across {each['columns']}") for each in tables)]
    bars = [label_bars(axis) for axis in found.axes.values()]
    return render(
        "atlas/templates/distribution.html",
        cells=found.cells,
        made=made,
        notes=notes,
        links=links,
        bars=bars,
        tables=tables,
        most=MOST,
    )


def table_section(whole: pd.DataFrame, left_out: int) -> dict[str, Any]:
    """Return what the page shows of a pair of classes: its size, its heat map, its missing pairs."""
    rows, columns = str(whole.index.name), str(whole.columns.name)
    missing = gaps(whole)
    shown, others = join_rest(whole, MOST)
    joined = [f"{count:,} of {word}" for count, word in zip(others, (rows, columns), strict=True) if count]
    return {
        "name": f"{rows}_by_{columns}",
        "rows": rows,
        "columns": columns,
        "cells": int(whole.to_numpy().sum()),
        "left_out": left_out,
        "row_labels": whole.shape[0],
        "column_labels": whole.shape[1],
        "pairs": whole.size,
        "missing": len(missing),
        "joined": " and ".join(joined),
        "map": labels_map(shown, f"cells of {rows} by {columns}", (others[0] > 0, others[1] > 0)),
        "gaps": [[*gap[:4], short_number(gap[4])] for gap in missing[:MOST_GAPS].itertuples(index=False)],
    }


def labels_map(shown: pd.DataFrame, title: str, joined: tuple[bool, bool]) -> str:
    """Return the heat map of a pair of classes."""
    counts, rows, columns = shown.to_numpy(), shown.index.tolist(), shown.columns.tolist()
    totals = counts.sum(axis=1).tolist()

    def hint(row: int, column: int) -> str:
        cells = int(counts[row, column])
        return f"{rows[row]} × {columns[column]}: {several(cells, 'cell')}, {cells / totals[row]:.2%} of the row"

    return heat_map(
        (rows, columns),
        counts,
        scale_of(counts.ravel(), True),
        title,
        "cells, on a logarithmic scale; at the right those of the row",
        hint,
        blank="no cell",
        joined=joined,
        totals=[short_number(total) for total in totals],
    )


def label_bars(axis: Axis) -> tuple[str, str, str]:
    """Return the chart of the labels of a class that have most cells, its heading, and the number of labels."""
    found = axis.occurring
    shown = found[:MOST_BARS] if len(found) > MOST_BARS + 1 else found
    names, cells = shown.index.tolist(), shown.tolist()
    others = len(found) - len(shown)
    if others:
        names.append(f"{others:,} others")
        cells.append(int(found.sum() - shown.sum()))
    words = several(len(found), "label")
    if axis.decoded and len(axis.cells) > len(found):
        words += f" ({len(axis.cells) - len(found):,} more of the decoder on no cell)"
    texts = [f"{short_number(number)}, {number / found.sum():.1%}" for number in cells]
    return bar_list(names, cells, texts, f"cells of {axis.heading}", others > 0), axis.heading, words


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_atlases(parser)
    parser.add_argument("--rows", nargs="+", default=[], metavar="CLASS", help=f"classes of rows ({ROW})")
    parser.add_argument("--columns", nargs="+", default=[], metavar="CLASS", help=f"of columns ({', '.join(COLUMNS)})")
    parser.add_argument("--min-score", type=float, metavar="SCORE", help="leave out labels with a lower score")
    options = parser.parse_args(argv)
    atlases = open_atlases(options.atlas, options.layout, options.decoders)
    output.check_layouts(atlases, embeddings=False)
    pairs = choose_axes(atlases, options.rows, options.columns)
    if options.min_score is not None:
        output.score_kind(atlases)
    with new_folder(options.output, PAGE) as folder:
        found = distribute(atlases, pairs, options.min_score)
        notes = notes_of(atlases, found, options.min_score)
        write_tables(folder, found)
        write_atomic(folder / PAGE, draw_page(found, notes, output.heading_words(atlases)))
        output.write_notes(folder, notes)
    print(f"{options.output}: {several(found.cells, 'cell')}, {several(len(found.tables), 'table')}.", file=sys.stderr)
