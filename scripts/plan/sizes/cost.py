"""What a plan costs: jobs, hours, scratch and downloads by stage, estimated with the size model."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError
from scripts.plan.sizes.size_model import FILE, SizeModel, read_model, reference_sizes, scratch_mb, unit_sizes
from scripts.plan.units import Unit, is_shard

NODE_CORES, NODE_GB = 16, 64.0
"""The node of which hours are counted: a job that takes all its cores, or all its memory, for an hour."""
# Threads of a stage's jobs unless they are set: as in profiles/slurm.
THREADS = {
    "download": 2, "fastq": 4, "star_index": 16, "align": 16, "count": 4, "solo": 16, "mex_archive": 2, "table": 2,
}  # fmt: skip
PLATE_STAGES = ("download", "fastq", "align", "count")
DROPLET_STAGES = ("download", "fastq", "read_roles", "solo", "cells", "mex_archive")
REFERENCE_STAGES = ("reference", "star_index", "count_index", "kmers")
COLUMNS = ("stage", "jobs", "download_gb", "scratch_gb", "memory_gb", "core_hours", "node_hours")


class Cost(NamedTuple):
    """What the jobs of a stage cost together; scratch and memory are those of the largest."""

    stage: str
    jobs: int
    download_gb: float
    scratch_gb: float
    memory_gb: float
    core_hours: float
    node_hours: float


class Estimator:
    """The size model with the references and threads of one analysis."""

    def __init__(
        self,
        model: SizeModel,
        references: Mapping[str, Mapping[str, float]],
        species: Mapping[str, str],
        shard_size: int,
        threads: Mapping[str, int] | None = None,
    ) -> None:
        """``references`` is name → sizes, ``species`` label → reference, ``threads`` those of stages."""
        self.model = model
        self.references = references
        self.species = species
        self.shard_size = shard_size
        self.threads = {**THREADS, **(threads or {})}

    def sizes(self, stage: str, *known: Mapping[str, float]) -> dict[str, float]:
        """Return the sizes of a job of a stage."""
        sizes = {"threads": float(self.threads.get(stage, 1))}
        for more in known:
            sizes |= more
        return sizes

    def unit_jobs(self, name: str, unit: Unit) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield the jobs of a unit: stage and sizes."""
        reference = self.references[self.species[unit.species]]
        sizes = unit_sizes(unit)
        for stage in PLATE_STAGES if is_shard(name) else DROPLET_STAGES:
            yield stage, self.sizes(stage, sizes, reference)

    def jobs(self, units: Mapping[str, Unit], missing: Iterable[str] = ()) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield all jobs of a plan; ``missing`` names references that would have to be made."""
        used = {self.species[unit.species] for unit in units.values()}
        for name in filter(used.__contains__, missing):
            for stage in REFERENCE_STAGES:
                yield stage, self.sizes(stage, self.references[name])
        for name, unit in units.items():
            yield from self.unit_jobs(name, unit)
        for species in self.species:
            cells = self.cells_of(species, units)
            for _ in range(3 if cells else 0):
                yield "table", self.sizes("table", {"cells": cells})
        for _ in {(unit.series, unit.species) for name, unit in units.items() if not is_shard(name)}:
            yield "droplets_h5ad", self.sizes("droplets_h5ad")
        if units:
            yield "report", self.sizes("report", {"cells": self.cells_of(None, units)})

    def cells_of(self, species: str | None, units: Mapping[str, Unit]) -> float:
        """Return how many plate cells of a species, or of all (None), are planned, at most."""
        return float(plate_cells(units, species, self.shard_size))

    def core_hours(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return for how long a job keeps how many cores."""
        return self.model.minutes(stage, sizes) / 60 * sizes["threads"]

    def node_hours(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return for how long a job keeps which part of a node: that of its cores or of its memory, the larger."""
        memory = self.model.asked_mb(stage, sizes) / 1000
        return self.model.minutes(stage, sizes) / 60 * max(sizes["threads"] / NODE_CORES, memory / NODE_GB)

    def costs(self, units: Mapping[str, Unit], missing: Iterable[str] = ()) -> list[Cost]:
        """Return the cost of each stage in the order of the work, and of all together."""
        found: dict[str, list[Cost]] = {}
        for stage, sizes in self.jobs(units, missing):
            found.setdefault(stage, []).append(
                Cost(
                    stage,
                    1,
                    sizes["archive_mb"] / 1000 if stage == "download" else 0.0,
                    scratch_mb(stage, sizes) / 1000,
                    self.model.asked_mb(stage, sizes) / 1000,
                    self.core_hours(stage, sizes),
                    self.node_hours(stage, sizes),
                )
            )
        costs = [_together(stage, found[stage]) for stage in self.model.stages if stage in found]
        return [*costs, _together("all", costs)]


def plate_cells(units: Mapping[str, Unit], species: str | None, shard_size: int) -> int:
    """Return how many plate cells of a species, or of all (None), are planned, at most: one a run, in full shards."""
    shards = (unit for name, unit in units.items() if is_shard(name) and species in (None, unit.species))
    return sum(min(shard_size, unit.runs) for unit in shards)


def _together(stage: str, costs: Sequence[Cost]) -> Cost:
    return Cost(
        stage,
        sum(cost.jobs for cost in costs),
        sum(cost.download_gb for cost in costs),
        max((cost.scratch_gb for cost in costs), default=0.0),
        max((cost.memory_gb for cost in costs), default=0.0),
        sum(cost.core_hours for cost in costs),
        sum(cost.node_hours for cost in costs),
    )


def write_costs(path: str | Path, costs: Iterable[Cost]) -> None:
    """Write costs as a table: a header line, tab-separated, three decimals."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join([cost.stage, str(cost.jobs), *(f"{value:.3f}" for value in cost[2:])]) for cost in costs]
    write_atomic(path, "\n".join(lines) + "\n")


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the costs of a plan depend on, beside the plan."""
    parser.add_argument("--references", nargs="+", metavar="SPECIES=NAME", help="the reference of each species")
    parser.add_argument(
        "--fasta", nargs="*", metavar="NAME=PATH", help="the sequence of a reference, a file or an address"
    )
    parser.add_argument("--resources", default="resources", help="folder of the references")
    parser.add_argument("--model", default=FILE, help="size model as refitted by --learn, if there is such a file")
    parser.add_argument("--threads", nargs="+", metavar="STAGE=NUMBER", help="threads of the jobs of a stage")
    parser.add_argument("--limit-gb", type=float, help="most that all running jobs together may hold on scratch")


def estimator_of(
    options: argparse.Namespace,
    species: Mapping[str, str],
    shard_size: int,
    bytes_at: Callable[[str], int | None] = lambda address: None,
) -> tuple[Estimator, list[str]]:
    """Return the estimator of the costs that parsed options ask for, and which references are still to be made.

    ``species`` is label → reference, where the options name none; ``bytes_at`` returns the size of the file at an
    address, None where it is not known. Raises InputError for words not of the form NAME=VALUE.
    """
    species = {**species, **_pairs("--references", options.references)}
    folders = {name: Path(options.resources) / name for name in species.values()}
    threads = _pairs("--threads", options.threads)
    fasta = _pairs("--fasta", options.fasta)
    if wrong := [value for value in threads.values() if not value.isdecimal() or value == "0"]:
        raise InputError(f"--threads: {wrong[0]!r} is not a number of threads.")
    missing = [name for name, folder in folders.items() if not (folder / "star").exists()]
    sizes = {}
    for name, folder in folders.items():
        path = fasta.get(name, "")
        known = bytes_at(path) if name in missing and "://" in path else None
        sizes[name] = reference_sizes(folder, path, known or 0)
    estimator = Estimator(
        read_model(options.model),
        sizes,
        species,
        shard_size,
        {stage: int(value) for stage, value in threads.items()},
    )
    return estimator, missing


def _pairs(option: str, words: Iterable[str] | None) -> dict[str, str]:
    pairs = [word.partition("=") for word in words or ()]
    if wrong := ["".join(pair) for pair in pairs if not (pair[0] and pair[2])]:
        raise InputError(f"{option}: {wrong[0]!r} is not of the form NAME=VALUE.")
    return {name: value for name, _, value in pairs}
