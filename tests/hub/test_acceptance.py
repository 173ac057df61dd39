"""What the coordinator looks at, since it cannot look at one site: a bad round must leave the model as if it had not been."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wardround.hub.acceptance import DROPPED, FROM_DISCARDED, IMPOSSIBLE, TOO_LONG
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import Notice, RoundDiscarded
from wardround.plan.plan import Plan
from wardround.privacy.fixed_point_mechanism import protect, reveal
from wardround.site.work import SiteWork
from wardround.study.declaration import Study
from wardround.values.contribution import Contribution
from wardround.values.errors import StudyError
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes, payload_digest
from wardround.wire.messages import Order

from ..federation.tiny_federation import study, ward


def limited(of: Study, **limits: float) -> Study:
    return of.changed(summation=of.summation.changed(**limits))


def run(of: Study, folder: Path) -> tuple[Coordinator, list[RoundDiscarded]]:
    seen: list[Notice] = []
    with ward(of, folder) as engine:
        coordinator = Coordinator(of, engine, folder, listener=seen.append)
        coordinator.run()
    return coordinator, [event for event in seen if isinstance(event, RoundDiscarded)]


def poison(monkeypatch: pytest.MonkeyPatch, at: int, change: float = 0.0, **counts: int) -> None:
    """From now on the site north adds `change` to every value of its model in round `at`, or lies about a count."""
    work = SiteWork.train

    def lying(self: SiteWork, order: object, state: object) -> object:
        arrays, after = work(self, order, state)  # type: ignore[arg-type]
        if self.name == "north" and order.header.round == at:  # type: ignore[attr-defined]
            if change:
                grid = self.plan.training_frame(self.plan.initial_model(), 3, 76).grid
                arrays["model/words"] = arrays["model/words"] + np.asarray(np.int32(change / grid.step)).view(np.uint32)
            for place, value in counts.items():
                arrays["counts/words"] = arrays["counts/words"].copy()
                arrays["counts/words"][int(place.removeprefix("at_"))] += np.uint64(value)
        return arrays, after

    monkeypatch.setattr(SiteWork, "train", lying)


def test_an_honest_change_is_shortened_to_the_limit_and_never_refused(tmp_path: Path) -> None:
    """A limit that honest hospitals break would stop every study."""
    of = limited(study(rounds=3), max_update_norm=0.05)
    coordinator, discarded = run(of, tmp_path)
    assert discarded == []
    before = Plan(of).initial_model()
    moved = np.sqrt(sum(float(((coordinator.model[name] - before[name]) ** 2).sum()) for name in before))
    assert 0.0 < moved <= 3 * 0.05 + 1e-6


def test_one_site_is_shortened_to_exactly_the_limit() -> None:
    """Alone in its sum, a site's mean change is as long as the limit says."""
    plan = Plan(limited(study(), max_update_norm=0.25))
    model = plan.initial_model()
    far: Tree = {name: (array + 3.0).astype(np.float32) for name, array in model.items()}
    frame = replace(plan.training_frame(model, 1, 10), sites=1, counts={"weight": ()})
    contribution = Contribution({"model": {name: array * np.float64(10) for name, array in far.items()}}, 10)
    total = reveal(protect(contribution, {"model": model}, frame, lambda _: bytes(32)), {"model": model}, frame)
    change = np.sqrt(sum(float(((total.values["model"][name] / 10 - model[name]) ** 2).sum()) for name in model))
    assert change == pytest.approx(0.25, abs=1e-6)


def test_a_mean_longer_than_honest_sites_can_make_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hospital that does not shorten shows in the total; the round leaves the model as it was."""
    of = limited(study(rounds=3), max_update_norm=0.05)
    poison(monkeypatch, at=2, change=1.0)
    coordinator, discarded = run(of, tmp_path)
    assert discarded == [RoundDiscarded(2, TOO_LONG)]
    assert [entry.discarded for entry in coordinator.progress.history] == ["", TOO_LONG, ""]
    models = sent_models(of, tmp_path / "again")
    assert models[0] != models[1] == models[2]


def sent_models(of: Study, folder: Path) -> list[bytes]:
    """What each training order carried, by round."""
    with ward(of, folder) as engine:
        Coordinator(of, engine, folder).run()
        orders = [message for data in engine.orders if isinstance(message := from_bytes(data), Order)]
    trained = {order.header.round: payload_digest(order.arrays) for order in orders if order.header.step == "train"}
    return [trained[number] for number in sorted(trained)]


def test_counts_that_cannot_be_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital that invents a million patients would own the mean."""
    poison(monkeypatch, at=1, at_0=10**9, at_1=10**9, at_2=10**9, at_40=10**9)
    _, discarded = run(study(rounds=2), tmp_path)
    assert discarded[0] == RoundDiscarded(1, IMPOSSIBLE)


@pytest.mark.parametrize(("at", "expected"), [(1, [(1, DROPPED), (2, FROM_DISCARDED)]), (3, [(3, DROPPED)])])
def test_a_round_that_spoils_the_validation_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, expected: list[tuple[int, str]]
) -> None:
    """Also the last one, after which no round would show it."""
    of = limited(study(rounds=3), max_auc_drop=0.05)
    honest, none = run(of, tmp_path / "honest")
    assert none == []
    poison(monkeypatch, at=at, change=-3.0)
    coordinator, discarded = run(of, tmp_path / "poisoned")
    assert [(event.number, event.why) for event in discarded] == expected
    assert not same_bits(coordinator.model, honest.model)
    assert not any(entry.round in dict(expected) and not entry.discarded for entry in coordinator.progress.history)


def test_taking_back_is_refused_where_hospitals_keep_memory() -> None:
    """What SCAFFOLD and FedBN keep at a hospital cannot be taken back, and would no longer fit the model."""
    from wardround.study.reading import parse_study
    from wardround.study.writing import to_toml

    text = to_toml(study("scaffold")).replace("[summation]\n", "[summation]\nmax_auc_drop = 0.1\n")
    with pytest.raises(StudyError, match="max_auc_drop"):
        parse_study(text)
