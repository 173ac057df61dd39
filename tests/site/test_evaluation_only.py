"""A site that was asked to evaluate a finished model answers its openings, one evaluation of that model, and the close."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.plan.permission import Permission
from wardround.plan.plan import Plan
from wardround.plan.releases import releases
from wardround.site.site import Site
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader, Refusal

from ..federation.evaluations import evaluation, finished_tree
from ..federation.tiny_federation import NAMES, files_in, records, site

pytestmark = pytest.mark.permission

STUDY = evaluation(mode="plain")
MODEL = finished_tree()
OTHER = finished_tree(8)
ONE_WEIGHT = {name: array.copy() for name, array in MODEL.items()}
next(iter(ONE_WEIGHT.values())).flat[0] += np.float32(2.0**-20)
DIFFERENT = next(name for name in sorted(MODEL) if not np.array_equal(MODEL[name], OTHER[name]))
HEAD_OF_ANOTHER = {**MODEL, DIFFERENT: OTHER[DIFFERENT]}


def order(step: Any, number: int, bundle: Bundle, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"study": STUDY.hash, "step": step, "round": number, "cohort": NAMES}
    fields |= {"label": "federated"} if step == "evaluate" else {}
    return to_bytes(Order(OrderHeader(**(fields | changes)), pack_bundle(bundle)))


OPEN, EVALUATE, CLOSE = order("open", 0, {"model": MODEL}), order("evaluate", 0, {"model": MODEL}), order("close", 0, {})


def word(answer: bytes) -> str:
    """The word of a refusal; empty for a contribution."""
    message = from_bytes(answer)
    assert isinstance(message, Refusal | ContributionMessage)
    return message.header.code if isinstance(message, Refusal) else ""


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Site]:
    one = site("north", STUDY, tmp_path / "north")
    yield one
    one.close()


def test_its_list_is_its_openings_one_evaluation_and_the_close() -> None:
    """Nothing else can ever be asked, whoever asks."""
    plain = [planned.name for planned in Permission(Plan(STUDY))]
    assert plain == ["open/0/", "open/0/again", "evaluate/0/federated", "close/0/"]
    masked = evaluation().revised(sites={"names": NAMES})
    names = [planned.name for planned in Permission(Plan(masked))]
    assert names == [*(f"open/{n}/" for n in range(10)), "open/0/again", "evaluate/0/federated", "close/0/"]
    assert [release.step for release in releases(Plan(masked))] == ["opening", "evaluation"]


def test_it_answers_the_whole_list_once(north: Site) -> None:
    """The way of an honest run; the same bytes get the stored answer."""
    answers = [north.handle(one) for one in (OPEN, EVALUATE, CLOSE)]
    assert [word(answer) for answer in answers] == ["", "", ""]
    assert north.handle(CLOSE) == answers[-1]
    assert word(north.handle(EVALUATE)) == "closed"


TRAIN = order("train", 1, {"model": MODEL}, weight=76)
ILLEGAL: list[tuple[str, bytes, str]] = [
    ("a round", TRAIN, "not-in-study"),
    ("a round beyond all", order("train", 100_000, {"model": MODEL}, weight=76), "not-in-study"),
    ("an own model", order("own", 1, {}), "not-in-study"),
    ("personal models", order("personal", 1, {"model": MODEL}), "not-in-study"),
    ("an evaluation in a round", order("evaluate", 1, {"model": MODEL}), "not-in-study"),
    ("an evaluation under another label", order("evaluate", 0, {"model": MODEL}, label="last"), "not-in-study"),
    ("an evaluation of a hospital's own model", order("evaluate", 0, {"model": MODEL}, label="own-north"), "not-in-study"),
    ("an evaluation without a label", order("evaluate", 0, {"model": MODEL}, label=""), "not-in-study"),
    ("a close in a round", order("close", 1, {}), "not-in-study"),
    ("an opening that a plain study does not have", order("open", 1, {"model": MODEL}), "not-in-study"),
    ("a weight", order("evaluate", 0, {"model": MODEL}, weight=1), "weight"),
    ("another model", order("evaluate", 0, {"model": OTHER}), "model"),
    ("a model with one weight moved", order("evaluate", 0, {"model": ONE_WEIGHT}), "model"),
    ("a model with one array of another", order("evaluate", 0, {"model": HEAD_OF_ANOTHER}), "model"),
    ("a second part", order("evaluate", 0, {"model": MODEL, "control": MODEL}), "model"),
    ("a model that is no number", order("evaluate", 0, {"model": {n: a * np.float32("nan") for n, a in MODEL.items()}}), "model"),
    ("another opening", order("open", 0, {"model": OTHER}), "other-content"),
]


@pytest.mark.parametrize(("what", "bad", "refusal"), ILLEGAL, ids=[what for what, _, _ in ILLEGAL])
def test_every_other_step_is_refused_and_changes_nothing(north: Site, what: str, bad: bytes, refusal: str) -> None:
    """What a pre-approval let in is this list alone; after the attempt the honest evaluation is answered as ever."""
    north.handle(OPEN)
    before = files_in(north.store.folder)
    assert word(north.handle(bad)) == refusal, what
    assert files_in(north.store.folder) == before
    assert word(north.handle(EVALUATE)) == ""


@pytest.mark.parametrize("bad", [order("open", 0, {"model": one}) for one in (OTHER, ONE_WEIGHT, HEAD_OF_ANOTHER)])
def test_another_model_does_not_open_the_study(tmp_path: Path, bad: bytes) -> None:
    """The study is about one model, and no record is looked at for another."""

    def unread() -> Any:
        raise AssertionError("a record was looked at")

    one = site("north", STUDY, tmp_path / "north", unread)
    assert word(one.handle(bad)) == "model"
    assert word(one.handle(EVALUATE)) == "not-open"
    one.close()


def test_another_model_of_the_same_network_is_not_evaluated_a_second_time(north: Site) -> None:
    """One evaluation: a second model, however near, would make a difference of two sums."""
    north.handle(OPEN)
    north.handle(EVALUATE)
    for tree in (OTHER, ONE_WEIGHT):
        assert word(north.handle(order("evaluate", 0, {"model": tree}))) in ("model", "other-content")
    assert word(north.handle(order("evaluate", 0, {"model": MODEL}, cohort=("east", "north", "south", "west")))) == "asked-before"


def counts(answer: bytes) -> Tree:
    message = from_bytes(answer)
    assert isinstance(message, ContributionMessage)
    return message.arrays


def test_nobody_is_told_how_many_patients_it_could_train_on(tmp_path: Path) -> None:
    """They play no part, so two hospitals that differ in them alone send the same."""
    told = []
    for name, extra in (("a", 0), ("b", 5)):
        made = records("north")
        kept = np.flatnonzero((made.splits != "train") | (np.arange(len(made)) >= extra))
        one = site("north", STUDY, tmp_path / name, lambda made=made, kept=kept: made.select(kept))
        told.append([counts(one.handle(data))["counts/words"].tolist() for data in (OPEN, EVALUATE)])
        one.close()
    assert told[0] == told[1]
    assert any(told[0][0])


def test_a_hospital_without_test_patients_stops(tmp_path: Path) -> None:
    """Its sums would be of nobody."""
    made = records("north")
    one = site("north", STUDY, tmp_path / "north", lambda: made.where("train"))
    assert word(one.handle(OPEN)) == "records"
    one.close()


def test_a_lost_state_gets_the_same_model_again_or_none(tmp_path: Path) -> None:
    """`open/0/again` is an opening like the others."""
    one = site("north", STUDY, tmp_path / "north")
    assert word(one.handle(order("open", 0, {"model": ONE_WEIGHT}, label="again"))) == "model"
    assert word(one.handle(order("open", 0, {"model": MODEL}, label="again"))) == ""
    assert word(one.handle(EVALUATE)) == ""
    one.close()


def test_frozen_arrays_of_the_opening_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a part travels again, the rest is that of the opening: whoever changes the file changes the model."""
    one = site("north", STUDY, tmp_path / "north")
    one.handle(OPEN)
    facts = one.plan.network
    shared = sorted(facts.trainable - {DIFFERENT})
    monkeypatch.setitem(one.plan.__dict__, "network", type(facts)(facts.shapes, frozenset(shared), facts.norms))
    monkeypatch.setattr(one, "permission", Permission(one.plan))
    monkeypatch.setattr(one.work, "_frozen", None)
    part = {name: MODEL[name] for name in shared}
    one.store.write_tree("start", OTHER)
    assert word(one.handle(order("evaluate", 0, {"model": part}))) == "model"
    one.store.write_tree("start", MODEL)
    assert word(one.handle(order("evaluate", 0, {"model": part}))) == ""
    one.close()
