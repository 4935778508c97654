"""How a command runs: by hand, or as a job that ends with its workflow and never writes beside an earlier job.

The rules set SRA2MATRIX_WORKFLOW to the process ids of Snakemake and of the job's shell; a call by hand does without.
Only two things end with what started them: a command with its workflow and its shell (:func:`ends_with`, a thread, so
that the command can clean up), and the programs of a command with the command
(:func:`scripts.core.subprocesses.start`, a process, as a command that is killed cannot do anything any more).
"""

import argparse
import contextlib
import inspect
import io
import os
import re
import signal
import stat
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scripts.core.disk.locks import wait_for_lock
from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError, Interrupted, is_of_machine
from scripts.core.output import guard_output
from scripts.core.workflow.endings import MARK, STOPPED

VARIABLE = "SRA2MATRIX_WORKFLOW"
_JOB = "SRA2MATRIX_JOB"  # set in a job and in the commands that it starts
_LOOK = 0.2  # seconds between two looks whether the workflow still runs
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_log: int | None = None  # open and locked until the command ends


@contextlib.contextmanager
def joined_workflow() -> Iterator[None]:
    """Make this command a job of the workflow that called it, if one did, while the block runs."""
    callers = os.environ.pop(VARIABLE, "").split()  # not for the programs that the command starts
    if not callers or not all(map(str.isdecimal, callers)):
        yield
        return
    os.environ[_JOB] = "1"
    # A shell may have ended before we ask who our parent is, or have become this process.
    with ends_with([process for process in map(int, callers) if process != os.getpid()]):
        wait_for_earlier_job()
        yield


def is_job() -> bool:
    """Whether this command, or the one that started it, is a job of a workflow, and not called by hand."""
    return _JOB in os.environ


@contextlib.contextmanager
def ends_with(processes: Sequence[int]) -> Iterator[None]:
    """End this process when one of the others ends while the block runs: by SIGTERM, then by SIGKILL.

    The thread that looks has ended when the block has: one that still imports a module while the interpreter ends
    crashes it.
    """
    over, ends = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            if not all(map(_is_running, processes)):
                ends.set()
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(_GRACE)
                os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if not ends.is_set():  # else no other thread has time to go on with what was stopped
            thread.join(1)


def _is_running(process: int) -> bool:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)  # which nobody has waited for yet
    return False


def wait_for_earlier_job() -> None:
    """Wait until an earlier job with the same log has ended, e.g. one on a cluster whose workflow was killed.

    The log is the one file that two such jobs are certain to share. On a file system without locks this does nothing.
    """
    global _log
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(os.fstat(2).st_mode):
            return
        # An open file of our own, which no program inherits: the lock ends with this process.
        _log = os.open("/dev/fd/2", os.O_WRONLY | os.O_APPEND)
        wait_for_lock(_log, "An earlier job still writes the same files: waiting for its end.")


class _HelpFormatter(argparse.HelpFormatter):
    """Shows the defaults of options, and paragraphs and lists of a docstring as wide as the terminal is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(_filled(paragraph, width) for paragraph in text.split("\n\n"))

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        is_flag = action.nargs == 0  # its default is that it is not given
        if default in (None, "", [], (), argparse.SUPPRESS) or is_flag or not action.option_strings:
            return text
        if "default" in text or "%" in text:
            return text
        shown = " ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
        return f"{text} (default: {shown})".replace("%", "%%")


def _filled(paragraph: str, width: int) -> str:
    """Return a paragraph, or a list whose items begin with ``-``, in lines of this width; what is laid out stays so."""
    items = re.split(r"\n(?=- )", paragraph)
    is_list = paragraph.startswith("- ")
    if not is_list and re.search(r"^(\s|===)", paragraph, re.MULTILINE):
        return paragraph
    return "\n".join(
        textwrap.fill(" ".join(item.split()), width, subsequent_indent=2 * is_list * " ") for item in items
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose help, and that of its commands, is laid out by :class:`_HelpFormatter`."""

    def __init__(self, *, description: str | None = None, **options: Any) -> None:
        description = inspect.cleandoc(description) if description else None
        super().__init__(description=description, **{"formatter_class": _HelpFormatter, **options})


def command_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, whose help is its module's docstring and shows the defaults of options."""
    summary, _, details = (docstring or "").partition("\n\n")
    return _Parser(description=summary, epilog=details.rstrip())


def run_command(main: Callable[[], None]) -> None:
    """Run a command's ``main``.

    The exit status is 2 for an :class:`InputError` and for a file that may not be read or written, 1 for
    :class:`Interrupted` and where the machine fails, all without a traceback; 130 where it was stopped by Ctrl-C.
    """
    guard_output()
    try:
        with joined_workflow():
            main()
    except InputError as error:
        _complain(error)
        sys.exit(2)
    except Interrupted as error:
        _complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        _complain(STOPPED)
        sys.exit(130)
    except PermissionError as error:
        _complain(f"{error.filename}: {cause_of(error)}." if error.filename else error)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, MemoryError) as error:
        if not is_of_machine(error):
            raise
        fault = str(error) or type(error).__name__
        _complain(f"The machine has too little memory or room on a disk, or a disk fails: {fault}.")
        sys.exit(1)


def _complain(words: object) -> None:
    """Print why the command fails; in the log of a job where the workflow looks for it, as its last words."""
    print(f"{MARK if is_job() else ''}{words}", file=sys.stderr, flush=True)
    if is_job():
        sys.stderr = io.StringIO()  # threads that still run, and fail now, say nothing more


def parse_paths(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return name → path of ``name=path`` texts. Raises InputError for others."""
    paths = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not (name and path):
            raise InputError(f"{option}: {text!r} is not species=path, e.g. homo=genes.tsv.")
        paths[name] = path
    return paths
