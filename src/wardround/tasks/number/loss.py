"""The loss of a number: of the middle answer, and of the two ends of the range that is given. torch is loaded with this page."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from wardround.study.sections.task import TaskSection
from wardround.tasks.number.scale import columns_of

HUBER = 0.5
"""Errors beyond it, an eighth of the scale, weigh by their size and no longer by its square."""


def row_loss(asked: TaskSection) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """outputs (n, 3), in the order of `columns_of`; targets (n, 2): the aim, and 1 where it is known, 0 where it is blank.

    Half the squared error, or Huber's (Ann. Math. Statist. 35 (1964) 73), and the pinball losses (R. Koenker, G. Bassett,
    Econometrica 46 (1978) 33) of the quantiles that leave out (1 - coverage) / 2 on either side.
    """
    below, (middle_at, low_at, high_at) = (1.0 - asked.coverage) / 2, columns_of(asked)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        aims, known_rows = targets[:, 0], targets[:, 1]
        middle = outputs[:, middle_at] - aims
        whole = F.huber_loss(middle, torch.zeros_like(middle), reduction="none", delta=HUBER) if asked.loss == "huber" else None
        low, high = outputs[:, low_at], outputs[:, high_at]
        if asked.spread == "constant":  # the ends learn how far they lie from the middle, and leave the score to its own loss
            low, high = (end - outputs[:, middle_at] + outputs[:, middle_at].detach() for end in (low, high))
        ends = _pinball(aims - low, below) + _pinball(aims - high, 1.0 - below)
        return known_rows * ((0.5 * middle.square() if whole is None else whole) + ends)

    return loss


def _pinball(off: torch.Tensor, quantile: float) -> torch.Tensor:
    return torch.maximum(quantile * off, (quantile - 1.0) * off)
