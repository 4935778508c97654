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


def fastq_bytes(bases: int, spots: int, archive: int = 0) -> int:
    """Return what compressed FASTQ of so many bases and spots may hold; ``archive``: bytes of theirs, 0 if unknown.

    At most ten bits for a base and its quality, which deflate writes where 41 qualities are equally frequent, and 60
    bytes of names a spot: of up to four reads, with 6 to 15 bytes each. Qualities that sequencers write take less, and
    the archive shows how much: deflate packs bases to 2.5 bits where archives have two, and qualities up to 1.6 times
    as large. The archive counts whole, since one that is compressed by reference has no bases. With one to 41
    qualities, in any order or in runs, and reads of 36 to 150 bases this is 1.3 to 2.3 times what FASTQ holds.
    """
    most = bases * 5 // 4 + 60 * spots
    return min(most, (32 * bases + 135 * archive) // 100 + 30 * spots) if archive else most


class Footprint(NamedTuple):
    """Bytes that a run, or a unit, holds on disk: its archives, its FASTQ, and the most in two stages."""

    archive: int
    fastq: int
    converting: int
    """Archives that wait, FASTQ that is written; an archive is deleted as soon as its reads are written."""
    counting: int
    """FASTQ, and as much again of BAM files of a plate shard, or of temporary files of STARsolo, if that is more."""

    @property
    def peak(self) -> int:
        """The most at any time."""
        return max(self)


CONVERTED_AT_ONCE = 4
"""Runs of a unit that are converted side by side, at most."""
_SOLO_A_SPOT = 220
"""Bytes that STARsolo keeps in files for a spot: a line for each feature, of its barcode, UMI, gene and number."""
_GROWTH = 4  # FASTQ bytes for each byte of an archive of unknown bases; short reads of one quality have most


def run_footprint(row: Run) -> Footprint:
    """Return what the download, the conversion and the count of a run may hold; local files themselves are not counted.

    Local FASTQ is linked, or is packed anew where STAR would refuse it, or where it is compressed by bzip2 or xz.
    """
    archive = archive_bytes(row)
    kind = ""
    if row.source.startswith("file:"):
        from scripts.formats import fastq_files

        paths = [path for path in map(Path, local_files(row)) if path.is_file()]
        archive = sum(path.stat().st_size for path in paths)
        kind = next(map(fastq_files.kind_of, paths), "")
        if kind.startswith("fastq"):
            fastq = 2 * archive if kind in ("fastq.bz2", "fastq.xz") else 0
            counted = (archive // 2 if kind == "fastq" else archive) * (3 if row.assay == "droplet" else 1)
            return Footprint(0, fastq, fastq, fastq + counted)
    if row.bases.isdecimal() and row.spots.isdecimal():
        fastq = fastq_bytes(int(row.bases), int(row.spots), archive if kind else int(row.bytes or 0))
    else:
        fastq = _GROWTH * archive
    collated = archive if "bam" in (kind, row.source) else 0  # the BAM file once more, with mates together
    held = 0 if kind else archive
    solo = _SOLO_A_SPOT * int(row.spots) if row.assay == "droplet" and row.spots.isdecimal() else 0
    return Footprint(held, fastq, held + collated + fastq, fastq + max(fastq, solo))


def unit_footprint(rows: Iterable[Run]) -> Footprint:
    """Return what a unit may hold, see :func:`run_footprint`."""
    return together([run_footprint(row) for row in rows])


def together(footprints: Sequence[Footprint]) -> Footprint:
    """Return what runs of a unit hold together, of which CONVERTED_AT_ONCE are converted at a time."""
    waiting_or_done = sum(max(one.archive, one.fastq) for one in footprints)
    both = (one.converting - max(one.archive, one.fastq) for one in footprints)
    return Footprint(
        sum(one.archive for one in footprints),
        sum(one.fastq for one in footprints),
        waiting_or_done + sum(heapq.nlargest(CONVERTED_AT_ONCE, both)),
        sum(one.counting for one in footprints),
    )


def experiments_that_fit(rows: Iterable[Run], limit: float) -> set[str]:
    """Return the experiments of a unit whose runs, with those before them, hold no more than ``limit`` bytes."""
    fit: set[str] = set()
    taken: list[Footprint] = []
    for experiment, runs in columns_of(rows, "experiment").items():
        more = [run_footprint(row) for row in runs]
        if together([*taken, *more]).peak <= limit:
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
    alone = row.assay != "plate" or run_footprint(row).peak > limit_gb * 1e9
    others = "" if alone else "with the others of its shard "
    return f"{others}passes scratch.limit_gb, {limit_gb:g}; set that to {enough} or more, and retry to [DISK_LIMIT]."


def chain_units(
    sizes: Mapping[str, float],
    limit: float,
    holding: Collection[str] = (),
    references: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return unit → the unit that must end before it starts, so that all together hold no more than ``limit``.

    ``sizes`` is what each unit holds at its peak, in the same measure as ``limit``. Those in ``holding`` have started
    and wait for nothing. The others form chains, largest first; a chain holds one unit at a time, and the first units
    of all chains and those in ``holding`` add up to no more than the limit. No unit waits for one in ``holding``, which
    may have failed permanently, unless there is no room beside it. A unit larger than the limit starts anyway; its
    own stages refuse it. ``references`` is unit → reference: as far as there is room for a chain of each, a unit waits
    for none of another reference, which may be one that cannot be made.
    """
    references = references or {}
    used = sum(sizes[name] for name in holding)
    chains: dict[str, list[tuple[float, str]]] = {}  # of a reference: what a chain has to do in all, and its last unit
    before: dict[str, str] = {}
    order = sorted(sizes.keys() - set(holding), key=lambda name: (-sizes[name], name))
    largest = {references.get(name, ""): name for name in reversed(order)}
    # The largest unit of each reference comes first: what is added to its chain later is never larger.
    for name in sorted(order, key=lambda name: name != largest[references.get(name, "")]):
        reference = references.get(name, "")
        if used + sizes[name] <= limit or not (chains or holding):
            used += sizes[name]
            heapq.heappush(chains.setdefault(reference, []), (sizes[name], name))
            continue
        if not chains:
            chains[reference] = [(sizes[started], started) for started in sorted(holding)]
            heapq.heapify(chains[reference])
        own = chains.setdefault(reference, min(chains.values()))
        load, last = heapq.heappop(own)
        before[name] = last
        heapq.heappush(own, (load + sizes[name], name))
    return before
