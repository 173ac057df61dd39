"""The run record: what a report may rely on years later."""

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from wardround.study.label import LabelContract
from wardround.study.record.run_record import (
    Evaluation,
    MachineRecord,
    ModelRecord,
    NetworkRecord,
    Pooled,
    RoundRecord,
    RunRecord,
    SiteRecord,
    SiteRound,
    VersionsRecord,
)
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.figures import METRICS
from wardround.tasks.evaluation import evaluation_of, sums_of
from wardround.tasks.sums import Sums
from wardround.values.errors import RunError, WireError

TASK = BinaryTask(LabelContract())


def sums(labels: tuple[int, ...] = (0, 0, 1, 1, 1)) -> Sums:
    return TASK.sums(np.array([-3.0, 0.2, 0.1, 2.0, 99.0])[: len(labels)], np.array(labels))


def record(**changes: Any) -> RunRecord:
    found = evaluation_of(TASK, sums(), 0.5, replicates=20)
    lost = RoundRecord(round=1, seconds=1.5, counted=("north",), lost={"south": "deadline"}, train_loss=math.nan)
    full = RoundRecord(
        round=2,
        seconds=np.float32(1.25),  # type: ignore[arg-type]
        counted=("north", "south"),
        train_loss=np.float32(0.5),  # type: ignore[arg-type]
        validation=found,
        bytes_out=np.int64(10),  # type: ignore[arg-type]
        per_site={"north": SiteRound(train_loss=0.4, validation=found)},
    )
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "created": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
        "study_title": "Opacities",
        "study_hash": "a" * 64,
        "study_toml": "title = 'Opacities'",
        "seed": 1,
        "engine": "in_process",
        "workers": 2,
        "synthetic": True,
        "versions": VersionsRecord(wardround="0.1.0", torch="2", numpy="2", python="3.11", platform="Linux x86_64"),
        "machine": MachineRecord(cores=2),
        "network": NetworkRecord(name="small_cnn", parameters=10),
        "algorithm": "fedavg",
        "privacy_mode": "none",
        "summation_mode": "plain",
        "rounds": (lost, full),
        "sites": {"north": SiteRecord(patients=3, images=5, positives=3, own=found, federated=found)},  # type: ignore[call-arg]
        "pooled": Pooled(federated=found, own={"north": found}),
        "cross": {"north": {"north": found}},
        "model": ModelRecord(sha256="b" * 64, parameters=10, files={"safetensors": "model.safetensors"}, threshold=0.5),
    }
    return RunRecord(**(fields | changes))


def test_a_record_survives_its_file_unchanged() -> None:
    """A report made again from the file must show the same figures."""
    again = RunRecord.from_json(record().to_json())
    assert again == record()
    assert again.to_json() == record().to_json()


def test_equal_records_name_their_sites_in_one_order() -> None:
    """A report made from the file must be the one made from memory, to the byte."""
    north = record().sites["north"]
    one, other = (record(sites=dict.fromkeys(names, north)) for names in (("b", "a"), ("a", "b")))
    assert one.to_json() == other.to_json()
    assert list(one.sites) == list(RunRecord.from_json(one.to_json()).sites) == ["a", "b"]


def test_undefined_figures_are_null_in_the_file() -> None:
    """JSON has no NaN; other programs must be able to read the record."""
    one_class = evaluation_of(TASK, sums((0, 0)), 0.5)
    written = json.loads(record(pooled=Pooled(federated=one_class)).to_json())
    assert written["rounds"][0]["train_loss"] is None
    assert written["pooled"]["federated"]["values"]["auc"] is None
    assert written["pooled"]["federated"]["intervals"]["auc"] is None
    assert written["pooled"]["federated"]["values"]["specificity"] == 0.5


def test_numbers_of_numpy_become_plain_ones() -> None:
    """A run of an hour must not fail at its end over the type of a counter."""
    assert record().rounds[1].train_loss == 0.5
    assert type(record().rounds[1].bytes_out) is int


def test_an_evaluation_gives_back_the_sums_it_was_made_from() -> None:
    """ROC and calibration curves are drawn from the record alone."""
    found = evaluation_of(TASK, sums(), 0.4)
    assert sorted(found.values) == sorted(METRICS)
    assert sums_of(TASK, Evaluation.model_validate_json(found.model_dump_json())) == sums()
    assert found.value("n") == 5
    assert found.interval("auc") == evaluation_of(TASK, sums(), 0.4).intervals["auc"]
    assert found.value("no such metric") is None


def test_an_evaluation_of_a_round_may_leave_out_sums_and_bootstrap() -> None:
    """A long run keeps curves, not a histogram per site and round."""
    found = evaluation_of(TASK, sums(), 0.4, replicates=0, keep_sums=False)
    assert sums_of(TASK, found) is None
    assert found.interval("auprc") is None
    assert found.interval("accuracy") is not None


def test_a_lost_site_is_counted_over_the_rounds() -> None:
    """Reports name the hospitals that dropped out."""
    assert record().lost_sites == {"south": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"run_id": "../run"}, "run_id"),
        ({"created": "yesterday"}, "created"),
        ({"study_hash": "abc"}, "study_hash"),
        ({"rounds": record().rounds[1:]}, "without a gap"),
    ],
)
def test_what_is_not_understood_is_refused(changes: dict[str, Any], message: str) -> None:
    """A record of a newer format or a tampered one must not be shown as if it had been read."""
    with pytest.raises(ValidationError, match=message):
        record(**changes)


def test_a_site_cannot_be_both_counted_and_lost() -> None:
    """State of a lost reply must never be kept as if it had been counted."""
    with pytest.raises(ValidationError, match="both counts and loses north"):
        RoundRecord(round=1, seconds=0.0, counted=("north",), lost={"north": "deadline"}, train_loss=None)


def test_what_a_task_counts_of_labels_stands_beside_the_other_counts() -> None:
    """Records of every release so far hold `positives` there; another question counts something else."""
    site = SiteRecord(patients=3, images=5, positives=3)  # type: ignore[call-arg]
    assert site.label_counts == {"positives": 3}
    assert json.loads(site.model_dump_json())["positives"] == 3
    assert SiteRecord.model_validate_json(site.model_dump_json()) == site
    for wrong in (-1, 1.5, "three"):
        with pytest.raises(ValidationError):
            SiteRecord(patients=3, images=5, positives=wrong)  # type: ignore[call-arg]


@pytest.mark.parametrize("places", [[[5, 1], [5, 1]], [[7, 1], [5, 1]], [[1024, 1]], [[3, 0]], [[3, 1.5]]])
def test_bins_out_of_place_are_refused(places: list[list[float]]) -> None:
    """A record edited by hand must not draw a wrong curve."""
    found = evaluation_of(TASK, sums(), 0.4)
    edited = Evaluation(values=found.values, sums={**(found.sums or {}), "negatives": places})
    with pytest.raises(WireError, match="not the sums of an evaluation"):
        sums_of(TASK, edited)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 2}', record().to_json()[:-9]])
def test_a_damaged_file_is_named_with_a_mend(data: bytes) -> None:
    """The user sees which file, and what to do."""
    with pytest.raises(RunError, match=r"runs/7 is not a run record .* What to do"):
        RunRecord.from_json(data, name="runs/7")
