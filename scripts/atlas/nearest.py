"""The rows of an atlas that are nearest to vectors: exact, by reading all rows once in bounded memory.

Single precision finds the rows that may be among the nearest, with a bound on its error; their scores are computed
again in double precision. So the result is that of double precision throughout, on any machine and with chunks of any
size.
"""

from typing import NamedTuple

import numpy as np

from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError

METRICS = ("cosine", "euclidean")
CHUNK = 1 << 19
"""Bytes of single precision that are compared at a time, so that they stay in the processor's cache."""
GREATEST = 1e15
_TINY = 2.0**-24  # the error of one rounding to single precision


class Nearest(NamedTuple):
    """The rows that are nearest to one vector, the nearest first; equally near ones in the order of the atlas."""

    rows: np.ndarray
    """int64: global rows"""
    values: np.ndarray
    """float64: cosine similarity, or Euclidean distance"""


def nearest_rows(
    atlas: Atlas, block: str | None, vectors: np.ndarray, most: int, metric: str = "cosine"
) -> tuple[list[Nearest], int]:
    """Return the ``most`` nearest rows of each vector, and how many rows are all zeros.

    ``vectors`` is [vectors, columns of the block]. No row is left out: the cosine of a row of zeros, which has no
    direction, is taken as 0. Raises InputError for vectors of another width, vectors that are not finite or have no
    direction, and rows that are not finite.
    """
    columns = atlas.columns("embs", block)
    width = columns.stop - columns.start
    vectors = np.ascontiguousarray(vectors, np.float64)
    name = block or "all blocks"
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise InputError(f"The vectors have the shape {vectors.shape}; {name} has {width} columns.")
    if not np.isfinite(vectors).all():
        raise InputError("The vectors have numbers that are not finite.")
    if vectors.size and np.abs(vectors).max() > GREATEST:
        raise InputError(f"Numbers of vectors beyond {GREATEST:g} cannot be compared in single precision.")
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    if metric == "cosine":
        if not lengths.all():
            without = ", ".join(map(str, np.flatnonzero(lengths == 0).tolist()))
            raise InputError(f"Vector {without} is all zeros in {name}: it has no direction; use --metric euclidean.")
        vectors = vectors / lengths[:, None]
    searches = [_Search(vector, most, metric) for vector in vectors]
    single = np.ascontiguousarray(vectors.T, np.float32)
    error = np.float32(8 * (width + 8) * _TINY)
    # What a score may fall short of by the error: of a cosine the error itself; of a squared distance, the error times
    # (|row| + |vector|)^2, which is at most twice the error times the sum of their squares.
    slack = np.full(len(vectors), error)
    if metric == "euclidean":
        single *= 2
        kept = 1 - 2 * error
        slack = -(vectors * vectors).sum(axis=1).astype(np.float32) * kept
    size = max(256, CHUNK // (4 * max(width, len(vectors))))
    zeros = first = 0
    for half in atlas.scan(block, size):
        rows = _to_single(half)
        own = np.einsum("ij,ij->i", rows, rows)[:, None]
        zeros += int((own == 0).sum())
        if metric == "cosine":
            rows /= np.sqrt(np.where(own == 0, np.float32(1), own))
            found = rows @ single
        else:
            found = rows @ single
            found -= own * kept
        upper = found.max(axis=0) + slack
        limits = np.array([search.limit for search in searches])
        for number in np.flatnonzero(upper >= np.nextafter(limits.astype(np.float32), np.float32(-np.inf))).tolist():
            searches[number].take(half, found[:, number] + slack[number], first)
        first += len(half)
    return [search.result() for search in searches], zeros


def _to_single(half: np.ndarray) -> np.ndarray:
    """Return finite numbers of float16 as float32; five times as fast as numpy's conversion."""
    bits = half.view(np.int16).astype(np.int32)  # the sign goes to the front
    bits <<= 13
    bits &= np.int32(-0x70002000)  # sign, the low five bits of the exponent, ten bits of the number
    single = bits.view(np.float32)
    single *= np.float32(2.0**112)  # the two exponents count from 15 and from 127
    return single


class _Search:
    """The nearest rows to one vector so far; nearer rows have greater scores."""

    def __init__(self, vector: np.ndarray, most: int, metric: str) -> None:
        self.vector = vector
        self.most = most
        self.metric = metric
        self.rows = np.zeros(0, np.int64)
        self.scores = np.zeros(0)

    @property
    def limit(self) -> float:
        """The score that a row must exceed to be among the nearest."""
        return float(self.scores[-1]) if len(self.scores) == self.most else float("-inf")

    def take(self, half: np.ndarray, upper: np.ndarray, first: int) -> None:
        """Take the rows of a chunk that are nearer; ``upper`` are upper bounds of their scores."""
        order = np.argsort(-upper, kind="stable")
        step = max(self.most, 64)
        for start in range(0, len(order), step):
            index = order[start : start + step]
            if len(self.scores) == self.most:
                index = index[upper[index] >= np.nextafter(np.float32(self.limit), np.float32(-np.inf))]
                if not len(index):
                    break
            scores = self._measure(half[index].astype(np.float64))
            rows = np.concatenate([self.rows, index + first])
            scores = np.concatenate([self.scores, scores])
            best = np.lexsort((rows, -scores))[: self.most]
            self.rows, self.scores = rows[best], scores[best]

    def _measure(self, rows: np.ndarray) -> np.ndarray:
        if self.metric == "euclidean":
            rows -= self.vector
            rows *= rows
            return -rows.sum(axis=1)
        lengths = np.sqrt((rows * rows).sum(axis=1))
        rows *= self.vector
        return rows.sum(axis=1) / np.where(lengths == 0, 1.0, lengths)

    def result(self) -> Nearest:
        return Nearest(self.rows, self.scores if self.metric == "cosine" else np.sqrt(-self.scores))
