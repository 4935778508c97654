"""Threads: items that are produced ahead of their consumer, work on several items at a time, repeated calls."""

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END = object()
_POLL = 0.5  # seconds after which a producer looks whether its consumer still runs


def produce_ahead(items: Iterable[Item], consume: Callable[[Iterator[Item]], None], ahead: int) -> None:
    """Iterate over ``items`` while another thread consumes them, at most ``ahead`` of them waiting.

    Use it where both sides release Python's lock. An error on either side ends both, and is raised.
    """
    waiting: queue.Queue[object] = queue.Queue(ahead)
    complete = False

    def arriving() -> Iterator[Item]:
        while (item := waiting.get()) is not _END:
            yield item  # type: ignore[misc]
        if not complete:
            raise InterruptedError("the items are not complete")

    with ThreadPoolExecutor(1) as pool:
        consumer = pool.submit(consume, arriving())
        try:
            for item in items:
                if not _put(waiting, item, consumer):
                    break
            complete = True
        finally:
            _put(waiting, _END, consumer)
        consumer.result()


def _put(waiting: "queue.Queue[object]", item: object, consumer: "Future[None]") -> bool:
    """Put an item into the queue; return False where the consumer has ended."""
    while not consumer.done():
        with contextlib.suppress(queue.Full):
            waiting.put(item, timeout=_POLL)
            return True
    return False


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """Yield (item, ``work(item)``) as they are completed, ``workers`` at a time, started in the order given.

    The first error is raised here and no further item is started; the programs that still run are ended when the
    caller leaves :func:`scripts.core.subprocesses.ends_with_command`.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, work(item)
        return
    waiting = iter(items)  # the threads share it
    done: queue.SimpleQueue[tuple[Item, Future[Result]]] = queue.SimpleQueue()
    stop = threading.Event()

    def worker() -> None:
        for item in itertools.takewhile(lambda _: not stop.is_set(), waiting):
            future: Future[Result] = Future()
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)
            done.put((item, future))

    # Daemons: a command that is stopped does not wait for a transfer that hangs.
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(workers, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for _ in items:
            item, future = done.get()
            yield item, future.result()
        for thread in threads:  # they have nothing more to do
            thread.join()
    finally:
        stop.set()


@contextlib.contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` at an interval, in a thread of its own, while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
