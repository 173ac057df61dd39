"""A whole study on one machine, through the public door."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import wardround as wr
from tests.simulation.small_study import write_hospital, write_hospitals, write_study
from wardround.hub.notices import Notice, RoundFinished, SiteLost
from wardround.simulation.hospitals import dataset_cache, stage_external_test
from wardround.sources import Dataset
from wardround.study.contract import DataContract
from wardround.study.label import LabelContract
from wardround.study.sections.external import ExternalSection
from wardround.study.sections.simulation import SimulatedHospital, SimulationSection
from wardround.tasks.binary import BinaryTask
from wardround.values.errors import DataError, EngineError, RunError, StudyError
from wardround.values.records import SPLITS, Records

TASK = BinaryTask(LabelContract())

KEYS = {
    "accuracy",
    "balanced_accuracy",
    "auc",
    "auprc",
    "brier",
    "ece",
    "sensitivity",
    "specificity",
    "threshold",
}


def test_the_figures_have_the_promised_shape(finished: wr.Run) -> None:
    """Programs read `--json`; its keys are a contract."""
    assert set(finished.metrics) >= {"run", "rounds", "seconds", "sites", "pooled"}
    assert finished.metrics["rounds"] == 3
    assert set(finished.metrics["sites"]) == {"north", "south", "west"}
    for site in finished.metrics["sites"].values():
        assert set(site) == {"patients", "images", "own", "federated"}
        assert set(site["own"]) >= KEYS and set(site["federated"]) >= KEYS
    assert set(finished.metrics["pooled"]["federated"]) >= KEYS
    assert set(finished.metrics["pooled"]["own"]) == {"north", "south", "west"}
    assert finished.metrics["sites"]["north"]["patients"] == 120
    json.dumps(finished.metrics, allow_nan=False)


def test_learning_together_finds_the_rule(finished: wr.Run) -> None:
    """The data hold a rule that a logistic regression can find; a federation that does not is broken."""
    assert finished.metrics["pooled"]["federated"]["auc"] > 0.8


def test_every_paper_is_written_and_agrees(finished: wr.Run) -> None:
    """A run folder is what a hospital keeps: every file must be there and tell of the same model."""
    record = finished.record
    for name in ("study.toml", "record.json", "report.html", "model_card.md", "model.safetensors", "model.onnx"):
        assert (finished.folder / name).stat().st_size > 100, name
    assert set(finished.model) == set(load_file(finished.folder / "model.safetensors"))
    assert record.model is not None and record.model.onnx_max_difference is not None
    assert record.model.onnx_max_difference < 1e-4
    assert wr.load_study(finished.folder / "study.toml").hash == record.study_hash


def test_the_pooled_figures_are_those_of_the_hospitals_together(finished: wr.Run) -> None:
    """The sum is exact: pooled counts equal the hospitals' counts added."""
    sites, pooled = finished.record.sites, finished.record.pooled
    assert pooled is not None and pooled.federated.sums is not None
    parts = [TASK.unpack(site.federated.sums) for site in sites.values() if site.federated and site.federated.sums]
    for name, total in TASK.unpack(pooled.federated.sums).items():
        np.testing.assert_array_equal(total, sum(part[name] for part in parts))


@pytest.mark.slow
def test_the_same_study_data_and_seed_give_the_same_model(finished: wr.Run, tmp_path: Path) -> None:
    """Reproducibility is what makes a figure defensible."""
    again = wr.simulate(write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "run", workers=0, register=False)
    assert (again.folder / "model.safetensors").read_bytes() == (finished.folder / "model.safetensors").read_bytes()
    other = wr.simulate(
        write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "other", workers=0, seed=4, register=False
    )
    assert (other.folder / "model.safetensors").read_bytes() != (finished.folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_one_hospital_is_training_on_its_own(tmp_path: Path) -> None:
    """The law of one: a federation of one hospital must be plain training, but for the stated rounding."""
    study = write_study(tmp_path, more='[summation]\nmode = "plain"\n[sites]\nminimum = 1\n')
    alone = {"north": write_hospital(tmp_path / "n.csv", rows=90, seed=5)}
    run = wr.simulate(study, alone, out=tmp_path / "run", workers=0, register=False)
    assert run.metrics["pooled"]["federated"]["auc"] == pytest.approx(run.metrics["sites"]["north"]["federated"]["auc"])


def test_two_runs_never_share_a_folder(finished: wr.Run, tmp_path: Path) -> None:
    """Mixing two runs' checkpoints would give a model that nobody trained."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    with pytest.raises(RunError, match="--resume"):
        wr.simulate(study, hospitals, out=finished.folder, workers=0, register=False)


@pytest.mark.slow
def test_a_finished_run_resumes_to_the_same_answer(finished: wr.Run) -> None:
    """`--resume` on a run that was done must do no harm."""
    before = (finished.folder / "model.safetensors").read_bytes()
    again = wr.simulate(finished.folder / "study.toml", out=finished.folder, resume=True, workers=0, register=False)
    assert (finished.folder / "model.safetensors").read_bytes() == before
    assert again.metrics["pooled"] == finished.metrics["pooled"]


def test_a_run_is_not_resumed_with_another_study(finished: wr.Run, tmp_path: Path) -> None:
    """Half a run of one study and half of another is no run."""
    other = write_study(tmp_path, rounds=4)
    with pytest.raises(RunError, match="another study"):
        wr.simulate(other, out=finished.folder, resume=True, workers=0, register=False)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [pytest.param("fedavg", marks=pytest.mark.many), "scaffold"])
def test_a_run_stopped_after_any_event_resumes_to_the_same_bits(tmp_path: Path, algorithm: str) -> None:
    """Whatever stops a run, what was learned is not lost and nothing is counted twice."""
    study, hospitals = write_study(tmp_path, algorithm=algorithm), write_hospitals(tmp_path)
    whole = wr.simulate(study, hospitals, out=tmp_path / "whole", workers=0, register=False)
    wanted = (whole.folder / "model.safetensors").read_bytes()
    for stop_after in (2, 6, 9, 14, 20, 26):
        out = tmp_path / f"stopped-{stop_after}"
        with pytest.raises(_Stop):
            wr.simulate(study, hospitals, out=out, workers=0, register=False, listener=_Stopper(stop_after))
        run = wr.simulate(study, hospitals, out=out, resume=True, workers=0, register=False)
        assert (run.folder / "model.safetensors").read_bytes() == wanted, stop_after


class _Stop(Exception):
    """Stands for whatever ends a process."""


class _Stopper:
    def __init__(self, events: int) -> None:
        self._left = events

    def __call__(self, _event: Notice) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Stop


def test_a_hospital_whose_data_changed_is_refused_on_resume(tmp_path: Path) -> None:
    """The dataset_counts and the weights were taken on other records; going on would be silently wrong."""
    study, hospitals = write_study(tmp_path, more="[sites]\nminimum = 3\n"), write_hospitals(tmp_path)
    with pytest.raises(_Stop):
        wr.simulate(study, hospitals, out=tmp_path / "run", workers=0, register=False, listener=_Stopper(9))
    write_hospital(hospitals["west"], rows=61, seed=9)
    with pytest.raises(EngineError, match="west: records"):
        wr.simulate(study, hospitals, out=tmp_path / "run", resume=True, workers=0, register=False)


EXTERNAL = {"more": '[evaluation.external]\nname = "abroad"\n', "run": '[external]\npath = "abroad.csv"\nsplit = "all"\n'}


@pytest.mark.parametrize("content", [None, "patient,pressure,smoker,ill\n", "no,such,columns\n1,2,3\n"])
def test_an_external_test_set_that_cannot_be_read_is_found_before_the_first_round(tmp_path: Path, content: str | None) -> None:
    """Training may take a night; a mistyped path must not be what it ends with."""
    if content is not None:
        (tmp_path / "abroad.csv").write_text(content, "utf-8")
    events: list[Notice] = []
    with pytest.raises(DataError, match=r"external test set .*abroad\.csv"):
        wr.simulate(
            write_study(tmp_path, **EXTERNAL),
            write_hospitals(tmp_path),
            out=tmp_path / "run",
            workers=0,
            listener=events.append,
        )
    assert not events


@pytest.mark.slow
def test_an_external_test_set_is_read_once_and_no_copy_of_it_stays(tmp_path: Path) -> None:
    """It is what was checked that is scored, also where the file is gone when a stopped run goes on. Patients' records do not
    stay in a folder that is handed around."""
    study, hospitals = write_study(tmp_path, **EXTERNAL), write_hospitals(tmp_path)
    abroad = write_hospital(tmp_path / "abroad.csv", rows=90, seed=8)
    whole = wr.simulate(study, hospitals, out=tmp_path / "whole", workers=0, register=False)
    assert whole.record.external["abroad"].sums is not None
    with pytest.raises(_Stop):
        wr.simulate(study, hospitals, out=tmp_path / "run", workers=0, register=False, listener=_Stopper(9))
    abroad.unlink()
    resumed = wr.simulate(study, hospitals, out=tmp_path / "run", resume=True, workers=0, register=False)
    assert resumed.metrics["external"] == whole.metrics["external"]
    assert not list(tmp_path.glob("*/external*"))


def test_what_is_kept_of_an_external_test_set_is_for_this_user_alone(tmp_path: Path) -> None:
    """Who has a record's digest can try whether a patient is in the set; the digests had the rights that the umask says."""
    study = wr.load_study(write_study(tmp_path, more=EXTERNAL["more"]))
    section = ExternalSection(path=str(write_hospital(tmp_path / "abroad.csv", rows=20, seed=8)), split="all")
    stage_external_test(study, section, tmp_path / "run" / "external.npz", dataset_cache(study))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert modes == {"external.npz": 0o600, "external.digests.json": 0o600}


@pytest.mark.slow
def test_an_external_test_set_that_hospitals_trained_on_is_said_to_be_one(tmp_path: Path) -> None:
    """A figure on patients that the model was trained on says nothing of a new hospital's patients."""
    study, hospitals = write_study(tmp_path, **EXTERNAL), write_hospitals(tmp_path)
    write_hospital(tmp_path / "abroad.csv", rows=90, seed=8)
    honest = wr.simulate(study, hospitals, out=tmp_path / "honest", workers=0, register=False)
    assert honest.record.trained_on == {"abroad": {"north": 0, "south": 0, "west": 0}}
    assert "no record of it is among those" in (honest.folder / "report.html").read_text("utf-8")
    (tmp_path / "abroad.csv").write_bytes(hospitals["south"].read_bytes())
    mixed = wr.simulate(study, hospitals, out=tmp_path / "mixed", workers=0, register=False)
    trained = mixed.record.sites["south"].split_images["train"]
    assert mixed.record.trained_on == {"abroad": {"north": 0, "south": trained, "west": 0}}
    for page in ("report.html", "model_card.md"):
        assert f"south trained on {trained} of its records" in (mixed.folder / page).read_text("utf-8")


@pytest.mark.slow
def test_a_data_set_that_is_also_the_external_test_set_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a public data set takes longer than a round, and its records fill the memory twice."""
    read: list[str] = []

    def load(name: str, _contract: DataContract) -> Dataset:
        read.append(name)
        rng = np.random.default_rng(1)
        made = [_drawn(rng, 90, "train"), _drawn(rng, 40, "test")]
        return Dataset(name, made[0], None, made[1])

    monkeypatch.setattr("wardround.sources.load_dataset", load)
    study = wr.load_study(write_study(tmp_path, more="[evaluation.external]\n")).revised(data={"dataset": "uci_wdbc"})
    hospitals = tuple(SimulatedHospital(name=name, share=0.5) for name in ("north", "south", "west"))
    division = SimulationSection(by="iid", hospitals=hospitals)
    settings = wr.RunSettings(external=ExternalSection(dataset="uci_wdbc"))
    run = wr.simulate(study, division=division, run=settings, out=tmp_path / "run", workers=0, register=False)
    assert run.record.external and read == ["uci_wdbc"]


def _drawn(rng: np.random.Generator, rows: int, split: str) -> Records:
    splits = np.array([split] * rows if split == "test" else [SPLITS[k % 3] for k in range(rows)], "<U10")
    patients = np.array([f"{split}-{k}" for k in range(rows)])
    return Records(rng.normal(size=(rows, 2)).astype(np.float32), (np.arange(rows) % 2).astype(np.uint8), patients, splits)


@pytest.mark.slow
def test_a_hospital_that_cannot_take_part_stops_the_opening_and_is_named(tmp_path: Path) -> None:
    """A typo in a path or a broken file must be seen at once, not after ten rounds without that hospital."""
    study, hospitals = write_study(tmp_path), write_hospitals(tmp_path)
    hospitals["west"].write_text("patient,pressure,smoker,ill\n", "utf-8")
    with pytest.raises(EngineError, match="west: records"):
        wr.simulate(study, hospitals, out=tmp_path / "run", workers=0, register=False)
    with pytest.raises(DataError, match="nothing at"):
        wr.simulate(study, {**hospitals, "west": tmp_path / "absent.csv"}, out=tmp_path / "run", workers=0, register=False)
    run = wr.simulate(study, write_hospitals(tmp_path), out=tmp_path / "run", workers=0, register=False)
    assert set(run.metrics["sites"]) == {"north", "south", "west"}


@pytest.mark.slow
def test_no_byte_that_crosses_the_engine_names_a_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one promise above all others."""
    from wardround.engines.local.engine import InOrder

    seen: list[bytes] = []
    exchange = InOrder.exchange

    def listening(self: InOrder, *arguments: object, **named: object) -> dict[str, bytes]:
        answers = exchange(self, *arguments, **named)  # type: ignore[arg-type]
        seen.extend(answers.values())
        return answers  # type: ignore[return-value]

    monkeypatch.setattr(InOrder, "exchange", listening)
    wr.simulate(write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "run", workers=0, register=False)
    assert len(seen) > 20
    assert not any(b"MARKER" in data for data in seen)


@pytest.mark.slow
def test_divided_data_are_a_federation_too(tmp_path: Path) -> None:
    """A study lead has one file before she has three hospitals."""
    from wardround.cli.simulate import parse_split

    whole = write_hospital(tmp_path / "all.csv", rows=200, seed=1)
    events: list[Notice] = []
    run = wr.simulate(
        write_study(tmp_path),
        data=whole,
        division=parse_split("size=50/30/20", 3),
        out=tmp_path / "run",
        workers=0,
        register=False,
        listener=events.append,
    )
    sizes = [site["patients"] for site in run.metrics["sites"].values()]
    assert sum(sizes) == 200 and sizes == sorted(sizes, reverse=True)
    assert sum(isinstance(event, RoundFinished) for event in events) == 3
    assert not any(isinstance(event, SiteLost) for event in events)


def test_hospitals_must_come_from_somewhere(tmp_path: Path) -> None:
    """The most common first mistake gets the whole answer."""
    with pytest.raises(StudyError, match="--site NAME=PATH"):
        wr.simulate(write_study(tmp_path), out=tmp_path / "run", workers=0, register=False)
