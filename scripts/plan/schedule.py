"""In which order units download, so that scratch stays below its limit."""

import heapq
from collections.abc import Collection, Mapping


def chain_units(sizes: Mapping[str, float], limit: float, holding: Collection[str] = ()) -> dict[str, str]:
    """Return unit → the unit that must end before it starts, so that all together hold no more than ``limit``.

    ``sizes`` is what each unit holds at its peak, in the same measure as ``limit``. Those in ``holding`` have started
    and wait for nothing. The others form chains, largest first; a chain holds one unit at a time, and the first units
    of all chains and those in ``holding`` add up to no more than the limit. No unit waits for one in ``holding``, which
    may have failed for good, unless there is no room beside it. A unit larger than the limit starts all the same; its
    own stages refuse it.
    """
    used = sum(sizes[name] for name in holding)
    chains: list[tuple[float, str]] = []  # what a chain has to do in all, and its last unit
    before: dict[str, str] = {}
    for name in sorted(sizes.keys() - set(holding), key=lambda name: (-sizes[name], name)):
        if used + sizes[name] <= limit or not (chains or holding):
            used += sizes[name]
            heapq.heappush(chains, (sizes[name], name))
            continue
        if not chains:
            chains = [(sizes[started], started) for started in sorted(holding)]
            heapq.heapify(chains)
        load, last = heapq.heappop(chains)
        before[name] = last
        heapq.heappush(chains, (load + sizes[name], name))
    return before
