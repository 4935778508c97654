"""Robust z-scores of the cells of a series."""

import numpy as np

from scripts.harvest.quality.flags import OUTLIER_CELLS

_NORMAL = 0.6745
"""The third quartile of the normal distribution: MAD over this is a standard deviation."""


def robust_z(values: np.ndarray) -> np.ndarray:
    """Return 0.6745 · (x − median) / MAD of each value, with the median absolute deviation MAD of all.

    Source: Iglewicz & Hoaglin 1993, How to detect and handle outliers, 3.3. NaN for values that are NaN, and for all
    where fewer than OUTLIER_CELLS are none, or MAD is 0 since half of them are the same.
    """
    known = values[~np.isnan(values)]
    if known.size < OUTLIER_CELLS:
        return np.full(values.shape, np.nan)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle))
    return _NORMAL * (values - middle) / spread if spread > 0 else np.full(values.shape, np.nan)
