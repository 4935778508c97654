"""Which cells a model is tested on: whole series (or samples, or shards), never single cells of them."""

import hashlib
import math
from array import array
from collections.abc import Iterable, Sequence

from scripts.atlas.store.map_codes import shard_segments
from scripts.atlas.store.shards import Atlas

SHARD = "shard"
SPLITS = ("series", "sample", SHARD)


def linked(atlases: Sequence[Atlas], column: str) -> dict[str, str]:
    """Return series (or sample) → the first of those with which it shares a run, an experiment or a sample.

    The same cells are often published in more than one series: these must be held out together. Those that share
    nothing stand for themselves.
    """
    import numpy as np

    places: dict[str, int] = {}
    marks, owners = array("Q"), array("L")
    before: tuple[str, ...] = ()
    for atlas in atlases:
        for _, segments in shard_segments(atlas):
            for segment in segments:
                own = getattr(segment, column)
                place = places.setdefault(own, len(places))
                names = (own, *segment.run.split(";"), segment.experiment, segment.sample)
                if names == before:
                    continue
                before = names
                for name in {*names[1:]} - {""}:
                    marks.append(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
                    owners.append(place)
    parents = list(range(len(places)))

    def root(place: int) -> int:
        while parents[place] != place:
            place = parents[place]
        return place

    if len(marks):
        keys, groups = np.frombuffer(marks, np.uint64), np.frombuffer(owners, np.dtype("L"))
        order = np.argsort(keys, kind="stable")
        same = keys[order][1:] == keys[order][:-1]
        other = groups[order][1:] != groups[order][:-1]
        for at in np.flatnonzero(same & other).tolist():
            first, second = sorted((root(int(groups[order[at]])), root(int(groups[order[at + 1]]))))
            parents[second] = first
    names = list(places)
    together: dict[int, list[str]] = {}
    for place, name in enumerate(names):
        together.setdefault(root(place), []).append(name)
    return {name: min(members) for members in together.values() for name in members}


def hold_out(groups: Iterable[str], share: float, seed: int) -> set[str]:
    """Return the groups to test on: a share of them, at least one and not all, by a hash of seed and name.

    Which ones does not depend on the others, so that a series that comes later moves few of them.
    """
    ordered = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed}\t{name}".encode()).digest())
    return set(ordered[: min(max(1, math.floor(share * len(ordered) + 0.5)), len(ordered) - 1)])
