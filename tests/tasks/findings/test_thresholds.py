"""Each finding becomes a yes at a threshold of its own, from validation to the answer beside a patient."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

import wardround as wr
from wardround.cli.main import app
from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.prediction.answers import predict
from wardround.study.evaluation_study import evaluation_study, evaluation_text
from wardround.study.label import LabelContract
from wardround.study.reading import parse_study
from wardround.study.record.model_statement import ModelStatement, statement_of
from wardround.tasks.binary import BinaryTask
from wardround.tasks.findings import FindingsTask
from wardround.tasks.findings.label import truths_of
from wardround.values.errors import RunError, StudyError

from ..kinds import KINDS, hospitals, study_of
from . import test_findings_task as made
from .test_findings_task import NAMES, label

FINDINGS = next(kind for kind in KINDS if kind.name == "findings")
YES_OR_NO = Path(__file__).parents[3] / "examples" / "heart_disease.toml"
LOCAL = '[evaluation]\nthreshold = "local"\n'


@pytest.mark.parametrize("rule", ["half", "validation", "near_half"])
def test_the_threshold_of_a_finding_is_that_of_the_yes_or_no_question_for_it_alone(rule: str) -> None:
    """A rare finding is found by its own patients; the others move nothing."""
    outputs, labels = made.TestFindingsOfWhichSomeAreBlank().draw(np.random.default_rng(5), 400)
    task, truths, alone = FindingsTask(label()), truths_of(labels, 3), BinaryTask(LabelContract())
    decision = task.decide(rule, {"validation": task.sums(outputs, labels)})
    for position in range(3):
        known = truths[:, position] >= 0
        own = alone.sums(outputs[known, position], truths[known, position])
        assert isinstance(decision, tuple) and decision[position] == alone.decide(rule, {"validation": own})


def test_answers_are_those_that_the_figures_count() -> None:
    """A report says 87 % found: beside a patient the same rule must speak."""
    outputs, labels = made.TestFindingsOfWhichSomeAreBlank().draw(np.random.default_rng(6), 300)
    task, truths = FindingsTask(label()), truths_of(labels, 3)
    decision, sums = (0.31, 0.5, 0.77), task.sums(outputs, labels)
    answers = task.answers(1.0 / (1.0 + np.exp(-outputs.astype(np.float64))), decision)
    table = task.decision_table(sums, decision)
    assert table is not None
    for position, (name, cells) in enumerate(zip(NAMES, (row for _, row in table.rows), strict=True)):
        yes = answers[f"answer of {name}"] == "yes"
        found, missed, alarms, cleared = (count for count, _ in cells)
        with_it, without = truths[:, position] == 1, truths[:, position] == 0
        assert [found, alarms] == [int((yes & with_it).sum()), int((yes & without).sum())]
        assert [missed, cleared] == [int((~yes & with_it).sum()), int((~yes & without).sum())]
    figures = task.figures(sums, decision, replicates=0).values
    assert [figures[f"threshold_{position}"] for position in (1, 2, 3)] == list(decision)
    assert list(task.answers(outputs.astype(np.float64) * 0 + 0.5, None)) == [f"probability of {name}" for name in NAMES]


@pytest.mark.slow
def test_a_run_shows_them_wherever_it_shows_a_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Report, card, model file, registry, each hospital's own, and the answers of `predict`."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    study, files = study_of(FINDINGS, rounds=2, more=LOCAL), hospitals(FINDINGS, tmp_path / "data")
    run = wr.simulate(study, files, out=tmp_path / "run", workers=0)
    record = run.record
    assert record.model is not None and record.model.threshold == (0.5, 0.5, 0.5)  # "local": each hospital has its own
    own = json.loads((run.folder / "sites" / "north" / "report.json").read_text())["thresholds"]["federated"]
    north = record.sites["north"].federated
    assert north is not None and [north.value(f"threshold_{position}") for position in (1, 2, 3)] == own
    page = render_report(record)
    assert all(f"<th>Threshold of {name}</th>" in page and f"{name}, yes from 0.500 on" in page for name in NAMES)
    assert "Called a yes at and above: effusion 0.500, oedema 0.500, fracture 0.500." in render_model_card(record)
    shown = CliRunner().invoke(app, ["models", "show", record.run_id]).output
    assert "threshold   0.500  effusion" in shown
    answered = CliRunner().invoke(
        app, ["predict", str(run.folder), str(files["north"]), "--threshold", "effusion=0", "--threshold", "fracture=1", "--json"]
    )
    told = json.loads(answered.stdout)
    assert told["threshold"] == [0.0, 0.5, 1.0]
    assert {(row["answer of effusion"], row["answer of fracture"]) for row in told["answers"]} == {("yes", "no")}
    with pytest.raises(RunError, match="a threshold for each finding"):
        predict(run.folder, files["north"], threshold={"pneumonia": 0.4})
    asked = evaluation_study(study, "a" * 64, record.model.threshold)
    again = parse_study(evaluation_text(asked))
    assert again.evaluation.model_threshold == (0.5, 0.5, 0.5) and again.hash == asked.hash


def test_thresholds_that_do_not_fit_the_findings_are_refused() -> None:
    """Two numbers for three findings would judge the wrong one."""
    study = study_of(FINDINGS, rounds=1)
    for wrong in ((0.4, 0.5), 0.4):
        with pytest.raises(StudyError, match="one of each finding"):
            evaluation_study(study, "a" * 64, wrong)
    with pytest.raises(StudyError, match="is one probability"):
        evaluation_study(
            study_of(KINDS[-1], rounds=1).revised(data={"label": {"kind": "binary", "task": None}}), "a" * 64, (0.4,)
        )
    with pytest.raises(ValidationError, match="3 findings have one each, found 2"):
        statement_of(study, (0.4, 0.5), output="", synthetic=False)
    whole = statement_of(study, (0.4, 0.5, 0.6), output="", synthetic=False)
    assert ModelStatement.from_json(whole.to_json(), name="model.onnx") == whole


def test_a_private_study_says_where_thresholds_come_from() -> None:
    """Validation patients of all hospitals would be looked at for nothing."""
    noise = '[privacy]\nmode = "patient-distributed"\nepsilon = 8.0\ndelta = 1e-4\npublic_patients = 40\n'
    with pytest.raises(StudyError, match='set it to "local"'):
        study_of(FINDINGS, algorithm="fedsgd", more=noise + "[evaluation]\nown_baseline = false\n")
