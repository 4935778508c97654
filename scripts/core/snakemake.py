"""Snakemake's benchmarks of jobs: logs/benchmarks/{rule}/{job}.tsv, a header line and a line for the job.

Columns of Snakemake 9: s, h:m:s, max_rss, max_vms, max_uss, max_pss (MB), io_in, io_out, mean_load (percent of a core),
cpu_time (s); with ``benchmark-extended`` also jobid, rule_name, wildcards, params, threads, cpu_usage, resources and
input_size_mb. A value that was not to be had is ``-`` or ``NA``.
"""

import base64
import binascii
import contextlib
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Benchmark(NamedTuple):
    """What a job took; ``memory_mb`` is None where it was not measured."""

    rule: str
    job: str
    seconds: float
    memory_mb: float | None
    threads: int


def read_benchmarks(folder: str | Path) -> Iterator[Benchmark]:
    """Yield the benchmarks below a folder, sorted by rule and job; a file that is none is told and passed over."""
    for path in sorted(Path(folder).glob("*/*.tsv")):
        try:
            yield _read(path)
        except (OSError, ValueError, KeyError, StopIteration) as error:
            print(f"{path}: no benchmark of a job ({error!r}); it is passed over.", file=sys.stderr)


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
    """Return the outputs of jobs that were cut off, as Snakemake has them written down in ``.snakemake/incomplete``.

    The names of the records are the paths, base64-encoded, and where that is long cut into folders of ``@`` and a part.
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
