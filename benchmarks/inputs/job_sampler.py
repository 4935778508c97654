"""What the jobs of a running Snakemake hold: memory of their process trees, bytes of their units in the scratch folder.

A job is the process whose standard error is logs/{rule}/{job}.log, with all that it starts. Its memory is that of
:func:`~benchmarks.inputs.process_tree.memory_of`: a genome in shared memory counts once, however many STARs run on it.
Resident set sizes would count it for each of them; a control group's figure has the page cache of every file that is
read as well, which the kernel takes back.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs.process_tree import descendants, memory_of
from scripts.core.disk.files import size_of_folder

_STAGES = ("solo", "align", "fastq", "download", "partial")  # a file that moves on meanwhile must not count twice


class JobUse:
    """What a job used: the most MB of memory, the most MB of its unit in the scratch folder, first and last sight."""

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.memory_mb = 0.0
        self.scratch_mb = 0.0


class JobSampler:
    """Sees what the jobs of a process hold, whenever it looks."""

    def __init__(self, root: int, directory: Path, scratch: str = "work") -> None:
        self.root = root
        self.directory = directory
        self.scratch = directory / scratch
        self.uses: dict[tuple[str, str], JobUse] = {}
        """(Rule, job) → what it used."""
        self.samples = 0
        self._log = re.compile(re.escape(str(directory.resolve())) + r"/logs/([^/]+)/([^/]+)\.log")

    def sample(self) -> None:
        """Look once at all jobs."""
        now = time.monotonic()
        self.samples += 1
        memory: dict[tuple[str, str], int] = {}
        shared: dict[tuple[str, str], dict[str, int]] = {}
        jobs: dict[int, tuple[str, str]] = {}  # process → the job that it belongs to
        for parent, process in descendants(self.root):
            job = self._job_of(process) or jobs.get(parent)
            if job:
                jobs[process] = job
                with contextlib.suppress(OSError):
                    held, segments = memory_of(process)
                    memory[job] = memory.get(job, 0) + held
                    shared.setdefault(job, {}).update(segments)
        for job, held in memory.items():
            use = self.uses.setdefault(job, JobUse(now))
            use.last = now
            use.memory_mb = max(use.memory_mb, (held + sum(shared[job].values())) / 1e6)
            use.scratch_mb = max(use.scratch_mb, sum(map(size_of_folder, self._folders(job[1]))) / 1e6)

    def _job_of(self, process: int) -> tuple[str, str] | None:
        """Return rule and job of a process whose standard error is the log of one."""
        try:
            found = self._log.fullmatch(str(Path(f"/proc/{process}/fd/2").readlink()))
        except OSError:
            return None
        return (found[1], found[2]) if found else None

    def _folders(self, unit: str) -> Iterator[Path]:
        """Yield the folders of a unit in the scratch folder, those that are being written too."""
        for stage in _STAGES:
            with contextlib.suppress(OSError), os.scandir(self.scratch / stage) as entries:
                yield from (Path(entry.path) for entry in entries if unit in entry.name)
