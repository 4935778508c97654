"""The quality of plate cells: figures of each from STAR's log and the counts, and flags for what needs a look."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from scripts.harvest.quality import flags
from scripts.harvest.quality.flags import join_flags
from scripts.plan.run_table import Run
from scripts.plates.shard_counts import TALLIES, ShardReader
from scripts.star.log import INPUT_READS, MULTIPLE_LOCI, TOO_MANY_LOCI, UNIQUELY_MAPPED, mapped_reads

_OF_LOG = {
    "reads": INPUT_READS,
    "mapped_once": UNIQUELY_MAPPED,
    "mapped_several": MULTIPLE_LOCI,
    "too_many_loci": TOO_MANY_LOCI,
    "unmapped_mismatches": "Number of reads unmapped: too many mismatches",
    "unmapped_short": "Number of reads unmapped: too short",
    "unmapped_other": "Number of reads unmapped: other",
    "read_length": "Average input read length",
    "mapped_length": "Average mapped length",
    "pct_mismatch": "Mismatch rate per base, %",
}
"""Column → field of STAR's log; empty where the log of a cell does not have it."""
COLUMNS = (
    *("cell", "series", "sample", "experiment", "runs", "species", "status", "reason", "flags"),
    *(*_OF_LOG, "pct_mapped", "total_counts", "n_genes_by_counts"),
    *(name.strip("_") for name in TALLIES),
)


class CellQuality(NamedTuple):
    """A plate cell with its figures."""

    name: str  # its column in the shard: the experiment, or the run
    row: Run  # the ledger's, of its first run
    runs: str
    log: Mapping[str, str]
    counted: float  # reads that count for a gene; a fraction with nonunique: fraction
    genes: int  # with a count
    tallies: Sequence[int]

    @property
    def reads(self) -> int:
        return int(self.log[INPUT_READS])

    @property
    def mapped(self) -> int:
        return mapped_reads(self.log)


def read_cells(shard: str | Path, settled: Mapping[str, Run]) -> list[CellQuality]:
    """Return the cells of a shard; ``settled`` are the ledger's rows of its species, by run.

    Cells of another plan, whose runs the ledger does not have, are passed over.
    """
    with ShardReader(shard) as reader:
        counts = reader.matrix()
        counted, genes = np.asarray(counts.sum(axis=1)).ravel(), np.asarray((counts != 0).sum(axis=1)).ravel()
        figures = zip(
            reader.columns, reader.runs, reader.logs(), counted.tolist(), genes.tolist(), reader.tallies().tolist(),
            strict=True,
        )  # fmt: skip
        return [
            CellQuality(name, settled[runs.split(";")[0]], runs, *of_cell)
            for name, runs, *of_cell in figures
            if runs.split(";")[0] in settled
        ]


def flags_of(cell: CellQuality, depth: float) -> str:
    """Return the flags of a cell; ``depth`` is the median number of reads of its series, NaN where there is none."""
    empty = not cell.reads or 100 * cell.reads < flags.EMPTY_READS * depth  # never below NaN
    found = {
        "LOW_MAPPING": cell.reads > 0 and 100 * cell.mapped < flags.LOW_MAPPED * cell.reads,
        "EMPTY_WELL": empty,
        "FEW_READS": not empty and 100 * cell.reads < flags.FEW_READS * depth,
        "NO_GENES": cell.reads > 0 and cell.genes == 0,
    }
    return join_flags(code for code, is_so in found.items() if is_so)


def depths(cells: Sequence[CellQuality]) -> dict[tuple[str, str], float]:
    """Return (series, species) → the median number of reads of its cells; NaN where they are too few to tell."""
    reads: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        reads.setdefault((cell.row.series, cell.row.species), []).append(cell.reads)
    return {group: median(found) if len(found) >= flags.FEWEST_CELLS else math.nan for group, found in reads.items()}


def _figure(value: str) -> str:
    """Return a number of a log without its unit, empty where STAR divided by zero."""
    return "" if "nan" in value else value.rstrip("%")


def table_row(cell: CellQuality, depth: float) -> list[str]:
    """Return the row of a cell, see :data:`COLUMNS`."""
    row = cell.row
    return [
        *(cell.name, row.series, row.sample, row.experiment, cell.runs, row.species, row.status, row.reason),
        flags_of(cell, depth),
        *(_figure(cell.log.get(field, "")) for field in _OF_LOG.values()),
        f"{100 * cell.mapped / cell.reads:.2f}" if cell.reads else "",
        f"{cell.counted:.10g}" if cell.counted % 1 else str(int(cell.counted)),
        *map(str, (cell.genes, *cell.tallies)),
    ]
