"""Chances as people can picture them."""


def frequency(probability: float) -> tuple[int, int]:
    """(n, out of): a share that people can see before them. Shares below 1 of 100 are (0, 100), above 99 of 100 (100, 100).

    >>> frequency(0.71), frequency(0.04), frequency(0.001), frequency(0.9999)
    ((7, 10), (4, 100), (0, 100), (100, 100))
    """
    if 0.095 <= probability <= 0.905:
        return round(probability * 10), 10
    share = round(probability * 100)
    if probability < 0.01:
        share = 0
    elif probability > 0.99:
        share = 100
    return share, 100


def counted(probability: float) -> tuple[int, int]:
    """(n, out of), never none and never all: for sentences that do not say fewer or more.

    >>> counted(0.0), counted(0.71), counted(0.9999)
    ((1, 100), (7, 10), (99, 100))
    """
    count, total = frequency(probability)
    return min(max(count, 1), total - 1), total


def percent(probability: float) -> str:
    """Whole percents; the ends are never called certain.

    >>> percent(0.714), percent(0.0001), percent(0.9999)
    ('71 %', '< 1 %', '> 99 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
