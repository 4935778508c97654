"""What a program and everything that it starts use: CPU, memory, disk, bytes written, and the CPU of each of its steps.

CPU (``wait4``) and bytes written (``write_bytes`` of ``/proc/PID/io``) are exact: the kernel adds those of a process to
its parent's when it ends. Bytes written are those of files on a disk, also of files that are deleted before they reach
it; pipes, shared memory and tmpfs are not among them. The rest is sampled.
"""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from scripts.core.concurrency import every
from scripts.core.disk.files import size_of_folder

_TICKS = os.sysconf("SC_CLK_TCK")
_SHELLS = ("bash", "dash", "sh")


class Usage(NamedTuple):
    """CPU and wall seconds, the largest memory and the most bytes on disk (MB), bytes written (MB), and step → CPU."""

    cpu: float = 0.0
    wall: float = 0.0
    peak_mb: float = 0.0
    scratch_mb: float = 0.0
    written_mb: float = 0.0
    steps: Mapping[str, float] = {}

    def then(self, other: "Usage") -> "Usage":
        """Return the usage of this work and of another one after it."""
        steps = Counter(self.steps)
        steps.update(other.steps)
        return Usage(
            self.cpu + other.cpu,
            self.wall + other.wall,
            max(self.peak_mb, other.peak_mb),
            max(self.scratch_mb, other.scratch_mb),
            self.written_mb + other.written_mb,
            steps,
        )


class _Seen(NamedTuple):
    """A process when it was last seen: its step, its parent, its CPU ticks and those of children it has waited for."""

    step: str
    parent: tuple[int, int]
    own: int
    waited: int


def run_watched(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, interval: float = 0.25
) -> Usage:
    """Run a program in a folder, whose bytes on disk are watched; what it says goes into ``said.txt`` there.

    Raises RuntimeError, with its last words, where it fails.
    """
    said = folder / "said.txt"
    started = time.monotonic()
    with said.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment)
    watcher = _Watcher(process.pid, folder)
    with sampling(interval, watcher.look):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.monotonic() - started
        written = fields_of(Path(f"/proc/{process.pid}/io"))["write_bytes"]
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = said.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {last}")
    scratch = max(watcher.scratch, size_of_folder(folder))
    cpu = used.ru_utime + used.ru_stime
    return Usage(cpu, wall, watcher.peak / 1e6, scratch / 1e6, written / 1e6, watcher.steps(cpu))


@contextmanager
def sampling(interval: float, look: Callable[[], None]) -> Iterator[None]:
    """Call ``look`` at an interval while the block runs. Raises its error at the end: its figures are too low then."""
    errors: list[Exception] = []

    def look_again() -> None:
        try:
            if not errors:
                look()
        except Exception as error:
            errors.append(error)

    with every(interval, look_again):
        yield
    if errors:
        raise errors[0]


class _Watcher:
    """The most that a process tree and a folder held, and the steps of the processes."""

    def __init__(self, root: int, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.peak = self.scratch = 0
        self.seen: dict[tuple[int, int], _Seen] = {}

    def look(self) -> None:
        """Look once."""
        self.scratch = max(self.scratch, size_of_folder(self.folder))
        self.peak = max(self.peak, self._memory())

    def _memory(self) -> int:
        """Note the processes of the tree; return their bytes of memory, those that several share once."""
        shared: dict[str, int] = {}
        memory = 0
        keys: dict[int, tuple[int, int]] = {}
        for parent, pid in [(0, self.root), *descendants(self.root)]:
            with suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # from the third on
                key = keys[pid] = pid, int(words[19])
                above = keys.get(parent, (0, 0))
                command, colon, _ = self.seen[above].step.partition(":") if above in self.seen else ("", "", "")
                own, waited = int(words[11]) + int(words[12]), int(words[13]) + int(words[14])
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                step = _step(arguments, command if colon else "") if arguments[0] else self._last_step(key)
                self.seen[key] = _Seen(step, above, own, waited)
                held, segments = memory_of(pid)
                memory += held
                shared |= segments
        return memory + sum(shared.values())

    def _last_step(self, key: tuple[int, int]) -> str:
        """Return the step of a process that has ended, and has no command line any more."""
        return self.seen[key].step if key in self.seen else "not seen"

    def steps(self, cpu: float) -> dict[str, float]:
        """Return step → CPU seconds; what no process was seen to use is that of ``not seen``."""
        ticks: Counter[str] = Counter()
        below: Counter[tuple[int, int]] = Counter()  # of what a process has started
        for key, process in reversed(self.seen.items()):  # children first
            unseen = max(0, process.waited - below[key])  # children that ended before they were seen, or after
            ticks[process.step] += process.own + unseen
            below[process.parent] += process.own + unseen + below[key]
        steps = {step: count / _TICKS for step, count in ticks.most_common()}
        return {**steps, "not seen": steps.get("not seen", 0.0) + max(0.0, cpu - sum(steps.values()))}


def fields_of(path: Path) -> dict[str, int]:
    """Return the numbers of a file of /proc of lines such as ``name: 12 kB``, in bytes."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        number, *unit = value.split() or [""]
        if number.isdecimal():
            found[name] = int(number) * (1024 if unit == ["kB"] else 1)
    return found


def descendants(process: int) -> Iterator[tuple[int, int]]:
    """Yield parent and child of all that a process has started, parents first; no other process is looked at."""
    waiting = [process]
    for parent in waiting:
        children = _children_of(parent)
        waiting += children
        yield from ((parent, child) for child in children)


def _children_of(process: int) -> list[int]:
    """Return what a process has started and is still there; nothing where it has ended itself."""
    children: list[int] = []
    with suppress(OSError):
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                children += map(int, path.read_text().split())
    return children


def memory_of(process: int) -> tuple[int, dict[str, int]]:
    """Return the bytes that a process holds beside shared memory, and segment → size of its shared memory.

    Of files that several processes map it holds its share. Shared memory counts with its whole size, whichever of its
    pages a process has touched; a segment is the same for all who share it. Shares of it could not be added: while
    another process maps the segment, those that are read before it and after it are more than the whole. Raises OSError
    where the process has ended.
    """
    rolled_up = fields_of(Path(f"/proc/{process}/smaps_rollup"))
    segments = _shared_memory(Path(f"/proc/{process}/maps").read_text())
    return rolled_up.get("Pss_Anon", 0) + rolled_up.get("Pss_File", 0), segments


def _shared_memory(maps: str) -> dict[str, int]:
    """Return device and inode → size of the shared memory of a process (SysV, POSIX, tmpfs: devices of major 0)."""
    found: dict[str, int] = {}
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if words[1][3] == "s" and words[3].startswith("00:"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            key = f"{words[3]} {words[4]}"
            found[key] = max(found.get(key, 0), end - start)
    return found


def _step(arguments: Sequence[str], command: str) -> str:
    """Return what a process does: ``command:`` or ``command: program`` for a command of ours, else its program."""
    name = Path(arguments[0]).name
    if name.startswith("python") and "-m" in arguments:
        name, *more = arguments[arguments.index("-m") + 1 :]
        if name == "scripts" and more:
            return f"{more[0]}:"
    elif name.startswith(("python", *_SHELLS)) and len(arguments) > 1 and arguments[1].startswith("/"):
        name = Path(arguments[1]).name
    for ending in ("-avx2", "-avx", "-orig"):
        name = name.partition(ending)[0]
    return f"{command}: {name}" if command else name
