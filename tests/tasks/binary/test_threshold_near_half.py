"""One half, moved only as far as the validation patients compel it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.tasks.binary.figures import edge_of, roc_counts
from wardround.tasks.binary.score_sums import BINS, ScoreSums
from wardround.tasks.binary.threshold import choose_threshold, choose_threshold_near_half

SCORES = st.lists(st.tuples(st.floats(-8, 8), st.integers(0, 1)), min_size=4, max_size=60)


def sums_of(negatives: list[float], positives: list[float], times: int = 1) -> ScoreSums:
    labels = np.repeat([0, 1], [len(negatives), len(positives)])
    return ScoreSums.from_scores(np.tile([*negatives, *positives], times), np.tile(labels, times))


def test_half_stays_where_it_is_as_good_as_the_best_may_be_by_chance() -> None:
    """Ten patients cannot say that 0.4 is better."""
    sums = sums_of([-3, -2, -1.5, -1, 0.2], [-0.3, 1, 2, 3, 4])
    assert choose_threshold_near_half(sums) == 0.5
    assert choose_threshold(sums) != 0.5


def test_many_patients_move_it() -> None:
    """Where everybody of one class lies below one half, one half is wrong, and enough patients say so."""
    sums = sums_of([-6, -5, -4], [-2, -1.8, 1.0], times=100)
    assert -4 <= math.log(choose_threshold_near_half(sums) / (1 - choose_threshold_near_half(sums))) <= -2 + 1 / 32


@given(SCORES)
def test_it_is_the_nearest_that_is_within_one_standard_error(scored: list[tuple[float, int]]) -> None:
    """Nearer to one half nothing is as good; and it lies between one half and the best."""
    sums = ScoreSums.from_scores(np.array([score for score, _ in scored]), np.array([label for _, label in scored]))
    edge = edge_of(choose_threshold_near_half(sums))
    if not sums.positives or not sums.negatives:
        assert edge == BINS // 2
        return
    caught, alarms = (roc_counts(sums) / [sums.positives, sums.negatives]).T
    best = int(np.argmax(caught - alarms))
    shares = [(caught[best], sums.positives), (alarms[best], sums.negatives)]
    smoothed = [((share * n + 1) / (n + 2), n) for share, n in shares]
    error = math.sqrt(sum(share * (1 - share) / n for share, n in smoothed))
    good = (caught - alarms)[best] - error <= caught - alarms
    nearer = np.abs(np.arange(BINS + 1) - BINS // 2) < abs(edge - BINS // 2)
    assert (good[edge] and not (good & nearer).any()) or (edge == BINS // 2 and (caught - alarms)[best] <= 0)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_without_two_classes_it_is_one_half(labels: list[int]) -> None:
    """There is nothing to choose by."""
    assert choose_threshold_near_half(ScoreSums.from_scores(np.ones(len(labels)), np.array(labels))) == 0.5
