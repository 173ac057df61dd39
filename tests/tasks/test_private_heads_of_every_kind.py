"""Partners whose tasks are of different kinds share one trunk: the task alone says what each head is."""

from pathlib import Path

import onnxruntime
import pytest

import wardround as wr
from wardround.prediction.answers import predict
from wardround.tasks.registry import task_of_record

from .kinds import KINDS, LOCAL, STUDY, hospitals


@pytest.mark.slow
def test_partners_of_every_kind_share_one_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own loss, figures, report and model file; what travels knows none of them."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    more = 'mode = "plain"\n[personal]\ncandidates = ["own", "mixed"]'
    text = STUDY.format(task="", column="days", training=LOCAL, algorithm="fedavg", rounds=3, summation=more)
    start, end = text.index("[data.label]"), text.index("[data.patient]")
    study = tmp_path / "study.toml"
    study.write_text(text[:start] + text[end:].replace("hidden = [6]", 'hidden = [6]\nprivate = "head"'), "utf-8")
    sites, tasks = {}, {}
    for kind in KINDS:
        folder = tmp_path / kind.name
        sites[kind.name] = hospitals(kind, folder)["north"]
        tasks[kind.name] = folder / "task.toml"
        label = f'[label]\nname = "what {kind.name} asks"\ncolumn = "{kind.columns[0]}"\n'
        tasks[kind.name].write_text(label + kind.task + "\n", "utf-8")
    run = wr.simulate(study, sites, tasks=tasks, out=tmp_path / "run", workers=0, register=False)
    assert sorted(run.model) == ["hidden.0.bias", "hidden.0.weight"]
    for kind in KINDS:
        record, folder = run.own_records[kind.name], run.folder / "sites" / kind.name
        task, entry = task_of_record(record.study_toml), record.sites[kind.name]
        assert entry.own is not None and entry.federated is not None and entry.personal is not None
        assert entry.federated.value(task.headline) is not None
        session = onnxruntime.InferenceSession((folder / "federated.onnx").read_bytes(), providers=["CPUExecutionProvider"])
        assert tuple(one.name for one in session.get_outputs()) == kind.outputs
        answers = predict(str(folder / "federated.onnx"), sites[kind.name])
        assert set(kind.answers) <= set(answers.columns)
        assert f"what {kind.name} asks" in (folder / "federated.md").read_text("utf-8")
        assert not (folder / "log.ndjson").exists() or "own-head" not in (folder / "log.ndjson").read_text("utf-8")
