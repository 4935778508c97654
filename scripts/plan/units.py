"""Units of work: the shards of plate experiments and the droplet libraries into which a plan is cut.

A unit is named ``{series}.{species}.{part}``: the part of a plate shard is its number in four or more digits, that of
a droplet library is its experiment. A shard holds ``shard_size`` experiments of one series and species in the order
of their accessions, so that another series never changes it.
"""

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.plan.footprint import held_by_unit
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
