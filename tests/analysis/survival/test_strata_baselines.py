"""Baseline hazards of strata and of one hospital: Breslow's own on pooled rows, the rule of the smallest cell, who reads what."""

import json

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.protocol import Ask, OwnTablesOfSums
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.own_baseline import NAME
from wardround.analysis.survival.survival import Survival
from wardround.study.declaration import Study

from ..analysis_conformance import numbers
from ..drawn_rows import divided
from .test_survival import TERMS, SurvivalLaws, drawn_patients, survival_study

TWO = [{"column": "age", "per": 10}, {"column": "arm"}]


def asked(**changed) -> Study:
    return survival_study(terms=TWO, strata="stage", strata_baselines=True, horizons=[300, 1000], cell=100, **changed)


class TestStrataBaselines(SurvivalLaws):
    def study(self) -> Study:
        return survival_study(
            terms=TWO, strata="stage", strata_baselines=True, horizons=[300], cell=100, baseline="by_hospital", ties="breslow"
        )

    def test_figures_do_not_depend_on_who_has_which_rows(self) -> None:
        """Hospitals are strata as well: of the same hospitals in another order."""
        parts = divided(self.rows(), 4)
        one, other = (in_one_place(self.analysis(), each).figures for each in (parts, dict(reversed(parts.items()))))
        for name in ("coefficients", "strata_baselines"):
            np.testing.assert_allclose(numbers({"": one[name]}), numbers({"": other[name]}), rtol=1e-9)


def test_on_days_without_the_rule_each_is_breslows_estimator() -> None:
    """By lifelines, with strata, of all patients in one place; at the coefficients that both find."""
    lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")
    rows = drawn_patients(160)
    whole = rows.select(rows.complete("age", "stage", "arm"))
    study = asked().revised(analysis={"smallest_cell": 1, "survival": {"cell": 1, "until": 1500}})
    figures = in_one_place(analysis_of(study), {"a": rows}).figures
    columns = {"age": (whole["age"] - 60) / 10, "arm": whole["arm"], "stage": whole["stage"]}
    frame = pandas.DataFrame(columns).assign(days=whole["days"], died=whole["died"])
    fit_options = {"precision": 1e-20, "r_precision": -1.0}
    model = lifelines.CoxPHFitter().fit(frame, "days", "died", strata=["stage"], fit_options=fit_options)
    np.testing.assert_allclose(figures["coefficients"], model.params_, atol=1e-8)
    found = 0
    for number, stratum in enumerate(figures["strata_baselines"]):
        own = model.baseline_cumulative_hazard_.iloc[:, number].dropna()
        ours = dict(zip(stratum["ends"], stratum["cumulative_hazard"], strict=True))
        for day, theirs in own.items():
            if day in ours:
                assert ours[day] == pytest.approx(float(theirs), abs=1e-8)
                found += 1
    assert found > 90


def test_cells_of_every_stratum_hold_none_or_enough() -> None:
    """The grid is one for all of them, so that no difference between grids tells more; a stratum of three has no baseline."""
    rows = drawn_patients()
    result = in_one_place(analysis_of(asked()), divided(rows, 3))
    strata = result.figures["strata_baselines"]
    assert [one["name"] for one in strata] == ["I", "II", "III"] and len({tuple(one["ends"]) for one in strata}) == 1
    kept = rows.complete("age", "days", "died", "stage", "arm")
    for number, one in enumerate(strata):
        cells = np.searchsorted(one["ends"], rows["days"][kept & (rows["stage"] == number)])
        counts = np.bincount(cells, minlength=len(one["ends"]) + 1)
        assert ((counts == 0) | (counts >= 5)).all() and counts.sum() == one["patients"]
    json.dumps(dict(result.figures), allow_nan=False)
    rows.columns["stage"][:] = np.where(np.arange(400) < 3, 2.0, np.minimum(rows["stage"], 1.0))
    few = in_one_place(analysis_of(asked()), divided(rows, 3))
    assert "strata_baselines" not in few.figures and any("No baseline of the groups of stage" in note for note in few.notes)


def test_totals_below_a_hospitals_own_give_no_exposure() -> None:
    """The rule goes by the hub's totals: a hospital checks them against its own counts."""
    survival = analysis_of(asked())
    assert isinstance(survival, Survival)
    rows, cells = drawn_patients(), survival.parts.declared.grid.cells
    leaving = survival.contribution(rows, Ask("counts"))["strata"].sum(axis=2).astype(float)
    order = {"coefficients": np.zeros(2), "centre": np.zeros(1), "leaving": leaving.sum(axis=0), "clock": np.zeros(cells)}
    assert survival.contribution(rows, Ask("checks", {**order, "strata_leaving": leaving}))["strata_exposure"].any()
    lower = leaving - (np.arange(leaving.size).reshape(leaving.shape) == leaving.argmax())
    assert not survival.contribution(rows, Ask("checks", {**order, "strata_leaving": lower}))["strata_exposure"].any()


def test_a_hospital_reads_its_own_baseline_and_no_sum_holds_it() -> None:
    """From the order of `checks` alone, in its own report; without `strata_baselines` the study's sums are what they were."""
    study = survival_study(terms=TERMS, horizons=[365])
    survival, rows = analysis_of(study), drawn_patients()
    assert isinstance(survival, Survival) and isinstance(survival, OwnTablesOfSums)
    cells = survival.parts.declared.grid.cells
    order = {"coefficients": np.array([0.3, 0.1, 0.2, -0.5]), "centre": np.zeros(1), "leaving": np.full(cells + 1, 9.0)}
    assert survival.own_tables_of(rows, Ask("accuracy", order)) == {}
    table = survival.own_tables_of(rows, Ask("checks", {**order, "clock": np.zeros(cells)}))[NAME]
    times, hazards = ([row[at] for row in table["rows"]] for at in (1, 4))
    assert times[-1] == 1500 and 365.0 in times and hazards == sorted(hazards) and hazards[0] > 0
    assert table["rows"][-1][2] == int((survival.parts.declared.modelled(rows).times > 1500).sum())
    labels = {exchange.label: set(exchange.quantities) for exchange in survival.exchanges}
    assert not any("strata" in name for names in labels.values() for name in names)
    plain = study.model_dump(mode="json")
    plain["analysis"]["survival"].pop("strata_baselines")
    assert study.hash == Study.model_validate_json(json.dumps(plain)).hash


@pytest.mark.parametrize("changed", [{"terms": TWO}, {"strata": "stage"}])
def test_it_is_of_a_regression_with_strata(changed) -> None:
    """A setting that nothing reads is not understood."""
    with pytest.raises(ValueError, match="strata_baselines is of a Cox regression with strata"):
        survival_study(strata_baselines=True, **changed)
