"""Totals that no hospitals have, and rounds that are over: discarded or refused by name, never an exception or a dead end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.hub.acceptance import IMPOSSIBLE
from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import RoundDiscarded
from wardround.plan.plan import Plan
from wardround.plan.usable_arrays import is_usable
from wardround.site.work import SiteWork
from wardround.study.declaration import Study
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.messages import Order

from ..federation.tiny_federation import NAMES, enrolled, run, study, ward
from .masked_runs import header_of, history_of, losing_train, masked

pytestmark = pytest.mark.permission


@contextmanager
def lying(monkeypatch: pytest.MonkeyPatch, name: str, step: str, number: int, lie: Callable[[Tree], Tree]) -> Iterator[None]:
    """One hospital whose program adds other words than its records give. It masks and signs them as it should."""
    honest = SiteWork.words

    def words(self: SiteWork, order: Order, state: Any) -> Any:
        arrays, after = honest(self, order, state)
        if (self.name, order.header.step, order.header.round) == (name, step, number):
            arrays = lie(arrays)
        return arrays, after

    with monkeypatch.context() as patched:
        patched.setattr(SiteWork, "words", words)
        yield


def negative_counts(arrays: Tree) -> Tree:
    counts = arrays["counts/words"]
    return {**arrays, "counts/words": counts - np.uint64(10**6)}


def huge_counts(arrays: Tree) -> Tree:
    return {**arrays, "counts/words": arrays["counts/words"] + np.uint64(2**60)}


def noise(arrays: Tree) -> Tree:
    rng = np.random.default_rng(3)
    return {name: rng.integers(0, np.iinfo(array.dtype).max, array.shape, array.dtype) for name, array in arrays.items()}


LIES = [negative_counts, huge_counts, noise]


@pytest.mark.parametrize("lie", LIES)
def test_an_opening_with_impossible_counts_is_a_named_refusal_also_at_every_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Tree], Tree]
) -> None:
    """A bare ValueError left four honest hospitals without a word to go on. Who lied cannot be seen in a sum."""
    declared = enrolled(masked(), tmp_path)
    with lying(monkeypatch, "east", "open", 0, lie), ward(declared, tmp_path) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match=r"one of them states false ones.*agree on a new study"):
                Coordinator(declared, engine, tmp_path).run()


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("mode", ["masked", "plain"])
def test_a_round_with_impossible_counts_is_over_and_the_next_one_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Tree], Tree], mode: str
) -> None:
    """The model stays as it was, so the next round asks for the same content under its own name, and everybody answers."""
    declared = enrolled(masked(rounds=3) if mode == "masked" else _plain(), tmp_path)
    with lying(monkeypatch, "east", "train", 2, lie), ward(declared, tmp_path) as engine:
        coordinator = Coordinator(declared, engine, tmp_path)
        coordinator.run()
        coordinator.close()
    history = history_of(tmp_path).history
    assert [entry.discarded for entry in history] == ["", IMPOSSIBLE, ""]
    assert [entry.counted for entry in history] == [NAMES] * 3


def _plain() -> Study:
    return study("fedavg", rounds=3)


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_final_evaluation_that_cannot_be_leaves_the_model_without_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Tree], Tree]
) -> None:
    """The model is what ten rounds were for: it must not be lost to one hospital's last answer."""
    declared = enrolled(masked(), tmp_path)
    with lying(monkeypatch, "east", "evaluate", 2, lie), ward(declared, tmp_path) as engine:
        coordinator = Coordinator(declared, engine, tmp_path)
        coordinator.run()
        coordinator.close()
    progress = load(tmp_path)
    assert progress is not None and progress.closed
    assert progress.evaluations["federated"] == {}
    assert same_bits(coordinator.model, run(masked(), tmp_path / "honest"))


def test_one_hospital_late_once_stops_no_study(tmp_path: Path) -> None:
    """Late in round 1, everybody present and honest afterwards: the rounds go on with all of them."""
    declared = enrolled(masked(rounds=4), tmp_path)
    with ward(declared, tmp_path, losing_train(1, "east", heard=True)) as engine:
        coordinator = Coordinator(declared, engine, tmp_path)
        coordinator.run()
    history = history_of(tmp_path).history
    assert [entry.counted for entry in history] == [("north", "south"), NAMES, NAMES, NAMES]
    assert [entry.loss is None for entry in history] == [True, False, False, False]


def test_a_round_that_misses_a_hospital_keeps_no_number_that_would_show_it(tmp_path: Path) -> None:
    """The checkpoint's losses and scores, less those of another round, were the missing hospital's own."""
    declared = enrolled(masked(rounds=3), tmp_path)
    run(declared, tmp_path, losing_train(2, "east"))
    full, partial, again = history_of(tmp_path).history
    assert partial.counted == ("north", "south")
    assert partial.loss is None and partial.clipped == 0
    assert all(not np.any(values) for values in partial.validation.values())
    assert full.loss is not None and again.loss is not None
    assert any(np.any(values) for values in full.validation.values())


def test_an_evaluation_without_everybody_is_left_out(tmp_path: Path) -> None:
    """Its numbers of patients by class, less those of the opening, are the missing hospital's."""

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        return None if name == "east" and getattr(header_of(data), "step", "") == "evaluate" else handle(data)

    declared = enrolled(masked(), tmp_path)
    with pytest.raises(EngineError, match="east: no-answer"):  # it may come back
        run(declared, tmp_path, tamper)
    run(declared, tmp_path, tamper)  # it did not
    progress = history_of(tmp_path)
    assert progress.closed and progress.evaluations == {"federated": {}}


def test_a_hospital_that_comes_back_for_the_evaluation_is_in_it(tmp_path: Path) -> None:
    """Silent once at the very end, it would else have cost everybody the figures."""

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        return None if name == "east" and getattr(header_of(data), "step", "") == "evaluate" else handle(data)

    declared = enrolled(masked(), tmp_path)
    with pytest.raises(EngineError, match="east: no-answer"):
        run(declared, tmp_path, tamper)
    run(declared, tmp_path)
    assert history_of(tmp_path).evaluations["federated"]["test"]


def test_a_hospital_that_comes_and_goes_stays_out_before_the_last_change_is_used_up(tmp_path: Path) -> None:
    """Each return changes the set. The hub keeps one change for whoever is lost next, so that the others can always go on."""
    declared = enrolled(masked(rounds=8), tmp_path)

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        header = header_of(data)
        flickers = header.kind == "order" and header.step == "train" and header.round % 2 == 1
        return None if name == "east" and flickers else handle(data)

    run(declared, tmp_path, tamper)
    counted = [entry.counted for entry in history_of(tmp_path).history]
    two = ("north", "south")
    assert declared.set_changes == 3
    assert counted == [two, NAMES, two, two, two, two, two, two]
    assert history_of(tmp_path).keys.set_changes == 3


def test_training_that_diverges_everywhere_is_said_by_the_round(tmp_path: Path) -> None:
    """No hospital may refuse for it, since that would tell of records; so the totals must say it, or the run ends as if fine."""
    declared = study("fedprox", rounds=3).revised(
        training={"learning_rate": 10.0, "local_epochs": 20}, algorithm={"proximal_mu": 100.0}
    )
    heard: list[object] = []
    model = run(declared, tmp_path, listener=heard.append)
    assert [entry.discarded for entry in history_of(tmp_path).history] == ["diverged"] * 3
    assert sum(isinstance(one, RoundDiscarded) for one in heard) == 3
    assert same_bits(model, Plan(declared).initial_model())


def test_a_model_that_no_hospital_would_work_with_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide steps pass the bound of an order in the end: the next one would be refused by everybody, and the run be over."""
    monkeypatch.setattr("wardround.plan.usable_arrays.LARGEST", 3.0)  # so that a few rounds of a tiny study get there
    run(study("fedavg", rounds=3).revised(training={"learning_rate": 10.0}), tmp_path)
    progress = history_of(tmp_path)
    assert progress.closed and is_usable(progress.state["model"])
    assert "diverged" in {entry.discarded for entry in progress.history}
