"""Whether the arms are alike, before and after patients are weighed."""

import numpy as np

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.carrying import in_one_place


def test_weighing_makes_the_arms_alike() -> None:
    """Age decides the treatment: before, the arms are a deviation apart; after, a tenth at most."""
    rows = patients(3000, chosen=True, seed=1)
    table = in_one_place(analysis(arms=["usual", "new"]), divided(rows, 3)).table("balance")
    shown = {str(column): (before, after) for _, column, before, after in table.rows}
    age = [rows["age"][rows["arm"] == arm] for arm in (0, 1)]
    before = (age[1].mean() - age[0].mean()) / np.sqrt((age[0].var() + age[1].var()) / 2)
    assert np.isclose(shown["age, per 10 years"][0], before, rtol=1e-9) and before > 0.5
    assert all(abs(float(after)) < 0.1 for _, after in shown.values())


def test_weights_cost_patients_and_equal_ones_cost_none() -> None:
    """Effective patients: those of a trial are all of them; few with large weights tell less."""
    chosen = in_one_place(analysis(arms=["usual", "new"]), divided(patients(1500, chosen=True, seed=2), 3)).table("arms")
    for patients_there, effective in zip(chosen.column("patients"), chosen.column("effective patients"), strict=True):
        assert 0.3 * float(patients_there) < float(effective) < float(patients_there)
    alike = in_one_place(analysis(arms=["usual", "new"]), divided(patients(1500, seed=2), 3)).table("arms")
    for patients_there, effective in zip(alike.column("patients"), alike.column("effective patients"), strict=True):
        assert 0.97 * float(patients_there) < float(effective) <= float(patients_there)


def test_a_trial_needs_no_table_of_balance() -> None:
    """A difference after a lottery is chance, and a test of it misleads."""
    tables = in_one_place(analysis(probabilities=[1 / 3] * 3), divided(patients(), 2)).tables
    assert not {"balance", "overlap"} & {table.name for table in tables}
