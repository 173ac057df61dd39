"""What each patient of a piece adds to the gradient of one array, in the form in which it is cheap.

A form gives the patients' squared norms, their weighted sum and, where an array is a function of parameters, each gradient.
Its numbers and norms have the same bits wherever a patient stands. Sums over patients do not: they are taken in float64, in any
order, and `clipping` has room for what their rounding may change.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

from wardround.training.per_patient.fixed_order import patient_products, squares, tree_sum

CANCELLATION = 2.0**6
"""How often longer than a gradient its terms may be before they count instead: of a patient with t records whose gradients point
anywhere, they are about sqrt(t) times longer."""
_COLUMNS = 2**14  # numbers of a patient's gradient: their float64 copies stay in the cache


class GradientForm(Protocol):
    """The gradients (P, *shape) of one array, one for each patient."""

    def squared_norms(self) -> torch.Tensor:
        """(P,) float64."""
        ...

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """The sum over patients of weight (P,), float64, times gradient; of the array's shape."""
        ...

    def each(self, patients: slice) -> torch.Tensor:
        """(p, *shape): the gradients of some of the patients."""
        ...

    def numbers(self) -> tuple[torch.Tensor, ...]:
        """(P, ...) each: all numbers that a patient's gradient follows from."""
        ...


@dataclass(frozen=True)
class Kept:
    """The gradients themselves, (P, *shape)."""

    values: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return squares(self.values)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        parts = [weights @ part.double() for part in torch.split(self.values.flatten(1), _COLUMNS, 1)]
        return torch.cat(parts).view(self.values.shape[1:])

    def each(self, patients: slice) -> torch.Tensor:
        return self.values[patients]

    def numbers(self) -> tuple[torch.Tensor, ...]:
        return (self.values,)


@dataclass(frozen=True)
class Outer:
    """Gradients G_p^T X_p of a linear layer's weight (out, in): outputs' gradients (P, t, out), inputs (P, t, in).

    The norm comes from the factors (Goodfellow, 2015; Li et al., ICLR 2022, "ghost norm"):
    |G^T X|^2 = sum over places s, t of (G G^T)[s, t] (X X^T)[s, t]. With more than one place that sum cancels, so it is taken in
    float64, and `bounded_below`: otherwise rounding could hide part of a gradient from the clipping.
    """

    outputs: torch.Tensor
    inputs: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        places, factors = self.inputs.shape[1], squares(self.outputs) * squares(self.inputs)
        if places == 1:
            return factors
        outputs, inputs = self.outputs.double(), self.inputs.double()
        if places * (self.inputs.shape[2] + self.outputs.shape[2]) > self.inputs.shape[2] * self.outputs.shape[2]:
            norms = squares(patient_products(outputs.mT, inputs.mT))
        else:
            products = patient_products(outputs, outputs) * patient_products(inputs, inputs)
            norms = tree_sum(products.flatten(1).T).clamp_(min=0.0)
        return bounded_below(norms, factors, CANCELLATION)

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        weighted = self.outputs.double() * weights.reshape(-1, 1, 1)
        return weighted.flatten(0, 1).T @ self.inputs.double().flatten(0, 1)

    def each(self, patients: slice) -> torch.Tensor:
        return self.outputs[patients].mT @ self.inputs[patients]

    def numbers(self) -> tuple[torch.Tensor, ...]:
        return self.outputs, self.inputs


def bounded_below(norms: torch.Tensor, factors: torch.Tensor, cancellation: float) -> torch.Tensor:
    """The squared norms, but at least factors / cancellation^2; factors (P,): |G|^2 |X|^2.

    What cancels in the norm need not cancel in the sum that leaves: any order of summing t products errs by at most about t u
    times the sum of their absolute values (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), for all entries
    together t u |G| |X| by Cauchy and Schwarz. A coordinator can craft a model for which all of a gradient is such a remainder:
    it then counts for what it is made of.
    """
    return torch.maximum(norms, factors / cancellation**2)
