"""What is refused, and what is only told: arms that few had, arms that cannot be compared, studies that do not fit."""

import numpy as np
import pytest
from pydantic import ValidationError

from tests.analysis.drawn_rows import divided, drawn
from tests.analysis.effects.trials import analysis, patients, study
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.average_tables import merged_cells
from wardround.analysis.effects.rows import folds_of
from wardround.values.errors import DataError
from wardround.values.rows import Rows

LOT = [1 / 3] * 3


def at_two_hospitals(rows: Rows) -> dict[str, Rows]:
    """`a` gives nobody the treatment `other`."""
    other = rows["arm"] == 2
    half = np.arange(len(rows)) % 2 == 0
    return {"a": rows.select(half & ~other), "b": rows.select(~half | other)}


def test_an_arm_that_one_hospital_lacks_is_told_and_changes_no_figure() -> None:
    """The total has it. Which hospital lacks it, that hospital alone knows."""
    rows = patients()
    asked = analysis(probabilities=LOT)
    result = in_one_place(asked, at_two_hospitals(rows))
    assert any(note.startswith("At 1 of 2 hospitals nobody had other") for note in result.notes)
    whole = in_one_place(asked, {"all": rows})
    assert np.allclose(result.figures["averages"]["AIPW"]["effects"], whole.figures["averages"]["AIPW"]["effects"], rtol=1e-9)
    assert not any("nobody had" in note for note in whole.notes)


def test_an_arm_that_nearly_nobody_had_is_refused_by_name() -> None:
    """Its effect would rest on a handful of patients, and show them."""
    rows = patients()
    few = rows.select((rows["arm"] != 2) | (np.cumsum(rows["arm"] == 2) <= 4))
    with pytest.raises(DataError, match=r"Too few patients .* had other"):
        in_one_place(analysis(probabilities=LOT), divided(few, 3))


def test_an_arm_that_two_folds_hold_is_refused() -> None:
    """A training set would have nobody of it, and its model would say nothing."""
    rows, asked = patients(), analysis(probabilities=LOT)
    folds = folds_of(rows.patients.tolist(), asked.fold_key, 5)
    held = rows.select((rows["arm"] != 2) | (folds < 2))
    assert (held["arm"] == 2).sum() > 20
    with pytest.raises(DataError, match=r"Too few patients .* had other"):
        in_one_place(asked, divided(held, 3))
    in_one_place(asked, divided(rows.select((rows["arm"] != 2) | (folds < 3)), 3))


def test_a_risk_that_would_show_a_small_count_is_refused() -> None:
    """A risk of 0.02 among 100 patients is two patients."""
    rows = patients()
    seldom = np.where((rows["arm"] == 1) & (np.cumsum((rows["arm"] == 1) & (rows["died"] == 1)) > 3), 0.0, rows["died"])
    few = Rows({**rows.columns, "died": seldom}, rows.patients, rows.splits, "all")
    asked = analysis(outcome="died", individual=False)
    with pytest.raises(DataError, match=r"who had new have the outcome") as told:
        in_one_place(asked, divided(few, 3))
    assert " 3" not in str(told.value)
    in_one_place(asked, divided(rows, 3))


def test_arms_without_overlap_are_refused() -> None:
    """Everybody below 50 had one treatment, everybody above the other: nothing can be compared."""
    rows = patients(chosen=True)
    columns = {**rows.columns, "arm": (rows["age"] > 50).astype(float)}
    apart = Rows(columns, rows.patients, rows.splits, "all")
    with pytest.raises(DataError, match="no overlap"):
        in_one_place(analysis(arms=["usual", "new"], smallest_probability=0.05), divided(apart, 3))


def test_a_patient_with_two_rows_is_refused() -> None:
    """Each patient counts once; which row counts is for people to say."""
    rows = patients(200)
    twice = Rows(dict(rows.columns), np.array([f"p{number // 2}" for number in range(200)]), rows.splits, "all")
    with pytest.raises(DataError, match="several rows of a patient"):
        in_one_place(analysis(probabilities=LOT), {"a": twice})


def test_rows_that_do_not_count_are_counted() -> None:
    """A row that is silently left out is a bias that nobody sees."""
    rows = patients(400)
    age = np.where(np.arange(400) < 30, np.nan, rows["age"])
    result = in_one_place(
        analysis(arms=["usual", "new"]), {"a": Rows({**rows.columns, "age": age}, rows.patients, rows.splits, "a")}
    )
    assert "30 rows lack a value and do not count." in result.notes
    assert f"{int(np.sum(rows['arm'][30:] == 2))} rows had another treatment and do not count." in result.notes


@pytest.mark.parametrize("smallest", [1, 5, 12])
def test_no_count_of_the_overlap_is_small(smallest: int) -> None:
    """Joined cells hold nothing below the smallest cell, and every patient."""
    random = np.random.default_rng(smallest)
    for _ in range(50):
        first, second = random.poisson(3, (2, 20)).tolist()
        cells = merged_cells(first, second, smallest)
        assert [begin for begin, _ in cells] == [0, *(end for _, end in cells[:-1])] and cells[-1][1] == 20
        if len(cells) > 1:
            for begin, end in cells:
                for counts in (first, second):
                    assert sum(counts[begin:end]) == 0 or sum(counts[begin:end]) >= smallest


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"treatment": "weight", "covariates": [{"column": "age"}]}, "must be a category"),
        ({"outcome": "arm", "treatment": "female", "covariates": [{"column": "age"}]}, "must be a yes or no, or a number"),
        ({"arms": ["usual", "newest"]}, "newest is none of the treatments"),
        ({"probabilities": [0.5, 0.5]}, "2 probabilities for 3 arms"),
        ({"probabilities": [0.5, 0.2, 0.2]}, "add up to 1"),
        ({"covariates": [{"column": "score"}]}, "may not be one of the covariates"),
        ({"covariates": [{"column": "height"}]}, "names the column 'height'"),
        ({"covariates": [{"column": "age"}, {"column": "age"}]}, "covariates are there twice"),
        ({"arms": ["usual"]}, "compares two treatments or more"),
        ({"penalties": [0.0]}, "numbers above 0"),
        ({"smallest_probability": 0.25, "arms": ["usual", "new", "other"], "folds": 1}, "folds"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_with_its_reason(settings: dict[str, object], sentence: str) -> None:
    """Before anybody agrees on it."""
    with pytest.raises(ValidationError, match=sentence):
        study(**settings)


def test_small_left_out_counts_cannot_be_worked_out() -> None:
    """The sizes of groups add up to the patients that are left: where a count is withheld, they are too."""
    rows = patients(600, chosen=True)
    result = in_one_place(analysis(smallest_probability=0.16), divided(rows, 2))
    hidden = [cell for cell in result.table("arms").column("left out") if isinstance(cell, str)]
    assert hidden == [cell for cell in hidden if cell == "< 5"] and hidden
    assert set(result.table("halves").column("patients")) == set(result.table("groups").column("patients")) == {None}


def test_rows_of_nobody_are_refused() -> None:
    """Hospitals without a single complete row give a total of nothing."""
    empty = drawn(0, {name: np.zeros(0) for name in patients(1).columns})
    with pytest.raises(DataError, match="Too few patients"):
        in_one_place(analysis(probabilities=LOT), {"a": empty, "b": empty})
