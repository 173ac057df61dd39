"""The loss of several findings: the mean over those that are known. torch is loaded with this page."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from wardround.study.sections.training import TrainingSection
from wardround.tasks.shared.rows import row_sum


def row_loss(training: TrainingSection, findings: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """outputs (n, k) logits; targets (n, 2k): k yeses, then k times 1 where the finding is known, 0 where it is blank, in nats.

    A blank costs nothing and has no gradient. A record's loss is the mean over its known findings, so that a record with many
    does not weigh more than one with few.
    """
    smoothing = training.label_smoothing

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        yes, known_rows = targets[:, :findings], targets[:, findings:]
        aims = yes * (1.0 - smoothing) + (0.5 * smoothing) * known_rows
        cost = (
            F.softplus(outputs) * known_rows - outputs * aims
        )  # cross-entropy, written so that a mixed target mixes its blanks too
        return row_sum(cost) / row_sum(known_rows).clamp(min=1e-6)

    return loss
