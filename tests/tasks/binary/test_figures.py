"""Figures from binned sums, against scikit-learn on the scores themselves."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from wardround.tasks.binary.figures import METRICS, auc, auc_binning_error, auc_interval, confusion_at, measure, roc_counts
from wardround.tasks.binary.score_sums import ScoreSums, probability
from wardround.tasks.binary.threshold import choose_threshold
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Figures

Scored = tuple[np.ndarray, np.ndarray]
PLAIN = {"deadline": None, "max_examples": 40}


@st.composite
def two_classes(draw: st.DrawFn, elements: st.SearchStrategy[float], size: int = 40) -> Scored:
    n = draw(st.integers(2, size))
    labels = draw(arrays(np.int8, n, elements=st.integers(0, 1)))
    labels[:2] = (0, 1)
    return draw(arrays(np.float64, n, elements=elements)), labels


ANY = two_classes(st.floats(-6, 6))
ON_EDGES = two_classes(st.integers(-40, 40).map(lambda k: k / 32))


def cohort(seed: int, n: int = 400, shift: float = 1.5, share: float = 0.4) -> Scored:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int8)
    return rng.normal(shift * (labels - 0.5) * 2, 1.5), labels


@given(ANY)
@settings(**PLAIN)
def test_auc_is_within_the_stated_bound_of_the_unbinned_one(records: Scored) -> None:
    """The bound is what lets a report quote a figure computed from a histogram."""
    sums = ScoreSums.from_scores(*records)
    exact = roc_auc_score(records[1], records[0])
    assert abs(auc(sums) - exact) <= auc_binning_error(sums) + 1e-12


@given(ON_EDGES)
@settings(**PLAIN)
def test_scores_on_bin_edges_give_the_figures_of_scikit_learn(records: Scored) -> None:
    """Where binning loses nothing, AUC, average precision and the fixed-specificity point must be the textbook's."""
    logits, labels = records
    values = measure(ScoreSums.from_scores(logits, labels), 0.5, replicates=0).values
    false, true, _ = roc_curve(labels, logits, drop_intermediate=False)
    assert values["auc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert values["auprc"] == pytest.approx(average_precision_score(labels, logits), abs=1e-12)
    assert values["sensitivity_at_95_specificity"] == pytest.approx(true[false <= 0.05].max(), abs=1e-12)


@given(ANY)
@settings(**PLAIN)
def test_average_precision_is_within_what_reordering_a_bin_can_do(records: Scored) -> None:
    """Inside a bin the order is lost: the figure must lie within the best and worst order's distance."""
    logits, labels = records
    sums = ScoreSums.from_scores(logits, labels)
    caught = alarms = 0
    room = 0.0
    for alarm, hit in sums.histogram[:, ::-1].T.tolist():
        tied = hit * (caught + hit) / max(caught + alarms + hit + alarm, 1)
        best = sum((caught + i) / (caught + alarms + i) for i in range(1, hit + 1))
        worst = sum((caught + i) / (caught + alarms + alarm + i) for i in range(1, hit + 1))
        room += max(abs(best - tied), abs(tied - worst))
        caught, alarms = caught + hit, alarms + alarm
    found = measure(sums, 0.5, replicates=0).values["auprc"]
    assert abs(found - average_precision_score(labels, logits)) <= room / sums.positives + 1e-12


@given(ANY, st.integers(-100, 100))
@settings(**PLAIN)
def test_counts_at_a_threshold_on_an_edge_are_exact(records: Scored, edge: int) -> None:
    """Accuracy at the chosen threshold and at 0.5 carries no binning error at all."""
    logits, labels = records
    threshold = float(probability(np.asarray(edge / 32)))
    called = logits >= edge / 32
    values = measure(ScoreSums.from_scores(logits, labels), threshold, replicates=0).values
    at = confusion_at(ScoreSums.from_scores(logits, labels), threshold)
    tn, fp, fn, tp = confusion_matrix(labels, called, labels=[0, 1]).ravel()
    assert (at.true_positive, at.false_positive, at.true_negative, at.false_negative) == (tp, fp, tn, fn)
    assert values["accuracy"] == pytest.approx(accuracy_score(labels, called))
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, called))
    assert values["sensitivity"] == pytest.approx(recall_score(labels, called))
    assert values["specificity"] == pytest.approx(recall_score(1 - labels, ~called))
    assert values["accuracy_at_half"] == pytest.approx(accuracy_score(labels, logits >= 0))


@given(ANY)
@settings(**PLAIN)
def test_brier_and_calibration_keep_twenty_bits(records: Scored) -> None:
    """They come from exact sums, not from the histogram."""
    logits, labels = records
    p = probability(logits)
    values = measure(ScoreSums.from_scores(logits, labels), 0.5, replicates=0).values
    part = np.minimum((p * 15).astype(int), 14)
    gaps = [abs((p - labels)[part == k].sum()) for k in range(15)]
    assert values["brier"] == pytest.approx(brier_score_loss(labels, p), abs=2e-6)
    assert values["ece"] == pytest.approx(sum(gaps) / len(p), abs=2e-6)


@given(ANY, ANY)
@settings(**PLAIN)
def test_the_measure_of_a_sum_is_the_measure_of_the_patients_together(one: Scored, other: Scored) -> None:
    """Federated evaluation gives the pooled figures, intervals included."""
    apart = ScoreSums.from_scores(*one) + ScoreSums.from_scores(*other)
    pooled = ScoreSums.from_scores(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))
    assert measure(apart, 0.4, replicates=20) == measure(pooled, 0.4, replicates=20)


@given(ANY)
@settings(**PLAIN)
def test_the_chosen_threshold_is_the_best_there_is(records: Scored) -> None:
    """No other edge has a better balanced accuracy; calling everything one class is never preferred to 0.5."""
    sums = ScoreSums.from_scores(*records)
    share = roc_counts(sums) / [sums.positives, sums.negatives]
    chosen = measure(sums, choose_threshold(sums), replicates=0).values["balanced_accuracy"]
    best = ((share[:, 0] + 1 - share[:, 1]) / 2).max()
    assert chosen == pytest.approx(best) or (best == 0.5 and choose_threshold(sums) == 0.5)


def test_the_threshold_lies_in_the_middle_of_the_widest_plateau() -> None:
    """Far from both classes: what is chosen on few validation patients must not hug one of them."""
    sums = ScoreSums.from_scores(np.array([-3.0, -2.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert math.log(choose_threshold(sums) / (1 - choose_threshold(sums))) == pytest.approx(-0.5, abs=1 / 32)


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1, 1]])
def test_without_two_classes_what_is_undefined_is_nan_and_nothing_fails(labels: list[int]) -> None:
    """An empty site or a site with one class only must still get a report."""
    sums = ScoreSums.from_scores(np.linspace(-1, 1, len(labels)), np.array(labels))
    found = measure(sums, choose_threshold(sums))
    undefined = {name for name, value in found.values.items() if math.isnan(value)}
    expected = {"balanced_accuracy", "auc", "sensitivity_at_95_specificity"}
    expected |= set() if 0 in labels else {"specificity"}
    expected |= set() if 1 in labels else {"sensitivity", "auprc"}
    expected |= set() if labels else {"accuracy", "accuracy_at_half", "brier", "ece"}
    assert undefined == expected
    assert all(math.isnan(low) and math.isnan(high) for name, (low, high) in found.intervals.items() if name in expected)
    assert found.values["threshold"] == 0.5
    assert math.isnan(auc_binning_error(sums))


def test_every_metric_has_a_value_and_an_interval_around_it() -> None:
    """A report that quotes an interval without its estimate inside would be wrong on its face."""
    found = measure(ScoreSums.from_scores(*cohort(1)), 0.4)
    assert tuple(found.values) == METRICS
    assert set(found.intervals) == set(METRICS) - {"threshold", "n", "positives"}
    for name, (low, high) in found.intervals.items():
        assert 0 <= low < found.values[name] < high <= 1, name


def test_measuring_twice_gives_the_same_intervals() -> None:
    """The bootstrap is seeded by the sums, so a report can be made again."""
    sums = ScoreSums.from_scores(*cohort(2))
    assert measure(sums, 0.4) == measure(sums, 0.4)
    assert math.isnan(measure(sums, 0.4, replicates=0).intervals["auprc"][0])


def test_wilson_agrees_with_the_published_example() -> None:
    """R. G. Newcombe, Statist. Med. 17 (1998) 857, table I, method 3: 81 of 263, 15 of 148 and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_delong_agrees_with_the_pairwise_definition() -> None:
    """The histogram form must be the paper's sums over patients, not an approximation of them."""
    rng = np.random.default_rng(3)
    labels = np.r_[np.zeros(30, int), np.ones(20, int)]
    logits = np.round(rng.normal(labels, 1) * 32) / 32
    x, y = logits[labels == 1], logits[labels == 0]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    half = 1.959963984540054 * math.sqrt(psi.mean(axis=1).var(ddof=1) / 20 + psi.mean(axis=0).var(ddof=1) / 30)
    expected = (psi.mean() - half, min(psi.mean() + half, 1.0))
    assert auc_interval(ScoreSums.from_scores(logits, labels)) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_of_few_patients_does_not_claim_certainty() -> None:
    """DeLong's variance is 0 there; five pairs cannot prove an AUC of 1."""
    logits, labels = np.r_[np.full(5, -2.0), np.full(9, 2.0)], np.r_[np.zeros(5, int), np.ones(9, int)]
    assert auc_interval(ScoreSums.from_scores(logits, labels)) == pytest.approx((0.5655, 1.0), abs=1e-4)
    assert auc_interval(ScoreSums.from_scores(-logits, labels)) == pytest.approx((0.0, 0.4345), abs=1e-4)


def test_one_patient_of_a_class_gives_no_auc_interval() -> None:
    """The variance over one patient is undefined; NaN says so."""
    sums = ScoreSums.from_scores(np.array([-1.0, 0.0, 1.0]), np.array([0, 1, 0]))
    assert auc(sums) == 0.5
    assert math.isnan(auc_interval(sums)[0])


@cache
def many_cohorts() -> tuple[Figures, list[Figures]]:
    truth = measure(ScoreSums.from_scores(*cohort(999, n=400_000)), 0.5, replicates=0)
    return truth, [measure(ScoreSums.from_scores(*cohort(seed)), 0.5, replicates=150) for seed in range(60)]


@pytest.mark.parametrize("name", ["auc", "auprc", "brier", "accuracy", "balanced_accuracy", "sensitivity_at_95_specificity"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(name: str) -> None:
    """60 cohorts of 400: a 95 % interval that covers fewer than 51 (chance below 1 in 1000) or is absurdly wide is wrong."""
    truth, measured = many_cohorts()
    found = [one.intervals[name] for one in measured]
    assert sum(low <= truth.values[name] <= high for low, high in found) >= 51
    assert max(high - low for low, high in found) < 0.5


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_outside_probabilities_is_refused(threshold: float) -> None:
    """A logit passed by mistake must not silently become a threshold."""
    with pytest.raises(ValueError, match="probability"):
        confusion_at(ScoreSums.zero(), threshold)


def test_thresholds_zero_and_one_call_everything_and_nothing() -> None:
    """The ends of the ROC curve."""
    sums = ScoreSums.from_scores(*cohort(4))
    assert (confusion_at(sums, 0.0).false_negative, confusion_at(sums, 0.0).true_negative) == (0, 0)
    assert (confusion_at(sums, 1.0).true_positive, confusion_at(sums, 1.0).false_positive) == (0, 0)
