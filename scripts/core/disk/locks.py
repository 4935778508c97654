"""Files that processes share: locks that end with the process that holds them, and a limit to the rate of requests.

A lock is one of the kernel (flock) on an open file. Other users may plant links, pipes and folders under its name,
and hold it as long as they like: no link is followed, nothing that somebody else made is changed, and who waits says so
each minute, with the holder where the kernel or the file names it.
"""

import contextlib
import errno
import fcntl
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.core.disk.files import make_folder
from scripts.core.disk.rights import cause_of, user_name
from scripts.core.errors import InputError

REPORT_EVERY = 60.0
"""Seconds after which a process that waits says so again."""
_LONGEST_PAUSE = 0.2  # seconds between two tries to take a lock
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system without locks
_TRY_NEXT = {  # how a lock file is opened → errors after which it is opened in the next way
    os.O_RDWR | os.O_CREAT: (errno.EEXIST,),
    os.O_RDWR: (errno.EACCES, errno.EPERM, errno.ENOENT),  # of another user; removed meanwhile
    os.O_RDONLY: (errno.ENOENT,),
}
_LONGEST_NOTE = 200  # bytes of a lock file that are shown


def private_folder(path: str | Path) -> Path:
    """Return a folder in which nobody else can put anything, made with mode 0700 where it is missing.

    Raises InputError for a link, and for a folder that somebody else made or may write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise InputError(f"{path}: not a folder, but something that {user_name(state.st_uid)} put there; remove it.")
    if state.st_uid != os.geteuid():
        raise InputError(f"{path}: made by {user_name(state.st_uid)}, but it must be your own; have it removed.")
    if state.st_mode & 0o022:
        raise InputError(f"{path}: others may write to it; run: chmod 700 {path}")
    return path


def open_lock(path: str | Path, for_all: bool = False) -> int:
    """Return a lock file, open, made where it is missing; ``for_all``: other users may open it, and so lock it, too.

    Raises InputError for a link and for anything else that is no file, and where it may not be opened.
    """
    path = Path(path)
    while True:
        for access in (os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR, os.O_RDONLY):
            try:
                handle = os.open(path, access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            except OSError as error:
                if error.errno not in _TRY_NEXT[access & os.O_ACCMODE | access & os.O_CREAT]:
                    raise InputError(_why_not_opened(path, error)) from error
                continue
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise InputError(f"{path}: not a file, so it cannot be a lock. Remove it.")
            if for_all and access & os.O_CREAT:
                os.fchmod(handle, 0o644)  # whatever the umask; it is ours
            return handle


def _why_not_opened(path: Path, error: OSError) -> str:
    with contextlib.suppress(OSError):
        state = path.lstat()
        owner = user_name(state.st_uid)
        if stat.S_ISLNK(state.st_mode):
            return f"{path}: a link that {owner} made, in place of a lock file; it is not followed. Remove it."
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"{path}: the lock file of {owner}, which you may not open. Remove it when none of their jobs runs."
    return f"{path}: the lock file cannot be opened: {cause_of(error, path)}."


def wait_for_lock(handle: int, words: str, operation: int = fcntl.LOCK_EX, patience: float = 0.0) -> None:
    """Take a lock on an open file; after ``patience`` seconds say ``words`` and who holds it, again each minute.

    On a file system without locks this does nothing.
    """
    next_report, pause = time.monotonic() + patience, 0.01
    while True:
        try:
            fcntl.flock(handle, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise
        if time.monotonic() >= next_report:
            print(words, f"It is held by {_holder(handle)}.", sep="\n  ", file=sys.stderr, flush=True)
            next_report = time.monotonic() + REPORT_EVERY
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _holder(handle: int) -> str:
    """Return who holds the lock on an open file, as far as this machine's kernel or the file says it."""
    state = os.fstat(handle)
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fd:01:12345 0 EOF; with -> of those that wait
            if words[1] != "FLOCK" or int(words[4]) <= 0:  # of another PID namespace
                continue
            major, minor, inode = words[5].split(":")
            if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) == (state.st_dev, state.st_ino):
                found.append(_describe_process(int(words[4])))
    if not found:
        with contextlib.suppress(OSError):
            note = os.pread(handle, _LONGEST_NOTE, 0).decode("utf-8", "replace").strip()
            found = [f"{note} (as the file says)"] if note else []
    return ", ".join(found) or f"an unknown process; the file is that of user {user_name(state.st_uid)}"


def _describe_process(process: int) -> str:
    with contextlib.suppress(OSError):
        owner = user_name(Path(f"/proc/{process}").stat().st_uid)
        return f"process {process} of user {owner} on {platform.node()}"
    return f"process {process} on {platform.node()}"


@contextlib.contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; wait for an earlier job that holds it.

    A workflow that is killed may leave jobs that still run: the next one must not write where they do.
    """
    path = Path(path)
    make_folder(path.parent)
    while True:
        handle = open_lock(path)
        wait_for_lock(handle, f"An earlier job still holds {path}: waiting for its end.")
        if _is_at(handle, path):
            break
        os.close(handle)  # the one before removed it
    try:
        with contextlib.suppress(OSError):  # opened for reading alone
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{_describe_process(os.getpid())}\n".encode(), 0)
        yield
    finally:
        if _is_at(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is the one of a path."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.lstat())
    return False


@contextlib.contextmanager
def slot(folder: str | Path, number: int) -> Iterator[None]:
    """Hold one of ``number`` slots, of all processes that name the same folder; wait until one is free.

    A slot is a lock file ``<folder>/<0 … number - 1>``, which stays. Nobody waits on a file system without locks.
    """
    folder = Path(folder)
    make_folder(folder)
    next_report, pause = time.monotonic() + REPORT_EVERY, 0.01
    handles = [open_lock(folder / str(index), for_all=True) for index in range(number)]
    try:
        while not any(map(_try_lock, handles)):
            if time.monotonic() >= next_report:
                print(f"{folder}: all {number} are in use; waiting for one.", file=sys.stderr, flush=True)
                next_report = time.monotonic() + REPORT_EVERY
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        yield
    finally:
        for handle in handles:
            os.close(handle)


def _try_lock(handle: int) -> bool:
    """Take the lock on an open file if nobody holds it; return whether it is, or the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


class RateLimit:
    """At most ``per_second`` requests a second, shared by all processes of a user that name the same folder.

    ``<folder>/<name>.next``, in a folder of the user's own, holds the time (seconds since 1970) from which the next
    request may go out; it is read and written under a lock.
    """

    def __init__(self, folder: str | Path, name: str, per_second: float) -> None:
        self.path = Path(folder) / f"{name}.next"
        self.interval = 1.0 / per_second

    def wait(self) -> None:
        """Take the next free moment and sleep until then."""
        private_folder(self.path.parent)
        handle = open_lock(self.path)
        try:
            wait_for_lock(handle, f"{self.path}: waiting for a moment to send a request.", patience=REPORT_EVERY)
            now = time.time()
            try:
                moment = float(os.pread(handle, 100, 0))
            except ValueError:
                moment = now
            if not now - 60 < moment < now + 60:  # long ago, or written under a clock that was corrected since
                moment = now
            moment = max(moment, now)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{moment + self.interval:.6f}".encode("ascii"), 0)
        finally:
            os.close(handle)
        time.sleep(max(0.0, moment - now))
