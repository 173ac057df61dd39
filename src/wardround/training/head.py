"""What the question that a study asks needs of training. The task gives it; no file here knows which question it is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

RowLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""outputs (n,) or (n, outputs), targets (n, ...), float32 -> (n,): one loss for each row, from that row alone.

A target may lie between two labels, since mixup mixes them.
"""


@dataclass(frozen=True)
class Head:
    """outputs: how many numbers the network gives for one record. loss: of each row."""

    outputs: int
    loss: RowLoss
