"""How far a run of the workflow has come: jobs done, running and failed, and the time that is left.

Fed with Snakemake's log events by name (``job_info``, ``progress``, …: ``LogEvent`` of
snakemake-interface-logger-plugins) and their fields; without Snakemake itself.
"""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_LEAST_ELAPSED = 1.0  # minutes of work after which the time left is said
_MOST_DONE = 0.9  # of a running job, however long it takes


class JobWork(NamedTuple):
    """What a planned job is expected to take."""

    rule: str
    minutes: float
    threads: int


class TimeLeft:
    """Estimates the minutes that planned jobs still take: as expected, scaled by what the jobs of each rule took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds."""
        self._clock = clock
        self._open: dict[Any, JobWork] = {}
        self._left: dict[str, float] = {}  # rule → core-minutes expected of its open jobs
        self._started: dict[Any, float] = {}
        self._first: float | None = None
        self._spent = 0.0  # core-minutes of ended jobs
        self._took: dict[str, float] = defaultdict(float)  # rule → core-minutes of finished jobs
        self._expected: dict[str, float] = defaultdict(float)  # the same as expected

    def plan(self, jobs: Mapping[Any, JobWork]) -> None:
        """Take all jobs that are not finished, by job id."""
        self._open = dict(jobs)
        self._left = defaultdict(float)
        for work in self._open.values():
            self._left[work.rule] += work.minutes * work.threads

    def start(self, job: Any) -> None:
        """Note that a job begins."""
        self._started[job] = self._clock()
        self._first = self._started[job] if self._first is None else self._first

    def end(self, job: Any, finished: bool) -> None:
        """Note that a job ends; one that failed says nothing about the others of its rule."""
        started, work = self._started.pop(job, None), self._open.pop(job, None)
        if work is not None:
            self._left[work.rule] -= work.minutes * work.threads
        if started is not None and work is not None:
            took = (self._clock() - started) / 60 * work.threads
            self._spent += took
            if finished:
                self._took[work.rule] += took
                self._expected[work.rule] += work.minutes * work.threads

    def minutes(self) -> float | None:
        """Return the minutes left; None in the first minute and while most of what is left is of rules not yet seen."""
        now = self._clock()
        if self._first is None or now - self._first < 60 * _LEAST_ELAPSED or not sum(self._expected.values()):
            return None
        everywhere = sum(self._took.values()) / sum(self._expected.values())
        factors = {rule: self._took[rule] / seen for rule, seen in self._expected.items() if seen}
        left = sum(cost * factors.get(rule, everywhere) for rule, cost in self._left.items())
        unseen = sum(cost * everywhere for rule, cost in self._left.items() if rule not in factors)
        spent = self._spent
        for job, started in self._started.items():
            if work := self._open.get(job):
                done = (now - started) / 60 * work.threads
                cost = work.minutes * work.threads * factors.get(work.rule, everywhere)
                spent += done
                left -= min(done, _MOST_DONE * cost)
                unseen -= 0.0 if work.rule in factors else min(done, _MOST_DONE * cost)
        cores = spent / ((now - self._first) / 60)  # that were busy, on average
        return None if not cores or unseen > left / 2 else left / cores


class JobProgress:
    """The jobs of a run of the workflow, by the events of its log."""

    def __init__(
        self,
        number: Callable[[], int] = lambda: 0,
        work: Callable[[], Mapping[Any, JobWork]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``number`` returns how many jobs are planned, ``work`` what those that are not finished are expected to take.

        ``work`` is called again when their number changes, as after a checkpoint.
        """
        self.done = 0
        self.planned = 0
        self.running: dict[Any, str] = {}
        """Job id → rule. On a cluster also jobs that wait in its queue."""
        self.failed: set[Any] = set()
        """Ids of the jobs that failed; one that is tried again is running."""
        self._number = number
        self._work = work
        self._time = TimeLeft(clock)
        self._clock = clock
        self._begun = clock()

    def take(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take an event; others than those of jobs change nothing."""
        if event in ("run_info", "job_started"):
            self._plan()
        elif event == "job_info":
            self.running[fields["jobid"]] = fields["rule_name"]
            self.failed.discard(fields["jobid"])
            self._time.start(fields["jobid"])
        elif event in ("job_finished", "job_error"):
            job = fields["job_id" if event == "job_finished" else "jobid"]
            self.running.pop(job, None)
            self._time.end(job, finished=event == "job_finished")
            if event == "job_error":
                self.failed.add(job)
        elif event == "progress":
            self.done, self.planned = fields["done"], fields["total"]

    def _plan(self) -> None:
        number = self._number()
        if number != self.planned:
            self.planned = number
            with contextlib.suppress(Exception):  # the time left is then not known
                self._time.plan(self._work())

    def line(self, width: int = 79) -> str:
        """Return a line of at most ``width`` characters: jobs done of planned, running, failed, and the time left."""
        before = f"{self.done:,} of {self.planned:,} jobs done"
        after = f", {len(self.failed):,} failed" if self.failed else ""
        minutes = self._time.minutes()
        after += f", {format_minutes(minutes)} left" if minutes is not None else ""
        if self.running:
            before += f", {len(self.running):,} running"
            after = self._rules(width - len(before) - len(after)) + after
        return (before + after)[:width]

    def _rules(self, width: int) -> str:
        """Return the rules of the running jobs in brackets, as many as fit."""
        names = [rule for rule, _ in Counter(self.running.values()).most_common()]
        for number in range(len(names), 0, -1):
            text = f" ({', '.join(names[:number])}{', …' if number < len(names) else ''})"
            if len(text) <= width:
                return text
        return ""

    def final_line(self) -> str:
        """Return the line for the end: what was done in which time."""
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        seconds = self._clock() - self._begun
        took = f"{max(1.0, seconds):.0f} s" if seconds < 99.5 else format_minutes(seconds / 60).removeprefix("about ")
        return f"{self.done:,} of {self.planned:,} jobs done{failed} in {took}."


def format_minutes(minutes: float) -> str:
    """Return a time for people, as ``about 5 min``."""
    if minutes < 1:
        return "less than a minute"
    if minutes < 99.5:
        return f"about {minutes:.0f} min"
    return f"about {minutes / 60:.0f} h" if minutes < 72 * 60 else f"about {minutes / 1440:.0f} days"
