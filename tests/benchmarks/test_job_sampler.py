"""What jobs use, as benchmarks.scale samples it."""

import subprocess
import sys
import threading

import pytest

from benchmarks.inputs.job_sampler import JobSampler
from benchmarks.inputs.process_tree import sampling

SHARED_MB = 64
# A job of three processes that have one piece of memory together.
JOB = f"""
import mmap, os, sys
shared = mmap.mmap(-1, {SHARED_MB} << 20)
for _ in range(2):
    if not os.fork():
        break
for start in range(0, len(shared), 4096):
    shared[start] = 1
os.write(1, b"ready\\n")
sys.stdin.read()
"""


def test_memory_that_processes_share_counts_once_and_scratch_is_that_of_the_unit(tmp_path):
    log = tmp_path / "logs" / "align" / "GSE1.mus.0000.log"
    log.parent.mkdir(parents=True)
    for folder, size in (
        ("fastq/GSE1.mus.0000", 3_000_000),
        ("align/GSE1.mus.0000.part", 1_000_000),
        ("fastq/GSE2", 9),
    ):
        (tmp_path / "work" / folder).mkdir(parents=True)
        (tmp_path / "work" / folder / "file").write_bytes(bytes(size))
    words = ["bash", "-c", '"$0" -c "$1" 2>"$2"; true', sys.executable, JOB, str(log)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as root:
        assert root.stdout and [root.stdout.readline() for _ in range(3)] == [b"ready\n"] * 3
        sampler = JobSampler(root.pid, tmp_path)
        sampler.sample()
        root.communicate()
    assert set(sampler.uses) == {("align", "GSE1.mus.0000")}
    use = sampler.uses["align", "GSE1.mus.0000"]
    assert SHARED_MB < use.memory_mb < 2 * SHARED_MB
    assert use.scratch_mb == 4.0


def test_a_look_that_fails_fails_the_measurement():
    looks, failed = [], threading.Event()

    def look():
        looks.append(1)
        if len(looks) == 2:
            failed.set()
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"), sampling(0.01, look):
        assert failed.wait(10)
    assert len(looks) == 2
