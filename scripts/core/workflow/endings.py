"""The last words of a run of the workflow: what failed, why, and what to type.

Snakemake's log (``.snakemake/log``) has a block for each job that failed: ``Error in rule NAME:`` and, indented, its
``jobid:``, ``message:`` and ``log:``. A command that runs as a job ends its log with :data:`MARK` and a sentence
(:mod:`scripts.core.command`).
"""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.output import printable
from scripts.core.secrets import mask

MARK = "Error: "
"""Begins the sentence with which a job fails, in its log."""
STOPPED = "stopped by Ctrl-C."
_COMMAND = "SRA2MATRIX_COMMAND"
_HEAD = re.compile(r"^( *)Error in rule (\S+):\n", re.MULTILINE)  # indented in a group
_OUTSIDE = re.compile(r"^\S", re.MULTILINE)  # the first line after a block
_VALUE = re.compile(r"^ +(jobid|message|log): (.+)$", re.MULTILINE)
_HINT = " (check log file(s) for error details)"
_MISSING = re.compile(r"^MissingOutputException in rule (\S+)", re.MULTILINE)
_NOT_THERE = "Its files did not appear in time; where a file system shows them late, add: --latency-wait 60"
_ON_REQUEST = "Terminating processes on user request"
_TAIL = 1 << 16  # bytes of a log that are read
_LINES = 16  # of a sentence, as of a list of corrections
_JOBS = 5  # that are named


class Failure(NamedTuple):
    """A job that failed."""

    rule: str
    job: str
    """Its unit, species or reference: the name of its log."""
    log: str
    sentence: str

    def text(self) -> str:
        """Return its name and log, and below them its sentence."""
        name = job_name(self.rule, [self.log])
        name += f" ({self.log})" if self.log else ""
        sentence = printable(self.sentence).replace("\n", "\n    ")
        return f"{name}:\n    {sentence}"


def job_name(rule: str, logs: Sequence[str]) -> str:
    """Return what a job is called: its rule, and its unit, species or reference by the name of its log."""
    job = Path(logs[0]).name.removesuffix(".log") if logs else ""
    return rule if job in ("", rule) else f"{rule} {job}"


def describe_failure(rule: str, logs: Sequence[str], said: str | None = None, in_group: bool = False) -> Failure | None:
    """Return why a job failed, by its logs and what an executor ``said``; None where nobody knows.

    Of a group on a cluster, whose jobs Snakemake names together, only a job whose log has a fault has failed.
    """
    path = str(logs[0]) if logs else ""
    if not path or (in_group and not _has_sentence(path)):
        return None
    sentence = last_sentence(path)
    if not _has_sentence(path) and said and said != "None":  # of the cluster, e.g. that memory or time was out
        sentence = f"{sentence} {said.partition('. ')[0]}."
    return Failure(rule, Path(path).name.removesuffix(".log"), path, sentence)


def failures(snakemake: str) -> list[Failure]:
    """Return the jobs that failed by the text of a Snakemake log, in order, each once with its last sentence.

    Jobs that ended well after all, at a later try, are left out; so are those of a group on a cluster, which Snakemake
    names together, whose log has no fault.
    """
    found: dict[str, Failure] = {}
    for head in _HEAD.finditer(snakemake):
        end = _OUTSIDE.search(snakemake, head.end())
        block = _HEAD.split(snakemake[head.end() : end.start() if end else None])[0]
        values = {name: value.strip() for name, value in _VALUE.findall(block)}
        if f"Finished jobid: {values.get('jobid')} " in snakemake[head.end() :]:
            continue
        logs = values.get("log", "").removesuffix(_HINT).split(", ")
        if failure := describe_failure(head[2], logs, values.get("message"), bool(head[1])):
            found[failure.log] = failure
    missing = [Failure(rule, "", "", _NOT_THERE) for rule in dict.fromkeys(_MISSING.findall(snakemake))]
    return [*found.values(), *missing]


def _tail(log: str | Path) -> str:
    """Return the end of the log of a job; empty where there is none."""
    try:
        with Path(log).open("rb") as handle:
            handle.seek(max(0, handle.seek(0, 2) - _TAIL))
            return handle.read().decode(errors="replace").strip()
    except OSError:
        return ""


def _has_sentence(log: str | Path) -> bool:
    return f"\n{MARK}" in f"\n{_tail(log)}"


def last_sentence(log: str | Path) -> str:
    """Return the sentence with which the log of a job ends, of several lines where it lists faults."""
    text = _tail(log)
    if f"\n{MARK}" in f"\n{text}":
        lines = f"\n{text}".rpartition(f"\n{MARK}")[2].splitlines()
        return "\n".join(lines[:_LINES] + ["…"] * (len(lines) > _LINES))
    if text.endswith("\nKeyboardInterrupt"):  # while it started
        return STOPPED
    if "Traceback (most recent call last)" in text:
        return f"A fault of the program: {text.splitlines()[-1]}. Please report it, with the log."
    if not text:
        return "It ended without a word; it may have been killed, as for a lack of memory."
    return f"It was cut off, or killed as for a lack of memory. Its last line: {text.splitlines()[-1]}"


def remember_command(words: Sequence[str]) -> None:
    """Let this process and all jobs of the workflow know the command that started it."""
    first = ["python", "-m", "snakemake"] if words[0].endswith("__main__.py") else [Path(words[0]).name]
    os.environ[_COMMAND] = shlex.join([*first, *words[1:]])


def command_line(config: str = "") -> str:
    """Return the command that started the workflow, as it can be typed again, without secrets.

    ``config`` is a ``KEY=VALUE`` that its ``--config`` is to have, in place of another value of this key.
    """
    words = shlex.split(os.environ.get(_COMMAND, "snakemake"))
    if config:
        key = config.partition("=")[0]
        words = [word for word in words if not word.removeprefix("--config=").startswith(f"{key}=")]
        given = next((number for number, word in enumerate(words) if word in ("--config", "-C")), None)
        if given is not None:
            words.insert(given + 1, config)
        else:  # at the end, where it takes no target for a value
            more = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
            words = [word for word in words if not word.startswith("--config=")] + ["--config", *more, config]
    return mask(printable(shlex.join(words)))


def last_words(logs: Iterable[str | Path]) -> str:
    """Return what a run that did not end well says last; ``logs`` are those of Snakemake."""
    text = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    found = failures(text)
    failed = [job for job in found if job.sentence != STOPPED]
    stopped = len(failed) < len(found) or _ON_REQUEST in text
    lines = []
    if failed:
        lines.append("What failed first:" if len(failed) > 1 else "What failed:")
        for job in failed[:_JOBS]:
            lines.append(f"  {job.text()}")
        if len(failed) > _JOBS:
            lines.append(f"  and {len(failed) - _JOBS:,} more jobs, see their logs")
    if failed or stopped:
        again = "Put it right and call the same command again" if failed else "Stopped. Call the same command again"
        lines.append(f"{again}; what is done is not done again:\n  {command_line()}")
    elif not found:  # e.g. an environment that could not be made
        lines.append(f"Put right what is said above and call the same command again:\n  {command_line()}")
    return mask("\n".join(lines))
