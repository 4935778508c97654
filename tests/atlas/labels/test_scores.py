import numpy as np
import pytest

from scripts.atlas.labels.scores import (
    HalfCounts,
    cosines,
    mean_cosine,
    mean_of,
    percentiles_of,
    sigmoid,
    unrelated,
    wilson,
)
from scripts.formats.charts import Scale, histogram


def test_half_precision_values_are_counted_exactly():
    dice = np.random.default_rng(0)
    values = np.concatenate([dice.normal(size=999), [0, -0.0, 65504, -65504, 6e-8]]).astype(np.float16)
    counts = HalfCounts()
    for part in np.array_split(values, 7):
        counts.add(part)
    found, times = counts.ordered()
    assert times.sum() == len(values)
    assert mean_of(found, times) == pytest.approx(values.astype(float).mean(), rel=1e-12)
    percents = (0.0, 0.1, 5.0, 50.0, 99.9, 100.0)
    expected = np.percentile(values.astype(float), percents, method="inverted_cdf")
    assert percentiles_of(found, times, percents) == expected.tolist()
    nothing = HalfCounts().ordered()
    assert np.isnan([mean_of(*nothing), *percentiles_of(*nothing, (50.0,))]).all()
    counts.add(np.array([np.nan, np.inf], np.float16))
    assert counts.ordered()[1].sum() == len(values)
    scale = Scale(-3, 3, False)
    charts = histogram(found, scale, "t", times=times), histogram(np.sort(values.astype(float)), scale, "t")
    assert charts[0].partition("median")[0] == charts[1].partition("median")[0]


def test_cosines_that_are_known():
    table = cosines(np.array([[1.0, 0], [0, 2], [3, 3], [0, 0], [np.nan, np.nan]]))
    assert table[0].tolist()[:3] == pytest.approx([1, 0, np.sqrt(0.5)])
    assert np.isnan(table[3]).all()
    assert np.isnan(table[:, 4]).all()
    pairs = np.array([[0, 2, 1, 0, 1], [0] * 5, [1, 0, 0, 0, 0], [0] * 5, [0] * 5])
    assert mean_cosine(table, pairs) == (pytest.approx((0 + 2 * np.sqrt(0.5)) / 4), 1)
    assert unrelated(np.array([[0, 3], [1, 0]])).tolist() == [[0, 9 / 4], [1 / 4, 0]]
    assert sigmoid(np.array([0.0, 1000, -1000])).tolist() == [0.5, 1, 0]


def test_the_interval_of_a_share_is_wilsons():
    low, high = wilson(np.array([11, 0, 10, 0]), np.array([19, 10, 10, 0]))
    assert low[:3] == pytest.approx([0.3628, 0, 0.7225], abs=1e-4)
    assert high[:3] == pytest.approx([0.7686, 0.2775, 1], abs=1e-4)
    assert np.isnan([low[3], high[3]]).all()
