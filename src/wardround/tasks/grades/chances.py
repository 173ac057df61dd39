"""Falling logits of "beyond grade k" as chances of the grades, without loss where a chance is small.

p(grade k) = s(o_k) - s(o_k+1) = s(o_k) s(-o_k+1) (1 - exp(-(o_k - o_k+1))),   s the logistic function
"""

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.classes.chances import smoothed
from wardround.tasks.protocol import Floats

NEAREST = 1e-6
"""The least distance of two cuts: a grade that lies between equal ones still has a chance."""


def log_chances(logits: Floats) -> Floats:
    """(n, k - 1) -> (n, k).

    >>> np.exp(log_chances(np.array([[0.0, -1e6]]))).round(3).tolist()
    [[0.5, 0.5, 0.0]]
    """
    beyond, below = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
    gaps = np.maximum(logits[:, :-1] - logits[:, 1:], NEAREST)
    middle = beyond[:, :-1] + below[:, 1:] + np.log(-np.expm1(-gaps))
    return np.concatenate([below[:, :1], middle, beyond[:, -1:]], axis=1)


def log_chance_of(logits: Floats, may_be: NDArray[np.bool_]) -> Floats:
    """(n,): of being one of the grades that may_be (n, k) names; 0 where it names none."""
    logs = np.where(may_be, log_chances(logits), -np.inf)
    known_rows = may_be.any(axis=1)
    largest = np.where(known_rows, logs.max(axis=1, initial=-np.inf), 0.0)
    sums = np.exp(logs - largest[:, None]).sum(axis=1)
    return np.where(known_rows, np.minimum(largest + np.log(np.where(known_rows, sums, 1.0)), 0.0), 0.0)


def expected(logits: Floats) -> Floats:
    """(n,): the mean grade, 0 to k - 1: the sum of the chances of lying beyond each grade."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)).sum(axis=1))


def with_votes(logits: Floats, votes: Floats, voters: Floats, share: float) -> Floats:
    """Logits of the mixed chances."""
    mixed = share * smoothed(votes, voters) + (1.0 - share) * np.exp(log_chances(logits))
    beyond, below = mixed[:, ::-1].cumsum(axis=1)[:, ::-1], mixed.cumsum(axis=1)
    return np.asarray(np.log(beyond[:, 1:]) - np.log(below[:, :-1]))
