"""Transcripts per million (TPM) of cells.

TPM of a gene is 10^6 · (c / l) / Σ (c / l): its count c by its length l, as a share of the sum over genes (Li et al.
2010, Bioinformatics 26:493, https://doi.org/10.1093/bioinformatics/btp692; Wagner et al. 2012, Theory in Biosciences
131:281, https://doi.org/10.1007/s12064-012-0162-3). The length is that of the union of a gene's exons in the annotation
(of its features, where others are counted), not an effective length. TPM of a cell add up to a million, or to 0 without
any count.
"""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse

DIGITS = 6
"""Significant digits of TPM in a table."""


def scale_cells(counts: "scipy.sparse.csr_matrix", lengths: np.ndarray) -> np.ndarray:
    """Return 10^6 / Σ (count / length) of each cell (row), 0 where it has no count.

    Sums are exact and rounded once, so that they are the same on every machine.
    """
    rates = counts.data / lengths[counts.indices]
    ends = counts.indptr.tolist()
    sums = np.array([math.fsum(rates[start:end]) for start, end in itertools.pairwise(ends)], float)
    return np.divide(1e6, sums, out=np.zeros(len(sums)), where=sums > 0)


def tpm_of(counts: "scipy.sparse.csr_matrix", lengths: np.ndarray) -> "scipy.sparse.csr_matrix":
    """Return the TPM (float32) of cells (rows)."""
    import scipy.sparse

    scales = np.repeat(scale_cells(counts, lengths), np.diff(counts.indptr))
    values = (counts.data / lengths[counts.indices] * scales).astype(np.float32)
    return scipy.sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
