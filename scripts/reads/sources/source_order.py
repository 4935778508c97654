"""Which source is asked for a run, when, and how often: the policy of a download, without any transfer.

The sources are asked in passes with growing waits. A source whose answer is final ("404", another checksum) is not
asked again, an archive that two sources have broken is not looked for at a third, and a source that fails for one run
after the other is asked last for those that follow.
"""

import enum
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scripts.core.errors import RunFault
from scripts.plan.run_table import SOURCES
from scripts.reads.sources.remote_files import BAM, FASTQ, SUBMITTED

# When every source failed, the gravest of their faults names the run's.
_GRAVITY = (
    *("ARCHIVE_CORRUPT", "REFERENCE_MISSING", "READS_MISSING", "MATES_DISAGREE", "CHECKSUM_MISMATCH"),
    *("QUALITY_LITE", "BARCODE_LOST", "DOWNLOAD_FAILED"),
)
_LONGEST_WAIT = 120.0  # seconds between two passes
_LONGEST_REQUESTED_WAIT = 600.0  # seconds, where a server asks for more
_PROGRESS = 1 << 20  # bytes that a transfer must add for its pass not to count
_UNRELIABLE = 3  # failed runs in a row after which a source is asked last


class Again(enum.IntEnum):
    """How often a source may be asked again for a run."""

    NEVER = 0
    ONCE = 1
    EVERY_PASS = 2


class SourceFault(Exception):
    """A source failed for a run; ``reason`` is that of the run if no other source has it.

    ``wait`` is the number of seconds for which the server asks before the next request; ``cause`` that of a RunFault.
    """

    def __init__(
        self, reason: str, sentence: str, again: Again = Again.NEVER, wait: float = 0.0, cause: str = ""
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence.rstrip(".")
        self.again = again
        self.wait = wait
        self.cause = cause


@dataclass
class Source:
    """A source in the download of one run."""

    name: str
    again: Again = Again.EVERY_PASS
    fault: SourceFault | None = None
    most_bytes: int = 0
    """The most that a transfer has left of the run."""
    late: bool = False
    """Whether it stands in for the others: asked when they have failed."""


class SourceOrder:
    """The order of the sources for all runs of a unit; safe for threads.

    ENA's FASTQ stands in for archives, with ``ena`` among the sources, where it has no position of its own; and what
    was submitted for all other sources.
    ``more_passes`` follow the first one, ``first_wait`` seconds after it and then twice as long each time.
    """

    def __init__(self, order: Sequence[str], more_passes: int, first_wait: float) -> None:
        self.order = list(order)
        self.more_passes = more_passes
        self.first_wait = first_wait
        self._guard = threading.Lock()
        self._failures: dict[str, int] = {}  # in a row

    def passes(self, planned: str, lost: bool = False) -> "Passes":
        """Return the passes of a run that is planned from this source (``bam``, ``submitted``, or any other).

        ``lost``: its archive has lost reads, so that what was submitted is asked first.
        """
        if planned in (BAM, SUBMITTED):
            return Passes(self, [Source(planned)])
        with self._guard:
            names = sorted(self.order, key=lambda name: self._failures.get(name, 0) >= _UNRELIABLE)
        sources = [Source(name) for name in names if name != SUBMITTED]
        if "ena" in names and FASTQ not in names:
            sources.append(Source(FASTQ, late=True))
        if SUBMITTED in names:
            sources.insert(0 if lost else len(sources), Source(SUBMITTED, late=not lost))
        return Passes(self, sources)

    def note(self, name: str, failed: bool) -> None:
        """Note whether a source failed for a run."""
        with self._guard:
            self._failures[name] = self._failures.get(name, 0) + 1 if failed else 0


class Passes:
    """The sources of one run, pass after pass: iterate, and report how each one did.

    A pass in which more of the run arrived than ever does not count: a server may cut each transfer short.
    """

    def __init__(self, order: SourceOrder, sources: Sequence[Source]) -> None:
        self.order = order
        self.sources = list(sources)
        self._counted = 0
        self._progress = False

    def __iter__(self) -> Iterator[tuple[Source, bool]]:
        """Yield a source, and whether another one may still be asked if it is slow."""
        while self._counted <= self.order.more_passes and self._open():
            self._wait()
            self._progress = False
            for source in self.sources:
                others = self._open(besides=source)
                if not source.again or (source.late and others and self._waits(source)):
                    continue
                if source.again == Again.ONCE:
                    source.again = Again.NEVER
                faster = any(other.name != SUBMITTED for other in others)
                yield source, faster and self._counted < self.order.more_passes
            self._counted += not self._progress

    def _waits(self, source: Source) -> bool:
        """Whether a source that stands in for others waits for a later pass.

        FASTQ does for the second one, and as long as archives arrive in parts; what was submitted for the last one.
        """
        return not self._counted if source.name == FASTQ else self._counted < self.order.more_passes

    def _open(self, besides: Source | None = None) -> list[Source]:
        return [source for source in self.sources if source.again and source is not besides]

    def _wait(self) -> None:
        if any(source.fault for source in self.sources):
            wait = min(_LONGEST_WAIT, self.order.first_wait * 2 ** max(0, self._counted - 1))
            requested = [source.fault.wait for source in self._open() if source.fault]
            time.sleep(min(_LONGEST_REQUESTED_WAIT, max([wait, *requested])))

    def answered(self, source: Source, found: bool) -> None:
        """Note that a source gave the run, or has nothing of it."""
        if found:
            self.order.note(source.name, failed=False)
        else:
            source.again = Again.NEVER

    def failed(self, source: Source, fault: SourceFault, arrived: int) -> None:
        """Note the fault of a source, of whose transfer so many bytes are on disk."""
        source.fault = fault
        source.again = min(source.again, fault.again)
        self.order.note(source.name, failed=fault.reason == "DOWNLOAD_FAILED" and fault.again > Again.NEVER)
        self._progress |= arrived >= source.most_bytes + _PROGRESS
        source.most_bytes = max(arrived, source.most_bytes)
        faults = [other.fault for other in self.sources if other.fault]
        broken = sum(one.reason == "ARCHIVE_CORRUPT" for one in faults) > 1
        if broken or (fault.reason == "REFERENCE_MISSING" and not fault.again):  # all mirrors have the same bytes
            for other in self.sources:
                other.again = other.again if other.name in (FASTQ, SUBMITTED) else Again.NEVER

    def run_fault(self) -> RunFault:
        """Return the fault of the run after the last pass."""
        faults = {source.name: source.fault for source in self.sources if source.fault}
        if not faults:
            names = ", ".join(source.name for source in self.sources)
            return RunFault("DOWNLOAD_FAILED", f"the records name no file of the run at {names}.")
        known = [reason for reason in _GRAVITY if any(fault.reason == reason for fault in faults.values())]
        reason = known[0] if known else next(iter(faults.values())).reason
        sentences = [f"{name}: {faults[name].sentence}" for name in (*SOURCES, FASTQ, SUBMITTED, BAM) if name in faults]
        causes = {fault.cause for fault in faults.values() if fault.reason == reason}
        return RunFault(reason, "; ".join(sentences) + ".", causes.pop() if len(causes) == 1 else "")
