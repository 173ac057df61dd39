"""Runs beside one another: what differs, by how much, and what may not be compared."""

import math
from collections.abc import Callable

import pytest

from wardround.cli import places
from wardround.evidence.comparing import (
    LEFT_OUT,
    NamedRun,
    comparison_json,
    differing_settings,
    figure_rows,
    require_same_question,
)
from wardround.study.reading import parse_study
from wardround.study.record.left_out_record import LeftOutRecord
from wardround.study.record.personal_record import PersonalRecord
from wardround.study.record.run_record import RunRecord
from wardround.study.writing import to_toml
from wardround.tasks.intervals import of_difference
from wardround.tasks.protocol import PairedDifference
from wardround.values.errors import RunError

from .conftest import STUDY

Make = Callable[..., RunRecord]
KEY = ("federated", "pooled", "", "auc")


def study(text: str) -> str:
    return to_toml(parse_study(text, "another study"))


def two(make_record: Make, **changes: object) -> tuple[NamedRun, NamedRun]:
    return NamedRun("one", make_record()), NamedRun("two", make_record(**changes))


def test_only_settings_that_differ_are_told(make_record: Make) -> None:
    """A hundred equal lines hide the one that matters."""
    runs = two(make_record, study_toml=study(STUDY.replace("3e-4", "5e-4") + '\n[summation]\nmode = "plain"\n'))
    assert differing_settings(runs) == {
        "training.learning_rate": ("0.0003", "0.0005"),
        "summation.mode": ("masked", "plain"),
    }
    assert differing_settings(two(make_record)) == {}


def test_runs_of_another_question_are_refused_by_name(make_record: Make) -> None:
    """An AUC for opacities beside one for fractures is no comparison."""
    runs = two(make_record, study_toml=study(STUDY.replace('"opacity"', '"fracture"')))
    with pytest.raises(RunError, match="two answers another question than one") as caught:
        require_same_question(runs)
    assert "'opacity'" in caught.value.expected and "'fracture'" in caught.value.found and "data.label.name" in caught.value.found
    require_same_question(two(make_record, study_toml=study(STUDY.replace("3e-4", "5e-4"))))


def test_a_paired_difference_is_preferred_and_marked(make_record: Make) -> None:
    """On the same patients the difference is surer than either figure."""
    runs = two(make_record)
    paired = PairedDifference(0.01, (0.004, 0.016), 0.001, 114, 20)
    (row,) = [row for row in figure_rows(runs, [{}, {KEY: paired}]) if row.key == KEY]
    assert row.differences[0] is None and row.differences[1] is not None
    assert (row.differences[1].value, row.differences[1].interval, row.differences[1].paired) == (0.01, (0.004, 0.016), True)
    (alone,) = [row for row in figure_rows(runs, [{}, {}]) if row.key == KEY]
    assert alone.differences[1] is not None and not alone.differences[1].paired
    low, high = alone.differences[1].interval or (math.nan, math.nan)
    assert alone.differences[1].value == 0.0 and low < -0.01 < 0.01 < high


def test_a_figure_that_one_run_lacks_has_no_difference(make_record: Make) -> None:
    """Nothing less something is not minus something."""
    rows = {row.key: row for row in figure_rows(two(make_record, external={}), [{}, {}])}
    row = rows["federated", "external", "another country", "auc"]
    assert row.values[0] is not None and row.values[1] is None and row.differences == (None, None)


def test_a_hospital_that_was_left_out_stands_beside_the_pooled_figures(make_record: Make, record: RunRecord) -> None:
    """It is the figure that a newcomer asks for."""
    home = record.sites["west"].federated
    assert home is not None
    turn = LeftOutRecord(hospitals=("harbour", "north"), model="c5" * 32, evaluation=home)
    runs = NamedRun("one", make_record(), {"west": turn}), NamedRun("two", make_record())
    scopes = list(dict.fromkeys(row.key[1] for row in figure_rows(runs, [{}, {}])))
    assert scopes == ["pooled", "external", LEFT_OUT, "site"]


def test_own_federated_and_chosen_stand_together_at_home(make_record: Make) -> None:
    """A reader looks for one hospital, and there for the three models."""
    home = make_record().sites["north"]
    personal = PersonalRecord(chosen="mixed", reason="lower loss", few=False, patients=60, candidates=(), test=home.federated)
    kept = {name: getattr(home, name) for name in type(home).model_fields} | home.label_counts | {"personal": personal}
    run = NamedRun("one", make_record(sites={"north": type(home)(**kept)}, cross={}))
    keys = [row.key for row in figure_rows([run, run], [{}, {}]) if row.key[1] == "site" and row.key[3] == "auc"]
    assert [places.tested_on(key) for key in keys] == ["north, own", "north, federated", "north, chosen"]


def test_the_json_holds_every_figure_and_no_nan(make_record: Make) -> None:
    """Programs read it."""
    told = comparison_json(two(make_record, external={}), [{}, {}])
    assert [run["name"] for run in told["runs"]] == ["one", "two"]
    assert {"auc", "brier", "ece", "threshold"} <= {row["figure"] for row in told["figures"]}
    numbers = [value for row in told["figures"] for value in row["values"] if value is not None]
    assert len(numbers) > 100 and all(math.isfinite(value) for value in numbers)


def test_independent_figures_differ_by_their_joint_interval() -> None:
    """Zou and Donner 2008: of equal widths h each end lies sqrt(2) h away; of one sure figure it is the other's interval."""
    low, high = of_difference(0.5, (0.4, 0.6), 0.5, (0.4, 0.6))
    assert (low, high) == pytest.approx((-0.1 * math.sqrt(2), 0.1 * math.sqrt(2)))
    assert of_difference(0.5, (0.5, 0.5), 0.7, (0.6, 0.9)) == pytest.approx((0.1, 0.4))
