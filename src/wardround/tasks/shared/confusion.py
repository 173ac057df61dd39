"""What was said (columns) of records of each class (rows), counted: (k, k), and what follows from it.

A figure that needs a class which no record has leaves that class out.
"""

import numpy as np

from wardround.tasks.protocol import DecisionTable, Floats
from wardround.tasks.sums import Counts


def counted(truth: Counts, said: Counts, classes: int) -> Counts:
    """(k, k) of n truths and answers in 0..k-1."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, said), 1)
    return table


def accuracy(tables: Counts) -> Floats:
    """(..., k, k) -> (...): the share on the diagonal; NaN without records."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.trace(tables, axis1=-2, axis2=-1) / tables.sum((-2, -1)))


def balanced_accuracy(tables: Counts) -> Floats:
    """The mean, over the classes that records have, of the share that was recognised."""
    rows, right = tables.sum(-1), np.diagonal(tables, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(rows > 0, right / np.maximum(rows, 1), 0.0).sum(-1) / (rows > 0).sum(-1))


def kappa(tables: Counts, *, quadratic: bool) -> Floats:
    """Cohen's kappa (Educ. Psychol. Meas. 20 (1960) 37): agreement beyond chance, 1 is all. quadratic: an answer two grades off
    counts four times as wrong as one that is one off (J. Cohen, Psychol. Bull. 70 (1968) 213). NaN where chance alone would do.

    >>> float(kappa(np.array([[5, 0], [0, 5]]), quadratic=True)), float(kappa(np.array([[5, 5], [5, 5]]), quadratic=False))
    (1.0, 0.0)
    """
    places = np.arange(tables.shape[-1])
    apart = np.square(places[:, None] - places) if quadratic else places[:, None] != places
    total = tables.sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (tables * apart).sum((-2, -1)) / total
        chance = np.einsum("...i,ij,...j->...", tables.sum(-1), apart.astype(np.int64), tables.sum(-2)) / total / total
        return np.asarray(1.0 - seen / chance)


def table_of(matrix: Counts, names: tuple[str, ...], notes: tuple[str, ...]) -> DecisionTable:
    """As a report shows it."""
    rows = tuple(
        (f"{name} in truth", tuple((int(count), "right" if j == k else "") for j, count in enumerate(matrix[k])))
        for k, name in enumerate(names)
    )
    return DecisionTable(tuple(f"model says {name}" for name in names), rows, notes)
