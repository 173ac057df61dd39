"""Every message in every state of a site and of the coordinator: answered, or refused by its word."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wardround.summation.masked.attempt import Collecting, Failed, Opening, Received, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.layout import SEAL_EXTRA, SEALED_SHARES, SHARE
from wardround.summation.masked.memory import after_restoring, ended
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Message, Order, Statement

from ..masked_parties import NAMES, STUDY, Member, Ring
from .parts import A, B, C, D, E, contributions, restated, ring_of, sealed_of, sign_ask, signatures


class Walk:
    """A ring with anna brought into one state, and one message of each kind for her."""

    def __init__(self, state: str) -> None:
        ring = self.ring = Ring(4, collusion=0)  # t = 3
        self.member: Member = ring.members[A]
        self.counted = (A, B, C)
        if state == "NoKeys":
            ring.epoch, ring.roster = (
                1,
                tuple(Statement(site=s, key="ab" * 32, turn=0, stage=0, counter=0, signature="0" * 128) for s in ring.sites),
            )
            self.order = ring.order(5)
            self.contributed = dict.fromkeys(ring.sites, ContributionMessage.__new__(ContributionMessage))
            self.certificate: dict[SiteId, str] = {}
            return
        ring.agree()
        self.order = ring.order(5)
        if state == "KeysOffered":
            self.contributed = {**contributions(ring, self.order, (B, C, D)), A: ContributionMessage.__new__(ContributionMessage)}
            self.certificate = {}
            return
        self.contributed = contributions(ring, self.order)
        self.certificate = signatures(ring, self.order, (B, C, D))
        if state in ("Signed", "Answered"):
            ring.members[B].state = replace(
                ring.members[B].state, last_contribution=replace(ring.members[B].state.last_contribution, counted=()), past={}
            )
            ring.members[C].state = replace(
                ring.members[C].state, last_contribution=replace(ring.members[C].state.last_contribution, counted=()), past={}
            )
            self.certificate = signatures(ring, self.order, self.counted)
            assert len(self.certificate) == 3
        if state == "Answered":
            assert isinstance(ring.send(A, self.open(self.counted)), Answer)
        if state == "Answered all":
            assert isinstance(ring.send(A, self.open(ring.sites)), Answer)
        if state == "Ended":
            self.member.state = ended(self.member.state)
        if state == "Restored":
            self.member.state = after_restoring(self.member.state)
        self.member.stored.clear()

    def open(self, counted: Sequence[SiteId], *, certified: bool = True, sealed: int | None = None) -> bytes:
        contributions_at_hand = all(hasattr(self.contributed[site], "arrays") for site in counted if site != A)
        size = SHARE * 4 + SEAL_EXTRA
        header = AskHeader(
            study=STUDY,
            what="open",
            order=sha256_hex(self.order),
            counted=tuple(counted),
            certificate={str(site): one for site, one in self.certificate.items()} if certified else {},
        )
        sent = b"".join(
            sealed_of(self.contributed[s], self.ring.sites, s, A) if contributions_at_hand else bytes(size)
            for s in counted
            if s != A
        )
        return to_bytes(Ask(header, {SEALED_SHARES: np.frombuffer(sent if sealed is None else sent[:sealed], np.uint8)}))

    def keys(self, epoch: int) -> bytes:
        return to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=epoch)))

    def unmasked(self) -> bytes:
        message = from_bytes(self.ring.order(6))
        assert isinstance(message, Order)
        return to_bytes(Order(message.header.model_copy(update={"masked": None}), message.arrays))

    def in_epoch(self, epoch: int) -> bytes:
        self.ring.epoch = epoch
        return self.ring.order(6)

    def with_roster(self) -> bytes:
        self.ring.roster = restated(self.ring, B, key="cd" * 32)
        return self.ring.order(6)

    def about_another_order(self, what: str) -> bytes:
        fields: dict[str, Any] = {"study": STUDY, "what": what, "order": "e" * 64, "counted": self.counted}
        return to_bytes(Ask(AskHeader(**fields)))


STATES = ("NoKeys", "KeysOffered", "Contributed", "Signed", "Answered", "Answered all", "Ended", "Restored")
OK = "ok"
NO_CHAINS = {"NoKeys": "keys", "Ended": "keys", "Restored": "keys"}
NOTHING_GIVEN = dict.fromkeys(("NoKeys", "KeysOffered", "Ended", "Restored"), "old-order")
KINDS: dict[str, tuple[Callable[[Walk], bytes], str, dict[str, str]]] = {
    "keys, next epoch": (lambda w: w.keys(2), OK, {}),
    "keys, this epoch": (lambda w: w.keys(1), "old-epoch", {"NoKeys": OK, "KeysOffered": OK}),  # stored bytes
    "order, next sum": (lambda w: w.ring.order(6), OK, NO_CHAINS),
    "order, another attempt": (lambda w: w.ring.order(5, attempt=2), OK, NO_CHAINS),
    "order, not masked": (lambda w: w.unmasked(), "not-masked", {}),
    "order, no site in common": (lambda w: w.ring.order(6, cohort=(B, C, D)), "cohort", {}),
    "order, a stranger in it": (lambda w: w.ring.order(6, cohort=(A, B, SiteId("zoe"))), "cohort", {}),
    "order, too few": (lambda w: w.ring.order(6, cohort=(A, B)), "cohort-too-small", {}),
    "order, later epoch": (lambda w: w.in_epoch(2), "keys", {}),
    "order, another roster": (lambda w: w.with_roster(), "roster", NO_CHAINS),
    "order, turn used up": (lambda w: w.ring.order(6, turn=1), "old-turn", {**NO_CHAINS, "KeysOffered": OK}),
    "order, far turn": (lambda w: w.ring.order(6, turn=20_000), "turn", NO_CHAINS),
    "order, same attempt": (lambda w: w.ring.order(5), "old-attempt", {**NO_CHAINS, "KeysOffered": OK}),
    "order, other content": (lambda w: w.ring.order(5, attempt=2, model=9), "other-content", {**NO_CHAINS, "KeysOffered": OK}),
    "sign, unknown order": (lambda w: w.about_another_order("sign"), "old-order", {}),
    "open, unknown order": (lambda w: w.about_another_order("open"), "old-order", {}),
    "sign, less": (lambda w: sign_ask(w.order, w.counted), OK, {**NOTHING_GIVEN, "Answered all": "other-set"}),
    "sign, other set": (
        lambda w: sign_ask(w.order, (A, B, D)),
        "other-set",
        {**NOTHING_GIVEN, "Contributed": OK},
    ),
    "sign, everybody": (
        lambda w: sign_ask(w.order, w.ring.sites),
        OK,
        {**NOTHING_GIVEN, "Signed": "other-set", "Answered": "other-set"},
    ),
    "sign, without me": (lambda w: sign_ask(w.order, (B, C, D)), "counted", NOTHING_GIVEN),
    "sign, a stranger": (lambda w: sign_ask(w.order, (A, B, SiteId("zoe"))), "counted", NOTHING_GIVEN),
    "sign, too few": (lambda w: sign_ask(w.order, (A, B)), "counted-too-small", NOTHING_GIVEN),
    "open, everybody": (
        lambda w: w.open(w.ring.sites),
        OK,
        {**NOTHING_GIVEN, "Signed": "other-set", "Answered": "other-set", "Answered all": "answered"},
    ),
    "open, less": (
        lambda w: w.open(w.counted),
        "answered",
        {**NOTHING_GIVEN, "Contributed": "no-certificate", "Signed": OK, "Answered all": "other-set"},
    ),
    "open, no certificate": (
        lambda w: w.open(w.counted, certified=False),
        "no-certificate",
        {**NOTHING_GIVEN, "Answered": "answered", "Answered all": "other-set"},
    ),
    "open, too few": (lambda w: w.open((A, B)), "counted-too-small", NOTHING_GIVEN),
    "open, without me": (lambda w: w.open((B, C, D)), "counted", NOTHING_GIVEN),
    "open, sealed shares cut short": (
        lambda w: w.open(w.ring.sites, sealed=100),
        "sealed-shares",
        {**NOTHING_GIVEN, "Signed": "other-set", "Answered": "other-set", "Answered all": "answered"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", STATES)
def test_in_every_state_every_message_is_answered_or_refused_by_its_word(at: str, kind: str) -> None:
    """Anything that a state has no place for is refused by name and changes nothing [8.4, 9]."""
    walk = Walk(at)
    make, word, elsewhere = KINDS[kind]
    data = make(walk)
    before = walk.member.state
    answer = walk.ring.send(A, data)
    outcome = answer if isinstance(answer, str) else OK
    assert outcome == elsewhere.get(at, word)
    assert (walk.member.state is before) == (outcome != OK or (kind == "keys, this epoch" and at == "KeysOffered"))


def coordinator_at(where: str) -> tuple[Ring, State, dict[str, dict[SiteId, Message]]]:
    """A coordinator's machine in one state, and what all four sites that were counted could send it, by kind."""
    ring = ring_of(5)
    order = ring.order()
    contributed: dict[SiteId, Message] = dict(contributions(ring, order))
    present = {site: message for site, message in contributed.items() if site != E}
    signing = step(Collecting(ring.attempt(order)), Received(present))
    signed = {site: ring.send(site, to_bytes(ask)) for site, ask in asks(signing).items()}
    opening = step(signing, Received(signed))
    shares = {site: ring.send(site, to_bytes(ask)) for site, ask in asks(opening).items()}
    opened = step(opening, Received(shares))
    states: dict[str, State] = {
        "Collecting": Collecting(ring.attempt(order)),
        "Signing": signing,
        "Opening": opening,
        "Opened": opened,
        "Failed": step(signing, Received({})),
    }
    kinds: dict[str, dict[SiteId, Message]] = {
        "nothing": {},
        "contributions": present,
        "signatures": signed,
        "shares": shares,
        "orders": dict.fromkeys(ring.sites, from_bytes(order)),
        "asks": dict(asks(opening)),
        "others' contributions": dict.fromkeys(ring.sites[:4], contributed[E]),
        "others' signatures": dict.fromkeys(ring.sites[:4], signed[A]),
        "others' shares": dict.fromkeys(ring.sites[:4], shares[A]),
    }
    return ring, states[where], kinds


LEGAL = {"Collecting": "contributions", "Signing": "signatures", "Opening": "shares"}
ONE_IS_RIGHT = {("Signing", "others' signatures"), ("Opening", "others' shares")}  # anna's own


@pytest.mark.parametrize("where", ["Collecting", "Signing", "Opening", "Opened", "Failed"])
def test_in_every_state_the_coordinator_takes_its_messages_only(where: str) -> None:
    """A message of another exchange counts as a wrong answer of its sender; a sum that is over takes nothing."""
    _, state, kinds = coordinator_at(where)
    for kind, messages in kinds.items():
        if where in ("Opened", "Failed"):
            with pytest.raises(EngineError, match="takes no more messages"):
                step(state, Received(messages))
            continue
        after = step(state, Received(messages))
        if kind == LEGAL[where]:
            assert type(after).__name__ == {"Collecting": "Signing", "Signing": "Opening", "Opening": "Opened"}[where]
            continue
        assert isinstance(after, Failed), (where, kind)
        assert after.where == where
        assert after.answers == ((where, kind) in ONE_IS_RIGHT)
        wrong = [site for site in (B, C, D) if site in messages]
        assert all(after.lost[site] == "wrong-answer" for site in wrong)
        assert wrong or all(word == "no-answer" for word in after.lost.values())


def test_refusals_are_passed_on_by_their_word_in_every_state() -> None:
    """The person at the coordinator learns why a sum failed."""
    for where in LEGAL:
        _, state, _ = coordinator_at(where)
        after = step(state, Received({}, dict.fromkeys(NAMES, "memory")))
        assert isinstance(after, Failed)
        counted = NAMES if isinstance(state, Collecting) else NAMES[:4]
        assert all(after.lost[site] == "memory" for site in counted)


def test_an_opening_asks_nothing_of_those_who_were_lost() -> None:
    """A lost site's shares are not needed, and it must not be made to speak for a set without it."""
    _, state, _ = coordinator_at("Opening")
    assert isinstance(state, Opening)
    assert set(asks(state)) == set(NAMES[:4])


@pytest.mark.parametrize("what", ["keys", "sign"])
def test_asks_and_answers_have_no_room_for_arrays_that_nobody_reads(what: str) -> None:
    """Data could travel in them, in either direction."""
    ring = ring_of(5, collusion=1)
    order = ring.order(1)
    for site in ring.sites:
        assert not isinstance(ring.send(site, order), str)
    header = AskHeader(study=STUDY, what="keys", epoch=ring.epoch + 1)
    if what == "sign":
        header = AskHeader(study=STUDY, what="sign", order=sha256_hex(order), counted=ring.sites[:4])
    before = ring.members[A].state
    assert ring.send(A, to_bytes(Ask(header, {"masked/sealed_shares": np.zeros(3, np.uint8)}))) == "sealed-shares"
    assert ring.members[A].state is before
    assert isinstance(ring.send(A, to_bytes(Ask(header))), Answer)
