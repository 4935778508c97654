"""Values that stand out of many: robust z-scores, and how far from the median an outlier is at least.

Source: Iglewicz & Hoaglin 1993, How to detect and handle outliers, 3.3.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

OUTLIER_Z = 3.5
"""Robust z-score of an outlier."""
OUTLIER_CELLS = 20
"""Values from which on z-scores hold: of fewer, one in ten samples would have an outlier by chance."""
OUTLIER_FOLD = 2.0
"""An outlier by its logarithm is so many times more or less than the median."""
OUTLIER_POINTS = 5.0
"""An outlier by a percentage is so many percent points above the median."""
_NORMAL = 0.6745
"""The third quartile of the normal distribution: MAD over this is a standard deviation."""


def robust_z(values: "np.ndarray") -> "np.ndarray":
    """Return 0.6745 · (x − median) / MAD of each value, with the median absolute deviation MAD of all.

    NaN for values that are NaN, and for all where fewer than OUTLIER_CELLS are none, or MAD is 0 since half of them are
    the same.
    """
    import numpy as np

    known = values[~np.isnan(values)]
    if known.size < OUTLIER_CELLS:
        return np.full(values.shape, np.nan)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle))
    return _NORMAL * (values - middle) / spread if spread > 0 else np.full(values.shape, np.nan)


def logarithms(values: "np.ndarray") -> "np.ndarray":
    """Return the natural logarithms of values, NaN where they are not above 0."""
    import numpy as np

    return np.log(np.where(values > 0, values, np.nan))


def far_by_fold(values: "np.ndarray", scores: "np.ndarray") -> "np.ndarray":
    """Return which values are outliers, high or low, by the z-scores of their logarithms."""
    import numpy as np

    known = values[values > 0]
    middle = np.median(known) if known.size else np.nan
    far = (values * OUTLIER_FOLD <= middle) | (values >= OUTLIER_FOLD * middle)
    return far & (np.abs(scores) >= OUTLIER_Z)


def far_by_points(values: "np.ndarray", scores: "np.ndarray") -> "np.ndarray":
    """Return which percentages are outliers above the others, by their z-scores."""
    import numpy as np

    known = values[~np.isnan(values)]
    middle = np.median(known) if known.size else np.nan
    return (values >= middle + OUTLIER_POINTS) & (scores >= OUTLIER_Z)
