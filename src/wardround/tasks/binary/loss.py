"""The loss of a yes-or-no question, and what its model shows. torch is loaded with this page."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from wardround.study.sections.training import TrainingSection


def row_loss(training: TrainingSection, labels: NDArray[Any] | None) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross-entropy of logits (n,) and targets (n,) in [0, 1], in nats. Targets are smoothed as `training` says.

    labels: for the weights of the classes; without them every row weighs 1. A mixed target gets the mixed weight.
    """
    weights = None if labels is None else class_weights(labels, balance=training.class_balance)
    return partial(_cross_entropy, weights=weights, smoothing=training.label_smoothing)


def _cross_entropy(
    outputs: torch.Tensor, targets: torch.Tensor, *, weights: tuple[float, float] | None, smoothing: float
) -> torch.Tensor:
    aims = targets * (1.0 - smoothing) + 0.5 * smoothing
    if weights is None:
        return F.binary_cross_entropy_with_logits(outputs, aims, reduction="none")
    negative, positive = torch.tensor(weights, dtype=torch.float32, device=targets.device)
    return F.binary_cross_entropy_with_logits(outputs, aims, torch.lerp(negative, positive, targets), reduction="none")


def class_weights(labels: NDArray[Any], *, balance: bool) -> tuple[float, float]:
    """The weights of class 0 and 1, n / (2 n_c), so that their mean over the records is 1; (1, 1) with one class only."""
    positives = int(np.sum(labels))
    negatives = len(labels) - positives
    if not balance or positives == 0 or negatives == 0:
        return 1.0, 1.0
    return len(labels) / (2 * negatives), len(labels) / (2 * positives)
