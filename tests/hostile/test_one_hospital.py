"""Holes that one malicious hospital, or one unlucky one, opens against an honest hub."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import wardround.summation.masked.keys as pairwise
from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.summation.masked.layout import COMMITMENTS, HASH, contribution_digest, others
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes, payload_digest, to_bytes
from wardround.wire.messages import Answer, Ask, ContributionMessage, Order, Refusal, RefusalHeader

from ..hub.test_honest_faults import HOSPITALS, BadDays, ended, masked_study

EAST = SiteId("east")


class Liar(BadDays):
    """Three honest hospitals and east, which states what it likes when keys are made."""

    def __init__(self, declared: Study, folder: Path, reached: Callable[[int, pairwise.Reached], pairwise.Reached]) -> None:
        super().__init__(declared, folder, 1, 0.0)
        self.declared, self.reached, self.honest = declared, reached, False
        self.refuse_orders: set[int] = set()
        self.words: list[str] = []
        self.tamper = self.lie

    def lie(self, name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        message = from_bytes(data)
        if name == EAST and not self.honest:
            if isinstance(message, Order) and message.header.step == "train" and message.header.round in self.refuse_orders:
                header = RefusalHeader(study=message.header.study, site=EAST, order=sha256_hex(data), code="keys")
                self.refuse_orders.discard(message.header.round)
                return to_bytes(Refusal(header))
            if isinstance(message, Ask) and message.header.what == "keys":
                return self.lying_keys(message, handle(data))
        answer = handle(data)
        if isinstance(refusal := from_bytes(answer), Refusal):
            self.words.append(f"{name}:{refusal.header.code}")
        return answer

    def lying_keys(self, ask: Ask, honest: bytes) -> bytes:
        answer = from_bytes(honest)
        assert isinstance(answer, Answer)
        site: Site = self._sites[EAST]
        assert site.participant is not None
        party = site.participant._party
        header = answer.header
        reached = self.reached(ask.header.epoch, pairwise.Reached(header.turn, header.stage, header.counter))
        secret = X25519PrivateKey.from_private_bytes(site.store.read().masked.offered)
        one = pairwise.state_key(party.identity, party.study, ask.header.epoch, EAST, secret, reached)
        return to_bytes(Answer(header.revised(turn=one.turn, stage=one.stage, counter=one.counter, signature=one.signature), {}))


def to_an_end(declared: Study, engine: Liar, folder: Path, tries: int = 5) -> bool:
    for number in range(tries):
        if ended(declared, engine, folder):
            return True
        engine.all_back()
        if number >= 1:
            engine.honest = True  # even a liar that has repented does not help
    return False


def false_commitment(engine: BadDays, answer: bytes, victim: str) -> bytes:
    """East's contribution with a wrong commitment to the seed that it shares with one other hospital, and its own signature."""
    message = from_bytes(answer)
    assert isinstance(message, ContributionMessage)
    arrays = {name: array.copy() for name, array in message.arrays.items()}
    arrays[COMMITMENTS][HASH * (1 + others(HOSPITALS, EAST).index(SiteId(victim)))] ^= 1
    party = engine._sites[EAST].participant._party  # type: ignore[union-attr]
    h = bytes.fromhex(message.header.order)
    signature = party.identity.sign(contribution_digest(party.study, h, EAST, payload_digest(arrays)))
    return to_bytes(ContributionMessage(message.header.revised(signature=signature), arrays))


def run_with_false_commitments(folder: Path, victims: tuple[str, ...], step: str = "train") -> tuple[BadDays, bool]:
    """A run in which east commits falsely against these hospitals in every order of a step. Whether it came to its end."""
    declared = masked_study(folder)
    engine = BadDays(declared, folder, 1, 0.0)

    def lie(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes:
        answer = handle(data)
        message = from_bytes(data)
        if name == EAST and isinstance(message, Order) and message.header.step == step and EAST in message.header.cohort:
            for victim in victims:
                if set(HOSPITALS) <= set(message.header.cohort) and isinstance(from_bytes(answer), ContributionMessage):
                    answer = false_commitment(engine, answer, victim)
        return answer

    engine.tamper = lie
    return engine, ended(declared, engine, folder)


@pytest.mark.slow
@pytest.mark.permission
@pytest.mark.parametrize("victim", ["north", "south", "west"])
def test_false_commitments_against_one_hospital_do_not_drive_it_out(tmp_path: Path, victim: str) -> None:
    """Who lies of two cannot be told. Both were left out, and the victim stopped itself after the second round; now one of them
    is left out at a time, and hears why."""
    engine, done = run_with_false_commitments(tmp_path, (victim,))
    state = engine._sites[SiteId(victim)].store.read()
    engine.close()
    progress = load(tmp_path)
    assert done and progress is not None
    assert (state.stopped, state.uncounted) == ("", 0)
    out = [set(HOSPITALS) - set(entry.counted) for entry in progress.history]
    assert all(len(one) == 1 for one in out), "one of the two, in every round"
    assert {"east"} in out and {victim} in out, "each in its turn"
    assert progress.keys.set_changes <= 4


@pytest.mark.slow
@pytest.mark.permission
def test_who_is_at_odds_with_most_is_left_out_alone(tmp_path: Path) -> None:
    """Against two honest hospitals the liar is known: nobody else misses a round."""
    engine, done = run_with_false_commitments(tmp_path, ("north", "west"))
    engine.close()
    progress = load(tmp_path)
    assert done and progress is not None
    assert {entry.counted for entry in progress.history} == {("north", "south", "west")}


@pytest.mark.permission
def test_an_opening_with_two_at_odds_leaves_out_nobody(tmp_path: Path) -> None:
    """Whoever is not in the opening is not in the study: a liar must not choose who that is. It stops, and names both."""
    engine, done = run_with_false_commitments(tmp_path, ("north",), "open")
    assert not done
    with pytest.raises(EngineError, match=r"one of east, north lies.*--resume, or agree on a new study") as caught:
        Coordinator(masked_study(tmp_path), engine, tmp_path).run()
    engine.close()
    assert "east: other-seed" in caught.value.found and "north: other-seed" in caught.value.found
    progress = load(tmp_path)
    assert progress is None or not progress.state


@pytest.mark.slow
@pytest.mark.permission
def test_one_false_round_in_the_first_statement_does_not_stop_a_study_for_good(tmp_path: Path) -> None:
    """One message of one hospital: 'I have contributed to turn 1, round 100,000'."""
    declared = masked_study(tmp_path)
    engine = Liar(declared, tmp_path, lambda epoch, true: pairwise.Reached(1, 100_000, 1) if epoch == 1 else true)
    try:
        done = to_an_end(declared, engine, tmp_path)
        assert done, sorted(set(engine.words))
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.permission
def test_a_counter_that_goes_back_does_not_stop_a_study_for_good(tmp_path: Path) -> None:
    """One hospital states a high counter once, and the true one later: the others refuse every roster that holds it."""
    declared = masked_study(tmp_path)
    engine = Liar(declared, tmp_path, lambda epoch, true: pairwise.Reached(true.turn, true.stage, 10**9) if epoch == 1 else true)
    engine.refuse_orders = {2}
    try:
        done = to_an_end(declared, engine, tmp_path)
        progress = load(tmp_path)
        assert done, (sorted(set(engine.words)), progress and progress.round)
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.permission
def test_a_hospital_that_loses_its_state_before_anybody_spoke_does_not_stop_the_study(tmp_path: Path) -> None:
    """A machine that dies at the opening, and comes back empty, as an honest hospital's may."""
    declared = masked_study(tmp_path)
    engine = Liar(declared, tmp_path, lambda _, true: true)
    died = []

    def fate(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        message = from_bytes(data)
        what = message.header.what if isinstance(message, Ask) else "order"
        if name == EAST and what == "order" and not died:
            died.append(1)
            handle(data)
            (engine._sites[EAST].store.folder / "state.safetensors").unlink()
            (engine._folder / "counters" / "east").unlink(missing_ok=True)
            engine._restarted(EAST)
            return None
        answer = handle(data)
        if isinstance(refusal := from_bytes(answer), Refusal):
            engine.words.append(f"{name}:{refusal.header.code}")
        return answer

    engine.tamper = fate
    try:
        done = any(ended(declared, engine, tmp_path) or engine.all_back() for _ in range(5))
        assert died
        assert done, sorted(set(engine.words))
    finally:
        engine.close()


@pytest.mark.permission
def test_a_hospital_that_says_it_forgot_in_every_round_does_not_use_up_the_study_unseen(tmp_path: Path) -> None:
    """Where all are needed it can stop every round; the run must not end as if it had trained."""
    declared = masked_study(tmp_path, names=HOSPITALS[:3])
    engine = BadDays(declared, tmp_path, 1, 0.0)

    def forgets(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes:
        message = from_bytes(data)
        if name == EAST and isinstance(message, Order) and message.header.step == "train":
            header = RefusalHeader(study=message.header.study, site=EAST, order=sha256_hex(data), code="memory")
            return to_bytes(Refusal(header))
        return handle(data)

    true, engine.tamper = engine.tamper, forgets
    assert not ended(declared, engine, tmp_path)
    progress = load(tmp_path)
    assert progress is not None and len(progress.history) == 2
    engine.tamper = true
    assert ended(declared, engine, tmp_path)
    progress = load(tmp_path)
    engine.close()
    assert progress is not None
    assert [bool(entry.discarded) for entry in progress.history] == [True, True, False, False, False, False]
