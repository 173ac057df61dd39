"""What the question that a study asks needs of training. The task gives it; no file here knows which question it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RowLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""outputs (n,) or (n, outputs), targets (n, ...), float32 -> (n,): one loss for each row, from that row alone.

A target may lie between two labels, since mixup mixes them.
"""


Targets = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Labels (n,) -> what a loss compares outputs with, (n,) or (n, width)."""
Drawn = Callable[[np.random.Generator, int], NDArray[Any]]


def as_numbers(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Labels that are their own targets."""
    return labels.astype(np.float32)


def drawn_labels(rng: np.random.Generator, n: int) -> NDArray[Any]:
    """Made-up labels 0 and 1."""
    return rng.integers(0, 2, n)


@dataclass(frozen=True)
class Head:
    """outputs: how many numbers the network gives for one record. loss: of each row. targets: of labels. drawn: made-up labels,
    for trials on no patient's data."""

    outputs: int
    loss: RowLoss
    targets: Targets = as_numbers
    drawn: Drawn = drawn_labels
