"""Units of work: the shards of plate experiments and the droplet libraries into which a plan is cut.

A unit is named ``{series}.{species}.{part}``: the part of a plate shard is its number in four or more digits, that of
a droplet library is its experiment, which may have dots. A shard holds ``shard_size`` experiments of one series and
species in the order of their accessions, so that another series never changes it; fewer where all of them would hold
more than ``scratch.limit_gb``. Seats are kept: an experiment that
was in a shard of an earlier plan (``units/seats.tsv``) stays in it, also where others were left out, corrected or
removed since, and new ones get shards of their own. So a changed plan moves no experiment. With another ``shard_size``
or another bound on scratch, experiments move whose shard has made nothing yet.

The plan is cut once, by the rule ``resolve``. Each unit has a run table of its own, ``units/runs/{unit}.tsv``:
its rows of the plan with one more column, ``column``: the accession under which a run is counted (its experiment, or
the run itself with ``count_by: run``). Jobs read that table and nothing else of the plan. The index,
``units/index.tsv``, has a row a unit, from which Snakemake makes its graph.
"""

import argparse
import csv
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import atomic_folder, path_below, write_atomic
from scripts.core.errors import InputError
from scripts.plan.run_table import COLUMNS, Run, has_second_reads, iterate_values, local_files, row_order, write_table
from scripts.plan.sizes.footprint import Footprint, together, unit_footprint

COLUMN = "column"
SEATS = "units/seats.tsv"
_COUNTED_BY = ("run", "chemistry", "layout", "read_roles", "spots", "bases", "bytes", "md5")
"""Fields of a row that decide what is counted for it, beside its local files; all others are names and sentences."""

_NOTHING = Footprint(0, 0, 0, 0)
_PLANNED = ("runs", "last_plan")
"""Folders of units/ that hold what is planned; the others hold what was made."""

_CUT = "cut\t"
"""How the first line of the seats begins."""

Seats = dict[tuple[str, str, str], str]
"""Series, species, experiment → the shard in which it has its seat."""


class Cut(NamedTuple):
    """How new shards are cut."""

    shard_size: int
    """Experiments a shard, at most."""
    limit_gb: float | None = None
    """What a shard may hold on disk, unless a single experiment holds more; None: without a bound."""


class Unit(NamedTuple):
    """What Snakemake's graph needs to know of a unit, without its rows."""

    series: str
    species: str
    experiment: str
    """The first experiment; a droplet library has no other."""
    bytes: int
    """Of the archives of all its runs, see :func:`~scripts.plan.sizes.footprint.archive_bytes`."""
    bases: int
    spots: int
    runs: int
    fastq: int
    """Bytes of the compressed FASTQ of all its runs."""
    converting: int
    """The most that it holds on disk while it is downloaded and converted, see plan/footprint.py."""
    counting: int
    """The most that it holds on disk while it is aligned and counted."""
    digest: str
    """16 hex digits of all that is planned for it, without sentences and archives' names: another plan, another job."""
    files: str = ""
    """The local files of its runs: ``file:`` and their paths, joined by ``;``; empty where it has none."""

    @property
    def peak(self) -> int:
        """The most bytes that it holds on disk at any time."""
        return max(self.bytes, self.converting, self.counting)


def is_shard(unit: str) -> bool:
    """Return whether a unit's name is that of a plate shard rather than of a droplet library."""
    return unit.split(".", 2)[-1].isdigit()


def cut_into_units(rows: Iterable[Run], cut: Cut, seats: Seats | None = None) -> dict[str, list[Run]]:
    """Return unit name → its planned rows, units and rows sorted; rows that are not planned belong to no unit.

    ``seats`` are those of earlier plans; new ones are added to them.
    """
    seats = {} if seats is None else seats
    new: dict[tuple[str, str], dict[str, list[Run]]] = {}
    planned = sorted(row for row in rows if row.status == "planned")
    for row in planned:
        if row.assay == "plate" and (row.series, row.species, row.experiment) not in seats:
            new.setdefault((row.series, row.species), {}).setdefault(row.experiment, []).append(row)
    if new:
        _seat(new, cut, seats)
    units: dict[str, list[Run]] = {}
    for row in planned:
        library = f"{row.series}.{row.species}.{row.experiment}"
        unit = seats[row.series, row.species, row.experiment] if row.assay == "plate" else library
        units.setdefault(unit, []).append(row)
    return dict(sorted(units.items()))


def _seat(new: Mapping[tuple[str, str], Mapping[str, Sequence[Run]]], cut: Cut, seats: Seats) -> None:
    """Give new experiments, by series and species, seats in shards that no experiment has yet."""
    used: dict[str, int] = {}
    for unit in set(seats.values()):
        name, _, number = unit.rpartition(".")
        used[name] = max(used.get(name, 0), int(number) + 1)
    for (series, species), experiments in new.items():
        first = used.get(f"{series}.{species}", 0)
        for at, shard in enumerate(_shards(experiments, cut), first):
            seats |= {(series, species, experiment): f"{series}.{species}.{at:04d}" for experiment in shard}


def _shards(experiments: Mapping[str, Sequence[Run]], cut: Cut) -> Iterator[list[str]]:
    """Yield the experiments of each shard, in their order."""
    most = cut.limit_gb * 1e9 if cut.limit_gb else math.inf
    shard: list[str] = []
    held: list[Footprint] = []
    peaks = 0
    for experiment, runs in sorted(experiments.items()):
        held.append(unit_footprint(runs) if cut.limit_gb else _NOTHING)
        peaks += held[-1].peak
        if shard and (len(shard) == cut.shard_size or (peaks > most and together(held).peak > most)):
            yield shard
            shard, held, peaks = [], held[-1:], held[-1].peak
        shard.append(experiment)
    if shard:
        yield shard


def read_seats(path: str | Path = SEATS, cut: Cut | None = None) -> Seats:
    """Return the seats of earlier plans; none where there was no plan. Raises InputError for a damaged file.

    Where they were given for another ``cut``, those in shards that have made nothing yet are left out.
    """
    if not Path(path).exists():
        return {}
    seats = {}
    is_cut_so = False
    with Path(path).open(encoding="utf-8", newline="") as handle:
        for number, line in enumerate(handle, 1):
            if number == 1 and line.startswith(_CUT):
                is_cut_so = cut is not None and line == _first_line(cut)
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 4 or not is_shard(fields[3]) or not line.endswith("\n"):
                raise InputError(
                    f"{path}, line {number}: not a line of series, species, experiment and shard. Delete the file to"
                    " cut the plan anew; shards that change are then counted again."
                )
            seats[fields[0], fields[1], fields[2]] = fields[3]
    if cut is None or is_cut_so:
        return seats
    folders = [folder for folder in Path(path).parent.iterdir() if folder.is_dir() and folder.name not in _PLANNED]
    begun = {".".join(made.name.split(".")[:3]) for folder in folders for made in folder.iterdir()}
    return {key: shard for key, shard in seats.items() if shard in begun}


def write_seats(path: str | Path, seats: Seats, cut: Cut) -> None:
    """Write the seats of this plan and of those before it, a line each: series, species, experiment, shard.

    The first line is the cut that they were given for.
    """
    lines = ("\t".join((*key, shard)) + "\n" for key, shard in sorted(seats.items()))
    write_atomic(path, _first_line(cut) + "".join(lines))


def moves_seats(cut: Cut, path: str | Path = SEATS) -> bool:
    """Return whether this cut leaves out seats of earlier plans, see :func:`read_seats`."""
    if not Path(path).exists():
        return False
    with Path(path).open(encoding="utf-8", newline="") as handle:
        if handle.readline() == _first_line(cut):  # the rest of a large plan is not read
            return False
    return len(read_seats(path, cut)) < len(read_seats(path))


def _first_line(cut: Cut) -> str:
    return f"{_CUT}{cut.shard_size}\t{cut.limit_gb or 0:g}\n"


def columns_of(rows: Sequence[Run], count_by: str) -> dict[str, list[Run]]:
    """Return the columns of a unit of these rows: accession under which they are counted → its rows."""
    pairs = {row.experiment for row in rows if has_second_reads(row)}  # half a pair has no column of its own
    columns: dict[str, list[Run]] = {}
    for row in rows:
        by_run = count_by == "run" and row.assay == "plate" and row.experiment not in pairs
        columns.setdefault(row.run if by_run else row.experiment, []).append(row)
    return columns


def column_digests(
    columns: Mapping[str, Iterable[Run]], files: Callable[[Sequence[str]], str] = "\n".join
) -> dict[str, str]:
    """Return column → 16 hex digits of all that decides its counts, beside options and reference.

    ``files`` returns a digest of the content of local files; without it their paths count.
    """
    digests = {}
    for column, rows in columns.items():
        digest = hashlib.sha256()
        for row in sorted(rows):
            words = [getattr(row, name) for name in _COUNTED_BY]
            if row.source.startswith("file:"):
                words.append(files(local_files(row)))
            digest.update("\t".join(words).encode() + b"\n")
        digests[column] = digest.hexdigest()[:16]
    return digests


def summarize_unit(rows: Sequence[Run], count_by: str = "experiment") -> Unit:
    """Return what the graph needs to know of a unit of these rows."""
    digests = column_digests(columns_of(rows, count_by))
    digest = hashlib.sha256("".join(f"{name}\t{digests[name]}\n" for name in sorted(digests)).encode())
    first = rows[0]
    paths = [path for row in rows if row.source.startswith("file:") for path in local_files(row)]
    footprint = unit_footprint(rows)
    bases, spots = (sum(int(getattr(row, name) or 0) for row in rows) for name in ("bases", "spots"))
    return Unit(
        first.series,
        first.species,
        first.experiment,
        footprint.archive,
        bases,
        spots,
        len(rows),
        footprint.fastq,
        footprint.converting,
        footprint.counting,
        digest.hexdigest()[:16],
        f"file:{';'.join(paths)}" if paths else "",
    )


def summarize_units(
    rows: Iterable[Run], cut: Cut, count_by: str = "experiment", seats: Seats | None = None
) -> dict[str, Unit]:
    """Return unit name → what the graph needs to know of it, for all units of a plan."""
    units = cut_into_units(rows, cut, seats)
    return {name: summarize_unit(units.pop(name), count_by) for name in list(units)}  # frees the rows of a large plan


def summarize_by_series(
    rows: Iterable[Run], cut: Cut, count_by: str = "experiment", seats: Seats | None = None
) -> dict[str, Unit] | None:
    """Return what :func:`summarize_units` does, and hold the rows of one series at a time.

    None where the planned rows of a series do not come together.
    """
    seats_of: dict[str, Seats] = {}
    for key, shard in (seats or {}).items():
        seats_of.setdefault(key[0], {})[key] = shard
    units: dict[str, Unit] = {}
    done = set()
    planned = (row for row in rows if row.status == "planned")
    for series, of_series in itertools.groupby(planned, key=lambda row: row.series):
        if series in done:
            return None
        done.add(series)
        units |= summarize_units(of_series, cut, count_by, seats_of.get(series))
    return dict(sorted(units.items()))


def check_count_by(runs: Mapping[str, int], count_by: str) -> None:
    """Raise InputError where ``count_by: run`` asks for the runs of a droplet library one by one.

    ``runs`` is unit → how many it has. The runs of a library share cells and UMIs: they are counted together.
    """
    several = sorted(name for name, number in runs.items() if number > 1 and not is_shard(name))
    if count_by == "run" and several:
        more = f" and {len(several) - 5:,} more" if len(several) > 5 else ""
        raise InputError(
            "count_by: run counts runs of plate cells one by one, but the lanes of a droplet library share cells and"
            f" UMIs: {', '.join(several[:5])}{more}. Set count_by: experiment, or leave them out and count them in"
            " an analysis of their own."
        )


def write_units(folder: str | Path, units: Mapping[str, Sequence[Run]], count_by: str) -> None:
    """Write the run table of every unit into a folder, which is replaced as a whole.

    Raises InputError as :func:`check_count_by`.
    """
    check_count_by({name: len(rows) for name, rows in units.items()}, count_by)
    with atomic_folder(folder) as partial:
        for name, rows in units.items():
            column = {row: accession for accession, runs in columns_of(rows, count_by).items() for row in runs}
            path = path_below(partial, f"{name}.tsv")
            write_table(path, (*COLUMNS, COLUMN), ((*row, column[row]) for row in rows))


def write_index(path: str | Path, units: Mapping[str, Unit]) -> None:
    """Write the index of units, a row each."""
    write_table(path, ("unit", *Unit._fields), ((name, *map(str, unit)) for name, unit in units.items()))


def read_index(path: str | Path) -> dict[str, Unit]:
    """Return unit name → what the graph needs to know of it, from the index that :func:`write_index` wrote.

    Raises InputError for an index that is damaged or has other columns, which another version wrote.
    """
    text = Path(path).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE) if text else [[]]
    units = {}
    try:
        if header != ["unit", *Unit._fields] or not text.endswith("\n"):
            raise ValueError
        for name, series, species, experiment, *sizes, digest, files in rows:
            bytes_, bases, spots, runs, fastq, converting, counting = map(int, sizes)
            units[name] = Unit(
                series, species, experiment, bytes_, bases, spots, runs, fastq, converting, counting, digest, files
            )
    except ValueError:
        words = "not an index of units as this version writes it. Delete it to rebuild it."
        raise InputError(f"{path}: {words}") from None
    return units


def add_runs_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the run table of a job's unit."""
    parser.add_argument(
        "--runs", required=True, type=Path, help="run table of the unit of work (units/runs/{unit}.tsv)"
    )


def check_field(option: str, path: str, field: str = "{unit}", example: str = "") -> None:
    """Raise InputError where the path that an option gives lacks a field to fill in."""
    if field not in path:
        raise InputError(f"{option} {path}: there must be {field} in it{example}.")


def read_unit(path: str | Path) -> dict[str, list[Run]]:
    """Return the columns of a unit: accession → its runs, both sorted by run.

    In an ordinary run table, which lacks the column ``column``, a column is an experiment. Raises InputError where the
    table cannot be read or has no row.
    """
    rows = [(Run._make(values), column) for *values, column in iterate_values(path, (*COLUMNS, COLUMN))]
    if not rows:
        raise InputError(f"{path}: the run table of the unit has no row.")
    columns: dict[str, list[Run]] = {}
    for row, column in sorted(rows, key=lambda pair: pair[0].run):
        columns.setdefault(column or row.experiment, []).append(row)
    return columns


def read_unit_rows(path: str | Path) -> list[Run]:
    """Return all rows of a unit's run table, sorted as in a run table. Raises as :func:`read_unit`."""
    return sorted((row for rows in read_unit(path).values() for row in rows), key=row_order)


def unit_names(folder: str | Path) -> list[str]:
    """Return the names of the units that have a run table in a folder, sorted."""
    return sorted(path.stem for path in Path(folder).glob("*.*.*.tsv"))


def unit_tables(folder: str | Path, species: str, series: str | None = None) -> dict[str, Path]:
    """Return unit name → its run table, sorted by name, for the units of a species (and of a series)."""
    names = (name.split(".", 2) for name in unit_names(folder))
    mine = (".".join(name) for name in names if name[1] == species and series in (None, name[0]))
    return {name: Path(folder) / f"{name}.tsv" for name in mine}
