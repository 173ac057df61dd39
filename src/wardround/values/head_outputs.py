"""How many numbers a network's last layer gives, where they are more than a count."""


class SharedScore(int):
    """So many numbers that share one score, each with an offset of its own.

    >>> SharedScore(4) == 4, isinstance(SharedScore(4), int)
    (True, True)
    """


class Ordered(SharedScore):
    """So many that share one score and fall from the first to the last: the log-odds of "beyond grade 1", "beyond 2", ..."""
