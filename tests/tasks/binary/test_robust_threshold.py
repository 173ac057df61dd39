"""The threshold that holds under scanner shifts."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wardround.tasks.binary.threshold import choose_robust_threshold


@dataclass(frozen=True)
class Sums:
    histogram: NDArray[np.int64]


def sums(negatives: list[float], positives: list[float]) -> Sums:
    edges = np.linspace(-16, 16, 1025)
    return Sums(np.stack([np.histogram(logits, edges)[0] for logits in (negatives, positives)]))


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_the_middle_of_a_clean_gap_is_chosen() -> None:
    """Furthest from both classes."""
    assert logit(choose_robust_threshold([sums([-5, -4], [2, 3])])) == pytest.approx(-1, abs=0.05)  # type: ignore[list-item]


def test_shifts_narrow_the_gap_to_where_all_of_them_agree() -> None:
    """The threshold best for the images as taken may be wrong for every other scanner."""
    as_taken, shifted = sums([-5, -4], [2, 3]), sums([-1, 0], [5, 6])
    assert logit(choose_robust_threshold([as_taken, shifted])) == pytest.approx(1, abs=0.05)  # type: ignore[list-item]


@pytest.mark.parametrize("given_sums", [[], [sums([], [1.0])], [sums([1.0], [])]])
def test_one_class_alone_leaves_one_half(given_sums: list[Sums]) -> None:
    """There is nothing to choose from."""
    assert choose_robust_threshold(given_sums) == 0.5


@given(scale=st.integers(1, 50), extra=st.integers(1, 9))
def test_neither_the_number_of_patients_nor_their_mix_moves_it(scale: int, extra: int) -> None:
    """The next hospital has another share of sick patients."""
    histogram = sums([-4, -2, 0.2], [-1, 2, 3]).histogram
    weighed = Sums(histogram * np.array([[scale], [scale * extra]]))
    assert choose_robust_threshold([weighed]) == choose_robust_threshold([Sums(histogram)])  # type: ignore[list-item]
