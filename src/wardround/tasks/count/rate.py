"""An output as a rate, and what a rate costs: half the deviance of a Poisson law. No torch.

rate = middle exp(output), middle = sqrt(1 + largest): a public number, so that outputs are of ordinary size
cost = rate - y - y log(rate / y), 0 where the rate is the count y
"""

import math

import numpy as np

from wardround.tasks.protocol import Floats

FARTHEST = 4.0
"""A rate beyond so many times the largest count costs as if its logarithm went on in a straight line."""
LEAST = 1e-9


def middle_of(largest: float) -> float:
    """The rate of an output of 0."""
    return math.sqrt(1.0 + largest)


def rate_of(outputs: Floats, largest: float) -> Floats:
    """(n,): at most FARTHEST times the largest count."""
    highest = math.log(FARTHEST * largest / middle_of(largest))
    return np.asarray(middle_of(largest) * np.exp(np.minimum(outputs, highest)))


def deviance(rates: Floats, counts: Floats) -> Floats:
    """(n,): half the deviance of each record, in nats (McCullagh and Nelder, Generalized Linear Models, 1989, table 2.1)."""
    kept = np.maximum(rates, LEAST)
    return np.asarray(kept - counts - counts * np.log(kept / np.maximum(counts, LEAST)))


def output_of(rates: Floats, largest: float) -> Floats:
    """The inverse of `rate_of`."""
    return np.asarray(np.log(np.maximum(rates, LEAST) / middle_of(largest)))


def with_votes(outputs: Floats, votes: Floats, voters: Floats, share: float, largest: float) -> Floats:
    """Rates are mixed. votes (n, 2): mean count, and share of voters with an answer. Half a count stands for one voter more."""
    counted = votes[:, 1] * voters
    voted = (votes[:, 0] * voters + 0.5) / (counted + 1.0)
    mixed = share * voted + (1.0 - share) * rate_of(outputs, largest)
    return np.where(counted > 0, output_of(mixed, largest), outputs)
