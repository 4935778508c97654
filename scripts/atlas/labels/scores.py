"""Exact figures of half-precision scores, and the similarity of labels by their mean vectors."""

from collections.abc import Sequence

import numpy as np

_NORMAL = 1.959963984540054  # of the 95 % interval


class HalfCounts:
    """How often each float16 value occurs: mean and percentiles of any number of them are exact in 512 KB."""

    def __init__(self) -> None:
        self.counts = np.zeros(1 << 16, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count values, float16 of one dimension."""
        np.add.at(self.counts, np.ascontiguousarray(values, "<f2").view("<u2").astype(np.intp), 1)

    def ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the finite values that occur, ascending, as float64, and how often each does."""
        occurring = np.flatnonzero(self.counts)
        values = occurring.astype("<u2").view("<f2").astype(float)
        finite = np.isfinite(values)
        occurring, values = occurring[finite], values[finite]
        order = np.argsort(values, kind="stable")
        return values[order], self.counts[occurring[order]]


def mean_of(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean of values with these counts; NaN without any."""
    whole = int(counts.sum())
    return float(values @ counts / whole) if whole else float("nan")


def percentiles_of(values: np.ndarray, counts: np.ndarray, percents: Sequence[float]) -> list[float]:
    """Return the least value with at least so many percent of all at or below it; NaN without any."""
    if not len(values):
        return [float("nan")] * len(percents)
    sums = np.cumsum(counts)
    index = np.searchsorted(sums, np.array(percents) / 100 * sums[-1] - 1e-9)
    return values[np.minimum(index, len(values) - 1)].tolist()


def wilson(successes: np.ndarray | float, trials: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % interval of a share, NaN where there is no trial. Trials are taken for independent.

    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    found, number = np.asarray(successes, float), np.asarray(trials, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = found / number
        centre = (share + _NORMAL**2 / (2 * number)) / (1 + _NORMAL**2 / number)
        spread = share * (1 - share) / number + _NORMAL**2 / (4 * number**2)
        width = np.sqrt(spread) * _NORMAL / (1 + _NORMAL**2 / number)
        return np.clip(centre - width, 0, 1), np.clip(centre + width, 0, 1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return the share that a logit stands for, 0 to 1."""
    return np.exp(-np.logaddexp(0, -np.asarray(values, float)))


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first - second, computed in float32 and rounded to float16."""
    return np.clip(first.astype(np.float32) - second.astype(np.float32), -65504, 65504).astype("<f2")


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of vectors, float64 [labels, labels]; NaN with a vector that is NaN or zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    unit = np.divide(vectors, lengths, out=np.full(vectors.shape, np.nan), where=lengths > 0)
    return np.clip(unit @ unit.T, -1, 1)


def mean_cosine(cosine: np.ndarray, pairs: np.ndarray) -> tuple[float, int]:
    """Return the mean cosine of pairs of labels with these counts, and how many of them have no known cosine."""
    known = np.isfinite(cosine)
    weights = np.where(known, pairs, 0)
    whole = weights.sum()
    mean = float((np.where(known, cosine, 0) * weights).sum() / whole) if whole else float("nan")
    return mean, int(pairs.sum() - whole)


def unrelated(pairs: np.ndarray) -> np.ndarray:
    """Return the counts, as float64, that pairs of different labels would have if the two were independent."""
    whole = max(int(pairs.sum()), 1)
    weights = np.outer(pairs.sum(axis=1).astype(float), pairs.sum(axis=0)) / whole
    np.fill_diagonal(weights, 0)
    return weights
