"""Arrays as words that can be added: exact for whole numbers, to the last digit for real ones, however generous the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.privacy.bounded_arrays import ArrayWords, Quantity
from wardround.values.tree import Tree

reals = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)


def total(words: ArrayWords, sites: list[list[float]]) -> Tree:
    encoded = [words.encode({"x": np.array(values)}) for values in sites]
    return {name: np.sum([one[name] for one in encoded], axis=0, dtype=np.uint64) for name in encoded[0]}


@given(st.lists(reals, min_size=1, max_size=5), st.sampled_from([1e3, 1e9, 1e15]))
def test_a_fine_sum_is_off_by_no_more_than_it_says_whatever_the_bound(sites: list[list[float]], bound: float) -> None:
    """With one word a bound of 1e15 would leave the sum three digits."""
    words = ArrayWords({"x": Quantity((3,), bound)}, len(sites), fine=True)
    decoded = words.decode(total(words, sites))["x"]
    exact = np.sum(np.array(sites, np.longdouble), axis=0)
    error = words.error("x", float(np.abs(decoded).max()))
    assert np.all(np.abs(decoded - exact) <= error)
    assert error <= 1e-11


@given(st.lists(reals, min_size=1, max_size=5))
def test_one_word_is_off_by_no_more_than_it_says(sites: list[list[float]]) -> None:
    """The sums of `wr.secure_sum` keep their error bound."""
    words = ArrayWords({"x": Quantity((3,), 1e3)}, len(sites))
    exact = np.sum(np.array(sites, np.longdouble), axis=0)
    assert np.all(np.abs(words.decode(total(words, sites))["x"] - exact) <= words.error("x"))


def test_a_number_beyond_the_bound_is_moved_to_it_on_both_grids() -> None:
    """What the first grid clipped may not come back by the second."""
    words = ArrayWords({"x": Quantity((1,), 10.0)}, 1, fine=True)
    assert words.decode(words.encode({"x": np.array([25.0])}))["x"] == pytest.approx(10.0, abs=1e-12)
