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

_LARGEST = (1 << 64) - 1


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


def find_alike(sketches: Sequence[np.ndarray], size: int, least: int, most: int | None = None) -> list[Likeness]:
    """Return the pairs of things that share ``least`` hashes or more, each thing with a partner of those like it.

    ``size`` is that of a whole sketch. Hashes that more than ``most`` things have say nothing of any of them and are
    not compared. Where many are alike, not every two of them are a pair.
    """
    if not sketches:
        return []
    limits = [int(sketch[-1]) if sketch.size == size else _LARGEST for sketch in sketches]
    hashes = np.concatenate(sketches).astype(np.uint64)
    owners = np.repeat(np.arange(len(sketches), dtype=np.int64), [sketch.size for sketch in sketches])
    if most is not None:
        _, kinds, times = np.unique(hashes, return_inverse=True, return_counts=True)
        kept = times[kinds] <= most
        hashes, owners = hashes[kept], owners[kept]
        sketches = np.split(hashes, np.searchsorted(owners, np.arange(1, len(sketches))))
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    pairs, times = np.unique(owners[same] * len(sketches) + owners[same + 1], return_counts=True)
    likely = pairs[times >= max(1, least // 2)].tolist()  # a third thing may be between the two at other hashes
    found = []
    for one, other in (divmod(pair, len(sketches)) for pair in likely):
        limit = np.uint64(min(limits[one], limits[other]))
        sampled = min(int((sketches[thing] <= limit).sum()) for thing in (one, other))
        shared = int(np.isin(sketches[one], sketches[other], assume_unique=True).sum())
        if shared >= least:
            found.append(Likeness(one, other, shared, shared / sampled))
    return found


def best_partners(alike: Sequence[Likeness]) -> dict[int, tuple[int, Likeness]]:
    """Return thing → the one that is most like it, the first of several."""
    best: dict[int, tuple[int, Likeness]] = {}
    for likeness in alike:
        for thing, other in ((likeness.one, likeness.other), (likeness.other, likeness.one)):
            if thing not in best or likeness.share > best[thing][1].share:
                best[thing] = other, likeness
    return best
