"""What the h5ad of droplets says of its cells and genes, under the names that scanpy has for the same.

Which reads are counted in X is chosen here, too: nuclei hold RNA that is not spliced yet, which lies in introns.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scripts.references.gene_kinds import kind_of_gene
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
}


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


def kinds_of(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the kind of each gene (see :func:`kind_of_gene`), from the columns of var."""
    names = zip(columns["gene_name"], columns["biotype"], columns["chromosome"], strict=True)
    return np.array([kind_of_gene(name, biotype, contig.partition(";")[0]) for name, biotype, contig in names], str)


def cell_figures(rows: "scipy.sparse.csr_matrix", kinds: np.ndarray) -> dict[str, np.ndarray]:
    """Return column of obs → values, a value a cell; ``rows`` are its counts, ``kinds`` those of the genes.

    total_counts and n_genes_by_counts are whole numbers (int64), pct_counts_… percents of the counts, with four digits
    behind the point; of a cell without counts they are 0.
    """
    totals = np.asarray(rows.sum(axis=1), np.int64).ravel()
    figures = {"total_counts": totals, "n_genes_by_counts": np.diff(rows.indptr).astype(np.int64)}
    for name, kind in _KINDS.items():
        of_kind = np.asarray(rows @ (kinds == kind).astype(np.int64), np.int64).ravel()
        figures[name] = np.round(100 * of_kind / np.maximum(totals, 1), 4)
    return figures
