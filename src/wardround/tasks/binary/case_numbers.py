"""How many cases would decide: the smallest number at which an interval clears a limit, if the figure stays what it is."""

import math

from wardround.tasks.intervals import Z

MOST = 10**7


def cases_for_share(share: float, limit: float) -> int | None:
    """Cases at which Wilson's interval of a share lies wholly above the limit; None where no number would do.

    >>> cases_for_share(0.95, 0.9), cases_for_share(0.9, 0.9)
    (139, None)
    """
    if not share > limit:
        return None
    low, high = 1, 2
    while not _clears(share, high, limit):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _clears(share, middle, limit) else (middle, high)
    return high


def cases_for_estimate(cases: int, distance: float, margin: float) -> int | None:
    """Cases at which an interval, whose end lies `distance` from its estimate at `cases`, lies no further than `margin` from it.

    The distance falls with the root of the cases. None where the estimate itself does not keep the limit.

    >>> cases_for_estimate(100, 0.1, 0.05), cases_for_estimate(100, 0.1, -0.01)
    (400, None)
    """
    if not margin > 0 or not math.isfinite(distance):
        return None
    needed = math.ceil(cases * (distance / margin) ** 2 - 1e-9)
    return max(needed, 1) if needed <= MOST else None


def _clears(share: float, cases: int, limit: float) -> bool:
    """By Wilson's formula for the share itself: whole hits would make the answer jump up and down with the cases."""
    weight = Z**2 / cases
    centre = share + weight / 2
    return (centre - math.sqrt(share * (1 - share) * weight + weight**2 / 4)) / (1 + weight) > limit
