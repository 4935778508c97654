"""The disk of a unit while its runs are downloaded or converted: room for each run, and the most that is used."""

import contextlib
import math
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scripts.core.concurrency import every
from scripts.core.errors import DISK_FULL, RunFault
from scripts.core.progress import Progress
from scripts.core.subprocesses import ends_if_removed
from scripts.plan.run_table import Run
from scripts.plan.sizes.footprint import beyond_limit, unit_footprint


class DiskRoom:
    """Room for the runs of a unit that are worked on side by side; safe for threads.

    ``limit_gb`` is the bound on all that the unit has on disk, if any, and ``finished`` returns the bytes that the runs
    before left there.
    """

    def __init__(self, folder: Path, rows: Sequence[Run], limit_gb: float | None, finished: Callable[[], int]) -> None:
        self.folder = folder
        self.rows = rows
        self.limit_gb = limit_gb
        self.finished = finished
        self._guard = threading.Lock()
        self._reserved: dict[str, int] = {}

    def reserve(self, row: Run, need: int, clause: str, arrived: int = 0) -> None:
        """Reserve bytes for a run, of which some have ``arrived``, instead of what was reserved for it before.

        Raises RunFault(DISK_LIMIT), which begins with the clause.
        """
        with self._guard:
            self._reserved.pop(row.run, None)
            others = sum(self._reserved.values())
            self._reserved[row.run] = need
        if need - arrived > shutil.disk_usage(self.folder).free - others:
            raise RunFault("DISK_LIMIT", f"{clause}, and the disk has no room for it.", DISK_FULL)
        total = self.finished() + others + need
        if self.limit_gb is not None and total > self.limit_gb * 1e9:
            most = max(total, unit_footprint(self.rows).peak)
            raise RunFault("DISK_LIMIT", f"{clause}, which {beyond_limit(self.limit_gb, most, row)}")

    def left_for(self, row: Run) -> float:
        """Return the bytes that a run may have below the limit, beside what is there and what others reserved."""
        if self.limit_gb is None:
            return math.inf
        with self._guard:
            others = sum(need for run, need in self._reserved.items() if run != row.run)
        return max(0, self.limit_gb * 1e9 - self.finished() - others)

    def release(self, row: Run) -> None:
        """Give back what is reserved for a run."""
        with self._guard:
            self._reserved.pop(row.run, None)


class UnitWatch:
    """Reports the progress of a unit's runs on stderr, and ends the job when its output is removed.

    ``measure`` returns the bytes that the unit has on disk, ``estimate`` is their number at the end.
    """

    def __init__(self, runs: int, output: Path, measure: Callable[[], int], estimate: int) -> None:
        self.progress = Progress(runs)
        self.measure = measure
        self.estimate = estimate
        self.peak = self.before = measure()
        self._end_if_removed = ends_if_removed(output)

    @contextlib.contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Report at an interval inside the block."""
        with every(seconds, self._tick):
            yield
        self.progress.end()

    def _tick(self) -> None:
        self._end_if_removed()  # Snakemake removes the output of a cut job before another one starts
        self.look()

    def look(self) -> None:
        """Measure and show the progress."""
        size = self.measure()
        self.peak = max(self.peak, size)
        expected = max(1, self.estimate - self.before)
        share = max((size - self.before) / expected, self.progress.done / self.progress.runs)
        self.progress.show(max(0, size - self.before), share)

    def finish(self, line: str) -> None:
        """Count a run as done, and report it in a line."""
        self.progress.done += 1
        self.look()
        self.progress.report(f"{line.rstrip('.')}. {self.progress.summary()}")

    def report_peak(self, estimate: int) -> None:
        """Report the most that was on disk, beside its estimate."""
        self.peak = max(self.peak, self.measure())
        self.progress.report(f"Disk: at most {self.peak / 1e6:.1f} MB; the estimate was {estimate / 1e6:.1f} MB.")
