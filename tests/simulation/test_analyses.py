"""One call from Python: the same table as by the study's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wardround as wr
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import StudyError, WardroundError

COLUMNS = {"age": (18, 100), "sex": ("female", "male"), "bmi": (10, 60), "ward": ("a", "b", "c"), "death": (0, 1)}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for number, name in enumerate(("north", "south", "west")):
        random = np.random.default_rng(number)
        age, bmi = random.uniform(18, 100, 120).round(1), random.uniform(15, 50, 120).round(1)
        sex, ward = random.choice(["female", "male"], 120), random.choice(["a", "b", "c"], 120)
        death = random.random(120) < 1 / (1 + np.exp(-(age - 65) / 20 - 0.4 * (sex == "male")))
        lines = ["patient,age,sex,bmi,ward,death"]
        for row in range(120):
            lines.append(f"{name}{row},{age[row]},{sex[row]},{'' if row % 9 == 0 else bmi[row]},{ward[row]},{int(death[row])}")
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text("\n".join(lines) + "\n")
    return paths


def test_a_regression_is_one_call(tables: dict[str, Path], tmp_path: Path) -> None:
    """Names, units and references stand in the table as the formula says them."""
    run = wr.regression(
        'death ~ age/10 + sex + bmi/5 + C(ward, "b")', tables, COLUMNS, family="binomial", out=tmp_path / "run", progress=False
    )
    assert run.table.column("") == ("age, per 10", "sex = male", "bmi, per 5", "ward = a", "ward = c")
    assert run.figures["counts"]["rows"] == str(3 * 120 - 3 * 14)
    assert len(run.to_frame()) == 5


@pytest.mark.slow
def test_terms_are_tested_and_intercepts_drawn_in_one_call(tables: dict[str, Path], tmp_path: Path) -> None:
    """What a study's file can ask for, a call can."""
    formula, settings = "death ~ age/10 + ward", {"family": "binomial", "progress": False}
    run = wr.regression(formula, tables, COLUMNS, term_tests="likelihood_ratio", out=tmp_path / "tests", **settings)
    assert run.figures["models"]["common"]["term_tests"]["ward"]["degrees_of_freedom"] == 2
    drawn = wr.regression(formula, tables, COLUMNS, intercepts="random", out=tmp_path / "drawn", **settings)
    assert drawn.figures["models"]["random"]["deviation_between_hospitals"] >= 0
    assert len(drawn.to_frame("hospitals")) in (3, 4) and drawn.files[:1] == ("report.html",) and "model.onnx" not in drawn.files


def test_a_second_call_does_not_stumble_over_the_first(
    tables: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook the same cell is run again."""
    monkeypatch.chdir(tmp_path)
    runs = [wr.regression("death ~ age", tables, COLUMNS, family="binomial", progress=False) for _ in range(2)]
    assert runs[0].folder != runs[1].folder and runs[0].figures == runs[1].figures


@pytest.mark.parametrize(
    ("formula", "columns", "words"),
    [
        ("death ~ weight", COLUMNS, "names the column 'weight'"),
        ("age ~ bmi", COLUMNS, "binomial explains a yes or no"),
        ("death ~ age", {**COLUMNS, "age": 7.0}, "is not described"),
        ("death ~ age", {**COLUMNS, "age": (1, 2, 3, "x", 5.5)}, "is not described"),
    ],
)
def test_what_does_not_fit_is_told_in_words(tables: dict[str, Path], formula: str, columns: object, words: str) -> None:
    """Before any hospital's file is opened."""
    with pytest.raises(StudyError, match=words):
        wr.regression(formula, tables, columns, family="binomial", progress=False)


def test_a_description_is_one_call(tables: dict[str, Path], tmp_path: Path) -> None:
    """Table 1 by outcome, as a paper begins."""
    run = wr.describe(tables, COLUMNS, group="death", histograms=True, out=tmp_path / "run", progress=False)
    assert run.table.rows[0][0] == "age" and run.exchanges == 1
    assert run.to_frame("numbers").query("column == 'bmi' and group == 'all'")["n"].item() == str(3 * 120 - 3 * 14)
    assert "histogram_1" in {chart.name for chart in run.result.charts}


def test_a_hospitals_own_table_stands_in_its_own_report_and_nowhere_else(tables: dict[str, Path], tmp_path: Path) -> None:
    """By hospital only at that hospital: the results hold all of them together."""
    run = wr.describe(tables, COLUMNS, group="death", out=tmp_path / "run", progress=False)
    own = json.loads((run.folder / "sites" / "north" / "report.json").read_bytes())["dataset_counts"]["tables"]
    rows = {tuple(row[:2]): row for row in own["numbers"]["rows"]}
    assert rows["age", "all"][2] == "120"
    assert f"{rows['age', 'all'][4]!r}" not in (run.folder / "results.json").read_text()


PRIVACY = {"epsilon": 4.0, "delta": 1e-4, "public_patients": 120}


@pytest.mark.permission
def test_noise_is_one_word_of_a_call_and_on_every_hospitals_bill(tables: dict[str, Path], tmp_path: Path) -> None:
    """Charged on ledgers that are kept from call to call, until one has nothing left."""
    for name in tables:
        Ledger(tmp_path / "ledgers" / f"{name}.sqlite").set_budget(6.0, 1e-3)
    settings: dict[str, Any] = {"privacy": PRIVACY, "ledgers": tmp_path / "ledgers", "progress": False}
    described = wr.describe(tables, {"age": (18, 100)}, out=tmp_path / "one", **settings)
    assert described.figures["bins"] == 32 and described.figures["rows"] == pytest.approx(360, abs=60)
    assert 3.9 < Ledger(tmp_path / "ledgers" / "north.sqlite").epsilon_spent(delta=1e-4) <= 4.0
    more = {**settings, "privacy": {**PRIVACY, "epsilon": 8.0}}
    with pytest.raises(WardroundError, match="budget"):
        wr.kaplan_meier("age", "death", tables, COLUMNS, cell=10, out=tmp_path / "two", **more)


@pytest.mark.slow
def test_regressions_curves_and_effects_with_noise_are_one_call(tables: dict[str, Path], tmp_path: Path) -> None:
    """What each needs besides is set as the page says, unless a call says otherwise."""
    settings: dict[str, Any] = {"privacy": {**PRIVACY, "epsilon": 8.0}, "progress": False}
    run = wr.regression("death ~ age/10 + sex", tables, COLUMNS, family="binomial", out=tmp_path / "one", **settings)
    assert run.table.column("") == ("age, per 10", "sex = male") and any("epsilon" in note for note in run.result.notes)
    curves = wr.kaplan_meier("age", "death", tables, COLUMNS, cell=10, out=tmp_path / "two", **settings)
    assert curves.figures["noise"] > 0
    drawn = {**settings, "probabilities": [0.5, 0.5], "privacy": {**PRIVACY, "clip_norm": 3.0}}
    effect = wr.treatment_effect("bmi ~ age", tables, COLUMNS, treatment="sex", out=tmp_path / "three", **drawn)
    assert effect.exchanges == 2 and len(effect.table.rows) >= 1


@pytest.mark.parametrize(
    ("privacy", "more", "words"),
    [
        ({"epsilon": 8.0}, {}, "delta"),
        ({**PRIVACY, "epsilom": 8.0}, {}, "epsilom"),
        (PRIVACY, {"ridge": 0.0}, "analysis.regression.ridge"),
        (PRIVACY, {"intercepts": "own"}, "intercepts"),
    ],
)
def test_noise_that_cannot_be_is_told_in_words(
    tables: dict[str, Path], privacy: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    """As of a study's file."""
    with pytest.raises(StudyError, match=words):
        wr.regression("death ~ age", tables, COLUMNS, family="binomial", privacy=privacy, progress=False, **more)
