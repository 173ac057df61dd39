"""The loss of a time to an event: the likelihood of what each interval saw. torch is loaded with this page."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from wardround.tasks.shared.rows import row_sum


def row_loss(intervals: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """outputs (n, j): the log-odds of the event in each interval, for whoever came so far; targets (n, 2j): the event, then
    whether the interval was lived through or ended by it, in nats.

    M. F. Gensheimer, B. Narasimhan, PeerJ 7 (2019) e6257, eq. 2. A blank was in no interval, and costs nothing.
    """

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        event, there = targets[:, :intervals], targets[:, intervals:]
        return row_sum(F.softplus(outputs) * there - outputs * event)

    return loss
