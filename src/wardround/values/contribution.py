"""One site's share of one sum."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.values.tree import Bundle

Counts = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Contribution:
    """What a site adds to the sum. Contributions add; nothing else is done to them.

    values: float64 arrays by kind ("model", "control"), already multiplied by `weight`. weight: whole number >= 0, at most 2**28,
    so that weight times a float32 is exact in float64. counts: exact int64 arrays (losses in units of 2**-20, score histograms).
    """

    values: Bundle
    weight: int
    counts: Counts = field(default_factory=dict)

    def __add__(self, other: "Contribution") -> "Contribution":
        values = {
            part: {name: array + other.values[part][name] for name, array in tree.items()} for part, tree in self.values.items()
        }
        counts = {name: array + other.counts[name] for name, array in self.counts.items()}
        return Contribution(values, self.weight + other.weight, counts)


def weighted(tree: dict[str, NDArray[Any]], weight: int) -> dict[str, NDArray[np.float64]]:
    """weight * tree in float64: exact for float32 arrays and weights up to 2**28."""
    return {name: array.astype(np.float64) * weight for name, array in tree.items()}
