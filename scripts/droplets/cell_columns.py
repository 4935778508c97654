"""What the h5ad of droplets says of its cells and genes, under the names that scanpy has for the same.

Which reads are counted in X is chosen here, too: nuclei hold RNA that is not spliced yet, which lies in introns.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scripts.core.outliers import far_by_fold, far_by_points, logarithms, robust_z
from scripts.references.gene_kinds import XIST, Y_GENES, kind_in_reference
from scripts.references.genes_table import GeneRow

if TYPE_CHECKING:
    import scipy.sparse

EXONS, WITH_INTRONS = "Gene", "GeneFull"
INTRON_KITS = ("10x_multiome", "10x_3p_v4")
"""Kits of nuclei, and those whose maker counts introns."""
_NUCLEI = re.compile(
    r"\bsn-?RNA|\bsingle[- ]nucle(?:us|i|ar)\b|\b(?:isolated|sorted|extracted|purified|intact|frozen|whole)\s+nuclei\b"
    r"|\bnuclei\s+(?:isolat|suspen|prepar|sort|extract)|^\s*nuclei\s*$",
    re.IGNORECASE,
)
_KINDS = {
    "pct_counts_mt": "mitochondrial",
    "pct_counts_ribo": "ribosomal",
    "pct_counts_ig": "ig",
    "pct_counts_tr": "tr",
    "pct_counts_spike_in": "spike_in",
}
_SCORES = {
    "z_counts": ("total_counts", "OUTLIER_COUNTS"),
    "z_genes": ("n_genes_by_counts", "OUTLIER_GENES"),
    "z_mt": ("pct_counts_mt", "OUTLIER_MITOCHONDRIAL"),
}
"""Column → the figure whose robust z-score it is, and the flag of an outlier by it."""


def choose_feature(
    asked: str, features: Iterable[str], libraries: Mapping[str, tuple[str, Iterable[str]]]
) -> tuple[str, str]:
    """Return the feature whose counts and cells are X, and why, in words.

    ``asked`` is auto, Gene or GeneFull; ``libraries`` is experiment → its kit, and what GEO says of its sample. Of a
    series all libraries are counted alike.
    """
    if asked != "auto":
        return asked, "chosen by droplets.counts"
    if WITH_INTRONS in features:
        for experiment, (kit, texts) in libraries.items():
            if kit in INTRON_KITS:
                return WITH_INTRONS, f"{experiment} is of the kit {kit}"
            if found := next(filter(None, map(_NUCLEI.search, texts)), None):
                return WITH_INTRONS, f"{experiment} is of nuclei ({found[0].strip()!r})"
    return EXONS, "nothing speaks of nuclei"


def gene_columns(features: Sequence[Sequence[str]], genes: Mapping[str, GeneRow], genome: str) -> dict[str, list[str]]:
    """Return column of var → values, a value a gene.

    ``features`` are the lines of an archive (id, name, type), ``genes`` is gene id → its row in the table of genes.
    """
    ids = [row[0] for row in features]
    none = GeneRow("", "", "", 0, "")
    return {
        "gene_id": ids,
        "gene_name": [(row[1:2] or row[:1])[0] for row in features],
        "gene_ids": ids,
        "feature_types": [(row[2:3] or ["Gene Expression"])[0] for row in features],
        "genome": [genome for _ in ids],
        "chromosome": [genes.get(gene, none).contig for gene in ids],
        "biotype": [genes.get(gene, none).biotype for gene in ids],
    }


class GeneGroups(NamedTuple):
    """Groups of the genes of a matrix, a value a gene."""

    kinds: np.ndarray
    """See :func:`~scripts.references.gene_kinds.kind_in_reference`."""
    xist: np.ndarray
    """Whether it is XIST."""
    y_genes: np.ndarray
    """Whether it is one of Y_GENES."""


def group_genes(columns: Mapping[str, Sequence[str]], spike_ins: Collection[str] = ()) -> GeneGroups:
    """Return the groups of genes, from the columns of var; ``spike_ins`` are the contigs of spike-ins."""
    rows = zip(*(columns[name] for name in ("gene_id", "gene_name", "biotype", "chromosome")), strict=True)
    kinds = [
        kind_in_reference(GeneRow(gene, name, biotype, 0, contig), spike_ins) for gene, name, biotype, contig in rows
    ]
    names = np.char.upper(np.array(columns["gene_name"], str))
    return GeneGroups(np.array(kinds, str), np.isin(names, list(XIST)), np.isin(names, list(Y_GENES)))


def cell_figures(rows: "scipy.sparse.csr_matrix", genes: GeneGroups) -> dict[str, Any]:
    """Return column of obs → values, a value a cell of a library; ``rows`` are its counts.

    total_counts, n_genes_by_counts, xist_counts and y_counts are whole numbers (int64), pct_counts_… percents of the
    counts, with four digits behind the point; of a cell without counts they are 0. z_… are robust z-scores in the
    library, with two digits (see :mod:`scripts.core.outliers`), ``flags`` the outliers by them, joined by ``;``.
    """
    totals = np.asarray(rows.sum(axis=1), np.int64).ravel()
    figures: dict[str, Any] = {"total_counts": totals, "n_genes_by_counts": np.diff(rows.indptr).astype(np.int64)}
    for name, kind in _KINDS.items():
        of_kind = np.asarray(rows @ (genes.kinds == kind).astype(np.int64), np.int64).ravel()
        figures[name] = np.round(100 * of_kind / np.maximum(totals, 1), 4)
    figures["xist_counts"] = np.asarray(rows @ genes.xist.astype(np.int64), np.int64).ravel()
    figures["y_counts"] = np.asarray(rows @ genes.y_genes.astype(np.int64), np.int64).ravel()
    flags: list[list[str]] = [[] for _ in totals]
    for name, (figure, code) in _SCORES.items():
        values = np.asarray(figures[figure], float)
        by_fold = figure in ("total_counts", "n_genes_by_counts")
        scores = robust_z(logarithms(values) if by_fold else values)
        for cell in np.flatnonzero((far_by_fold if by_fold else far_by_points)(values, scores)):
            flags[cell].append(code)
        figures[name] = np.round(scores, 2)
    return figures | {"flags": [";".join(codes) for codes in flags]}
