"""How far a long command is, told on stderr: a bar on a terminal, a line now and then in a log.

Both tell the share of the work, the bytes, their rate over the last seconds, and the runs that are done.
"""

import collections
import os
import sys
import threading
import time

_SILENCE = 10.0  # seconds without a word after which a log is told how far we are
_RECENT = 15.0  # seconds over which the rate is taken
_BAR = 30  # columns, where there are so many
_CLEAR = "\r\x1b[K"


class Progress:
    """The progress of work on some runs; safe for threads."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.done = 0
        self._guard = threading.RLock()
        self._told = time.monotonic()
        self._seen = collections.deque([(self._told, 0)])  # time, bytes by then
        self._share = 0.0

    def tell(self, words: str) -> None:
        """Print a line; a bar moves below it."""
        with self._guard:
            self._told = time.monotonic()
            print(f"{_CLEAR if sys.stderr.isatty() else ''}{words}", file=sys.stderr, flush=True)

    def show(self, size: int, share: float) -> None:
        """Show how far we are: bytes by now, and the share (0 to 1) of all work that is done."""
        with self._guard:
            now = time.monotonic()
            self._seen.append((now, size))
            while now - self._seen[0][0] > _RECENT and len(self._seen) > 2:
                self._seen.popleft()
            self._share = min(1.0, max(0.0, share))
            if sys.stderr.isatty():
                print(f"{_CLEAR}{self._bar()}", end="", file=sys.stderr, flush=True)
            elif now - self._told >= _SILENCE:
                self.tell(self.words())

    def end(self) -> None:
        """Take the bar away."""
        with self._guard:
            if sys.stderr.isatty():
                print(_CLEAR, end="", file=sys.stderr, flush=True)

    def words(self) -> str:
        """Return how far we are: ``3 of 96 runs, 1.2 GB, 20.0 MB/s``."""
        with self._guard:
            (begin, before), (now, size) = self._seen[0], self._seen[-1]
            rate = max(0, size - before) / max(0.001, now - begin)
            return f"{self.done} of {self.runs} runs, {told_bytes(size)}, {told_bytes(rate)}/s"

    def _bar(self) -> str:
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            width = 80
        words = f"{self._share:4.0%}  {self.words()}"
        columns = min(_BAR, width - len(words) - 4)
        if columns < 5:
            return words[: width - 1]
        full = int(columns * self._share)
        return f"[{'=' * full}{' ' * (columns - full)}] {words}"


def told_bytes(size: float) -> str:
    """Return a number of bytes for people."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} bytes"
