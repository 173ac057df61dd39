"""Intervals where patients have several cases: whole patients are drawn, since the films of one are alike.

Source: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), 3.8. Percentiles are shifted so that the
mean of the replicates is the estimate, as in `figures`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.intervals import UNDEFINED
from wardround.tasks.protocol import REPLICATES, Floats, Interval
from wardround.values.randomness import generator


def patient_weights(patients: NDArray[np.str_], *, seed: int, replicates: int = REPLICATES) -> NDArray[np.int64]:
    """(replicates, n): how often each case counts when patients are drawn with replacement."""
    _, owner = np.unique(patients, return_inverse=True)
    people = int(owner.max()) + 1
    drawn = generator("patients of an acceptance", seed).multinomial(people, np.full(people, 1 / people), size=replicates)
    return np.asarray(drawn[:, owner], np.int64)


def clustered_interval(estimate: float, figure: Callable[[Floats], float], weights: NDArray[np.int64]) -> Interval:
    """95 % interval of a figure of weighted cases; undefined where no replicate has one."""
    replicates = np.array([figure(one.astype(np.float64)) for one in weights])
    kept = replicates[np.isfinite(replicates)]
    if not np.isfinite(estimate) or not len(kept):
        return UNDEFINED
    low, high = np.clip(np.percentile(kept, (2.5, 97.5)) - kept.mean() + estimate, 0.0, 1.0)
    return float(min(low, estimate)), float(max(high, estimate))


def weighted_share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Callable[[Floats], float]:
    """The share of hits among some of the cases."""
    both = hits & among

    def share(weights: Floats) -> float:
        total = weights[among].sum()
        return float(weights[both].sum() / total) if total else np.nan

    return share


def weighted_auc(scores: Floats, labels: NDArray[np.integer]) -> Callable[[Floats], float]:
    """The chance that a case with the finding scores above one without; ties count half."""
    _, group = np.unique(scores, return_inverse=True)
    groups, positive = int(group.max()) + 1, labels == 1

    def area(weights: Floats) -> float:
        yes = np.bincount(group[positive], weights[positive], groups)
        no = np.bincount(group[~positive], weights[~positive], groups)
        pairs = yes.sum() * no.sum()
        return float(yes @ (no.cumsum() - no / 2) / pairs) if pairs else np.nan

    return area
