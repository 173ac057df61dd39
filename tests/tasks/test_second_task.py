"""A new kind of question is one file and one line: `length_of_stay.py`, and `register` below. No source file knows of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import wardround as wr
from wardround.cli.tables import show_run
from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.hub.coordinator import Coordinator
from wardround.plan.plan import FEDERATED
from wardround.registry import open_registry
from wardround.study.label import BINARY, LABEL_KINDS, LabelContract
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import parse_run
from wardround.tasks import registry
from wardround.tasks.evaluation import sums_of
from wardround.tasks.protocol import Task
from wardround.tasks.registry import register, task_of, task_of_record
from wardround.tasks.sums import Sums
from wardround.training.inputs import InputShape
from wardround.training.scoring import score
from wardround.values.errors import StudyError
from wardround.values.records import Records

from ..federation.tiny_federation import records, ward
from ..federation.tiny_federation import study as tiny
from ..study.test_label import asked
from .length_of_stay import LABELS, SCALE, LengthOfStay
from .task_conformance import Scored, TaskConformance

STUDY = """
format = 1
[question]
title = "How long will a patient stay?"
[data]
kind = "table"
[data.label]
kind = "length-of-stay"
name = "days in hospital"
column = "days"
[data.patient]
column = "patient"
[[data.columns]]
name = "age"
range = [20, 100]
[[data.columns]]
name = "emergency"
kind = "binary"
[data.splits]
validation = 0.2
test = 0.2
[network]
name = "mlp"
hidden = [6]
[training]
learning_rate = 0.05
batch_size = 16
local_epochs = 4
seed = 3
[algorithm]
name = "fedavg"
rounds = 6
[summation]
collusion = 1
"""


class TestLengthOfStay(TaskConformance):
    def contract(self) -> LabelContract:
        return LabelContract(kind=LABELS.name)

    def task(self) -> Task:
        return LengthOfStay(LabelContract())

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        days = rng.gamma(2.0, 4.0, n).round(1).astype(np.float32)
        return (days / SCALE + 0.2 * rng.normal(size=n)).astype(np.float32), days


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The one line, taken back at the end."""
    register(LABELS, LengthOfStay)
    yield
    monkeypatch.undo()
    registry._TASKS.pop(LABELS.name)
    LABEL_KINDS.pop(LABELS.name)


def write_hospital(path: Path, rows: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    age, emergency = rng.uniform(25, 95, rows).round(), rng.integers(0, 2, rows)
    days = (0.12 * (age - 20) + 6 * emergency + rng.gamma(1.5, 1.0, rows)).round(1)
    lines = ["patient,age,emergency,days", *(f"p-{seed}-{i},{age[i]:.0f},{emergency[i]},{days[i]}" for i in range(rows))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> wr.Run:
    """Three hospitals from their CSV files, masked, with their own models, registered."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    sites = {name: write_hospital(tmp_path / f"{name}.csv", rows, seed) for seed, (name, rows) in enumerate(SIZES.items())}
    return wr.simulate(parse_study(STUDY), sites, out=tmp_path / "run", workers=0)


SIZES = {"north": 150, "south": 90, "west": 70}


@pytest.mark.slow
def test_a_whole_run_learns_days_from_files_to_report(run: wr.Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers, masked sums, roll-back, record, report, card, registry and tables ask the task, and none of them another."""
    record = run.record
    assert record.pooled is not None and record.start is not None and record.model is not None
    before, after = record.start.value("rmse"), record.pooled.federated.value("rmse")
    assert before is not None and after is not None and after < 0.5 * before
    assert set(record.pooled.own) == set(SIZES)
    assert record.model.threshold is None
    assert all(entry.label_counts.keys() == {"long_stays"} for entry in record.sites.values())
    assert RunRecord.from_json((run.folder / "record.json").read_bytes()) == record
    assert run.metrics["pooled"]["federated"]["rmse"] == after
    with open_registry() as found:
        model = found.model(record.run_id)
        assert model.threshold is None
        assert {entry.name for entry in found.metrics(record.run_id)} == {"rmse", "bias", "n", "long_stays"}
    show_run(run)
    assert "federated error in days" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_report_and_the_card_speak_of_days_alone(run: wr.Run) -> None:
    """A word of another question in a report would be a claim about the wrong thing."""
    page, card = render_report(run.record), render_model_card(run.record)
    for text in (page, card):
        assert "Error (days)" in text and "Over a week" in text
        body = text.replace(run.record.study_toml, "")
        for word in ("AUC", "sensitivity", "Accuracy", "With the finding", "Threshold", "called positive"):
            assert word not in body, word
    assert "days predicted" in page and "tabular-regression" in card
    assert "by error in days on each hospital" in page


@pytest.mark.slow
def test_the_onnx_file_gives_the_days_of_the_record(run: wr.Run) -> None:
    """What the file says of a patient must be what was evaluated."""
    session = onnxruntime.InferenceSession((run.folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["days"]
    rows = np.array([[0.5, 1.0], [-1.0, 0.0]], np.float32)
    study = parse_study(run.record.study_toml)
    asked_for = Records(rows, np.zeros(2, np.float32), np.array(["a", "b"]), np.array(["test", "test"]))
    outputs = score(study.network, InputShape("table", features=2), run.model, asked_for, flip_average=False, device="cpu")
    feed = {"age": np.array([70.0, 40.0]), "emergency": np.array(["1", "0"])}  # what becomes these rows
    assert session.run(None, feed)[0] == pytest.approx(np.maximum(outputs, 0) * SCALE, abs=1e-4)


@pytest.mark.slow
def test_the_record_gives_back_the_sums_of_all_hospitals_together(run: wr.Run) -> None:
    """The masked sum of evaluations is the sum of the hospitals' own, whatever the arrays mean."""
    task = task_of_record(run.record.study_toml)
    assert isinstance(task, LengthOfStay) and run.record.pooled is not None
    apart = [sums_of(task, entry.federated) for entry in run.record.sites.values() if entry.federated is not None]
    assert len(apart) == 3 and None not in apart
    together = Sums.together((one for one in apart if one is not None), task.shapes)
    assert sums_of(task, run.record.pooled.federated) == together


@pytest.mark.slow
def test_one_data_set_is_divided_by_the_tasks_groups(tmp_path: Path) -> None:
    """Otherwise one hospital gets all the long stays by chance."""
    whole = write_hospital(tmp_path / "all.csv", 300, 5)
    hospitals = "".join(f'[[simulation.hospitals]]\nname = "{name}"\n' for name in "abc")
    settings = parse_run(f'[simulation]\nby = "iid"\n{hospitals}')
    done = wr.simulate(parse_study(STUDY), data=whole, run=settings, out=tmp_path / "run", workers=0, register=False)
    counted = [entry.label_counts["long_stays"] for entry in done.record.sites.values()]
    assert sum(counted) > 30 and max(counted) - min(counted) <= 3


def test_the_opening_and_every_round_travel_with_the_tasks_own_arrays(tmp_path: Path) -> None:
    """A coordinator that expects a histogram would refuse these sites, or worse, read them as one."""
    of = tiny(rounds=2)
    label = of.data.label.model_validate({"kind": LABELS.name})
    study = type(of).model_validate({**of.model_dump(), "data": {**of.data.model_dump(), "label": label.model_dump()}})
    with ward(study, tmp_path) as engine:
        coordinator = Coordinator(study, engine, tmp_path)
        progress = coordinator.run()
    assert set(progress.dataset_counts) == {"images", "patients", "long_stays"}
    sums = coordinator.evaluate(FEDERATED, coordinator.model)
    assert set(sums) == {"validation", "test"} and sums["test"].arrays.keys() == LengthOfStay.shapes.keys()
    expected = sum(int((records(name).splits == "test").sum()) for name in ("east", "north", "south"))
    assert task_of(study).records(sums["test"]) == expected


def test_a_label_section_without_a_task_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a kind must not run."""
    monkeypatch.setitem(LABEL_KINDS, "half-a-kind", BINARY)
    with pytest.raises(StudyError, match="No task answers"):
        task_of(parse_study(asked('kind = "half-a-kind"')))
