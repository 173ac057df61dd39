"""Every kind of question goes the whole way: files, masked sums, figures, report, card, model file, answers, personal choice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import wardround as wr
from wardround.audit.study_audit import audit_study
from wardround.cli.tables import show_run
from wardround.clinic.answering.network import open_network
from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.prediction.answers import predict
from wardround.sources import open_source
from wardround.sources.mapping.proposing import propose
from wardround.study.label import LABEL_KINDS, UNDISCLOSED
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.study.writing import to_toml
from wardround.tasks.evaluation import sums_of
from wardround.tasks.registry import task_of
from wardround.tasks.sums import Sums
from wardround.values.errors import RunError, StudyError

from .kinds import KINDS, LOCAL, SIZES, Kind, hospitals, study_of

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
PERSONAL = '[personal]\ncandidates = ["own", "fine_tuned", "neighbours"]\n'


def test_every_kind_that_a_study_may_name_is_here() -> None:
    """A kind that only its own tests know would be half a kind."""
    assert {kind.name for kind in KINDS} | {"binary", UNDISCLOSED} == set(LABEL_KINDS)


@every_kind
def test_a_study_says_the_same_wherever_the_question_stands(kind: Kind) -> None:
    """[task] at the top is the study with everything written out, to the hash."""
    study = study_of(kind)
    written = to_toml(study)
    assert "[data.label.task" in written and parse_study(written) == study and parse_study(written).hash == study.hash


@pytest.mark.slow
@every_kind
def test_a_run_learns_and_everything_that_shows_it_speaks_of_it(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Readers, masked sums, record, report, card, tables, model file and answers ask the task, and none of them another."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    study, files = study_of(kind, rounds=6, more=PERSONAL), hospitals(kind, tmp_path / "data")
    run = wr.simulate(study, files, out=tmp_path / "run", workers=0)
    record, task = run.record, task_of(study)
    assert record.pooled is not None and record.start is not None
    before, after = record.start.value(task.headline), record.pooled.federated.value(task.headline)
    assert before is not None and after is not None and (after > before) == task.bigger_is_better
    assert all(entry.label_counts.keys() == set(task.words.counted) for entry in record.sites.values())
    assert RunRecord.from_json((run.folder / "record.json").read_bytes()) == record
    apart = [sums_of(task, entry.federated) for entry in record.sites.values() if entry.federated is not None]
    assert Sums.together((one for one in apart if one is not None), task.shapes) == sums_of(task, record.pooled.federated)
    assert all(entry.personal is not None for entry in record.sites.values())
    show_run(run)
    assert task.words.in_text[task.headline] in " ".join(capsys.readouterr().out.split())
    for text in (render_report(record), render_model_card(record)):
        assert all(name in text for name in (*task.words.names.values(), *(name for _, name in task.words.thresholds)))
    board = json.dumps([table.title for table in task.worth({"federated": (apart[0], None)})]) if apart[0] is not None else ""
    assert board
    session = onnxruntime.InferenceSession((run.folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    assert tuple(output.name for output in session.get_outputs()) == kind.outputs
    answered = predict(run.folder, files["north"])
    assert tuple(answered.table[0]) == ("record", "patient", *kind.answers, "label")
    assert len(answered) == SIZES["north"] and answered.to_csv().count("\n") == SIZES["north"] + 1
    assert answered.to_frame().height == SIZES["north"]
    assert open_network((run.folder / "model.onnx").read_bytes()).statement.data.label == study.data.label


@pytest.mark.slow
@every_kind
def test_what_cannot_yet_take_a_kind_refuses_it_in_a_sentence(kind: Kind, tmp_path: Path) -> None:
    """The attacks speak of yes and no, and a threshold of one number: a wrong word beside a patient is worse than none."""
    more = PRIVATE.format(mode="patient-distributed", epsilon=8.0, patients=PATIENTS) + judged(kind)
    training = "class_balance = false" if "training.class_balance" in LABEL_KINDS[kind.name].uses else ""
    private = study_of(kind, algorithm="fedsgd", rounds=2, training=training, more=more)
    with pytest.raises(StudyError, match="asks another kind of question"):
        audit_study(private)
    run = wr.simulate(study_of(kind, rounds=1), hospitals(kind, tmp_path), out=tmp_path / "run", workers=0, register=False)
    several = kind.name == "findings"
    with pytest.raises(RunError, match="a threshold for each finding" if several else "decides by no threshold"):
        predict(run.folder, tmp_path / "north.csv", threshold=0.4)
    if kind.name != "binary":
        with pytest.raises(RunError, match="answers no yes-or-no question"):
            _ = predict(run.folder, tmp_path / "north.csv").probabilities


@every_kind
def test_a_mapping_is_proposed_and_data_are_checked_for_it(kind: Kind, tmp_path: Path) -> None:
    """A data manager learns what the contract makes of the label before anything else."""
    study, files = study_of(kind), hospitals(kind, tmp_path)
    readiness = open_source(files["north"], study.data).check()
    assert readiness.ready(), readiness.findings
    parts = study.data.label.parts(task_of(study).drawn(np.random.default_rng(0), 9))
    assert set(parts) <= {count.name for count in readiness.counts}
    text = propose(files["north"], study.data).text
    assert ("[label]" in text) == (len(kind.columns) == 1) and all(name in text for name in kind.columns)


def judged(kind: Kind) -> str:
    """What a private study may ask of evaluation."""
    threshold = 'threshold = "half"' if "evaluation.threshold" in LABEL_KINDS[kind.name].uses else ""
    return f"[evaluation]\nown_baseline = false\n{threshold}\n"


PRIVATE = """[privacy]
mode = "{mode}"
epsilon = {epsilon}
delta = 1e-4
clip_norm = 1.0
{patients}
"""
PATIENTS = "public_patients = { north = 50, south = 40, west = 30 }"


ALGORITHMS = ("fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedsgd")


def learners() -> Iterator[Any]:
    """Each kind with each algorithm and sum: a run of all tests takes every algorithm and kind once with each sum."""
    for row, kind in enumerate(KINDS):
        for column, algorithm in enumerate(ALGORITHMS):
            for mode, turn in (("masked", 0), ("plain", 1)):
                taken = (row + turn) % len(ALGORITHMS) == column
                yield pytest.param(
                    kind, algorithm, mode, id=f"{mode}-{algorithm}-{kind.name}", marks=[] if taken else [pytest.mark.many]
                )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "algorithm", "mode"), list(learners()))
def test_every_algorithm_and_summation_learns_it(kind: Kind, algorithm: str, mode: str, tmp_path: Path) -> None:
    """No algorithm knows the question, and the two ways of adding give the same bits."""
    training = "" if algorithm == "fedsgd" else LOCAL
    summation = 'mode = "plain"' if mode == "plain" else "collusion = 1"
    study = study_of(kind, algorithm=algorithm, rounds=2, training=training, summation=summation)
    run = wr.simulate(study, hospitals(kind, tmp_path), out=tmp_path / "run", workers=0, register=False)
    assert run.record.pooled is not None and all(np.isfinite(array).all() for array in run.model.values())


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize(
    ("mode", "algorithm"), [("patient-local", "fedavg"), ("patient-distributed", "fedsgd"), ("site", "fedavg")]
)
def test_every_privacy_mode_learns_it(kind: Kind, mode: str, algorithm: str, tmp_path: Path) -> None:
    """Clipping, noise and the site's own trial of its arithmetic take any targets."""
    patients = {"site": "", "patient-local": f"{PATIENTS}\nsteps = 5"}.get(mode, PATIENTS)
    reads = LABEL_KINDS[kind.name].uses
    training = "class_balance = false" if mode != "site" and "training.class_balance" in reads else ""
    more = PRIVATE.format(mode=mode, epsilon=30.0, patients=patients) + judged(kind)
    study = study_of(kind, algorithm=algorithm, rounds=2, training=training, more=more)
    run = wr.simulate(study, hospitals(kind, tmp_path), out=tmp_path / "run", workers=0, register=False)
    assert run.record.privacy is not None and all(np.isfinite(array).all() for array in run.model.values())
