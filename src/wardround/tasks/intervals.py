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


def of_difference(first: float, first_ends: Interval, second: float, second_ends: Interval) -> Interval:
    """The interval of second - first from those of two independent estimates: the distances to the ends add as squares.

    Source: G. Y. Zou and A. Donner, Statist. Med. 27 (2008) 1693 (MOVER).

    >>> [round(end, 3) for end in of_difference(0.5, (0.4, 0.6), 0.7, (0.6, 0.8))]
    [0.059, 0.341]
    """
    down = math.hypot(second - second_ends[0], first_ends[1] - first)
    up = math.hypot(second_ends[1] - second, first - first_ends[0])
    return second - first - down, second - first + up
