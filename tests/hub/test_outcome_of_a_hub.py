"""The record of a hub, which has no hospital's report: totals, names, and nothing in the place of what it does not know."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.evidence.shareable import shareable
from wardround.hub.checkpoint import Progress, RoundHistory
from wardround.hub.outcome import NETWORK, Outcome
from wardround.hub.run_folder import RunPlan
from wardround.plan.plan import FEDERATED, Plan
from wardround.plan.pricing import privacy_of, with_sites
from wardround.study.declaration import Study
from wardround.study.label import LABEL_KINDS
from wardround.study.reading import parse_study
from wardround.study.record.run_record import ModelRecord, RunRecord
from wardround.tasks import registry
from wardround.tasks.registry import register, task_of
from wardround.tasks.sums import Sums
from wardround.values.ids import SiteId

from ..federation.private_studies import private_study
from ..federation.tiny_federation import study
from ..tasks.length_of_stay import LABELS, LengthOfStay

EAST, NORTH = SiteId("east"), SiteId("north")
MODEL = ModelRecord(sha256="a" * 64, parameters=2, files={})
DAYS = """\
format = 1
[question]
title = "Days"
[data]
kind = "table"
[data.label]
kind = "length-of-stay"
[[data.columns]]
name = "a"
range = [-4, 4]
[network]
name = "mlp"
hidden = [4]
[algorithm]
name = "fedavg"
rounds = 2
[summation]
collusion = 0
"""


@pytest.fixture(autouse=True)
def every_kind() -> Iterator[None]:
    """Also the kind of question that only the tests have; taken back at the end."""
    register(LABELS, LengthOfStay)
    yield
    registry._TASKS.pop(LABELS.name)
    LABEL_KINDS.pop(LABELS.name)


def sums_of(declared: Study) -> Sums:
    task = task_of(declared)
    targets = np.arange(12) % 2 if task.headline == "auc" else np.arange(12.0)
    return task.sums(np.linspace(-2, 2, 12), targets)


def a_round(number: int, validation: Sums, **changes: Any) -> RoundHistory:
    fields: dict[str, Any] = {
        "round": number,
        "seconds": 1.0,
        "counted": (EAST, NORTH),
        "lost": {},
        "loss": 0.5,
        "clipped": 0,
        "validation": validation.to_json(),
        "bytes_out": 10,
        "bytes_in": 20,
    }
    return RoundHistory(**(fields | changes))


def outcome(declared: Study, *, evaluated: bool = True) -> Outcome:
    """Two hospitals, two rounds; in the second north was missing, so that it has no figures."""
    sums, none = sums_of(declared), Sums.zero(task_of(declared).shapes)
    private = declared.privacy.private
    counted = {"images": [8, 4, 4], "patients": [6, 3, 2]} | {name: [4, 2, 2] for name in task_of(declared).words.counted}
    split_sums = {split: sums.to_json() for split in ("validation", "test")}
    progress = Progress(
        study=declared.hash,
        sites=(EAST, NORTH),
        round=2,
        state={"model": {"w": np.zeros(2, np.float32)}},
        dataset_counts={} if private else counted,
        history=(
            a_round(1, none if private else sums, loss=None if private else 0.5),
            a_round(2, none, counted=(EAST,), lost={NORTH: "no-answer"}, loss=None),
        ),
        evaluations={FEDERATED: split_sums} if evaluated and not private else {FEDERATED: {}},
    )
    plan = RunPlan("run-1", progress.study, "2026-01-02T03:04:05+00:00", synthetic=False)
    return Outcome(declared, plan, progress, None, {}, 2, privacy_of(Plan(declared)), engine=NETWORK)


KINDS = {"binary": lambda: study(rounds=2), "length-of-stay": lambda: parse_study(DAYS)}


@pytest.mark.parametrize("kind", KINDS)
def test_totals_and_names_are_all_that_a_hub_knows(kind: str) -> None:
    """Nothing in the record may be of one hospital, and what is of all must be there."""
    declared = KINDS[kind]()
    record = outcome(declared).record(MODEL)
    assert (record.hospitals, record.sites, record.cross, record.trained_on) == (("east", "north"), {}, {}, {})
    assert all(entry.per_site == {} for entry in record.rounds)
    assert record.totals is not None and (record.totals.patients, record.totals.images) == (11, 16)
    assert record.totals.labels == dict.fromkeys(task_of(declared).words.counted, 8)
    assert record.pooled is not None and record.pooled.own == {}
    assert record.pooled.federated.value("n") == 12 and record.pooled.federated.value(task_of(declared).headline) is not None
    assert record.engine == NETWORK and RunRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_of_nobody_is_a_blank_and_no_zero(kind: str) -> None:
    """Without its evaluation a model would have an AUC of nothing, and a curve would fall where a hospital was away."""
    record = outcome(KINDS[kind](), evaluated=False).record(MODEL)
    assert record.pooled is None and record.start is not None
    assert [entry.validation for entry in record.rounds] == [None, None]


def test_a_private_record_holds_the_price_and_no_figure_of_patients() -> None:
    """What it cost each hospital stands in that hospital's ledger; the hub must not guess it."""
    record = outcome(with_sites(private_study(rounds=2))).record(MODEL)
    assert record.privacy is not None and record.privacy.epsilon and record.privacy.events == 2
    assert (record.privacy.spent, record.privacy.ledger_entries) == ({}, {})
    assert (record.pooled, record.start, record.totals) == (None, None, None)
    assert all(entry.validation is None and entry.train_loss is None for entry in record.rounds)


@pytest.mark.slow
@pytest.mark.parametrize("declare", [*KINDS.values(), lambda: with_sites(private_study(rounds=2))], ids=[*KINDS, "private"])
def test_report_and_card_say_whose_figures_they_lack(declare: Any) -> None:
    """A reader must not take a missing table for a hospital without patients."""
    record = outcome(declare()).record(MODEL)
    page, card = render_report(record), render_model_card(record)
    for text in (page, card):
        assert "No figure of a single hospital is in this record" in text and "2 hospitals" in text
        assert "simulation" not in text.replace("wardround simulate", "")
    assert "east" in card and not any(blank in page for blank in (">nan<", ">None<"))
    if record.totals is not None:
        assert "All hospitals together, as their sum said it" in card
    assert render_report(shareable(record))


def test_a_record_of_an_earlier_release_still_names_its_hospitals() -> None:
    """Records outlive the program that wrote them."""
    record = outcome(study(rounds=2)).record(MODEL)
    older = {name: value for name, value in record.model_dump(mode="json").items() if name not in ("hospitals", "totals")}
    assert RunRecord.model_validate(older, strict=False).took_part == ()
    assert replace(outcome(study(rounds=2)), workers=3).record(MODEL).took_part == ("east", "north")
