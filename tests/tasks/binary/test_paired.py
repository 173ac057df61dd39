"""Two models on the same patients: the tests agree with the definitions, and keep the error that they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from wardround.study.label import LabelContract
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.figures import ConfusionCounts, confusion_at
from wardround.tasks.binary.paired import EXACT_UP_TO, mcnemar, paired_accuracy, paired_auc
from wardround.tasks.binary.predictive import natural_frequencies, negative_predictive_value, positive_predictive_value
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.intervals import wilson

TASK = BinaryTask(LabelContract())


def two_models(seed: int, n: int = 120, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two models that share most of their errors; the second is better by `gain`."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(np.int8)
    common = 1.2 * labels + rng.normal(size=n)
    return common + 0.5 * rng.normal(size=n), common + gain * labels + 0.5 * rng.normal(size=n), labels


def by_pairs(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Difference and variance from DeLong's equations, pair by pair and with the full covariance of both areas."""
    areas, v10, v01 = [], [], []
    for scores in (first, second):
        x, y = scores[labels == 1], scores[labels == 0]
        psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        areas.append(psi.mean())
        v10.append(psi.mean(axis=1))
        v01.append(psi.mean(axis=0))
    covariance = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    contrast = np.array([-1.0, 1.0])
    return areas[1] - areas[0], float(contrast @ covariance @ contrast)


@pytest.mark.parametrize("decimals", [8, 1])
def test_delongs_paired_test_is_that_of_the_paper_with_and_without_ties(decimals: int) -> None:
    """The quick form by ranks must be the sums over pairs, not an approximation of them."""
    first, second, labels = two_models(1, gain=0.6)
    first, second = first.round(decimals), second.round(decimals)
    difference, variance = by_pairs(first, second, labels)
    found = paired_auc(first, second, labels)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.difference == pytest.approx(roc_auc_score(labels, second) - roc_auc_score(labels, first), abs=1e-12)
    half = 1.959963984540054 * math.sqrt(variance)
    assert found.interval == pytest.approx((difference - half, difference + half), abs=1e-12)
    assert found.p_value == pytest.approx(math.erfc(abs(difference) / math.sqrt(2 * variance)), rel=1e-9)
    assert found.n == 120


def test_the_paired_test_sees_what_two_intervals_do_not() -> None:
    """It is why the report must not judge by whether intervals overlap."""
    first, second, labels = two_models(3, n=400, gain=0.3)
    found = TASK.paired((first, second), labels, (0.5, 0.5))["auc"]
    intervals = [TASK.figures(TASK.sums(scores, labels), 0.5, replicates=0).intervals["auc"] for scores in (first, second)]
    assert intervals[0][1] > intervals[1][0]
    assert found.p_value < 0.01 and found.interval[0] > 0


def test_models_that_are_alike_are_told_apart_as_seldom_as_promised() -> None:
    """300 draws without a difference at 5 %: fewer than 4 or more than 29 has a chance below 1 in 1000."""
    p_values = [paired_auc(*two_models(seed)).p_value for seed in range(300)]
    assert 4 <= sum(p < 0.05 for p in p_values) <= 29


def test_turning_the_models_round_turns_the_sign_alone() -> None:
    """Which of the two is called first must not matter."""
    first, second, labels = two_models(5, gain=0.4)
    there, back = paired_auc(first, second, labels), paired_auc(second, first, labels)
    assert there.difference == pytest.approx(-back.difference) and there.p_value == pytest.approx(back.p_value)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    right = [(scores > 0.6) == (labels == 1) for scores in (first, second)]
    forth, again = paired_accuracy(right[0], right[1]), paired_accuracy(right[1], right[0])
    assert forth.interval == pytest.approx((-again.interval[1], -again.interval[0])) and forth.p_value == again.p_value


def test_differences_are_those_of_the_figures_beside_them() -> None:
    """A difference that disagrees with its two figures would discredit all three."""
    first, second, labels = two_models(6, gain=0.5)
    cuts = (0.45, 0.6)
    found = TASK.paired((first, second), labels, cuts)
    one, other = (
        TASK.figures(TASK.sums(s, labels), cut, replicates=0).values for s, cut in zip((first, second), cuts, strict=True)
    )
    for figure in ("auc", "accuracy"):
        assert found[figure].difference == pytest.approx(other[figure] - one[figure], abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1, 1]])
def test_with_one_class_the_auc_cannot_be_compared(labels: list[int]) -> None:
    """NaN says so; an error would stop the report of a small hospital."""
    scores = np.linspace(0, 1, len(labels))
    found = paired_auc(scores, -scores, np.array(labels))
    assert math.isnan(found.difference) and math.isnan(found.p_value) and math.isnan(found.interval[0])


def test_one_patient_of_a_class_gives_a_difference_and_no_verdict() -> None:
    """The variance over one patient is undefined."""
    found = paired_auc(np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.0, 0.5]), np.array([1, 0, 0]))
    assert found.difference == 0.5 and math.isnan(found.p_value)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    """Few discordant patients are the usual case at one hospital, and the normal approximation is wrong there."""
    expected = binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


def test_beyond_the_exact_range_the_approximation_continues_it() -> None:
    """No step in the p-value where one formula takes over from the other."""
    gained, lost = EXACT_UP_TO // 2 + 40, EXACT_UP_TO // 2 - 39
    assert mcnemar(gained, lost) == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue, rel=0.02)


def test_the_interval_of_paired_accuracies_covers_as_often_as_it_says() -> None:
    """2000 draws of 60 pairs with a true difference of 0.1: coverage within 93 and 98 %."""
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(60, (0.7, 0.15, 0.05, 0.1), size=2000)
    covered = 0
    for both, gained, lost, neither in drawn.tolist():
        first = np.repeat([True, False, True, False], (both, gained, lost, neither))
        second = np.repeat([True, True, False, False], (both, gained, lost, neither))
        low, high = paired_accuracy(first, second).interval
        covered += low <= 0.1 <= high
    assert 0.93 <= covered / 2000 <= 0.98


def test_no_discordant_record_is_no_difference() -> None:
    """And not an error for a division by zero."""
    found = paired_accuracy(np.ones(10, bool), np.ones(10, bool))
    assert (found.difference, found.p_value, found.discordant) == (0.0, 1.0, 0)
    assert found.interval[0] < 0 < found.interval[1]
    assert math.isnan(paired_accuracy(np.ones(0, bool), np.ones(0, bool)).p_value)


@given(st.tuples(*[st.integers(0, 400)] * 4), st.integers(1, 5000), st.floats(0, 1))
def test_natural_frequencies_add_up_to_the_people(cells: tuple[int, int, int, int], people: int, prevalence: float) -> None:
    """Rounded counts that do not add up are noticed by every reader."""
    counts = ConfusionCounts(*cells)
    found = natural_frequencies(counts, people, prevalence)
    if found is None:
        assert 0 in (counts.true_positive + counts.false_negative, counts.false_positive + counts.true_negative)
        return
    assert found.found + found.missed + found.false_alarms + found.cleared == people
    assert found.with_the_finding == round(people * prevalence)
    assert min(found.found, found.missed, found.false_alarms, found.cleared) >= 0


def test_predictive_values_are_shares_of_the_answers_with_their_intervals() -> None:
    """A model that never says yes has no positive predictive value, and that is no error."""
    _, second, labels = two_models(8)
    counts = confusion_at(ScoreSums.from_scores(second, labels), 0.6)
    called = counts.true_positive + counts.false_positive
    assert positive_predictive_value(counts).value == counts.true_positive / called
    assert positive_predictive_value(counts).interval == wilson(counts.true_positive, called)
    cleared = counts.true_negative + counts.false_negative
    assert negative_predictive_value(counts).interval == wilson(counts.true_negative, cleared)
    silent = ConfusionCounts(0, 0, 5, 5)
    assert math.isnan(positive_predictive_value(silent).value) and negative_predictive_value(silent).value == 0.5


def test_a_prevalence_that_is_no_share_is_refused() -> None:
    """A percentage passed by mistake would invent patients."""
    with pytest.raises(ValueError, match="share from 0 to 1"):
        natural_frequencies(ConfusionCounts(1, 1, 1, 1), 100, 5.0)
