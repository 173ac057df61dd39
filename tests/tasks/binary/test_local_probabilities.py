"""Probabilities made true at one hospital, answers that may be `cannot tell`, and how many cases decide."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from wardround.tasks.binary.case_numbers import cases_for_estimate, cases_for_share
from wardround.tasks.binary.clustered import clustered_interval, patient_weights, weighted_auc, weighted_share
from wardround.tasks.binary.conformal import ConformalLimits, conformal_limits, verdicts
from wardround.tasks.binary.figures import auc
from wardround.tasks.binary.local_map import LocalMap
from wardround.tasks.binary.recalibrating import LINES, MAPS, calibrate, chosen_map, fitted_map
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.binary.threshold import choose_threshold_for_sensitivity, choose_threshold_for_specificity
from wardround.tasks.intervals import wilson


def drawn(n: int, *, slope: float = 1.0, offset: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels that are true with chance sigmoid(slope * score + offset)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, n)
    return scores, (rng.random(n) < expit(slope * scores + offset)).astype(np.int8)


@pytest.mark.parametrize("name", MAPS)
@given(seed=st.integers(0, 200), n=st.integers(4, 120))
def test_a_map_never_turns_two_patients_round(name: str, seed: int, n: int) -> None:
    """A local calibration may change how sure the model is, not who is more likely ill."""
    scores, labels = drawn(n, seed=seed)
    local = fitted_map(name, scores, labels)
    line = np.linspace(-40, 40, 300)
    chance = local.probabilities(line)
    assert (np.diff(chance) >= 0).all() and chance.min() >= 0 and chance.max() <= 1
    assert np.allclose(expit(local.scores(line)), chance, atol=1e-9)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, 0.0), (2.0, -1.5), (0.7, 2.0)])
def test_platt_finds_the_law_that_made_the_labels(slope: float, offset: float) -> None:
    """With many cases the prior may not be felt."""
    local = fitted_map("platt", *drawn(20000, slope=slope, offset=offset))
    assert abs(local.slope - slope) < 0.1 * max(slope, 0.5) and abs(local.offset - offset) < 0.1


@pytest.mark.parametrize(("stretch", "shift"), [(0.1, -1.5), (0.2, 3.0), (6.0, 0.0), (4.0, -10.0)])
def test_a_model_on_another_scale_is_brought_to_ours(stretch: float, shift: float) -> None:
    """Scores that all lie on one side, or far too steep: 150 cases are enough to see it."""
    scores, labels = drawn(2000, seed=4)
    moved, folds = stretch * scores + shift, np.arange(150) % 10
    chosen, _ = chosen_map(moved[:150], labels[:150], folds)
    assert np.abs(chosen.probabilities(moved[150:]) - expit(scores[150:])).mean() < 0.08


@pytest.mark.parametrize("name", MAPS)
def test_cases_that_do_not_overlap_give_no_certainty(name: str) -> None:
    """Twenty cases told apart without a fault are no reason for 100 %."""
    scores = np.linspace(-3, 3, 20)
    chance = fitted_map(name, scores, (scores > 0).astype(np.int8)).probabilities(np.array([-50.0, -3.0, 3.0, 50.0]))
    assert chance[1] > 1e-3 and chance[2] < 1 - 1e-3


def test_where_the_cases_tell_the_right_line_is_taken() -> None:
    """The mean of the lines is the best one's as soon as it is clearly best."""
    scores, labels = drawn(3000, slope=0.4, offset=-1)
    folds = np.arange(3000) % 10
    chosen, losses = chosen_map(scores, labels, folds)
    platt = fitted_map("platt", scores, labels)
    assert losses["platt"] < losses["temperature"] < losses["identity"]
    assert math.isclose(chosen.slope, platt.slope, rel_tol=1e-3) and math.isclose(chosen.offset, platt.offset, rel_tol=1e-3)


def test_where_they_do_not_tell_the_mean_lies_between() -> None:
    """Fifty cases of a model that is right: hardly moved."""
    scores, labels = drawn(50, seed=7)
    chosen, losses = chosen_map(scores, labels, np.arange(50) % 10)
    lines = [fitted_map(name, scores, labels) for name in LINES]
    assert set(losses) == set(LINES)
    assert min(line.slope for line in lines) <= chosen.slope <= max(line.slope for line in lines)


def test_a_bent_truth_takes_the_isotonic_map() -> None:
    """No straight line follows a model whose middle scores all mean the same."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 3, 3000)
    labels = (rng.random(3000) < np.where(np.abs(scores) < 2, 0.5, np.where(scores > 0, 0.9, 0.1))).astype(np.int8)
    chosen, losses = chosen_map(scores, labels, np.arange(3000) % 10)
    assert chosen.name == "isotonic" and losses["isotonic"] == min(losses.values())
    assert np.abs(chosen.probabilities(np.array([-4.0, 0.0, 4.0])) - [0.1, 0.5, 0.9]).max() < 0.07


def test_no_case_judges_the_map_it_made() -> None:
    """Swapping the labels inside one fold may not move the calibrated score of a case of that fold, also by the choice."""
    scores, labels = drawn(220, slope=0.3)
    folds = np.arange(220) % 10
    before = calibrate(scores, labels, folds)
    for fold in (0, 7):
        swapped = np.where(folds == fold, 1 - labels, labels)
        after = calibrate(scores, swapped, folds)
        assert np.array_equal(before.crossed[folds == fold], after.crossed[folds == fold])
        assert not np.array_equal(before.crossed, after.crossed)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "identity", "slope": 2.0},
        {"name": "temperature", "offset": 1.0},
        {"name": "platt", "slope": -1.0},
        {"name": "isotonic"},
        {"name": "platt", "knots": ((0.0, 0.5),)},
        {"name": "isotonic", "knots": ((0.0, 0.6), (1.0, 0.5))},
        {"name": "isotonic", "knots": ((0.0, 0.6), (0.0, 0.7))},
        {"name": "isotonic", "knots": ((0.0, 1.6),)},
    ],
)
def test_a_map_that_cannot_be_is_refused(settings: dict[str, object]) -> None:
    """A record that was edited must not make falling probabilities."""
    with pytest.raises(ValueError):
        LocalMap(**settings)


@pytest.mark.parametrize(("n", "promise"), [(20, 0.9), (37, 0.9), (63, 0.9), (100, 0.8), (200, 0.95), (9, 0.9)])
def test_the_promise_is_kept_on_average_over_samples(n: int, promise: float) -> None:
    """Exactly between the shares that the two neighbouring order statistics have; whatever the distribution."""
    rng = np.random.default_rng(1)
    for draw in (rng.normal, rng.exponential, rng.random):
        samples = draw(size=(4000, n))
        covered = []
        for sample in samples[:1500]:
            limits = conformal_limits(sample, np.ones(n, np.int8), promise)
            covered.append(limits.may_be(draw(size=200))[0].mean())
        low, high = limits.expected(n)
        assert low - 0.006 <= np.mean(covered) <= high + 0.006
        assert abs(np.mean(covered) - promise) < 0.012 or low == 1.0


def test_both_sides_are_mirror_images() -> None:
    """The same rule for those with and without the finding, each from its own cases."""
    scores, labels = drawn(150)
    limits: Any = conformal_limits(scores, labels, 0.9)
    mirrored: Any = conformal_limits(-scores, 1 - labels, 0.9)
    assert math.isclose(limits.positive_from, -mirrored.negative_to) and math.isclose(limits.negative_to, -mirrored.positive_from)
    assert (limits.positives, limits.negatives) == (int(labels.sum()), int((1 - labels).sum()))
    other = np.where(labels == 0, scores - 50, scores)
    assert conformal_limits(other, labels, 0.9).positive_from == limits.positive_from


def test_too_few_cases_rule_nothing_out() -> None:
    """With eight cases no share of 90 % can be promised but by every answer."""
    limits = conformal_limits(np.arange(16.0), np.repeat([0, 1], 8), 0.9)
    assert limits.positive_from is None and limits.negative_to is None and limits.expected(8) == (1.0, 1.0)
    assert set(verdicts(limits, np.array([-9.0, 0.0, 99.0]))) == {"cannot-tell"}


def test_a_verdict_is_given_where_one_answer_alone_fits() -> None:
    """Both, or neither: cannot tell."""
    overlapping = ConformalLimits(promise=0.9, positive_from=-1, negative_to=1, positives=50, negatives=50)
    apart = ConformalLimits(promise=0.9, positive_from=1, negative_to=-1, positives=50, negatives=50)
    line = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert verdicts(overlapping, line) == ("negative", "cannot-tell", "cannot-tell", "cannot-tell", "positive")
    assert verdicts(apart, line) == ("negative", "negative", "cannot-tell", "positive", "positive")


@given(hits=st.integers(0, 40), others=st.integers(1, 40), limit=st.floats(0.01, 0.99))
def test_so_many_cases_clear_the_limit_and_fewer_do_not(hits: int, others: int, limit: float) -> None:
    """The number that is told must be enough, and no more than is needed: tried with whole copies of the same cases."""
    trials = hits + others
    needed = cases_for_share(hits / trials, limit)
    if hits / trials <= limit:
        assert needed is None
    elif needed is not None:
        enough, few = -(-needed // trials), (needed - 1) // trials
        assert wilson(enough * hits, enough * trials)[0] > limit - 1e-9
        assert few == 0 or wilson(few * hits, few * trials)[0] <= limit + 1e-9


def test_the_distance_falls_with_the_root_of_the_cases() -> None:
    assert cases_for_estimate(100, 0.1, 0.1) == 100 and cases_for_estimate(100, 0.2, 0.05) == 1600
    assert cases_for_estimate(100, 0.1, 0.0) is None and cases_for_estimate(100, math.nan, 0.1) is None


def test_weights_of_one_give_the_figures_themselves() -> None:
    """The bootstrap's figures must be those that are printed."""
    scores, labels = drawn(300)
    scores = np.round(scores, 1)  # ties
    ones = np.ones(300)
    bins = np.floor(scores * 32)
    assert math.isclose(weighted_auc(bins, labels)(ones), auc(ScoreSums.from_scores(scores, labels)))
    assert weighted_share(scores > 0, labels == 1)(ones) == (scores[labels == 1] > 0).mean()
    assert math.isnan(weighted_share(scores > 0, labels == 2)(ones))


def test_patients_are_drawn_whole() -> None:
    """Cases of one patient count alike in every replicate."""
    patients = np.repeat([f"p{k}" for k in range(30)], 4)
    weights = patient_weights(patients, seed=1)
    assert (weights.reshape(-1, 30, 4) == weights.reshape(-1, 30, 4)[:, :, :1]).all() and (weights.sum(axis=1) == 120).all()
    low, high = clustered_interval(0.5, lambda one: float(one[:60].sum() / one.sum()), weights)
    assert 0.25 < low < 0.4 < 0.6 < high < 0.75


@pytest.mark.parametrize("aim", [0.5, 0.8, 0.95, 1.0])
def test_the_threshold_keeps_what_was_asked_for_and_no_more(aim: float) -> None:
    """The highest that misses few enough, the lowest that alarms seldom enough."""
    scores, labels = drawn(500)
    sums = ScoreSums.from_scores(scores, labels)
    logit = [
        math.log(cut / (1 - cut))
        for cut in (choose_threshold_for_sensitivity(sums, aim), choose_threshold_for_specificity(sums, aim))
    ]
    bins = np.floor(scores * 32) / 32
    assert (bins[labels == 1] >= logit[0] - 1e-9).mean() >= aim > (bins[labels == 1] >= logit[0] + 1 / 31).mean()
    assert (bins[labels == 0] < logit[1] - 1e-9).mean() >= aim > (bins[labels == 0] < logit[1] - 1 / 31).mean()
