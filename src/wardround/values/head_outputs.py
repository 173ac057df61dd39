"""How many numbers a network's last layer gives, where they are more than a count."""


class Ordered(int):
    """So many numbers that share one score and fall from the first to the last: the log-odds of "beyond grade 1", "beyond 2", ...

    >>> Ordered(4) == 4, isinstance(Ordered(4), int)
    (True, True)
    """
