"""What local work at a site gives back to the algorithm: a trained model, or a sum over records at a given one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from wardround.values.tree import Tree


class LocalResult(Protocol):
    """What work at a site gives."""

    def only(self, names: Iterable[str]) -> Self:
        """The same, of these arrays alone: those that travel."""
        ...


@dataclass(frozen=True)
class LocalRun:
    """The result of training on one site's records, starting from a given model.

    model: the trained parameters and buffers, float32. steps: optimiser steps taken. lr_sum: the sum of the learning rates of
    those steps (SCAFFOLD divides by it). examples: the records trained on, n_k. loss_sum, loss_count: the summed loss over the
    last epoch and the records it was summed over. moments: the optimiser's state after the last step, where a study keeps it from
    round to round. It is as revealing as a gradient: it stays at the site, beside what an algorithm keeps there. after_passes:
    the model after each number of passes that was asked for.
    """

    model: Tree
    steps: int
    lr_sum: float
    examples: int
    loss_sum: float
    loss_count: int
    moments: Tree = field(default_factory=dict)
    after_passes: tuple[Tree, ...] = ()

    def only(self, names: Iterable[str]) -> Self:
        kept = tuple(names)
        first, *others = ({name: model[name] for name in kept} for model in (self.model, *self.after_passes))
        return replace(self, model=first, after_passes=tuple(others))


@dataclass(frozen=True)
class RecordSum:
    """sums: float64, by array of the model: gradients (or features) of one step's records, summed; under privacy of its patients,
    each clipped. weight: how many that stands for, a public number under privacy. loss_sum, loss_count: as in LocalRun."""

    sums: Tree
    weight: int
    loss_sum: float
    loss_count: int

    def only(self, names: Iterable[str]) -> Self:
        return replace(self, sums={name: self.sums[name] for name in names})
