"""Cells as points: logarithms of counts per 10,000, and the axes along which cells differ most.

Every number of a cell is computed from that cell's own row, in the order of its genes: which cells are computed
together changes no bit of it. The axes (:func:`truncated_svd`) are computed by LAPACK: the same bits on one
kind of machine with one thread, see :func:`~scripts.core.numeric.one_thread`.
"""

import hashlib

import numpy as np
import scipy.sparse

PER = 10_000  # counts to which a cell is scaled
OVERSAMPLING = 32
ROUNDS = 4
"""Additional columns, and power iterations, of the randomised subspace (Halko, Martinsson and Tropp 2011)."""


def seed_of(seed: int, name: str) -> int:
    """Return the seed (32 bits) of a name, e.g. of a run: by sha256, so that the order of work does not matter."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "big")


def totals(counts: scipy.sparse.csr_matrix) -> np.ndarray:
    """Return the sum of each row of whole numbers, exactly."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts.data, dtype=np.int64)])
    return sums[counts.indptr[1:]] - sums[counts.indptr[:-1]]


def log_normalise(counts: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """Return log(1 + 10,000 · count / sum of the cell) in float64; 0 for a cell without counts."""
    sums = np.maximum(totals(counts), 1)
    scaled = counts.data * float(PER) / np.repeat(sums, np.diff(counts.indptr))
    return scipy.sparse.csr_matrix((np.log1p(scaled), counts.indices, counts.indptr), shape=counts.shape)


def as_rows(values: np.ndarray) -> scipy.sparse.csr_matrix:
    """Return an array as csr_matrix with all its values: its product sums up each row by itself, in one order.

    The products of BLAS do not: how they sum up a row depends on how many rows there are.
    """
    rows, columns = values.shape
    indices = np.tile(np.arange(columns, dtype=np.int32), rows)
    pointers = np.arange(0, rows * columns + 1, max(columns, 1), dtype=np.int32)[: rows + 1]
    return scipy.sparse.csr_matrix((values.reshape(-1), indices, pointers), shape=values.shape)


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Return each row divided by its length; a row of zeros stays zeros."""
    lengths = np.sqrt(np.cumsum(values * values, axis=1)[:, -1:])  # in one order, for any number of rows
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)


class Centred:
    """A sparse matrix less the mean of each column, for products only; it stays sparse."""

    def __init__(self, matrix: scipy.sparse.csr_matrix, transposed: bool = False) -> None:
        self.matrix, self.transposed = matrix, transposed
        self.means = np.asarray(matrix.mean(axis=0)).reshape(-1)
        self.shape = matrix.shape[::-1] if transposed else matrix.shape

    @property
    def T(self) -> "Centred":  # noqa: N802, as numpy and scipy call it
        return Centred(self.matrix, not self.transposed)

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        if self.transposed:
            return self.matrix.T @ other - np.outer(self.means, other.sum(axis=0))
        return self.matrix @ other - self.means @ other


def neighbours(counts: scipy.sparse.csr_matrix, most: int, components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other cells of each cell, nearest first, and their distances: [cells, at most ``most``].

    Exact, by Euclidean distance on the principal components of the logarithms of counts per 10,000.
    """
    cells = counts.shape[0]
    number = max(0, min(most, cells - 1))
    found, far = np.zeros((cells, number), np.int64), np.zeros((cells, number))
    if not number:
        return found, far
    space = Centred(log_normalise(counts))
    _, axes = truncated_svd(space, components, seed)
    points = space @ np.ascontiguousarray(axes.T)
    squares = (points * points).sum(axis=1)
    rows = max(1, (1 << 24) // cells)
    for start in range(0, cells, rows):
        mine = slice(start, min(start + rows, cells))
        between = squares[mine, None] + squares - 2 * (points[mine] @ points.T)
        between[np.arange(between.shape[0]), np.arange(mine.start, mine.stop)] = np.inf
        nearest = np.argsort(between, axis=1, kind="stable")[:, :number]
        found[mine] = nearest
        far[mine] = np.sqrt(np.maximum(np.take_along_axis(between, nearest, axis=1), 0))
    return found, far


def truncated_svd(matrix: scipy.sparse.csr_matrix, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values [k] and right singular vectors [k, columns] of a sparse matrix, greatest first.

    ``k`` is the rank where that is smaller than ``most``. The matrix is not centred. In each vector the value
    that is farthest from 0 is positive. A random subspace is improved by :data:`ROUNDS` power iterations; where the
    smaller side of the matrix is at most ``most`` plus :data:`OVERSAMPLING`, the result is exact.
    """
    rows, columns = matrix.shape
    width = min(most + OVERSAMPLING, rows, columns)
    if width == 0:
        return np.zeros(0), np.zeros((0, columns))
    transposed = matrix.T
    start = np.random.RandomState(seed).standard_normal((columns, width))
    basis = np.linalg.qr(matrix @ start)[0]
    del start
    for _ in range(ROUNDS):
        basis = np.linalg.qr(matrix @ np.linalg.qr(transposed @ basis)[0])[0]
    _, values, vectors = np.linalg.svd((transposed @ basis).T, full_matrices=False)
    rank = int((values > values[0] * max(rows, columns) * np.finfo(np.float64).eps).sum()) if values[0] > 0 else 0
    values, vectors = values[: min(rank, most)], vectors[: min(rank, most)]
    greatest = np.abs(vectors).argmax(axis=1)
    signs = np.where(vectors[np.arange(len(vectors)), greatest] < 0, -1.0, 1.0)
    return values, vectors * signs[:, None]
