"""Models that tell a label from a vector, fitted exactly from sums of one pass, and the figures that judge them.

Both kinds are one matrix product: ``scores = vectors @ weights.T + intercepts``, the label is that of the greatest.

- ``linear``: the linear discriminant (classes are normal clouds of one common shape), which is the multinomial logistic
  model with its coefficients in closed form. It needs the number, the sums and the products of the rows, nothing else:
  one pass, no learning rate, no order of rows, no seed. (Least squares on one-hot labels needs the same sums, but hides
  classes behind their neighbours where there are more than a few.) The common shape is drawn towards a sphere a little.
- ``centroid``: the nearest mean of a label, by cosine or by Euclidean distance.

Sums are kept in 64-bit floating point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from scripts.atlas.labels.tables import LabelSums
from scripts.core.errors import InputError

if TYPE_CHECKING:
    import numpy

KINDS = ("linear", "centroid")
METRICS = ("cosine", "euclidean")
_SCORES = 1 << 20  # that are held at a time


class Sums:
    """Number, sums and products of the rows of each label, from which models are fitted."""

    def __init__(self, columns: int) -> None:
        import numpy as np

        self.labels = LabelSums(columns)
        self.products = np.zeros((columns, columns))
        """Of all rows."""

    def add(self, codes: "numpy.ndarray", vectors: "numpy.ndarray") -> None:
        """Add rows: a code each (int32), and vectors, float16 or wider [rows, columns]."""
        import numpy as np

        vectors = np.asarray(vectors, np.float64)
        self.labels.add(codes, vectors)
        self.products += vectors.T @ vectors


@dataclass(frozen=True)
class Model:
    """A fitted model of ``classes``, which are names of labels."""

    kind: str
    metric: str
    """Of a centroid model; empty for a linear one."""
    classes: tuple[str, ...]
    weights: "numpy.ndarray"
    """float64 [classes, columns]"""
    intercepts: "numpy.ndarray"
    """float64 [classes]"""

    def scores(self, vectors: "numpy.ndarray") -> "numpy.ndarray":
        """Return float64 [rows, classes]: shares of 1 (linear), cosines, or minus half squared distances."""
        import numpy as np

        vectors = np.asarray(vectors, np.float64)
        scores = vectors @ self.weights.T + self.intercepts
        if self.kind == "linear":
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            return scores / scores.sum(axis=1, keepdims=True)
        squares = np.einsum("ij,ij->i", vectors, vectors)[:, None]
        if self.metric == "cosine":
            return scores / np.sqrt(np.where(squares > 0, squares, 1))
        return scores - squares / 2

    def predict(self, vectors: "numpy.ndarray") -> "tuple[numpy.ndarray, numpy.ndarray]":
        """Return for each row the number of its class and its score; the first class where several are equal."""
        import numpy as np

        best, greatest = np.zeros(len(vectors), np.intp), np.zeros(len(vectors))
        step = max(1, _SCORES // len(self.classes))
        for start in range(0, len(vectors), step):
            scores = self.scores(vectors[start : start + step])
            best[start : start + step] = scores.argmax(axis=1)
            greatest[start : start + step] = scores.max(axis=1)
        return best, greatest


def fit(sums: Sums, names: Sequence[str], kind: str, *, metric: str, shrinkage: float, equal: bool) -> Model:
    """Fit a model on the labels that have rows; ``names`` are those of codes.

    ``shrinkage`` (0 to 1) draws the common shape towards a sphere, ``equal`` holds all labels for equally frequent
    rather than as frequent as here; both for ``linear``. Raises InputError where fewer than two labels have rows.
    """
    import numpy as np

    found = sums.labels.result()
    classes = tuple(names[code] for code in found.codes.tolist())
    if len(classes) < 2:
        known = f"only {classes[0]!r}" if classes else "none"
        raise InputError(f"A model needs at least two labels to tell apart, but the training cells have {known}.")
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
    """How well labels were told; shares of 0 to 1, NaN where there is nothing to judge."""

    cells: int
    accuracy: float
    balanced_accuracy: float
    """Mean recall of the labels that the cells have."""
    macro_f1: float
    """Mean F1 of the labels that the cells have or were told to have."""
    precision: "numpy.ndarray"
    recall: "numpy.ndarray"
    f1: "numpy.ndarray"


def judge(confusion: "numpy.ndarray") -> Figures:
    """Return the figures of a table of cells: their label (rows) by the label told (columns)."""
    import numpy as np

    table = np.asarray(confusion, float)
    right, true, told = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    nothing = np.full(len(table), np.nan)
    recall = np.divide(right, true, out=nothing.copy(), where=true > 0)
    precision = np.divide(right, told, out=nothing.copy(), where=told > 0)
    f1 = np.divide(2 * right, true + told, out=nothing.copy(), where=true + told > 0)
    cells = int(true.sum())
    if not cells:
        return Figures(0, float("nan"), float("nan"), float("nan"), precision, recall, f1)
    means = (float(values[np.isfinite(values)].mean()) for values in (recall, f1))
    return Figures(cells, float(right.sum() / cells), *means, precision, recall, f1)


def tell_one(confusion: "numpy.ndarray", label: int) -> "numpy.ndarray":
    """Return the table that telling the same label for every cell would have made: the baseline to compare with."""
    import numpy as np

    table = np.zeros_like(confusion)
    table[:, label] = confusion.sum(axis=1)
    return table
