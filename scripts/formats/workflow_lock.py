"""Who is at work in an analysis directory: so that the locks of a workflow that was killed are no hindrance.

Snakemake's own locks (``.snakemake/locks``) tell which files a workflow is about to write, but not whether it is still
alive: after ``kill -9`` they stay. Every workflow holds ``.snakemake/at_work`` (the name of its machine) open under a
shared lock of the kernel's, which ends with it. Whoever gets that file for itself alone knows that nobody is left.
"""

import contextlib
import fcntl
import os
import platform
from pathlib import Path

_FILE = "at_work"
_held: list[int] = []  # open, and locked, as long as the workflow lives


def hold_directory(folder: str | Path) -> list[Path]:
    """Hold an analysis directory's ``.snakemake`` as one of those at work there; return the stale locks removed.

    Locks are stale when nobody else is at work there and the last who was ran on this machine: where a file system
    does not carry locks from one machine to another, they are left to ``snakemake --unlock``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    removed = []
    here = platform.node().encode()
    handle = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o666)
    _held.append(handle)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.pread(handle, 1024, 0) == here:
                for lock in sorted((folder / "locks").glob("*.lock")):
                    lock.unlink(missing_ok=True)
                    removed.append(lock)
        fcntl.flock(handle, fcntl.LOCK_SH)
        os.ftruncate(handle, 0)
        os.pwrite(handle, here, 0)
    except OSError:  # a file system without locks
        return removed
    return removed
