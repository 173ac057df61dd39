"""A coordinator that chooses coefficients at will: whom it reads from the sums of a Cox regression, and what is not answered.

The attack takes a far point in a direction of its own: of those leaving in a cell the one with the largest predictor outweighs
the others, and their sums are that patient's row. It reads totals over hospitals alone; masks do not help.
"""

from functools import cache

import numpy as np
import pytest

from wardround.analysis.carrying import bounded, exchange_of, in_one_place
from wardround.analysis.protocol import Ask
from wardround.analysis.reach import Reach
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.cox_fit import ascent
from wardround.analysis.survival.partial_likelihood import LikelihoodSums
from wardround.analysis.survival.risk_set_sums import FARTHEST, recovered_rows
from wardround.analysis.survival.survival import Survival
from wardround.values.errors import DataError
from wardround.values.rows import Rows, joined_rows

from .breast_cancer import needs_data, patients, train
from .declared_studies import breast_cancer_study, rows_of
from .test_survival import TERMS, drawn_patients, survival_study

ASKS = 24
FARTHEST_ORDER = 2.0**20


@cache
def attacked_study(reach: float) -> tuple[Survival, dict[str, Rows], np.ndarray]:
    """39 columns of 866 patients on quarters, with the rule; the patients' rows as the sums hold them."""
    study = breast_cancer_study(
        train().names, baseline="common", ties="breslow", cell=91, ridge=3.0, reach=reach, smallest_cell=5
    )
    survival, hospitals = analysis_of(study), rows_of(patients())
    assert isinstance(survival, Survival)
    return survival, hospitals, survival.parts.declared.modelled(joined_rows(hospitals)).columns


def total(survival: Survival, hospitals: dict[str, Rows], ask: Ask) -> dict[str, np.ndarray]:
    exchange = exchange_of(survival, ask.label)
    answers = [bounded(survival.contribution(rows, ask), exchange, len(hospitals)) for rows in hospitals.values()]
    return {name: np.sum([one[name] for one in answers], axis=0) for name in answers[0]}


def rows_read(reach: float, length: float) -> int:
    """How many of 866 patients an attacker has to the third digit in as many asks as a study has, at points of this length."""
    survival, hospitals, real = attacked_study(reach)
    bounds = survival.parts.declared.column_bounds
    leaving = total(survival, hospitals, Ask("counts"))["fitted"].sum(axis=1).astype(float)
    read = set()
    for seed in range(ASKS):
        direction = np.random.default_rng(seed).normal(size=len(bounds))
        point = direction * length / (np.abs(direction) @ bounds)
        centre = np.array([(real @ point).max() - FARTHEST])  # an attacker finds it in one ask
        order = {"coefficients": point, "centre": centre, "leaving": leaving}
        sums = total(survival, hospitals, Ask("risk_sets", order))
        for row in recovered_rows(sums["weights"], sums["columns"]):
            distance = np.abs(real - row).max(axis=1)
            if distance.min() < 1e-3:
                read.add(int(distance.argmin()))
    return len(read)


@needs_data
@pytest.mark.slow
@pytest.mark.permission
def test_far_points_read_patients_and_those_within_reach_read_none() -> None:
    """docs/security.md says both, of the rule of the smallest cell as it is."""
    assert rows_read(FARTHEST_ORDER, 100.0) > 20
    assert rows_read(30.0, 30.0) == 0
    assert rows_read(30.0, 100.0) == 0


def test_a_patient_far_from_all_others_is_read_within_reach() -> None:
    """What the reach does not stop: the oldest, where she is twenty years older than anybody."""
    rows = drawn_patients()
    rows.columns["age"][:] = np.minimum(rows["age"], 78.0)
    rows.columns["age"][7], rows.columns["days"][7] = 99.0, 400.0
    survival = analysis_of(survival_study(terms=TERMS, baseline="common", ties="breslow"))
    assert isinstance(survival, Survival)
    parts = {name: rows.select(np.arange(400) % 3 == number) for number, name in enumerate("abc")}
    leaving = total(survival, parts, Ask("counts"))["fitted"].sum(axis=1).astype(float)
    bounds, real = survival.parts.declared.column_bounds, survival.parts.declared.modelled(rows).columns
    point = np.array([30.0 / bounds[0], 0.0, 0.0, 0.0])
    order = {"coefficients": point, "centre": np.array([(real @ point).max() - FARTHEST]), "leaving": leaving}
    sums = total(survival, parts, Ask("risk_sets", order))
    oldest = real[real[:, 0].argmax()]
    assert np.abs(recovered_rows(sums["weights"], sums["columns"]) - oldest).max(axis=1).min() < 1e-3


@pytest.mark.parametrize("baseline", ["by_hospital", "common"])
def test_beyond_reach_a_hospital_adds_nothing_whatever_its_rows_are(baseline: str) -> None:
    """The same words for every world of rows, of every sum that names coefficients."""
    ties = "efron" if baseline == "by_hospital" else "breslow"
    survival = analysis_of(survival_study(terms=TERMS, horizons=[365], baseline=baseline, ties=ties))
    asked = [exchange for exchange in survival.exchanges if "coefficients" in exchange.order]
    assert len(asked) == (3 if baseline == "by_hospital" else 4)
    for exchange in asked:
        order = {name: np.zeros(shape) for name, shape in exchange.order.items()} | {"coefficients": np.full(4, 12.0)}
        for rows in (drawn_patients(), drawn_patients(seed=9), drawn_patients().select(np.zeros(400, bool))):
            answer = survival.contribution(rows, Ask(exchange.label, order))
            assert set(answer) == set(exchange.quantities) and all(np.isnan(array).all() for array in answer.values())


def test_no_risk_set_is_taken_from_another_in_one_sum() -> None:
    """Factors 1 and -1 of two cells would leave the second moments of those who leave between them."""
    survival = analysis_of(survival_study(terms=TERMS, baseline="common", ties="breslow"))
    exchange = exchange_of(survival, "moments")
    order = {name: np.zeros(shape) for name, shape in exchange.order.items()} | {"leaving": np.full(31, 20.0)}
    order["factors"][3:5] = 1.0, -1.0
    assert np.isnan(survival.contribution(drawn_patients(), Ask("moments", order))["moments"]).all()
    order["factors"][4] = 1.0
    assert np.isfinite(survival.contribution(drawn_patients(), Ask("moments", order))["moments"]).all()


def test_an_honest_fit_stays_within_reach() -> None:
    """A step that leads beyond is halved; the maximum within is found."""
    steps = ascent(("x", "z"), np.zeros(2), 60, Reach(np.array([2.0, 1.0]), 10.0))
    point, seen = next(steps), []
    peak, curve = np.array([2.0, 5.0]), np.eye(2)
    while True:
        seen.append(2 * abs(point[0]) + abs(point[1]))
        pull = 40.0 if len(seen) == 1 else 1.0  # the first step overshoots
        sums = LikelihoodSums(-50 - float((point - peak) @ (point - peak)) / 2, pull * (peak - point), curve)
        try:
            point = steps.send(sums)
        except StopIteration as ended:
            assert np.allclose(ended.value.coefficients, peak)
            break
    assert max(seen) <= 10.0 + 1e-9 and len(seen) > 2


def test_a_fit_beyond_reach_says_what_to_raise() -> None:
    """The hint works to the letter."""
    rows = {"a": drawn_patients()}
    few = survival_study(terms=TERMS, reach=1.0)
    with pytest.raises(DataError, match="raise that") as caught:
        in_one_place(analysis_of(few), rows)
    assert "analysis.survival.reach" in str(caught.value)
    assert in_one_place(analysis_of(survival_study(terms=TERMS)), rows).figures["coefficients"]
