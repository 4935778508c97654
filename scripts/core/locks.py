"""Who is at work in an analysis directory, and what a workflow that was killed left there.

Snakemake's own locks (``.snakemake/locks``) tell which files a workflow is about to write, but not whether it is still
alive: after ``kill -9`` they stay. Every workflow holds ``.snakemake/at_work`` (the name of its machine) open under a
shared lock of the kernel's, which ends with it. Whoever gets that file for itself alone knows that nobody is left.
"""

import base64
import binascii
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


def incomplete_outputs(folder: str | Path) -> set[str]:
    """Return the outputs of jobs that were cut off, as Snakemake has them written down in ``.snakemake/incomplete``.

    The names of the records are the paths, base64-encoded, and where that is long cut into folders of ``@`` and a part.
    """
    outputs = set()
    top = Path(folder) / "incomplete"
    for record in top.rglob("*"):
        parts = record.relative_to(top).parts
        if not parts[-1].startswith("@"):
            name = "".join([part.removeprefix("@") for part in parts])
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                outputs.add(base64.urlsafe_b64decode(name).decode())
    return outputs
