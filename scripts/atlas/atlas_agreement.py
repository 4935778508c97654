"""Compare the first, second and third guess at a label, in score and in similarity.

One pass over labels, scores and embeddings. The output folder gets, for all classes, scores.tsv (means and percentiles
of the scores of each guess, and of the margins between them) and similarity.tsv (the mean cosine between the means of
the labels that were guessed first and second, next to that of unrelated guesses); for each class CLASS.labels.tsv,
CLASS.top1_top2.tsv (cells by first and second guess), CLASS.top1_top2.shares.tsv (shares of the row) and
CLASS.cosine.tsv (between the means of all cells of each label, in the class's own block of embeddings); and notes.txt
and agreement.html. Logits are also given as shares, each label for itself (sigmoid); cosines as they are. Without label
decoders labels are codes, and headings say so. Several atlases are counted as one.
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
from scripts.atlas.labels.scores import (
    HalfCounts,
    cosines,
    difference,
    mean_cosine,
    mean_of,
    percentiles_of,
    sigmoid,
    unrelated,
)
from scripts.atlas.labels.tables import TABLE_ROWS, LabelSums, PairCounter, sum_rows
from scripts.atlas.options import add_atlases
from scripts.atlas.store.decoders import LabelNames, label_names
from scripts.atlas.store.files import new_folder
from scripts.atlas.store.layout import standard_name
from scripts.atlas.store.shards import Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError
from scripts.formats.charts import Scale, heat_map, histogram
from scripts.formats.pages import render, several

PAGE = "agreement.html"
MOST = 40  # labels of a heat map; the others are joined
MOST_PAIRS = 20  # pairs of guesses of each class that the page shows
MOST_LABELS = 2048
PERCENTS = (5.0, 25.0, 50.0, 75.0, 95.0)


class GuessSums:
    """Sums and counts of the guesses of a class; labels are the common codes of all atlases."""

    def __init__(self, name: str, ranks: int, block: str | None, columns: int) -> None:
        self.name = name
        self.ranks = ranks
        self.block = block
        """Of the embeddings; None where their means are not compared."""
        self.columns = columns
        self.scores = [HalfCounts() for _ in range(ranks)]
        self.margins = [HalfCounts() for _ in range(ranks - 1)]
        self.pairs = {pair: PairCounter() for pair in itertools.combinations(range(ranks), 2)}
        self.sums = LabelSums(columns + ranks + 1)
        """Of each label guessed first: its cells' vectors, their scores of each rank, and the sigmoid of the first."""

    def add(self, codes: np.ndarray, scores: np.ndarray, vectors: np.ndarray | None) -> None:
        """Add rows: codes of their guesses (int32) and scores (float16), both [rows, ranks], and their vectors."""
        for rank, counts in enumerate(self.scores):
            counts.add(scores[:, rank])
        for rank, counts in enumerate(self.margins):
            counts.add(difference(scores[:, rank], scores[:, rank + 1]))
        wide = [codes[:, rank].astype(np.intp) for rank in range(self.ranks)]
        most = [int(each.max(initial=0)) for each in wide]
        for (first, second), counter in self.pairs.items():
            counter.add(wide[first], most[first], wide[second], most[second])
        parts = [scores.astype(np.float64), sigmoid(scores[:, :1])]
        if vectors is not None:
            parts.insert(0, vectors.astype(np.float64))
        self.sums.add(np.ascontiguousarray(codes[:, 0]), np.concatenate(parts, axis=1))


@dataclass(frozen=True, eq=False)
class Agreement:
    """The guesses of a class, its labels in the order of their cells."""

    heading: str
    block: str | None
    cells: int
    names: list[str]
    """Labels that were guessed first or second; those guessed first most often come first."""
    counts: np.ndarray
    """int64 [labels]: cells by first guess"""
    means: np.ndarray
    """float64 [labels, ranks + 1]: mean scores of the cells of each first guess, and mean sigmoid of the first"""
    pairs: dict[tuple[int, int], np.ndarray]
    """Ranks → int64 [labels, labels]"""
    cosine: np.ndarray
    """float64 [labels, labels]; NaN where a label was never guessed first, or means are not compared"""
    scores: list[HalfCounts]
    margins: list[HalfCounts]

    @property
    def labels(self) -> int:
        """Labels that were guessed first."""
        return int((self.counts > 0).sum())

    @property
    def shares(self) -> np.ndarray:
        """Second guesses as shares of the cells with the same first guess; a row adds up to 1."""
        return output.shares_of_rows(self.pairs[0, 1])


def add_up(
    atlases: Sequence[Atlas], labels: Sequence[str], meanings: Mapping[str, LabelNames], *, vectors: bool
) -> dict[str, GuessSums]:
    """Add up the guesses of some classes in one pass over the rows of atlases, with ``vectors`` embeddings too."""
    layout = atlases[0].layout
    found = {}
    for name in labels:
        columns = layout.label(name)
        block = layout.block_of(name) if vectors else None
        width = layout.block(block).stop - layout.block(block).start if block else 0
        found[name] = GuessSums(name, columns.stop - columns.start, block, width)
    for number, atlas in enumerate(atlases):
        size = sum_rows(atlas) if vectors else TABLE_ROWS
        by_code = {name: meanings[name].by_code(number) for name in labels}
        embs: Iterable[np.ndarray | None] = itertools.repeat(None, sum(-(-s.rows // size) for s in atlas.shards))
        if vectors:
            embs = atlas.scan(None, size, "embs")
        chunks = zip(atlas.scan(None, size, "top3"), atlas.scan(None, size, "scores"), embs, strict=True)
        for top, scores, rows in chunks:
            for name, sums in found.items():
                columns = layout.label(name)
                codes = by_code[name][top[:, columns]]
                if (codes < 0).any():
                    meanings[name].refuse(number, sorted({*top[:, columns][codes < 0].tolist()}))
                chosen = None if rows is None or sums.block is None else rows[:, layout.block(sums.block)]
                sums.add(codes, scores[:, columns], chosen)
    return found


def agree(guesses: GuessSums, meaning: LabelNames) -> Agreement:
    """Return the guesses of a class with their labels in order. Raises InputError for more labels than can be."""
    sums = guesses.sums.result()
    guessed = (codes for counter in guesses.pairs.values() for codes in counter.table()[:2])
    codes = np.unique(np.concatenate([sums.codes, *guessed]))
    if len(codes) > MOST_LABELS:
        raise InputError(
            f"{guesses.name}: {len(codes):,} labels, more than {MOST_LABELS:,}; look for wrong codes with"
            " 'python -m scripts atlas_check'."
        )
    size = len(codes)
    counts = np.zeros(size, np.int64)
    counts[np.searchsorted(codes, sums.codes)] = sums.counts
    means = np.full((size, sums.sums.shape[1]), np.nan)
    means[np.searchsorted(codes, sums.codes)] = sums.means
    pairs = {pair: counter.square(codes) for pair, counter in guesses.pairs.items()}
    seconds = pairs[0, 1].sum(axis=0) if (0, 1) in pairs else np.zeros(size, np.int64)
    order = np.lexsort((np.arange(size), -seconds, -counts))
    means = means[order]
    cosine = cosines(means[:, : guesses.columns]) if guesses.block else np.full((size, size), np.nan)
    known = meaning.names(int(codes.max(initial=-1)) + 1)
    return Agreement(
        meaning.heading,
        guesses.block,
        int(counts.sum()),
        [known[code] for code in codes[order].tolist()],
        counts[order],
        means[:, guesses.columns :],
        {pair: each[np.ix_(order, order)] for pair, each in pairs.items()},
        cosine,
        guesses.scores,
        guesses.margins,
    )


def guess(rank: int) -> str:
    """Return the name of a rank (from 0)."""
    return f"top{rank + 1}"


def score_table(classes: Sequence[Agreement], logits: bool) -> pd.DataFrame:
    """Return scores.tsv."""
    rows = []
    for found in classes:
        parts = [(guess(rank), counts, logits) for rank, counts in enumerate(found.scores)]
        parts += [(f"{guess(rank)}-{guess(rank + 1)}", counts, False) for rank, counts in enumerate(found.margins)]
        for name, counts, as_share in parts:
            values, times = counts.ordered()
            share = mean_of(sigmoid(values), times) if as_share else float("nan")
            numbers = [mean_of(values, times), *percentiles_of(values, times, PERCENTS), share]
            rows.append([found.heading, name, int(times.sum()), *numbers])
    percentiles = (f"percentile_{percent:g}" for percent in PERCENTS)
    return pd.DataFrame(rows, columns=["class", "guess", "cells", "mean", *percentiles, "mean_sigmoid"])


def similarity_table(classes: Sequence[Agreement]) -> pd.DataFrame:
    """Return similarity.tsv."""
    rows = []
    for found in classes:
        for (first, second), pairs in found.pairs.items():
            mean, without = mean_cosine(found.cosine, pairs)
            chance, _ = mean_cosine(found.cosine, unrelated(pairs))
            guesses = f"{guess(first)}-{guess(second)}"
            rows.append([found.heading, found.block or "", guesses, int(pairs.sum()), mean, chance, without])
    means = ("mean_cosine", "mean_cosine_if_unrelated", "cells_without_cosine")
    return pd.DataFrame(rows, columns=["class", "block", "guesses", "cells", *means])


def label_table(found: Agreement, logits: bool) -> pd.DataFrame:
    """Return CLASS.labels.tsv, with the labels as index."""
    ranks, size = len(found.scores), len(found.names)
    names = np.array([*found.names, ""], object)
    undefined = np.full(size, np.nan)
    columns: dict[str, Any] = {"cells": found.counts}
    columns |= {f"mean_{guess(rank)}": found.means[:, rank] for rank in range(ranks)}
    columns["mean_margin"] = found.means[:, 0] - found.means[:, 1] if ranks > 1 else undefined
    columns["mean_sigmoid"] = found.means[:, ranks] if logits else undefined
    pairs = found.pairs.get((0, 1), np.zeros((size, size), np.int64))
    rows = np.arange(size)
    second = pairs.argmax(axis=1) if size else rows
    cells = pairs[rows, second]
    known = cells > 0
    columns["second"] = names[np.where(known, second, -1)]
    columns["second_cells"] = [number or "" for number in cells.tolist()]
    columns["second_share"] = np.divide(cells, found.counts, out=undefined.copy(), where=known)
    columns["second_cosine"] = np.where(known, found.cosine[rows, second], np.nan)
    others = np.where(np.eye(size, dtype=bool) | ~np.isfinite(found.cosine), -np.inf, found.cosine)
    nearest = others.argmax(axis=1) if size else rows
    finite = np.isfinite(others[rows, nearest])
    columns["nearest"] = names[np.where(finite, nearest, -1)]
    columns["nearest_cosine"] = np.where(finite, others[rows, nearest], np.nan)
    return pd.DataFrame(columns, index=found.names)


def write_tables(folder: Path, classes: Sequence[Agreement], logits: bool) -> None:
    """Write the tables of all classes."""
    output.write_frame(folder / "scores.tsv", score_table(classes, logits))
    output.write_frame(folder / "similarity.tsv", similarity_table(classes))
    for found in classes:
        output.write_frame(folder / f"{found.heading}.labels.tsv", label_table(found, logits), index=found.heading)
        squares: dict[str, np.ndarray] = {}
        if (0, 1) in found.pairs:
            squares |= {"top1_top2": found.pairs[0, 1], "top1_top2.shares": found.shares}
        if found.block:
            squares["cosine"] = found.cosine
        for name, values in squares.items():
            square = pd.DataFrame(values, index=found.names, columns=found.names)
            output.write_frame(folder / f"{found.heading}.{name}.tsv", square, index=found.heading)


def notes_of(atlases: Sequence[Atlas], classes: Mapping[str, Agreement], codes: Sequence[str]) -> list[str]:
    """Return what to know before reading the tables."""
    kind = output.score_kind(atlases)
    notes = [f"Scores are {output.score_words(kind)}."]
    if kind != "cosine":
        notes.append("Shares are the sigmoid of a label's own score: those of a cell do not add up to 1.")
    if codes:
        notes.append(output.code_words(codes))
    single = [name for name, found in classes.items() if len(found.scores) == 1]
    if single:
        notes.append(f"Of {', '.join(single)} there is one guess only: no second one to agree with.")
    borrowed = [f"{name} ({found.block})" for name, found in classes.items() if found.block not in (None, name)]
    if borrowed:
        notes.append(
            f"Without columns of their own in the vectors, so that means of others are compared: {', '.join(borrowed)}."
        )
    if not all(found.block for found in classes.values()):
        notes.append("Embeddings were not read (--labels-only): no cosines.")
    return notes + output.atlas_notes(atlases)


def hundredths(value: float) -> str:
    """Return a number with two decimals, never as -0.00; a dash where it is undefined."""
    return "–" if value != value else f"{round(value, 2) + 0:.2f}"


def summary_rows(classes: Sequence[Agreement], logits: bool) -> Iterator[list[Any]]:
    """Yield the rows of the page's table of all classes."""
    scores, similarity = score_table(classes, logits), similarity_table(classes)
    for found in classes:
        mine = scores[scores["class"] == found.heading].set_index("guess")
        row: list[Any] = [found.heading, found.labels]
        for rank in range(3):
            text = "–"
            if guess(rank) in mine.index:
                share = mine["mean_sigmoid"][guess(rank)]
                text = hundredths(float(mine["mean"][guess(rank)])) + ("" if share != share else f" ({share:.0%})")
            row.append(text)
        row.append(hundredths(float(mine["percentile_50"].get("top1-top2", float("nan")))))
        close = similarity[similarity["class"] == found.heading][["mean_cosine", "mean_cosine_if_unrelated"]]
        row += map(hundredths, close.iloc[0].tolist() if len(close) else [float("nan")] * 2)
        yield row


def class_section(found: Agreement) -> dict[str, Any]:
    """Return what the page shows of a class: scores, confusion and cosines."""
    section: dict[str, Any] = {
        "name": found.heading,
        "cells": found.cells,
        "labels": found.labels,
        "histograms": list(score_figures(found)),
        "block": found.block,
        "few": found.cells and int(((found.counts > 0) & (found.counts < output.FEW)).sum()),
        "least": output.FEW,
    }
    if found.cells and (0, 1) in found.pairs:
        guesses = output.square_map(
            found.names,
            found.pairs[0, 1],
            MOST,
            scale=Scale(-3, 0, True),
            title=f"second guesses at {found.heading} by first",
            words="share of the row's cells; rows: first guess, columns: second; at the right the cells",
            hint="first {}, second {}",
        )
        section |= {"pairs": list(frequent_pairs(found)), **guesses, **cosine_map(found)}
    return section


def score_figures(found: Agreement) -> Iterator[tuple[str, str, str]]:
    """Yield a histogram of the scores of each guess, on one scale, and of the margins, on another."""
    titles = ("First guess", "Second guess", "Third guess")
    for parts, names in ((found.scores, titles), (found.margins, ("First less second", "Second less third"))):
        known = [counts.ordered() for counts in parts]
        known = [each for each in known if len(each[0])]
        if not known:
            continue
        ends = np.array([percentiles_of(*each, (0.1, 99.9)) for each in known])
        low, high = float(ends.min()), float(ends.max())
        low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
        for (values, times), name in zip(known, names, strict=False):
            chart = histogram(values, Scale(low, high, False), f"{name}: scores", times=times)
            yield chart, name, f"mean {mean_of(values, times):.2f}"


def frequent_pairs(found: Agreement) -> Iterator[list[Any]]:
    """Yield the pairs of first and second guesses that most cells have."""
    pairs = found.pairs[0, 1]
    order = np.argsort(-pairs, axis=None, kind="stable")[:MOST_PAIRS]
    for first, second in zip(*(part.tolist() for part in np.unravel_index(order, pairs.shape)), strict=True):
        cells = int(pairs[first, second])
        if not cells:
            break
        cosine, whole = float(found.cosine[first, second]), int(pairs[first].sum())
        shares = [output.percent(cells / whole), output.interval(cells, whole)]
        yield [found.names[first], found.names[second], cells, whole, *shares, hundredths(cosine)]


def cosine_map(found: Agreement) -> dict[str, Any]:
    """Return the heat map of the cosines between the means of labels; nothing for fewer than two labels."""
    known = np.flatnonzero(np.isfinite(np.diag(found.cosine)))[:MOST]
    if len(known) < 2:
        return {}
    shown = found.cosine[np.ix_(known, known)]
    names = [found.names[label] for label in known.tolist()]
    low = min(float(np.floor(np.nanmin(shown) * 10) / 10), 0.9)
    chart = heat_map(
        (names, names),
        shown,
        Scale(low, 1, False),
        f"cosine between labels of {found.heading}",
        "cosine between the means of all cells whose first guess the label is",
        lambda row, column: f"{names[row]} and {names[column]}: {shown[row, column]:.3f}",
    )
    return {"cosines": chart, "shown": len(names), "more": found.labels > len(names)}


def draw_page(classes: Sequence[Agreement], notes: Sequence[str], logits: bool, made: str) -> str:
    """Return the page; ``made`` says of which species the cells are, and what made the vectors."""
    return render(
        "atlas/templates/agreement.html",
        cells=max((found.cells for found in classes), default=0),
        notes=notes,
        made=made,
        links=[(found.heading, found.heading) for found in classes],
        logits=logits,
        summary=list(summary_rows(classes, logits)),
        classes=[class_section(found) for found in classes],
        most=MOST,
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_atlases(parser)
    parser.add_argument("--labels", nargs="+", default=[], metavar="CLASS", help="classes of labels (all)")
    parser.add_argument("--labels-only", action="store_true", help="do not read embeddings: no cosines, in less time")
    options = parser.parse_args(argv)
    atlases = open_atlases(options.atlas, options.layout, options.decoders)
    output.check_layouts(atlases, embeddings=not options.labels_only)
    if not options.labels_only:
        output.check_models(atlases)
    logits = output.score_kind(atlases) != "cosine"
    labels = list(dict.fromkeys(map(standard_name, options.labels))) or [name for name, _ in atlases[0].layout.labels]
    for name in labels or [""]:
        for atlas in atlases:
            atlas.columns("top3", name)
    meanings = {name: label_names(name, atlases) for name in labels}
    with new_folder(options.output, PAGE) as folder:
        sums = add_up(atlases, labels, meanings, vectors=not options.labels_only)
        classes = {name: agree(each, meanings[name]) for name, each in sums.items()}
        notes = notes_of(atlases, classes, [name for name in labels if meanings[name].known is None])
        write_tables(folder, list(classes.values()), logits)
        write_atomic(folder / PAGE, draw_page(list(classes.values()), notes, logits, output.heading_words(atlases)))
        output.write_notes(folder, notes)
    cells = sum(atlas.rows_total for atlas in atlases)
    print(f"{options.output}: {several(cells, 'cell')}, {', '.join(labels)}.", file=sys.stderr)
