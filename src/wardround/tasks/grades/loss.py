"""The loss of a question for a grade: what it costs not to expect the grade, or one of those that it may be. torch is loaded."""

import torch
import torch.nn.functional as F

from wardround.tasks.grades.chances import NEAREST
from wardround.tasks.shared.rows import row_max, row_sum


def log_chances(logits: torch.Tensor) -> torch.Tensor:
    """Falling logits (n, k - 1) -> (n, k); see `chances`."""
    beyond, below = F.logsigmoid(logits), F.logsigmoid(-logits)
    gaps = (logits[:, :-1] - logits[:, 1:]).clamp(min=NEAREST)
    middle = beyond[:, :-1] + below[:, 1:] + (-torch.expm1(-gaps)).log()
    return torch.cat([below[:, :1], middle, beyond[:, -1:]], dim=1)


def row_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log of the chance of the grades that targets (n, k) name with 1, in nats.

    Of one grade it is the likelihood of proportional odds, of several that of an interval. A row of zeros is a blank, and costs
    nothing. A mixed target names both of its grades, by their shares.
    """
    logs, mass = log_chances(outputs), row_max(targets)
    largest = row_max(torch.where(targets > 0, logs, torch.full_like(logs, -1e9)))
    shares = targets * (logs - largest.unsqueeze(1)).clamp(max=0.0).exp()
    known_rows = mass > 0
    total = torch.where(known_rows, row_sum(shares), torch.ones_like(mass))
    cost = mass.clamp(min=1e-9).log() - total.log() - largest
    return torch.where(known_rows, mass * cost, torch.zeros_like(mass))
