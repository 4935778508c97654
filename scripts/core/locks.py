"""Who is at work in an analysis directory, and what a workflow that was killed left there.

Snakemake's own locks (``.snakemake/locks``) tell which files a workflow is about to write, but not whether it is still
alive: after ``kill -9`` they stay. Every workflow holds ``.snakemake/at_work`` (the name of its machine) open under a
shared lock of the kernel's, which ends with it. Whoever gets that file for itself alone knows that nobody is left.
"""

import contextlib
import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

_FILE = "at_work"
_held: list[int] = []  # open, and locked, as long as the workflow lives


def hold_directory(folder: str | Path) -> list[Path]:
    """Hold an analysis directory's ``.snakemake`` as one of those at work there; return the stale locks removed.

    Locks are stale when nobody else is at work there and the last who was ran on this machine: where a file system
    does not carry locks from one machine to another, they are left to ``snakemake --unlock``.
    """
    folder = Path(folder)
    removed: list[Path] = []
    here = platform.node().encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
        _held.append(handle)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stale = sorted((folder / "locks").glob("*.lock"))
            if os.pread(handle, 1024, 0) == here:
                for lock in stale:
                    lock.unlink(missing_ok=True)
                    removed.append(lock)
            elif not stale:
                os.ftruncate(handle, 0)
                os.pwrite(handle, here, 0)
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:  # a folder that cannot be written, as in a dry run, or a file system without locks
        return removed
    return removed


@contextlib.contextmanager
def only_one(lock: str | Path) -> Iterator[None]:
    """Hold a lock file; wait for an earlier job that holds it and has not ended yet. The file is removed at the end.

    A workflow that is killed leaves its jobs behind: the next one must not write where they still do.
    """
    lock = Path(lock)
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"An earlier job still holds {lock}: waiting for its end.", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            same = lock.stat().st_ino == os.fstat(handle.fileno()).st_ino
        except FileNotFoundError:
            same = False
        if same:
            break
        handle.close()
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.close()
