"""Curved effects of numbers, on a basis that follows from the contract."""

import numpy as np
import pytest
from pydantic import ValidationError

from tests.analysis.analysis_conformance import AnalysisConformance
from tests.analysis.drawn_rows import divided, drawn
from tests.analysis.effects.trials import analysis, patients, study
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.build import EffectAnalysis
from wardround.analysis.effects.curves import Curve
from wardround.analysis.effects.predicting import effects_for
from wardround.values.rows import Rows


class TestCurved(AnalysisConformance):
    def analysis(self) -> EffectAnalysis:
        return analysis(curves=["age", "weight"])

    def rows(self) -> Rows:
        return patients(chosen=True)


def bent(count: int, seed: int) -> Rows:
    """The young and the old are treated more often, and have a higher score: no line adjusts for that. The effect is 5."""
    random, rows = np.random.default_rng(1000 + seed), patients(count, seed=seed)
    away = (rows["age"] - 50) / 15
    arm = (random.random(count) < 1 / (1 + np.exp(1 - away**2))).astype(float)
    score = 40 + 5 * away**2 + 5 * arm + random.normal(0, 4, count)
    return drawn(count, {**rows.columns, "arm": arm, "score": np.clip(score, 0, 100)})


def test_a_curve_adjusts_for_what_no_line_can() -> None:
    """Both models are wrong with lines, so that doubly robust is not robust at all."""
    rows = bent(4000, 1)
    line, curve = (
        in_one_place(analysis(arms=["usual", "new"], curves=names), divided(rows, 3)).figures["averages"]["AIPW"]
        for names in ([], ["age"])
    )
    assert line["effects"][0] > 7
    assert abs(curve["effects"][0] - 5) < 3 * curve["errors"][0] < 0.9


def test_a_curve_is_smooth_and_a_line_beyond_its_knots() -> None:
    """Second differences are 0 outside, and small within."""
    x = np.linspace(-4, 4, 8001)
    for number in range(2):
        second = np.diff(Curve(1, "x", number, (-4.0, 4.0)).values(x), 2)
        outside = (x[1:-1] < -1.5) | (x[1:-1] > 1.502)
        assert np.abs(second[outside]).max() < 1e-12 and np.abs(np.diff(second)).max() < 1e-8


def test_a_curve_stays_within_its_bound() -> None:
    """The bounds of all sums rest on it."""
    for low, high in ((-2.0, 2.0), (-0.3, 9.0), (-5.0, -1.0), (1.0, 1.1)):
        for number in range(2):
            curve = Curve(1, "x", number, (low, high))
            assert np.abs(curve.values(np.linspace(low, high, 500))).max() <= curve.bound


def test_predictions_read_curves_too() -> None:
    """A model with more columns than the design would not multiply."""
    asked = analysis(arms=["usual", "new"], curves=["age"])
    result = in_one_place(asked, {"a": bent(1500, 2)})
    assert np.abs(effects_for(asked, result, bent(200, 3), "T")["new"].mean() - 5) < 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"curves": ["female"]}, "is no number"), ({"curves": ["height"]}, "no covariate"), ({"curves": ["age"] * 2}, "twice")],
)
def test_what_has_no_curve_is_refused(settings: dict[str, object], sentence: str) -> None:
    """Before anybody agrees on the study."""
    with pytest.raises(ValidationError, match=sentence):
        study(**settings)
