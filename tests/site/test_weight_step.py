"""`summation.weight_step`: a hospital's number of training records leaves it in public steps only, and everywhere the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.algorithms.quantities import TrainedModel
from wardround.hub.checkpoint import load
from wardround.plan.plan import Plan
from wardround.privacy.fixed_point_mechanism import WEIGHT
from wardround.privacy.frame import Frame
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.sections.summation import SummationSection
from wardround.values.errors import StudyError
from wardround.values.records import Records
from wardround.values.tree import Bundle, Tree, unflatten
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, records, run, site, study

ALGORITHMS = ("fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedsgd")


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_count_moves_to_the_nearest_step_and_never_to_none(step: int, count: int, other: int) -> None:
    """At most half a step of error; none stays none, so that nobody weighs what has no records; larger stays larger."""
    stepped = SummationSection(weight_step=step).stepped
    assert stepped(count) % step == 0
    assert abs(stepped(count) - count) * 2 <= step or 0 < count < stepped(count) == step
    assert bool(stepped(count)) == bool(count)
    assert (stepped(count) <= stepped(other)) == (count <= other) or stepped(count) == stepped(other)
    assert SummationSection().stepped(count) == count


def of_step(algorithm: str, step: int, rounds: int = 3) -> Study:
    return study(algorithm, rounds=rounds).revised(summation={"weight_step": step})


def trained_on(count: int) -> Callable[[], Records]:
    """North's records with so many training records, and its own validation and test."""

    def load() -> Records:
        all_records = records("north")
        training = np.flatnonzero(all_records.splits == "train")[:count]
        others = np.flatnonzero(all_records.splits != "train")
        return all_records.select(np.concatenate([training, others]))

    return load


def answer(one: Site, of: Study, step: str, model: Tree) -> Tree:
    zeros = {name: np.zeros_like(array) for name, array in model.items()}
    bundle: Bundle = {"model": model} | ({"control": zeros} if of.algorithm.name == "scaffold" and step == "train" else {})
    number, weight = (0, 0) if step == "open" else (1, 90)
    header = OrderHeader(study=of.hash, step=step, round=number, cohort=NAMES, weight=weight)
    message = from_bytes(one.handle(to_bytes(Order(header, pack_bundle(bundle)))))
    assert isinstance(message, ContributionMessage), message
    return message.arrays


def counts_that_leave(of: Study, folder: Path, count: int) -> tuple[dict[str, list[int]], int, int]:
    """What the opening counts of training, and a round's weight and number of records behind the loss."""
    plan = Plan(of)
    model = plan.initial_model()
    one = site("north", of, folder, trained_on(count))
    opening = unflatten(answer(one, of, "open", model)["counts/words"].astype(np.int64), plan.dataset_counts)
    frame = plan.training_frame(model, len(NAMES), 90)
    assert isinstance(frame, Frame)
    round_1 = unflatten(answer(one, of, "train", model)["counts/words"].astype(np.int64), frame.counts)
    assert one.store.report()["dataset_counts"]["counts"]["images"] == [count, 8, 8]
    one.close()
    return {name: array.tolist() for name, array in opening.items()}, int(round_1[WEIGHT]), int(round_1["loss"][1])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hospitals_whose_sizes_differ_within_a_step_send_the_same_numbers(tmp_path: Path, algorithm: str) -> None:
    """One place where the true number leaves undoes all others: a dropout in that round would tell it."""
    of = of_step(algorithm, 10)
    few, many = (counts_that_leave(of, tmp_path / str(count), count) for count in (25, 32))
    assert few[0]["images"] == many[0]["images"] == [30, 8, 8]
    assert few[0]["patients"] == many[0]["patients"] == [30, 8, 8]
    assert all(counts[0] % 10 == 0 for counts in (*few[0].values(), *many[0].values()))
    assert few[1:] == many[1:]
    if algorithm != "fedsgd":
        assert few[1:] == (30, 30)


def test_without_a_step_the_true_numbers_leave(tmp_path: Path) -> None:
    """The default is the method's own mean, and the sum says how large it is."""
    counts, weight, _ = counts_that_leave(of_step("fedavg", 1), tmp_path, 29)
    assert counts["images"][0] == weight == 29


def test_the_mean_over_hospitals_has_the_stepped_weights(tmp_path: Path) -> None:
    """A step above every hospital makes all weigh alike: their models' plain mean, in a run that refuses no count."""
    of = of_step("fedavg", 1000, rounds=1)
    model = run(of, tmp_path)
    progress = load(tmp_path)
    assert progress is not None
    assert progress.weight == progress.dataset_counts["images"][0] == 3000
    assert not progress.history[0].discarded
    local = []
    for name in NAMES:
        one = site(name, of, tmp_path / "sites" / name)
        local.append(one.work._trainer("train", 1).compute(TrainedModel(Plan(of).initial_model())).model)
        one.close()
    for name, array in model.items():
        np.testing.assert_allclose(array, np.mean([one[name] for one in local], axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "algorithm"), [("site", "fedavg"), ("patient-local", "fedavg"), ("patient-distributed", "fedsgd")]
)
def test_a_private_study_has_public_weights_and_no_use_for_a_step(mode: str, algorithm: str) -> None:
    """A setting that nothing reads is refused."""
    with pytest.raises(StudyError, match="weight_step does nothing"):
        private_study(mode, algorithm).revised(summation={"weight_step": 10})
