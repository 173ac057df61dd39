"""Intervals of proportions and of nothing. All are two-sided 95 %."""

import math

from wardround.tasks.protocol import Interval

Z = 1.959963984540054
UNDEFINED: Interval = (math.nan, math.nan)


def wilson(hits: int, trials: int) -> Interval:
    """Wilson's score interval for a proportion (J. Am. Stat. Assoc. 22 (1927) 209); NaN without trials.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if trials == 0:
        return UNDEFINED
    share, weight = hits / trials, Z**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    low = 0.0 if hits == 0 else max(centre - half, 0.0)
    return low, 1.0 if hits == trials else min(centre + half, 1.0)
