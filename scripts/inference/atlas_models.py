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

from scripts.formats.errors import InputError

if TYPE_CHECKING:
    import numpy

KINDS = ("linear", "centroid")
METRICS = ("cosine", "euclidean")


def class_sums(codes: "numpy.ndarray", vectors: "numpy.ndarray", classes: int) -> "numpy.ndarray":
    """Return the sum of the vectors of each class, float64 [classes, columns]; ``codes`` are one per row."""
    import numpy as np
    from scipy.sparse import csr_matrix

    ones = np.ones(len(codes))
    chosen = csr_matrix((ones, (codes, np.arange(len(codes)))), shape=(classes, len(codes)))
    return chosen @ np.asarray(vectors, np.float64)


class Sums:
    """Number, sum and products of the rows of each class, from which models are fitted."""

    def __init__(self, classes: int, columns: int) -> None:
        import numpy as np

        self.counts = np.zeros(classes, np.int64)
        self.sums = np.zeros((classes, columns))
        self.products = np.zeros((columns, columns))
        """Of all rows, as they lie from ``origin``."""
        self.origin: numpy.ndarray | None = None
        """Mean of the first rows: products are taken from there, so that no digits are lost far from zero."""

    def grow(self, classes: int) -> None:
        """Make room for so many classes."""
        import numpy as np

        more = classes - len(self.counts)
        if more > 0:
            self.counts = np.pad(self.counts, (0, more))
            self.sums = np.pad(self.sums, ((0, more), (0, 0)))

    def add(self, codes: "numpy.ndarray", vectors: "numpy.ndarray") -> None:
        """Add rows: whole numbers below the number of classes, and float64 [rows, columns]."""
        import numpy as np

        if not len(codes):
            return
        if self.origin is None:
            self.origin = vectors.mean(axis=0)
        vectors = vectors - self.origin
        self.counts += np.bincount(codes, minlength=len(self.counts))
        self.sums += class_sums(codes, vectors, len(self.counts))
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

        scores = self.scores(vectors)
        best = scores.argmax(axis=1)
        return best, scores[np.arange(len(best)), best]


def fit(sums: Sums, names: Sequence[str], kind: str, *, metric: str, shrinkage: float, equal: bool) -> Model:
    """Fit a model on the classes that have rows.

    ``shrinkage`` (0 to 1) draws the common shape towards a sphere, ``equal`` holds all classes for equally frequent
    rather than as frequent as here; both for ``linear``. Raises InputError where fewer than two classes have rows.
    """
    import numpy as np

    there = np.flatnonzero(sums.counts)
    if len(there) < 2:
        known = f"only {names[there[0]]!r}" if len(there) else "none"
        raise InputError(f"A model needs at least two labels to tell apart, but the training cells have {known}.")
    counts = sums.counts[there].astype(float)
    origin = sums.origin
    means = sums.sums[there] / counts[:, None]
    classes = tuple(names[place] for place in there.tolist())
    if kind == "centroid":
        means = means + origin
        if metric == "euclidean":
            return Model(kind, metric, classes, means, -np.einsum("ij,ij->i", means, means) / 2)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return Model(kind, metric, classes, means / np.where(lengths > 0, lengths, 1), np.zeros(len(classes)))
    within = sums.products - (means * counts[:, None]).T @ means
    within /= max(counts.sum() - len(there), 1)
    within = (within + within.T) / 2
    columns = len(within)
    size = max(float(np.trace(within)) / columns, 0.0)
    shape = (1 - shrinkage) * within + max(shrinkage * size, 1e-9 * size, 1e-12) * np.eye(columns)
    weights = np.linalg.solve(shape, means.T).T
    shares = np.full(len(there), 1 / len(there)) if equal else counts / counts.sum()
    intercepts = np.log(shares) - np.einsum("ij,ij->i", weights, means) / 2
    return Model(kind, "", classes, weights, intercepts - weights @ origin)


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
