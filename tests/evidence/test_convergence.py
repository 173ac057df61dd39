"""Whether more rounds would help: the verdict against curves whose future is known."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from wardround.evidence.convergence import Convergence, convergence, learning_times, trend_of
from wardround.study.declaration import Study
from wardround.study.label import LabelContract
from wardround.study.reading import parse_study
from wardround.study.record.run_record import Evaluation, RoundRecord, RunRecord
from wardround.study.writing import to_toml
from wardround.tasks.binary import BinaryTask

from .conftest import STUDY

Make = Callable[..., RunRecord]
TASK = BinaryTask(LabelContract())
COSINE = "[training]\nlocal_epochs = 2\nlearning_rate = 3e-4"


def study(rounds: int, training: str = COSINE, more: str = "") -> Study:
    text = STUDY.replace(COSINE, training).replace("rounds = 10", f"rounds = {rounds}") + more
    return parse_study(text, "a study")


def judged(make_record: Make, aucs: Sequence[float | None], losses: Sequence[float], declared: Study) -> Convergence:
    rounds = tuple(
        RoundRecord(
            round=k + 1,
            seconds=1.0,
            counted=("north",),
            train_loss=loss,
            validation=None if auc is None else Evaluation(values={"auc": auc}),
        )
        for k, (auc, loss) in enumerate(zip(aucs, losses, strict=True))
    )
    return convergence(make_record(rounds=rounds, study_toml=to_toml(declared)), TASK)


def learnt(times: Sequence[float], half_life: float) -> list[float]:
    """An AUC that halves its distance to 0.85 in so much learning time."""
    return [0.85 - 0.25 * 0.5 ** (time / half_life) for time in times]


def test_a_curve_that_the_schedule_has_flattened_is_not_converged(make_record: Make) -> None:
    """30 rounds ended at 0.816 where 150 reached 0.834: the last rounds moved nothing since their rate was nothing."""
    declared = study(30)
    times = learning_times(declared, 30)
    aucs = learnt(times, half_life=8.0)
    assert aucs[-1] - aucs[-3] < 0.0005, "the last rounds look flat"
    verdict = judged(make_record, aucs, [1.0 - auc for auc in aucs], declared)
    assert verdict.verdict == "learning" and verdict.more_rounds is not None
    assert "learning rate had fallen" in verdict.sentence and f"algorithm.rounds = {30 + verdict.more_rounds}" in verdict.sentence
    longer = study(30 + verdict.more_rounds)
    times = learning_times(longer, longer.algorithm.rounds)
    assert judged(make_record, learnt(times, 8.0), [1.0 - auc for auc in learnt(times, 8.0)], longer).verdict == "converged"


AUCS = """
    .7659 .7822 .7872 .7906 .7930 .7949 .7954 .7955 .7973 .7985 .7987 .7992 .7988 .8002 .7999
    .8011 .8006 .8011 .8013 .8012 .8013 .8018 .8019 .8017 .8018 .8017 .8017 .8017 .8017 .8018
"""
LOSSES = """
    .5367 .4888 .4797 .4759 .4719 .4685 .4657 .4669 .4620 .4666 .4613 .4652 .4595 .4600 .4610
    .4586 .4608 .4597 .4563 .4610 .4609 .4569 .4572 .4614 .4534 .4590 .4626 .4574 .4575 .4535
"""
"""Validation AUC and training loss of 30 rounds: death within 30 days of 9,105 patients of SUPPORT (Knaus et al., 1995);
four hospitals, logistic regression, the starter study's training of tables, without class weights, seed 1."""


def test_thirty_rounds_on_9105_patients_are_not_converged(make_record: Make) -> None:
    """The last ten rounds moved the AUC by 0.0005 and it looks done; it is the learning rate that is."""
    aucs, losses = ([float(one) for one in text.split()] for text in (AUCS, LOSSES))
    assert aucs[-1] - aucs[-10] <= 0.0005
    declared = study(30, '[training]\noptimizer = "sgd"\nlearning_rate = 0.1\nbatch_size = 32')
    verdict = judged(make_record, aucs, losses, declared)
    assert verdict.verdict == "learning" and "learning rate had fallen" in verdict.sentence
    steady = study(30, '[training]\noptimizer = "sgd"\nlearning_rate = 0.1\nbatch_size = 32\nschedule = "constant"')
    assert judged(make_record, aucs, losses, steady).verdict == "converged", "the same curve at a steady rate is flat"


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_curve_at_its_end_is_converged(make_record: Make, schedule: str) -> None:
    """Half lives long past leave nothing to gain, whatever the schedule."""
    declared = study(40, f'{COSINE}\nschedule = "{schedule}"')
    aucs = learnt(learning_times(declared, 40), half_life=1.5)
    assert judged(make_record, aucs, [1.0 - auc for auc in aucs], declared).verdict == "converged"


def test_a_loss_that_falls_alone_is_no_reason_for_more_rounds(make_record: Make) -> None:
    """A network learns its patients by heart: the training loss falls on for ever."""
    declared = study(40)
    aucs = learnt(learning_times(declared, 40), half_life=1.5)
    verdict = judged(make_record, aucs, [math.exp(-time / 12) for time in learning_times(declared, 40)], declared)
    assert verdict.verdict == "converged" and "by heart" in verdict.sentence


def test_without_validation_the_loss_is_judged(make_record: Make) -> None:
    """Between hospitals a round may lack its validation, and the loss is all there is."""
    declared = study(30)
    losses = [math.exp(-time / 8) for time in learning_times(declared, 30)]
    verdict = judged(make_record, [None] * 30, losses, declared)
    assert verdict.verdict == "learning" and "training loss" in verdict.sentence


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_never_taken_for_learning(make_record: Make, seed: int) -> None:
    """Few validation patients make the curve jump; more rounds for nothing cost every hospital a night."""
    noise = np.random.default_rng(seed).normal(0, 0.02, 30)
    declared = study(30, f'{COSINE}\nschedule = "constant"')
    aucs = [float(0.8 + 0.03 * (1 - 0.5**k) + noise[k]) for k in range(30)]
    assert judged(make_record, aucs, [0.5] * 30, declared).verdict == "unclear"


def test_a_curve_that_has_not_begun_to_slow_is_given_as_many_rounds_again(make_record: Make) -> None:
    """The demo with seed 2 was told to take 100 rounds in place of 10; 20 took its AUC from 0.962 to 0.984."""
    declared = study(10)
    aucs = [0.518, 0.588, 0.498, 0.659, 0.768, 0.902, 0.949, 0.955, 0.960, 0.962]
    assert judged(make_record, aucs, [1.0 - auc for auc in aucs], declared).more_rounds == 10


def test_too_few_rounds_and_no_figures_say_nothing(make_record: Make) -> None:
    """A private run between hospitals has no curve at all."""
    few = judged(make_record, [0.6, 0.7, 0.75], [0.6, 0.5, 0.4], study(3))
    assert few.verdict == "unclear" and "3 rounds" in few.sentence
    assert "from 1 round:" in judged(make_record, [0.6], [0.6], study(1)).sentence
    assert convergence(make_record(rounds=()), TASK).verdict == "unclear"


def test_learning_time_follows_the_rate() -> None:
    """A cosine to one hundredth is worth about half of its rounds; a constant rate all of them; fedsgd has a rate of its own."""
    assert learning_times(study(30), 30)[-1] == pytest.approx(30 * (0.01 + 0.99 / 2), rel=1e-3)
    assert learning_times(study(30, f'{COSINE}\nschedule = "constant"'), 30)[-1] == pytest.approx(30.0)
    assert learning_times(None, 4) == [1.0, 2.0, 3.0, 4.0]
    server = parse_study(
        STUDY.replace(COSINE, "").replace('"fedavg"', '"fedsgd"\nserver_optimizer = "momentum"\nserver_schedule = "cosine"'), "s"
    )
    times = learning_times(server, 10)
    assert times[-1] == pytest.approx(5.0) and times[-1] - times[-2] < 0.05


def test_a_figure_of_which_less_is_better_is_turned_round(make_record: Make) -> None:
    """An error in days that falls is learning, one that rises is not."""

    class Days(BinaryTask):
        bigger_is_better = False

    declared = study(30)
    falling = learnt(learning_times(declared, 30), half_life=8.0)
    rounds: Any = tuple(
        RoundRecord(
            round=k + 1, seconds=1.0, counted=("north",), train_loss=0.5, validation=Evaluation(values={"auc": 1 - falling[k]})
        )
        for k in range(30)
    )
    record = make_record(rounds=rounds, study_toml=to_toml(declared))
    assert convergence(record, Days(LabelContract())).verdict == "learning"
    assert convergence(record, TASK).verdict == "converged"


def test_the_trend_of_a_straight_line_is_its_slope() -> None:
    """The quarters are those of learning time."""
    trend = trend_of([(float(k), 2.0 * k) for k in range(1, 41)])
    assert trend is not None
    assert (trend.gain, trend.before) == pytest.approx((20.0, 20.0), rel=0.15) and trend.error == pytest.approx(0.0, abs=1e-9)
