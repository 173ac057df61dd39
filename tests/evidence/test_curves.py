"""The points that the charts draw."""

from collections.abc import Callable

import numpy as np
import pytest

from wardround.evidence.curves import by_model_and_site, calibration_points, confusion, roc_points
from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.score_sums import ScoreSums


def test_the_area_under_the_drawn_curve_is_the_auc_that_is_quoted(record: RunRecord) -> None:
    """A curve and a figure that disagree would discredit both."""
    assert record.pooled is not None
    for found in (record.pooled.federated, *record.pooled.own.values(), *record.external.values()):
        points = roc_points(found)
        assert points is not None
        false, true = points
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert (np.diff(false) >= 0).all() and (np.diff(true) >= 0).all()
        area = ((true[1:] + true[:-1]) / 2 * np.diff(false)).sum()
        assert area == pytest.approx(found.value("auc"), abs=1e-12)


def test_calibration_points_hold_every_record_once(record: RunRecord) -> None:
    """The chart must not lose the sparse bins."""
    found = record.external["another country"]
    points = calibration_points(found)
    assert sum(point.records for point in points) == found.value("n")
    assert sum(point.records * point.observed for point in points) == pytest.approx(found.value("positives"))
    assert all(point.low <= point.observed <= point.high for point in points)
    gap = sum(point.records * abs(point.predicted - point.observed) for point in points)
    assert gap / sum(point.records for point in points) == pytest.approx(found.value("ece"))


def test_the_confusion_table_agrees_with_the_figures_beside_it(record: RunRecord) -> None:
    """Counts at another threshold than the quoted one would mislead."""
    found = record.external["another country"]
    at = confusion(found)
    assert at is not None
    assert at.true_positive / (at.true_positive + at.false_negative) == found.value("sensitivity")
    assert at.true_negative / (at.true_negative + at.false_positive) == found.value("specificity")


def test_nothing_is_drawn_without_sums_or_with_one_class() -> None:
    """A straight line would look like a result."""
    bare = Evaluation(values={"auc": 0.9})
    assert (roc_points(bare), calibration_points(bare), confusion(bare)) == (None, (), None)
    assert roc_points(evaluation_of(ScoreSums.from_scores(np.zeros(3), np.ones(3)), 0.5)) is None


def test_the_cross_table_is_completed_from_the_sites(make_record: Callable[..., RunRecord]) -> None:
    """A run without a cross evaluation still shows what it has."""
    record = make_record(cross={})
    table = by_model_and_site(record)
    assert list(table) == ["federated", "harbour", "north", "west"]
    assert table["north"] == {"north": record.sites["north"].own}
    assert list(by_model_and_site(make_record())) == ["federated", "harbour", "north", "west", "pooled data"]
    assert by_model_and_site(make_record(cross={}, sites={})) == {}
