"""Leave one hospital out: the others train, their model is tested at it."""

import json
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import wardround as wr
from tests.simulation.small_study import write_hospital, write_hospitals, write_study
from wardround.hub.artifacts import LEFT_OUT
from wardround.plan.network_view import outputs_for
from wardround.plan.plan import Plan
from wardround.simulation.hospitals import Place, kept_hospitals
from wardround.simulation.left_out import judged, leave_out, require_leaving_out, without_one
from wardround.site.config import load_records
from wardround.study.reading import load_study
from wardround.study.record.left_out_record import left_outs_at
from wardround.study.run_settings import RunSettings
from wardround.tasks.registry import task_of
from wardround.values.errors import RunError, StudyError
from wardround.values.ids import SiteId
from wardround.values.records_file import write_records

IN_ORDER = RunSettings().with_run(workers=0)


@pytest.fixture(scope="module")
def left(finished: wr.Run, tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    """A copy of the finished run in which `west` was left out."""
    folder = tmp_path_factory.mktemp("left") / "run"
    shutil.copytree(finished.folder, folder)
    return leave_out(wr.Run(folder, finished.record, finished.metrics), ["west"], IN_ORDER)


@pytest.mark.slow
def test_the_model_of_the_others_is_tested_at_the_one_left_out(left: wr.Run, tmp_path: Path) -> None:
    """It must be the model that the others alone would have made, on that hospital's test patients and nobody else's."""
    turn = left_outs_at(left.folder / LEFT_OUT, left.record.run_id).sites["west"]
    assert turn.hospitals == ("north", "south")
    hospitals = write_hospitals(tmp_path)
    others = {name: hospitals[name] for name in turn.hospitals}
    study = load_study(left.folder / "study.toml").revised(summation={"mode": "plain"})
    alone = wr.simulate(study, others, out=tmp_path / "run", workers=0, register=False, own=False)
    ours = wr.Run(left.folder / "left_out" / "west", alone.record).model
    assert all(np.array_equal(ours[name], array) for name, array in alone.model.items())
    assert turn.evaluation.value("n") == left.record.sites["west"].split_images["test"]
    assert turn.evaluation.value("threshold") == alone.record.model.threshold  # type: ignore[union-attr]


def test_the_difference_to_the_own_model_is_on_the_same_patients(left: wr.Run) -> None:
    """What a newcomer gains is the difference at home, patient by patient."""
    turn, own = left_outs_at(left.folder / LEFT_OUT, left.record.run_id).sites["west"], left.record.sites["west"].own
    assert own is not None and turn.paired["auc"].n == own.value("n")
    moved = (turn.evaluation.value("auc") or 0.0) - (own.value("auc") or 0.0)
    assert turn.paired["auc"].difference == pytest.approx(moved, abs=1e-9)


def test_a_hospital_is_left_out_once(left: wr.Run) -> None:
    """Its test patients were looked at; a second look with other settings would be choosing on them."""
    before = (left.folder / LEFT_OUT).read_bytes()

    def watch(name: str) -> NoReturn:
        raise AssertionError(f"{name} is left out again")

    again = leave_out(wr.Run(left.folder, left.record, {}), ["west"], IN_ORDER, watch)
    assert (left.folder / LEFT_OUT).read_bytes() == before
    assert set(again.metrics["left_out"]) == {"west"} and again.metrics["left_out"]["west"]["n"] == 16


def test_report_card_and_json_say_it_and_the_record_stays(left: wr.Run, finished: wr.Run) -> None:
    """The record is registered by its bytes; what is learnt later stands beside it."""
    assert (left.folder / "record.json").read_bytes() == (finished.folder / "record.json").read_bytes()
    page, card = ((left.folder / name).read_text("utf-8") for name in ("report.html", "model_card.md"))
    assert "At a hospital it has never seen" in page and "never seen" in card
    assert "At a hospital it has never seen" not in (finished.folder / "report.html").read_text("utf-8")
    json.dumps(left.metrics, allow_nan=False)


def test_a_damaged_or_foreign_file_is_refused(left: wr.Run, tmp_path: Path) -> None:
    """Figures of another run would stand in this one's report."""
    path = tmp_path / LEFT_OUT
    path.write_bytes((left.folder / LEFT_OUT).read_bytes())
    with pytest.raises(RunError, match="another run"):
        left_outs_at(path, "another")
    path.write_bytes(b"{}x")
    with pytest.raises(RunError, match="cannot be read"):
        left_outs_at(path, left.record.run_id)


def test_who_cannot_be_left_out_is_told_before_training(tmp_path: Path) -> None:
    """After a night of training it would be too late."""
    study = wr.load_study(write_study(tmp_path))
    with pytest.raises(StudyError, match="not there: east"):
        require_leaving_out(study, ["east"], ["north", "south", "west"])
    with pytest.raises(StudyError, match="one of two hospitals"):
        require_leaving_out(study, ["north"], ["north", "south"])
    with pytest.raises(StudyError, match="fedbn"):
        require_leaving_out(study.revised(algorithm={"name": "fedbn"}), ["all"], None)
    require_leaving_out(study, ["all"], ["north", "south", "west"])
    require_leaving_out(study, ["anybody"], None)


def test_the_study_without_one_hospital_is_else_the_same(tmp_path: Path) -> None:
    """Another setting would be another answer; only the sum is in the open, which gives the same bits."""
    study = wr.load_study(write_study(tmp_path)).revised(
        sites={"names": ("north", "south", "west"), "minimum": 3},
        summation={"threshold": 3, "max_set_changes": 2, "weight_step": 5},
    )
    smaller = without_one(study.revised(personal={"candidates": ("own", "fine_tuned"), "passes": 3}), "west")
    assert smaller.personal.candidates == ()
    assert smaller.sites.names == ("north", "south") and smaller.sites.minimum == 2
    assert (smaller.summation.mode, smaller.summation.weight_step) == ("plain", 5)
    assert smaller.training == study.training and smaller.network == study.network and task_of(smaller).headline == "auc"


def test_records_at_hand_are_read_where_the_run_keeps_them(left: wr.Run, tmp_path: Path) -> None:
    """A divided data set has no folder of the user's: the run's own file of the hospital gives the same answers."""
    trained = wr.Run(left.folder / "left_out" / "west", left.record)
    folder = kept_hospitals(left.folder)[SiteId("west")]
    records = load_records(load_study(left.folder / "study.toml"), folder.path, prepared=False)
    write_records(tmp_path / "west.npz", records)
    read, kept = (judged(trained, one, "cpu") for one in (folder, Place(tmp_path / "west.npz", prepared=True)))
    np.testing.assert_array_equal(read.outputs, kept.outputs)
    assert read.fingerprint == kept.fingerprint and len(read.labels) == len(records.where("test"))


@pytest.mark.slow
def test_a_newcomer_chooses_its_threshold_where_each_hospital_does(tmp_path: Path) -> None:
    """At one half it would be judged by another rule than all hospitals beside it, and its accuracy could not be compared."""
    study = wr.load_study(write_study(tmp_path)).revised(evaluation={"threshold": "local"}, summation={"mode": "plain"})
    hospitals = write_hospitals(tmp_path)
    write_hospital(hospitals["west"], rows=400, seed=9, healthier=4.0)
    run = wr.simulate(study, hospitals, out=tmp_path / "run", workers=0, register=False)
    turn = left_outs_at(leave_out(run, ["west"], IN_ORDER).folder / LEFT_OUT, run.record.run_id).sites["west"]
    others = wr.Run(run.folder / "left_out" / "west", run.record)
    records = load_records(study, hospitals["west"], prepared=False)
    task = task_of(study)
    validation, _ = outputs_for(others.model, records.where("validation"), Plan(study), "cpu")
    sums = task.sums(validation, records.where("validation").labels)
    assert turn.evaluation.value("threshold") == task.decide("near_half", {"validation": sums}) != 0.5
    page = (run.folder / "report.html").read_text("utf-8")
    assert "Each is judged at a threshold that its own validation patients chose" in page
