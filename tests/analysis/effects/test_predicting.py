"""Effects for patients who were in no sum."""

import numpy as np
import pytest

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.predicting import effects_for
from wardround.values.errors import DataError
from wardround.values.rows import Rows

LOT = [1 / 3] * 3


@pytest.mark.parametrize("learner", ["T", "X", "DR"])
@pytest.mark.parametrize("chosen", [False, True])
def test_predicted_effects_are_near_the_true_ones(learner: str, chosen: bool) -> None:
    """Women gain eighteen, men eight: patients that no model saw are told so."""
    settings = {} if chosen else {"probabilities": LOT}
    asked = analysis(**settings)
    result = in_one_place(asked, divided(patients(3000, differs=10.0, chosen=chosen, seed=1), 3))
    new = patients(500, seed=2)
    predicted = effects_for(asked, result, new, learner)
    assert np.sqrt(np.mean((predicted["new"] - 8 - 10 * new["female"]) ** 2)) < 2
    assert np.sqrt(np.mean((predicted["other"] - 4) ** 2)) < 2


def test_the_constant_learner_says_the_same_of_everybody() -> None:
    """What S is there for: to be beaten."""
    asked = analysis(probabilities=LOT)
    result = in_one_place(asked, divided(patients(seed=1), 2))
    assert len(set(effects_for(asked, result, patients(50, seed=3), "S")["new"].tolist())) == 1


def test_a_row_without_a_value_has_no_effect_and_no_guess() -> None:
    """NaN, where the contract allows no missing value."""
    asked, new = analysis(probabilities=LOT), patients(20, seed=3)
    result = in_one_place(asked, divided(patients(seed=1), 2))
    age = np.where(np.arange(20) == 4, np.nan, new["age"])
    gaps = Rows({**new.columns, "age": age}, new.patients, new.splits, "new")
    chosen, whole = (effects_for(asked, result, rows)["new"] for rows in (gaps, new))
    assert np.isnan(chosen[4]) and np.array_equal(np.delete(chosen, 4), np.delete(whole, 4))


def test_what_is_not_there_is_refused() -> None:
    """A learner by a wrong name, or a result without models."""
    asked = analysis(probabilities=LOT)
    result = in_one_place(asked, divided(patients(seed=1), 2))
    with pytest.raises(DataError, match="no such learner"):
        effects_for(asked, result, patients(5), "R")
    plain = analysis(probabilities=LOT, individual=False)
    with pytest.raises(DataError, match="no models of single effects"):
        effects_for(plain, in_one_place(plain, divided(patients(seed=1), 2)), patients(5))
