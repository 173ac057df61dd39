"""From a gradient to new weights: shift, clipping, the optimiser step and the moving average."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from wardround.study.training import TrainingSection
from wardround.values.tree import Tree

Gradients = list[torch.Tensor]


def shift_of(shifts: Tree | None, name: str, parameter: torch.Tensor) -> torch.Tensor | None:
    """The shift of one parameter on its device; None where there is none."""
    if shifts is None or name not in shifts:
        return None
    shift = torch.tensor(np.asarray(shifts[name], np.float32), device=parameter.device)
    if shift.shape != parameter.shape:
        raise ValueError(f"the gradient shift of {name} has shape {tuple(shift.shape)}, the parameter {tuple(parameter.shape)}")
    return shift


def clip(gradients: Gradients, limit: float | None) -> None:
    """Scale the whole gradient down, in place, to length `limit` when it is longer."""
    if limit is None:
        return
    length = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    torch._foreach_mul_(gradients, torch.clamp(limit / (length + 1e-12), max=1.0))


def optimizer_for(training: TrainingSection, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """A fresh optimiser; weight decay only on parameters of two or more axes (not on biases and normalisation)."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=training.learning_rate, foreach=True)
    return torch.optim.SGD(groups, lr=training.learning_rate, momentum=training.momentum, foreach=True)


def apply(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], gradients: Gradients, rate: float) -> None:
    """One step at learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


class MovingAverage:
    """An exponential moving average of the parameters over the steps of one round.

    The decay rises as (1 + t) / (10 + t) to its value, so that a short round is not held at its start.
    """

    def __init__(self, decay: float, parameters: Sequence[nn.Parameter]) -> None:
        self._decay, self._steps = decay, 0
        self._kept = [parameter.detach().clone() for parameter in parameters] if decay else []

    def take(self, parameters: Sequence[nn.Parameter]) -> None:
        if not self._kept:
            return
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._kept, [parameter.detach() for parameter in parameters], 1.0 - decay)

    def put(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the parameters by the average."""
        with torch.no_grad():
            for parameter, kept in zip(parameters, self._kept, strict=False):
                parameter.copy_(kept)
