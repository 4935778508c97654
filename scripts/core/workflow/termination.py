"""Prevent a deadlock of Snakemake on SIGTERM, which `scancel` and a system shutdown send.

Snakemake's signal handler acquires the lock of the scheduler. If the signal arrives while the main thread holds this
lock, to finish jobs or to select the next ones, the handler blocks for ever.
"""

import _thread
import contextlib
import functools
from typing import Any


def end_beside() -> None:
    """Handle SIGTERM in a separate thread, which can wait for the lock while the main thread continues.

    The thread is started without the `threading` module, whose own locks the main thread may hold as well.
    """
    with contextlib.suppress(ImportError):  # of another version
        from snakemake.scheduling.job_scheduler import JobScheduler

        end = getattr(JobScheduler, "exit_gracefully", None)
        if end is None or hasattr(end, "__wrapped__"):
            return

        @functools.wraps(end)
        def exit_gracefully(scheduler: Any, *signal: Any) -> None:
            scheduler._user_kill = "graceful"  # so that no further job is started
            _thread.start_new_thread(end, (scheduler, *signal))

        JobScheduler.exit_gracefully = exit_gracefully
