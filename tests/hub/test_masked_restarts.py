"""Masked runs whose coordinator or sites are killed or restored from older folders."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from wardround.hub import coordinator as coordinator_module
from wardround.hub import masked_summing
from wardround.hub.checkpoint import Progress
from wardround.hub.coordinator import Coordinator
from wardround.site.site import Site
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import (
    Ask,
    Refusal,
)

from ..federation.tiny_federation import NAMES, Tamper, Ward, enrolled, files_in, run, site, ward
from .masked_runs import EAST, Handle, header_of, header_of_keys, history_of, losing_train, masked


class Crash(BaseException):
    """What no handler catches."""


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold"])
def test_a_coordinator_killed_at_any_boundary_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """Before and after every exchange, every file between exchanges and every checkpoint of a run with a lost site. A restarted
    coordinator must not ask anybody about a second set."""
    of, lost = masked(algorithm), losing_train(1, "east", heard=True)
    straight = run(of, tmp_path / "straight", lost)
    seen: set[object] = set()

    def at(*point: object) -> None:
        if point not in seen:
            seen.add(point)
            raise Crash

    exchange, write, save = Ward.exchange, masked_summing.write_tensors, coordinator_module.save  # type: ignore[attr-defined]

    def exchanging(self: Ward, outbox: Mapping[SiteId, bytes], *rest: Any) -> dict[SiteId, bytes]:
        point = sha256_hex(b"".join(outbox.values()))
        at("before the exchange", point)
        answers = exchange(self, outbox, *rest)
        at("after the exchange", point)
        return answers

    def writing(path: Path, arrays: Tree, head: Any) -> None:
        at("before the sum", head["name"], head["attempt"]["order"])
        write(path, arrays, head)
        at("after the sum", head["name"], head["attempt"]["order"])

    def saving(progress: Progress, folder: Path) -> None:
        keys = progress.keys
        done = (bool(progress.state), progress.round, tuple(progress.evaluations), progress.closed, keys.epoch, keys.attempt)
        at("before the checkpoint", *done)
        save(progress, folder)
        at("after the checkpoint", *done)

    monkeypatch.setattr(Ward, "exchange", exchanging)
    monkeypatch.setattr(masked_summing, "write_tensors", writing)
    monkeypatch.setattr(coordinator_module, "save", saving)
    asked: list[bytes] = []
    answered: list[bytes] = []

    def watched(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        asked.append(data)
        answer = lost(name, data, handle)
        answered.append(answer or b"")
        return answer

    model = None
    while model is None and len(seen) < 200:
        try:
            model = run(of, tmp_path / "crashed", watched)
        except Crash:
            continue
    assert model is not None
    assert same_bits(model, straight)
    # open, 2 trainings, evaluation: order and open each; keys, sign, close; 4 sums and one signing; keys and 5 steps
    assert len(seen) == 2 * (4 * 2 + 4) + 2 * (4 + 2) + 2 * 6
    assert not any(isinstance(from_bytes(answer), Refusal) for answer in answered if answer)
    sets: dict[str, set[tuple[str, ...]]] = {}
    for data in asked:
        header = header_of(data)
        if header.kind == "ask" and header.what != "keys":
            sets.setdefault(header.order, set()).add(header.counted)
    assert len(sets) == 4
    assert all(len(of_one) == 1 for of_one in sets.values())


@pytest.mark.slow
def test_every_answer_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    """Killed between the record and the reply, at every message of a run: the site that comes back has the very bytes, which it
    could not make again, since masks and polynomials come from the operating system."""
    of = enrolled(masked("scaffold"), tmp_path)
    kinds: list[str] = []
    lost = losing_train(1, "east", heard=True)

    def killed(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if lost(name, data, lambda _: b"heard") is None:
            handle(data)
            return None
        first = handle(data)
        restart(engine, name, of)
        again = engine._sites[name].handle(data)
        assert again == first
        header = header_of(data)
        kinds.append(header.what if header.kind == "ask" else header.step)
        return again

    with ward(of, tmp_path, killed) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        coordinator.close()
        assert set(kinds) == {"keys", "open", "train", "sign", "evaluate", "close"}
        assert same_bits(coordinator.model, run(masked("scaffold"), tmp_path / "straight", lost))


def restart(engine: Ward, name: SiteId, of: Study) -> Site:
    """What a process that was killed and started again is."""
    one = engine._sites[name]
    one.close()
    engine._sites[name] = site(name, of, one.store.folder)
    return engine._sites[name]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["keys", "sign", "open"])
def test_what_cannot_be_recorded_is_not_revealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A full disk at the moment of an answer: the share stays, and is given once it can be remembered that it was."""
    of = enrolled(masked(), tmp_path)
    refused: list[str] = []
    lost = losing_train(1, "east")

    def full(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        header = header_of(data)
        if header.kind == "ask" and header.what == what and name == "north" and not refused:
            with monkeypatch.context() as patched:
                patched.setattr(engine._sites[name].store, "write", full_disk)
                before = files_in(engine._sites[name].store.folder)
                answer = from_bytes(handle(data))
                assert files_in(engine._sites[name].store.folder) == before
            assert isinstance(answer, Refusal)
            refused.append(answer.header.code)
            restart(engine, name, of)
            return engine._sites[name].handle(data)
        return lost(name, data, handle)

    with ward(of, tmp_path, full) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert refused == ["disk"]


def full_disk(*_: Any) -> None:
    raise RunError("The disk is full")


def restored_before_round_3(engine_of: Callable[[], Ward], of: Study, copy: Path, how: str) -> Tamper:
    """East's folder is copied before round 2 and put back before round 3."""
    done: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        header = header_of(data)
        if name == EAST and header.kind == "order" and header.step == "train":
            folder = engine_of()._sites[EAST].store.folder
            if header.round == 2 and not copy.exists():
                shutil.copytree(folder, copy)
            if header.round == 3 and not done:
                done.append("restored")
                engine_of()._sites[EAST].close()
                if how == "anew":
                    shutil.rmtree(folder)
                for old in folder.glob("answer-*"):
                    old.unlink()
                shutil.copytree(copy, folder, dirs_exist_ok=True)
                engine_of()._sites[EAST] = site("east", of, folder)
                return engine_of()._sites[EAST].handle(data)
        return handle(data)

    return tamper


@pytest.mark.slow
@pytest.mark.parametrize("how", ["anew", "in place"])
@pytest.mark.parametrize("rounds", [4, 5])
def test_a_restored_site_stays_out_of_what_it_may_have_answered_and_comes_back_with_new_keys(
    tmp_path: Path, how: str, rounds: int
) -> None:
    """An older state does not know which sets it spoke for. The others go on; with everybody's word on how far they are it
    takes part again."""
    of = enrolled(masked("scaffold", rounds=rounds), tmp_path)
    with ward(of, tmp_path) as engine:
        engine.tamper = restored_before_round_3(lambda: engine, of, tmp_path / "copy", how)
        Coordinator(of, engine, tmp_path).run()
        state = engine._sites[EAST].store.read().masked
        assert (state.memory_status, state.floor, state.epoch) == ("forgetful", 1003, 2)
    history = history_of(tmp_path).history
    assert [entry.counted for entry in history] == [NAMES, NAMES, ("north", "south"), *[NAMES] * (rounds - 3)]
    assert history[2].lost == {"east": "keys"}
    # New keys; and from now on a signature of everybody, since the restored site speaks only before witnesses.
    assert [entry.exchanges for entry in history[3:]] == [4, *[3] * (rounds - 4)]


def test_where_every_site_is_needed_a_restored_one_costs_the_round_and_no_more(tmp_path: Path) -> None:
    """The round would need its word for a set that it may have spoken for already: better no sum than a second one. In the next
    it is there again; before, the run stopped for good."""
    of = enrolled(masked(rounds=4, collusion=1), tmp_path)
    with ward(of, tmp_path) as engine:
        engine.tamper = restored_before_round_3(lambda: engine, of, tmp_path / "copy", "anew")
        Coordinator(of, engine, tmp_path).run()
    history = history_of(tmp_path).history
    assert [entry.discarded for entry in history] == ["", "", "closed-for-ever", ""]
    assert history[2].lost == {"east": "memory"}
    assert history[3].counted == NAMES


@pytest.mark.parametrize("number", range(6))
def test_a_state_put_back_over_a_later_one_is_known_for_a_copy(tmp_path: Path, number: int) -> None:
    """File systems give inode numbers away again, so that every other state has the number of the one that was copied."""
    of = enrolled(masked(), tmp_path)
    one = site("north", of, tmp_path / "sites" / "north")
    try:
        asks = [to_bytes(Ask(header_of_keys(of, epoch))) for epoch in range(1, 10)]
        one.handle(asks[0])
        state = one.store.folder / STATE
        older = state.read_bytes()
        for ask in asks[1 : 2 + number]:
            one.handle(ask)
        assert one.store.read().masked.offered
        state.write_bytes(older)
        assert one.store.read().masked.offered == b""
    finally:
        one.close()
