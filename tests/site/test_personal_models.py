"""A site that makes its personal models: nothing leaves, one model is kept, and what goes wrong is its own affair."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from wardround.algorithms.personal import Memory, Neighbours, Part, PersonalModel
from wardround.clinic.answering.network import open_network
from wardround.plan.plan import Plan
from wardround.site.personal_models import outputs_of
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError
from wardround.values.log import LOG
from wardround.values.records import Records
from wardround.values.tree import same_bits
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader, Refusal

from ..federation.tiny_federation import records, site, study

STUDY = study(own=True).revised(
    personal={
        "candidates": ["own", "federated", "fine_tuned", "private_head", "proximal", "recalibrated", "mixed", "neighbours"],
        "passes": 2,
    }
)
COHORT = ("east", "north", "south")


def trained(of_study: Study) -> dict[str, Any]:
    """A model that says something."""
    rng = np.random.Generator(np.random.Philox(4))
    model = Plan(of_study).initial_model()
    return {name: (array + 0.4 * rng.standard_normal(array.shape)).astype(np.float32) for name, array in model.items()}


def order(step: Any, number: int, declared: Study = STUDY, **changes: Any) -> bytes:
    bundle = {} if step in ("own", "close") else {"model": trained(declared)}
    fields = {"study": declared.hash, "step": step, "round": number, "cohort": COHORT} | changes
    return to_bytes(Order(OrderHeader(**fields), pack_bundle(bundle)))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes the site north, with the study open."""
    running: list[Site] = []

    def begin(these: Records | None = None, declared: Study = STUDY) -> Site:
        load = (lambda: records("north")) if these is None else (lambda: these)
        running.append(site("north", declared, tmp_path / f"north-{len(running)}", load))
        assert isinstance(from_bytes(running[-1].handle(order("open", 0, declared))), ContributionMessage)
        return running[-1]

    yield begin
    for one in running:
        one.close()


def choice_of(one: Site) -> dict[str, Any]:
    chosen: dict[str, Any] = one.store.report()["personal"]["choice"]
    return chosen


def with_splits(**labels: int) -> Records:
    """North's records, the labels of a split all alike; -1 takes the split away."""
    these = records("north")
    for split, label in labels.items():
        inside = these.splits == split
        if label < 0:
            these = replace(these, splits=np.where(inside, "train", these.splits))
        else:
            these = replace(these, labels=np.where(inside, label, these.labels).astype(np.int8))
    return these


def test_the_answer_is_empty_and_the_same_size_whatever_the_patients(opened: Callable[..., Site]) -> None:
    """Which model a hospital chose is a fact about its patients."""
    worlds = [None, with_splits(validation=0), with_splits(validation=-1), with_splits(test=-1, validation=1)]
    replies = [opened(these).handle(order("personal", 3)) for these in worlds]
    messages = [from_bytes(reply) for reply in replies]
    assert all(isinstance(message, ContributionMessage) and not message.arrays for message in messages)
    assert len({len(reply) for reply in replies}) == 1


def test_one_order_leaves_a_model_that_is_chosen_and_tested(opened: Callable[..., Site]) -> None:
    """What a hospital joins for: a model for its own patients, and what it is worth."""
    one = opened()
    one.handle(order("personal", 3))
    choice, folder = choice_of(one), one.store.folder
    assert [entry["name"] for entry in choice["candidates"]] == list(STUDY.personal.candidates)
    assert choice["patients"] == 8 and choice["few"] and choice["reason"]
    assert sha256_hex((folder / "chosen.safetensors").read_bytes()) == choice["sha256"]
    assert {kind: (folder / name).exists() for kind, name in choice["files"].items()} == dict.fromkeys(
        ("safetensors", "onnx", "card"), True
    )
    assert all((folder / name).stat().st_mode & 0o77 == 0 for name in choice["files"].values())
    assert set(one.store.report()["evaluations"]["chosen"]) == {"validation", "test"}
    assert choice["over_own"].keys() == {"auc", "log_loss"} == choice["over_federated"].keys()
    assert choice["over_own"]["log_loss"]["difference"] == pytest.approx(choice["losses"]["chosen"] - choice["losses"]["own"])


@pytest.mark.parametrize("kept", ["mixed", "federated"])
def test_the_file_gives_what_the_chosen_model_gives(
    opened: Callable[..., Site], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bedside the ONNX file is the model; of a mixture it holds both."""
    from wardround.algorithms.personal import Choice
    from wardround.site import personal_models

    monkeypatch.setattr(personal_models, "choose", lambda _: Choice((kept,), "for the test", 8, {}))
    monkeypatch.setattr("wardround.algorithms.personal.mixed.SHARES", (0.25,))
    one = opened()
    one.handle(order("personal", 3))
    path = one.store.folder / "chosen.onnx"
    session = onnxruntime.InferenceSession(path.read_bytes())
    statement = ModelStatement.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY], name="chosen.onnx")
    assert statement.study_hash == STUDY.hash and not statement.synthetic
    rows = records("north").where("test")
    inside = np.abs(rows.inputs).max(axis=1) <= 2  # of the contract's range; a prepared value is half of the column's
    columns = {name: rows.inputs[:, place].astype(np.float64) * 2 for place, name in enumerate("abc")}
    shown = session.run(None, columns)[0].reshape(-1)
    weights = one.store.read_tree("chosen")
    assert weights is not None and ("0/weight" in weights) == (kept == "mixed")
    models = [(1.0, trained(STUDY))] if kept == "federated" else [(0.75, one.store.read_tree("own-1")), (0.25, trained(STUDY))]
    logits = sum(weight * one.work.bench.outputs(tree, "test") for weight, tree in models)
    assert inside.sum() > 4
    np.testing.assert_allclose(shown[inside], 1 / (1 + np.exp(-logits))[inside], atol=1e-5)


def test_a_model_that_asks_its_neighbours_is_whole_in_its_files_and_says_what_it_holds(
    opened: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, statement, ONNX and report must say that patients stand in them; and the file gives what was judged."""
    from wardround.algorithms.personal import Choice
    from wardround.site import personal_models

    monkeypatch.setattr(personal_models, "choose", lambda _: Choice(("own", "neighbours"), "for the test", 8, {}))
    monkeypatch.setattr("wardround.algorithms.personal.neighbours.USUAL_SHARE", 0.7)
    monkeypatch.setattr("wardround.algorithms.personal.neighbours.SHARE_DEVIATION", 1e-6)
    one = opened()
    one.handle(order("personal", 3))
    assert choice_of(one)["holds_records"] and choice_of(one)["chosen"] == "own + neighbours"
    weights, train = one.store.read_tree("chosen"), records("north").where("train")
    assert weights is not None and weights["1/neighbours.inner"].shape == (len(train), 4)
    assert weights["1/neighbours.votes"].sum() == train.labels.sum()
    assert {float(weights[f"{number}/weight"]) for number in (0, 1)} == {0.5}

    session = onnxruntime.InferenceSession((one.store.folder / "chosen.onnx").read_bytes())
    statement = ModelStatement.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY], name="chosen.onnx")
    assert statement.holds_records and "never leave" in (one.store.folder / "chosen.md").read_text("utf-8")
    rows = records("north").where("test")
    inside = np.abs(rows.inputs).max(axis=1) <= 2
    columns = {name: rows.inputs[:, place].astype(np.float64) * 2 for place, name in enumerate("abc")}
    shown, bench = session.run(None, columns)[0].reshape(-1), one.work.bench
    memory = Memory(weights["1/neighbours.inner"], weights["1/neighbours.votes"])
    asked = Neighbours(memory, *(float(weights[f"1/neighbours.{name}"]) for name in ("nearest", "scale", "share")))
    asked = replace(asked, nearest=int(asked.nearest))
    own, tree = ({name[2:]: array for name, array in weights.items() if name.startswith(f"{number}/")} for number in (0, 1))
    network = [{name: array for name, array in part.items() if name in trained(STUDY)} for part in (own, tree)]
    refused = session.run(None, {name: np.array([1e9]) for name in "abc"})[0]
    assert np.isnan(refused).all(), "a record that the contract refuses has no neighbours either"
    logits = outputs_of(bench, PersonalModel((Part(0.5, network[0]), Part(0.5, network[1], asked))), "test")
    np.testing.assert_allclose(shown[inside], 1 / (1 + np.exp(-logits))[inside], atol=1e-5)
    assert np.abs(logits - bench.outputs(network[1], "test")).max() > 0.1

    clinic = open_network((one.store.folder / "chosen.onnx").read_bytes())
    answered = clinic.outputs(rows.inputs[inside])
    np.testing.assert_allclose(answered.shown[:, 0], logits[inside], atol=1e-4)
    assert answered.embedding.shape == (inside.sum(), 4), "the doctor's page knows what the last layer reads, as of any model"


def test_a_model_without_patients_says_nothing_new(opened: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal models of equal studies stay equal files: the statement has one more word only where it is true."""
    from wardround.algorithms.personal import Choice
    from wardround.site import personal_models

    monkeypatch.setattr(personal_models, "choose", lambda _: Choice(("mixed",), "for the test", 8, {}))
    one = opened()
    one.handle(order("personal", 3))
    assert choice_of(one)["holds_records"] is False
    assert b"holds_records" not in (one.store.folder / "chosen.safetensors").read_bytes()
    assert "never leave the hospital" not in (one.store.folder / "chosen.md").read_text("utf-8")


@pytest.mark.parametrize(("change", "word"), [({"validation": 1}, "one class"), ({"validation": -1}, "no validation patient")])
def test_who_cannot_choose_keeps_the_own_model_and_says_so(
    opened: Callable[..., Site], change: dict[str, int], word: str
) -> None:
    """No patient, or patients of one class, cannot tell a good model from a bad one."""
    one = opened(with_splits(**change))
    one.handle(order("personal", 3))
    assert choice_of(one)["chosen"] == "own" and word in choice_of(one)["reason"]


def test_who_cannot_tell_two_models_apart_keeps_the_mean_of_both(
    opened: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file at the bedside is what was judged: both models, half and half."""
    from wardround.algorithms.personal import Choice
    from wardround.site import personal_models

    monkeypatch.setattr(personal_models, "choose", lambda _: Choice(("own", "federated"), "for the test", 8, {}))
    one = opened()
    one.handle(order("personal", 3))
    weights, own = one.store.read_tree("chosen"), one.store.read_tree("own-1")
    assert choice_of(one)["chosen"] == "own + federated" and weights is not None and own is not None
    assert {number: float(weights[f"{number}/weight"]) for number in (0, 1)} == {0: 0.5, 1: 0.5}
    assert np.array_equal(weights["0/head.weight"], own["head.weight"])
    assert np.array_equal(weights["1/head.weight"], trained(STUDY)["head.weight"])


@pytest.mark.slow
def test_own_rounds_that_were_not_ordered_are_made_up_for(opened: Callable[..., Site]) -> None:
    """A study without own models in its table still needs each hospital's own: it is what the others are held against."""
    ordered, alone = opened(), opened(None, STUDY.revised(evaluation={"own_baseline": False}))
    for number in (1, 2, 3):
        ordered.handle(order("own", number))
    for one in (ordered, alone):
        one.handle(order("personal", 3, STUDY if one is ordered else STUDY.revised(evaluation={"own_baseline": False})))
        assert one.store.read().own_round == 3
    first, second = (one.store.read_tree("own-1") for one in (ordered, alone))
    assert first is not None and second is not None and same_bits(first, second)


def test_what_goes_wrong_is_told_at_home_and_answered_as_ever(
    opened: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal would tell that these records, and not others, made training stumble."""

    def broken(*_: object, **__: object) -> None:
        raise RunError("the exported model does not give the same probabilities")

    one, whole = opened(), opened()
    monkeypatch.setattr("wardround.training.onnx_export.export_onnx", broken)
    without_file = one.handle(order("personal", 3))
    assert choice_of(one)["files"].keys() == {"safetensors", "card"}
    assert "chosen.onnx was not written" in (one.store.folder / LOG).read_text("utf-8")
    monkeypatch.setattr("wardround.site.personal_models.chosen_of", broken)
    assert len(whole.handle(order("personal", 3))) == len(without_file)
    assert "personal models were not made" in (whole.store.folder / LOG).read_text("utf-8")


def test_a_study_without_personal_models_has_no_such_order(opened: Callable[..., Site]) -> None:
    """The study is the whole permission."""
    plain = study(own=True)
    answer = from_bytes(opened(None, plain).handle(order("personal", 3, plain)))
    assert isinstance(answer, Refusal) and answer.header.code == "not-in-study"


def test_nothing_is_evaluated_after_the_personal_models(opened: Callable[..., Site]) -> None:
    """The steps go one way: what came before is over."""
    one = opened()
    assert isinstance(from_bytes(one.handle(order("personal", 3))), ContributionMessage)
    answer = from_bytes(one.handle(order("evaluate", 3, label="federated")))
    assert isinstance(answer, Refusal) and answer.header.code == "old-round"
    assert json.loads((one.store.folder / "report.json").read_bytes())["personal"]
