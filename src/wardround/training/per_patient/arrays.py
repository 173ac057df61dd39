"""From gradients of arrays, as layers use them, to gradients of parameters.

A layer's array is a parameter, or a function of parameters that is the same for every patient. Each patient's gradient then goes
back through that function's own backward, in the same way wherever the patient stands. That backward is linear, so that one pass
for the weighted sum would do; but it may cancel nearly all of a gradient, and then rounds for everybody together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from wardround.training.per_patient.contributions import GradientForm, Kept
from wardround.training.per_patient.tape import leaves

Use = tuple[torch.Tensor, GradientForm]
_AT_ONCE = 2**19  # numbers, 2 MiB: they are read and written several times, in the cache
_ROOM = 2**24
"""Numbers behind functions that a piece keeps between its norms and its sum, 64 MiB for each thread: all of
efficientnet_lite0's for four images. Worked out twice, they were a fifth to a third of that network's step."""
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
        self._room = _ROOM
        self._worked_out: dict[int, list[tuple[slice, list[Kept]]]] = {}

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
        """(P,) float64: squared norms over the parameters behind the family's arrays. Where there is room, the gradients are kept
        for the sum."""
        behind: Iterable[tuple[slice, list[Kept]]] = self._behind(family)
        numbers = self._patients * sum(self._parameters[index].numel() for index in family.places)
        if numbers <= self._room:
            self._room -= numbers
            behind = self._worked_out[family.places[0]] = list(behind)
        return torch.cat([torch.stack([kept.squared_norms() for kept in some]).sum(0) for _, some in behind])

    def _behind(self, family: _Family) -> Iterator[tuple[slice, list[Kept]]]:
        """The patients' gradients of the parameters behind the family's arrays, a few patients at a time and always as many.

        They are worked out for the norms and, where there was no room for all patients', again for the sum: what is summed must
        be what was clipped, to the last bit, since a function's backward can cancel.
        """
        if worked_out := self._worked_out.pop(family.places[0], None):
            yield from worked_out
            return
        size = _part(self._patients, _AT_ONCE // sum(array.numel() for array, _ in family.uses))
        for start in range(0, self._patients, size):
            some = slice(start, start + size)
            yield some, [Kept(values) for values in self._back(family, [form.each(some) for _, form in family.uses])]

    def weighted_sums(self, weights: torch.Tensor) -> list[torch.Tensor]:
        """For each parameter the sum of the patients' gradients times weights (P,), float64."""
        sums = self._small_sums(weights)
        for family in self._families:
            plain = [form.weighted_sum(weights) for _, form in family.uses] if family.plain else None
            sums.update(zip(family.places, plain or self._sums_behind(family, weights), strict=True))
        return [sums[index] if index in sums else torch.zeros(values.shape) for index, values in enumerate(self._parameters)]

    def _sums_behind(self, family: _Family, weights: torch.Tensor) -> list[torch.Tensor]:
        """Of the parameters behind the family's arrays."""
        totals = [torch.zeros(self._parameters[index].shape, dtype=torch.float64) for index in family.places]
        for some, gradients in self._behind(family):
            for total, kept in zip(totals, gradients, strict=True):
                total.add_(kept.weighted_sum(weights[some]))
        return totals

    def numbers(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Of some patients at a time, (p, ...): all numbers that their gradients follow from, and their norms."""
        everybody = slice(0, self._patients)
        yield everybody, self.norms()
        if self._small is not None:
            yield everybody, self._small.values
        for family in self._families:
            yield from ((everybody, numbers) for _, form in family.uses for numbers in form.numbers())
            if not family.plain:
                yield from ((some, kept.values) for some, gradients in self._behind(family) for kept in gradients)

    def _small_sums(self, weights: torch.Tensor) -> dict[int, torch.Tensor]:
        """By the parameter's place."""
        if self._small is None:
            return {}
        parameters = [self._parameters[index] for index in self._small_places]
        sums = torch.split(self._small.weighted_sum(weights), [each.numel() for each in parameters])
        return {index: one.view(each.shape) for index, one, each in zip(self._small_places, sums, parameters, strict=True)}

    def _back(self, family: _Family, gradients: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Gradients (p, ...) of the family's arrays as gradients (p, ...) of its parameters."""
        with torch.enable_grad():
            arrays = [array.view_as(array) for array, _ in family.uses]
        return torch.autograd.grad(
            arrays,
            [self._parameters[position] for position in family.places],
            gradients,
            retain_graph=True,
            is_grads_batched=True,
        )


def _part(patients: int, most: int) -> int:
    """The largest number up to `most`, and at least 1, that divides the patients: another would leave a rest of another shape."""
    return next(size for size in range(max(1, min(most, patients)), 0, -1) if patients % size == 0)


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
