"""Robust z-scores: known values of a small series, and where there are none."""

import numpy as np

from scripts.core.outliers import robust_z


def test_scores_of_numbers_whose_median_and_mad_are_known():
    values = np.arange(21.0)  # median 10; deviations 0, 1, 1, …, 10, 10, so MAD is 5
    scores = robust_z(values)
    assert scores[10] == 0
    assert scores[20] == 0.6745 * 10 / 5
    assert scores[0] == -scores[20]


def test_one_cell_far_off_does_not_move_the_others():
    values = np.arange(21.0)
    values[20] = 1e9
    assert robust_z(values)[0] == -0.6745 * 10 / 5


def test_few_cells_and_equal_ones_have_none():
    assert np.isnan(robust_z(np.arange(19.0))).all()
    assert np.isnan(robust_z(np.array([1.0] * 15 + list(range(10))))).all()
    assert robust_z(np.zeros(0)).size == 0


def test_an_unknown_value_has_no_score_and_is_not_counted():
    values = np.append(np.arange(21.0), np.nan)
    assert np.isnan(robust_z(values)[21])
    assert (robust_z(values)[:21] == robust_z(np.arange(21.0))).all()
    assert np.isnan(robust_z(np.append(np.arange(19.0), np.nan))).all()
