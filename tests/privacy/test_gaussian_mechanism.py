"""The mechanism of a noised sum: without noise it is the plain sum, and of a contribution nothing but its words leaves."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.privacy.gaussian_mechanism import NoisedFrame, shortened
from wardround.privacy.mechanism import protect, reveal
from wardround.privacy.noise_grid import narrowest
from wardround.values.contribution import Contribution, weighted
from wardround.values.tree import Tree, flatten

SHAPES: dict[str, tuple[int, ...]] = {"bias": (2,), "weight": (3, 2)}
REFERENCE: Tree = {"bias": np.array([1.0, -1.0], np.float32), "weight": np.full((3, 2), 0.5, np.float32)}


def no_key(part: str) -> bytes:
    raise AssertionError(f"a noised frame draws {part} from nothing that can be repeated")


def frame(multiplier: float, *, part: str = "gradient", shortens: bool = False, sites: int = 3) -> NoisedFrame:
    noise_grid = narrowest(clip_norm=2.0, multiplier=multiplier, size=8, capacity=100.0, sites=sites, honest=2)
    return NoisedFrame(part, SHAPES, noise_grid, 10, shortens)


def tree_of(values: list[float]) -> Tree:
    return {"bias": np.array(values[:2]), "weight": np.array(values[2:]).reshape(3, 2)}


trees = st.lists(st.floats(-50, 50), min_size=8, max_size=8).map(tree_of)


@given(st.lists(trees, min_size=1, max_size=3))
def test_without_noise_the_total_is_the_plain_sum(sums: list[Tree]) -> None:
    """The law that everything else is measured against: words, their sum and back cost no more than the stated rounding."""
    noised = frame(0.0)
    words = [protect(Contribution({"gradient": tree}, 7), {}, noised, no_key) for tree in sums]
    total = {name: reduce(add, (word[name] for word in words)) for name in noised.layout}
    revealed = reveal(total, {}, noised, 10)
    exact = sum(flatten(tree) for tree in sums)
    assert np.abs(flatten(revealed.values["gradient"]) - exact).max() <= noised.noise_grid.error_bound
    assert revealed.weight == 10


@given(trees, trees)
def test_a_site_s_change_is_shortened_and_every_site_weighs_the_same(one: Tree, other: Tree) -> None:
    """The unit is the site: however large it is and however far it went, it moves the sum by at most the clip norm."""
    noised = frame(0.0, part="model", shortens=True)
    reference = {"model": REFERENCE}
    models = [{name: (REFERENCE[name] + tree[name]).astype(np.float32) for name in tree} for tree in (one, other)]
    revealed = []
    for model, size in zip(models, (1, 1_000), strict=True):
        revealed.append(protect(Contribution({"model": weighted(model, size)}, size), reference, noised, no_key))
    mean = reveal({name: revealed[0][name] + revealed[1][name] for name in noised.layout}, reference, noised, 2)
    changes = [shortened(flatten(model) - flatten(REFERENCE), 2.0) for model in models]
    assert all(np.linalg.norm(change) <= 2.0 for change in changes)
    expected = 2 * flatten(REFERENCE) + sum(changes)
    assert np.abs(flatten(mean.values["model"]) - expected).max() <= noised.noise_grid.error_bound + 1e-4


def test_nothing_but_words_leaves() -> None:
    """Weights and counts are data too."""
    contribution = Contribution({"gradient": tree_of([1.0] * 8)}, 7, {"loss": np.array([1, 2])})
    protected = protect(contribution, {}, frame(1.0), no_key)
    assert protected.keys() == frame(1.0).layout.keys() == {"gradient/words"}


def test_noise_is_fresh_every_time_and_as_large_as_promised() -> None:
    """Two releases with one noise would show the difference of the data. False alarm below 1e-9 (chi-square of 8,000 draws)."""
    noise_grid = narrowest(clip_norm=2.0, multiplier=5.0, size=8_000, capacity=100.0, sites=3, honest=2)
    noised = NoisedFrame("gradient", {"all": (8_000,)}, noise_grid, 10, shortens=False)
    nothing = Contribution({"gradient": {"all": np.zeros(8_000)}}, 1)
    one, other = (protect(nothing, {}, noised, no_key)["gradient/words"] for _ in range(2))
    assert (one != other).mean() > 0.99
    shares = [protect(nothing, {}, noised, no_key)["gradient/words"] for _ in range(2)]
    sums = reveal({"gradient/words": shares[0] + shares[1]}, {}, noised, 10).values["gradient"]["all"]
    whole_noise = 5.0 * 2.0  # two honest shares carry the whole noise: multiplier times clip norm
    assert whole_noise * 0.95 < sums.std() < whole_noise * 1.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shortens", [False, True])
def test_what_is_not_finite_counts_as_nothing(bad: float, shortens: bool) -> None:
    """Cast to an integer it would be some number; and a refusal would be a release that nobody paid for."""
    contribution = Contribution({"gradient": tree_of([1.0, bad] + [0.0] * 6)}, 1)
    noised = frame(0.0, shortens=shortens)
    assert not protect(contribution, {}, noised, no_key)["gradient/words"].any()


def test_a_lattice_of_another_size_is_refused() -> None:
    """Its sensitivity would be wrong."""
    with pytest.raises(ValueError, match="8 values"):
        NoisedFrame("gradient", {"bias": (2,)}, frame(1.0).noise_grid, 10, shortens=False)
