"""Two threads that share a work: one makes things, the other takes them; for programs that let go of Python's lock."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

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


Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """Yield (item, ``work(item)``) as they come about, ``workers`` at a time, begun in the order given.

    An exception in one of them is raised here; nothing new is begun then, and the programs that run are ended when
    the caller leaves :func:`ends_with_command`.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, work(item)
        return
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    done: queue.SimpleQueue[tuple[Item, Any, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()

    def worker() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, work(item), None))
            except BaseException as error:  # handed to the caller below
                done.put((item, None, error))

    # Daemons: a stopped command does not wait for a transfer that hangs.
    for _ in range(min(workers, len(items))):
        threading.Thread(target=worker, daemon=True).start()
    try:
        for _ in items:
            item, result, error = done.get()
            if error is not None:
                raise error
            yield item, result
    finally:
        stop.set()


@contextlib.contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` every so many seconds, in a thread of its own, while the block runs."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
