"""Models that predict a label from a vector, fitted exactly from sums of one pass, their file, and their figures.

Both kinds are one matrix product: ``scores = vectors @ weights.T + intercepts``; the label is that of the greatest.

- ``linear``: the linear discriminant (classes are normal clouds of one common covariance), which is the multinomial
  logistic model with its coefficients in closed form. It needs the number, the sums and the products of the rows: one
  pass, no learning rate, no order of rows, no seed. (Least squares on one-hot labels needs the same sums, but masks
  classes by their neighbours where there are more than a few.) The covariance is shrunk towards a sphere a little.
- ``centroid``: the nearest mean of a label, by cosine or by Euclidean distance.

Sums are 64-bit floating point. A model is saved as model.npz, an npz as in docs/formats.md, without pickles:

- ``format`` (1), ``kind`` (linear or centroid), ``metric`` (cosine or euclidean, of a centroid model)
- ``block`` and ``columns``: the block of embeddings that it takes, and how many columns that has
- ``label``: the class or column that it predicts; ``classes`` [classes]: names of its labels
- ``weights`` float64 [classes, columns] and ``intercepts`` float64 [classes]
- ``source``: JSON, the back end of the atlas it was trained on (null without a manifest) and what the labels were

The label of a row is ``classes[(row[block] @ weights.T + intercepts).argmax()]``; the first where several are equal.
Its score is the softmax of these (linear), or these divided by the length of the row (cosine), or these minus half the
squared length of the row (euclidean).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.atlas.labels.tables import LabelSums
from scripts.core.disk.files import parse_json
from scripts.core.errors import InputError
from scripts.formats.npz import read_npz, write_npz

KINDS = ("linear", "centroid")
METRICS = ("cosine", "euclidean")
FORMAT = 1
_SCORES = 1 << 20  # in memory at a time
_TEXT, _NUMBER = ("U", 0, "a text"), ("iu", 0, "a whole number")
_ARRAYS = {
    "format": _NUMBER,
    **dict.fromkeys(("kind", "metric", "block", "label"), _TEXT),
    "classes": ("U", 1, "a list of text"),
    "weights": ("f", 2, "a table of numbers"),
    "intercepts": ("f", 1, "a list of numbers"),
    "source": _TEXT,
}
"""Name → kinds of numpy's types, dimensions, and both in words."""


class Sums:
    """Number, sums and products of the rows of each label, from which models are fitted."""

    def __init__(self, columns: int) -> None:
        self.labels = LabelSums(columns)
        self.products = np.zeros((columns, columns))
        """Of all rows."""

    def add(self, codes: np.ndarray, vectors: np.ndarray) -> None:
        """Add rows: a code each (int32), and vectors, float16 or wider [rows, columns]."""
        vectors = np.asarray(vectors, np.float64)
        self.labels.add(codes, vectors)
        self.products += vectors.T @ vectors


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model of ``classes``, which are names of labels."""

    kind: str
    metric: str
    """Of a centroid model; empty for a linear one."""
    classes: tuple[str, ...]
    weights: np.ndarray
    """float64 [classes, columns]"""
    intercepts: np.ndarray
    """float64 [classes]"""
    block: str = ""
    """The block of embeddings that it takes."""
    label: str = ""
    """The class or column that it predicts."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on."""

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return float64 [rows, classes]: shares of 1 (linear), cosines, or minus half squared distances."""
        vectors = np.asarray(vectors, np.float64)
        scores = vectors @ self.weights.T + self.intercepts
        if self.kind == "linear":
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            return scores / scores.sum(axis=1, keepdims=True)
        squares = np.einsum("ij,ij->i", vectors, vectors)[:, None]
        if self.metric == "cosine":
            return scores / np.sqrt(np.where(squares > 0, squares, 1))
        return scores - squares / 2

    def predict(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of each row's class and its score; the first class where several are equal."""
        best, greatest = np.zeros(len(vectors), np.intp), np.zeros(len(vectors))
        step = max(1, _SCORES // len(self.classes))
        for start in range(0, len(vectors), step):
            scores = self.scores(vectors[start : start + step])
            best[start : start + step] = scores.argmax(axis=1)
            greatest[start : start + step] = scores.max(axis=1)
        return best, greatest


def fit(sums: Sums, names: Sequence[str], kind: str, *, metric: str, shrinkage: float, equal: bool) -> Model:
    """Fit a model on the labels that have rows; ``names`` are those of codes.

    ``shrinkage`` (0 to 1) shrinks the common covariance towards a sphere; ``equal`` takes all labels as equally
    frequent rather than as frequent as here; both for ``linear``. Raises InputError for less than two labels with rows.
    """
    found = sums.labels.result()
    classes = tuple(names[code] for code in found.codes.tolist())
    if len(classes) < 2:
        known = f"only {classes[0]!r}" if classes else "none"
        raise InputError(f"A model needs at least two labels, but the training cells have {known}.")
    means, counts = found.means, found.counts.astype(float)
    if kind == "centroid":
        if metric == "euclidean":
            return Model(kind, metric, classes, means, -np.einsum("ij,ij->i", means, means) / 2)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return Model(kind, metric, classes, means / np.where(lengths > 0, lengths, 1), np.zeros(len(classes)))
    within = (sums.products - (means * counts[:, None]).T @ means) / max(counts.sum() - len(classes), 1)
    within = (within + within.T) / 2
    size = max(float(np.trace(within)) / len(within), 0.0)
    # A column that never changes within a label, or rows that are all the same, must not make it unsolvable.
    shape = (1 - shrinkage) * within + max(shrinkage * size, 1e-9 * size, 1e-12) * np.eye(len(within))
    weights = np.linalg.solve(shape, means.T).T
    shares = np.full(len(classes), 1 / len(classes)) if equal else counts / counts.sum()
    return Model(kind, "", classes, weights, np.log(shares) - np.einsum("ij,ij->i", weights, means) / 2)


class Figures(NamedTuple):
    """How well labels were predicted; shares of 0 to 1, NaN where they are undefined."""

    cells: int
    right: int
    """Cells that were predicted right."""
    accuracy: float
    balanced_accuracy: float
    """Mean recall of the labels that the cells have."""
    macro_f1: float
    """Mean F1 of the labels that the cells have or that were predicted."""
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def judge(confusion: np.ndarray) -> Figures:
    """Return the figures of a table of cells: their label (rows) by the predicted label (columns)."""
    table = np.asarray(confusion, float)
    right, true, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    undefined = np.full(len(table), np.nan)
    recall = np.divide(right, true, out=undefined.copy(), where=true > 0)
    precision = np.divide(right, predicted, out=undefined.copy(), where=predicted > 0)
    f1 = np.divide(2 * right, true + predicted, out=undefined.copy(), where=true + predicted > 0)
    cells = int(true.sum())
    if not cells:
        return Figures(0, 0, float("nan"), float("nan"), float("nan"), precision, recall, f1)
    balanced, macro = (float(values[np.isfinite(values)].mean()) for values in (recall, f1))
    return Figures(cells, int(right.sum()), float(right.sum() / cells), balanced, macro, precision, recall, f1)


def predict_one(confusion: np.ndarray, label: int) -> np.ndarray:
    """Return the table in which every cell is predicted to have the same label: the baseline."""
    table = np.zeros_like(confusion)
    table[:, label] = confusion.sum(axis=1)
    return table


def write_model(path: str | Path, model: Model) -> None:
    """Write model.npz: the same model, the same bytes."""
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT, "<i8"),
        **{name: np.array(getattr(model, name)) for name in ("kind", "metric", "block", "label")},
        "columns": np.array(model.weights.shape[1], "<i8"),
        "classes": np.array(model.classes, np.str_),
        "weights": model.weights.astype("<f8"),
        "intercepts": model.intercepts.astype("<f8"),
        "source": np.array(json.dumps(model.source, sort_keys=True, ensure_ascii=False)),
    }
    write_npz(path, arrays)


def read_model(path: str | Path) -> Model:
    """Read model.npz. Raises InputError where the file is none."""
    found = read_npz(path, "a model of atlas_train")
    if missing := [name for name in _ARRAYS if name not in found]:
        raise InputError(f"{path}: no model of atlas_train: it has no {', '.join(missing)}.")
    faults = [
        f"{path}: {name} is {array.dtype} {array.shape}, expected {words}."
        for name, (kinds, dimensions, words) in _ARRAYS.items()
        if (array := found[name]).dtype.kind not in kinds or array.ndim != dimensions
    ]
    if faults:
        raise InputError("\n".join(faults))
    if found["format"] != FORMAT:
        raise InputError(f"{path}: a model of format {found['format']}; this version reads format {FORMAT}.")
    kind, metric, block, label, text = (str(found[name]) for name in ("kind", "metric", "block", "label", "source"))
    classes, weights, intercepts = found["classes"], found["weights"], found["intercepts"]
    source = parse_json(text, f"{path}: source")
    if kind not in KINDS or metric not in ("", *METRICS) or not isinstance(source, dict):
        raise InputError(
            f"{path}: no model of atlas_train: kind {kind!r:.80}, metric {metric!r:.80}, source {text!r:.80}."
        )
    if not len(classes) == len(intercepts) == len(weights) or not len(classes):
        raise InputError(
            f"{path}: {len(classes)} classes, but weights of {weights.shape} and intercepts of {intercepts.shape}."
        )
    if not np.isfinite(weights).all() or not np.isfinite(intercepts).all():
        raise InputError(f"{path}: its weights or intercepts have numbers that are not finite.")
    names = tuple(" ".join(str(name).split()) for name in classes.tolist())
    if not all(name.isprintable() for name in names):
        raise InputError(f"{path}: its classes have control characters.")
    return Model(kind, metric, names, weights, intercepts, block, label, source)
