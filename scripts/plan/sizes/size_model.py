"""The size model: memory, time and scratch of every stage's jobs, estimated from the plan and refitted to jobs done.

The one model of the whole workflow. Time and memory of a job are sums of terms: a coefficient times a size of the job
(:data:`SIZES`), or of its share for each thread (``mspots/threads``). What is shipped here is what such work takes on
common machines. ``python -m scripts plan --learn`` fits the coefficients to the jobs of a site and keeps them in
resources/size_model.json, from which the rules and the next plan take them: a JSON object stage → {``jobs``: number,
``minutes`` and ``memory_mb``: {term: coefficient}, ``minutes_margin`` and ``memory_margin``: factor}; stages that are
not in it are as shipped. Standard library only: Snakemake reads it before any tool is installed.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError, raise_faults
from scripts.plan.units import Unit

SIZES = {
    "one": "1, for every job",
    "threads": "threads of the job",
    "runs": "runs of the unit",
    "archive_mb": "MB of the unit's archives",
    "fastq_mb": "MB of its compressed FASTQ, see plan/footprint.py",
    "converting_mb": "MB that it holds while it is converted",
    "counting_mb": "MB that it holds while it is aligned and counted",
    "mspots": "millions of its spots",
    "genome_mb": "MB of the reference's sequence",
    "kjunctions": "thousands of its annotated junctions: as many as a mammal has, or fewer in a small genome",
    "index_mb": "MB of STAR's index of it",
    "cells": "plate cells of the species, or of all species for what is made of all; shards taken as full",
}
HUMAN_GENOME_MB = 3200.0
_INDEX_A_BYTE = 9.1  # MB for a MB of FASTA: of 60 bases in 61 bytes, a byte and twice 33 bits of the suffix array each
_INDEX_A_KJUNCTION = 1.86  # MB: the same for 201 bases of each junction
_LARGEST_PREFIXES_MB = 1565.0  # of the index of all words of 14 bases
_MOST_KJUNCTIONS = 400.0  # GENCODE has 350 to 400
_KJUNCTIONS_A_MB = 1.6
_PACKED = 4.0  # bases to a byte of gzipped FASTA, at most
FILE = "resources/size_model.json"


class Stage(NamedTuple):
    """What a stage's jobs take; each map is term → coefficient."""

    minutes: Mapping[str, float]
    memory_mb: Mapping[str, float]
    minutes_margin: float = 2.0
    """How many times the expected minutes a job may take before it is ended."""
    memory_margin: float = 1.1
    jobs: int = 0
    """Jobs that it was fitted to; 0 as shipped."""


# Measured by benchmarks.scale (benchmarks/README.md): 250 Mb, 60,000 genes, 384 cells, libraries of 5 and 10 M spots,
# with two threads. What grows with genomes, cells and reads beyond that is derived, as said beside it.
SHIPPED: Mapping[str, Stage] = {
    # 10 MB a second from the archive, which loopback does not show, and what a run asks for beside its bytes
    "download": Stage({"one": 0.1, "runs": 0.04, "archive_mb": 1 / 600}, {"one": 60, "threads": 30}),
    # 15 MB of compressed FASTQ a second and thread
    "fastq": Stage({"one": 0.03, "runs/threads": 0.003, "fastq_mb/threads": 1 / 900}, {"one": 60, "threads": 120}),
    # read and written in blocks
    "reference": Stage({"one": 0.2, "genome_mb": 1 / 500}, {"one": 80, "genome_mb": 0.15}),
    # Two bytes a base for both strands, 33 bits for each in the suffix array, a junction's 402 suffixes of 16 bytes and
    # as much to sort them. Threads sort suffixes, where STAR is built with OpenMP (Debian's is not).
    "star_index": Stage(
        {"one": 0.3, "genome_mb": 1 / 60, "genome_mb/threads": 1 / 40, "kjunctions": 0.02},
        {"one": 700, "genome_mb": 10.1, "kjunctions": 12.9},
    ),
    # exons, whatever the genome
    "count_index": Stage({"one": 0.3, "genome_mb": 1 / 1000}, {"one": 300, "genome_mb": 0.1}),
    # a contig whole
    "kmers": Stage({"one": 0.2, "genome_mb": 1 / 640}, {"one": 200, "genome_mb": 0.35}),
    # The index is loaded from a slow disk, 100 MB a second, and held once; 0.4 million spots a minute and thread.
    # Beside it each thread has 150 MB of buffers and what STAR holds for its reads (alexdobin/STAR, issue 1063).
    "align": Stage(
        {"one": 0.1, "index_mb": 1 / 6000, "runs/threads": 0.015, "mspots/threads": 2.5},
        {"one": 900, "index_mb": 1.0, "threads": 360},
    ),
    "count": Stage({"one": 0.05, "runs/threads": 0.002, "mspots/threads": 0.2}, {"one": 120, "threads": 100}),
    # a sample of the reads, and the lists
    "read_roles": Stage({"one": 0.03, "runs": 0.02}, {"one": 500}),
    # what is counted is held beside the index: 28 bytes a read (SoloFeature: rGeneUMI, readInfo)
    "solo": Stage(
        {"one": 0.1, "index_mb": 1 / 6000, "mspots/threads": 2.0},
        {"one": 900, "index_mb": 1.0, "threads": 200, "mspots": 30},
    ),
    # the unique matrix twice, as text for STAR and as numbers
    "cells": Stage({"one": 0.05, "mspots": 0.01}, {"one": 200, "mspots": 15}),
    # in blocks of entries
    "mex_archive": Stage({"one": 0.1, "mspots": 0.02}, {"one": 60, "threads": 60}),
    # gathered in blocks of genes or cells: 0.4 GB for 47,000 cells (benchmarks.harvest)
    "table": Stage({"one": 0.1, "cells": 1 / 10_000}, {"one": 300, "cells": 0.006}),
    # a library at a time, of which nothing was measured at full size
    "droplets_h5ad": Stage({"one": 3}, {"one": 7200}),
    # 0.26 GB for 5,000 cells, 0.53 GB for 50,000 (benchmarks.report)
    "report": Stage({"one": 0.2, "cells": 1 / 50_000}, {"one": 400, "cells": 0.007}),
    # cells that are held together, with what scikit-learn makes of them
    "atlas": Stage({"one": 5, "cells": 1 / 400}, {"one": 3600, "cells": 0.09}),
}
STAGE_OF_RULE = {"counts_table": "table", "log_table": "table", "counts_h5ad": "table"}
"""Rule → stage of the model, for rules that ask for what a stage of another name does."""
LEAST_MINUTES = 30
"""Minutes that every job is given beside what it is expected to take."""
LEAST_MB = 1000
"""Least memory of a job."""


def amount(term: str, sizes: Mapping[str, float]) -> float:
    """Return what a coefficient is multiplied with: a size of a job, or its share for each thread."""
    size, _, share = term.partition("/")
    value = 1.0 if size == "one" else sizes[size]
    return value / sizes[share] if share else value


def total(terms: Mapping[str, float], sizes: Mapping[str, float]) -> float:
    """Return the sum of the terms for a job of these sizes."""
    return sum(coefficient * amount(term, sizes) for term, coefficient in terms.items())


def unit_sizes(unit: Unit) -> dict[str, float]:
    """Return the sizes that a unit of the plan gives to its jobs."""
    return {
        "runs": unit.runs,
        "archive_mb": unit.bytes / 1e6,
        "fastq_mb": unit.fastq / 1e6,
        "converting_mb": unit.converting / 1e6,
        "counting_mb": unit.counting / 1e6,
        "mspots": unit.spots / 1e6,
    }


def reference_sizes(folder: str | Path, fasta: str | Path = "", fasta_bytes: int = 0) -> dict[str, float]:
    """Return the sizes that a reference gives to jobs; where it is not made yet, those expected of its sequence.

    That is the local file ``fasta``, or the file of ``fasta_bytes`` at this address; where neither is known, it is
    taken to be as long as the human one.
    """
    genome = _size_in_mb(Path(folder, "genome.fa"))
    if not genome and fasta:
        genome = (fasta_bytes / 1e6 or _size_in_mb(Path(fasta))) * (
            _PACKED if str(fasta).endswith((".gz", ".bz2", ".xz")) else 1.0
        )
    genome = genome or HUMAN_GENOME_MB
    index = _size_in_mb(Path(folder, "star")) or expected_index_mb(genome)
    return {"genome_mb": genome, "index_mb": index, "kjunctions": expected_kjunctions(genome)}


def expected_kjunctions(genome_mb: float) -> float:
    """Return how many thousands of junctions the annotation of a genome may have."""
    return min(_MOST_KJUNCTIONS, _KJUNCTIONS_A_MB * genome_mb)


def expected_index_mb(genome_mb: float) -> float:
    """Return the MB of STAR's index of a genome (STAR's manual, 2.2.5: words of min(14, log2(bases) / 2 - 1) bases)."""
    word = min(14, int(math.log2(max(genome_mb, 1e-5) * 1e6) / 2 - 1))
    prefixes = _LARGEST_PREFIXES_MB * 4.0 ** (word - 14)
    return _INDEX_A_BYTE * genome_mb + _INDEX_A_KJUNCTION * expected_kjunctions(genome_mb) + prefixes


def _size_in_mb(path: Path) -> float:
    """Return the MB of a file or of the files in a folder, 0 where it is not there yet or just being made."""
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files) / 1e6
    except OSError:
        return 0.0


def scratch_mb(stage: str, sizes: Mapping[str, float]) -> float:
    """Return the MB that a unit holds in the scratch folder during a stage; 0 for other stages."""
    held = {"download": "archive_mb", "fastq": "converting_mb", "align": "counting_mb", "solo": "counting_mb"}
    return sizes[held[stage]] if stage in held else 0.0


def grown(attempt: int) -> float:
    """Return the factor by which an attempt is given more than the first: half as much again each time."""
    return 1 + (attempt - 1) / 2


class SizeModel:
    """The model as shipped, with refitted stages in place of those."""

    def __init__(self, refitted: Mapping[str, Stage] | None = None) -> None:
        self.stages = {**SHIPPED, **(refitted or {})}
        self._needed = {
            name: {size for term in (*stage.minutes, *stage.memory_mb) for size in term.split("/")}
            for name, stage in self.stages.items()
        }

    def needed(self, stage: str) -> set[str]:
        """Return the sizes on which time and memory of a stage's jobs depend."""
        return self._needed[stage]

    def minutes(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return the minutes that a job is expected to take."""
        return total(self.stages[stage].minutes, sizes)

    def memory_mb(self, stage: str, sizes: Mapping[str, float]) -> float:
        """Return the MB of memory that a job is expected to hold."""
        return total(self.stages[stage].memory_mb, sizes)

    def asked_minutes(self, stage: str, sizes: Mapping[str, float], attempt: int = 1) -> int:
        """Return the minutes that a job is given."""
        most = LEAST_MINUTES + self.stages[stage].minutes_margin * self.minutes(stage, sizes)
        return int(most * grown(attempt))

    def asked_mb(self, stage: str, sizes: Mapping[str, float], attempt: int = 1) -> int:
        """Return the MB of memory that a job is given."""
        most = self.stages[stage].memory_margin * self.memory_mb(stage, sizes)
        return int(max(LEAST_MB, most) * grown(attempt))

    def asked_scratch_mb(self, stage: str, sizes: Mapping[str, float], attempt: int = 1) -> int:
        """Return the MB of scratch that a job is given."""
        return int(scratch_mb(stage, sizes) * grown(attempt)) + 1  # for what is not reads: tables, logs


def read_model(path: str | Path) -> SizeModel:
    """Return the model as refitted at this site, else as shipped. Raises InputError, with every fault of the file."""
    try:
        refitted = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return SizeModel()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a size model ({error}). Delete it to use the shipped model.") from error
    raise_faults(f"The size model ({path}; delete it to use the shipped model)", _faults_of(refitted))
    return SizeModel({name: Stage(**values) for name, values in refitted.items()})


def _faults_of(refitted: Any) -> Iterable[str]:
    if not isinstance(refitted, dict):
        yield "it is not a JSON object."
        return
    for name, values in refitted.items():
        if name not in SHIPPED or not isinstance(values, dict) or set(values) != set(Stage._fields):
            yield f"{name}: not a stage with {', '.join(Stage._fields)}."
            continue
        for kind in ("minutes", "memory_mb"):
            terms, known = values[kind], getattr(SHIPPED[name], kind)
            if not isinstance(terms, dict) or set(terms) != set(known) or not all(map(_is_size, terms.values())):
                yield f"{name}.{kind}: not a number of 0 or more for each of {', '.join(known)}."
        for kind in ("minutes_margin", "memory_margin"):
            if not _is_size(values[kind]) or values[kind] < 1:
                yield f"{name}.{kind}: not a number of 1 or more."


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def write_model(path: str | Path, refitted: Mapping[str, Stage]) -> None:
    """Write refitted stages; the same jobs give the same bytes."""
    stages = {name: stage._asdict() for name, stage in refitted.items()}
    write_atomic(path, json.dumps(stages, indent=1, sort_keys=True) + "\n")
