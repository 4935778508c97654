"""In which order units download, so that scratch stays below its limit."""

import heapq
from collections.abc import Collection, Mapping


def take_turns(sizes: Mapping[str, float], limit: float, begun: Collection[str] = ()) -> dict[str, str]:
    """Return unit → the unit that must be done before it is begun, so that no more than ``limit`` is held at once.

    ``sizes`` says what each unit holds at its peak, in the unit of ``limit``; those in ``begun`` hold it already and
    wait for nothing. The others are put into lanes, of which each holds one unit at a time, the largest first: the
    first units of all lanes and what is begun add up to no more than the limit. Nothing waits for what is begun, which
    may have failed for good, unless there is no room beside it. A unit larger than the limit is begun all the same; it
    is its own stages that refuse it.
    """
    held = sum(sizes[name] for name in begun)
    lanes: list[tuple[float, str]] = []  # what a lane has to do, and its last unit
    before: dict[str, str] = {}
    for name in sorted(sizes.keys() - set(begun), key=lambda name: (-sizes[name], name)):
        if held + sizes[name] <= limit or not (lanes or begun):
            held += sizes[name]
            heapq.heappush(lanes, (sizes[name], name))
            continue
        if not lanes:
            lanes = [(sizes[started], started) for started in sorted(begun)]
            heapq.heapify(lanes)
        load, last = heapq.heappop(lanes)
        before[name] = last
        heapq.heappush(lanes, (load + sizes[name], name))
    return before
