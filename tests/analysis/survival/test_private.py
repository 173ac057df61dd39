"""Curves with noise: what a patient can change, that curves fall, and that intervals hold what they say."""

from typing import Any

import numpy as np
import pytest

from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.study.declaration import Study
from wardround.values.errors import DataError, StudyError
from wardround.values.rows import Rows

from ..private_conformance import PrivateConformance, carried_out
from .declared_studies import study as study_of

COLUMNS: list[dict[str, Any]] = [
    {"name": "days", "range": [0, 4000]},
    {"name": "arm", "kind": "category", "categories": ["old", "new"]},
    {"name": "ended", "kind": "category", "categories": ["no", "ill", "dead"]},
]
PRIVACY = {"mode": "patient-distributed", "epsilon": 2.0, "delta": 1e-5, "public_patients": 400}


def private(noise: float | None = None, **survival: Any) -> Study:
    asked = {"time": "days", "event": "died", "until": 3650, "cell": 365, "horizons": [1095, 1825], **survival}
    privacy = {**PRIVACY, **({} if noise is None else {"noise_multiplier": noise, "epsilon": None})}
    return study_of(COLUMNS, asked).revised(privacy=privacy)


def patients(count: int = 1200, seed: int = 1, *, differ: float = 2.0) -> Rows:
    """Half of them in the new arm, with events half as often."""
    generator = np.random.default_rng(seed)
    arm = generator.integers(0, 2, count).astype(float)
    until = generator.exponential(np.where(arm == 1, 4000 * differ, 4000), count)
    followed = generator.uniform(0, 4000, count)
    died = (until <= followed).astype(float)
    days = np.minimum(np.ceil(np.minimum(until, followed)), 4000.0)
    ended = np.where(died == 1, generator.integers(1, 3, count), 0).astype(float)
    return Rows(
        {"days": days, "died": died, "arm": arm, "ended": ended},
        np.arange(count).astype(str),
        np.full(count, "train"),
        "all",
    )


class TestCurves(PrivateConformance):
    def study(self) -> Study:
        return private(groups="arm")

    def rows(self) -> Rows:
        return patients(300)


class TestCauses(PrivateConformance):
    def study(self) -> Study:
        return private(event="ended", causes=["ill", "dead"])

    def rows(self) -> Rows:
        return patients(300)


def test_without_noise_the_curve_is_that_of_the_rows_on_the_same_grid() -> None:
    """Noise is all that differs: the same counts, the same estimator."""
    study, rows = private(noise=0.0), patients()
    grid = analysis_of(study).declared.grid  # type: ignore[attr-defined]
    nobody = np.zeros(len(rows), np.int64)
    expected = kaplan_meier(EventCounts(grid, event_counts(rows["days"], rows["died"].astype(int), nobody, grid, (1, 1))))
    (found,) = carried_out(study, rows).figures["groups"]
    assert np.allclose(found["survival"], expected.survival, atol=1e-12)
    assert np.allclose(found["low"], expected.low, atol=1e-12)


def test_curves_fall_however_large_the_noise_is() -> None:
    """A curve that rises would be read as a miracle; repairing looks at public numbers and costs nothing."""
    for seed in range(8):
        (found,) = carried_out(private(noise=30.0), patients(900, seed)).figures["groups"]
        curve = [value for value in found["survival"] if value is not None]
        assert all(0 <= later <= earlier <= 1 for earlier, later in zip([1.0, *curve], curve, strict=False))


@pytest.mark.slow
def test_intervals_hold_the_true_curve_as_often_as_they_say() -> None:
    """Fixed truth, fresh patients and fresh noise: 95 % in four cells, 100 studies. Without the noise in them they would hold
    it less often."""
    inside, curves, study = 0, 0, private()
    for seed in range(100):
        (found,) = carried_out(study, patients(600, seed + 10, differ=1.0)).figures["groups"]
        for cell in (0, 2, 4, 6):
            truth = np.exp(-365 * (cell + 1) / 4000)
            if found["low"][cell] is not None:
                inside += found["low"][cell] <= truth <= found["high"][cell]
                curves += 1
    assert curves > 350 and inside / curves >= 0.9  # fresh noise: 0.95 is meant, and four deviations are left


@pytest.mark.slow
def test_the_test_between_groups_keeps_its_level_and_sees_what_is_there() -> None:
    """Noise makes groups differ: its share of the variance must be in the test."""
    study = private(groups="arm")
    alike = [carried_out(study, patients(600, seed, differ=1.0)).figures["log_rank"]["p"] for seed in range(60)]
    assert np.mean(np.array(alike) < 0.05) <= 0.2  # fresh noise: 0.05 is meant
    assert carried_out(study, patients(2000, 5, differ=3.0)).figures["log_rank"]["p"] < 1e-3


@pytest.mark.slow
def test_a_curve_ends_where_noise_is_all_there_is() -> None:
    """Two patients who are still followed say nothing under noise of ten; a lucky draw may still show a number."""
    ends = [carried_out(private(noise=8.0), patients(150)).figures["groups"][0]["survival"] for _ in range(20)]
    assert any(one[-1] is None for one in ends) and any(one[0] is not None for one in ends)
    refusals = []
    for _ in range(20):
        try:
            carried_out(private(noise=60.0), patients(30))
        except DataError as refusal:
            refusals.append(str(refusal))
    assert refusals and all("no more patients than the noise" in one for one in refusals)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"terms": [{"column": "arm"}]}, "nobody's part has a bound"),
        ({"strata": "arm"}, "leave it out"),
        ({"cell": 1}, "set it to 365"),
    ],
)
def test_what_cannot_be_bounded_is_refused_with_its_mend(asked: dict[str, Any], reason: str) -> None:
    """A Cox regression under a promise of privacy would be a false promise."""
    with pytest.raises(StudyError, match=reason):
        private(**asked)
