"""Files that Snakemake keeps for itself: benchmarks of jobs, locks, and outputs of jobs that were cut off.

Benchmarks are logs/benchmarks/{rule}/{job}.tsv, a header line and a line. Columns of Snakemake 9: s, h:m:s, max_rss,
max_vms, max_uss, max_pss (MB), io_in, io_out, mean_load (percent of a core), cpu_time (s); with ``benchmark-extended``
also jobid, rule_name, wildcards, params, threads, cpu_usage, resources and input_size_mb. A value that could not be
measured is ``-`` or ``NA``.

Snakemake's locks (``.snakemake/locks``) say which files a workflow is about to write, but not whether it still runs:
after ``kill -9`` they stay. So every workflow keeps ``.snakemake/running`` (the name of its machine) open under a
shared lock of the kernel, which ends with it. Whoever gets that lock exclusively knows that no workflow runs.
"""

import base64
import binascii
import contextlib
import csv
import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_RUNNING = "running"
_open: list[int] = []  # file descriptors, locked until the workflow ends


class Benchmark(NamedTuple):
    """Time and memory of a job; ``memory_mb`` is None where it was not measured."""

    rule: str
    job: str
    seconds: float
    memory_mb: float | None
    threads: int


def read_benchmarks(folder: str | Path) -> Iterator[Benchmark]:
    """Yield the benchmarks below a folder, sorted by rule and job; other files are reported and skipped."""
    for path in sorted(Path(folder).glob("*/*.tsv")):
        try:
            yield _read(path)
        except (OSError, ValueError, KeyError, StopIteration) as error:
            print(f"{path}: not a benchmark of a job ({error!r}); skipped.", file=sys.stderr)


def _read(path: Path) -> Benchmark:
    csv.field_size_limit(1 << 28)  # the extended format names every input
    with path.open(encoding="utf-8", newline="") as handle:
        row = next(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    memory = [value for name in ("max_pss", "max_rss") if (value := _number(row[name])) is not None]
    threads = _number(row.get("threads"))
    if threads is None:  # as many as were busy
        threads = round((_number(row["mean_load"]) or 0) / 100)
    return Benchmark(path.parent.name, path.stem, float(row["s"]), next(iter(memory), None), max(1, int(threads)))


def _number(value: str | None) -> float | None:
    return None if value in (None, "", "-", "NA") else float(value)


def incomplete_outputs(folder: str | Path) -> set[str]:
    """Return the outputs of jobs that were cut off, which Snakemake records in ``.snakemake/incomplete``.

    The name of a record is the path in base64; long ones are split into folders of ``@`` and a piece of it.
    """
    outputs = set()
    top = Path(folder) / "incomplete"
    for record in top.rglob("*"):
        parts = record.relative_to(top).parts
        if not parts[-1].startswith("@"):
            name = "".join([part.removeprefix("@") for part in parts])
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                outputs.add(base64.urlsafe_b64decode(name).decode())
    return outputs


def remove_stale_locks(folder: str | Path) -> list[Path]:
    """Register this process as a workflow that uses ``folder``, a ``.snakemake``; return the stale locks removed.

    Locks are stale when no other workflow runs there and the last one that did ran on this machine. Where a file
    system does not share locks between machines, they are left to ``snakemake --unlock``.
    """
    folder = Path(folder)
    removed: list[Path] = []
    machine = platform.node().encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _RUNNING, os.O_RDWR | os.O_CREAT, 0o666)
        _open.append(handle)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stale = sorted((folder / "locks").glob("*.lock"))
            if os.pread(handle, 1024, 0) == machine:
                for lock in stale:
                    lock.unlink(missing_ok=True)
                    removed.append(lock)
            elif not stale:
                os.ftruncate(handle, 0)
                os.pwrite(handle, machine, 0)
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:  # a folder that cannot be written, as in a dry run, or a file system without locks
        return removed
    return removed
