"""Which cells a model is tested on: whole series (or samples, or shards), never single cells of them."""

import hashlib
import math
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from scripts.atlas.store.row_map import shard_segments
from scripts.atlas.store.shards import Atlas

SHARD = "shard"
SPLITS = ("series", "sample", SHARD)


def linked(atlases: Sequence[Atlas], column: str) -> dict[str, str]:
    """Return series (or sample) → the first of those with which it shares a run, an experiment or a sample.

    The same cells are often published in more than one series: these must be held out together. A series that shares
    nothing is its own first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups: dict[str, int] = {}
    hashes, owners = array("Q"), array("L")  # of names, which would need much more memory
    before: tuple[str, ...] = ()
    for atlas in atlases:
        for _, segments in shard_segments(atlas):
            for segment in segments:
                own = getattr(segment, column)
                group = groups.setdefault(own, len(groups))
                names = (own, *segment.run.split(";"), segment.experiment, segment.sample)
                if names == before:
                    continue
                before = names
                for name in {*names[1:]} - {""}:
                    hashes.append(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
                    owners.append(group)
    if not groups:
        return {}
    # A graph of groups and the names they have: groups that share a name are in one component.
    known, names_of = np.unique(np.array(hashes, np.uint64), return_inverse=True)
    size = len(groups) + len(known)
    edges = np.array(owners, np.int64), names_of + len(groups)
    graph = coo_array((np.ones(len(owners), bool), edges), shape=(size, size))
    components = connected_components(graph, directed=False)[1][: len(groups)].tolist()
    first: dict[int, str] = {}
    for name, component in sorted(zip(groups, components, strict=True)):
        first.setdefault(component, name)
    return {name: first[component] for name, component in zip(groups, components, strict=True)}


def hold_out(groups: Iterable[str], share: float, seed: int) -> set[str]:
    """Return the groups to test on: a share of them, at least one and not all, by a hash of seed and name.

    The choice does not depend on the other groups, so that a series that is added later moves few of them.
    """
    ordered = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed}\t{name}".encode()).digest())
    return set(ordered[: min(max(1, math.floor(share * len(ordered) + 0.5)), len(ordered) - 1)])
