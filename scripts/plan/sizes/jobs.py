"""What the rules ask about jobs: memory, time and scratch, and which unit waits for which."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.plan.decisions.analysis import Analysis
from scripts.plan.sizes.cost import THREADS, plate_cells
from scripts.plan.sizes.footprint import chain_units
from scripts.plan.sizes.forecast import disk_warnings, free_gb, limit_faults, memory_fault
from scripts.plan.sizes.size_model import STAGE_OF_RULE, SizeModel, reference_sizes, unit_sizes

_OF_UNIT = {"runs", "archive_mb", "fastq_mb", "mspots"}
_OF_REFERENCE = {"genome_mb", "index_mb", "kjunctions"}
_STAGES = {  # of rules that take about as long as a stage of the size model
    **STAGE_OF_RULE,
    "tpm_table": "table", "atlas_model": "atlas", "atlas_embed": "atlas",
    "cells_table": "report", "libraries_table": "report",
}  # fmt: skip
_SHORT = 0.1  # minutes of a job of any other rule
_FOLDERS = (
    "partial",
    "download",
    "fastq",
    "align",
    "solo",
)  # in the scratch folder while a unit holds some of it


class JobResources:
    """What the jobs of an analysis ask for. Jobs are named by their stage and their wildcards."""

    def __init__(
        self,
        analysis: Analysis,
        model: SizeModel,
        machine: Callable[[], tuple[str, float] | None] = lambda: None,
        warn: Callable[[str], None] = lambda sentence: print(sentence, file=sys.stderr),
        guesses: bool = True,
    ) -> None:
        """``machine`` returns the name and the GB of memory of the machine on which jobs run, where they are known.

        ``warn`` says what will not fit; with ``guesses`` also where a genome that is still to be fetched is taken to be
        as long as the human one.
        """
        self.analysis = analysis
        self.model = model
        self.machine = machine
        self.warn = warn
        self.guesses = guesses
        self._too_large: set[str] = set()

    def sizes(self, stage: str, wildcards: Mapping[str, str], threads: int) -> dict[str, float]:
        """Return the sizes of a job on which a stage's terms of the size model depend."""
        needed = self.model.needed(stage)
        sizes: dict[str, float] = {"threads": threads}
        unit = unit_name(wildcards)
        if needed & _OF_UNIT:
            sizes |= unit_sizes(self.analysis.unit(unit))
        if needed & _OF_REFERENCE:
            reference = wildcards.get("reference") or self.analysis.reference(unit)
            sizes |= reference_sizes(f"resources/{reference}", self.analysis.sources.local_fasta(reference))
        if "cells" in needed:
            shard_size = int(self.analysis.config["plates"]["shard_size"])
            sizes["cells"] = plate_cells(self.analysis.units, wildcards.get("species"), shard_size)
        return sizes

    def memory_mb(self, stage: str, wildcards: Mapping[str, str], threads: int, attempt: int) -> int:
        """Return the MB of memory of a job; say once a stage where this machine has less than it is to hold."""
        sizes = self.sizes(stage, wildcards, threads)
        held = self.model.memory_mb(stage, sizes) / 1000
        name, memory_gb = self.machine() or ("", math.inf)
        if held > memory_gb and stage not in self._too_large and not self._is_guess(stage, wildcards):
            self._too_large.add(stage)
            self.warn(f"{stage}: {memory_fault(stage, held, memory_gb, name)}")
        return self.model.asked_mb(stage, sizes, attempt)

    def _is_guess(self, stage: str, wildcards: Mapping[str, str]) -> bool:
        """Return whether the size of a job's genome is a guess that is not to be said."""
        if self.guesses or not self.model.needed(stage) & _OF_REFERENCE:
            return False
        reference = wildcards.get("reference") or self.analysis.reference(unit_name(wildcards))
        return not (self.analysis.sources.local_fasta(reference) or Path("resources", reference, "genome.fa").exists())

    def minutes(self, stage: str, wildcards: Mapping[str, str], threads: int, attempt: int) -> int:
        """Return how many minutes a job may take."""
        return self.model.asked_minutes(stage, self.sizes(stage, wildcards, threads), attempt)

    def expected_minutes(self, rule: str, wildcards: Mapping[str, str], threads: int) -> float:
        """Return how many minutes a job of a rule is expected to take."""
        stage = _STAGES.get(rule, rule)
        return (
            self.model.minutes(stage, self.sizes(stage, wildcards, threads)) if stage in self.model.stages else _SHORT
        )

    def scratch_mb(self, stage: str, unit: str, attempt: int = 1) -> int:
        """Return the MB that a stage's job of a unit holds in the scratch folder."""
        return self.model.asked_scratch_mb(stage, unit_sizes(self.analysis.unit(unit)), attempt)

    def held_mb(self, unit: str) -> int:
        """Return the MB that a unit holds in the scratch folder at most, from its download to its counts."""
        return max(1, int(self.analysis.unit(unit).peak / 1e6))

    def warn_of_disk(self, units: Iterable[str]) -> None:
        """Say what of these units, those that are done left aside, has no room in the scratch folder or its limit."""
        undone = {name: self.analysis.unit(name) for name in units if not Path(f"units/status/{name}.tsv").exists()}
        limit_gb = float(self.analysis.config["scratch"]["limit_gb"])
        free = free_gb(self.analysis.scratch)
        for sentence in (*limit_faults(undone, limit_gb), *disk_warnings(undone, limit_gb, free)):
            self.warn(sentence)

    def waits_for(self, units: Iterable[str], again: Callable[[str], bool] = lambda unit: False) -> dict[str, str]:
        """Return unit → the unit that frees its scratch before it, of those of these units that are not done yet.

        ``again`` says of a unit that was counted whether it is counted again.
        """
        undone = [name for name in units if not Path(f"units/status/{name}.tsv").exists() or again(name)]
        holding = [
            name for name in undone if any(Path(self.analysis.scratch, stage, name).exists() for stage in _FOLDERS)
        ]
        sizes = {name: self.held_mb(name) for name in undone}
        references = {name: self.analysis.reference(name) for name in undone}
        return chain_units(sizes, self.analysis.config["scratch"]["limit_gb"] * 1000, holding, references)

    def downloads_at_once(self) -> int:
        """Return how many units may download side by side, so that they keep within ``archives.per_host``."""
        archives = self.analysis.config["archives"]
        return max(1, int(archives["per_host"]) // int(archives["parallel"]))

    def cost_options(self, chosen: Mapping[str, Any], cores: int | None) -> list[Any]:
        """Return what the cost of the plan depends on beside the plan, as options of ``resolve`` and ``discover``.

        ``chosen`` is rule → threads as the user or the profile set them, ``cores`` those of this machine where jobs run
        on it.
        """
        words = []
        for stage in THREADS:
            number = chosen.get("counts_table" if stage == "table" else stage, 1)
            number = int(getattr(number, "value", number))
            words.append(f"{stage}={min(number, cores or number)}")
        config = self.analysis.config
        references = [f"{label}={self.analysis.sources.reference_of_species(label)}" for label in config["species"]]
        fasta = [f"{name}={self.analysis.sources.fasta(name)}" for name in self.analysis.sources.references()]
        options = ["--references", *references, "--fasta", *fasta]
        return [*options, "--limit-gb", config["scratch"]["limit_gb"], "--threads", *words]

    def machine_options(self) -> list[Any]:
        """Return the memory of the machine on which the jobs run, where it is known, as options of ``resolve``."""
        machine = self.machine()
        return ["--memory-gb", f"{machine[1]:.1f}", "--machine", machine[0]] if machine else []


def unit_name(wildcards: Mapping[str, str]) -> str:
    """Return the unit of a job, which a rule calls unit, or shard or library where it can only be that."""
    return wildcards.get("unit") or wildcards.get("shard") or wildcards.get("library") or ""
