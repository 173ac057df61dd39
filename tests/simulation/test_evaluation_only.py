"""A study that evaluates a finished model, whole: over every local engine, with the figures that the hospitals' own add up to."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import wardround as wr
from wardround.cli.main import app
from wardround.hub.checkpoint import load
from wardround.plan.evaluated_model import EVALUATED, evaluated_at
from wardround.prediction.answers import predict
from wardround.registry import open_registry
from wardround.simulation.run import Run
from wardround.study.evaluation_study import evaluation_study, evaluation_text
from wardround.study.reading import load_study
from wardround.study.run_settings import load_run, run_file_of
from wardround.values.errors import RunError, StudyError

from ..federation.evaluations import evaluation, write_finished
from ..federation.tiny_federation import NAMES, records
from .small_study import write_hospital, write_hospitals, write_study

COUNTED = ("n", "positives")


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], Run]:
    """A folder with a finished run and its hospitals' tables."""
    folder = tmp_path_factory.mktemp("parties")
    tables = write_hospitals(folder)
    return folder, tables, wr.simulate(write_study(folder), tables, out=folder / "run", workers=0, register=False)


def asked(run: Run, **changes: Mapping[str, object]) -> wr.Study:
    model = evaluated_at(run.folder / "model.safetensors")
    return evaluation_study(load_study(run.folder / "study.toml"), model.content, model.statement.threshold).revised(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_the_figures_are_those_of_the_run_that_made_the_model_bit_for_bit(
    parties: tuple[Path, dict[str, Path], Run], tmp_path: Path, workers: int
) -> None:
    """The same model on the same test patients: in order and side by side, masked, without a round of training."""
    _, tables, run = parties
    found = wr.simulate(asked(run), tables, out=tmp_path / "run", workers=workers, register=False, model=run.folder)
    assert found.record.pooled is not None and run.record.pooled is not None
    assert found.record.pooled.federated == run.record.pooled.federated
    for name, entry in found.record.sites.items():
        assert entry.federated == run.record.sites[name].federated
    assert (found.record.rounds, found.record.model, found.metrics["rounds"]) == ((), None, 0)


def test_the_sum_is_what_predict_says_at_each_hospital(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """All patients of hospitals that took no part: the counts at the threshold are those of `wardround predict`, added up."""
    _, _, run = parties
    tables = {name: write_hospital(tmp_path / f"{name}.csv", rows=90, seed=seed) for seed, name in enumerate(("p", "q", "r"), 20)}
    of = asked(run, data={"splits": {"validation": 0.0, "test": 1.0}})
    found = wr.simulate(of, tables, out=tmp_path / "run", workers=0, register=False, model=run.folder)
    assert found.record.pooled is not None
    answers = [predict(run.folder, path) for path in tables.values()]
    said, so = (
        np.concatenate(both).astype(bool) for both in zip(*((one.answers, one.records.labels) for one in answers), strict=True)
    )
    values = found.record.pooled.federated.values
    assert values["n"] == len(so) == 270 and values["positives"] == so.sum()
    assert values["sensitivity"] == (said & so).sum() / so.sum()
    assert values["specificity"] == (~said & ~so).sum() / (~so).sum()


def test_sums_are_those_of_each_hospital_alone_added_up(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """The masked sum says what the hospitals' own reports say together, in whole numbers."""
    _, tables, run = parties
    found = wr.simulate(asked(run), tables, out=tmp_path / "run", workers=0, register=False, model=run.folder)
    assert found.record.pooled is not None
    reports = [json.loads((found.folder / "sites" / name / "report.json").read_bytes()) for name in tables]
    alone = [report["evaluations"]["federated"]["test"] for report in reports]
    progress = load(found.folder)
    assert progress is not None
    for name, total in progress.evaluations["federated"]["test"].items():
        assert np.array_equal(np.sum([one[name] for one in alone], axis=0), total), name


def test_what_is_said_of_it_never_speaks_of_training(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """Nobody may take an evaluation for a new model."""
    _, tables, run = parties
    of = asked(run)
    found = wr.simulate(of, tables, out=tmp_path / "run", workers=0, register=False, model=run.folder)
    page = re.sub(
        r"<style>.*?</style>|<details>.*?</details>|<svg.*?</svg>", "", (found.folder / "report.html").read_text(), flags=re.S
    )
    words = re.sub(r"<[^>]+>", " ", page)
    assert not re.search(r"\btrain(ed|ing)?\b|\blearn(ed|t)\b|\brounds?\b|federated", words, re.I), words
    assert "evaluation only of the model" in words and found.record.evaluated is not None
    assert found.record.evaluated.sha256 in words
    assert not [path for path in found.folder.iterdir() if path.name in ("model.safetensors", "model.onnx", "model_card.md")]
    assert "evaluation only" in repr(found) and "evaluated model" in found._repr_html_()
    assert set(found.model) == set(run.model)


@pytest.mark.slow
def test_the_registry_has_a_run_and_no_new_model(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """The record says which model was evaluated, and by which run it was made, where the registry knows it."""
    folder, tables, _ = parties
    made = wr.simulate(folder / "study.toml", tables, out=tmp_path / "made", workers=0)
    with open_registry() as registry:
        before = registry.models()
    assert made.record.model is not None
    name = made.record.model.sha256[:12]
    found = wr.simulate(asked(made), tables, out=tmp_path / "run", workers=0, model=name)
    assert found.record.evaluated is not None
    assert found.record.evaluated.sha256 == made.record.model.sha256
    assert found.record.evaluated.runs == (made.record.run_id,)
    with open_registry() as registry:
        assert registry.models() == before
        assert registry.run(found.record.run_id).model is None
        assert registry.record(found.record.run_id) == found.record
        assert {metric.name for metric in registry.metrics(found.record.run_id)} >= set(COUNTED)


def test_another_model_is_refused_before_anything_begins(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """The study names one by its hash; which file a person names is no matter of trust."""
    _, tables, run = parties
    other = write_finished(tmp_path / "other.safetensors")
    with pytest.raises(StudyError, match="another model"):
        wr.simulate(asked(run), tables, out=tmp_path / "run", workers=0, register=False, model=other)
    with pytest.raises(StudyError, match="nobody said where it lies"):
        wr.simulate(asked(run), tables, out=tmp_path / "run", workers=0, register=False)
    with pytest.raises(StudyError, match="trains a model of its own"):
        wr.simulate(run.folder / "study.toml", tables, out=tmp_path / "b", workers=0, register=False, model=run.folder)
    with pytest.raises(StudyError, match=r"data\.columns as in the study"):
        columns = [{**one, "range": [0, 1]} if one["kind"] == "number" else one for one in _columns(run)]
        wr.simulate(
            asked(run, data={"columns": columns}), tables, out=tmp_path / "run", workers=0, register=False, model=run.folder
        )
    assert not (tmp_path / "run" / "sites").exists()


def _columns(run: Run) -> list[dict[str, object]]:
    return list(load_study(run.folder / "study.toml").model_dump(mode="json")["data"]["columns"])


def test_a_run_goes_on_without_the_original_of_the_model(parties: tuple[Path, dict[str, Path], Run], tmp_path: Path) -> None:
    """The file is copied into the run folder, and compared with the study each time."""
    _, tables, run = parties
    of, out = asked(run), tmp_path / "run"
    first = wr.simulate(of, tables, out=out, workers=0, register=False, model=run.folder)
    again = wr.simulate(of, tables, out=out, workers=0, register=False, resume=True)
    assert again.record == first.record
    (out / EVALUATED).write_bytes(write_finished(tmp_path / "other.safetensors").read_bytes())
    with pytest.raises(StudyError, match="another model"):
        wr.simulate(of, tables, out=out, workers=0, register=False, resume=True)


def test_plain_and_masked_give_the_same_record_of_figures(tmp_path: Path) -> None:
    """The same bits either way."""
    hospitals = {name: records(name) for name in NAMES}
    model = write_finished(tmp_path / "model.safetensors")
    found = [
        wr.simulate(evaluation(mode=mode), hospitals, out=tmp_path / mode, workers=0, register=False, model=model)
        for mode in ("plain", "masked")
    ]
    assert found[0].record.pooled == found[1].record.pooled and found[0].record.pooled is not None
    assert found[0].record.threshold == found[1].record.threshold == 0.4375


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--seeds", "2"], "Seeds move training"),
        (["--left-out", "all"], "trains nothing"),
        (["--own"], "own_baseline"),
        (["--epsilon", "1"], "--epsilon needs a private study"),
        (["--set", "algorithm.rounds=3"], "nothing is trained"),
    ],
)
def test_commands_of_training_refuse_with_a_sentence(
    parties: tuple[Path, dict[str, Path], Run], tmp_path: Path, words: list[str], refusal: str
) -> None:
    """Each would do nothing, or something that the study does not say."""
    _, tables, run = parties
    path = tmp_path / "e.toml"
    path.write_text(evaluation_text(asked(run)))
    sites = [word for name, table in tables.items() for word in ("--site", f"{name}={table}")]
    done = CliRunner().invoke(app, ["simulate", str(path), *sites, "--model", str(run.folder), *words])
    assert done.exit_code != 0
    assert refusal in str(done.exception), done.exception


@pytest.mark.slow
def test_from_a_finished_run_to_its_evaluation_in_two_commands(
    parties: tuple[Path, dict[str, Path], Run], tmp_path: Path
) -> None:
    """What docs/deploy.md says; the run file knows where the model lies."""
    _, tables, run = parties
    path, out = tmp_path / "evaluate.toml", tmp_path / "out"
    told = CliRunner().invoke(app, ["study", "new", str(path), "--evaluate", str(run.folder)])
    assert told.exit_code == 0, told.exception
    assert load_run(run_file_of(path)).model is not None
    checked = CliRunner().invoke(app, ["study", "check", str(path)])
    assert checked.exit_code == 0 and "Nothing is trained" in checked.stdout and str(run.folder) in checked.stdout
    again = CliRunner().invoke(app, ["study", "new", str(path), "--evaluate", str(run.folder)])
    assert "exists" in str(again.exception)
    sites = [word for name, table in tables.items() for word in ("--site", f"{name}={table}")]
    done = CliRunner().invoke(app, ["simulate", str(path), *sites, "--out", str(out), "--workers", "0"])
    assert done.exit_code == 0, done.exception
    assert "evaluated" in done.stdout and "trained" not in done.stdout and "federated" not in done.stdout
    for command in (["benefit", str(out)], ["study", "new", str(tmp_path / "x.toml"), "--evaluate", str(tmp_path / "none")]):
        assert CliRunner().invoke(app, command).exit_code != 0
    shown = CliRunner().invoke(app, ["report", str(out)])
    assert shown.exit_code == 0 and "model_card" not in shown.stdout
    compared = CliRunner().invoke(app, ["compare", str(run.folder), str(out)])
    assert compared.exit_code == 0, compared.exception


def test_a_model_that_holds_patients_is_never_evaluated_elsewhere(
    tmp_path: Path, parties: tuple[Path, dict[str, Path], Run]
) -> None:
    """It would travel to every hospital."""
    _, _, run = parties
    content = (run.folder / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    statement = {**json.loads(header["__metadata__"]["wardround_model"]), "holds_records": True}
    header["__metadata__"]["wardround_model"] = json.dumps(statement)
    text = json.dumps(header).encode()
    path = tmp_path / "chosen.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(RunError, match="must never leave its hospital"):
        evaluated_at(path)


@pytest.mark.parametrize("content", [b"", b"x" * 100, (5).to_bytes(8, "little") + b"{}   ", b"\xff" * 8])
def test_bytes_that_are_no_model_are_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """Whatever file a person names."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"no model|does not say"):
        evaluated_at(path)
