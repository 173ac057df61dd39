"""Two models' losses on the same records: is one's mean below the other's? For any kind of question.

Records of one patient are alike, so patients are what varies: the deviation of the mean difference is that of sums over patients
(K.-Y. Liang, S. L. Zeger, Biometrika 73 (1986) 13, independence working model).
"""

import math

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import Floats, PairedDifference


def paired_losses(first: Floats, second: Floats, patients: NDArray[np.str_]) -> PairedDifference:
    """The mean of the second model's losses (n,) less the first's; below zero where the second is better.

    All is NaN without records; interval and p-value with one patient. Where every loss is the same, p is 1.
    """
    differences = second - first
    n, discordant = len(differences), int(np.count_nonzero(differences))
    if not n:
        return PairedDifference(math.nan, UNDEFINED, math.nan, 0, 0)
    mean = float(differences.mean())
    if not discordant:
        return PairedDifference(0.0, UNDEFINED, 1.0, n, 0)
    _, numbers = np.unique(patients, return_inverse=True)
    sums = np.bincount(numbers, weights=differences - mean)
    count = len(sums)
    deviation = math.sqrt(float(np.square(sums).sum()) * count / (count - 1)) / n if count > 1 else 0.0
    if deviation == 0.0:
        return PairedDifference(mean, UNDEFINED, math.nan, n, discordant)
    p_value = math.erfc(abs(mean) / deviation / math.sqrt(2))
    return PairedDifference(mean, (mean - Z * deviation, mean + Z * deviation), p_value, n, discordant)
