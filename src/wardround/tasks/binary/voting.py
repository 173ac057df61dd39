"""A model's probability of a yes and the vote of alike records, as one probability."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.score_sums import probability

if TYPE_CHECKING:
    import torch

Numbers = TypeVar("Numbers", NDArray[np.float64], "torch.Tensor")


def smoothed(shares: Numbers, voters: Numbers) -> Numbers:
    """The probability of a yes where `shares` of so many voters say yes: half a voter is added on either side.

    R. E. Krichevsky, V. K. Trofimov, IEEE Trans. Inf. Theory 27 (1981) 199: whatever comes next, its loss is within half a
    logarithm of the best.

    >>> smoothed(np.array([1.0, 1.0, 0.25]), np.array([1.0, 9.0, 4.0])).tolist()
    [0.75, 0.95, 0.3]
    """
    return (shares * voters + 0.5) / (voters + 1.0)


def with_votes(
    logits: NDArray[np.float64], shares: NDArray[np.float64], voters: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """The logit of share * vote + (1 - share) * model. Yes and no are mixed each for itself, so that neither is lost to rounding.

    >>> mixed = with_votes(np.array([0.0, 800.0]), np.array([1.0, 0.0]), np.array([9.0, 9.0]), 0.5)
    >>> probability(mixed).round(3).tolist()
    [0.725, 0.525]
    """
    chances = smoothed(shares, voters)
    yes = share * chances + (1.0 - share) * probability(logits)
    no = share * (1.0 - chances) + (1.0 - share) * probability(-logits)
    return np.log(yes) - np.log(no)
