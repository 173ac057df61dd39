"""Arrays of an analysis as one noised vector."""

import numpy as np
import pytest

from wardround.privacy.bounded_arrays import Quantity
from wardround.privacy.bounded_rows import bounded_sum
from wardround.privacy.noise_grid import narrowest
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.values.tree import Tree

QUANTITIES = {"table": Quantity((2, 3)), "moments": Quantity((2,))}
WEIGHTS = {"table": 0.6, "moments": 0.8}


def words(multiplier: float, sites: int = 3, honest: int = 2) -> NoisedArrayWords:
    grid = narrowest(clip_norm=1.0, multiplier=multiplier, size=8, capacity=4000.0, sites=sites, honest=honest)
    return NoisedArrayWords(QUANTITIES, WEIGHTS, grid)


def added(parts: list[Tree]) -> Tree:
    return {name: np.sum([part[name] for part in parts], axis=0, dtype=parts[0][name].dtype) for name in parts[0]}


def test_without_noise_the_sums_come_back_in_their_own_unit() -> None:
    """Weights are a matter of the noise alone: no figure may depend on them."""
    plan = words(0.0)
    table, moments = np.zeros((5, 2, 3)), np.tile([0.5, -0.25], (5, 1))
    table[:, 1, 2] = 1.0
    total = added([plan.encode(bounded_sum([plan.vectors({"table": table, "moments": moments})], plan.size)) for _ in range(3)])
    sums = plan.decode(total)
    assert np.allclose(sums["table"], 3 * table.sum(axis=0), atol=1e-4)
    assert np.allclose(sums["moments"], 3 * moments.sum(axis=0), atol=1e-4)
    assert plan.layout == {"noised/words": ("uint32", 8)}


def test_the_noise_of_a_total_is_as_large_as_it_is_said_to_be() -> None:
    """Intervals are widened by `deviation`: were it too small, they would be too narrow."""
    plan = words(2.0)
    drawn = [plan.decode(added([plan.encode(np.zeros(8)) for _ in range(3)])) for _ in range(3000)]
    for name in QUANTITIES:
        found = np.std([total[name] for total in drawn])
        assert found == pytest.approx(plan.deviation(name, 3), rel=0.05)


def test_the_noise_is_no_less_than_the_accountant_was_told() -> None:
    """In clip norms of the vector, the shares that nobody else knows are the multiplier, or more by a little for rounding."""
    plan = words(2.0)
    known = plan.deviation("table", 2) * WEIGHTS["table"]
    assert 2.0 <= known <= 2.01


def test_arrays_of_other_shapes_are_not_summed() -> None:
    """The shape of a total is known before anything is revealed."""
    with pytest.raises(ValueError, match="not those planned"):
        words(1.0).vectors({"table": np.zeros((5, 2, 2)), "moments": np.zeros((5, 2))})
    with pytest.raises(ValueError, match="weight"):
        NoisedArrayWords(QUANTITIES, {"table": 1.0}, words(1.0).grid)
