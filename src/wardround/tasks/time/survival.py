"""Hazards of intervals as survival, and a vote of alike records mixed with them. No torch.

log S(end of interval j) = - sum over i <= j of log(1 + exp(o_i))
"""

import numpy as np

from wardround.tasks.protocol import Floats

LEAST = 1e-12


def log_survival(outputs: Floats) -> Floats:
    """(n, j) -> (n, j): at the end of each interval."""
    return -np.logaddexp(0.0, outputs).cumsum(axis=1)


def risk(outputs: Floats) -> Floats:
    """(n,): the logarithm of the summed hazard over the whole grid; larger is sooner."""
    return np.asarray(np.log(np.maximum(-log_survival(outputs)[:, -1], LEAST)))


def costs(outputs: Floats, event: Floats, there: Floats) -> Floats:
    """(n,): see `loss`."""
    return np.asarray((np.logaddexp(0.0, outputs) * there - outputs * event).sum(axis=1))


def with_votes(outputs: Floats, votes: Floats, voters: Floats, share: float) -> Floats:
    """Hazards are mixed, interval by interval, by those voters who came so far. votes (n, 2j): as targets."""
    intervals = outputs.shape[1]
    event, there = votes[:, :intervals] * voters[:, None], votes[:, intervals:] * voters[:, None]
    voted = (event + 0.5) / (there + 1.0)
    yes = share * voted + (1.0 - share) * np.exp(-np.logaddexp(0.0, -outputs))
    no = share * (1.0 - voted) + (1.0 - share) * np.exp(-np.logaddexp(0.0, outputs))
    return np.where(there > 0, np.log(yes) - np.log(no), outputs)
