"""Whole masked runs: the bits of the plain ones, whoever is lost or killed when; and nothing but sums leaves a hospital."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wardround.hub import coordinator as coordinator_module
from wardround.hub import masked_summing
from wardround.hub.checkpoint import Progress, load
from wardround.hub.coordinator import Coordinator
from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import silent
from wardround.plan.plan import Plan
from wardround.site.site import Site
from wardround.site.store import STATE, LastAnswer, SiteState, SiteStore
from wardround.study.declaration import Study
from wardround.summation.approved import Approved
from wardround.summation.masked.keys import statement_digest
from wardround.summation.masked.memory import after_restoring
from wardround.summation.plain import SumOpened
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError, RunError, StudyError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import (
    Answer,
    Ask,
    AskHeader,
    ContributionMessage,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
    Statement,
)

from ..federation.tiny_federation import NAMES, Tamper, Ward, enrolled, files_in, run, site, study, ward
from ..summation.masked_parties import LAYOUT, STUDY, Ring, plain_sum

ALGORITHMS = ["fedavg", "fedprox", "fedopt", "scaffold", "fedbn"]
EAST, NORTH, SOUTH = (SiteId(name) for name in NAMES)
Handle = Callable[[bytes], bytes]


def masked(algorithm: str = "fedavg", **how: Any) -> Study:
    return study(algorithm, mode="masked", **{"rounds": 2, "collusion": 0, **how})


def header_of(data: bytes) -> Any:
    message = from_bytes(data)
    assert not isinstance(message, Refusal)
    return message.header


def is_training(data: bytes, number: int) -> bool:
    header = header_of(data)
    return header.kind == "order" and (header.step, header.round) == ("train", number)


def losing_train(number: int, *who: str, heard: bool = False) -> Tamper:
    """These sites do not answer the order of that round, whatever its attempt. heard: they did the work."""

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if name in who and is_training(data, number):
            if heard:
                handle(data)
            return None
        return handle(data)

    return tamper


def history_of(folder: Path) -> Progress:
    progress = load(folder)
    assert progress is not None
    return progress


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_masked_run_gives_the_bits_of_the_plain_one_in_two_exchanges_a_round(tmp_path: Path, algorithm: str) -> None:
    """Hiding the contributions must cost no accuracy: not one bit, in any algorithm."""
    plain = run(study(algorithm, own=True, rounds=2), tmp_path / "plain")
    hidden = run(masked(algorithm, own=True, collusion=1), tmp_path / "masked")
    assert same_bits(plain, hidden)
    progress = [history_of(tmp_path / which) for which in ("plain", "masked")]
    assert progress[0].evaluations == progress[1].evaluations
    assert progress[0].dataset_counts == progress[1].dataset_counts
    assert [entry.exchanges for entry in progress[1].history] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold", "fedbn"])
@pytest.mark.parametrize("heard", [False, True])
def test_a_lost_site_leaves_the_others_mean_in_three_exchanges(tmp_path: Path, algorithm: str, heard: bool) -> None:
    """The same bits as the plain run with the same loss, also in the rounds after: no memory of what was not counted."""
    lost = losing_train(2, "east", heard=heard)
    plain = run(study(algorithm), tmp_path / "plain", lost)
    hidden = run(masked(algorithm, rounds=3), tmp_path / "masked", lost)
    assert same_bits(plain, hidden)
    history = history_of(tmp_path / "masked").history
    assert [entry.exchanges for entry in history] == [2, 3, 2]
    assert [entry.counted for entry in history] == [NAMES, ("north", "south"), NAMES]
    assert history[1].lost == {"east": "no-answer"}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold", "fedbn"])
def test_attempts_that_fail_change_no_bit(tmp_path: Path, algorithm: str) -> None:
    """Round 1 loses all words but one site's at first; round 2 loses east, then a signature, then works. Memory is committed by
    what was counted in the end, and nobody trains twice."""
    plain = run(study(algorithm), tmp_path / "plain", losing_train(2, "east", heard=True))
    dropped: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        answer = handle(data)
        header = header_of(data)
        if is_training(data, 1) and header.masked.attempt == 1 and name != "south":
            return None
        if is_training(data, 2) and header.masked.attempt == 1 and name == "east":
            return None
        if header.kind == "ask" and header.what == "sign" and name == "north" and not dropped:
            dropped.append(name)
            return None
        return answer

    hidden = run(masked(algorithm, rounds=3), tmp_path / "masked", tamper)
    assert dropped
    assert same_bits(plain, hidden)
    history = history_of(tmp_path / "masked").history
    assert [entry.counted for entry in history] == [NAMES, ("north", "south"), NAMES]
    assert [entry.exchanges for entry in history] == [1 + 2, 2 + 2, 2]


def test_too_few_sites_stop_the_run_by_name_and_it_goes_on_when_they_are_back(tmp_path: Path) -> None:
    """Three attempts, then the checkpoint stays. Who answered masks the same words once more: the same bits in the end."""
    of = enrolled(masked("scaffold", rounds=3), tmp_path / "run")
    with ward(of, tmp_path / "run", losing_train(2, "east", "north", heard=True)) as engine:
        with pytest.raises(EngineError, match=r"at least 2.*Found: 1 \(east: no-answer, north: no-answer\)"):
            Coordinator(of, engine, tmp_path / "run").run()
        assert history_of(tmp_path / "run").round == 1
        engine.tamper = lambda name, data, handle: handle(data)  # noqa: ARG005
        coordinator = Coordinator(of, engine, tmp_path / "run")
        coordinator.run()
        assert same_bits(coordinator.model, run(study("scaffold"), tmp_path / "plain"))


# --- Killed processes -----------------------------------------------------------------------------------------------------------


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
        at("before the sum", head["name"], head["of"]["order"])
        write(path, arrays, head)
        at("after the sum", head["name"], head["of"]["order"])

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
    assert len(seen) == 2 * (4 * 2 + 3) + 2 * (4 + 1) + 2 * 6
    assert not any(isinstance(from_bytes(answer), Refusal) for answer in answered if answer)
    sets: dict[str, set[tuple[str, ...]]] = {}
    for data in asked:
        header = header_of(data)
        if header.kind == "ask" and header.what != "keys":
            sets.setdefault(header.order, set()).add(header.counted)
    assert len(sets) == 4
    assert all(len(of_one) == 1 for of_one in sets.values())


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
    assert refused == ["run"]


def full_disk(*_: Any) -> None:
    raise RunError("The disk is full")


# --- Restored folders -----------------------------------------------------------------------------------------------------------


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
        assert (state.memory_status, state.floor, state.epoch) == ("forgetful", 3, 2)
    history = history_of(tmp_path).history
    assert [entry.counted for entry in history] == [NAMES, NAMES, ("north", "south"), *[NAMES] * (rounds - 3)]
    assert history[2].lost == {"east": "keys"}
    # New keys; and from now on a signature of everybody, since the restored site speaks only before witnesses.
    assert [entry.exchanges for entry in history[3:]] == [4, *[3] * (rounds - 4)]


def test_where_every_site_is_needed_a_restored_one_stops_the_run_by_name(tmp_path: Path) -> None:
    """Going on would need its word for a set that it may have spoken for already: better no sum than a second one."""
    of = enrolled(masked(rounds=4, collusion=1), tmp_path)
    with ward(of, tmp_path) as engine:
        engine.tamper = restored_before_round_3(lambda: engine, of, tmp_path / "copy", "anew")
        with pytest.raises(EngineError, match="east: memory"):
            Coordinator(of, engine, tmp_path).run()
    assert history_of(tmp_path).round == 2


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


def header_of_keys(of: Study, epoch: int) -> AskHeader:
    return AskHeader(study=of.hash, what="keys", epoch=epoch)


# --- Refused by a site ----------------------------------------------------------------------------------------------------------


def test_an_order_without_a_mask_is_refused_and_nothing_leaves(tmp_path: Path) -> None:
    """A coordinator that leaves the mask out would read each hospital's words."""
    of = enrolled(masked(), tmp_path)
    orders: list[bytes] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        message = from_bytes(data)
        if name == NORTH and isinstance(message, Order) and message.header.masked is not None:
            bare = to_bytes(Order(message.header.model_copy(update={"masked": None}), message.arrays))
            folder = engine._sites[NORTH].store.folder
            before = files_in(folder)
            answer = from_bytes(handle(bare))
            assert isinstance(answer, Refusal)
            assert answer.header.code in ("not-masked", "not-open")
            assert files_in(folder) == before
            orders.append(answer.header.code)
        return handle(data)

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert orders == ["not-masked"] * 4


def test_a_masked_order_for_a_plain_study_or_a_step_without_a_sum_is_refused(tmp_path: Path) -> None:
    """What the study does not have is not done halfway."""
    of = study()
    one = site("north", of, tmp_path / "north")
    header = OrderHeader(study=of.hash, step="open", round=0, cohort=NAMES)
    ring = Ring(3)
    ring.agree()
    theirs = from_bytes(ring.order())
    assert isinstance(theirs, Order)
    data = to_bytes(
        Order(header.model_copy(update={"masked": theirs.header.masked}), pack_bundle({"model": Plan(of).initial_model()}))
    )
    for message in (data, to_bytes(Ask(header_of_keys(of, 1)))):
        answer = from_bytes(one.handle(message))
        assert isinstance(answer, Refusal)
        assert answer.header.code == "masked"
    one.close()


def test_a_site_whose_key_the_study_does_not_list_does_not_start(tmp_path: Path) -> None:
    """It could not prove who it is; and a study with another's key under its name was not the one approved."""
    of = enrolled(masked(), tmp_path)
    with pytest.raises(StudyError, match="does not list this site's identity key"):
        site("north", of, tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="does not list this site's identity key"):
        site("east", of, tmp_path / "sites" / "north")


def test_a_refused_jump_of_turns_does_no_work_and_changes_nothing(tmp_path: Path) -> None:
    """Opening writes the model to disk before the mask is made: what is refused must not come that far."""
    of = enrolled(masked(), tmp_path)
    refused: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        message = from_bytes(data)
        if name == NORTH and isinstance(message, Order) and message.header.masked is not None:
            far = message.header.masked.model_copy(update={"turn": 10**6})
            before = files_in(engine._sites[NORTH].store.folder)
            answer = from_bytes(handle(to_bytes(Order(message.header.model_copy(update={"masked": far}), message.arrays))))
            assert isinstance(answer, Refusal)
            assert files_in(engine._sites[NORTH].store.folder) == before
            refused.append(answer.header.code)
        return handle(data)

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert refused == ["turn"] * 4


def test_a_further_attempt_after_the_words_are_gone_is_refused(tmp_path: Path) -> None:
    """A step in between dropped them; masks over nothing would only use up keys."""
    of = enrolled(masked(own=True, rounds=1), tmp_path)
    kept: list[bytes] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if name == NORTH and is_training(data, 1):
            kept.append(data)
        answer = handle(data)
        header = header_of(data)
        if name == NORTH and header.kind == "order" and header.step == "own":
            message = from_bytes(kept[0])
            assert isinstance(message, Order)
            assert message.header.masked is not None
            again = message.header.masked.model_copy(update={"attempt": 2, "turn": message.header.masked.turn + 1})
            found = from_bytes(handle(to_bytes(Order(message.header.model_copy(update={"masked": again}), message.arrays))))
            assert isinstance(found, Refusal)
            assert found.header.code == "old-sum"
            kept.append(b"")
        return answer

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert len(kept) == 2


# --- What leaves, and what is left ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold"])
def test_no_secret_leaves_and_none_is_left_after_the_close(tmp_path: Path, algorithm: str) -> None:
    """Every byte that crossed, against every secret that a site held at any time: words before their masks, chains, box keys,
    its own shares, its agreement keys. After the close they are gone from the disk, too."""
    of = enrolled(masked(algorithm), tmp_path)
    secrets: set[bytes] = set()
    lost = losing_train(2, "east", heard=True)

    def watched(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        answer = lost(name, data, handle)
        store = engine._sites[name].store
        state = store.read()
        if state.order:
            secrets.update(array.tobytes() for array in store.last_answer().words.values())
        secrets.add(state.masked.offered)
        secrets.update((state.masked.chains or {}).values())
        if state.masked.given is not None:
            secrets.update(state.masked.given.box_keys.values())
            secrets.add(state.masked.given.shares)
        return answer

    with ward(of, tmp_path, watched) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        assert (tmp_path / masked_summing.FILE).exists()
        coordinator.close()
        crossed = b"\n".join([*engine.orders, *engine.answers])
        states = [(one.store.read(), one.store.last_answer().words) for one in engine._sites.values()]
    secrets.discard(b"")
    assert len(secrets) > 60
    for state, words in states:
        assert (state.masked.chains, state.masked.given, state.masked.offered, words) == (None, None, b"", {})
    assert not (tmp_path / masked_summing.FILE).exists()
    left = b"\n".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "identity.key")
    for secret in secrets:
        for spelling in (secret, secret.hex().encode()):
            assert spelling not in crossed
            assert spelling not in left


# --- The coordinator's half with five sites -------------------------------------------------------------------------------------


class Five:
    """MaskedSumming over the machines of five sites."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.ring = Ring(5, **how)
        of: Any = SimpleNamespace(hash=STUDY, quorum=self.ring.quorum, sites=SimpleNamespace(keys=self.ring.keys))
        self.asked: list[tuple[SiteId, bytes]] = []
        self.drop: Callable[[SiteId, Any], str] = lambda site, header: ""  # noqa: ARG005
        approved = Approved(of.hash, of.quorum, of.sites.keys)
        self.summing = MaskedSumming(approved, folder, self.exchange, lambda _: None, silent)

    def exchange(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:  # noqa: ARG002
        found = {}
        for name, data in outbox.items():
            self.asked.append((name, data))
            fate = self.drop(name, header_of(data))
            if fate == "unheard":
                continue
            answer = self.ring.send(name, data)
            if isinstance(answer, str):
                header = RefusalHeader(study=STUDY, site=name, order=sha256_hex(data), code=answer)
                found[name] = to_bytes(Refusal(header))
            elif not fate:
                found[name] = to_bytes(answer)
        return found

    def order(self, number: int = 1) -> Order:
        header = OrderHeader(study=STUDY, step="train", round=number, cohort=self.ring.sites, weight=10)
        return Order(header, {"model/w": np.full(4, number, np.float32)})


def test_a_set_that_was_asked_for_stays_the_set_of_the_sum(tmp_path: Path) -> None:
    """Two sites signed it, two never heard of it. A smaller set in the next attempt would get the word of those two, and then
    neither set could be opened any more."""
    five = Five(tmp_path, collusion=0)
    anna, berta, carla, dora, emma = five.ring.sites

    def drop(name: SiteId, header: Any) -> str:
        if header.kind == "order":
            late = (name == emma and header.masked.attempt == 1) or (name == dora and header.masked.attempt == 2)
            return "unheard" if late else ""
        return "unheard" if header.what == "sign" and name in (carla, dora) else ""

    five.drop = drop
    outcome, _ = five.summing.sum(five.order(), LAYOUT)
    assert isinstance(outcome, SumOpened)
    assert outcome.counted == (anna, berta, carla, dora)
    assert same_bits(outcome.total, plain_sum(five.ring.words, [anna, berta, carla, dora]))
    sets = {header_of(data).counted for _, data in five.asked if header_of(data).kind == "ask" and header_of(data).what != "keys"}
    assert sets == {(anna, berta, carla, dora)}


def test_a_site_that_lost_its_keys_gets_new_ones_with_the_next_sum(tmp_path: Path) -> None:
    """Where the others suffice no attempt fails, and still it must not stay out for good."""
    five = Five(tmp_path)
    five.summing.sum(five.order(1), LAYOUT)
    member = five.ring.members[five.ring.sites[0]]
    member.state = after_restoring(member.state)
    lost = []
    for number in (2, 3):
        outcome, _ = five.summing.sum(five.order(number), LAYOUT)
        assert isinstance(outcome, SumOpened)
        lost.append(dict(outcome.lost))
    assert lost == [{"anna": "keys"}, {}]


def test_a_contribution_for_another_attempt_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """A slow site's earlier answer under the name of a new order would leave its masks in the total."""
    five = Five(tmp_path)
    kept: dict[SiteId, bytes] = {}
    exchange = five.summing.trip

    def replaying(outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:
        answers = dict(exchange(outbox, heard=heard))
        for name, data in answers.items():
            if isinstance(from_bytes(data), ContributionMessage) and name == "berta":
                answers[name] = kept.setdefault(name, data)
        return answers

    five.summing.trip = replaying
    for number, lost in ((1, {}), (2, {"berta": "wrong-answer"})):
        outcome, _ = five.summing.sum(five.order(number), LAYOUT)
        assert isinstance(outcome, SumOpened)
        assert outcome.lost == lost
        assert same_bits(outcome.total, plain_sum(five.ring.words, list(outcome.counted)))


@pytest.mark.parametrize("changes", [{"turn": 2**40}, {"key": "00" * 32}, {"key": "01" + "00" * 31}, {"site": "anna"}])
def test_a_site_that_would_spoil_the_keys_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A turn that never was would push all keys ahead; with a degenerate key every other site would refuse the roster. One
    malicious site must not stop the others that way, nor speak for another."""
    five = Five(tmp_path)
    exchange = five.summing.trip

    def spoiling(outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:
        answers = dict(exchange(outbox, heard=heard))
        said = from_bytes(answers["emma"]) if "emma" in answers else None  # type: ignore[index]
        if isinstance(said, Answer) and said.header.key:
            fields = said.header.model_copy(update=changes)
            statement = Statement(**fields.model_dump(include={"site", "key", "turn", "round", "signature"}))
            party = five.ring.members[SiteId("emma")].party
            signature = party.identity.sign(statement_digest(party.study, five.summing.keys.epoch + 1, statement))
            answers[SiteId("emma")] = to_bytes(Answer(fields.model_copy(update={"signature": signature})))
        return answers

    five.summing.trip = spoiling
    outcome, _ = five.summing.sum(five.order(), LAYOUT)
    assert isinstance(outcome, SumOpened)
    assert outcome.lost == {"emma": "wrong-signature"}


def test_two_orders_whose_hashes_begin_alike_do_not_share_their_words(tmp_path: Path) -> None:
    """A coordinator can make two orders with 64 equal bits in an afternoon. The words of the first, masked for the second, would
    open one contribution over two sets."""
    store = SiteStore(tmp_path)
    for number in (1, 2):
        order = "ab" * 31 + f"{number:02x}"
        words: Tree = {"model/words": np.full(3, number, np.uint32)}
        store.write(SiteState(order=order), LastAnswer(bytes([number]), words))
        assert store.read().order == order
        assert store.last_answer().reply == bytes([number])
        assert same_bits(store.last_answer().words, words)
    assert len(list(tmp_path.glob("answer-*"))) == 1
    store.close()
