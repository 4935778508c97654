"""CPU seconds and peak memory of programs."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")
HOME = Path(__file__).resolve().parents[2]


class Cost(NamedTuple):
    """User and system seconds of a program and what it started; the largest resident set among them in MB."""

    cpu: float
    peak_mb: float


def run_measured(command: Sequence[str], output: Path | None = None) -> Cost:
    """Run a program to its end. Raises RuntimeError, with what it said, where it fails."""
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    with (output or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=environment)
        assert process.stderr is not None
        reported = process.stderr.read()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {reported.decode(errors='replace')[-800:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_child(function: Callable[..., Result], *arguments: object) -> Result:
    """Return what a function returns, run in a process of its own.

    A program's peak memory begins with that of the process that starts it: making inputs must not swell ours.
    """
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def python(*arguments: str) -> list[str]:
    """Return the command that runs this Python."""
    return [sys.executable, *arguments]
