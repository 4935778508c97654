"""What runs and units hold on disk while they are downloaded and converted, and in which order units start.

The size model, the download and the conversion all estimate with this module.
"""

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.plan.run_table import Run, columns_of, local_files


def archive_bytes(row: Run) -> int:
    """Return the size of a run's archive, at two bits and a quality a base where the record does not give it."""
    return int(row.bytes or 0) or int(row.bases or 0) * 2 // 5


def fastq_bytes(bases: int, spots: int) -> int:
    """Return what FASTQ of so many bases and spots may hold: bases, qualities and some 200 bytes a spot of names."""
    return 2 * bases + 200 * spots


class Footprint(NamedTuple):
    """Bytes that a run, or a unit, holds on disk while it is converted."""

    archive: int
    fastq: int
    sorting: int
    """Of what fasterq-dump sorts beside the FASTQ while it runs."""

    @property
    def peak(self) -> int:
        """The most at any time: all of it together."""
        return sum(self)


SORTED_AT_ONCE = 4
"""Runs of a unit that are converted side by side, at most."""
_GROWTH = 8  # FASTQ bytes for each byte of an archive of unknown bases; with what is sorted, 17


def run_footprint(row: Run) -> Footprint:
    """Return what the download and the conversion of a run may hold; local files themselves count as nothing."""
    archive = archive_bytes(row)
    kind = ""
    if row.source.startswith("file:"):
        from scripts.formats import fastq_files

        paths = [path for path in map(Path, local_files(row)) if path.is_file()]
        archive = sum(path.stat().st_size for path in paths)
        kind = next(map(fastq_files.kind_of, paths), "")
        if kind == "fastq":
            return Footprint(0, 0, 0)
    if row.bases.isdecimal() and row.spots.isdecimal():
        fastq = fastq_bytes(int(row.bases), int(row.spots))
        sorting = fastq
    else:
        fastq = _GROWTH * archive
        sorting = (_GROWTH + 1) * archive
    return Footprint(0 if kind else archive, fastq, 0 if kind.startswith("fastq") else sorting)


def unit_footprint(rows: Iterable[Run]) -> Footprint:
    """Return what a unit may hold at the height of its conversion, see :func:`run_footprint`."""
    return _together([run_footprint(row) for row in rows])


def _together(footprints: Sequence[Footprint]) -> Footprint:
    sorting = heapq.nlargest(SORTED_AT_ONCE, (one.sorting for one in footprints))
    return Footprint(sum(one.archive for one in footprints), sum(one.fastq for one in footprints), sum(sorting))


def experiments_that_fit(rows: Iterable[Run], limit: float) -> set[str]:
    """Return the experiments of a unit whose runs, with those before them, hold no more than ``limit`` bytes."""
    fit: set[str] = set()
    taken: list[Footprint] = []
    for experiment, runs in columns_of(rows, "experiment").items():
        more = [run_footprint(row) for row in runs]
        if _together([*taken, *more]).peak <= limit:
            taken += more
            fit.add(experiment)
    return fit


def format_gb(size: float) -> str:
    """Return a number of bytes in GB, rounded up to three digits."""
    digits = max(0, 2 - math.floor(math.log10(size / 1e9))) if size else 0
    rounded = math.ceil(round(size / 1e9 * 10**digits, 6)) / 10**digits
    return f"{rounded:.{digits}f}".rstrip("0").rstrip(".") + " GB" if digits else f"{rounded:.0f} GB"


def beyond_limit(limit_gb: float, most: float, row: Run) -> str:
    """Return the clause on what to set where a run does not fit below the limit; its unit holds ``most`` bytes."""
    enough = format_gb(most).removesuffix(" GB")
    if row.assay != "plate" or run_footprint(row).peak > limit_gb * 1e9:
        return f"passes scratch.limit_gb, {limit_gb:g}; set that to {enough} or more, and retry to [DISK_LIMIT]."
    return (
        f"with the others of its shard passes scratch.limit_gb, {limit_gb:g}; "
        f"set that to {enough} or more, or plates.shard_size to less, and retry to [DISK_LIMIT]."
    )


def chain_units(sizes: Mapping[str, float], limit: float, holding: Collection[str] = ()) -> dict[str, str]:
    """Return unit → the unit that must end before it starts, so that all together hold no more than ``limit``.

    ``sizes`` is what each unit holds at its peak, in the same measure as ``limit``. Those in ``holding`` have started
    and wait for nothing. The others form chains, largest first; a chain holds one unit at a time, and the first units
    of all chains and those in ``holding`` add up to no more than the limit. No unit waits for one in ``holding``, which
    may have failed permanently, unless there is no room beside it. A unit larger than the limit starts anyway; its
    own stages refuse it.
    """
    used = sum(sizes[name] for name in holding)
    chains: list[tuple[float, str]] = []  # what a chain has to do in all, and its last unit
    before: dict[str, str] = {}
    for name in sorted(sizes.keys() - set(holding), key=lambda name: (-sizes[name], name)):
        if used + sizes[name] <= limit or not (chains or holding):
            used += sizes[name]
            heapq.heappush(chains, (sizes[name], name))
            continue
        if not chains:
            chains = [(sizes[started], started) for started in sorted(holding)]
            heapq.heapify(chains)
        load, last = heapq.heappop(chains)
        before[name] = last
        heapq.heappush(chains, (load + sizes[name], name))
    return before
