"""Train a model that predicts a label from vectors, and test it on unseen series.

Labels come from a table of given labels (--labels: columns run, experiment or sample, barcode where it matters, and the
label), or else from the atlas itself: those are predictions already, so the figures then say how well the atlas is
imitated, and a warning says so. --model linear is the linear discriminant, fitted exactly from sums of one pass (no
iterations, no learning rate, no order of rows); --model centroid takes the nearest mean of a label. Cells are held out
by series; series that share a run, an experiment or a sample stay together. The output folder gets model.npz,
figures.tsv (with the most frequent label as baseline), labels.tsv, confusion.tsv, split.tsv, notes.txt and train.html.

With --apply MODEL, a trained model predicts the labels of all rows of an atlas instead: predictions.tsv.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.atlas.labels import classifier, output
from scripts.atlas.labels.classifier import KINDS, METRICS, Figures, Model, Sums
from scripts.atlas.labels.given_labels import GivenLabels, read_labels
from scripts.atlas.labels.labelled_rows import LabelledRows
from scripts.atlas.labels.scores import wilson
from scripts.atlas.labels.split import SHARD, SPLITS, hold_out
from scripts.atlas.labels.tables import PairCounter, sum_rows
from scripts.atlas.options import add_atlases, share
from scripts.atlas.store.decoders import label_names
from scripts.atlas.store.files import new_folder, write_table
from scripts.atlas.store.layout import standard_name
from scripts.atlas.store.part import first_few
from scripts.atlas.store.row_map import MAP_COLUMNS, barcode_text, has_map, shard_segments
from scripts.atlas.store.shards import BARCODES, MODEL, Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError, raise_faults
from scripts.formats.charts import Scale
from scripts.formats.pages import cut, render, several

PAGE, PREDICTIONS = "train.html", "predictions.tsv"
MOST = 40  # labels of the heat map; the others are joined
MOST_ROWS = 400  # rows of a table of the page
MOST_LABELS = 2048
MANY = 100  # cells to test on below which the page warns
SHRINKAGE = 0.01
_PRIORS = {"counts": "as frequent as in training", "equal": "equally frequent"}
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


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and the result of its test."""

    model: Model
    split: list[tuple[str, str, int]]
    """Group, train or test, cells with a label."""
    names: list[str]
    """Labels of the confusion table, those with most cells to test on first."""
    training: np.ndarray
    """int64 [labels]: cells that the model was fitted to."""
    confusion: np.ndarray
    """int64 [labels, labels]: cells tested on, by their label and the predicted label."""
    majority: int
    """The label with most training cells."""

    @cached_property
    def figures(self) -> Figures:
        return classifier.judge(self.confusion)

    @cached_property
    def baseline(self) -> Figures:
        return classifier.judge(classifier.predict_one(self.confusion, self.majority))

    @cached_property
    def table(self) -> pd.DataFrame:
        """labels.tsv, with the labels as index."""
        tested, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        cells = {"train_cells": self.training, "test_cells": tested, "predicted_cells": predicted}
        shares = {name: getattr(self.figures, name) for name in ("precision", "recall", "f1")}
        right = np.diag(self.confusion)
        for name, trials in (("precision", predicted), ("recall", tested)):
            shares[f"{name}_low"], shares[f"{name}_high"] = wilson(right, trials)
        return pd.DataFrame(cells | shares, index=self.names)

    def cells(self, side: str) -> int:
        """Return the labelled cells of a side, train or test."""
        return sum(cells for _, each, cells in self.split if each == side)


def choose_split(rows: LabelledRows, test_series: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Return for each group whether it is tested on. Raises InputError where there is nothing to choose."""
    cells = rows.cells
    if rows.given is not None:
        raise_faults(f"{rows.given.path}: of cells with two labels, the table", first_few(rows.given.clashes))
    names = list(rows.groups)
    labelled = [name for name, number in zip(names, cells.tolist(), strict=True) if number]
    if not labelled:
        raise InputError(f"No cell has a label: there is nothing to train on.{_strangers(rows.given)}")
    if len(labelled) == 1:
        other = {"series": "--split sample holds out samples of it", "sample": "--split shard holds out shards"}
        advice = f", or {other[rows.split]}; figures then say less" if rows.split in other else ""
        raise InputError(
            f"All {int(cells.sum()):,} cells with a label are of one {rows.split} ({labelled[0]}), so that a model"
            f" cannot be tested on another one. Give an atlas (or labels) of more{advice}."
        )
    if not test_series:
        tested = hold_out(labelled, share, seed)
    else:
        tested = {rows.group_of.get(name, name) for name in test_series}
        faults = []
        for name in test_series:
            group = rows.group_of.get(name, name)
            if group not in labelled:
                known = "no cell with a label" if group in rows.groups else f"no {rows.split} of the atlas"
                faults.append(f"{name}: {known}.")
        if not faults and tested >= set(labelled):
            faults.append(f"nothing is left to train on; there are {', '.join(labelled[:20])}.")
        raise_faults("--test-series", faults)
    return np.array([name in tested for name in names], bool)


def _strangers(labels: GivenLabels | None) -> str:
    if labels is None:
        return ""
    unused = labels.unused
    return (
        f" {labels.path} names {len(labels.keys):,} runs, experiments or samples, of which the atlas does not have"
        f" {len(unused):,}{': ' if unused else ''}{output.some(unused)}."
    )


def train(
    rows: LabelledRows, block: str, tested: np.ndarray, kind: str, *, metric: str, shrinkage: float, equal: bool
) -> Trained:
    """Fit a model to the groups that are not tested on, in one pass, and test it on the others in a second one."""
    columns = rows.atlases[0].layout.block(block)
    sums = Sums(columns.stop - columns.start)
    for codes, vectors in rows.chunks(block, ~tested):
        sums.add(codes, vectors)
    found = sums.labels.result()
    check_number(len(found.codes))
    names = rows.names(int(found.codes.max(initial=0)) + 1)
    model = classifier.fit(sums, names, kind, metric=metric, shrinkage=shrinkage, equal=equal)
    counter = PairCounter()
    for codes, vectors in rows.chunks(block, tested):
        if len(codes):
            predicted = found.codes[model.predict(vectors)[0]].astype(np.intp)
            counter.add(codes.astype(np.intp), int(codes.max()), predicted, int(predicted.max()))
    codes = np.unique(np.concatenate([*counter.table()[:2], found.codes]))
    check_number(len(codes))
    confusion = counter.square(codes)
    training = np.zeros(len(codes), np.int64)
    training[np.searchsorted(codes, found.codes)] = found.counts
    order = np.lexsort((np.arange(len(codes)), -training, -confusion.sum(axis=1)))
    names = rows.names(int(codes.max()) + 1)
    split = [
        (name, "test" if held_out else "train", number)
        for name, held_out, number in zip(rows.groups, tested.tolist(), rows.cells.tolist(), strict=True)
        if number
    ]
    return Trained(
        model,
        sorted(split, key=lambda each: (each[1] == "test", each[0])),
        [names[code] for code in codes[order].tolist()],
        training[order],
        confusion[np.ix_(order, order)],
        int(training[order].argmax()),
    )


def check_number(labels: int) -> None:
    """Raise InputError for more labels than a class of cells can have."""
    if labels > MOST_LABELS:
        raise InputError(f"{labels:,} labels, but at most {MOST_LABELS:,} are possible: is this column a label?")


def notes_of(rows: LabelledRows, trained: Trained, block: str) -> list[str]:
    """Return what to know before reading the figures."""
    notes = []
    if rows.own is not None:
        note = (
            f"WARNING: these labels ({rows.own.label}) are themselves predictions, the first guesses of the model that"
            " made the atlas. The figures say how well they are imitated, not how well cells are predicted."
        )
        blocks = [name for name, _ in rows.atlases[0].layout.embeddings]
        if block == (rows.own.label if rows.own.label in blocks else "other"):
            note += f" The block {block} is what they were predicted from: the test is circular."
        notes.append(note)
        if rows.own.known is None:
            notes.append(output.code_words([rows.own.label]))
    notes += size_notes(trained, rows.split)
    if _WARNINGS[rows.split]:
        notes.append(_WARNINGS[rows.split])
    strangers = {
        name: number
        for name, number in zip(trained.names, trained.confusion.sum(axis=1).tolist(), strict=True)
        if number and name not in trained.model.classes
    }
    if strangers:
        notes.append(
            f"{several(sum(strangers.values()), 'cell')} to test on have labels that no training cell has"
            f" ({output.some(list(strangers))}): the model cannot predict them, and they count as wrong."
        )
    if rows.given is not None:
        notes += table_notes(rows.given, rows.atlases, trained)
    joined = sorted(name for name, group in rows.group_of.items() if name != group)
    if joined:
        notes.append(
            f"{rows.split} that share runs, experiments or samples are held out together, under the name of the first:"
            f" {output.some([f'{name} with {rows.group_of[name]}' for name in joined])}."
        )
    return notes


def size_notes(trained: Trained, split: str) -> Iterator[str]:
    """Yield a warning where few cells, or few groups of them, were tested on."""
    cells = trained.figures.cells
    if 0 < cells < MANY:
        where = output.interval(trained.figures.right, cells)
        yield f"WARNING: only {several(cells, 'cell')} were tested on: the accuracy may be anywhere in {where}."
    tested = trained.confusion.sum(axis=1)
    few = [name for name, number in zip(trained.names, tested.tolist(), strict=True) if 0 < number < output.FEW]
    if few:
        yield (
            f"Fewer than {output.FEW} cells to test on have {'this label' if len(few) == 1 else 'these labels'}, whose"
            f" figures say little: {output.some(few)}."
        )
    groups = sum(side == "test" for _, side, _ in trained.split)
    if groups:
        yield (
            f"Intervals take cells for independent, but those of one {split} are alike, and all are of {groups:,}"
            f" {split}: elsewhere the figures may be outside."
        )


def table_notes(labels: GivenLabels, atlases: Sequence[Atlas], trained: Trained) -> Iterator[str]:
    """Yield the notes on a table of given labels."""
    total = sum(atlas.rows_total for atlas in atlases)
    labelled = sum(number for _, _, number in trained.split)
    yield f"{labelled:,} of {several(total, 'cell')} have a label in {Path(labels.path).name}."
    if unused := labels.unused:
        yield (
            f"{len(unused):,} of {len(labels.keys):,} runs, experiments or samples of the table are not in the"
            f" atlas: {output.some(unused)}."
        )
    if labels.repeated or labels.empty:
        yield f"Rows of the table: {labels.rows:,}, {labels.repeated:,} repeated, {labels.empty:,} without label."


def write_tables(folder: Path, trained: Trained, heading: str, split: str) -> None:
    """Write the tables of a trained model."""
    figures, baseline = trained.figures, trained.baseline
    lines = [[name, *(output.fraction(getattr(each, name)) for each in (figures, baseline))] for name, _ in _FIGURES]
    ends = [wilson(each.right, each.cells) for each in (figures, baseline)]
    for name, end in (("accuracy_low", 0), ("accuracy_high", 1)):
        lines.append([name, *(output.fraction(float(each[end])) for each in ends)])
    for side in ("train", "test"):
        groups = sum(each == side for _, each, _ in trained.split)
        lines += [[f"{side}_cells", *[str(trained.cells(side))] * 2], [f"{side}_{split}", *[str(groups)] * 2]]
    for name, counts in (("train_labels", trained.training), ("test_labels", trained.confusion.any(axis=1))):
        lines.append([name, *[str(np.count_nonzero(counts))] * 2])
    output.write_frame(folder / "figures.tsv", pd.DataFrame(lines, columns=["figure", "model", "most_frequent_label"]))
    output.write_frame(folder / "labels.tsv", trained.table, index=heading)
    confusion = pd.DataFrame(trained.confusion, index=trained.names, columns=trained.names)
    output.write_frame(folder / "confusion.tsv", confusion, index=heading)
    output.write_frame(folder / "split.tsv", pd.DataFrame(trained.split, columns=[split, "side", "cells"]))


def draw_page(trained: Trained, heading: str, split: str, words: str, notes: Sequence[str], made: str) -> str:
    """Return the page; ``made`` says of which species the cells are, and what made the vectors."""
    figures, baseline = trained.figures, trained.baseline
    majority = f"the baseline: always {trained.names[trained.majority]}, the most frequent in training"
    labels = [
        [
            label,
            train,
            test,
            predicted,
            *_with_interval(right, predicted),
            *_with_interval(right, test),
            output.percent(f1),
        ]
        for label, train, test, predicted, right, f1 in zip(
            trained.names,
            trained.training.tolist(),
            trained.confusion.sum(axis=1).tolist(),
            trained.confusion.sum(axis=0).tolist(),
            np.diag(trained.confusion).tolist(),
            figures.f1.tolist(),
            strict=True,
        )
    ]
    shown = f"accuracy (95 % interval {output.interval(trained.figures.right, figures.cells)})"
    return render(
        "atlas/templates/train.html",
        label=heading,
        words=words,
        made=made,
        notes=notes,
        tiles_of_figures=[
            (output.percent(figures.accuracy), shown, ""),
            *((output.percent(getattr(figures, name)), text, "") for name, text in _FIGURES[1:]),
            (output.percent(baseline.accuracy), "accuracy of the baseline", ""),
            (figures.cells, "cells that were tested on", ""),
        ],
        figures=[[name, *_figure_cells(each)] for name, each in (("the model", figures), (majority, baseline))],
        test_cells=trained.cells("test"),
        train_cells=trained.cells("train"),
        confusion=confusion_map(trained),
        most=MOST,
        labels=cut(labels, MOST_ROWS, "label", "labels.tsv"),
        split=split,
        groups=cut([[*group] for group in reversed(trained.split)], MOST_ROWS, split, "split.tsv"),
    )


def _with_interval(successes: int, trials: int) -> list[str]:
    """Return a share and its 95 % interval."""
    return [output.percent(successes / trials if trials else float("nan")), output.interval(successes, trials)]


def _figure_cells(figures: Figures) -> list[str]:
    """Return the accuracy with its interval, then the other figures of all labels."""
    others = [output.percent(getattr(figures, name)) for name, _ in _FIGURES[1:]]
    return [*_with_interval(figures.right, figures.cells), *others]


def confusion_map(trained: Trained) -> dict[str, Any]:
    """Return the heat map of labels by predicted labels, each row as shares of its cells; nothing without a test."""
    tested = np.flatnonzero(trained.confusion.any(axis=1))
    if not len(tested):
        return {}
    order = np.concatenate([tested, np.setdiff1d(np.flatnonzero(trained.confusion.any(axis=0)), tested)])
    return output.square_map(
        [trained.names[label] for label in order.tolist()],
        trained.confusion[np.ix_(order, order)],
        MOST,
        scale=Scale(0, 1, False),
        title="labels by predicted labels",
        words="share of the row's cells; rows: the label, columns: the prediction; at the right the cells",
        hint="{} predicted as {}",
    )


def backend_of(atlas: Atlas) -> dict[str, Any] | None:
    """Return name, version and weights of what made the vectors; None without a manifest."""
    if atlas.manifest is None:
        return None
    return {name: atlas.backend.get(name) for name in ("name", "version", "weights_sha256")}


def predictions(model: Model, atlases: Sequence[Atlas]) -> Iterator[list[str]]:
    """Yield a line for each row of the atlases: the atlas, the shard, the row, the label, its score, and its cell."""
    for atlas in atlases:
        size = sum_rows(atlas)
        for shard, segments in shard_segments(atlas):
            barcodes: Iterator[bytes] = itertools.repeat(b"")
            if BARCODES in shard.files:
                barcodes = iter(shard.files[BARCODES].read().tolist())
            sources: Iterator[tuple[str, ...]] = itertools.repeat(("",) * len(MAP_COLUMNS))
            if segments:
                sources = itertools.chain.from_iterable(itertools.repeat(each.source, each.rows) for each in segments)
            row = 0
            for vectors in atlas.scan(model.block, size, "embs", shard.first, shard.first + shard.rows):
                best, scores = model.predict(vectors)
                for label, score in zip(best.tolist(), scores.tolist(), strict=True):
                    prediction = [atlas.path.name, shard.name, str(row), model.classes[label], f"{score:.4g}"]
                    yield [*prediction, *next(sources), barcode_text(next(barcodes), shard.name)]
                    row += 1


def apply(path: str, atlases: Sequence[Atlas], target: str) -> None:
    """Predict the labels of all rows of atlases. Raises InputError where the model was not made for them."""
    model = classifier.read_model(path)
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
    codes = model.source.get("codes")
    notes = [
        f"{model.label} as predicted by {Path(path).name}, from the block {model.block}: predictions, with the"
        f" {'share (softmax)' if model.kind == 'linear' else model.metric} of the label as score."
    ]
    if codes:
        notes.append(f"Labels are codes: {Path(path).name} was trained on codes without decoders.")
    head = ["atlas", "shard", "row", f"{model.label}{'_code' if codes else ''}", "score", *MAP_COLUMNS, "barcode"]
    with new_folder(target, PREDICTIONS) as folder:
        write_table(folder / PREDICTIONS, head, predictions(model, atlases))
        output.write_notes(folder, notes)


def open_rows(atlases: Sequence[Atlas], options: argparse.Namespace) -> LabelledRows:
    """Return the rows with the labels that the options name. Raises InputError where there are none."""
    mapless = [str(atlas.path) for atlas in atlases if not has_map(atlas)]
    if mapless and options.labels:
        raise InputError(
            f"{', '.join(mapless)}: no map (segments.tsv), so the cells of its rows are unknown: a table of labels"
            " cannot be joined. Without --labels, the atlas's own predictions can be learnt."
        )
    if mapless and options.split != SHARD:
        raise InputError(
            f"{', '.join(mapless)}: no map (segments.tsv), so the series of its rows are unknown, and a model cannot be"
            " tested on series that it has not seen. --split shard holds out shards instead, but cells of one"
            " data set may then be on both sides: the figures are too good."
        )
    if options.labels:
        return LabelledRows(atlases, options.split, read_labels(options.labels, options.label))
    for atlas in atlases:
        atlas.columns("top3", options.label)
    return LabelledRows(atlases, options.split, label_names(options.label, atlases))


def words_of(options: argparse.Namespace, block: str, columns: int, trained: Trained) -> str:
    """Return the sentence that describes the model."""
    frequency = _PRIORS[options.prior]
    what = {
        "linear": f"linear discriminant (shrinkage {options.shrinkage:g}; labels assumed to be {frequency})",
        "centroid": f"nearest mean of a label, by {options.metric}",
    }[options.model]
    return (
        f"Model: {what}, of {several(len(trained.model.classes), 'label')}, from {several(columns, 'column')} of the"
        f" vectors (those called {block}). Held out by {options.split}."
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    add_atlases(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--label", help="class of the atlas, or column of --labels, to predict")
    what.add_argument("--apply", metavar="MODEL", help="predict labels with this model.npz instead of training one")
    parser.add_argument("--labels", metavar="TSV", help="given labels of cells; default: the atlas's own labels")
    parser.add_argument("--block", help="of embeddings; default: that of the label's name, or else other")
    parser.add_argument("--model", choices=KINDS, default=KINDS[0], help="kind of model")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help="of --model centroid")
    parser.add_argument(
        "--shrinkage",
        type=share,
        default=SHRINKAGE,
        help="of --model linear: how far the common covariance is shrunk towards a sphere",
    )
    parser.add_argument(
        "--prior", choices=tuple(_PRIORS), default="counts", help="of --model linear: assumed frequency of labels"
    )
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="what is held out as a whole")
    parser.add_argument(
        "--test-series", nargs="+", default=[], metavar="NAME", help="series (sample, shard) to test on"
    )
    parser.add_argument("--test-share", type=share, default=0.2, help="of the series to test on")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of series to test on")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    atlases = open_atlases(options.atlas, options.layout, options.decoders)
    if options.apply:
        apply(options.apply, atlases, options.output)
        return
    output.check_layouts(atlases, embeddings=True)
    output.check_models(atlases)
    layout = atlases[0].layout
    block = standard_name(options.block or layout.block_of(options.label))
    columns = layout.columns("embs", block)
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
        label = rows.own.label if rows.own is not None else " ".join(options.label.split())
        heading = rows.own.heading if rows.own is not None else label
        source = {
            "backend": backend_of(atlases[0]),
            "labels": "table" if rows.own is None else "predicted",
            "codes": heading != label,
        }
        classifier.write_model(
            folder / MODEL, dataclasses.replace(trained.model, block=block, label=label, source=source)
        )
        write_tables(folder, trained, heading, options.split)
        made = output.heading_words(atlases)
        words = words_of(options, block, columns.stop - columns.start, trained)
        write_atomic(folder / PAGE, draw_page(trained, heading, options.split, words, notes, made))
        output.write_notes(folder, [words, *notes])
    figures, baseline = trained.figures, trained.baseline
    print(
        f"{options.output}: accuracy {output.percent(figures.accuracy)} of {several(figures.cells, 'cell')}"
        f" (baseline {output.percent(baseline.accuracy)}), balanced {output.percent(figures.balanced_accuracy)},"
        f" macro-F1 {output.percent(figures.macro_f1)}.",
        file=sys.stderr,
    )
