"""The disclosure rules: what totals of all hospitals may be shown. One place, called where a result is made.

A total is not safe because it was summed under a mask: a cell of one patient is that patient. So counts below a smallest cell are
withheld, and so is what would give them away.
"""

WITHHELD = "withheld"


def shown_count(count: int, smallest: int) -> str:
    """A count as it may be shown: `< 5` for one below the smallest cell. 0 is shown: it is of nobody.

    >>> shown_count(3, 5), shown_count(0, 5), shown_count(12, 5)
    ('< 5', '0', '12')
    """
    return f"< {smallest}" if 0 < count < smallest else str(count)
