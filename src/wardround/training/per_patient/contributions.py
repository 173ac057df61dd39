"""What each patient of a piece adds to the gradient of one array, in the form in which it is cheap.

A form gives the patients' squared norms, their weighted sum and, where an array is a function of parameters, each gradient.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


class GradientForm(Protocol):
    """The gradients (P, *shape) of one array, one for each patient."""

    def squared_norms(self) -> torch.Tensor:
        """(P,) float64."""
        ...

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """The sum over patients of weight (P,) times gradient; of the array's shape."""
        ...

    def each(self, patients: slice) -> torch.Tensor:
        """(p, *shape): the gradients of some of the patients."""
        ...


@dataclass(frozen=True)
class Kept:
    """The gradients themselves, (P, *shape)."""

    values: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return squares(self.values)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        return (weights @ self.values.flatten(1)).view(self.values.shape[1:])

    def each(self, patients: slice) -> torch.Tensor:
        return self.values[patients]


@dataclass(frozen=True)
class Outer:
    """Gradients G_p^T X_p of a linear layer's weight (out, in): outputs' gradients (P, t, out), inputs (P, t, in).

    The norm comes from the factors (Goodfellow, 2015; Li et al., ICLR 2022, "ghost norm"):
    |G^T X|^2 = sum over places s, t of (G G^T)[s, t] (X X^T)[s, t]. With more than one place that sum cancels, so it is taken in
    float64, and `lengthened`: otherwise float32's rounding could hide part of a gradient from the clipping.
    """

    outputs: torch.Tensor
    inputs: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        places = self.inputs.shape[1]
        if places == 1:
            return squares(self.outputs) * squares(self.inputs)
        if places * (self.inputs.shape[2] + self.outputs.shape[2]) > self.inputs.shape[2] * self.outputs.shape[2]:
            norms = squares(self.outputs.mT @ self.inputs)
        else:
            outputs, inputs = self.outputs.double(), self.inputs.double()
            norms = (outputs @ outputs.mT).mul_(inputs @ inputs.mT).sum((1, 2)).clamp_(min=0.0)
        return lengthened(norms, places, squares(self.outputs) * squares(self.inputs), self.outputs.dtype)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        weighted = self.outputs * weights.reshape(-1, 1, 1)
        return weighted.flatten(0, 1).T @ self.inputs.flatten(0, 1)

    def each(self, patients: slice) -> torch.Tensor:
        return self.outputs[patients].mT @ self.inputs[patients]


def squares(values: torch.Tensor) -> torch.Tensor:
    """(P, ...) -> (P,), float64: squares of float32 numbers can underflow to nothing, and the other factor can be huge."""
    norms: torch.Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64).square()
    return norms


def lengthened(norms: torch.Tensor, places: int, factors: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The squared norms `norms` with room for what rounding may add to sums over `places`: what cancels in float64 need not
    cancel in the sum that leaves. A coordinator can craft a model for which all of a gradient is such a remainder.

    factors (P,): |G|^2 |X|^2. Any order of summing t products errs by at most about t u (u: half of eps) times the sum of their
    absolute values (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), for all entries together t u |G| |X| by
    Cauchy and Schwarz; twice that covers norms that were themselves taken of such sums.
    """
    return (norms.sqrt() + places * torch.finfo(dtype).eps * factors.sqrt()).square()
