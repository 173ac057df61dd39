"""From a gradient to new weights: shift, clipping, the optimiser step and the moving average."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from wardround.study.sections.training import TrainingSection
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


class Descent:
    """AdamW or SGD by torch's functional steps: one round, one descent. Its moments start at zero, or where `moments` left them.

    AdamW is Loshchilov and Hutter, ICLR 2019, Algorithm 2, with b1 = 0.9, b2 = training.beta2, eps = 1e-8. Weight decay acts only
    on parameters of two or more axes (not on biases and normalisation). The functional steps are what torch.optim's classes call;
    the classes would load torch's compiler first, a second of every process's start.
    """

    def __init__(
        self, training: TrainingSection, names: Sequence[str], parameters: Sequence[nn.Parameter], moments: Tree | None = None
    ) -> None:
        """names: of the parameters. moments: what `moments` of an earlier descent gave. KeyError where it lacks a parameter."""
        self._training, self._names = training, names
        weights = [i for i, p in enumerate(parameters) if p.ndim >= 2]
        others = [i for i, p in enumerate(parameters) if p.ndim < 2]
        self._groups = [(rows, decay) for rows, decay in ((weights, training.weight_decay), (others, 0.0)) if rows]
        self._parameters = [parameter.detach() for parameter in parameters]
        self._first: list[torch.Tensor | None] = [None] * len(parameters)
        self._second: list[torch.Tensor] = []
        self._steps: list[torch.Tensor] = []
        if training.optimizer == "adamw":
            self._first = list(self._started("first", moments))
            self._second = self._started("second", moments)
            self._steps = [torch.tensor(float(moments["steps"]) if moments else 0.0) for _ in self._parameters]
        elif moments:
            self._first = list(self._started("first", moments))

    def moments(self) -> Tree:
        """What the next descent goes on with, float32: `first.NAME` and `second.NAME` of each parameter, and `steps`."""
        kept = {
            f"{kind}.{name}": np.array(moment.cpu().contiguous().numpy(), order="C")
            for kind, moments in (("first", self._first), ("second", self._second))
            for name, moment in zip(self._names, moments, strict=False)
            if moment is not None
        }
        return {**kept, "steps": np.array(float(self._steps[0]), np.float32)} if self._steps else kept

    def _started(self, kind: str, moments: Tree | None) -> list[torch.Tensor]:
        """One tensor for each parameter, laid out as that one."""
        started = [torch.zeros_like(parameter) for parameter in self._parameters]
        if moments:
            for name, moment in zip(self._names, started, strict=True):
                moment.copy_(torch.tensor(np.asarray(moments[f"{kind}.{name}"], np.float32)))
        return started

    def step(self, gradients: Gradients, rate: float) -> None:
        """Move the parameters, in place, at learning rate `rate`."""
        for rows, decay in self._groups:
            if self._training.optimizer == "adamw":
                self._adamw(rows, gradients, rate, decay)
            else:
                self._sgd(rows, gradients, rate, decay)

    def _adamw(self, rows: list[int], gradients: Gradients, rate: float, decay: float) -> None:
        adamw(
            [self._parameters[i] for i in rows],
            [gradients[i] for i in rows],
            [first for i in rows if (first := self._first[i]) is not None],
            [self._second[i] for i in rows],
            [],
            [self._steps[i] for i in rows],
            foreach=True,
            capturable=False,
            differentiable=False,
            fused=False,
            has_complex=False,
            amsgrad=False,
            beta1=0.9,
            beta2=self._training.beta2,
            lr=rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )

    def _sgd(self, rows: list[int], gradients: Gradients, rate: float, decay: float) -> None:
        momenta = [self._first[i] for i in rows]
        sgd(
            [self._parameters[i] for i in rows],
            [gradients[i] for i in rows],
            momenta,
            foreach=True,
            weight_decay=decay,
            momentum=self._training.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for i, momentum in zip(rows, momenta, strict=True):
            self._first[i] = momentum


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
