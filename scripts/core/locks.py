"""Files that processes share: locks that end with the process that holds them, and a limit to the rate of requests."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; wait for an earlier job that holds it.

    A workflow that is killed may leave jobs that still run: the next one must not write where they do.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"An earlier job still holds {path}: waiting for its end.", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


class RateLimit:
    """At most ``per_second`` requests a second, shared by all processes that name the same folder.

    ``<folder>/<name>.next`` holds the time (seconds since 1970) from which the next request may go out; it is read and
    written under the lock ``<name>.next.lock``.
    """

    def __init__(self, folder: str | Path, name: str, per_second: float) -> None:
        self.path = Path(folder) / f"{name}.next"
        self.interval = 1.0 / per_second

    def wait(self) -> None:
        """Take the next free moment and sleep until then."""
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            now = time.time()
            try:
                moment = float(self.path.read_text(encoding="ascii"))
            except (OSError, ValueError):
                moment = now
            if not now - 60 < moment < now + 60:  # long ago, or written under a clock that was corrected since
                moment = now
            moment = max(moment, now)
            self.path.write_text(f"{moment + self.interval:.6f}", encoding="ascii")
        time.sleep(max(0.0, moment - now))
