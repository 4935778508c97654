"""How the first, second and third guess at a label compare: exact figures of half-precision scores, and similarity."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

_VALUES = 1 << 16


class HalfCounts:
    """How often each float16 value occurs: mean and percentiles of any number of them are exact in 512 KB."""

    def __init__(self) -> None:
        import numpy as np

        self.counts = np.zeros(_VALUES, np.int64)

    def add(self, values: "numpy.ndarray") -> None:
        """Count values, float16 of one dimension."""
        import numpy as np

        np.add.at(self.counts, np.ascontiguousarray(values, "<f2").view("<u2").astype(np.intp), 1)

    def ordered(self) -> "tuple[numpy.ndarray, numpy.ndarray]":
        """Return the finite values that occur, ascending, as float64, and how often each does."""
        import numpy as np

        there = np.flatnonzero(self.counts)
        values = there.astype("<u2").view("<f2").astype(float)
        finite = np.isfinite(values)
        there, values = there[finite], values[finite]
        order = np.argsort(values, kind="stable")
        return values[order], self.counts[there[order]]


def mean_of(values: "numpy.ndarray", counts: "numpy.ndarray") -> float:
    """Return the mean of values that occur so often; NaN of none."""
    whole = int(counts.sum())
    return float(values @ counts / whole) if whole else float("nan")


def percentiles_of(values: "numpy.ndarray", counts: "numpy.ndarray", percents: "tuple[float, ...]") -> list[float]:
    """Return the least value with at least so many percent of all at or below it; NaN of none."""
    import numpy as np

    if not len(values):
        return [float("nan")] * len(percents)
    sums = np.cumsum(counts)
    places = np.searchsorted(sums, np.array(percents) / 100 * sums[-1] - 1e-9)
    return values[np.minimum(places, len(values) - 1)].tolist()


def sigmoid(values: "numpy.ndarray") -> "numpy.ndarray":
    """Return the share that a logit stands for, 0 to 1."""
    import numpy as np

    return np.exp(-np.logaddexp(0, -np.asarray(values, float)))


def difference(first: "numpy.ndarray", second: "numpy.ndarray") -> "numpy.ndarray":
    """Return first - second, reckoned in float32 and rounded to float16."""
    import numpy as np

    return np.clip(first.astype(np.float32) - second.astype(np.float32), -65504, 65504).astype("<f2")


def centroids(sums: "numpy.ndarray", counts: "numpy.ndarray") -> "numpy.ndarray":
    """Return the mean vector of each label, float64 [labels, columns]; NaN where a label has no cell."""
    import numpy as np

    return np.divide(sums, counts[:, None], out=np.full(sums.shape, np.nan), where=counts[:, None] > 0)


def cosines(vectors: "numpy.ndarray") -> "numpy.ndarray":
    """Return the cosine of each pair of vectors, float64 [labels, labels]; NaN with a vector that is NaN or zero."""
    import numpy as np

    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    unit = np.divide(vectors, lengths, out=np.full(vectors.shape, np.nan), where=lengths > 0)
    return np.clip(unit @ unit.T, -1, 1)


def mean_cosine(cosine: "numpy.ndarray", pairs: "numpy.ndarray") -> tuple[float, int]:
    """Return the mean cosine of pairs of labels that occur so often, and of how many of them no cosine is known."""
    import numpy as np

    known = np.isfinite(cosine)
    weights = np.where(known, pairs, 0)
    whole = weights.sum()
    mean = float((np.where(known, cosine, 0) * weights).sum() / whole) if whole else float("nan")
    return mean, int(pairs.sum() - np.where(known, pairs, 0).sum())


def unrelated(pairs: "numpy.ndarray") -> "numpy.ndarray":
    """Return weights of pairs of different labels if the two had nothing to do with each other, as float64."""
    import numpy as np

    whole = max(int(pairs.sum()), 1)
    weights = np.outer(pairs.sum(axis=1).astype(float), pairs.sum(axis=0)) / whole
    np.fill_diagonal(weights, 0)
    return weights
