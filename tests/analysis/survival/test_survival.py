"""The analysis as a whole keeps the laws of every analysis; by hospital, hospitals are the strata."""

from dataclasses import replace

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place
from wardround.analysis.protocol import Analysis
from wardround.analysis.registry import analysis_of
from wardround.analysis.result import Result
from wardround.study.declaration import Study
from wardround.values.errors import DataError
from wardround.values.rows import Rows, joined_rows

from ..analysis_conformance import AnalysisConformance, numbers
from ..drawn_rows import divided, drawn
from .declared_studies import study

COLUMNS = [
    {"name": "days", "unit": "days", "range": [0, 3000]},
    {"name": "age", "unit": "years", "range": [20, 100], "center": 60, "scale": 12},
    {"name": "arm", "kind": "binary"},
    {"name": "stage", "kind": "category", "categories": ["I", "II", "III"]},
    {"name": "end", "kind": "category", "categories": ["alive", "relapse", "death"]},
]
TERMS = [{"column": "age", "per": 10}, {"column": "stage"}, {"column": "arm"}]


def drawn_patients(count: int = 400, seed: int = 5) -> Rows:
    """Whole days with ties, day 0, missing ages, a held-out fifth, hazards that differ."""
    random = np.random.default_rng(seed)
    age, arm, stage = random.uniform(25, 90, count), random.integers(0, 2, count), random.integers(0, 3, count)
    hazard = np.exp(0.03 * (age - 60) - 0.6 * arm + 0.4 * stage)
    event_time, censored_time = random.exponential(900 / hazard), random.uniform(0, 2200, count)
    died = event_time <= censored_time
    columns = {
        "days": np.floor(np.minimum(event_time, censored_time)),
        "died": died.astype(float),
        "age": np.where(random.random(count) < 0.05, np.nan, age),
        "arm": arm.astype(float),
        "stage": stage.astype(float),
        "end": np.where(died, random.integers(1, 3, count), 0).astype(float),
    }
    rows = drawn(count, columns)
    return replace(rows, splits=np.where(np.arange(count) % 5 == 0, "test", "train"))


def survival_study(**changed) -> Study:
    return study(COLUMNS, {"time": "days", "event": "died", "until": 1500, "cell": 50, **changed}, largest_hospital=500)


class SurvivalLaws(AnalysisConformance):
    """What compares patients within hospitals only depends on the hospitals: it is left out where they are drawn."""

    def study(self) -> Study:
        raise NotImplementedError

    def analysis(self) -> Analysis:
        return analysis_of(self.study())

    def rows(self) -> Rows:
        return drawn_patients()

    def result(self, hospitals: int, seed: int = 0) -> Result:
        whole = in_one_place(self.analysis(), divided(self.rows(), hospitals, seed))
        of_hospitals = ("log_rank_by_hospital", "concordance_within")
        return replace(whole, figures={key: value for key, value in whole.figures.items() if key not in of_hospitals})


class TestCurves(SurvivalLaws):
    def study(self) -> Study:
        return survival_study(groups="stage", horizons=[365, 1000])


class TestCompetingRisks(SurvivalLaws):
    def study(self) -> Study:
        return survival_study(event="end", causes=["relapse", "death"], groups="arm")


class TestCommonBaseline(SurvivalLaws):
    tolerance = 1e-6

    def study(self) -> Study:
        return survival_study(baseline="common", ties="breslow", terms=TERMS, horizons=[365, 1000], held_out=True)


class TestByHospital(SurvivalLaws):
    def study(self) -> Study:
        return survival_study(terms=TERMS, horizons=[365], groups="arm", held_out=True)

    def test_figures_do_not_depend_on_who_has_which_rows(self) -> None:
        """Hospitals are strata: the same rows in one place, with a column that says whose they are, give the same."""
        homes = divided(self.rows(), 4, 1)
        with_home = {
            name: Rows({**part.columns, "home": np.full(len(part), float(position))}, part.patients, part.splits, name)
            for position, (name, part) in enumerate(homes.items())
        }
        columns = [*COLUMNS, {"name": "home", "kind": "category", "categories": ["a", "b", "c", "d"]}]
        setting = {"time": "days", "event": "died", "until": 1500, "cell": 50, "terms": TERMS, "groups": "arm", "held_out": True}
        apart = in_one_place(analysis_of(study(columns, setting, largest_hospital=500)), with_home)
        one_place = study(columns, {**setting, "strata": "home"}, largest_hospital=500)
        together = in_one_place(analysis_of(one_place), {"all": joined_rows(with_home)})
        for name in ("coefficients", "standard_errors", "p", "proportional_hazards", "log_rank_by_hospital", "log_likelihood"):
            one, other = ({"": result.figures[name]} for result in (apart, together))
            np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-8, atol=1e-9)


def test_small_groups_are_not_shown_and_said() -> None:
    """Rule 6: the grid is widened until enough of each group leave in every cell, and the result says so."""
    result = in_one_place(analysis_of(survival_study(groups="stage", horizons=[365])), divided(drawn_patients(120), 3))
    grid = result.figures["grid"]
    assert 1 < len(grid) < 30 and 365.0 in grid
    assert any("in the others fewer than 5" in note for note in result.notes)
    for group in result.figures["groups"]:
        leaving = -np.diff(group["at_risk"])
        assert ((leaving == 0) | (leaving >= 5)).all()


def test_too_few_for_any_cell_are_refused() -> None:
    """A curve of three patients is three patients."""
    with pytest.raises(DataError, match="Too few patients for curves"):
        in_one_place(analysis_of(survival_study()), {"a": drawn_patients(3)})
    with pytest.raises(DataError, match="No row has a time"):
        in_one_place(analysis_of(survival_study()), {"a": drawn_patients(10).select(np.zeros(10, bool))})


@pytest.mark.parametrize("largest", [500, 1_000_000])
def test_what_cannot_be_fitted_is_refused_by_the_column(largest: int) -> None:
    """Through bounded words, whose rounding makes a little of nothing."""
    rows = drawn_patients()
    setting = {"time": "days", "event": "died", "until": 1500, "cell": 50, "terms": [{"column": "age"}, {"column": "arm"}]}

    def refused(**columns: np.ndarray) -> str:
        changed = divided(replace(rows, columns={**rows.columns, **columns}), 3)
        with pytest.raises(DataError) as caught:
            in_one_place(analysis_of(study(COLUMNS, setting, largest_hospital=largest)), changed)
        return str(caught.value)

    assert "nothing to compare" in refused(died=np.zeros(400))
    assert "arm is the same for all" in refused(arm=np.ones(400))
    assert "arm says what other columns already say" in refused(age=20 + 80 * rows["arm"])
    assert "rises for ever with the coefficient of arm" in refused(arm=rows["died"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"time": "arm"}, "must be a number"),
        ({"event": "age"}, "is a number"),
        ({"event": "end"}, "causes"),
        ({"event": "end", "causes": ["cured"]}, "no code of end"),
        ({"causes": ["relapse"]}, "is the label"),
        ({"groups": "age"}, "category or binary"),
        ({"until": 4000}, "range of days ends at 3000"),
        ({"horizons": [2000]}, "up to until"),
        ({"cell": 0.5}, "whole numbers"),
        ({"ridge": 1.0}, "name its terms"),
        ({"terms": TERMS, "baseline": "common"}, 'set ties = "breslow"'),
        ({"terms": [{"column": "days"}]}, "one of the terms"),
        ({"terms": [*TERMS, TERMS[0]]}, "twice"),
    ],
)
def test_a_study_that_asks_for_what_cannot_be_is_refused(changed, words: str) -> None:
    """At the file, before anybody is asked."""
    with pytest.raises(ValueError, match=words):
        survival_study(**changed)


def test_how_many_rows_lack_a_value_is_a_count_too() -> None:
    """Two patients without an age are two patients, in a table, in a figure and in a sentence."""
    rows = drawn_patients()
    few = {"age": np.where(np.arange(400) < 2, np.nan, np.nan_to_num(rows["age"], nan=50.0))}
    few["days"] = np.where(np.arange(400) == 9, np.nan, rows["days"])
    hospitals = divided(replace(rows, columns={**rows.columns, **few}), 3)
    result = in_one_place(analysis_of(survival_study(terms=TERMS)), hospitals)
    assert ("rows left out for a missing value", "< 5") in result.table("model").rows
    assert result.figures["fitted_left_out"] is None and result.figures["left_out"] is None
    assert any(note.startswith("< 5 rows without a time") for note in result.notes)
