"""What a report shows beside figures: drawings, the table at the decision, evaluations by model and place."""

from collections.abc import Callable

import numpy as np
import pytest

from wardround.evidence.charts import drawing
from wardround.evidence.curves import by_model_and_site, charts_of, decision_table
from wardround.study.label import LabelContract
from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.tasks.binary import BinaryTask
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.protocol import Chart, Dots

TASK = BinaryTask(LabelContract())


def charts(**evaluations: Evaluation) -> dict[str, Chart]:
    return {chart.key: chart for chart in charts_of(TASK, evaluations)}


def test_the_area_under_the_drawn_curve_is_the_auc_that_is_quoted(record: RunRecord) -> None:
    """A curve and a figure that disagree would discredit both."""
    assert record.pooled is not None
    models = {"federated": record.pooled.federated, **record.pooled.own}
    lines = charts(**models)["roc"].lines
    assert list(lines) == list(models)
    for name, (false, true) in lines.items():
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert (np.diff(false) >= 0).all() and (np.diff(true) >= 0).all()
        area = ((true[1:] + true[:-1]) / 2 * np.diff(false)).sum()
        assert area == pytest.approx(models[name].value("auc"), abs=1e-12)


def test_the_calibration_drawn_is_that_of_the_first_model(record: RunRecord) -> None:
    """The chart is about the model to be judged, with every interval around its point."""
    found = record.external["another country"]
    dots = charts(federated=found)["calibration"].dots
    assert dots is not None and len(dots.x) > 5
    assert all(low <= y <= high for y, low, high in zip(dots.y, dots.low, dots.high, strict=True))
    assert all(0 <= x <= 1 for x in dots.x) and list(dots.x) == sorted(dots.x)


def test_the_table_at_the_threshold_agrees_with_the_figures_beside_it(record: RunRecord) -> None:
    """Counts at another threshold than the quoted one would mislead."""
    found = record.external["another country"]
    table = decision_table(TASK, found)
    assert table is not None
    (_, ((caught, _), (missed, _))), (_, ((alarms, _), (cleared, _))) = table.rows
    assert caught / (caught + missed) == found.value("sensitivity")
    assert cleared / (cleared + alarms) == found.value("specificity")


def test_nothing_is_drawn_without_sums_or_with_one_class() -> None:
    """A straight line would look like a result."""
    bare = Evaluation(values={"auc": 0.9})
    assert (charts(federated=bare), decision_table(TASK, bare)) == ({}, None)
    assert "roc" not in charts(federated=evaluation_of(TASK, TASK.sums(np.zeros(3), np.ones(3)), 0.5))


def test_a_chart_of_any_task_is_drawn_as_it_is_described() -> None:
    """Another kind of question draws what it likes; the page must not know what."""
    line = (np.array([0.0, 4.0]), np.array([1.0, 9.0]))
    chart = Chart("days", "measured", "predicted", "Days", "Caption", {"federated": line}, Dots((1.0,), (2.0,), (1.5,), (2.5,)))
    for unit in (True, False):
        svg = drawing(Chart(**{**vars(chart), "unit": unit, "diagonal": True}))
        assert "measured" in svg and "predicted" in svg and "federated" in svg


def test_the_cross_table_is_completed_from_the_sites(make_record: Callable[..., RunRecord]) -> None:
    """A run without a cross evaluation still shows what it has."""
    record = make_record(cross={})
    table = by_model_and_site(record)
    assert list(table) == ["federated", "harbour", "north", "west"]
    assert table["north"] == {"north": record.sites["north"].own}
    assert list(by_model_and_site(make_record())) == ["federated", "harbour", "north", "west", "pooled data"]
    assert by_model_and_site(make_record(cross={}, sites={})) == {}
