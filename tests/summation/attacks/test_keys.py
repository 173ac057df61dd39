"""Keys and rosters: forged, degenerate, stale; sites that forgot theirs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wardround.crypto.identity import Identity
from wardround.summation.masked import admission
from wardround.summation.masked import keys as pairwise
from wardround.summation.masked.attempt import Failed, Opened
from wardround.summation.masked.keys import Roster
from wardround.summation.masked.memory import MaskedState, after_restoring
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Order, Statement

from ..masked_parties import STUDY, Ring, losing
from .parts import A, B, C, D, Shares, open_ask, restated, ring_of


def signed_anew(ring: Ring, site: SiteId, signer: Identity, **changes: Any) -> tuple[Statement, ...]:
    (said,) = (one for one in restated(ring, site, **changes) if one.site == site)
    signature = signer.sign(pairwise.statement_digest(bytes.fromhex(STUDY), ring.epoch, said))
    return tuple(said.model_copy(update={"signature": signature}) if one.site == site else one for one in ring.roster)


def test_a_key_that_the_site_did_not_sign_is_refused() -> None:
    """A coordinator in the middle of a pair would read every seed of it."""
    ring = ring_of(3)
    mine = "11" * 32
    honest = ring.roster
    wrong = [
        restated(ring, B, key=mine),
        restated(ring, B, signature="0" * 128),
        restated(ring, B, turn=5),
        restated(ring, B, stage=5),
        signed_anew(ring, B, Identity.new(), key=mine),
        signed_anew(ring, B, ring.members[C].party.identity, key=mine),
        restated(ring, A, key=mine),
        restated(ring, B, signature=ring.roster[2].signature),
    ]
    for roster in wrong:
        ring.roster = roster
        assert ring.send(A, ring.order()) == "roster"
    ring.roster = honest
    assert isinstance(ring.send(A, ring.order()), ContributionMessage)
    for roster in wrong:
        if Roster(1, roster).digest(b"") != Roster(1, honest).digest(b""):  # signatures are looked at once
            ring.roster = roster
            assert ring.send(A, ring.order(2)) == "roster"


OTHER_SPELLING = ["ed" + "ff" * 30 + "7f", "09" + "00" * 30 + "80", "ff" * 32]


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", *OTHER_SPELLING])
def test_degenerate_keys_are_refused_by_sites_and_known_to_the_coordinator(key: str) -> None:
    """With such a key the pair's secret is zero, and the network reads every seed of the pair."""
    ring = ring_of(3)
    ring.roster = signed_anew(ring, B, ring.members[B].party.identity, key=key)
    assert ring.send(A, ring.order()) == "roster"
    assert not pairwise.holds_a_secret(key)
    assert pairwise.holds_a_secret(ring.roster[2].key)


def test_turns_do_not_jump_far_nor_back_and_the_refusal_comes_before_the_work() -> None:
    """A jump costs hashing, and burns the keys of all turns between; `check` is asked before anybody trains."""
    ring = ring_of(3)
    member = ring.members[A]
    for turn in (pairwise.LONGEST_JUMP + 2, 2**53 - 1):
        message = from_bytes(ring.order(turn=turn))
        assert isinstance(message, Order)
        with pytest.raises(RefusedError) as caught:  # type: ignore[attr-defined]
            admission.check(member.party, member.state, message)
        assert caught.value.code == "turn"
    assert isinstance(ring.send(A, ring.order(turn=9)), ContributionMessage)
    assert ring.send(A, ring.order(2, turn=9)) == "old-turn"
    assert isinstance(ring.send(A, ring.order(2, turn=10)), ContributionMessage)


def test_a_site_that_claims_a_huge_turn_moves_the_keys_and_breaks_nothing() -> None:
    """The page lets chains start anywhere; the coordinator ignores such a site before it comes to that (test_masked_run)."""
    ring = ring_of(3)
    ring.roster = signed_anew(ring, C, ring.members[C].party.identity, turn=2**40)
    assert ring.send(A, ring.order()) == "old-turn"
    order = ring.order(turn=2**40 + 1)
    state, _ = ring.run(order, losing(("Collecting", C)))
    assert isinstance(state, Failed)
    assert Roster(ring.epoch, ring.roster).position == 2**40


def test_a_site_without_memory_waits_for_the_word_of_enough_others() -> None:
    """It may have answered for another set; one who knows it must be in the roster [3.6]."""
    ring = ring_of(5, collusion=0)
    state, _ = ring.run(ring.order(3))
    assert isinstance(state, Opened)
    ring.members[A].state = after_restoring(ring.members[A].state)
    ring.agree((A, B, C))
    assert ring.send(A, ring.order(4, cohort=(A, B, C))) == "witnesses"
    ring.agree((A, B, C, D))
    assert ring.send(A, ring.order(3, cohort=(A, B, C, D), attempt=2)) == "memory"
    assert isinstance(ring.send(A, ring.order(4, cohort=(A, B, C, D))), ContributionMessage)


def two_sums_with_a_site_that_forgot(ring: Ring, first: bytes, second: Callable[[], bytes]) -> list[Tree]:
    """A and B open `first` over {A, B}; A loses its state and is asked for keys anew; A and C are asked for `second`."""
    totals = []
    for order, cohort in ((first, (A, B)), (b"", (A, C))):
        sent = order or second()
        answers = {site: ring.send(site, sent) for site in cohort}
        if any(isinstance(answer, str) for answer in answers.values()):
            return totals
        shares = Shares(ring, sent)
        masked_words = {site: answer for site, answer in answers.items() if isinstance(answer, ContributionMessage)}
        for site in cohort:
            answer = ring.send(site, open_ask(sent, masked_words, site, cohort))
            if not isinstance(answer, Answer):
                return totals
            shares.learn(answer, cohort)
        total = shares.stripped(masked_words, cohort)
        assert total is not None
        totals.append(total)
    return totals


def asked_for_a_key_again(ring: Ring) -> None:
    """Only A, in the epoch that the others have a key for already: their statements are as old as their keys."""
    answer = ring.send(A, to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=ring.epoch))))
    assert isinstance(answer, Answer)
    header = answer.header
    fields = header.model_dump(include={"key", "turn", "stage", "counter", "signature"})
    ring.roster = tuple(Statement(site=A, **fields) if one.site == A else one for one in ring.roster)


def test_stale_statements_do_not_give_a_site_without_memory_its_voice() -> None:
    """B's statement was signed before A and B opened their sum, and C never saw that roster. Both sums hold A's words, and their
    difference is B's less C's. What would help: A speaks only against signatures of enough contributions to its own order."""
    ring = ring_of(3, collusion=0)
    first = ring.order(1, cohort=(A, B), model=7)

    def again() -> bytes:
        ring.members[A].state, ring.members[A].stored = after_restoring(MaskedState()), {}
        asked_for_a_key_again(ring)
        return ring.order(1, cohort=(A, C), model=7)

    assert len(two_sums_with_a_site_that_forgot(ring, first, again)) == 1


def test_a_site_that_forgot_is_not_asked_the_same_under_a_later_round() -> None:
    """All statements are fresh and the round is new; only the model is that of the round before, which A cannot know any more."""
    ring = ring_of(3, collusion=0)
    first = ring.order(1, cohort=(A, B), model=7)

    def again() -> bytes:
        ring.members[A].state = after_restoring(ring.members[A].state)
        ring.members[A].state = replace(ring.members[A].state, past=())  # the copy was older than round 1
        ring.agree()
        return ring.order(2, cohort=(A, C), model=7)

    assert len(two_sums_with_a_site_that_forgot(ring, first, again)) == 1


@pytest.mark.permission
def test_one_ask_for_keys_does_not_use_up_all_epochs() -> None:
    """After keys of the last epoch that there is, no key could be agreed on: the study would be over at this site."""
    ring = ring_of(3)
    for epoch in (2**32 - 1, ring.epoch + 1001):
        assert ring.send(A, to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=epoch)))) == "epoch"
    ring.agree()
    assert all(isinstance(ring.send(site, order), ContributionMessage) for order in [ring.order()] for site in ring.sites)
