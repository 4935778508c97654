"""A line of progress in place of what Snakemake says of every job; warnings and errors are shown as they come.

On a terminal the line changes; in a file (of Slurm, of ``nohup``) there is a new one now and then, without control
characters. Snakemake's own log file has all of its output. An error in this module gives Snakemake's output back and
never ends a run.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from scripts.core.output import printable
from scripts.core.secrets import mask
from scripts.core.workflow.endings import STOPPED, describe_failure, job_name
from scripts.core.workflow.job_progress import JobProgress

_ERASE = "\r\x1b[K"
_TICK = 1.0  # seconds after which the line of a terminal is drawn again
_FASTEST = 0.1  # seconds between two lines of a terminal
_MINUTE = 60.0  # seconds between two lines of a file, unless a tenth of the jobs was done
_SILENCE = 600.0  # seconds after which a file gets a line though nothing changed
_FAILURES = 20  # that are described as they come
_SENTENCE = 4  # lines of a description


class CalmOutput(logging.Handler):
    """Handles Snakemake's log in place of its handler for the terminal, with which it prints what is shown."""

    def __init__(
        self,
        full: "logging.StreamHandler[Any]",
        progress: JobProgress,
        log: str = "",
        speaking: Collection[str] = (),
        shown: Collection[str] = (),
        hidden: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``full`` is the handler that it replaces, ``log`` the path of Snakemake's log as it is shown.

        While a rule of ``speaking`` runs, whose jobs print to the terminal, there is no line. Messages in ``shown`` and
        ``hidden`` are that, whatever their level.
        """
        super().__init__()
        self.name = "CalmOutput"
        self._full = full
        self._stream = full.stream
        self._progress = progress
        self._log = log
        self._speaking = frozenset(speaking)
        self._shown = frozenset(shown)
        self._hidden = frozenset(hidden)
        self._clock = clock
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._calm = False  # from the start of the workflow; before it, as for --unlock, all is shown
        self._active = False  # from the start of the jobs to their end
        self._failed = False  # at the end, with a job that failed
        self._broken = False
        self._drawn = ""  # the line that is on the terminal
        self._last = clock() - _MINUTE
        self._percent = -1
        self._failures = 0
        self._end = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of Snakemake's log."""
        if not self._broken:
            try:
                self._take(record)
                return
            except Exception:
                self._broken = True
                self._end.set()
        self._full.handle(record)

    def _take(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None) or "")
        self._calm = self._calm or event in ("workflow_started", "run_info")
        if event == "run_info":
            self._begin()
        again = event == "job_info" and record.__dict__["jobid"] in self._progress.failed
        self._progress.take(event, record.__dict__)
        if again:
            self._print(f"Tried again: {job_name(record.__dict__['rule_name'], record.__dict__.get('log', ()))}")
        elif event == "job_error":
            self._report_failure(record)
        elif self._is_shown(record, event):
            self._erase()
            self._full.handle(record)
        self._draw()

    def _begin(self) -> None:
        self._active = True
        if self._log:
            self._print(f"Snakemake's full output (here with -p) goes to {self._log}")
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        """Draw the line also while Snakemake says nothing."""
        while not self._end.wait(_TICK if self._terminal else _MINUTE):
            with self.lock or threading.Lock():
                try:
                    self._draw()
                except Exception:
                    self._broken = True
                    return

    def _is_shown(self, record: logging.LogRecord, event: str) -> bool:
        if not self._calm:
            return True
        text = str(record.msg)
        if text in self._hidden or text in self._shown:
            return text in self._shown
        if event == "error":  # of a job: see its description; of the whole: see the last words
            return getattr(record, "exception", "") != ("WorkflowError" if self._failed else "RuleException")
        if record.levelno >= logging.WARNING:
            return event != "group_error"
        is_stopped = isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit)
        is_environment = f"{os.sep}deployment{os.sep}" in record.pathname  # made by conda in some minutes
        return not event and (is_stopped or is_environment)

    def _report_failure(self, record: Any) -> None:
        failure = describe_failure(record.rule_name, record.log, record.rule_msg, bool(record.indent))
        if failure is not None and failure.sentence == STOPPED:
            self._progress.failed.discard(record.jobid)
        if failure is None or failure.sentence == STOPPED:
            return
        self._failures += 1
        if self._failures <= _FAILURES:
            lines = failure.text().splitlines()
            more = ["    …"] if len(lines) > _SENTENCE else []  # all of it is among the last words
            self._print("\n".join(["Failed: " + lines[0], *lines[1:_SENTENCE], *more]))
        elif self._failures == _FAILURES + 1:
            self._print("Further jobs that fail are counted here and named in Snakemake's log.")

    def say(self, sentence: str) -> None:
        """Print a sentence above the line."""
        with self.lock or threading.Lock():
            self._print(sentence)

    def erase(self) -> None:
        """Remove the line, before something else is printed."""
        with self.lock or threading.Lock():
            self._erase()

    def finish(self, failed: bool) -> None:
        """End the line with the number of jobs and their time; what follows of Snakemake's output is not needed."""
        with self.lock or threading.Lock():
            if self._active and not self._broken:
                self._end.set()
                self._print(self._progress.final_line())
                self._active, self._failed = False, failed

    def close(self) -> None:
        """Leave a clean line, also where the run ended before its end was known."""
        self._end.set()
        if not self._broken and not self._stream.closed:
            self._erase()
        super().close()

    def _print(self, text: str) -> None:
        self._erase()
        self._stream.write(f"{mask(printable(text))}\n")
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(_ERASE)
            self._stream.flush()
            self._drawn = ""

    def _draw(self) -> None:
        if not self._active or not self._progress.planned:
            return
        if not self._terminal:
            self._add_line()
        elif not self._speaking.isdisjoint(self._progress.running.values()):
            self._erase()
        elif self._clock() - self._last >= _FASTEST:
            self._last = self._clock()
            line = printable(self._progress.line(self._columns() - 1))
            if line != self._drawn:
                self._stream.write(f"{_ERASE}{line}\r")  # what a job prints begins at the left
                self._stream.flush()
                self._drawn = line

    def _add_line(self) -> None:
        """Print the line where a tenth of the jobs was done, a minute passed with another percent, or a long time."""
        if self._progress.done == self._progress.planned:  # the last line follows
            return
        percent = 100 * self._progress.done // self._progress.planned
        passed = self._clock() - self._last
        tenth = percent // 10 != self._percent // 10
        if tenth or passed >= _SILENCE or (percent != self._percent and passed >= _MINUTE):
            self._percent, self._last = percent, self._clock()
            self._print(self._progress.line())

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80
