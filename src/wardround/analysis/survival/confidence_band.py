"""The 95 % band of a curve between 0 and 1, of those without an event or of those with it, from its variance.

    c^exp(h) to c^exp(-h),   h = Z sqrt(variance) / |c log c|          0 < c < 1: an interval of log(-log c)

J. D. Kalbfleisch and R. L. Prentice, The Statistical Analysis of Failure Time Data, 1980. At 0 and 1, where log(-log c) is not
there, it is the plain interval held within 0 and 1: the curve itself where nothing varies, and what the noise makes of it where
counts have noise.
"""

import numpy as np

from wardround.analysis.survival.time_grid import Floats

Z = 1.959963984540054


def confidence_band(curve: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """The lower and the upper ends (n,) of a curve (n,). NaN where the curve is; where the variance is not known, at 0 and 1 the
    end beside the curve is the curve, and the other one NaN.

    >>> low, high = confidence_band(np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.01, np.nan]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([1.0, 0.295, 0.0], [1.0, 0.675, nan])
    """
    inner, plain = (curve > 0) & (curve < 1), Z * np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        half = plain / np.abs(curve * np.log(curve))
        low, high = curve ** np.exp(half), curve ** np.exp(-half)
    at_end_low = np.where(curve <= 0, np.minimum(curve, 0.0), np.maximum(curve - plain, 0.0))
    at_end_high = np.where(curve >= 1, np.maximum(curve, 1.0), np.minimum(curve + plain, 1.0))
    return np.where(inner, low, at_end_low), np.where(inner, high, at_end_high)
