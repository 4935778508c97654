"""The quality of plate cells: a frame with a row a cell, from the counts and logs of the shards."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.core.outliers import far_by_fold, far_by_points, logarithms, robust_z
from scripts.harvest.quality import flags
from scripts.harvest.quality.copies import smallest_of_each
from scripts.plan.run_table import Run
from scripts.plates.shard_counts import TALLIES, ShardReader
from scripts.references.gene_kinds import XIST, Y_GENES, kind_in_reference
from scripts.references.genes_table import GeneRow
from scripts.references.kmer_index import mix
from scripts.star.log import INPUT_READS, MULTIPLE_LOCI, TOO_MANY_LOCI, UNIQUELY_MAPPED, mapped_reads

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse

LEDGER = ("cell", "series", "sample", "experiment", "runs", "species", "status", "reason")
OF_LOG = {
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
KINDS = {"pct_counts_spike_in": "spike_in", "pct_counts_mt": "mitochondrial", "pct_counts_ribo": "ribosomal"}
"""Column → kind of genes."""
SCORES = {
    "z_counts": "total_counts",
    "z_genes": "n_genes_by_counts",
    "z_mt": "pct_counts_mt",
    "z_spike_in": "pct_counts_spike_in",
}
"""Column → the figure whose robust z-score it is; of counts and genes that of the logarithm."""
LOGARITHMS = ("z_counts", "z_genes")
COLUMNS = (
    *(*LEDGER, "flags", *OF_LOG, "pct_mapped", "total_counts", "n_genes_by_counts"),
    *(name.strip("_") for name in TALLIES),
    *("pct_ambiguous", *KINDS, *SCORES),
    *("sampled_reads", "pct_known_reads", "pct_own_species", "other_species", "pct_other_species"),
    *("pct_mates_agree", "pct_runs_agree", "same_reads_as", "pct_same_reads", "same_counts_as", "pct_same_counts"),
    *("sex_of_record", "sex_of_genes", "xist_counts", "y_counts"),
)
TEXTS = ("flags", "other_species", "same_reads_as", "same_counts_as", "sex_of_record", "sex_of_genes")
"""Columns beside those of the ledger that are no numbers."""
SKETCH = 64
"""Hashes of a cell's counts that are compared."""
_HIGH = 10  # a count that another cell has by chance in one of ten genes at most

_OUTLIERS = ("OUTLIER_COUNTS", "OUTLIER_GENES", "OUTLIER_MITOCHONDRIAL", "OUTLIER_SPIKE_IN")  # by SCORES


class GenesOfSpecies(NamedTuple):
    """What is known of the genes that are counted, in their order."""

    ids: list[str]
    kinds: np.ndarray
    """See :func:`~scripts.references.gene_kinds.kind_in_reference`."""
    names: np.ndarray
    """In capitals."""


def describe_genes(genes: Sequence[GeneRow], spike_ins: frozenset[str]) -> GenesOfSpecies:
    """Return what is known of genes; ``spike_ins`` are the contigs of spike-ins."""
    kinds = np.array([kind_in_reference(gene, spike_ins) for gene in genes], str)
    names = np.array([gene.gene_name.upper() for gene in genes], str)
    return GenesOfSpecies([gene.gene_id for gene in genes], kinds, names)


class CellsOfShard(NamedTuple):
    """The cells of a shard."""

    frame: "pd.DataFrame"
    """A row a cell; columns are those of COLUMNS that are known of a cell alone."""
    sketches: list[np.ndarray]
    """Hashes of the counts of each cell."""
    fingerprints: np.ndarray
    """uint64: a hash of all counts of each cell."""


def read_cells(shard: str | Path, settled: Mapping[str, Run], genes: GenesOfSpecies) -> CellsOfShard:
    """Return the cells of a shard; ``settled`` are the ledger's rows of its species, by run.

    Cells of another plan, whose runs the ledger does not have, are passed over. Raises InputError where the genes are
    not those of the counts.
    """
    import pandas as pd

    with ShardReader(shard) as reader:
        if reader.genes() != genes.ids:
            raise InputError(f"{shard}: its genes are not those of the table of genes.")
        chosen = [cell for cell, runs in enumerate(reader.runs) if runs.split(";")[0] in settled]
        logs = reader.logs()
        tallies = reader.tallies()[chosen]
        counts = reader.matrix().tocsr()[chosen]
        names, runs = ([texts[cell] for cell in chosen] for texts in (reader.columns, reader.runs))
    logs = [logs[cell] for cell in chosen]
    rows = [settled[of_cell.split(";")[0]] for of_cell in runs]
    columns: dict[str, Any] = {"cell": names}
    columns |= {name: [getattr(row, name) for row in rows] for name in LEDGER if name not in ("cell", "runs")}
    columns["runs"] = runs
    columns |= {name: [_figure(log.get(field, "")) for log in logs] for name, field in OF_LOG.items()}
    reads, mapped = (np.array([number(log) for log in logs], float) for number in (_input_reads, mapped_reads))
    columns["pct_mapped"] = percent(mapped, reads)
    columns |= {name.strip("_"): tallies[:, at] for at, name in enumerate(TALLIES)}
    columns |= count_figures(counts, genes)
    columns["pct_ambiguous"] = percent(columns["ambiguous"], columns["ambiguous"] + columns["total_counts"])
    return CellsOfShard(pd.DataFrame(columns), sketch_counts(counts), hash_counts(counts))


def count_figures(counts: "scipy.sparse.csr_matrix", genes: GenesOfSpecies) -> dict[str, np.ndarray]:
    """Return column → value of each cell, for what is known from its counts alone."""
    total = np.asarray(counts.sum(axis=1)).ravel()
    figures: dict[str, np.ndarray] = {
        "total_counts": total,
        "n_genes_by_counts": np.asarray((counts != 0).sum(axis=1)).ravel(),
    }
    for name, kind in KINDS.items():
        figures[name] = percent(counts @ (genes.kinds == kind).astype(np.int64), total)
    figures["xist_counts"] = counts @ np.isin(genes.names, list(XIST)).astype(np.int64)
    figures["y_counts"] = counts @ np.isin(genes.names, list(Y_GENES)).astype(np.int64)
    return figures


def sketch_counts(counts: "scipy.sparse.csr_matrix") -> list[np.ndarray]:
    """Return for each cell the smallest hashes of its genes with their counts, of those with high counts."""
    entries = counts.tocoo()
    high = entries.data >= _HIGH
    hashed = hash_entries(entries.col[high], entries.data[high])
    return smallest_of_each(entries.row[high], hashed, SKETCH, counts.shape[0])


def hash_counts(counts: "scipy.sparse.csr_matrix") -> np.ndarray:
    """Return a hash (uint64) of all counts of each cell: the sum, modulo 2^64, of those of its genes and counts."""
    entries = counts.tocoo()
    hashes = np.zeros(counts.shape[0], np.uint64)
    np.add.at(hashes, entries.row, hash_entries(entries.col, entries.data))
    return hashes


def hash_entries(genes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return a hash (uint64) of each gene with its count."""
    return mix(mix(genes.astype(np.uint64)) + np.round(1000.0 * counts).astype(np.uint64))


def _input_reads(log: Mapping[str, str]) -> int:
    return int(log[INPUT_READS])


def _figure(value: str) -> str:
    """Return a number of a log without its unit, empty where STAR divided by zero."""
    return "" if "nan" in value else value.rstrip("%")


def percent(part: Any, whole: Any) -> np.ndarray:
    """Return 100 · part / whole of arrays, NaN where the whole is 0."""
    whole = np.asarray(whole, float)
    return 100 * np.asarray(part, float) / np.where(whole > 0, whole, np.nan)


def add_scores(cells: "pd.DataFrame") -> list[set[str]]:
    """Add the z-scores of the cells in their series and species, see SCORES; return the flags of outliers of each."""
    groups = [np.asarray(group) for group in cells.groupby(["series", "species"]).indices.values()]
    found: list[set[str]] = [set() for _ in range(len(cells))]
    for code, (name, figure) in zip(_OUTLIERS, SCORES.items(), strict=True):
        values = cells[figure].to_numpy(float)
        scores = np.full(len(cells), np.nan)
        for group in groups:
            of_group = values[group]
            scores[group] = robust_z(logarithms(of_group) if name in LOGARITHMS else of_group)
            far = (far_by_fold if name in LOGARITHMS else far_by_points)(of_group, scores[group])
            for cell in group[far].tolist():
                found[cell].add(code)
        cells[name] = scores
    return found


def flags_of_cells(cells: "pd.DataFrame") -> list[set[str]]:
    """Return the flags that each cell has for its own figures and for the reads of its series."""
    reads = cells.reads.astype(float)
    groups = cells.assign(reads=reads).groupby(["series", "species"])
    depth = groups.reads.transform("median").where(groups.reads.transform("size") >= flags.FEWEST_CELLS)
    counted = cells.total_counts >= flags.FEWEST_COUNTS
    empty = (reads == 0) | (100 * reads < flags.EMPTY_READS * depth)
    empty |= counted & (cells.pct_counts_spike_in >= flags.EMPTY_SPIKE_INS)
    once = cells.mapped_once.astype(float)
    found = {
        "LOW_MAPPING": cells.pct_mapped < flags.LOW_MAPPED,
        "NO_GENES": (reads > 0) & (cells.n_genes_by_counts == 0),
        "EMPTY_WELL": empty,
        "FEW_READS": ~empty & (100 * reads < flags.FEW_READS * depth),
        "HIGH_MITOCHONDRIAL": counted & (cells.pct_counts_mt > flags.HIGH_MITOCHONDRIAL),
        "HIGH_RIBOSOMAL": counted & (cells.pct_counts_ribo > flags.HIGH_RIBOSOMAL),
        "HIGH_AMBIGUOUS": counted & (cells.pct_ambiguous > flags.HIGH_AMBIGUOUS),
        "HIGH_NO_FEATURE": (once >= flags.FEWEST_COUNTS) & (100 * cells.no_feature > flags.HIGH_NO_FEATURE * once),
        "HIGH_MISMATCH": (once >= flags.FEWEST_COUNTS) & (_numbers(cells.pct_mismatch) > flags.HIGH_MISMATCH),
    }
    masks = {code: mask.to_numpy(bool) for code, mask in found.items()}
    return [{code for code, mask in masks.items() if mask[cell]} for cell in range(len(cells))]


def _numbers(texts: "pd.Series") -> "pd.Series":
    import pandas as pd

    return pd.to_numeric(texts, errors="coerce")


def table_rows(cells: "pd.DataFrame", columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    texts = [list(map(shown, cells[name])) if name in cells else [""] * len(cells) for name in columns]
    yield from map(list, zip(*texts, strict=True))


def shown(value: Any) -> str:
    """Return a value of the tables as text: whole numbers without a point, others with two digits, NaN is empty."""
    if isinstance(value, str):
        return value
    if value != value:
        return ""
    return str(int(value)) if isinstance(value, int | np.integer) else f"{value:.2f}"


def counts_text(value: float) -> str:
    """Return counts as text, with up to ten digits where they have decimals (``nonunique: fraction``)."""
    return f"{value:.10g}" if value % 1 else str(int(value))
