"""The sums a site reveals: exact, additive, checked when they come from elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wardround.tasks.binary.score_sums import BINS, ONE, ScoreSums
from wardround.values.errors import RunError, WireError

LOGIT = st.floats(-40, 40, width=32)


@st.composite
def scored(draw: st.DrawFn, least: int = 0) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(least, 40))
    return draw(arrays(np.float32, n, elements=LOGIT)), draw(arrays(np.int8, n, elements=st.integers(0, 1)))


def example() -> ScoreSums:
    return ScoreSums.from_scores(np.array([-3.0, -2.0, -0.2, 0.4, 2.0]), np.array([0, 0, 1, 0, 1]))


@given(scored(), st.integers(0, 40))
def test_two_groups_together_have_the_sum_of_their_sums(records: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    """Additivity is what lets hospitals evaluate a model together without pooling scores."""
    logits, labels = records
    apart = ScoreSums.from_scores(logits[:cut], labels[:cut]) + ScoreSums.from_scores(logits[cut:], labels[cut:])
    assert apart == ScoreSums.from_scores(logits, labels)


@given(scored())
def test_the_order_of_patients_leaves_no_trace(records: tuple[np.ndarray, np.ndarray]) -> None:
    """Sums are of integers, so no floating-point order can identify a row."""
    logits, labels = records
    assert ScoreSums.from_scores(logits[::-1], labels[::-1]) == ScoreSums.from_scores(logits, labels)


@given(scored())
def test_counts_survive_the_round_trip(records: tuple[np.ndarray, np.ndarray]) -> None:
    """What a site sends is what the coordinator reads."""
    sums = ScoreSums.from_scores(*records)
    counts = sums.to_counts()
    assert all(array.dtype == np.int64 for array in counts.values())
    assert ScoreSums.from_counts(counts) == sums


@given(scored(least=1))
def test_the_sums_are_those_of_the_definition(records: tuple[np.ndarray, np.ndarray]) -> None:
    """Brier score and loss keep 20 bits a record, whatever the histogram's width."""
    logits, labels = records
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    loss = np.minimum(-np.where(labels == 1, np.log(p), np.log1p(-p, where=p < 1, out=np.full(len(p), -np.inf))), 16.0)
    sums = ScoreSums.from_scores(logits, labels)
    assert abs(float(sums.brier) / ONE - np.square(p - labels).sum()) <= len(p) * 0.51 / ONE
    assert abs(float(sums.loss) / ONE - loss.sum()) <= len(p) * 1.0 / ONE
    assert sums.mean_loss == float(sums.loss) / ONE / len(p)
    assert (sums.n, sums.positives, sums.negatives) == (len(p), labels.sum(), (1 - labels).sum())


def test_the_edge_between_the_middle_bins_is_exactly_one_half() -> None:
    """Accuracy at 0.5 must not depend on the binning."""
    sums = ScoreSums.from_scores(np.array([-1e-30, -0.0, 0.0]), np.array([1, 1, 1]))
    assert sums.histogram[1, BINS // 2 - 1] == 1
    assert sums.histogram[1, BINS // 2] == 2


def test_zero_adds_nothing_and_has_no_loss() -> None:
    """A site without test patients must not disturb the others."""
    assert example() + ScoreSums.zero() == example()
    assert ScoreSums.zero().n == 0
    assert np.isnan(ScoreSums.zero().mean_loss)
    assert ScoreSums.from_scores(np.zeros(0), np.zeros(0)) == ScoreSums.zero()


def test_sums_are_compared_by_content_and_not_with_other_things() -> None:
    """A comparison that is always true or false would hide a lost count."""
    assert example() != example() + example()
    assert example() != 3


def test_infinite_scores_are_clamped_and_nan_is_refused_by_name() -> None:
    """A diverged model must stop the run with a mend, not turn into a plausible figure."""
    sums = ScoreSums.from_scores(np.array([np.inf, -np.inf]), np.array([0, 0]))
    assert (sums.histogram[0, 0], sums.histogram[0, -1]) == (1, 1)
    assert float(sums.loss) == 16 * ONE
    with pytest.raises(RunError, match="1 of 2 are NaN"):
        ScoreSums.from_scores(np.array([0.0, np.nan]), np.array([0, 1]))


@pytest.mark.parametrize(("logits", "labels"), [([0.0], [0, 1]), ([0.0], [2])])
def test_scores_and_labels_that_do_not_fit_are_refused(logits: list[float], labels: list[int]) -> None:
    """A programming error must not become a count."""
    with pytest.raises(ValueError, match="labels"):
        ScoreSums.from_scores(np.array(logits), np.array(labels))


def spoil(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return example().to_counts() | {name: array}


@pytest.mark.parametrize(
    "counts",
    [
        {},
        example().to_counts() | {"patients": np.zeros(3, np.int64)},
        spoil("histogram", np.zeros((2, 1023), np.int64)),
        spoil("histogram", example().histogram.astype(np.float64)),
        spoil("histogram", -example().histogram),
        spoil("histogram", 2 * example().histogram),
        spoil("histogram", example().histogram[::-1]),
        spoil("calibration", example().calibration * np.array([1, ONE, 1])),
        spoil("brier", np.asarray(5 * ONE + 1)),
        spoil("loss", np.asarray(80 * ONE + 1)),
    ],
)
def test_sums_that_no_records_have_are_refused(counts: dict[str, np.ndarray]) -> None:
    """What is not understood is refused: a wrong sum must not become a published figure."""
    with pytest.raises(WireError, match="not the sums of an evaluation"):
        ScoreSums.from_counts(counts)
