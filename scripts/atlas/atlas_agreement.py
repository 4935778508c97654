"""Show how far the first, second and third guess at a label agree, in score and in what the labels look like.

One pass over labels, scores and embeddings. The output folder gets, for all classes, scores.tsv (means and percentiles
of the scores of each guess, and of the margins between them) and similarity.tsv (the mean cosine between the means of
the labels that were guessed first and second, next to that of unrelated guesses); for each class CLASS.labels.tsv,
CLASS.top1_top2.tsv (cells by first and second guess), CLASS.top1_top2.shares.tsv (m / (1 + sum of the row)) and
CLASS.cosine.tsv (between the means of all cells of each label, in the class's own block of embeddings); and notes.txt
and agreement.html. Scores that are logits are told as shares too, each label for itself (sigmoid); cosines as they are.
Without label decoders labels are codes, and headings say so. Several atlases are counted as one.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.atlas.labels.label_scores import (
    HalfCounts,
    centroids,
    cosines,
    difference,
    mean_cosine,
    mean_of,
    percentiles_of,
    sigmoid,
    unrelated,
)
from scripts.atlas.labels.label_tables import join_square
from scripts.atlas.labels.output import (
    NOTE_STYLE,
    check_layouts,
    check_models,
    code_words,
    fraction,
    new_folder,
    notes_markup,
    score_kind,
    score_words,
    write_notes,
    write_rows,
)
from scripts.atlas.labels.tables import TABLE_ROWS, LabelSums, PairCounter, sum_rows
from scripts.atlas.store.decoders import Decoders, LabelNames, label_names, read_decoders
from scripts.atlas.store.layout import add_layout_option, standard_name
from scripts.atlas.store.shards import Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.formats.charts import HEAT_STYLE, Scale, heat_map, histogram, short_number
from scripts.formats.pages import draw, figure, several, table

if TYPE_CHECKING:
    import numpy

PAGE = "agreement.html"
MOST = 40
"""Labels of a heat map; the others are joined."""
MOST_PAIRS = 20
"""Pairs of guesses of each class that the page tells."""
MOST_LABELS = 2048
OTHER = "other"
"""The block whose means are compared where a class has none of its own."""
PERCENTS = (5.0, 25.0, 50.0, 75.0, 95.0)


class Gathered:
    """What the guesses of a class add up to; labels are joint places of all atlases."""

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

    def add(self, codes: "numpy.ndarray", scores: "numpy.ndarray", vectors: "numpy.ndarray | None") -> None:
        """Add rows: places of their guesses (int32) and scores (float16), both [rows, ranks], and their vectors."""
        import numpy as np

        for rank, counts in enumerate(self.scores):
            counts.add(scores[:, rank])
        for rank, counts in enumerate(self.margins):
            counts.add(difference(scores[:, rank], scores[:, rank + 1]))
        wide = [codes[:, rank].astype(np.intp) for rank in range(self.ranks)]
        mosts = [int(each.max(initial=0)) for each in wide]
        for (first, second), counter in self.pairs.items():
            counter.add(wide[first], mosts[first], wide[second], mosts[second])
        parts = [scores.astype(np.float64), sigmoid(scores[:, :1])]
        if vectors is not None:
            parts.insert(0, vectors.astype(np.float64))
        self.sums.add(np.ascontiguousarray(codes[:, 0]), np.concatenate(parts, axis=1))


@dataclass(frozen=True)
class Agreement:
    """The guesses of a class, its labels in the order of their cells."""

    heading: str
    block: str | None
    cells: int
    names: list[str]
    """Labels that were guessed first or second; those guessed first most often come first."""
    counts: "numpy.ndarray"
    """int64 [labels]: cells by first guess"""
    means: "numpy.ndarray"
    """float64 [labels, ranks + 1]: mean scores of the cells of each first guess, and mean sigmoid of the first"""
    pairs: "dict[tuple[int, int], numpy.ndarray]"
    """Ranks → int64 [labels, labels]"""
    cosine: "numpy.ndarray"
    """float64 [labels, labels]; NaN where a label was never guessed first, or means are not compared"""
    scores: list[HalfCounts]
    margins: list[HalfCounts]

    @property
    def shares(self) -> "numpy.ndarray":
        """m / (1 + sum of the row) of first and second guesses, as the atlas's author has them."""
        table = self.pairs[0, 1]
        return table / (1 + table.sum(axis=1, keepdims=True))


def gather(
    atlases: Sequence[Atlas], labels: Sequence[str], meanings: Mapping[str, LabelNames], *, vectors: bool
) -> dict[str, Gathered]:
    """Gather the guesses of some classes in one pass over the rows of atlases; ``vectors``: and means of embeddings."""
    layout = atlases[0].layout
    blocks = [name for name, _ in layout.embeddings]
    found = {}
    for name in labels:
        columns = layout.label(name)
        block = (name if name in blocks else OTHER if OTHER in blocks else blocks[0]) if vectors else None
        width = layout.block(block).stop - layout.block(block).start if block else 0
        found[name] = Gathered(name, columns.stop - columns.start, block, width)
    for number, atlas in enumerate(atlases):
        size = sum_rows(atlas) if vectors else TABLE_ROWS
        by_code = {name: meanings[name].by_code(number) for name in labels}
        embs: Iterable[numpy.ndarray | None] = itertools.repeat(None, sum(-(-s.rows // size) for s in atlas.shards))
        if vectors:
            embs = atlas.scan(None, size, "embs")
        every = zip(atlas.scan(None, size, "top3"), atlas.scan(None, size, "scores"), embs, strict=True)
        for top, scores, rows in every:
            for name, mine in found.items():
                columns = layout.label(name)
                codes = by_code[name][top[:, columns]]
                if (codes < 0).any():
                    nameless = sorted({*top[:, columns][codes < 0].tolist()})
                    meanings[name].refuse(number, nameless)
                chosen = None if rows is None or mine.block is None else rows[:, layout.block(mine.block)]
                mine.add(codes, scores[:, columns], chosen)
    return found


def agree(gathered: Gathered, meaning: LabelNames) -> Agreement:
    """Return the guesses of a class with their labels in order. Raises InputError for more labels than can be."""
    import numpy as np

    sums = gathered.sums.result()
    tables = {pair: counter.table() for pair, counter in gathered.pairs.items()}
    codes = np.unique(np.concatenate([sums.codes, *(each for told in tables.values() for each in told[:2])]))
    if len(codes) > MOST_LABELS:
        raise InputError(
            f"{gathered.name}: {len(codes):,} labels, more than {MOST_LABELS:,}; look for wrong codes: 'atlas check'."
        )
    size = len(codes)
    counts = np.zeros(size, np.int64)
    counts[np.searchsorted(codes, sums.codes)] = sums.counts
    added = np.zeros((size, sums.sums.shape[1]))
    added[np.searchsorted(codes, sums.codes)] = sums.sums
    pairs = {}
    for pair, (first, second, times) in tables.items():
        pairs[pair] = np.zeros((size, size), np.int64)
        pairs[pair][np.searchsorted(codes, first), np.searchsorted(codes, second)] = times
    seconds = pairs[0, 1].sum(axis=0) if (0, 1) in pairs else np.zeros(size, np.int64)
    order = np.lexsort((np.arange(size), -seconds, -counts))
    means = centroids(added, counts)[order]
    cosine = np.full((size, size), np.nan)
    if gathered.block:
        cosine = cosines(means[:, : gathered.columns])
    known = meaning.names(int(codes.max(initial=-1)) + 1)
    return Agreement(
        meaning.heading,
        gathered.block,
        int(counts.sum()),
        [known[code] for code in codes[order].tolist()],
        counts[order],
        means[:, gathered.columns :],
        {pair: each[np.ix_(order, order)] for pair, each in pairs.items()},
        cosine,
        gathered.scores,
        gathered.margins,
    )


def guess(rank: int) -> str:
    """Return what a rank (from 0) is called."""
    return f"top{rank + 1}"


def score_rows(found: Agreement, logits: bool) -> Iterator[list[str]]:
    """Yield the rows of a class in scores.tsv."""
    parts = [(guess(rank), counts, logits) for rank, counts in enumerate(found.scores)]
    parts += [(f"{guess(rank)}-{guess(rank + 1)}", counts, False) for rank, counts in enumerate(found.margins)]
    for name, counts, share in parts:
        values, times = counts.ordered()
        numbers = [mean_of(values, times), *percentiles_of(values, times, PERCENTS)]
        numbers.append(mean_of(sigmoid(values), times) if share else float("nan"))
        yield [found.heading, name, str(int(times.sum())), *map(fraction, numbers)]


def similarity_rows(found: Agreement) -> Iterator[list[str]]:
    """Yield the rows of a class in similarity.tsv."""
    for (first, second), pairs in found.pairs.items():
        mean, without = mean_cosine(found.cosine, pairs)
        chance, _ = mean_cosine(found.cosine, unrelated(pairs))
        cells = int(pairs.sum())
        yield [
            *(found.heading, found.block or "", f"{guess(first)}-{guess(second)}", str(cells)),
            *(fraction(mean), fraction(chance), str(without)),
        ]


def label_rows(found: Agreement, logits: bool) -> Iterator[list[str]]:
    """Yield the rows of a class's table of labels."""
    import numpy as np

    ranks = len(found.scores)
    pairs = found.pairs.get((0, 1))
    for place, name in enumerate(found.names):
        means = found.means[place].tolist()
        margin = means[0] - means[1] if ranks > 1 else float("nan")
        row = [name, str(int(found.counts[place])), *map(fraction, means[:ranks]), fraction(margin)]
        row.append(fraction(means[ranks]) if logits else "")
        second = int(pairs[place].argmax()) if pairs is not None and pairs[place].any() else None
        if second is None or pairs is None:
            row += [""] * 4
        else:
            cells = int(pairs[place, second])
            cosine = float(found.cosine[place, second])
            row += [found.names[second], str(cells), fraction(cells / int(found.counts[place])), fraction(cosine)]
        others = found.cosine[place].copy()
        others[place] = np.nan
        nearest = int(np.nanargmax(others)) if np.isfinite(others).any() else None
        row += ["", ""] if nearest is None else [found.names[nearest], fraction(float(others[nearest]))]
        yield row


def write_tables(folder: Path, classes: Sequence[Agreement], logits: bool) -> None:
    """Write the tables of all classes."""
    write_rows(
        folder / "scores.tsv",
        ["class", "guess", "cells", "mean", *(f"percentile_{percent:g}" for percent in PERCENTS), "mean_sigmoid"],
        (row for found in classes for row in score_rows(found, logits)),
    )
    write_rows(
        folder / "similarity.tsv",
        ["class", "block", "guesses", "cells", "mean_cosine", "mean_cosine_if_unrelated", "cells_without_cosine"],
        (row for found in classes for row in similarity_rows(found)),
    )
    for found in classes:
        means = [f"mean_{guess(rank)}" for rank in range(len(found.scores))]
        seconds = ["second", "second_cells", "second_share", "second_cosine", "nearest", "nearest_cosine"]
        write_rows(
            folder / f"{found.heading}.labels.tsv",
            [found.heading, "cells", *means, "mean_margin", "mean_sigmoid", *seconds],
            label_rows(found, logits),
        )
        if (0, 1) in found.pairs:
            write_square(folder / f"{found.heading}.top1_top2.tsv", found, found.pairs[0, 1], str)
            write_square(folder / f"{found.heading}.top1_top2.shares.tsv", found, found.shares, fraction)
        if found.block:
            write_square(folder / f"{found.heading}.cosine.tsv", found, found.cosine, fraction)


def write_square(path: Path, found: Agreement, values: "numpy.ndarray", words: Callable[[Any], str]) -> None:
    """Write a table of labels by labels, a row at a time."""
    rows = ([name, *map(words, row.tolist())] for name, row in zip(found.names, values, strict=True))
    write_rows(path, [found.heading, *found.names], rows)


def notes_of(atlases: Sequence[Atlas], classes: Mapping[str, Agreement], codes: Sequence[str]) -> list[str]:
    """Return what must be known in order to read the tables."""
    kind = score_kind(atlases)
    notes = [f"Scores are {score_words(kind)}."]
    if kind != "cosine":
        notes.append("Shares are the sigmoid of a label's own score: those of a cell do not add up to 1.")
    if codes:
        notes.append(code_words(codes))
    single = [name for name, found in classes.items() if len(found.scores) == 1]
    if single:
        notes.append(f"Of {', '.join(single)} there is one guess only: no second one to agree with.")
    borrowed = [(name, found.block) for name, found in classes.items() if found.block not in (None, name)]
    if borrowed:
        told = ", ".join(f"{name} ({block})" for name, block in borrowed)
        notes.append(f"No block of embeddings of their own, so that means of another block are compared: {told}.")
    if not all(found.block for found in classes.values()):
        notes.append("Embeddings were not read (--labels-only): no cosines.")
    if len(atlases) > 1:
        notes.append(f"{len(atlases)} atlases are counted as one: {', '.join(atlas.path.name for atlas in atlases)}.")
    return notes


def hundredths(text: str) -> str:
    """Return a number with two digits behind the point, never as -0.00."""
    return f"{round(float(text), 2) + 0:.2f}"


def summary_table(classes: Sequence[Agreement], logits: bool) -> str:
    """Return the table of all classes on the page."""
    lines = []
    for found in classes:
        numbers = {row[1]: row for row in score_rows(found, logits)}
        close = next((row for row in similarity_rows(found)), None)
        cells = [escape(found.heading), f"{int((found.counts > 0).sum()):,}"]
        for rank in range(3):
            row = numbers.get(guess(rank))
            told = "–" if row is None or not row[3] else hundredths(row[3])
            if row is not None and row[-1]:
                told += f" ({float(row[-1]):.0%})"
            cells.append(told)
        margin = numbers.get("top1-top2")
        cells.append("–" if margin is None or not margin[6] else hundredths(margin[6]))
        cells += [hundredths(text) if close is not None and text else "–" for text in (close or [""] * 6)[4:6]]
        lines.append(cells)
    share = " (as share)" if logits else ""
    return table(
        [
            *("class", "#labels", f"#mean score{share}: first", "#second", "#third", "#median margin"),
            *("#cosine", "#if unrelated"),
        ],
        lines,
        "Margin: score of the first less that of the second guess. Cosine: between the means of all cells of the first"
        " and of the second label, averaged over cells; if unrelated: were the second guess any other label, as often"
        " as it is one.",
    )


def class_section(found: Agreement, logits: bool) -> Iterator[str]:
    """Yield scores, confusion and cosines of a class."""
    yield f"<h2 id={escape(found.heading)}>{escape(found.heading)}</h2>"
    if not found.cells:
        yield "<p>No cell.</p>"
        return
    told = several(int((found.counts > 0).sum()), "label")
    yield f"<p class=soft>{several(found.cells, 'cell')}, {told} guessed first.</p>"
    yield f"<div class=charts>{''.join(score_figures(found))}</div>"
    if (0, 1) not in found.pairs:
        return
    names, counts, joined = join_square(found.names, found.pairs[0, 1], MOST)
    shares = counts / (1 + counts.sum(axis=1, keepdims=True))
    firsts = int((counts.sum(axis=1) > 0).sum()) if not joined else len(names)
    yield "<h3>Second guesses by first</h3>"
    if joined:
        yield (
            f"<p class=soft>The {MOST} labels with most cells are shown, {joined:,} others joined; all of them stand in"
            f" {escape(found.heading)}.top1_top2.tsv.</p>"
        )

    def hint(row: int, column: int) -> str:
        cells = int(counts[row, column])
        return f"first {names[row]}, second {names[column]}: {several(cells, 'cell')}, {shares[row, column]:.2%}"

    yield heat_map(
        (names[:firsts], names),
        shares[:firsts],
        Scale(-3, 0, True),
        f"second guesses at {found.heading} by first",
        "m / (1 + sum of the row), logarithmic; rows: first guess, columns: second; at the right the cells",
        hint,
        blank="none",
        joined=(joined > 0, joined > 0),
        totals=[short_number(total) for total in counts[:firsts].sum(axis=1).tolist()],
    )
    yield from pairs_section(found)
    yield from cosine_section(found)


def score_figures(found: Agreement) -> Iterator[str]:
    """Yield a histogram of the scores of each guess, on one scale, and of the margins, on another."""
    import numpy as np

    titles = ("First guess", "Second guess", "Third guess")
    for parts, names in (
        (found.scores, titles),
        (found.margins, ("First less second", "Second less third")),
    ):
        known = [counts.ordered() for counts in parts]
        known = [each for each in known if len(each[0])]
        if not known:
            continue
        ends = np.array([percentiles_of(*each, (0.1, 99.9)) for each in known])
        low, high = float(ends.min()), float(ends.max())
        low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
        for (values, times), name in zip(known, names, strict=False):
            chart = histogram(values, Scale(low, high, False), f"{name}: scores", times=times)
            yield figure(chart, name, f"mean {mean_of(values, times):.2f}")


def pairs_section(found: Agreement) -> Iterator[str]:
    """Yield the pairs of first and second guesses that most cells have."""
    import numpy as np

    pairs = found.pairs[0, 1]
    order = np.argsort(-pairs, axis=None, kind="stable")[:MOST_PAIRS]
    lines = []
    for first, second in zip(*(part.tolist() for part in np.unravel_index(order, pairs.shape)), strict=True):
        cells = int(pairs[first, second])
        if not cells:
            break
        cosine = float(found.cosine[first, second])
        share = cells / (1 + int(pairs[first].sum()))
        told = "–" if cosine != cosine else f"{cosine:.2f}"
        lines.append([escape(found.names[first]), escape(found.names[second]), f"{cells:,}", f"{share:.1%}", told])
    note = f"The {len(lines)} pairs that most cells have; share: of the cells with this first guess."
    yield table(["first guess", "second guess", "#cells", "#share", "#cosine"], lines, note)


def cosine_section(found: Agreement) -> Iterator[str]:
    """Yield the cosines between the means of labels."""
    import numpy as np

    there = [place for place in range(len(found.names)) if np.isfinite(found.cosine[place, place])][:MOST]
    if len(there) < 2:
        return
    shown = found.cosine[np.ix_(there, there)]
    names = [found.names[place] for place in there]
    more = int((found.counts > 0).sum()) - len(there)
    low = min(float(np.floor(np.nanmin(shown) * 10) / 10), 0.9)
    yield f"<h3>Cosine between labels, in the block {escape(found.block or '')}</h3>"
    if more > 0:
        yield f"<p class=soft>The first {len(there)} labels; all are in {escape(found.heading)}.cosine.tsv.</p>"
    yield heat_map(
        (names, names),
        shown,
        Scale(low, 1, False),
        f"cosine between labels of {found.heading}",
        "cosine between the means of all cells whose first guess the label is",
        lambda row, column: f"{names[row]} and {names[column]}: {shown[row, column]:.3f}",
    )


def draw_page(classes: Sequence[Agreement], notes: Sequence[str], logits: bool) -> str:
    """Return the page."""
    cells = max((found.cells for found in classes), default=0)
    links = "".join(f'<a href="#{escape(found.heading)}">{escape(found.heading)}</a>' for found in classes)
    body = [
        "<h1>How far first, second and third guesses agree</h1>",
        f"<p class=soft>{several(cells, 'cell')}.</p>",
        *notes_markup(notes),
        f"<nav>{links}</nav>",
        summary_table(classes, logits),
    ]
    for found in classes:
        body += class_section(found, logits)
    return draw("How far guesses agree", body, HEAT_STYLE + NOTE_STYLE)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlas", nargs="+", help="the folder of an atlas; several are counted as one")
    parser.add_argument("--output", required=True, help="the folder to make")
    parser.add_argument("--labels", nargs="+", default=[], metavar="CLASS", help="classes of labels (all)")
    parser.add_argument("--labels-only", action="store_true", help="do not read embeddings: no cosines, in less time")
    parser.add_argument("--decoders", metavar="JSON", help="label decoders, for atlases that have none")
    add_layout_option(parser)
    options = parser.parse_args(argv)
    atlases = open_atlases(options.atlas, options.layout)
    check_layouts(atlases, embeddings=not options.labels_only)
    if not options.labels_only:
        check_models(atlases)
    logits = score_kind(atlases) != "cosine"
    labels = list(dict.fromkeys(map(standard_name, options.labels))) or [name for name, _ in atlases[0].layout.labels]
    for name in labels or [""]:
        for atlas in atlases:
            atlas.columns("top3", name)
    given = read_decoders(options.decoders) if options.decoders else {}
    decoders: list[Decoders] = [atlas.decoders or given for atlas in atlases]
    meanings = {name: label_names(name, decoders, [str(atlas.path) for atlas in atlases]) for name in labels}
    with new_folder(options.output, PAGE) as folder:
        gathered = gather(atlases, labels, meanings, vectors=not options.labels_only)
        classes = {name: agree(each, meanings[name]) for name, each in gathered.items()}
        notes = notes_of(atlases, classes, [name for name in labels if meanings[name].known is None])
        write_tables(folder, list(classes.values()), logits)
        page = draw_page(list(classes.values()), notes, logits)
        (folder / PAGE).write_text(page, encoding="utf-8", newline="\n")
        write_notes(folder, notes)
    cells = sum(atlas.rows_total for atlas in atlases)
    print(f"{options.output}: {several(cells, 'cell')}, {', '.join(labels)}.", file=sys.stderr)
