"""Is a mean of AUCs better with another model, on the same records? By what each record adds to the difference.

An AUC is a mean over positive records and one over negative ones (E. R. DeLong et al., Biometrics 44 (1988) 837). So a mean of
several AUCs is a sum of what each record adds to each of them, and the variance of a difference is that of these sums: records
that count in several AUCs are one record still.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import Floats, PairedDifference
from wardround.tasks.shared.score_stack import BLANK


def paired_mean_auc(first: Floats, second: Floats, truths: NDArray[np.integer]) -> PairedDifference:
    """Scores (n, k) of two models and truths (n, k): 1, 0 or BLANK. The second's mean AUC less the first's.

    All is NaN where no question has both sides. Of one question it is `binary.paired.paired_auc`.
    """
    added, moved, differences = np.zeros(len(truths)), np.zeros(len(truths)), []
    for position in range(truths.shape[1]):
        yes, no = truths[:, position] == 1, truths[:, position] == 0
        if yes.any() and no.any():
            both = [_components(scores[:, position], yes, no) for scores in (first, second)]
            one = both[1] - both[0]
            differences.append(float(one[yes].mean()))
            for side in (yes, no):
                spread = one[side] - one[side].mean()
                added[side] += spread / max(math.sqrt(side.sum() * (side.sum() - 1.0)), 1.0)
            moved += np.abs(one)
    records = int((truths != BLANK).any(axis=1).sum())
    if not differences:
        return PairedDifference(math.nan, UNDEFINED, math.nan, records, 0)
    discordant = int(np.count_nonzero(moved))
    if not discordant:
        return PairedDifference(0.0, UNDEFINED, 1.0, records, 0)
    difference, deviation = float(np.mean(differences)), math.sqrt(float(np.square(added).sum())) / len(differences)
    if deviation == 0.0:
        return PairedDifference(difference, UNDEFINED, math.nan, records, discordant)
    ends = max(difference - Z * deviation, -1.0), min(difference + Z * deviation, 1.0)
    return PairedDifference(difference, ends, math.erfc(abs(difference) / deviation / math.sqrt(2)), records, discordant)


def _components(scores: Floats, yes: NDArray[np.bool_], no: NDArray[np.bool_]) -> Floats:
    """Of each record the share of records of the other side that it stands on the right side of; 0 of a blank one."""
    components = np.zeros(len(scores))
    components[yes] = _below(scores[yes], scores[no])
    components[no] = 1.0 - _below(scores[no], scores[yes])
    return components


def _below(scores: Floats, others: Floats) -> Floats:
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(others))
