"""Layers whose per-patient gradients are known: what they compute, and how their backward splits by patient.

A layer here is one use of arrays (weight, bias) on rows: `forward` gives its outputs, `backward` the gradient of its inputs and,
kept in `contributions`, what each patient adds to the gradients of weight and bias. Arrays are torch's own parameters or
functions of them (a standardised filter, a folded normalisation).
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch

from wardround.training.per_patient.contributions import GradientForm, Kept, Outer
from wardround.training.per_patient.fixed_order import product, tree_sum

Pair = tuple[torch.Tensor | None, torch.Tensor | None]


class Layer(Protocol):
    arrays: Pair  # weight and bias, with their history; None where there is none
    contributions: list[tuple[torch.Tensor, GradientForm]]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor: ...

    def backward(self, inputs: torch.Tensor, gradient: torch.Tensor, needs_gradient: bool) -> torch.Tensor | None:
        """From the gradient of the outputs; the inputs' gradient only where `needs_gradient`."""
        ...


def learns(array: torch.Tensor | None) -> bool:
    return array is not None and array.requires_grad


def detached(array: torch.Tensor | None) -> torch.Tensor | None:
    return None if array is None else array.detach()


@dataclass
class LinearLayer:
    """inputs (n, ..., in) -> (n, ..., out); n rows are `patients` times the rows of each.

    Both products are taken in a fixed order: an output, and what goes back from it, has the same bits wherever its row stands.
    """

    arrays: Pair
    patients: int
    contributions: list[tuple[torch.Tensor, GradientForm]] = field(default_factory=list)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        weight, bias = map(detached, self.arrays)
        assert weight is not None
        outputs = product(inputs.reshape(-1, inputs.shape[-1]), weight)
        return (outputs if bias is None else outputs + bias).reshape(*inputs.shape[:-1], len(weight))

    def backward(self, inputs: torch.Tensor, gradient: torch.Tensor, needs_gradient: bool) -> torch.Tensor | None:
        weight, bias = self.arrays
        assert weight is not None
        by_patient = gradient.reshape(self.patients, -1, gradient.shape[-1])
        if learns(weight):
            outer = Outer(by_patient, inputs.detach().reshape(self.patients, -1, inputs.shape[-1]))
            self.contributions.append((weight, outer))
        if bias is not None and learns(bias):
            self.contributions.append((bias, Kept(tree_sum(by_patient.transpose(0, 1)))))
        if not needs_gradient:
            return None
        return product(gradient.reshape(-1, gradient.shape[-1]), weight.detach().T).reshape(inputs.shape)


@dataclass
class GroupNormLayer:
    """inputs (n, channels, ...) -> the same shape (Wu and He, ECCV 2018).

    The backward is torch's own, told that all rows are one row of n times the channels in n times the groups: the statistics
    are the same ones, and the gradients of scale and shift come out for each row.
    """

    arrays: Pair
    patients: int
    groups: int
    eps: float
    contributions: list[tuple[torch.Tensor, GradientForm]] = field(default_factory=list)
    _statistics: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        weight, bias = map(detached, self.arrays)
        n, channels, places = inputs.shape[0], inputs.shape[1], inputs[0, 0].numel()
        outputs, mean, deviation = torch.ops.aten.native_group_norm(
            inputs.contiguous(), weight, bias, n, channels, places, self.groups, self.eps
        )
        self._statistics = mean, deviation
        return outputs  # type: ignore[no-any-return]

    def backward(self, inputs: torch.Tensor, gradient: torch.Tensor, needs_gradient: bool) -> torch.Tensor | None:
        assert self._statistics is not None
        (weight, bias), (n, channels), places = self.arrays, inputs.shape[:2], inputs[0, 0].numel()
        mean, deviation = (values.reshape(1, -1) for values in self._statistics)
        below, scale, shift = torch.ops.aten.native_group_norm_backward(
            gradient.contiguous().view(1, n * channels, places),
            inputs.contiguous().view(1, n * channels, places),
            mean,
            deviation,
            None if weight is None else weight.detach().repeat(n),
            *(1, n * channels, places, n * self.groups),
            [needs_gradient, learns(weight), learns(bias)],
        )
        for array, by_row in ((weight, scale), (bias, shift)):
            if array is not None and array.requires_grad:
                self.contributions.append((array, Kept(tree_sum(by_row.view(self.patients, -1, channels).transpose(0, 1)))))
        return below.view(inputs.shape) if needs_gradient else None
