"""What the rules ask about jobs: memory, time and scratch, and which failed runs are tried again.

``retry:`` in the configuration names the reasons. The rule ``retry`` sets aside what a unit has counted in
``work/retry/{parameters digest}/{unit}/``; only the failed columns are then done again. A *round* is one such try.
"""

import functools
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.core.errors import NO_LIST
from scripts.plan.analysis import Analysis
from scripts.plan.cost import THREADS
from scripts.plan.footprint import chain_units
from scripts.plan.forecast import machine_memory_gb
from scripts.plan.reasons import REASONS
from scripts.plan.size_model import SizeModel, reference_sizes, unit_sizes
from scripts.plan.status import disk_was_full, read_statuses

_TRIED_AGAIN = f"DISK_LIMIT|{NO_LIST}".encode()  # in a status table: what may be tried again without being asked
_OF_UNIT = {"runs", "archive_mb", "fastq_mb", "mspots"}
_OF_REFERENCE = {"genome_mb", "index_mb"}
_FOLDERS = ("partial", "download", "fastq", "align", "solo")  # of work/, which a unit has while it holds scratch


class JobResources:
    """What the jobs of an analysis ask for. Jobs are named by their stage and their wildcards."""

    def __init__(self, analysis: Analysis, model: SizeModel) -> None:
        self.analysis = analysis
        self.model = model

    def sizes(self, stage: str, wildcards: Mapping[str, str], threads: int) -> dict[str, float]:
        """Return the sizes of a job on which a stage's terms of the size model depend."""
        needed = self.model.needed(stage)
        sizes: dict[str, float] = {"threads": threads}
        unit = self._unit(wildcards)
        if needed & _OF_UNIT:
            sizes |= unit_sizes(self.analysis.unit(unit))
        if needed & _OF_REFERENCE:
            reference = wildcards.get("reference") or self.analysis.reference(unit)
            sizes |= reference_sizes(f"resources/{reference}")
        if "cells" in needed:
            sizes["cells"] = self.cells(wildcards["species"])
        return sizes

    def _unit(self, wildcards: Mapping[str, str]) -> str:
        if folder := wildcards.get("archive"):
            return self.analysis.library(folder)
        return unit_name(wildcards)

    def cells(self, species: str) -> int:
        """Return how many plate cells of a species are planned, at most: shards are taken as full."""
        return int(self.analysis.config["plates"]["shard_size"]) * len(self.analysis.shards(species))

    def memory_mb(self, stage: str, wildcards: Mapping[str, str], threads: int, attempt: int) -> int:
        """Return the MB of memory of a job."""
        return self.model.asked_mb(stage, self.sizes(stage, wildcards, threads), attempt)

    def minutes(self, stage: str, wildcards: Mapping[str, str], threads: int, attempt: int) -> int:
        """Return how many minutes a job may take."""
        return self.model.asked_minutes(stage, self.sizes(stage, wildcards, threads), attempt)

    def scratch_mb(self, stage: str, unit: str, attempt: int = 1) -> int:
        """Return the MB that a stage's job of a unit holds in the scratch folder."""
        return self.model.asked_scratch_mb(stage, unit_sizes(self.analysis.unit(unit)), attempt)

    def waits_for(self, units: Iterable[str]) -> dict[str, str]:
        """Return unit → the unit that frees its scratch before it, of those of these units that are not done yet."""
        undone = [name for name in units if not Path(f"units/status/{name}.tsv").exists()]
        holding = [name for name in undone if any(Path("work", stage, name).exists() for stage in _FOLDERS)]
        sizes = {name: self.scratch_mb("fastq", name) for name in undone}
        return chain_units(sizes, self.analysis.config["scratch"]["limit_gb"] * 1000, holding)

    def downloads_at_once(self) -> int:
        """Return how many units may download side by side, so that they keep within ``archives.per_host``."""
        archives = self.analysis.config["archives"]
        return max(1, int(archives["per_host"]) // int(archives["parallel"]))

    def cost_options(self, chosen: Mapping[str, Any], cores: int | None) -> list[Any]:
        """Return what the cost of the plan depends on beside the plan, as options of the command ``resolve``.

        ``chosen`` is rule → threads as the user or the profile set them, ``cores`` those of this machine where jobs run
        on it.
        """
        words = []
        for stage in THREADS:
            number = chosen.get("counts_table" if stage == "table" else stage, 1)
            number = int(getattr(number, "value", number))
            words.append(f"{stage}={min(number, cores or number)}")
        config = self.analysis.config
        references = [f"{label}={self.analysis.reference_of_species(label)}" for label in config["species"]]
        options = ["--references", *references, "--limit-gb", config["scratch"]["limit_gb"], "--threads", *words]
        return options if cores is None else [*options, "--memory-gb", f"{machine_memory_gb():.1f}"]


class Retries:
    """What is tried again in an analysis; paths are relative to the analysis directory."""

    def __init__(self, analysis: Analysis, resources: JobResources) -> None:
        self.analysis = analysis
        self.resources = resources
        self.reasons = functools.cache(self._reasons)

    def _reasons(self, unit: str) -> list[str]:
        """Return for which reasons failed runs of a unit are tried again, sorted; empty where it has none of them.

        Those that are configured, a full disk as soon as there is room for the unit, and a missing inclusion list as
        soon as one is configured.
        """
        wanted = self.analysis.config["retry"]
        status = Path(f"units/status/{unit}.tsv")
        if not status.exists() or not (wanted or re.search(_TRIED_AGAIN, status.read_bytes())):
            return []
        failed = [row for row in read_statuses(status).values() if row.state == "failed"]
        reasons = set(REASONS if wanted == "all" else wanted)
        if any(map(disk_was_full, failed)) and self._has_room(unit):
            reasons.add("DISK_LIMIT")
        if any(row.cause == NO_LIST for row in failed) and not self.analysis.list_fault(unit):
            reasons.add("CHEMISTRY_UNKNOWN")
        return sorted(reasons & {row.reason for row in failed})

    def _has_room(self, unit: str) -> bool:
        folder = next(folder for folder in map(Path, ("work/fastq", "work", ".")) if folder.exists())
        return shutil.disk_usage(folder).free > 1e6 * self.resources.scratch_mb("fastq", unit)

    def _folder(self, unit: str) -> str:
        return f"work/retry/{self.analysis.parameters_digest(unit)}/{unit}"

    def previous(self, unit: str) -> list[str]:
        """Return the folder of what a unit had counted before its last round; empty where there was none."""
        folder = self._folder(unit)
        return [folder] if self.reasons(unit) or Path(folder).exists() else []

    def round(self, unit: str) -> str:
        """Return what identifies a round: the time of the status table that called for it.

        As a param of the job that counts it triggers that job. Empty where nothing was ever tried again.
        """
        if self.reasons(unit):
            return str(Path(f"units/status/{unit}.tsv").stat().st_mtime_ns)
        note = Path(self._folder(unit)) / "round"
        return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def unit_name(wildcards: Mapping[str, str]) -> str:
    """Return the unit of a job, which a rule calls unit, or shard or library where it can only be that."""
    return wildcards.get("unit") or wildcards.get("shard") or wildcards.get("library") or ""
