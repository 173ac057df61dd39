"""The loss of a question with several classes. torch is loaded with this page."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.study.sections.training import TrainingSection
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.rows import log_softmax, row_sum


def row_loss(
    training: TrainingSection, labels: NDArray[Any] | None, classes: int, shares: tuple[float, ...] = ()
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross-entropy of outputs (n, k) and targets (n, k) that say how much of a record is of each class, in nats.

    A row of zeros is a blank, and costs nothing. Targets are smoothed as `training` says. The classes are weighed by their
    public shares, where there are any, else by the counts of labels.
    """
    balance = training.class_balance and (bool(shares) or labels is not None)
    counted = class_weights(labels, classes) if balance and labels is not None and not shares else np.ones(classes)
    weights = torch.tensor(1.0 / (classes * np.array(shares)) if balance and shares else counted).to(torch.float32)
    smoothing = training.label_smoothing

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        known_rows = row_sum(targets)
        aims = targets * (1.0 - smoothing) + (smoothing / classes) * known_rows.unsqueeze(1)
        cost = -row_sum(aims * log_softmax(outputs))
        return cost * row_sum(targets * weights.to(targets.device)) if balance else cost

    return loss


def class_weights(labels: NDArray[Any], classes: int) -> Floats:
    """n / (p n_c) for each of the p classes that records have, so that their mean over the records is 1; 1 for an absent one."""
    counts = np.bincount(labels[labels >= 0].astype(np.int64), minlength=classes)
    present = counts > 0
    if present.sum() < 2:
        return np.ones(classes)
    return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0)
