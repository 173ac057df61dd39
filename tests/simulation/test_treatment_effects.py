"""Effects of treatments in one call from Python, over files of hospitals and through the masked sum."""

import re
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.hub.run_folder import RunFolder
from wardround.simulation.simulate import site_report
from wardround.values.errors import DataError, StudyError

COLUMNS = {"age": (20, 80), "sex": ("female", "male"), "arm": ("usual", "new", "other"), "score": (0, 100)}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Three hospitals; west gives nobody `other`. An age is missing in every twentieth row."""
    paths = {}
    for number, name in enumerate(("north", "south", "west")):
        random = np.random.default_rng(number)
        age, sex = random.uniform(20, 80, 200).round(), random.choice(["female", "male"], 200)
        arm = random.choice(["usual", "new", "other"] if name != "west" else ["usual", "new"], 200)
        score = (50 + 0.3 * (age - 50) + 8.0 * (arm == "new") + random.normal(0, 5, 200)).round(1)
        lines = ["patient,age,sex,arm,score"]
        for row in range(200):
            lines.append(f"{name}{row},{'' if row % 20 == 0 else age[row]},{sex[row]},{arm[row]},{score[row]}")
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text("\n".join(lines) + "\n")
    return paths


def test_an_effect_is_one_call(tables: dict[str, Path], tmp_path: Path) -> None:
    """From files to an interval that holds what was put in; which hospital lacks an arm is not told, that one does is."""
    run = wr.treatment_effect("score ~ age/10 + sex", tables, COLUMNS, treatment="arm", out=tmp_path / "run", progress=False)
    frame = run.to_frame()
    row = frame[(frame["treatment"] == "new") & (frame["method"] == "AIPW")].iloc[0]
    assert row["low"] < 8 < row["high"] < row["low"] + 3
    assert run.result.figures["averages"]["AIPW"]["arms"] == ["new", "other"]
    page = (run.folder / "report.html").read_text("utf-8")
    for told in ("30 rows lack a value", "At 1 of 3 hospitals nobody had other", "was not drawn by lot", "No column was found"):
        assert told in page
    assert not any(name in note for note in run.result.notes for name in tables)
    own = {name: site_report(RunFolder(run.folder), name)["dataset_counts"]["own"] for name in tables}
    assert own["west"]["arm = other"] == 0 and sum(own["north"].values()) == 190 and min(own["north"].values()) > 0
    assert {"averages", "arms", "overlap", "balance", "interactions", "halves", "learners", "groups", "rules"} == {
        table.name for table in run.result.tables
    }


def test_the_python_of_the_page_runs(tables: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies first."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs/effects.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "docs/effects.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, wr.AnalysisRun) and set(tables) == {"north", "south", "west"}
    assert {"halves", "rules"} <= {table.name for table in run.result.tables}


def test_two_arms_drawn_by_lot_take_six_sums(tables: dict[str, Path], tmp_path: Path) -> None:
    """No fit is needed: everything linear follows from the first sum."""
    run = wr.treatment_effect(
        "score ~ age/10 + sex",
        tables,
        COLUMNS,
        treatment="arm",
        arms=["usual", "new"],
        probabilities=[0.5, 0.5],
        missing="indicator",
        out=tmp_path / "run",
        progress=False,
    )
    assert run.exchanges == 6 and run.plot() is not None
    assert run.result.table("arms").column("treatment") == ("usual", "new")
    assert not any("lack a value" in note for note in run.result.notes)


def test_what_cannot_be_compared_is_told_in_words(tables: dict[str, Path], tmp_path: Path) -> None:
    """A study that does not fit before any file is opened; an arm without patients after the first sum."""
    with pytest.raises(StudyError, match="must be a category"):
        wr.treatment_effect("score ~ sex", tables, COLUMNS, treatment="age", out=tmp_path / "a", progress=False)
    columns = {**COLUMNS, "arm": ("usual", "new", "other", "newest")}
    with pytest.raises(DataError, match="had newest"):
        wr.treatment_effect("score ~ age", tables, columns, treatment="arm", out=tmp_path / "b", progress=False)
    assert not (tmp_path / "a").exists()
