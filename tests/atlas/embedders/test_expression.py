import numpy as np
import pytest
import scipy.sparse

from scripts.atlas.embedders.expression import log_normalise, neighbours, seed_of
from tests.atlas.small_matrices import draw_counts


def test_neighbours_are_the_nearest_cells():
    counts = draw_counts(40, seed=2)
    points = log_normalise(scipy.sparse.csr_matrix(counts)).toarray()
    between = np.linalg.norm(points[:, None] - points[None], axis=2)  # all axes: the distances themselves
    np.fill_diagonal(between, np.inf)
    near, far = neighbours(scipy.sparse.csr_matrix(counts), 6, 120, 0)
    assert (near == np.argsort(between, axis=1)[:, :6]).all()
    assert np.allclose(far, np.sort(between, axis=1)[:, :6])
    centred = points - points.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    flat = left[:, :2] * values[:2]
    between = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.fill_diagonal(between, np.inf)
    near, far = neighbours(scipy.sparse.csr_matrix(counts), 6, 2, 0)
    assert np.allclose(far, np.sort(between, axis=1)[:, :6], atol=0.05)


@pytest.mark.parametrize(("cells", "number"), [(0, 0), (1, 0), (2, 1), (4, 3), (9, 6)])
def test_small_groups_have_fewer_neighbours(cells, number):
    near, far = neighbours(scipy.sparse.csr_matrix(draw_counts(cells)), 6, 50, 0)
    assert near.shape == far.shape == (cells, number)


def test_seeds_are_of_a_run():
    assert len({seed_of(seed, run) for seed in range(3) for run in ("SRR1", "SRR2", "SRR3")}) == 9
