"""Show what an atlas holds: labels of one class across labels of others, and which pairs no cell has.

One pass over labels (and scores, where a least score is asked for) counts every pair of classes. The output folder
gets labels.tsv (cells of each label), for each pair ROWS_by_COLUMNS.tsv (cells) and ROWS_by_COLUMNS.shares.tsv (shares
of a row), tables.tsv (how full each is), missing.tsv (pairs of labels that both occur, but on no cell together, those
that would be expected most first), notes.txt and distribution.html (heat maps). Labels are the model's first guess.
Without label decoders they are codes, and headings say so (cell_type_code). Several atlases are counted as one; where
their decoders differ, labels are put together by name. With a map (segments.tsv), rows and columns may also be series,
sample, experiment, run or species; an atlas without labels is shown by those.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.atlas.labels.label_tables import LabelTable, gaps, join_rest, order_table
from scripts.atlas.labels.output import (
    NOTE_STYLE,
    check_layouts,
    code_words,
    fraction,
    new_folder,
    notes_markup,
    score_kind,
    score_words,
    write_notes,
    write_rows,
)
from scripts.atlas.labels.tables import TABLE_ROWS, PairCounter
from scripts.atlas.store.decoders import LabelNames, label_names, read_decoders
from scripts.atlas.store.layout import add_layout_option, standard_name
from scripts.atlas.store.map_codes import MAP_COLUMNS, MapCodes, has_map
from scripts.atlas.store.shards import Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.errors import InputError, raise_faults
from scripts.formats.charts import HEAT_STYLE, bar_list, heat_map, scale_of, short_number
from scripts.formats.pages import draw, figure, several, table

if TYPE_CHECKING:
    import numpy

PAGE = "distribution.html"
MOST = 50
"""Labels of a class that a heat map shows; the others are joined."""
MOST_GAPS = 25
"""Missing pairs of each table that the page shows."""
MOST_BARS = 12
"""Labels of a class that get a bar."""
MOST_PAIRS = 1 << 22
"""Squares of a table."""
ROW = "cell_type"
COLUMNS = ("tissue", "disease", "age_group", "assay", "organism")
"""What is shown where nothing else is asked for."""


@dataclass(frozen=True)
class Axis:
    """A class of labels, or a column of the map, with the cells of each of its labels."""

    heading: str
    names: Sequence[str]
    counts: "numpy.ndarray"
    """int64, one for each name."""
    decoded: bool
    """Whether names are all that could be, so that those without a cell tell something."""

    @property
    def cells(self) -> int:
        return int(self.counts.sum())

    def by_cells(self) -> list[int]:
        """Return the places that have cells, those with most first."""
        import numpy as np

        return sorted(np.flatnonzero(self.counts).tolist(), key=lambda place: (-int(self.counts[place]), place))


@dataclass(frozen=True)
class Distribution:
    """What was counted."""

    cells: int
    axes: dict[str, Axis]
    tables: list[LabelTable]
    left_out: list[int]
    """Cells that each table does not have, because a score is too low."""


def choose_axes(atlases: Sequence[Atlas], rows: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs to be counted, of classes and columns of the map. Raises InputError, telling all faults."""
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


@dataclass(frozen=True)
class Counted:
    """What was counted in one atlas, by codes."""

    single: "dict[str, numpy.ndarray]"
    double: "dict[tuple[str, str], numpy.ndarray]"


def count(
    atlas: Atlas, map_codes: MapCodes, names: Sequence[str], pairs: Sequence[tuple[str, str]], least: float | None
) -> Counted:
    """Count the cells of each code and of each pair of codes in one pass over the rows of an atlas.

    ``names``: the classes and columns of the map; ``least``: the score that labels must have in order to count.
    """
    labels = {name: atlas.columns("top3", name).start for name in names if name not in map_codes.places}
    single = {name: PairCounter() for name in names}
    double = {pair: PairCounter() for pair in pairs}
    for codes, kept in _chunks(atlas, labels, map_codes, least):
        mosts = {name: int(values.max()) for name, values in codes.items()}
        if too_many := [name for name, most in mosts.items() if most >= 1 << 16]:
            raise InputError(f"{', '.join(too_many)}: more than 65,536 values; choose a coarser column of the map.")
        for name in names:
            values = codes[name][kept[name]] if name in kept else codes[name]
            if len(values):
                single[name].add(values, mosts[name], None, 0)
        for pair in pairs:
            rows, columns = (codes[name] for name in pair)
            held = [kept[name] for name in pair if name in kept]
            if held:
                both = held[0] & held[-1]
                rows, columns = rows[both], columns[both]
            if len(rows):
                double[pair].add(rows, mosts[pair[0]], columns, mosts[pair[1]])
    return Counted(
        {name: _dense(counter, name)[:, 0] for name, counter in single.items()},
        {pair: _dense(counter, " by ".join(pair)) for pair, counter in double.items()},
    )


def _chunks(
    atlas: Atlas, labels: Mapping[str, int], map_codes: MapCodes, least: float | None
) -> "Iterator[tuple[dict[str, numpy.ndarray], dict[str, numpy.ndarray]]]":
    """Yield, for chunks of rows, name → code (intp) and, with a least score, class → whether its score is enough."""
    import numpy as np

    for shard, mapped in map_codes.shards(atlas):
        bounds = shard.first, shard.first + shard.rows
        starts = range(0, shard.rows, TABLE_ROWS)
        tops: Iterable[numpy.ndarray | None] = itertools.repeat(None, len(starts))
        scores: Iterable[numpy.ndarray | None] = itertools.repeat(None, len(starts))
        if labels:
            tops = atlas.scan(None, TABLE_ROWS, "top3", *bounds)
        if labels and least is not None:
            scores = atlas.scan(None, TABLE_ROWS, "scores", *bounds)
        for start, top, score in zip(starts, tops, scores, strict=True):
            codes = {name: values[start : start + TABLE_ROWS] for name, values in mapped.items()}
            if top is not None:
                codes |= {name: top[:, place].astype(np.intp) for name, place in labels.items()}
            kept = {}
            if score is not None:
                kept = {name: score[:, place] >= np.float16(least) for name, place in labels.items()}
            yield codes, kept


def _dense(counter: PairCounter, what: str) -> "numpy.ndarray":
    """Return the counts as array[first code, second code]. Raises InputError where it would be too large."""
    import numpy as np

    first, second, counts = counter.table()
    shape = int(first.max(initial=-1)) + 1, int(second.max(initial=0)) + 1
    if shape[0] * shape[1] > MOST_PAIRS:
        raise InputError(
            f"{what}: a table of {shape[0]:,} × {shape[1]:,} is too large (more than {MOST_PAIRS:,} pairs). Choose"
            " others; if these are labels, look for wrong codes with 'atlas check'."
        )
    table = np.zeros(shape, np.int64)
    table[first, second] = counts
    return table


def distribute(
    atlases: Sequence[Atlas],
    pairs: Sequence[tuple[str, str]],
    decoders: Sequence[Mapping[str, Mapping[str, str]]],
    least: float | None = None,
) -> Distribution:
    """Count the pairs in all atlases together; ``decoders`` has those of each atlas."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(pairs)))
    map_codes = MapCodes(name for name in names if name in MAP_COLUMNS)
    sources = [str(atlas.path) for atlas in atlases]
    meanings = {name: label_names(name, decoders, sources) for name in names if name not in map_codes.places}
    counted = [count(atlas, map_codes, names, pairs, least) for atlas in atlases]
    for name in map_codes.places:
        known = map_codes.names(name)
        meanings[name] = LabelNames(
            name, tuple(known), tuple(dict(enumerate(range(len(known)))) for _ in atlases), tuple(sources)
        )
    cells = sum(atlas.rows_total for atlas in atlases)
    axes = {}
    for name in names:
        counts = sum(meanings[name].joined([each.single[name] for each in counted]))
        decoded = meanings[name].known is not None
        axes[name] = Axis(meanings[name].heading, meanings[name].names(len(counts)), counts, decoded)
    tables, left_out = [], []
    for pair in pairs:
        parts = meanings[pair[0]].joined([each.double[pair] for each in counted])
        counts = sum(meanings[pair[1]].joined(parts, 1))
        headings = tuple(meanings[name].heading for name in pair)
        told = tuple(meanings[name].names(size) for name, size in zip(pair, counts.shape, strict=True))
        tables.append(order_table(headings, told, counts))
        left_out.append(cells - tables[-1].cells)
    return Distribution(cells, axes, tables, left_out)


def write_tables(folder: Path, found: Distribution) -> None:
    """Write the tables of a distribution into a folder."""
    lines = []
    for axis in found.axes.values():
        order = axis.by_cells()
        never = [place for place in range(len(axis.names)) if not axis.counts[place]] if axis.decoded else []
        for place in order + never:
            cells = int(axis.counts[place])
            lines.append([axis.heading, axis.names[place], str(cells), fraction(cells / max(axis.cells, 1))])
    write_rows(folder / "labels.tsv", ["class", "label", "cells", "share"], lines)
    summary = []
    for whole, left_out in zip(found.tables, found.left_out, strict=True):
        rows, columns = whole.classes
        totals = whole.counts.sum(axis=1).tolist()
        counted = whole.counts.tolist()
        head = [rows, "cells", *whole.columns]
        write_rows(
            folder / f"{rows}_by_{columns}.tsv",
            head,
            (
                [name, str(total), *map(str, line)]
                for name, total, line in zip(whole.rows, totals, counted, strict=True)
            ),
        )
        write_rows(
            folder / f"{rows}_by_{columns}.shares.tsv",
            head,
            (
                [name, str(total), *(fraction(number / total) for number in line)]
                for name, total, line in zip(whole.rows, totals, counted, strict=True)
            ),
        )
        pairs = len(whole.rows) * len(whole.columns)
        numbers = [whole.cells, left_out, len(whole.rows), len(whole.columns), pairs, pairs - whole.missing]
        summary.append([rows, columns, *map(str, numbers), str(whole.missing), fraction(whole.missing / max(pairs, 1))])
    write_rows(
        folder / "tables.tsv",
        [
            *("rows", "columns", "cells", "left_out", "row_labels", "column_labels"),
            *("pairs", "found", "missing", "missing_share"),
        ],
        summary,
    )
    head = ["rows", "row", "columns", "column", "row_cells", "column_cells", "expected"]
    missing = (
        [rows, gap.row, columns, gap.column, str(gap.row_cells), str(gap.column_cells), fraction(gap.expected)]
        for whole in found.tables
        for rows, columns in [whole.classes]
        for gap in gaps(whole)
    )
    write_rows(folder / "missing.tsv", head, missing)


def notes_of(atlases: Sequence[Atlas], found: Distribution, least: float | None) -> list[str]:
    """Return what must be known in order to read the tables."""
    labels = [name for name in found.axes if name not in MAP_COLUMNS]
    notes = []
    if not atlases[0].has_labels:
        notes.append("This atlas has no labels, its back end gives none: cells are shown by what the map knows.")
    elif labels:
        notes.append("A label is the first guess of the model that made the atlas, not what somebody saw in the cells.")
    codes = [name for name in labels if not found.axes[name].decoded]
    if codes:
        notes.append(code_words(codes))
    if least is not None and labels:
        kind = score_words(score_kind(atlases))
        notes.append(f"A label counts where its score is {least:g} or more. Scores are {kind}.")
    if len(atlases) > 1:
        notes.append(f"{len(atlases)} atlases are counted as one: {', '.join(atlas.path.name for atlas in atlases)}.")
    return notes


def draw_page(found: Distribution, notes: Sequence[str]) -> str:
    """Return the page."""
    tables = [f"{rows}_by_{columns}" for rows, columns in (whole.classes for whole in found.tables)]
    links = [("labels", "Labels"), *((name, name.replace("_by_", " across ")) for name in tables)]
    shards = "".join(f'<a href="#{escape(name)}">{escape(words)}</a>' for name, words in links)
    body = ["<h1>What the atlas holds</h1>", f"<p class=soft>{several(found.cells, 'cell')}.</p>"]
    body += [*notes_markup(notes), f"<nav>{shards}</nav>", *labels_section(list(found.axes.values()))]
    for whole, left_out in zip(found.tables, found.left_out, strict=True):
        body += table_section(whole, left_out)
    return draw("What the atlas holds", body, HEAT_STYLE + NOTE_STYLE)


def table_section(whole: LabelTable, left_out: int) -> Iterator[str]:
    """Yield the heat map of a pair of classes and what is missing from it."""
    rows, columns = whole.classes
    name = f"{rows}_by_{columns}"
    shown, others = join_rest(whole, MOST)
    numbers = [several(len(labels), "label") for labels in (whole.rows, whole.columns)]
    pairs = len(whole.rows) * len(whole.columns)
    yield f"<h2 id={escape(name)}>{escape(rows)} across {escape(columns)}</h2>"
    if not pairs:
        yield "<p>No cell has a label of both.</p>"
        return
    yield (
        f"<p>{several(whole.cells, 'cell')}; {escape(rows)}: {numbers[0]}, {escape(columns)}: {numbers[1]}."
        f" Of {several(pairs, 'pair')}, {pairs - whole.missing:,} occur and <b>{whole.missing:,}"
        f" ({whole.missing / pairs:.0%}) are missing</b>."
        + (f" {several(left_out, 'cell')} left out, whose scores are too low." if left_out else "")
        + "</p>"
    )
    joined = [f"{count:,} of {word}" for count, word in zip(others, whole.classes, strict=True) if count]
    if joined:
        yield (
            f"<p class=soft>The {MOST} with most cells of each are shown, the others joined"
            f" ({escape(' and '.join(joined))}); all of them stand in {escape(name)}.tsv.</p>"
        )
    totals = shown.counts.sum(axis=1).tolist()

    def hint(row: int, column: int) -> str:
        cells = int(shown.counts[row, column])
        share = cells / totals[row]
        return f"{shown.rows[row]} × {shown.columns[column]}: {several(cells, 'cell')}, {share:.2%} of the row"

    yield heat_map(
        (shown.rows, shown.columns),
        shown.counts,
        scale_of(shown.counts.ravel(), True),
        f"cells of {rows} by {columns}",
        "cells, on a logarithmic scale; at the right those of the row",
        hint,
        blank="no cell",
        joined=(others[0] > 0, others[1] > 0),
        totals=[short_number(total) for total in totals],
    )
    lines = []
    for number, gap in enumerate(gaps(whole)):
        if number == MOST_GAPS:
            break
        numbers = (f"{gap.row_cells:,}", f"{gap.column_cells:,}", short_number(gap.expected))
        lines.append([escape(gap.row), escape(gap.column), *numbers])
    if lines:
        yield "<h3>What is missing</h3>"
        note = "Pairs that no cell has; expected: cells that they would have if the two were independent."
        if whole.missing > len(lines):
            note += f" The first {len(lines)} of {whole.missing:,}; all of them stand in missing.tsv."
        yield table([escape(rows), escape(columns), "#cells of the row", "#of the column", "#expected"], lines, note)


def labels_section(axes: Sequence["Axis"]) -> Iterator[str]:
    """Yield the labels with most cells of each class."""
    yield "<h2 id=labels>Labels</h2>"
    figures = []
    for axis in axes:
        order = axis.by_cells()
        whole = axis.cells
        shown = order[:MOST_BARS] if len(order) > MOST_BARS + 1 else order
        names = [axis.names[place] for place in shown]
        cells = [int(axis.counts[place]) for place in shown]
        if len(order) > len(shown):
            names.append(f"{len(order) - len(shown):,} others")
            cells.append(whole - sum(cells))
        told = several(len(order), "label")
        never = len(axis.names) - len(order) if axis.decoded else 0
        if never:
            told += f" ({never:,} more of the decoder on no cell)"
        texts = [f"{short_number(number)}, {number / whole:.1%}" for number in cells]
        chart = bar_list(names, cells, texts, f"cells of {axis.heading}", len(order) > len(shown))
        figures.append(figure(chart, axis.heading, told))
    yield f"<div class='charts bars'>{''.join(figures)}</div>"


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlas", nargs="+", help="the folder of an atlas; several are counted as one")
    parser.add_argument("--output", required=True, help="the folder to make")
    parser.add_argument("--rows", nargs="+", default=[], metavar="CLASS", help=f"classes of rows ({ROW})")
    parser.add_argument("--columns", nargs="+", default=[], metavar="CLASS", help=f"of columns ({', '.join(COLUMNS)})")
    parser.add_argument("--min-score", type=float, metavar="SCORE", help="leave out labels with a lower score")
    parser.add_argument("--decoders", metavar="JSON", help="label decoders, for atlases that have none")
    add_layout_option(parser)
    options = parser.parse_args(argv)
    atlases = open_atlases(options.atlas, options.layout)
    check_layouts(atlases, embeddings=False)
    pairs = choose_axes(atlases, options.rows, options.columns)
    if options.min_score is not None:
        score_kind(atlases)
    given = read_decoders(options.decoders) if options.decoders else {}
    with new_folder(options.output, PAGE) as folder:
        found = distribute(atlases, pairs, [atlas.decoders or given for atlas in atlases], options.min_score)
        notes = notes_of(atlases, found, options.min_score)
        write_tables(folder, found)
        write_notes(folder, notes)
        (folder / PAGE).write_text(draw_page(found, notes), encoding="utf-8", newline="\n")
    print(f"{options.output}: {several(found.cells, 'cell')}, {several(len(found.tables), 'table')}.", file=sys.stderr)
