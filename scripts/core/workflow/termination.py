"""A workflow that is told to end (SIGTERM, as by `scancel` or a system that shuts down) ends.

Snakemake's handler of the signal waits for a lock. Where the signal comes while Snakemake itself holds it, to finish
jobs or to choose the next ones, it waits for ever, and the workflow neither goes on nor ends.
"""

import _thread
import contextlib
import functools
from typing import Any


def end_beside() -> None:
    """Let Snakemake handle SIGTERM in a thread of its own, which may wait while the interrupted code goes on.

    It is started without the module `threading`, which has locks that the interrupted code may hold as well.
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
