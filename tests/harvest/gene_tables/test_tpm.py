"""Transcripts per million, by hand: counts 10, 20 and 30 of genes of 100, 200 and 1000 bases."""

import numpy as np
import pytest
import scipy.sparse

from scripts.harvest.gene_tables.tpm import scale_cells, tpm_of

LENGTHS = np.array([100, 200, 1000], np.int64)


def test_tpm_are_shares_of_a_million_by_length() -> None:
    counts = scipy.sparse.csr_matrix(np.array([[10, 20, 30], [0, 0, 0], [0, 0, 7]]))
    assert scale_cells(counts, LENGTHS) == pytest.approx([1e6 / 0.23, 0, 1e6 / 0.007])
    made = tpm_of(counts, LENGTHS)
    assert made.dtype == np.float32
    assert made.toarray() == pytest.approx(
        np.array([[1e5, 1e5, 3e4], [0, 0, 0], [0, 0, 7e3]]) * [[1 / 0.23], [0], [1 / 0.007]]
    )
    assert np.ravel(made.sum(axis=1)) == pytest.approx([1e6, 0, 1e6])


def test_no_cell_has_no_tpm() -> None:
    assert tpm_of(scipy.sparse.csr_matrix((0, 3)), LENGTHS).shape == (0, 3)
