"""Two models' losses on the same patients."""

import math

import numpy as np
import pytest

from wardround.study.label import LabelContract
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.paired_losses import paired_losses


def names(count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([f"p{number}" for number in range(count)])


def test_it_is_the_paired_t_interval_where_each_patient_has_one_record() -> None:
    """The plain case must be the one that everybody knows: mean, and its standard error."""
    first, second = np.random.default_rng(1).random((2, 50))
    paired, gains = paired_losses(first, second, names(50)), second - first
    error = gains.std(ddof=1) / math.sqrt(50)
    assert paired.difference == pytest.approx(gains.mean()) and paired.n == paired.discordant == 50
    assert paired.interval == pytest.approx((gains.mean() - 1.959964 * error, gains.mean() + 1.959964 * error))
    assert paired.p_value == pytest.approx(math.erfc(abs(gains.mean()) / error / math.sqrt(2)))


def test_ten_pictures_of_a_patient_are_no_ten_patients() -> None:
    """Copies of each record change neither the difference nor how sure it is."""
    first, second = np.random.default_rng(2).random((2, 30))
    once = paired_losses(first, second, names(30))
    often = paired_losses(np.repeat(first, 10), np.repeat(second, 10), np.repeat(names(30), 10))
    assert (often.difference, *often.interval) == pytest.approx((once.difference, *once.interval))


@pytest.mark.parametrize(("count", "difference"), [(0, math.nan), (1, 0.5)])
def test_nobody_and_one_patient_give_no_interval(count: int, difference: float) -> None:
    """A figure of one patient has no certainty, and says none."""
    paired = paired_losses(np.zeros(count), np.full(count, 0.5), names(count))
    assert paired.difference == pytest.approx(difference, nan_ok=True)
    assert all(math.isnan(end) for end in (*paired.interval, paired.p_value))


def test_two_models_that_agree_everywhere_do_not_differ() -> None:
    """Where the chosen model is the own one, that is no test that failed."""
    paired = paired_losses(np.ones(5), np.ones(5), names(5))
    assert (paired.difference, paired.p_value, paired.discordant) == (0.0, 1.0, 0)


def test_the_loss_is_that_of_the_sums() -> None:
    """What a hospital chooses by is what its evaluation reports."""
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(0, 6, 200), rng.integers(0, 2, 200)
    mean = ScoreSums.from_scores(logits, labels).mean_loss
    assert BinaryTask(LabelContract()).losses(logits, labels).mean() == pytest.approx(mean, abs=1e-6)
