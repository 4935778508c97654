"""Barcodes that the cells of two libraries of a series share, against chance: index hopping, or parts of one library.

Two libraries of one kit draw the barcodes of their cells from one inclusion list, so that n₁·n₂/N are expected in both.
As many as k or more have a probability of at most exp(k − λ − k·ln(k/λ)) with λ = n₁·n₂/N (Chernoff's bound, which
holds for the hypergeometric distribution as well: Hoeffding 1963).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.harvest.quality.flags import OVERLAP_FOLD, OVERLAP_P, OVERLAP_SHARE


class SharedBarcodes(NamedTuple):
    """What a library shares with the one of its series with which it shares most, over what is expected."""

    other: int
    shared: int
    expected: float
    is_above_chance: bool


def shared_barcodes(libraries: Sequence[Sequence[str]], list_size: int) -> list[SharedBarcodes | None]:
    """Return for each library, given by the barcodes of its cells, what it shares; None without another one with cells.

    ``list_size`` is the number of barcodes that there are.
    """
    import scipy.sparse

    found: list[SharedBarcodes | None] = [None] * len(libraries)
    with_cells = [number for number, barcodes in enumerate(libraries) if len(barcodes)]
    if len(with_cells) < 2:
        return found
    sizes = np.array([len(libraries[number]) for number in with_cells])
    _, codes = np.unique(np.concatenate([libraries[number] for number in with_cells]), return_inverse=True)
    rows = np.repeat(np.arange(len(with_cells)), sizes)
    cells = scipy.sparse.csr_matrix((np.ones(codes.size, np.int64), (rows, codes)))
    shared = np.asarray((cells @ cells.T).todense())
    expected = np.outer(sizes, sizes) / list_size
    over = shared / expected
    np.fill_diagonal(over, -1)
    pairs = len(with_cells) * (len(with_cells) - 1) // 2
    for at, number in enumerate(with_cells):
        other = int(np.argmax(over[at]))
        times, chance = int(shared[at, other]), float(expected[at, other])
        is_above = (
            over[at, other] >= OVERLAP_FOLD
            and 100 * times >= OVERLAP_SHARE * min(sizes[at], sizes[other])
            and math.log(pairs) + log_tail(times, chance) <= math.log(OVERLAP_P)
        )
        found[number] = SharedBarcodes(with_cells[other], times, chance, bool(is_above))
    return found


def log_tail(times: int, expected: float) -> float:
    """Return a bound of the logarithm of the probability of so many or more, where ``expected`` are expected."""
    return times - expected - times * math.log(times / expected) if times > expected else 0.0
