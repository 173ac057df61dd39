"""Laws of the estimators: what must not matter does not, what is known is found, and nothing is found where nothing is."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.build import EffectAnalysis
from wardround.analysis.effects.evalue import e_values_of_difference
from wardround.analysis.effects.rows import folds_of, pack, unpack
from wardround.values.rows import Rows

LOT = [1 / 3] * 3


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(hospitals=st.integers(1, 7), seed=st.integers(0, 1000), chosen=st.booleans())
def test_no_division_into_hospitals_changes_an_average(hospitals: int, seed: int, chosen: bool) -> None:
    """Federated is pooled, in whatever order the hospitals stand."""
    rows = patients(300, chosen=chosen, seed=1)
    asked = analysis(individual=False) if chosen else analysis(individual=False, probabilities=LOT)
    parts = divided(rows, hospitals, seed)
    shuffled = {name: parts[name] for name in np.random.default_rng(seed).permutation(list(parts))}
    whole = in_one_place(asked, {"all": rows}).figures["averages"]
    for method, figures in in_one_place(asked, shuffled).figures["averages"].items():
        assert np.allclose(figures["effects"], whole[method]["effects"], rtol=1e-9)
        assert np.allclose(figures["errors"], whole[method]["errors"], rtol=1e-9)


@pytest.mark.slow
@given(st.lists(st.text(max_size=20), min_size=1, max_size=40), st.text(max_size=10), st.integers(2, 10))
def test_a_fold_depends_on_the_patient_and_the_study_alone(names: list[str], key: str, folds: int) -> None:
    """Whatever patients stand beside it, and in whatever order."""
    together = folds_of(names, key, folds)
    assert together.tolist() == [int(folds_of([name], key, folds)[0]) for name in names]
    assert ((together >= 0) & (together < folds)).all()


def test_folds_are_of_about_the_same_size_and_differ_between_studies() -> None:
    """An identifier that counts up must not give folds that do."""
    names = [str(number) for number in range(5000)]
    first, second = (folds_of(names, key, 5) for key in ("one", "two"))
    for folds in (first, second):
        assert np.abs(np.bincount(folds, minlength=5) - 1000).max() < 150
    assert 0.15 < np.mean(first == second) < 0.25


@given(st.integers(1, 6), st.integers(0, 100))
def test_packed_matrices_come_back(size: int, seed: int) -> None:
    """Half of a symmetric matrix is enough."""
    matrix = np.random.default_rng(seed).normal(size=(3, size, size))
    matrix += matrix.transpose(0, 2, 1)
    assert np.array_equal(unpack(pack(matrix), size), matrix)


def test_a_shifted_outcome_shifts_no_effect() -> None:
    """Effects are differences. Ten more for everybody is ten more in every mean."""
    rows = patients(400, seed=2)
    kept = rows.select(rows["score"] < 85)
    more = Rows({**kept.columns, "score": kept["score"] + 10}, kept.patients, kept.splits, "all")
    asked = analysis(probabilities=LOT)
    first, second = (in_one_place(asked, {"a": one}).figures["averages"] for one in (kept, more))
    for method, figures in first.items():
        assert np.allclose(second[method]["effects"], figures["effects"], atol=2e-3)  # predictions are clipped to the range
        assert np.allclose(np.array(second[method]["means"]) - figures["means"], 10, atol=2e-3)


def test_what_decides_treatment_and_outcome_is_adjusted_for() -> None:
    """Older patients have more of the treatment and a higher score: the means alone say twice the effect."""
    rows = patients(4000, chosen=True, seed=3)
    figures = in_one_place(analysis(arms=["usual", "new"]), divided(rows, 3)).figures["averages"]
    assert figures["unadjusted"]["effects"][0] > 11
    assert abs(figures["AIPW"]["effects"][0] - 8) < 3 * figures["AIPW"]["errors"][0] < 2


def test_adjusting_a_trial_narrows_its_interval() -> None:
    """What the columns explain of the outcome is no longer noise."""
    figures = in_one_place(analysis(probabilities=LOT), divided(patients(1500, seed=4), 3)).figures["averages"]
    assert all(
        adjusted < 0.85 * plain
        for adjusted, plain in zip(figures["AIPW"]["errors"], figures["unadjusted"]["errors"], strict=True)
    )


def test_an_effect_that_differs_is_found_and_calibrated() -> None:
    """Women gain ten more: the test, the halves, the groups and the slope all say so."""
    rows = patients(3000, differs=10.0, seed=5)
    result = in_one_place(analysis(probabilities=LOT), divided(rows, 4))
    assert any(note.startswith("The effect of new depends on female") for note in result.notes)
    assert any(note.startswith("No column was found on which the effect of other depends") for note in result.notes)
    slope = result.figures["calibration"]["new"]
    assert abs(slope["slope"] - 1) < 3 * slope["error"] < 0.5 and slope["p"] < 1e-6
    groups = result.figures["groups"]["new"]
    assert groups[-1]["effect"] - groups[0]["effect"] > 7
    assert result.figures["qini"]["new"] > 5 * abs(result.figures["qini"]["other"])


def test_many_small_differences_are_told_together() -> None:
    """No column is clear of chance, and all together are: the report may not say that nothing was found."""
    random, rows = np.random.default_rng(15), patients(1500, seed=15)
    weight = np.nan_to_num(rows["weight"], nan=75)
    tilt = 1.5 * ((rows["age"] - 50) / 15 + 2 * rows["female"] - 1 + (weight - 75) / 15)
    score = np.clip(rows["score"] + np.where(rows["arm"] == 1, tilt, 0.0) + random.normal(0, 8, 1500), 0, 100)
    tilted = Rows({**rows.columns, "score": score}, rows.patients, rows.splits, "a")
    result = in_one_place(analysis(probabilities=LOT, individual=False), {"a": tilted})
    joint = result.figures["interactions"]["new"]
    singles = [row[7] for row in result.table("interactions").rows if row[0] == "new" and row[1] != "all together"]
    assert joint["adjusted"] < 0.05 < min(float(single) for single in singles)
    assert any("depends on something among the columns" in note for note in result.notes)


def test_a_rule_is_worth_more_where_the_best_arm_differs() -> None:
    """Women gain by the treatment and men lose: giving it to women alone is better than to all."""
    rows = patients(3000, effect=-6.0, differs=12.0, seed=6)
    result = in_one_place(analysis(probabilities=[0.5, 0.5], arms=["usual", "new"]), divided(rows, 3))
    rule = result.figures["rules"]["T"]
    assert rule["gain"] - 2 * rule["gain_error"] > 1
    assert any("The rule is better than" in note for note in result.notes)


def test_lower_is_better_is_the_mirror_of_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that lowers a risk must not be called worse."""
    monkeypatch.setattr(EffectAnalysis, "fold_key", "the same for both studies")
    rows = patients(1500, effect=-6.0, differs=12.0, seed=6)
    mirrored = Rows({**rows.columns, "score": 100 - rows["score"]}, rows.patients, rows.splits, "all")
    asked = {better: analysis(probabilities=[0.5, 0.5], arms=["usual", "new"], better=better) for better in ("higher", "lower")}
    first, second = in_one_place(asked["higher"], {"a": rows}), in_one_place(asked["lower"], {"a": mirrored})
    for name, rule in first.figures["rules"].items():
        assert np.isclose(second.figures["rules"][name]["gain"], -rule["gain"], atol=1e-3)
    assert np.isclose(second.figures["qini"]["new"], first.figures["qini"]["new"], atol=0.1)  # groups are cut from the other end
    told = [sum("The rule is better than" in note for note in result.notes) for result in (first, second)]
    assert told[0] == told[1] > 0


def test_a_risk_ratio_is_that_of_the_table_where_nothing_is_adjusted() -> None:
    """Katz's interval of two proportions (Biometrics 34 (1978) 469)."""
    rows = patients(2000, seed=9)
    table = in_one_place(analysis(outcome="died", arms=["usual", "new"], individual=False), divided(rows, 3)).table("averages")
    died = [rows["died"][rows["arm"] == arm] for arm in (0, 1)]
    ratio = died[1].mean() / died[0].mean()
    error = np.sqrt(sum((1 - part.mean()) / (part.mean() * (len(part) - 1)) for part in died))
    shown = [table.column(name)[0] for name in ("risk ratio", "ratio low", "ratio high")]
    assert np.allclose(
        np.array(shown, float), [ratio, ratio * np.exp(-1.959964 * error), ratio * np.exp(1.959964 * error)], rtol=1e-6
    )


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is() -> None:
    """A regression judged on patients that its models had seen would look calibrated and make rules look good. It did, by the
    outcome models behind the scores, before these left out both folds."""
    slopes, gains = [], []
    for seed in range(40):
        result = in_one_place(analysis(probabilities=LOT), {"a": patients(300, effect=0.0, seed=seed)})
        for arm in ("new", "other"):
            calibration = result.figures["calibration"][arm]
            slopes.append(calibration["slope"] / calibration["error"])
        gains += [rule["gain"] for rule in result.figures["rules"].values()]
    assert np.mean(np.array(slopes) > 1.96) < 0.1
    assert np.mean(slopes) < 0.3
    assert np.mean(gains) < 0


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [False, True])
def test_intervals_cover_the_effect_as_often_as_they_say(chosen: bool) -> None:
    """95 of 100, of an effect that is known: within three errors of the count."""
    hits = {"Lin": 0, "AIPW": 0}
    asked = analysis(individual=False) if chosen else analysis(individual=False, probabilities=LOT)
    for seed in range(200):
        figures = in_one_place(asked, {"a": patients(400, chosen=chosen, seed=1000 + seed)}).figures["averages"]
        for method in hits:
            hits[method] += abs(figures[method]["effects"][0] - 8) < 1.96 * figures[method]["errors"][0]
    assert 180 < hits["AIPW"] <= 200
    assert chosen or 180 < hits["Lin"] <= 200


def test_e_values_are_those_of_the_paper() -> None:
    """A difference of half a deviation is a risk ratio of 1.58, and something unmeasured has to be tied by 2.53."""
    value, end = e_values_of_difference(0.5, 0.1, 1.0)
    ratio = np.exp(0.91 * 0.5)
    assert np.isclose(value, ratio + np.sqrt(ratio * (ratio - 1))) and 1 < end < value
    assert e_values_of_difference(0.5, 0.4, 1.0)[1] == 1.0
