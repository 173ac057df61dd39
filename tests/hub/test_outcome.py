"""From a run's sums to its record: every figure a reader sees comes through here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.hub.checkpoint import Progress, RoundHistory
from wardround.hub.outcome import Outcome, decided, summary_json
from wardround.hub.run_folder import RunPlan
from wardround.plan.plan import FEDERATED, own_label
from wardround.study.declaration import Study
from wardround.study.record.run_record import ModelRecord, RunRecord
from wardround.tasks.registry import task_of
from wardround.tasks.sums import Sums
from wardround.values.ids import SiteId

from ..federation.private_studies import private_study
from ..federation.tiny_federation import study

EAST, NORTH = SiteId("east"), SiteId("north")
SITES = (EAST, NORTH)
MODEL = ModelRecord(sha256="a" * 64, parameters=2, files={})
Scores = tuple[list[float], list[int]]  # outputs and labels, record by record

PERFECT: Scores = ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
REVERSED: Scores = ([2.0, -2.0], [0, 1])
LATE: Scores = ([0.5, 1.0, 3.0, 4.0], [0, 0, 1, 1])  # perfect too, but only above a higher threshold


def sums(scores: Scores) -> Sums:
    return task_of(study()).sums(np.array(scores[0]), np.array(scores[1]))


def together(*parts: Scores) -> Scores:
    return [x for outputs, _ in parts for x in outputs], [y for _, labels in parts for y in labels]


def auc(scores: Scores) -> float:
    """By its definition: the share of pairs that are in the right order."""
    pairs = [(p, n) for p, yes in zip(*scores, strict=True) if yes for n, no in zip(*scores, strict=True) if not no]
    return sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs)


def by_split(validation: Scores, test: Scores) -> dict[str, Any]:
    return {"validation": sums(validation).to_json(), "test": sums(test).to_json()}


def a_round(number: int, validation: Scores, **changes: Any) -> RoundHistory:
    """validation: of the model that came in."""
    fields: dict[str, Any] = {
        "round": number,
        "seconds": 1.0,
        "counted": SITES,
        "lost": {},
        "loss": 0.5,
        "clipped": 0,
        "validation": sums(validation).to_json(),
        "bytes_out": 10,
        "bytes_in": 20,
    }
    return RoundHistory(**(fields | changes))


def site_round(validation: Scores, loss_sum: float = 3.0, loss_count: int = 6) -> dict[str, Any]:
    return {"loss_sum": loss_sum, "loss_count": loss_count, "evaluations": {"validation": sums(validation).to_json()}}


def report(evaluations: dict[str, Any], rounds: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {"images": [8, 4, 4], "patients": [6, 3, 2], "positives": [4, 2, 2]}
    return {"evaluations": evaluations, "rounds": rounds, "dataset_counts": {"counts": counts}, **more}


def outcome(declared: Study | None = None, **changes: Any) -> Outcome:
    """Two hospitals and two rounds. At east the shared model is perfect, at north it is the wrong way round."""
    rounds = {"1": site_round(PERFECT), "2": site_round(PERFECT, loss_count=0)}
    reports = {
        "east": report({FEDERATED: by_split(PERFECT, PERFECT), own_label("east"): by_split(LATE, PERFECT)}, rounds),
        "north": report({FEDERATED: by_split(PERFECT, REVERSED)}, rounds),
    }
    progress = Progress(
        study=(declared or study()).hash,
        sites=SITES,
        round=2,
        state={"model": {"w": np.zeros(2, np.float32)}},
        history=(a_round(1, REVERSED), a_round(2, LATE)),
        evaluations={
            FEDERATED: by_split(together(PERFECT, PERFECT), together(PERFECT, REVERSED)),
            own_label("east"): by_split(LATE, together(PERFECT, LATE)),
        },
    )
    plan = RunPlan("run-1", progress.study, "2026-01-02T03:04:05+00:00", synthetic=True)
    return replace(Outcome(declared or study(), plan, progress, reports, {}, 0), **changes)


def figures(evaluation: Any) -> dict[str, Any]:
    assert evaluation is not None
    return dict(evaluation.values)


def test_pooled_figures_are_those_of_all_test_patients_together() -> None:
    """Not the mean of the hospitals' figures: the small hospital would count as much as the large one."""
    record = outcome().record(MODEL)
    assert record.pooled is not None
    everybody = together(PERFECT, REVERSED)
    pooled = figures(record.pooled.federated)
    assert pooled["auc"] == pytest.approx(auc(everybody)) and (pooled["n"], pooled["positives"]) == (6, 3)
    assert auc(everybody) != (auc(PERFECT) + auc(REVERSED)) / 2
    assert figures(record.sites["east"].federated)["auc"] == 1.0 and figures(record.sites["north"].federated)["auc"] == 0.0


def test_the_threshold_never_comes_from_test_patients() -> None:
    """A threshold chosen on test makes every figure at it too good."""
    honest = outcome()
    assert honest.threshold is not None
    for test, validation, same in ((LATE, together(PERFECT, PERFECT), True), (together(PERFECT, REVERSED), LATE, False)):
        evaluations = {**honest.progress.evaluations, FEDERATED: by_split(validation, test)}
        other = replace(honest, progress=replace(honest.progress, evaluations=evaluations))
        assert (other.threshold == honest.threshold) is same


def test_an_own_model_has_a_threshold_of_its_own() -> None:
    """Judged at the shared model's threshold it would look worse than it is."""
    run = outcome()
    assert run.own_models.keys() == {EAST}
    assert run.own_models[EAST] == decided(study(), {"validation": sums(LATE)}) != run.threshold


def test_a_local_threshold_is_each_hospitals_own_and_the_shared_one_is_one_half() -> None:
    """A private study may look at no validation patients together; each hospital may look at its own."""
    declared = private_study().revised(evaluation={"threshold": "local"})
    run, many = outcome(declared), (LATE[0] * 30, LATE[1] * 30)
    east = {**run.reports["east"], "evaluations": {FEDERATED: by_split(many, many)}} if run.reports else {}
    run = replace(run, reports={**(run.reports or {}), "east": east})
    record = run.record(MODEL)
    assert record.pooled is not None and figures(record.pooled.federated)["threshold"] == run.threshold == 0.5
    at_east, at_north = (figures(record.sites[site].federated) for site in SITES)
    assert at_east["threshold"] == decided(declared, {"validation": sums(many)})
    assert at_east["threshold"] > 0.6 and at_east["accuracy"] == 1.0
    assert at_north["threshold"] == 0.5, "four patients do not compel it away from one half"
    assert figures(record.cross[FEDERATED][EAST])["threshold"] == at_east["threshold"]


def test_a_private_run_is_judged_by_the_hospitals_own_reports() -> None:
    """Nothing but training was summed: the progress holds no evaluation to read."""
    run = outcome(private_study())
    assert run.sums(FEDERATED)["test"] == sums(together(PERFECT, REVERSED))
    empty = replace(run, progress=replace(run.progress, evaluations={}))
    assert empty.sums(FEDERATED) == run.sums(FEDERATED)
    assert empty.incoming(0) == sums(together(PERFECT, PERFECT)) != outcome().incoming(0)


def test_a_hospital_lost_before_the_end_has_no_figures_and_spoils_none() -> None:
    """It trained, so it stands in the record; a zero in place of its figures would be a lie."""
    run = outcome()
    assert run.reports is not None
    reports = {**run.reports, "north": report({}, run.reports["north"]["rounds"])}
    record = replace(run, reports=reports).record(MODEL)
    assert record.sites["north"].federated is None and record.sites["north"].patients == 11
    assert record.cross[FEDERATED].keys() == {"east"}
    assert replace(outcome(private_study()), reports=reports).sums(FEDERATED)["test"] == sums(PERFECT)


def test_a_round_is_shown_with_the_model_that_it_made() -> None:
    """A site scores the model that comes in: its scores belong to the round before."""
    run = outcome()
    record = run.record(MODEL)
    counted = [figures(entry.validation)["n"] for entry in record.rounds]
    assert [figures(record.start)["n"], *counted] == [2, 4, 8]  # REVERSED came into round 1, LATE into 2, the rest at the end
    assert figures(record.rounds[0].validation)["auc"] == auc(LATE) and figures(record.start)["auc"] == auc(REVERSED)


def test_the_loss_of_a_hospital_is_a_mean_or_nothing() -> None:
    """A hospital that trained on no record has no loss; zero would be the best of all."""
    record = outcome().record(MODEL)
    assert [entry.per_site["east"].train_loss for entry in record.rounds] == [0.5, None]


def test_only_hospitals_that_compared_are_said_to_have_been_compared() -> None:
    """That a hospital shares no record with the external set is evidence; that it did not look is none."""
    run = outcome()
    assert run.reports is not None
    reports = {**run.reports, "east": {**run.reports["east"], "external": {"shared_records": 0}}}
    checked = replace(run, reports=reports, external={"abroad": sums(PERFECT)})
    assert checked.record(MODEL).trained_on == {"abroad": {"east": 0}}
    assert run.record(MODEL).trained_on == {}


def test_counts_are_whole_numbers_and_missing_figures_are_null(tmp_path: Path) -> None:
    """Programs read this line: 4.0 patients are no count, and NaN is no JSON."""
    record = outcome(external={"abroad": sums(([1.0], [1]))}).record(MODEL)
    printed = json.loads(json.dumps(summary_json(record, tmp_path, 1.23456), allow_nan=False))
    assert printed["seconds"] == 1.235 and printed["rounds"] == 2 and printed["synthetic"] is True
    assert printed["external"]["abroad"]["auc"] is None  # one class alone
    assert isinstance(printed["external"]["abroad"]["n"], int) and printed["external"]["abroad"]["n"] == 1
    assert printed["sites"]["north"]["own"] is None and printed["sites"]["east"]["own"]["n"] == 4
    assert printed["pooled"]["own"].keys() == {"east"}


def test_a_record_reads_back_as_it_was_written() -> None:
    """The report, the card and the registry read the file, not the value."""
    record = outcome().record(MODEL)
    assert RunRecord.from_json(record.to_json()).to_json() == record.to_json()
