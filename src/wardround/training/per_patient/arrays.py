"""From gradients of arrays, as layers use them, to gradients of parameters.

A layer's array is a parameter, or a function of parameters that is the same for every patient. Its patients' gradients then go
back through that function's own backward: all together for the norms (it is linear in them), once for the weighted sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from wardround.training.per_patient.contributions import GradientForm, Kept
from wardround.training.per_patient.tape import leaves

Use = tuple[torch.Tensor, GradientForm]
_AT_ONCE = 2**19  # numbers, 2 MiB: they are read and written several times, in the cache
_SMALL = 2**12  # numbers of an array: less work than the calls it takes, so that small ones are taken together


@dataclass(frozen=True)
class _Family:
    """Uses that share no parameter with other uses, and the parameters behind them, by place."""

    uses: list[Use]
    places: list[int]

    @property
    def plain(self) -> bool:
        """One use of one parameter as it is."""
        return len(self.uses) == 1 and self.uses[0][0].is_leaf

    @property
    def kept(self) -> torch.Tensor | None:
        """Its gradients (P, n), if there are few numbers and they are there."""
        array, contribution = self.uses[0]
        small = self.plain and array.numel() <= _SMALL and isinstance(contribution, Kept)
        return contribution.values.flatten(1) if small and isinstance(contribution, Kept) else None


class PatientGradientTerms:
    """All uses of a piece's arrays, for `patients` patients, as gradients of `parameters`."""

    def __init__(self, parameters: Sequence[torch.Tensor], uses: Sequence[Use], patients: int) -> None:
        self._parameters, self._patients = parameters, patients
        families = [(family, family.kept) for family in _families(parameters, uses)]
        self._families = [family for family, kept in families if kept is None]
        self._small_places = [family.places[0] for family, kept in families if kept is not None]
        small = [kept for _, kept in families if kept is not None]
        self._small = Kept(torch.cat(small, 1)) if small else None

    @classmethod
    def of_gradients(cls, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> "PatientGradientTerms":
        """From each patient's gradients themselves, (P, *shape) for each parameter."""
        uses = [(parameter, Kept(values)) for parameter, values in zip(parameters, gradients, strict=True)]
        return cls(parameters, uses, len(gradients[0]))

    def norms(self) -> torch.Tensor:
        """(P,) float64: the norm over all parameters."""
        squares = torch.zeros(self._patients, dtype=torch.float64) if self._small is None else self._small.squared_norms()
        for family in self._families:
            if family.plain:
                squares += family.uses[0][1].squared_norms()
            else:
                squares += self._squares_behind(family)
        return squares.sqrt()

    def _squares_behind(self, family: _Family) -> torch.Tensor:
        """(P,) float64: squared norms over the parameters behind the family's arrays, a few patients at a time."""
        size = max(1, _AT_ONCE // sum(array.numel() for array, _ in family.uses))
        norms = []
        for start in range(0, self._patients, size):
            some = slice(start, min(start + size, self._patients))
            gradients = self._back(family, [contribution.each(some) for _, contribution in family.uses], batched=True)
            norms.append(torch.stack([Kept(values).squared_norms() for values in gradients]).sum(0))
        return torch.cat(norms)

    def weighted_sums(self, weights: torch.Tensor) -> list[torch.Tensor]:
        """For each parameter the sum of the patients' gradients times weights (P,), float64: in float64 but for convolutions
        and for parameters behind a function."""
        sums = self._small_sums(weights)
        for family in self._families:
            arrays = [contribution.weighted_sum(weights) for _, contribution in family.uses]
            parameters = arrays if family.plain else self._sums_behind(family, arrays)
            sums.update(zip(family.places, parameters, strict=True))
        return [sums[index] if index in sums else torch.zeros(values.shape) for index, values in enumerate(self._parameters)]

    def _sums_behind(self, family: _Family, arrays: list[torch.Tensor]) -> list[torch.Tensor]:
        """Of the parameters behind the family's arrays, from sums of these."""
        narrow = [values.to(array.dtype) for values, (array, _) in zip(arrays, family.uses, strict=True)]
        return list(self._back(family, narrow, batched=False))

    def numbers(self) -> list[torch.Tensor]:
        """(P, ...) each: all numbers that the patients' gradients follow from."""
        small = [] if self._small is None else [self._small.values]
        uses = [use for family in self._families for use in family.uses]
        return [*small, *(numbers for _, form in uses for numbers in form.numbers())]

    def _small_sums(self, weights: torch.Tensor) -> dict[int, torch.Tensor]:
        """By the parameter's place."""
        if self._small is None:
            return {}
        parameters = [self._parameters[index] for index in self._small_places]
        sums = torch.split(self._small.weighted_sum(weights), [each.numel() for each in parameters])
        return {index: one.view(each.shape) for index, one, each in zip(self._small_places, sums, parameters, strict=True)}

    def _back(self, family: _Family, gradients: list[torch.Tensor], *, batched: bool) -> Sequence[torch.Tensor]:
        """Gradients of the family's arrays as gradients of its parameters; with `batched` one more axis in front."""
        with torch.enable_grad():
            arrays = [array.view_as(array) for array, _ in family.uses]
        return torch.autograd.grad(
            arrays,
            [self._parameters[position] for position in family.places],
            gradients,
            retain_graph=True,
            is_grads_batched=batched,
        )


def _families(parameters: Sequence[torch.Tensor], uses: Sequence[Use]) -> list[_Family]:
    """The uses, together where a parameter is behind several of them."""
    place_of = {id(parameter): position for position, parameter in enumerate(parameters)}
    family_of: dict[int, _Family] = {}
    for use in uses:
        places = {place_of[leaf] for leaf in leaves(use[0]) if leaf in place_of}
        joined = {id(family_of[position]): family_of[position] for position in places if position in family_of}.values()
        family = _Family([use], sorted(places.union(*(other.places for other in joined))))
        for other in joined:
            family.uses.extend(other.uses)
        family_of.update(dict.fromkeys(family.places, family))
    return list({id(family): family for family in family_of.values()}.values())
