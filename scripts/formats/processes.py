"""Running programs, several side by side, so that nothing goes on after its command has ended.

Every program gets a process group of its own. The groups are ended when the command stops for whatever reason: an
error, SIGTERM, Ctrl-C (:func:`ends_with_command`), and by the kernel when the command itself is killed (``setpriv
--pdeathsig`` of util-linux, where it is there).
"""

import contextlib
import functools
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scripts.formats.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

STALLED = -1000  # status of a program that was ended because nothing moved
_running: set[subprocess.Popen[bytes]] = set()
_guard = threading.Lock()


class Finished(NamedTuple):
    """What a program left: its exit status (:data:`STALLED`, or minus the signal) and what it said, as text."""

    status: int
    output: str
    errors: str


@functools.cache
def _leash() -> tuple[str, ...]:
    """The words before a command line that let the kernel end the program together with us; none where impossible."""
    words = ("setpriv", "--pdeathsig", "KILL", "--")
    if shutil.which(words[0]) is None:
        return ()
    probe = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if probe.returncode == 0 else ()


def run_program(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    progress: Callable[[], int] | None = None,
    patience: float = 0,
) -> Finished:
    """Run a program to its end and return what it left.

    With ``progress`` and ``patience``, the program is ended with the status :data:`STALLED` when the value of
    ``progress()`` has not changed for ``patience`` seconds. Raises InputError where there is no such program.
    """
    if shutil.which(arguments[0]) is None:
        raise InputError(f"The program {arguments[0]!r} is not there; it is part of the environments in envs/.")
    with _guard:
        process = subprocess.Popen(
            [*_leash(), *arguments],
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        _running.add(process)
    stalled = False
    moved, last = time.monotonic(), None
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=0.5 if progress and patience else None)
                break
            except subprocess.TimeoutExpired:
                now = progress() if progress else None
                if now != last:
                    moved, last = time.monotonic(), now
                elif time.monotonic() - moved > patience and not stalled:
                    stalled = True
                    _end([process])
    finally:
        with _guard:
            _running.discard(process)
        if process.poll() is None:
            _end([process])
    status = STALLED if stalled else process.returncode
    return Finished(status, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def _end(processes: Iterable[subprocess.Popen[bytes]], grace: float = 3.0) -> None:
    """End process groups: ask, wait a little, then kill."""
    processes = [process for process in processes if process.poll() is None]
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        until = time.monotonic() + seconds
        while any(process.poll() is None for process in processes) and time.monotonic() < until:
            time.sleep(0.02)


def end_all() -> None:
    """End every program that :func:`run_program` has running."""
    with _guard:
        processes = list(_running)
    _end(processes)


@contextlib.contextmanager
def ends_with_command() -> Iterator[None]:
    """Inside the block SIGTERM ends the command as Ctrl-C does, and no program survives the block."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if in_main_thread else None
    try:
        yield
    finally:
        end_all()
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


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


def size_of_folder(folder: str | Path) -> int:
    """Return how many bytes the files below a folder hold; a file that goes while we look counts as nothing."""
    total = 0
    stack = [str(folder)]
    while stack:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total
