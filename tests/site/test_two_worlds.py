"""Whether and how a site answers follows from public things only: two worlds of patients, the same orders, the same words."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from wardround.study.sections.network import NetworkSection
from wardround.training.head import Head
from wardround.training.inputs import InputShape
from wardround.training.per_patient import position_proof
from wardround.values.log import LOG
from wardround.values.tree import Bundle, same_bits

from ..federation.tiny_federation import files_in
from .worlds import FEATURES, KINDS, LIMIT, MODELS, PERSONAL, PICTURES, Asked, Seen, World, around, coordinator_of, seen_in

pytestmark = pytest.mark.permission

OPEN = Asked("open")
TRIALS: dict[tuple[str, str, int], int] = {}


@pytest.fixture(autouse=True)
def one_trial_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial at a private opening takes a second and asks the machine and the network alone: once is enough for all worlds."""
    tried = position_proof._moved_patients

    def remembered(network: NetworkSection, inputs: InputShape, head: Head) -> int:
        key = (network.model_dump_json(), repr(inputs), head.outputs)
        if key not in TRIALS:
            TRIALS[key] = tried(network, inputs, head)
        return TRIALS[key]

    monkeypatch.setattr(position_proof, "_moved_patients", remembered)


ATTACKED = ("none-plain-fedavg", "none-masked-scaffold", "patient-local-fedavg", "patient-distributed-fedsgd", "site-fedavg")
OUR_FAULTS = {"internal", "disk", "records", "run", "data", "diverged", "registry"}
"""Words that an order which is written as the specification says must not get of any records."""


@pytest.mark.parametrize("model", ["above", "between"])
@pytest.mark.parametrize("step", ["train", "evaluate"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("kind", ATTACKED)
def test_a_model_that_overflows_for_one_patient_alone_gets_the_same_word_of_every_world(
    tmp_path: Path, kind: str, split: str, step: str, model: str
) -> None:
    """One refusal more for a patient with a value between two bounds reads every value of a hospital by bisection, unmasked and
    free of charge."""
    orders = [OPEN, Asked(step, 1, model)]
    inside = seen_in(around(3.0, split=split), kind, orders, tmp_path / "inside")
    outside = seen_in(around(0.0, split=split), kind, orders, tmp_path / "outside")
    assert inside == outside
    assert {one.word for one in inside[0]} <= {"contribution", "Answer"}


@pytest.mark.parametrize("model", ["above, beyond the bound", "between, beyond the bound", "not a number"])
@pytest.mark.parametrize("step", ["train", "evaluate"])
@pytest.mark.parametrize("kind", ATTACKED)
def test_a_model_beyond_the_public_bound_is_refused_before_any_record_is_looked_at(
    tmp_path: Path, kind: str, step: str, model: str
) -> None:
    """No honest model has such values; nothing is charged, and the site's memory stays as it was."""
    coordinator = coordinator_of(kind, around(3.0), tmp_path)
    coordinator.ask(OPEN)
    coordinator.keys()
    before = files_in(tmp_path)
    assert coordinator.ask(Asked(step, 1, model)) == "model"
    coordinator.site.close()
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("kind", ["none-plain-fedavg", "none-plain-fedsgd", "none-masked-scaffold"])
def test_no_stated_total_tells_how_many_patients_a_hospital_has(tmp_path: Path, kind: str) -> None:
    """A refusal above its own weight gave a hospital's exact number of patients in five orders."""
    for total in (1, 2, 7, 8, 9, 31):
        orders = [OPEN, Asked("train", 1, weight=total)]
        few = seen_in(around(0.0, count=6), kind, orders, tmp_path / f"few-{total}")
        many = seen_in(around(0.0, count=48), kind, orders, tmp_path / f"many-{total}")
        assert few == many
        assert few[0][-1].word in ("contribution", "Answer")


# --- Any worlds, any orders -----------------------------------------------------------------------------------------------------

VALUES = (0.0, 1.0, -1.0, 2.5, -3.0, 5.0, 1e30, -1e30, 3e38, 1e-40, -0.0, float("inf"), float("-inf"), float("nan"))
"""Ordinary ones, the ends of what a contract lets through, and what only a scale near zero, or a fault of a reader, makes."""


@st.composite
def worlds(draw: st.DrawFn, *, pictures: bool = False) -> World:
    """One record or a few; constant columns; one class or two; one patient with many records or each its own. pictures: black,
    white and grey ones, and noise."""
    count = draw(st.integers(1, 12))
    if pictures:
        rows = draw(_alike_or_not(st.sampled_from([0, 1, 128, 255, 256, 257]), count))
    else:
        cells = st.sampled_from(draw(st.sampled_from([VALUES[:6], VALUES])))
        rows = tuple(zip(*[draw(_alike_or_not(cells, count)) for _ in range(FEATURES)], strict=True))
    labels = draw(_alike_or_not(st.sampled_from([0, 1]), count))
    splits = draw(_alike_or_not(st.sampled_from(["train", "validation", "test"]), count - 1))
    patients = draw(st.sampled_from([(0,) * count, tuple(range(count))]))
    return World(rows, labels, ("train", *splits), patients)


def _alike_or_not(values: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return values.map(lambda one: (one,) * count) | st.tuples(*[values] * count)


@st.composite
def sequences(draw: st.DrawFn, models: Sequence[str]) -> list[Asked]:
    """An opening, and some orders as the specification writes them. Rounds follow one another, the total is one, and every answer
    counts, but for now and then: what a site refuses anyway teaches little."""
    seldom = st.sampled_from([False, False, False, False, True])
    weight = draw(st.sampled_from([1, 1, 2, 5, 76, 2**52]))
    orders, number = [OPEN], 0
    for step in draw(st.lists(st.sampled_from(["train", "train", "train", "own", "evaluate"]), min_size=3, max_size=6)):
        counted, number = number, min(number + (step == "train"), 3)
        orders.append(
            Asked(
                step,
                1 if draw(seldom) else max(number, 1),
                draw(st.sampled_from(models)),
                weight + 1 if draw(seldom) else weight,
                0 if draw(seldom) else counted,
                draw(st.sampled_from([0.0, 0.5, LIMIT, 3e38])),
                draw(st.sampled_from(["federated", "federated", "last", "own-north", "own-east"])),
            )
        )
    return [*orders, Asked("close", counted=number)]


CRAFTED = ("above", "between", "largest", "smallest", "large and chaotic")
SEQUENCES = sequences([*CRAFTED, *CRAFTED, *sorted(MODELS)])
OF_PICTURES = sequences(["honest", "trained", "zero", "largest", "smallest", "large and chaotic"])
CASES = settings().max_examples
ALIKE = settings(phases=(Phase.explicit, Phase.generate), max_examples=CASES if CASES >= 60 else min(CASES, 8))
"""Without shrinking: each step of it would be two whole runs, and the orders that differ can be read as they are. A run of all
tests draws fewer than elsewhere, a run of the attacks as many."""


def assert_alike(kind: str, first: World, second: World, orders: Sequence[Asked]) -> None:
    with TemporaryDirectory() as folder:
        here = seen_in(first, kind, orders, Path(folder, "first"))
        there = seen_in(second, kind, orders, Path(folder, "second"))
    assert here == there
    assert OUR_FAULTS.isdisjoint(words_of(here[0]))


def words_of(seen: Sequence[Seen]) -> set[str]:
    return {one.word for one in seen}


@ALIKE
@given(st.sampled_from(sorted(KINDS)), worlds(), worlds(), SEQUENCES)
def test_two_worlds_give_the_same_words_sizes_and_charges(
    kind: str, first: World, second: World, orders: Sequence[Asked]
) -> None:
    """Whatever a coordinator can read off words, sizes and charges would be free of noise and of any mask."""
    assert_alike(kind, first, second, orders)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
@ALIKE
@given(first=worlds(), second=worlds(), orders=SEQUENCES)
def test_two_worlds_are_alike_in_every_mode_with_every_algorithm(
    kind: str, first: World, second: World, orders: Sequence[Asked]
) -> None:
    """The same for each mode, algorithm and way of adding, so that none is missed by luck."""
    assert_alike(kind, first, second, orders)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(PICTURES))
@ALIKE
@given(first=worlds(pictures=True), second=worlds(pictures=True), orders=OF_PICTURES)
def test_two_worlds_of_pictures_are_alike(kind: str, first: World, second: World, orders: Sequence[Asked]) -> None:
    """Networks of images normalise, augment and look at shifted images: each could stumble over one that is black."""
    assert_alike(kind, first, second, orders)


# --- Personal models ------------------------------------------------------------------------------------------------------------


def of_splits(train: int, validation: int, test: int, label: int | None = None) -> World:
    """A world of so many patients; of one class where `label` says which."""
    splits = ("train",) * train + ("validation",) * validation + ("test",) * test
    rows = tuple((float(row % 3), 0.5, -1.0, float(row % 2)) for row in range(len(splits)))
    labels = tuple(row % 2 if label is None else label for row in range(len(splits)))
    return World(rows, labels, splits, tuple(range(len(splits))))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(PERSONAL))
@pytest.mark.parametrize("model", ["trained", "largest"])
def test_personal_models_leave_the_same_trace_whatever_the_patients(tmp_path: Path, kind: str, model: str) -> None:
    """Which model a hospital keeps, and whether it could make any, are facts about its patients."""
    orders = [OPEN, Asked("personal", model=model)]
    worlds_seen = [
        seen_in(world, kind, orders, tmp_path / str(number))
        for number, world in enumerate(
            [
                of_splits(9, 6, 6),
                of_splits(1, 0, 0),
                of_splits(3, 4, 2, 1),
                of_splits(2, 1, 1),
                around(1e30),
                around(float("nan")),
            ]
        )
    ]
    assert all(one == worlds_seen[0] for one in worlds_seen)
    assert words_of(worlds_seen[0][0]) <= {"contribution", "Answer"}


# --- What stands in the place of a refusal --------------------------------------------------------------------------------------


def test_a_round_that_ends_beyond_all_numbers_changes_neither_model_nor_memory(tmp_path: Path) -> None:
    """SCAFFOLD would keep the NaN in its memory and send nothing but "no change" for ever after."""
    coordinator = coordinator_of("none-plain-scaffold", around(1.0), tmp_path)
    site = coordinator.site
    assert coordinator.ask(OPEN) == coordinator.ask(Asked("train", 1, "trained")) == "contribution"
    memory = site.store.read().pending
    assert memory is not None
    assert coordinator.ask(Asked("train", 2, "largest", counted=1)) == "contribution"
    state = site.store.read()
    assert state.pending is not None
    assert same_bits(state.pending["control"], memory["control"])
    site.close()
    assert "no change" in (tmp_path / LOG).read_text("utf-8")


def test_a_warning_of_the_arithmetic_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `python -W error`, as here, an overflow that some records cause would be an error, and the others would answer."""
    coordinator = coordinator_of("none-plain-fedavg", around(1.0), tmp_path)
    algorithm: Any = coordinator.site.plan.algorithm
    work = algorithm.work

    def overflowing(order: Bundle, trainer: Any, memory: Bundle) -> Any:
        np.square(np.full(3, 3e38, np.float32))
        return work(order, trainer, memory)

    monkeypatch.setattr(algorithm, "work", overflowing)
    assert coordinator.ask(OPEN) == coordinator.ask(Asked("train", 1)) == "contribution"
    coordinator.site.close()


def test_clipped_sums_that_are_no_numbers_get_noise_all_the_same(tmp_path: Path) -> None:
    """The clipping forbids them. Where a kernel of a library made one all the same, a refusal would tell of whom."""
    coordinator = coordinator_of("patient-local-fedavg", around(1.0), tmp_path)
    assert coordinator.ask(OPEN) == "contribution"
    noise = coordinator.site.work._private_trainer(1).noise  # type: ignore[attr-defined]
    noised = noise(np.array([1.0, np.nan, np.inf]))
    coordinator.site.close()
    assert np.isfinite(noised).all() and noised.all()


def test_a_loss_that_is_no_number_is_null_in_the_hospitals_own_report(tmp_path: Path) -> None:
    """JSON has no NaN: writing one raised, and the refusal told of the records. The report must stay one that can be read."""
    coordinator = coordinator_of("site-fedavg", around(3.0), tmp_path)
    assert coordinator.ask(OPEN) == coordinator.ask(Asked("train", 1, "above")) == "contribution"
    coordinator.site.close()
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["rounds"]["1"]["loss_sum"] is None
    assert report["rounds"]["1"]["loss_count"] == 0


def test_an_own_model_that_diverges_stays_as_it_was(tmp_path: Path) -> None:
    """It is evaluated later as any other model, and one that no site may look at would stop the run."""
    coordinator = coordinator_of("none-plain-fedavg", around(1.0), tmp_path)
    assert coordinator.ask(Asked("open", model="largest")) == coordinator.ask(Asked("own", 1)) == "contribution"
    store = coordinator.site.store
    before, after = store.read_tree("start"), store.read_tree("own-1")
    coordinator.site.close()
    assert before is not None and after is not None
    assert same_bits(before, after)
