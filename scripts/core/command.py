"""What a command minds when it is a job of the workflow: it ends with the workflow, and two never write the same.

The rules tell a command by the variable SRA2MATRIX_WORKFLOW who runs it: the process id of Snakemake, in which the
command does not look for more. By hand, without the variable, nothing here is at work.
"""

import fcntl
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence

from scripts.core.errors import InputError, Interrupted

VARIABLE = "SRA2MATRIX_WORKFLOW"
_GRACE = 5.0  # seconds to end in order
_log: int | None = None  # open, and locked, as long as the command lives


def begin() -> None:
    """Bind this command to the workflow that called it, if one did."""
    workflow = os.environ.pop(VARIABLE, "")  # not for the programs that the command starts
    if workflow.isdigit():
        end_with([os.getppid(), int(workflow)])
        wait_for_others()


def end_with(processes: Sequence[int]) -> None:
    """End this process when one of the others ends: by SIGTERM, and where that does not help by SIGKILL."""

    def watch() -> None:
        _wait_for_end(processes)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _wait_for_end(processes: Sequence[int]) -> None:
    """Return when one of these processes has ended."""
    watched = select.poll()
    try:
        for process in processes:
            watched.register(os.pidfd_open(process), select.POLLIN)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not Linux, or an old one
        while all(map(_alive, processes)):
            time.sleep(0.5)
        return
    watched.poll()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_for_others() -> None:
    """Wait until an earlier job with the same log has ended, e.g. one on a cluster whose workflow was killed.

    The log is what two such jobs have in common for certain. Where the file system has no locks, this does nothing.
    """
    global _log
    try:
        if not stat.S_ISREG(os.fstat(2).st_mode):
            return
        # A description of its own, which no program that we start holds: it is free when this process has ended.
        _log = os.open("/dev/fd/2", os.O_WRONLY | os.O_APPEND)
        try:
            fcntl.flock(_log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("An earlier job still writes the same files: waiting for its end.", file=sys.stderr, flush=True)
            fcntl.flock(_log, fcntl.LOCK_EX)
    except OSError:
        return


def run_command(main: Callable[[], None]) -> None:
    """Run a command's ``main``; all but what is told plainly keeps its traceback.

    The exit status is 2 for an :class:`InputError`, 1 for what was :class:`Interrupted`.
    """
    try:
        begin()
        main()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): not a fault of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
