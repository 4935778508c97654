"""The reads of a plate shard's columns: which FASTQ files, how many spots, and what is wrong with them.

A column is a cell: an experiment with its runs, or one run. {run}_1.fastq and {run}_2.fastq are its pairs, {run}.fastq
the reads without a mate.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.core.errors import RunFault
from scripts.formats.fastq_files import count_reads
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus

_TAIL_BYTES = 1 << 16


@dataclass
class Column:
    """A cell: its runs, and the reads that are to be aligned."""

    name: str
    rows: Sequence[Run]
    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    singles: list[Path] = field(default_factory=list)
    reads: int = 0
    """Spots of all its runs: what STAR must have read."""

    @property
    def files(self) -> list[Path]:
        return [path for pair in self.pairs for path in pair] + self.singles

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    def made_from(self) -> str:
        """Return what tells the reads of this column from others: sizes and the first and last bytes of its files."""
        told = [[self.reads]]
        for path in self.files:
            size = path.stat().st_size
            with path.open("rb") as handle:
                check = zlib.crc32(handle.read(_TAIL_BYTES))
                handle.seek(max(0, size - _TAIL_BYTES))
                check = zlib.crc32(handle.read(_TAIL_BYTES), check)
            told.append([path.name, size, check])
        return json.dumps(told)


def find_reads(folder: Path, row: Run, status: RunStatus) -> tuple[tuple[Path, Path] | None, Path | None, int]:
    """Return the pairs, the single reads and the number of spots of a run.

    Raises RunFault where the FASTQ files of the run are not there or not as many as they must be.
    """
    first, second, single = (folder / f"{row.run}{part}.fastq" for part in ("_1", "_2", ""))
    if first.exists() != second.exists():
        there, lost = (first, second) if first.exists() else (second, first)
        raise RunFault("READS_MISSING", f"{there.name} is there, but {lost.name} is not.")
    pair = (first, second) if first.exists() else None
    alone = single if single.exists() else None
    if pair is None and alone is None:
        raise RunFault("READS_MISSING", f"no FASTQ file of {row.run} is there.")
    spots = status.spots or row.spots
    if spots:
        return pair, alone, int(spots)
    reads = count_reads(alone) if alone is not None else 0
    if pair is not None:
        mates = [count_reads(path) for path in pair]
        if mates[0] != mates[1]:
            raise RunFault("READS_MISSING", f"{first.name} has {mates[0]} reads, {second.name} {mates[1]}.")
        reads += mates[0]
    return pair, alone, reads


def plan_columns(
    columns: Mapping[str, Sequence[Run]], statuses: Mapping[str, RunStatus], folder: Path
) -> tuple[list[Column], dict[str, RunStatus]]:
    """Return the columns that can be aligned, and the statuses with what was found wrong.

    A failed run takes the other runs of its column with it.
    """
    became = dict(statuses)
    planned = []
    for name, rows in columns.items():
        column = Column(name, rows)
        for row in rows:
            if not became[row.run].ok:
                continue
            try:
                pair, single, spots = find_reads(folder, row, became[row.run])
            except RunFault as fault:
                became[row.run] = became[row.run].failed(fault)
                continue
            column.pairs += [pair] if pair else []
            column.singles += [single] if single else []
            column.reads += spots
        if fail_siblings(rows, became):
            planned.append(column)
    return planned, became


def fail_siblings(rows: Sequence[Run], statuses: dict[str, RunStatus]) -> bool:
    """Fail the good runs of a column that has a failed one; return whether the column is whole."""
    failed = [row.run for row in rows if not statuses[row.run].ok]
    if not failed:
        return True
    fault = RunFault(
        "INCOMPLETE_EXPERIMENT",
        f"{', '.join(failed)} of the same experiment failed; counts of a part of it would mislead.",
    )
    for row in rows:
        if statuses[row.run].ok:
            statuses[row.run] = statuses[row.run].failed(fault)
    return False
