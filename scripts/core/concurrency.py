"""Two threads that share a work: one makes things, the other takes them; for programs that let go of Python's lock."""

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()
_WAIT = 0.5  # seconds after which it is asked whether the taker is still there


def hand_over(things: Iterable[T], take: Callable[[Iterator[T]], None], ahead: int) -> None:
    """Have another thread take ``things`` while they are made here, at most ``ahead`` of them waiting.

    What goes wrong on either side ends both, and is raised.
    """
    waiting: queue.Queue[object] = queue.Queue(ahead)
    made = False

    def arrive() -> Iterator[T]:
        while (thing := waiting.get()) is not _END:
            yield thing  # type: ignore[misc]
        if not made:
            raise InterruptedError("what was to be taken was not made")

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take, arrive())
        try:
            for thing in things:
                if not _put(waiting, thing, taken):
                    break
            made = True
        finally:
            _put(waiting, _END, taken)
        taken.result()


def _put(waiting: "queue.Queue[object]", thing: object, taken: "Future[None]") -> bool:
    """Put a thing into the queue; return False where nobody takes it any more."""
    while not taken.done():
        try:
            waiting.put(thing, timeout=_WAIT)
        except queue.Full:
            continue
        return True
    return False
