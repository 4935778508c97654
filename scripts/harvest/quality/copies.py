"""Copies among many things that are each known by a sketch: the smallest of the hashes of what they are made of.

Of two sketches, the hashes up to the smaller of both largest ones are a random sample of both things, so that the share
of them that is in both estimates how much of the smaller thing is in the other one (Broder 1997, On the resemblance and
containment of documents). Things that share hashes are neighbours among all hashes in order: no pair is compared that
shares none.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Likeness(NamedTuple):
    """Two things that share some of what they are made of, by their numbers."""

    one: int
    other: int
    shared: int
    """Hashes in both sketches."""
    share: float
    """Of the sampled hashes of the smaller thing, those that the other has, from 0 to 1."""


def smallest_of_each(owners: np.ndarray, hashes: np.ndarray, size: int, things: int) -> list[np.ndarray]:
    """Return the sketch of each thing, up to ``size`` of its hashes; ``owners`` are the things of the hashes.

    A thing has each of its hashes once.
    """
    if np.any(owners[1:] < owners[:-1]):
        order = np.argsort(owners, kind="stable")
        owners, hashes = owners[order], hashes[order]
    bounds = np.searchsorted(owners, np.arange(things + 1))
    return [smallest(hashes[start:end], size) for start, end in itertools.pairwise(bounds)]


def smallest(hashes: np.ndarray, size: int) -> np.ndarray:
    """Return the smallest hashes, up to ``size``, in order."""
    return np.sort(np.partition(hashes, size - 1)[:size] if hashes.size > size else hashes)


def find_alike(sketches: Sequence[np.ndarray], size: int, least: int) -> list[Likeness]:
    """Return the pairs of things that share ``least`` hashes or more, each thing with a partner of those like it.

    ``size`` is that of a whole sketch. Where many are alike, not every two of them are a pair.
    """
    if not sketches:
        return []
    hashes = np.concatenate(sketches).astype(np.uint64)
    owners = np.repeat(np.arange(len(sketches), dtype=np.int64), [sketch.size for sketch in sketches])
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    pairs, times = np.unique(owners[same] * len(sketches) + owners[same + 1], return_counts=True)
    likely = pairs[times >= max(1, least // 2)].tolist()  # a third thing may be between the two at other hashes
    found = (_compare(sketches, pair // len(sketches), pair % len(sketches), size) for pair in likely)
    return [likeness for likeness in found if likeness.shared >= least]


def _compare(sketches: Sequence[np.ndarray], one: int, other: int, size: int) -> Likeness:
    first, second = sketches[one], sketches[other]
    limit = min((int(sketch[-1]) for sketch in (first, second) if sketch.size == size), default=2**64 - 1)
    sampled = min(int((sketch <= np.uint64(limit)).sum()) for sketch in (first, second))
    shared = int(np.isin(first, second, assume_unique=True).sum())
    return Likeness(one, other, shared, shared / sampled)


def best_partners(alike: Sequence[Likeness]) -> dict[int, tuple[int, Likeness]]:
    """Return thing → the one that is most like it, the first of several."""
    best: dict[int, tuple[int, Likeness]] = {}
    for likeness in alike:
        for thing, other in ((likeness.one, likeness.other), (likeness.other, likeness.one)):
            if thing not in best or likeness.share > best[thing][1].share:
                best[thing] = other, likeness
    return best
