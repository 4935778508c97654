"""Analyses whose workflow is killed, and what must be true afterwards."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import yaml

from tests.checksums import sums
from tests.shared_memory import segments_of
from tests.toy.demo import HOME, MOUSE
from tests.toy.server import Server

SERIES = "GSE900003"  # plate cells of two species, and what must be left out
SIGNALS_OF_GROUP = {"group": signal.SIGKILL, "terminate group": signal.SIGTERM, "interrupt": signal.SIGINT}
PROGRAMS = re.compile(r"-m scripts \w+|STAR|prefetch|fastq-dump|vdb-validate|sra-stat")


class KilledAnalysis:
    """An analysis of the mouse cells of a small series, or of what else is given."""

    def __init__(self, world, folder: Path, **choices) -> None:
        self.world, self.folder = world, folder
        self.choices = choices or {"series": [SERIES], "species": MOUSE, "droplets": {}}
        self.started: list[subprocess.Popen] = []
        (folder / "config").mkdir(parents=True)

    def start(
        self, server: Server, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> subprocess.Popen:
        """Call the workflow, always by the same command but for further options, in a process group of its own."""
        values = {**self.world.configuration(server), **self.choices}
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", self.folder]
        with (self.folder / "reported").open("ab") as reported:
            workflow = subprocess.Popen(
                [*command, "--cores", "2", "-p", *options],
                stdin=subprocess.DEVNULL,
                stdout=reported,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        self.started.append(workflow)
        return workflow

    def run(self, server: Server) -> None:
        assert self.start(server).wait(timeout=180) == 0, self.reported()

    def reported(self, characters: int = 6000) -> str:
        return (self.folder / "reported").read_text(encoding="utf-8")[-characters:]

    def said(self) -> int:
        """Return the bytes that the workflows have printed so far."""
        return (self.folder / "reported").stat().st_size if (self.folder / "reported").exists() else 0

    def await_said(self, workflow: subprocess.Popen, words: re.Pattern, times: int, since: int) -> None:
        """Wait until a workflow has printed words so many times, from this byte on, or has ended."""
        with (self.folder / "reported").open(encoding="utf-8", errors="replace") as handle:
            handle.seek(since)
            text = ""
            while workflow.poll() is None and len(words.findall(text)) < times:
                text += handle.read()
                time.sleep(0.01)

    def sums(self) -> dict[str, str]:
        return sums(self.folder / "results")

    def processes(self, words: re.Pattern = PROGRAMS) -> dict[int, str]:
        """Return process id → command line of the programs that work in this folder or below it."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                state = (place / "stat").read_text().rpartition(")")[2].split()[0]
                here = (place / "cwd").readlink()
                if state != "Z" and here.is_relative_to(self.folder) and words.search(line):
                    found[int(place.name)] = line
        return found


def descendants(workflow: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes that a workflow has started, and those that they have."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(workflow.pid).children(recursive=True)
    return []


def kill_by(kind: str, workflow: subprocess.Popen, dice: random.Random) -> str:
    """Kill a running workflow, or a part of it; return the command line of the one process, where it is one.

    ``kind`` is ``snakemake``, its process ``group``, the ``tree`` of all processes, any ``one`` of them but Snakemake
    itself (all by SIGKILL), ``terminate`` (Snakemake) or ``terminate group`` (SIGTERM), ``interrupt`` (Ctrl-C).
    """
    if kind == "one":
        return _kill_one(workflow, dice)
    if kind == "tree":
        for process in [psutil.Process(workflow.pid), *descendants(workflow)]:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    elif kind == "snakemake":
        kill_alone(workflow)
    elif kind == "terminate":
        workflow.terminate()
    else:
        os.killpg(workflow.pid, SIGNALS_OF_GROUP[kind])
    return ""


def _kill_one(workflow: subprocess.Popen, dice: random.Random) -> str:
    processes = descendants(workflow)
    dice.shuffle(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())[:120]
            process.kill()
            return line.replace("\n", " ")
    return ""


def rules_that_run(analysis: KilledAnalysis) -> Iterator[str]:
    """Yield the rules whose jobs run."""
    for line in analysis.processes(re.compile(r"-m scripts \w+")).values():
        if found := re.search(r"-m scripts (\w+)", line):
            yield found[1]


def await_that(true, workflow, analysis, seconds=90) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert workflow.poll() is None, analysis.reported()
        assert time.monotonic() < until, analysis.reported()
        time.sleep(0.005)


def kill_group(workflow) -> None:
    os.killpg(workflow.pid, signal.SIGKILL)
    workflow.wait()


def kill_alone(workflow) -> None:
    workflow.kill()
    workflow.wait()


def nothing_goes_on(analysis, seconds=10.0) -> None:
    """Assert that soon nobody works in the analysis directory any more, and that no shared memory is left."""
    until = time.monotonic() + seconds
    while (left := analysis.processes()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
    assert not segments_of(analysis.folder)
