"""One site's share of one sum."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.values.tree import Bundle, Tree

Counts = dict[str, NDArray[Any]]
Values = Mapping[str, Mapping[str, NDArray[Any]]]
"""Arrays by kind and name. Those of a total may be made when they are asked for."""


@dataclass(frozen=True)
class Contribution:
    """What a site adds to the sum. Contributions add; nothing else is done to them.

    values: float64 arrays by kind ("model", "control"), already multiplied by `weight`. weight: whole number >= 0, at most 2**28,
    so that weight times a float32 is exact in float64. counts: exact int64 arrays (losses in units of 2**-20, score histograms).
    """

    values: Values
    weight: int
    counts: Counts = field(default_factory=dict)

    def __add__(self, other: "Contribution") -> "Contribution":
        values = {
            part: {name: array + other.values[part][name] for name, array in tree.items()} for part, tree in self.values.items()
        }
        counts = {name: array + other.counts[name] for name, array in self.counts.items()}
        return Contribution(values, self.weight + other.weight, counts)

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number."""
        return all(is_finite(tree) for tree in self.values.values())

    def unchanged(self, reference: Bundle) -> "Contribution":
        """What the site would give whose work had changed nothing, with the same weight and counts. reference: what its values
        are a change of, part by part; a missing part is zero."""

        def stayed(part: str, tree: Mapping[str, NDArray[Any]]) -> Tree:
            start = weighted(reference.get(part, {}), self.weight)
            return {name: start[name] if name in start else np.zeros_like(array) for name, array in tree.items()}

        return replace(self, values={part: stayed(part, tree) for part, tree in self.values.items()})

    def weighing(self, weight: int) -> "Contribution":
        """The same work with another weight, and the same bits where it is the weight that it has."""
        if weight == self.weight:
            return self
        scale = weight / max(self.weight, 1)
        values = {part: {name: array * scale for name, array in tree.items()} for part, tree in self.values.items()}
        return replace(self, values=values, weight=weight)


def is_finite(tree: Mapping[str, NDArray[Any]]) -> bool:
    """Whether every value of the arrays is a number."""
    return all(bool(np.isfinite(array).all()) for array in tree.values())


def weighted(tree: dict[str, NDArray[Any]], weight: int) -> dict[str, NDArray[np.float64]]:
    """weight * tree in float64: exact for float32 arrays and weights up to 2**28."""
    return {name: array.astype(np.float64) * weight for name, array in tree.items()}
