"""The population stability index: its laws, and whether its interval holds the truth as often as it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.clinic.watch.stability import stability

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30).filter(
    lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True))
)


@given(COUNTS)
def test_it_is_never_negative_lies_in_its_interval_and_is_the_same_from_both_sides(pairs) -> None:
    """Whichever sample is called the reference, the distance is one."""
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    one, other = stability(first, second), stability(second, first)
    assert 0 <= one.interval[0] <= one.psi <= one.interval[1] < np.inf
    assert one.psi == pytest.approx(other.psi, abs=1e-9) and one.interval == pytest.approx(other.interval, abs=1e-6)


@given(COUNTS, st.integers(1, 9), st.integers(1, 9))
def test_of_equal_shares_it_is_nought_whatever_the_numbers(pairs, times, more) -> None:
    """Ten times as many cases of the same kind are no drift."""
    counts = np.array(pairs)[:, 0]
    if counts.sum():
        same = stability(counts * times, counts * more)
        assert same.psi == 0 and same.interval[0] == 0


@given(COUNTS, st.randoms())
def test_the_order_of_bins_does_not_matter_and_empty_ones_say_nothing(pairs, random) -> None:
    """It knows no distance between bins."""
    counts = np.array(pairs)
    order = random.sample(range(len(counts)), len(counts))
    moved = np.concatenate([counts[order], np.zeros((2, 2), int)])
    assert stability(*counts.T).psi == pytest.approx(stability(*moved.T).psi, abs=1e-9)


@pytest.mark.parametrize("counts", [([1, 2], [0, 0]), ([0, 0], [1, 2]), ([1, -1], [1, 2])])
def test_what_are_no_counts_of_two_samples_is_refused(counts) -> None:
    """A share of nothing is no share."""
    with pytest.raises(ValueError, match="two samples"):
        stability(*(np.array(one) for one in counts))


def shares_of(tilt: float, shape: str) -> tuple[np.ndarray, np.ndarray]:
    """Shares of ten bins, and the same with a tilt."""
    before = np.full(10, 0.1) if shape == "flat" else np.array([0.45, 0.1, 0.03, 0.02, 0.02, 0.02, 0.03, 0.05, 0.08, 0.2])
    after = before * np.exp(tilt * np.linspace(-1, 1, 10))
    return before, after / after.sum()


@pytest.mark.parametrize("shape", ["flat", "two-peaked"])
@pytest.mark.parametrize("tilt", [0.0, 0.2, 0.7, 1.2])
@pytest.mark.parametrize(("cases", "accepted"), [(100, 100), (100, 300), (2000, 1000)])
def test_the_interval_holds_the_truth(shape: str, tilt: float, cases: int, accepted: int) -> None:
    """95 % are promised; of 300 drawings at least 91 % are asked for, by chance 1 of 1,000 would fall below."""
    rng = np.random.default_rng(7)
    before, after = shares_of(tilt, shape)
    truth = float(((after - before) * np.log(after / before)).sum())
    held = 0
    for now, then in zip(rng.multinomial(cases, after, 300), rng.multinomial(accepted, before, 300), strict=True):
        low, high = stability(now, then).interval
        held += low <= truth + 1e-12 and truth <= high
    assert held >= 0.91 * 300
