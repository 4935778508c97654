"""Progress of a long command on stderr: a bar on a terminal, a line every ten seconds in a log.

Both show the runs that are done, the bytes and their rate over the last seconds; the bar shows the share of the work.
"""

import collections
import os
import sys
import threading
import time

from scripts.core.output import clear_line

_SILENCE = 10.0  # seconds without a line after which a log gets one
_RECENT = 15.0  # seconds over which the rate is measured
_BAR = 30  # columns, fewer on a narrow terminal


class Progress:
    """The progress of work on a number of runs; threads may share it."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.done = 0
        self._lock = threading.RLock()
        self._last_line = time.monotonic()
        self._seen = collections.deque([(self._last_line, 0)])  # time, bytes by then
        self._share = 0.0

    def report(self, line: str) -> None:
        """Print a line above the bar."""
        with self._lock:
            self._last_line = time.monotonic()
            if sys.stderr.isatty():
                clear_line()
            print(line, file=sys.stderr, flush=True)

    def show(self, size: int, share: float) -> None:
        """Show the bytes by now, and the share (0 to 1) of all work that is done."""
        with self._lock:
            now = time.monotonic()
            self._seen.append((now, size))
            while now - self._seen[0][0] > _RECENT and len(self._seen) > 2:
                self._seen.popleft()
            self._share = min(1.0, max(0.0, share))
            if sys.stderr.isatty():
                clear_line()
                print(self._bar(), end="", file=sys.stderr, flush=True)
            elif now - self._last_line >= _SILENCE:
                self.report(self.summary())

    def end(self) -> None:
        """Remove the bar."""
        with self._lock:
            if sys.stderr.isatty():
                clear_line()
                sys.stderr.flush()

    def summary(self) -> str:
        """Return a line such as ``3 of 96 runs, 1.2 GB, 20.0 MB/s``."""
        with self._lock:
            (begin, before), (now, size) = self._seen[0], self._seen[-1]
            rate = max(0, size - before) / max(0.001, now - begin)
            return f"{self.done} of {self.runs} runs, {format_bytes(size)}, {format_bytes(rate)}/s"

    def _bar(self) -> str:
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            width = 80
        text = f"{self._share:4.0%}  {self.summary()}"
        columns = min(_BAR, width - len(text) - 4)
        if columns < 5:
            return text[: width - 1]
        full = int(columns * self._share)
        return f"[{'=' * full}{' ' * (columns - full)}] {text}"


def format_bytes(size: float) -> str:
    """Return a number of bytes for people."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} bytes"
