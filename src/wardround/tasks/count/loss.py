"""The loss of a count: half the deviance of a Poisson law. torch is loaded with this page."""

import math
from collections.abc import Callable

import torch

from wardround.tasks.count.rate import FARTHEST, middle_of


def row_loss(largest: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """outputs (n,), targets (n, 3): the count, what it costs at its own rate, and 1 where it is known, 0 where it is blank.

    Divided by the middle rate, so that counts in thousands take the same steps as counts of a few.
    """
    middle = middle_of(largest)
    highest = math.log(FARTHEST * largest / middle)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        count, own, known_rows = targets[:, 0], targets[:, 1], targets[:, 2]
        low = outputs.clamp(max=highest)
        rate = middle * low.exp() * (1.0 + outputs - low)  # beyond the highest a straight line: no overflow, and still a slope
        return (known_rows * rate - count * (outputs + math.log(middle)) + own) / middle

    return loss
