"""Train a model that tells a label from a block of the vectors, and test it on series that it has not seen.

Labels come from a table that somebody made (--labels: columns run, experiment or sample, barcode where it matters, and
the label), or else from the atlas itself: those are predictions already, so that the figures then tell how well the
atlas is imitated, and a warning says so. --model linear is the linear discriminant, fitted exactly from sums of one
pass (no rounds, no learning rate, no order of rows); --model centroid takes the nearest mean of a label. Cells are held
out by series; series that share a run, an experiment or a sample stay together. The output folder gets model.npz,
figures.tsv (with the most frequent label as baseline), labels.tsv, confusion.tsv, split.tsv, notes.txt and train.html.

With --apply MODEL, a trained model tells the labels of all rows of an atlas instead: predictions.tsv.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.atlas.labels.classifier import KINDS, METRICS, Figures, Model, Sums, fit, judge, tell_one
from scripts.atlas.labels.given_labels import GivenLabels, read_labels
from scripts.atlas.labels.label_tables import join_square
from scripts.atlas.labels.labelled_rows import LabelledRows
from scripts.atlas.labels.output import (
    NOTE_STYLE,
    check_layouts,
    check_models,
    code_words,
    fraction,
    new_folder,
    notes_markup,
    share_of_cells,
    write_notes,
    write_rows,
)
from scripts.atlas.labels.saved_model import SavedModel, read_model, write_model
from scripts.atlas.labels.split import SHARD, SPLITS, hold_out
from scripts.atlas.labels.tables import PairCounter, sum_rows
from scripts.atlas.store.decoders import LabelNames, label_names, read_decoders
from scripts.atlas.store.layout import add_layout_option, standard_name
from scripts.atlas.store.map_codes import has_map, shard_segments
from scripts.atlas.store.shards import BARCODES, Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.errors import InputError, raise_faults
from scripts.core.numeric import one_thread
from scripts.formats.charts import HEAT_STYLE, Scale, heat_map, short_number
from scripts.formats.pages import cut, draw, several, table

if TYPE_CHECKING:
    import numpy

PAGE, MODEL, PREDICTIONS = "train.html", "model.npz", "predictions.tsv"
MOST = 40
"""Labels of the heat map; the others are joined."""
MOST_ROWS = 400
"""Rows of a table of the page."""
MOST_LABELS = 2048
OTHER = "other"
"""The block that is taken where there is none of the label's name."""
SHRINKAGE = 0.01
_TOLD = 5
_FIGURES = (("accuracy", "accuracy"), ("balanced_accuracy", "balanced accuracy"), ("macro_f1", "macro-F1"))
_WARNINGS = {
    "series": "",
    "sample": (
        "WARNING: cells are held out by sample. Samples of one series come from one laboratory and one protocol, and"
        " those of one donor may be on both sides: expect lower figures on a series that the model has not seen."
    ),
    SHARD: (
        "WARNING: cells are held out by shard. Cells of one data set may be on both sides, even neighbours of one"
        " sample: the figures are too good, and say nothing of data sets that the model has not seen."
    ),
}


@dataclass(frozen=True)
class Trained:
    """A model and what its test gave."""

    model: Model
    split: list[tuple[str, str, int]]
    """Group, train or test, cells with a label."""
    names: list[str]
    """Labels of the table of the test, those with most cells to test on first."""
    training: "numpy.ndarray"
    """int64 [labels]: cells that the model was fitted to."""
    confusion: "numpy.ndarray"
    """int64 [labels, labels]: cells tested on, by their label and the label told."""
    majority: int
    """The label with most training cells."""

    @property
    def figures(self) -> Figures:
        return judge(self.confusion)

    @property
    def baseline(self) -> Figures:
        return judge(tell_one(self.confusion, self.majority))


def choose_split(rows: LabelledRows, test_series: Sequence[str], share: float, seed: int) -> "numpy.ndarray":
    """Return for each group whether it is tested on. Raises InputError where there is nothing to choose."""
    import numpy as np

    cells = rows.cells
    told_clashes(rows.labels)
    names = list(rows.groups)
    there = [name for name, number in zip(names, cells.tolist(), strict=True) if number]
    if not there:
        raise InputError(f"No cell has a label: there is nothing to train on.{_strangers(rows.labels)}")
    if len(there) == 1:
        other = {"series": "--split sample holds out samples of it", "sample": "--split shard holds out shards"}
        advice = f", or {other[rows.split]}; figures then say less" if rows.split in other else ""
        raise InputError(
            f"All {int(cells.sum()):,} cells with a label are of one {rows.split} ({there[0]}), so that a model cannot"
            f" be tested on another one. Give an atlas (or labels) of more{advice}."
        )
    if test_series:
        faults = []
        for name in test_series:
            group = rows.of.get(name, name)
            if group not in there:
                known = "no cell with a label" if group in rows.groups else f"no {rows.split} of the atlas"
                faults.append(f"{name}: {known}.")
        tested = {rows.of.get(name, name) for name in test_series}
        if not faults and tested >= set(there):
            faults.append(f"nothing is left to train on; there are {', '.join(there[:20])}.")
        raise_faults("--test-series", faults)
    else:
        tested = hold_out(there, share, seed)
    return np.array([name in tested for name in names], bool)


def _strangers(labels: GivenLabels | None) -> str:
    if labels is None:
        return ""
    unknown = sorted(labels.keys - labels.met)
    return (
        f" {labels.path} names {len(labels.keys):,} runs, experiments or samples, of which the atlas does not have"
        f" {len(unknown):,}{': ' if unknown else ''}{some(unknown)}."
    )


def told_clashes(labels: GivenLabels | None) -> None:
    """Raise InputError where the rows of a table of labels contradict each other on a cell."""
    if labels is not None and labels.clashes:
        more = [f"and {len(labels.clashes) - _TOLD:,} more."] if len(labels.clashes) > _TOLD else []
        raise_faults(f"{labels.path}: of cells with two labels, the table", [*labels.clashes[:_TOLD], *more])


def train(
    rows: LabelledRows, block: str, tested: "numpy.ndarray", kind: str, *, metric: str, shrinkage: float, equal: bool
) -> Trained:
    """Fit a model to the groups that are not tested on, in one pass, and test it on the others in a second one."""
    import numpy as np

    columns = rows.atlases[0].layout.block(block)
    sums = Sums(columns.stop - columns.start)
    for codes, vectors in rows.chunks(block, ~tested):
        sums.add(codes, vectors)
    found = sums.labels.result()
    check_number(len(found.codes))
    names = rows.names(int(found.codes.max(initial=0)) + 1)
    model = fit(sums, names, kind, metric=metric, shrinkage=shrinkage, equal=equal)
    counter = PairCounter()
    for codes, vectors in rows.chunks(block, tested):
        if len(codes):
            told = found.codes[model.predict(vectors)[0]]
            counter.add(codes.astype(np.intp), int(codes.max()), told.astype(np.intp), int(told.max()))
    truth, told, counts = counter.table()
    codes = np.unique(np.concatenate([truth, told, found.codes]))
    check_number(len(codes))
    confusion = np.zeros((len(codes), len(codes)), np.int64)
    confusion[np.searchsorted(codes, truth), np.searchsorted(codes, told)] = counts
    training = np.zeros(len(codes), np.int64)
    training[np.searchsorted(codes, found.codes)] = found.counts
    order = np.lexsort((np.arange(len(codes)), -training, -confusion.sum(axis=1)))
    told_names = rows.names(int(codes.max()) + 1)
    split = [
        (name, "test" if held else "train", number)
        for name, held, number in zip(rows.groups, tested.tolist(), rows.cells.tolist(), strict=True)
        if number
    ]
    return Trained(
        model,
        sorted(split, key=lambda each: (each[1] == "test", each[0])),
        [told_names[code] for code in codes[order].tolist()],
        training[order],
        confusion[np.ix_(order, order)],
        int(training[order].argmax()),
    )


def check_number(labels: int) -> None:
    """Raise InputError for more labels than a class of cells can have."""
    if labels > MOST_LABELS:
        raise InputError(f"{labels:,} labels, but at most {MOST_LABELS:,} can be told apart: is this column a label?")


def notes_of(rows: LabelledRows, trained: Trained, block: str) -> list[str]:
    """Return what must be known in order to read the figures."""
    notes = []
    labels = rows.labels
    if rows.own is not None:
        told = (
            f"WARNING: these labels ({rows.own.label}) are themselves predictions, the first guesses of the model that"
            " made the atlas. The figures tell how well they are imitated, not how well cells are told."
        )
        blocks = [name for name, _ in rows.atlases[0].layout.embeddings]
        if block == (rows.own.label if rows.own.label in blocks else OTHER):
            told += f" The block {block} is what they were predicted from: it goes round in a circle."
        notes.append(told)
        if rows.own.known is None:
            notes.append(code_words([rows.own.label]))
    if _WARNINGS[rows.split]:
        notes.append(_WARNINGS[rows.split])
    known = set(trained.model.classes)
    strangers = {
        name: number
        for name, number in zip(trained.names, trained.confusion.sum(axis=1).tolist(), strict=True)
        if number and name not in known
    }
    if strangers:
        notes.append(
            f"{several(sum(strangers.values()), 'cell')} to test on have labels that no training cell has"
            f" ({some(list(strangers))}): the model cannot tell them, and they count as wrong."
        )
    if labels is not None:
        total = sum(atlas.rows_total for atlas in rows.atlases)
        labelled = sum(number for _, _, number in trained.split)
        notes.append(f"{labelled:,} of {several(total, 'cell')} have a label in {Path(labels.path).name}.")
        unknown = sorted(labels.keys - labels.met)
        if unknown:
            notes.append(
                f"{len(unknown):,} of {len(labels.keys):,} runs, experiments or samples of the table are not in the"
                f" atlas: {some(unknown)}."
            )
        if labels.repeated or labels.empty:
            notes.append(
                f"Rows of the table: {labels.rows:,}, {labels.repeated:,} repeated, {labels.empty:,} without label."
            )
    joined = sorted(name for name, group in rows.of.items() if name != group)
    if joined:
        notes.append(
            f"{rows.split} that share runs, experiments or samples are held out together, under the name of the first:"
            f" {some([f'{name} with {rows.of[name]}' for name in joined])}."
        )
    return notes


def some(names: Sequence[str]) -> str:
    """Return the first few of many names."""
    return ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else "")


def write_tables(folder: Path, trained: Trained, heading: str, split: str) -> None:
    """Write the tables of a trained model."""
    figures, baseline = trained.figures, trained.baseline
    tested = trained.confusion.sum(axis=1).tolist()
    lines = [[name, *(fraction(getattr(each, name)) for each in (figures, baseline))] for name, _ in _FIGURES]
    sizes = {"train": 0, "test": 0}
    for _, side, number in trained.split:
        sizes[side] += number
    for side, cells in sizes.items():
        groups = sum(each[1] == side for each in trained.split)
        lines += [[f"{side}_cells", *[str(cells)] * 2], [f"{side}_{split}", *[str(groups)] * 2]]
    for name, counts in (("train_labels", trained.training.tolist()), ("test_labels", tested)):
        lines.append([name, *[str(sum(map(bool, counts)))] * 2])
    write_rows(folder / "figures.tsv", ["figure", "model", "most_frequent_label"], lines)
    told = trained.confusion.sum(axis=0).tolist()
    write_rows(
        folder / "labels.tsv",
        [heading, "train_cells", "test_cells", "told_cells", "precision", "recall", "f1"],
        (
            [name, *(str(each[place]) for each in (trained.training, tested, told))]
            + [fraction(float(each[place])) for each in (figures.precision, figures.recall, figures.f1)]
            for place, name in enumerate(trained.names)
        ),
    )
    write_rows(
        folder / "confusion.tsv",
        [heading, *trained.names],
        ([name, *map(str, line)] for name, line in zip(trained.names, trained.confusion.tolist(), strict=True)),
    )
    write_rows(
        folder / "split.tsv",
        [split, "side", "cells"],
        ([name, side, str(number)] for name, side, number in trained.split),
    )


def draw_page(trained: Trained, heading: str, split: str, words: str, notes: Sequence[str]) -> str:
    """Return the page."""
    figures, baseline = trained.figures, trained.baseline
    sizes = {side: sum(each[2] for each in trained.split if each[1] == side) for side in ("train", "test")}
    body = [
        f"<h1>How well {escape(heading)} is told</h1>",
        f"<p class=soft>{escape(words)}</p>",
        *notes_markup(notes),
        "<div class=tiles>",
        *(f"<div class=tile><b>{percent(getattr(figures, name))}</b>{told}</div>" for name, told in _FIGURES),
        f"<div class=tile><b>{percent(baseline.accuracy)}</b>accuracy of the baseline</div>",
        "</div>",
        table(
            ["", *(f"#{told}" for _, told in _FIGURES)],
            [
                ["the model", *(percent(getattr(figures, name)) for name, _ in _FIGURES)],
                [
                    f"the baseline: always {escape(trained.names[trained.majority])}, the most frequent in training",
                    *(percent(getattr(baseline, name)) for name, _ in _FIGURES),
                ],
            ],
            f"On {several(sizes['test'], 'cell')} that the model has not seen; fitted to {sizes['train']:,}. Balanced"
            " accuracy: the mean of the labels' recall. Macro-F1: the mean of their F1.",
        ),
        f"<h2 id=confusion>What {escape(heading)} is told as</h2>",
        *confusion_section(trained),
        "<h2 id=labels>Label by label</h2>",
    ]
    told = trained.confusion.sum(axis=0).tolist()
    lines = [
        [escape(name), *(f"{number:,}" for number in (int(trained.training[place]), figures_of, told[place]))]
        + [percent(float(each[place])) for each in (figures.precision, figures.recall, figures.f1)]
        for place, (name, figures_of) in enumerate(
            zip(trained.names, trained.confusion.sum(axis=1).tolist(), strict=True)
        )
    ]
    lines, note = cut(lines, MOST_ROWS, "label", "labels.tsv")
    head = [escape(heading), "#training cells", "#test cells", "#told so", "#precision", "#recall", "#F1"]
    body.append(table(head, lines, note))
    body.append(f"<h2 id=split>What was held out</h2><p class=soft>By {escape(split)}.</p>")
    lines = [[escape(name), side, f"{number:,}"] for name, side, number in reversed(trained.split)]
    lines, note = cut(lines, MOST_ROWS, split, "split.tsv")
    body.append(table([escape(split), "side", "#cells with a label"], lines, note))
    return draw(f"How well {heading} is told", body, HEAT_STYLE + NOTE_STYLE)


def percent(share: float) -> str:
    """Return a share for a person."""
    return "–" if share != share else f"{share:.1%}"


def confusion_section(trained: Trained) -> Iterator[str]:
    """Yield the heat map of labels by labels told, each row as shares of its cells."""
    import numpy as np

    tested = [place for place in range(len(trained.names)) if trained.confusion[place].any()]
    others = [
        place for place in range(len(trained.names)) if place not in set(tested) and trained.confusion[:, place].any()
    ]
    order = tested + others
    if not tested:
        yield "<p>No cell was tested on.</p>"
        return
    names, counts, joined = join_square(
        [trained.names[place] for place in order], trained.confusion[np.ix_(order, order)], MOST
    )
    totals = counts.sum(axis=1)
    shown = int((totals > 0).sum()) if not joined else len(names)
    shares = counts[:shown] / np.maximum(totals[:shown], 1)[:, None]
    if joined:
        yield f"<p class=soft>The first {MOST} labels are shown, {joined:,} others joined; see confusion.tsv.</p>"

    def hint(row: int, column: int) -> str:
        cells = int(counts[row, column])
        return f"{names[row]} told as {names[column]}: {several(cells, 'cell')}, {shares[row, column]:.1%}"

    yield heat_map(
        (names[:shown], names),
        np.where(shares > 0, shares, np.nan),
        Scale(0, 1, False),
        "labels by labels told",
        "share of the row's cells; rows: the label, columns: what it is told as; at the right the cells",
        hint,
        blank="none",
        joined=(joined > 0, joined > 0),
        totals=[short_number(total) for total in totals[:shown].tolist()],
    )


def backend_of(atlas: Atlas) -> dict[str, Any] | None:
    """Return name, version and weights of what made the vectors; None without a manifest."""
    if atlas.manifest is None:
        return None
    backend = atlas.manifest.get("backend", {})
    return {name: backend.get(name) for name in ("name", "version", "weights_sha256")}


def predictions(model: SavedModel, atlases: Sequence[Atlas]) -> Iterator[list[str]]:
    """Yield a line for each row of the atlases: the atlas, the shard, the row, the label, its score, and its cell."""
    plain = Model(model.kind, model.metric, model.classes, model.weights, model.intercepts)
    for atlas in atlases:
        size = sum_rows(atlas)
        walk = shard_segments(atlas) if has_map(atlas) else ((shard, []) for shard in atlas.shards)
        for shard, segments in walk:
            bounds = shard.first, shard.first + shard.rows
            barcodes = (
                itertools.chain.from_iterable(chunk.tolist() for chunk in shard.files[BARCODES].views(size))
                if BARCODES in shard.files
                else itertools.repeat(b"")
            )
            cells = (
                (segment.series, segment.sample, segment.experiment, segment.run, segment.species)
                for segment in segments
                for _ in range(segment.rows)
            )
            sources = cells if segments else itertools.repeat(("",) * 5)
            number = 0
            for vectors in atlas.scan(model.block, size, "embs", *bounds):
                best, scores = plain.predict(vectors)
                for place, score in zip(best.tolist(), scores.tolist(), strict=True):
                    told = [atlas.path.name, shard.name, str(number), model.classes[place], f"{score:.4g}"]
                    yield [*told, *next(sources), next(barcodes).decode()]
                    number += 1


def apply(path: str, atlases: Sequence[Atlas], output: str) -> None:
    """Tell the labels of all rows of atlases with a trained model. Raises InputError where it was not made for them."""
    model = read_model(path)
    faults = []
    for atlas in atlases:
        columns = atlas.layout.block(model.block)
        if columns.stop - columns.start != model.weights.shape[1]:
            faults.append(
                f"{atlas.path}: its block {model.block} has {columns.stop - columns.start} columns, but {path} takes"
                f" {model.weights.shape[1]}."
            )
        elif model.source.get("backend") != backend_of(atlas):
            faults.append(f"{atlas.path}: its vectors are not of the model on whose vectors {path} was trained.")
    raise_faults(f"--apply {path}", faults)
    notes = [
        f"{model.label} as told by {Path(path).name}, from the block {model.block}: predictions, with the"
        f" {'share (softmax)' if model.kind == 'linear' else model.metric} of the label as score."
    ]
    if model.source.get("codes"):
        notes.append(f"Labels are codes: {Path(path).name} was trained on codes without decoders.")
    head = ["atlas", "shard", "row", f"{model.label}{'_code' if model.source.get('codes') else ''}", "score"]
    with new_folder(output, PREDICTIONS) as folder:
        write_rows(
            folder / PREDICTIONS,
            [*head, "series", "sample", "experiment", "run", "species", "barcode"],
            predictions(model, atlases),
        )
        write_notes(folder, notes)


def choose_block(atlas: Atlas, label: str, asked: str | None) -> str:
    """Return the block to train on: the one asked for, that of the label's name, ``other``, or the first."""
    blocks = [name for name, _ in atlas.layout.embeddings]
    if asked:
        atlas.layout.block(asked)
        return standard_name(asked)
    return next((name for name in (standard_name(label), OTHER) if name in blocks), blocks[0])


def open_rows(atlases: Sequence[Atlas], options: argparse.Namespace) -> LabelledRows:
    """Return the rows with the labels that the options ask for. Raises InputError where they cannot be had."""
    mapless = [str(atlas.path) for atlas in atlases if not has_map(atlas)]
    if mapless and options.labels:
        raise InputError(
            f"{', '.join(mapless)}: no map (segments.tsv), so that nobody can say which cell a row is: a table of"
            " labels cannot be joined. Without --labels, the atlas's own predictions can be learnt."
        )
    if mapless and options.split != SHARD:
        raise InputError(
            f"{', '.join(mapless)}: no map (segments.tsv), so that nobody can say of which series a row is, and a model"
            " cannot be tested on series that it has not seen. --split shard holds out shards in their place, but cells"
            " of one data set may then be on both sides: the figures are too good."
        )
    if options.labels:
        return LabelledRows(atlases, options.split, labels=read_labels(options.labels, options.label), own=None)
    given = read_decoders(options.decoders) if options.decoders else {}
    for atlas in atlases:
        atlas.columns("top3", options.label)
    sources = [str(atlas.path) for atlas in atlases]
    own: LabelNames = label_names(options.label, [atlas.decoders or given for atlas in atlases], sources)
    return LabelledRows(atlases, options.split, labels=None, own=own)


def words_of(options: argparse.Namespace, block: str, columns: int, trained: Trained) -> str:
    """Return in a sentence what the model is."""
    what = {
        "linear": f"linear discriminant (shrinkage {options.shrinkage:g}; labels taken for {_PRIORS[options.prior]})",
        "centroid": f"nearest mean of a label, by {options.metric}",
    }[options.model]
    return (
        f"Model: {what}, of {several(len(trained.model.classes), 'label')}, from the block {block}"
        f" ({several(columns, 'column')}). Held out by {options.split}."
    )


_PRIORS: Mapping[str, str] = {"counts": "as frequent as in training", "equal": "equally frequent"}


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlas", nargs="+", help="the folder of an atlas; several are read as one")
    parser.add_argument("--output", required=True, help="the folder to make")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--label", help="class of the atlas, or column of --labels, that is to be told")
    what.add_argument("--apply", metavar="MODEL", help="tell labels with this model.npz instead of training one")
    parser.add_argument("--labels", metavar="TSV", help="labels that somebody gave to cells; else the atlas's own")
    parser.add_argument("--block", help=f"of embeddings: that of the label's name, or else {OTHER}")
    parser.add_argument("--model", choices=KINDS, default=KINDS[0], help="(%(default)s)")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help="of --model centroid (%(default)s)")
    parser.add_argument(
        "--shrinkage",
        type=share_of_cells,
        default=SHRINKAGE,
        help="of --model linear: how far the common shape of the labels is drawn towards a sphere (%(default)s)",
    )
    parser.add_argument(
        "--prior", choices=tuple(_PRIORS), default="counts", help="of --model linear: how frequent labels are taken for"
    )
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="what is held out as a whole (%(default)s)")
    parser.add_argument(
        "--test-series", nargs="+", default=[], metavar="NAME", help="series (sample, shard) to test on"
    )
    parser.add_argument("--test-share", type=share_of_cells, default=0.2, help="of the series to test on (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of series to test on (%(default)s)")
    parser.add_argument("--decoders", metavar="JSON", help="label decoders, for atlases that have none")
    add_layout_option(parser)
    options = parser.parse_args(argv)
    one_thread()
    atlases = open_atlases(options.atlas, options.layout)
    if options.apply:
        apply(options.apply, atlases, options.output)
        return
    check_layouts(atlases, embeddings=True)
    check_models(atlases)
    block = choose_block(atlases[0], options.label, options.block)
    rows = open_rows(atlases, options)
    with new_folder(options.output, PAGE) as folder:
        tested = choose_split(rows, options.test_series, options.test_share, options.seed)
        trained = train(
            rows,
            block,
            tested,
            options.model,
            metric=options.metric,
            shrinkage=options.shrinkage,
            equal=options.prior == "equal",
        )
        notes = notes_of(rows, trained, block)
        codes = rows.own is not None and rows.own.known is None
        label = rows.own.label if rows.own is not None else options.label
        heading = f"{label}_code" if codes else label
        source = {"backend": backend_of(atlases[0]), "labels": "table" if rows.labels else "predicted", "codes": codes}
        model = trained.model
        saved = SavedModel(
            *(model.kind, model.metric, block, label, model.classes, model.weights, model.intercepts), source
        )
        write_model(folder / MODEL, saved)
        write_tables(folder, trained, heading, options.split)
        words = words_of(options, block, model.weights.shape[1], trained)
        page = draw_page(trained, heading, options.split, words, notes)
        (folder / PAGE).write_text(page, encoding="utf-8", newline="\n")
        write_notes(folder, [words, *notes])
    figures, baseline = trained.figures, trained.baseline
    print(
        f"{options.output}: accuracy {percent(figures.accuracy)} (baseline {percent(baseline.accuracy)}), balanced"
        f" {percent(figures.balanced_accuracy)}, macro-F1 {percent(figures.macro_f1)}.",
        file=sys.stderr,
    )
