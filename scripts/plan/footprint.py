"""What a run, or a unit, holds on disk while it is downloaded and converted."""

import heapq
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.plan.run_table import Run, columns_of


def archive_bytes(row: Run) -> int:
    """Return the size of a run's archive, at two bits and a quality a base where the record does not give it."""
    return int(row.bytes or 0) or int(row.bases or 0) * 2 // 5


def fastq_bytes(bases: int, spots: int) -> int:
    """Return what FASTQ of so many bases and spots may hold: bases, qualities and some 200 bytes a spot of names."""
    return 2 * bases + 200 * spots


class Held(NamedTuple):
    """Bytes that a run, or a unit, holds on disk while it is converted."""

    archive: int
    fastq: int
    sorting: int
    """Of what fasterq-dump sorts, beside the FASTQ, as long as it is at work."""

    @property
    def peak(self) -> int:
        """All of it together, which is the most that there is at any time."""
        return sum(self)


SORTED_AT_ONCE = 4
"""So many runs of a unit are converted side by side, at most."""
_GROWTH = 8  # FASTQ of an archive of unknown bases; with what is sorted, 17 times the archive


def held_by(row: Run) -> Held:
    """Return what the download and the conversion of a run may hold.

    The one reckoning of the workflow's size model, of the download and of the conversion. Local files count as
    nothing themselves: they stay where they are.
    """
    archive = archive_bytes(row)
    kind = ""
    if row.source.startswith("file:"):
        from scripts.formats import fastq_files

        paths = [path for path in map(Path, row.source.removeprefix("file:").split(";")) if path.is_file()]
        archive = sum(path.stat().st_size for path in paths)
        kind = next(map(fastq_files.kind_of, paths), "")
        if kind == "fastq":
            return Held(0, 0, 0)
    if row.bases.isdecimal() and row.spots.isdecimal():
        fastq = fastq_bytes(int(row.bases), int(row.spots))
        sorting = fastq
    else:
        fastq = _GROWTH * archive
        sorting = (_GROWTH + 1) * archive
    return Held(0 if kind else archive, fastq, 0 if kind == "fastq.gz" else sorting)


def held_by_unit(rows: Iterable[Run]) -> Held:
    """Return what a unit may hold at the height of its conversion; see :func:`held_by`."""
    return _together([held_by(row) for row in rows])


def _together(held: Sequence[Held]) -> Held:
    sorting = heapq.nlargest(SORTED_AT_ONCE, (one.sorting for one in held))
    return Held(sum(one.archive for one in held), sum(one.fastq for one in held), sum(sorting))


def experiments_that_fit(rows: Iterable[Run], limit: float) -> set[str]:
    """Return the experiments of a unit whose runs, with those before them, hold no more than ``limit`` bytes."""
    fit: set[str] = set()
    taken: list[Held] = []
    for experiment, runs in columns_of(rows, "experiment").items():
        more = [held_by(row) for row in runs]
        if _together([*taken, *more]).peak <= limit:
            taken += more
            fit.add(experiment)
    return fit


def told_gb(size: float) -> str:
    """Return a number of bytes in GB, rounded up to three digits."""
    digits = max(0, 2 - math.floor(math.log10(size / 1e9))) if size else 0
    rounded = math.ceil(round(size / 1e9 * 10**digits, 6)) / 10**digits
    return f"{rounded:.{digits}f}".rstrip("0").rstrip(".") + " GB" if digits else f"{rounded:.0f} GB"


def beyond_limit(limit_gb: float, most: float, row: Run) -> str:
    """Return the clause that tells what to set where a run has no room below the limit, and its unit takes ``most``."""
    enough = told_gb(most).removesuffix(" GB")
    if row.assay != "plate" or held_by(row).peak > limit_gb * 1e9:
        return f"passes scratch.limit_gb, {limit_gb:g}; set that to {enough} or more, and retry to [DISK_LIMIT]."
    return (
        f"with the others of its shard passes scratch.limit_gb, {limit_gb:g}; "
        f"set that to {enough} or more, or plates.shard_size to less, and retry to [DISK_LIMIT]."
    )
