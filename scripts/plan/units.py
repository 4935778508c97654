"""Units of work: the shards of plate experiments and the droplet libraries into which a plan is cut.

A unit is named ``{series}.{species}.{part}``: the part of a plate shard is its number in four or more digits, that of
a droplet library is its experiment. A shard holds ``shard_size`` experiments of one series and species in the order
of their accessions, so that another series never changes it.
"""

import argparse
import hashlib
import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, iterate_runs


class Unit(NamedTuple):
    """What the workflow's graph needs to know of a unit, without its rows."""

    series: str
    species: str
    experiment: str
    """The first experiment; a droplet library has no other."""
    bytes: int
    """Of the archives of all its runs, see :func:`archive_bytes`; bases and spots as the plan tells."""
    bases: int
    spots: int
    runs: int
    fastq: int
    """Bytes of the FASTQ of all its runs, and of what a conversion sorts beside it, see :func:`held_by_unit`."""
    sorting: int
    digest: str
    """16 hex digits of all that is planned for it, without sentences and archives' names: another plan, another job."""


def summarize_unit(rows: list[Run]) -> Unit:
    """Return what the graph needs to know of a unit of these rows."""
    digest = hashlib.sha256()
    for row in rows:
        source = row.source if row.source.startswith("file:") else ""
        digest.update("\t".join(row._replace(source=source, reason="", detail="")).encode())
        digest.update(b"\n")
    first = rows[0]
    held = held_by_unit(rows)
    bases, spots = (sum(int(getattr(row, name) or 0) for row in rows) for name in ("bases", "spots"))
    return Unit(
        first.series,
        first.species,
        first.experiment,
        held.archive,
        bases,
        spots,
        len(rows),
        held.fastq,
        held.sorting,
        digest.hexdigest()[:16],
    )


def is_shard(unit: str) -> bool:
    """Whether a unit's name is that of a plate shard rather than of a droplet library."""
    return unit.rpartition(".")[2].isdigit()


def cut_into_units(rows: Iterable[Run], shard_size: int) -> dict[str, list[Run]]:
    """Return unit name → its planned rows, units and rows sorted; rows that are not planned belong to no unit."""
    plates: dict[tuple[str, str], dict[str, list[Run]]] = {}
    units: dict[str, list[Run]] = {}
    for row in sorted(row for row in rows if row.status == "planned"):
        if row.assay == "plate":
            plates.setdefault((row.series, row.species), {}).setdefault(row.experiment, []).append(row)
        else:
            units.setdefault(f"{row.series}.{row.species}.{row.experiment}", []).append(row)
    for (series, species), experiments in plates.items():
        for number, experiment in enumerate(sorted(experiments)):
            units.setdefault(f"{series}.{species}.{number // shard_size:04d}", []).extend(experiments[experiment])
    return dict(sorted(units.items()))


def runs_of_unit(plan: str | Path, unit: str, shard_size: int) -> list[Run]:
    """Return the planned rows of one unit of a plan. Raises InputError where the plan has no such unit."""
    series, species, _ = unit.split(".")
    rows = (row for row in iterate_runs(plan) if row.series == series and row.species == species)
    units = cut_into_units(rows, shard_size)
    if unit not in units:
        raise InputError(f"{plan}: it has no unit {unit!r}; those of {series} and {species} are {', '.join(units)}.")
    return units[unit]


def column_of(row: Run, count_by: str) -> str:
    """Return the accession under which a run is counted: its experiment, or itself with ``count_by: run``."""
    return row.run if count_by == "run" else row.experiment


def columns_of(rows: Iterable[Run], count_by: str) -> dict[str, list[Run]]:
    """Return column → its runs (sorted by run), for the rows of a unit."""
    columns: dict[str, list[Run]] = {}
    for row in sorted(rows, key=lambda row: row.run):
        columns.setdefault(column_of(row, count_by), []).append(row)
    return columns


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


def take_turns(sizes: Mapping[str, float], limit: float, begun: Collection[str] = ()) -> dict[str, str]:
    """Return unit → the unit that must be done before it is begun, so that no more than ``limit`` is held at once.

    ``sizes`` says what each unit holds at its peak, in the unit of ``limit``; those in ``begun`` hold it already and
    wait for nothing. The others are put into lanes, of which each holds one unit at a time, the largest first: the
    first units of all lanes and what is begun add up to no more than the limit. Nothing waits for what is begun, which
    may have failed for good, unless there is no room beside it. A unit larger than the limit is begun all the same; it
    is its own stages that refuse it.
    """
    held = sum(sizes[name] for name in begun)
    lanes: list[tuple[float, str]] = []  # what a lane has to do, and its last unit
    before: dict[str, str] = {}
    for name in sorted(sizes.keys() - set(begun), key=lambda name: (-sizes[name], name)):
        if held + sizes[name] <= limit or not (lanes or begun):
            held += sizes[name]
            heapq.heappush(lanes, (sizes[name], name))
            continue
        if not lanes:
            lanes = [(sizes[started], started) for started in sorted(begun)]
            heapq.heapify(lanes)
        load, last = heapq.heappop(lanes)
        before[name] = last
        heapq.heappush(lanes, (load + sizes[name], name))
    return before


def add_unit_options(parser: argparse.ArgumentParser, *, columns: bool = False) -> None:
    """Add the options by which a command is told its unit of work, and what its columns are where that matters."""
    parser.add_argument("--plan", required=True, help="the plan, results/plan.tsv")
    parser.add_argument("--unit", required=True, help="the unit of work: {series}.{species}.{part}")
    parser.add_argument("--shard-size", type=int, default=96, help="plate experiments in a shard, as the plan is cut")
    if columns:
        parser.add_argument("--count-by", choices=("experiment", "run"), default="experiment", help="what a column is")


def runs_of_options(options: argparse.Namespace) -> list[Run]:
    """Return the planned rows of the unit that parsed options name, see :func:`runs_of_unit`."""
    return runs_of_unit(options.plan, options.unit, options.shard_size)
