"""Many dry runs in little time: Snakemake is loaded once, and each dry run is a process that is forked from there."""

import multiprocessing
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.toy.demo import HOME

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["snakemake.cli", "snakemake.workflow", "pandas", "jsonschema"])
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .+\n)+)", re.M)
_WILDCARDS = re.compile(r"^    wildcards: (.+)$", re.M)


def _run(folder: str, output: str, options: Sequence[str]) -> None:
    """Call Snakemake as its command does, in this process."""
    from snakemake.cli import main

    handle = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    words = ["--snakefile", str(HOME / "Snakefile"), "--directory", folder, "-n", *options]
    sys.argv = ["snakemake", *words]
    main(words)


def dry_run(folder: Path, options: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit status of a dry run in a folder, and everything that it prints."""
    output = folder / "dry_run.txt"
    output.unlink(missing_ok=True)
    process = _FORKS.Process(target=_run, args=(str(folder), str(output), tuple(options)))
    process.start()
    process.join()
    return process.exitcode or 0, output.read_text(encoding="utf-8")


def jobs(printed: str) -> dict[str, set[str]]:
    """Return rule → wildcards of its jobs, the values of each joined by commas, from what a dry run printed."""
    found: dict[str, set[str]] = {}
    for rule, text in _JOB.findall(printed):
        named = _WILDCARDS.search(text)
        values = [word.partition("=")[2] for word in named[1].split(", ")] if named else []
        found.setdefault(rule, set()).add(",".join(values))
    return found
