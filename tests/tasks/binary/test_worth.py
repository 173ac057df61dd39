"""What an answer is worth: calibration, people, and how common the finding is."""

import math

import numpy as np
import pytest

from wardround.study.label import LabelContract
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.calibration import recalibration
from wardround.tasks.binary.figures import ConfusionCounts
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.binary.worth import PEOPLE, PREVALENCES, predictive_values

TASK = BinaryTask(LabelContract(name="pneumonia"))


def drawn(n: int, offset: float, slope: float, seed: int = 1) -> ScoreSums:
    """Records whose true logit is offset + slope x, of a model that says x."""
    rng = np.random.default_rng(seed)
    said = rng.normal(0.0, 2.0, n)
    return ScoreSums.from_scores(said, (rng.random(n) < 1 / (1 + np.exp(-(offset + slope * said)))).astype(int))


@pytest.mark.parametrize(("offset", "slope"), [(0.0, 1.0), (0.0, 0.5), (0.8, 1.0), (-0.5, 1.6)])
def test_slope_and_offset_are_those_of_a_logistic_regression(offset: float, slope: float) -> None:
    """Of 20,000 records they are known to a few hundredths; the intervals must hold the truth."""
    fit = recalibration(drawn(20_000, offset, slope))
    assert fit.slope[0] == pytest.approx(slope, abs=0.08) and fit.slope[1][0] < slope + 0.02 and slope - 0.02 < fit.slope[1][1]
    if slope == 1.0:
        assert fit.offset[0] == pytest.approx(offset, abs=0.06) and fit.offset[1][0] < offset + 0.02 < fit.offset[1][1] + 0.04


def test_a_perfect_separation_has_no_slope_and_one_class_nothing() -> None:
    """Any steep slope would do there, and a number would be an accident of the method."""
    apart = ScoreSums.from_scores(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert math.isnan(recalibration(apart).slope[0]) and math.isfinite(recalibration(apart).offset[0])
    alone = ScoreSums.from_scores(np.array([-2.0, 1.0]), np.array([1, 1]))
    assert math.isnan(recalibration(alone).offset[0]) and math.isnan(recalibration(ScoreSums.zero()).slope[0])


@pytest.mark.parametrize("prevalence", [*PREVALENCES, 0.3])
def test_predictive_values_follow_bayes(prevalence: float) -> None:
    """A yes is worth less where the finding is rarer, by a rule that is 250 years old."""
    counts = ConfusionCounts(90, 30, 170, 10)
    yes, no = predictive_values(counts, prevalence)
    assert yes.value == pytest.approx(0.9 * prevalence / (0.9 * prevalence + 0.15 * (1 - prevalence)))
    assert no.value == pytest.approx(0.85 * (1 - prevalence) / (0.85 * (1 - prevalence) + 0.1 * prevalence))
    for one in (yes, no):
        assert 0 < one.interval[0] < one.value < one.interval[1] < 1


def test_an_interval_is_wide_where_nothing_went_wrong_by_luck() -> None:
    """No false alarm among five people is not certainty."""
    yes, _ = predictive_values(ConfusionCounts(5, 0, 5, 0), 0.05)
    assert yes.value == 1.0 and yes.interval[0] < 0.5 and yes.interval[1] == 1.0
    yes, no = predictive_values(ConfusionCounts(0, 0, 5, 5), 0.05)
    assert math.isnan(yes.value) and math.isnan(yes.interval[0]) and math.isfinite(no.value)


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """About 95 of 100, also of 40 patients: an adjusted interval from the literature held it in 80."""
    rng = np.random.default_rng(7)
    held, truth = 0, 0.8 * 0.1 / (0.8 * 0.1 + 0.1 * 0.9)
    for _ in range(1000):
        hits, alarms = int(rng.binomial(20, 0.8)), int(rng.binomial(20, 0.1))
        low, high = predictive_values(ConfusionCounts(hits, alarms, 20 - alarms, 20 - hits), 0.1)[0].interval
        held += low <= truth <= high
    assert 925 <= held <= 990


def test_the_tables_of_a_hospital_stand_model_by_model() -> None:
    """People add up to a thousand in each column, and the first row is what was counted here."""
    models = {"own": (drawn(200, 0.0, 0.6).as_sums(), 0.5), "federated": (drawn(200, 0.0, 1.0).as_sums(), 0.4)}
    people, prevalence, calibration = TASK.worth(models)
    assert people.columns == calibration.columns == ("own", "federated")
    for k in range(2):
        assert sum(cells[k][0] for _, cells in people.rows) == PEOPLE
    assert len(prevalence.columns) == 4 and [name for name, _ in prevalence.rows[1:]] == ["1 %", "5 %", "10 %", "20 %", "50 %"]
    assert "pneumonia" in people.rows[0][0] and all(len(cells) == 4 for _, cells in prevalence.rows)


def test_without_one_class_there_is_no_table() -> None:
    """What cannot be given is not shown as zeros."""
    assert TASK.worth({"own": (drawn(50, 30.0, 0.0).as_sums(), 0.5)}) == () and TASK.worth({}) == ()
