"""Sites that send rubbish are named, and the sum goes on without them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Collecting, Failed, Opened, Signing
from wardround.summation.masked.coordinator import step
from wardround.summation.masked.layout import COMMITMENTS, HASH, SEALED_SHARES, SHARE, SHARES, contribution_digest, others
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import Answer, ContributionMessage, Message, Refusal, RefusalHeader

from ..masked_parties import STUDY, Post, Ring, losing, plain_sum
from .parts import A, B, C, D, E, contributions, ring_of


def replacing(stage: str, who: SiteId, change: Callable[[Any], Message]) -> Post:
    def post(at: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:
        answer = hand(data)
        assert not isinstance(answer, str), answer
        return change(answer) if (at, site) == (stage, who) else answer

    return post


def with_arrays(message: Any, change: Callable[[Tree], Tree]) -> Any:
    return replace(message, arrays=change({name: array.copy() for name, array in message.arrays.items()}))


def with_header(message: Any, **changes: Any) -> Any:
    return replace(message, header=message.header.model_copy(update=changes))


def shorter(arrays: Tree) -> Tree:
    return {name: array[:-1] if name == "model/words" else array for name, array in arrays.items()}


def other_words(arrays: Tree) -> Tree:
    arrays["model/words"][0] ^= 1
    return arrays


BAD_CONTRIBUTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "wrong length": (partial(with_arrays, change=shorter), "wrong-shape"),
    "no sealed shares": (
        partial(with_arrays, change=lambda arrays: {n: a for n, a in arrays.items() if n != SEALED_SHARES}),
        "wrong-shape",
    ),
    "other words": (partial(with_arrays, change=other_words), "wrong-signature"),
    "no signature": (partial(with_header, signature=""), "wrong-signature"),
    "another's name": (partial(with_header, site=C), "wrong-answer"),
    "another order": (partial(with_header, order="e" * 64), "wrong-answer"),
    "another study": (partial(with_header, study="e" * 64), "wrong-answer"),
    "another round": (partial(with_header, round=9), "wrong-answer"),
    "another step": (partial(with_header, step="evaluate"), "wrong-answer"),
    "a refusal": (
        lambda message: Refusal(RefusalHeader(study=STUDY, site=B, order=message.header.order, code="x")),
        "wrong-answer",
    ),
}


@pytest.mark.parametrize("what", BAD_CONTRIBUTIONS)
def test_a_bad_contribution_is_a_lost_site_by_name(what: str) -> None:
    """Nothing of it may reach the total, which is the others' to the bit."""
    change, word = BAD_CONTRIBUTIONS[what]
    ring = ring_of(5)
    state, exchanges = ring.run(ring.order(), replacing("Collecting", B, change))
    assert isinstance(state, Opened)
    assert (state.lost, exchanges) == ({B: word}, 3)
    assert same_bits(state.total, plain_sum(ring.words, [A, C, D, E]))


def other_commitment(ring: Ring, liar: SiteId, victim: SiteId) -> Callable[[ContributionMessage], ContributionMessage]:
    """A signed contribution with a wrong commitment to the seed of one pair."""

    def change(message: ContributionMessage) -> ContributionMessage:
        arrays = {name: array.copy() for name, array in message.arrays.items()}
        arrays[COMMITMENTS][HASH * (1 + others(ring.sites, liar).index(victim))] ^= 1
        digest = contribution_digest(bytes.fromhex(STUDY), bytes.fromhex(message.header.order), liar, payload_digest(arrays))
        return ContributionMessage(message.header.revised(signature=ring.members[liar].party.identity.sign(digest)), arrays)

    return change


@pytest.mark.permission
def test_of_two_at_odds_one_is_left_out_by_standing_or_by_lot_and_both_are_named() -> None:
    """Leaving out both, one liar takes any hospital with it; always the same one, it could choose whom."""
    outs = set()
    for number in range(1, 30):
        ring = ring_of(5, collusion=0)
        order = ring.order(number)
        collected = ring.exchange(
            "Collecting", dict.fromkeys(ring.sites, order), replacing("Collecting", B, other_commitment(ring, B, D))
        )
        first = step(Collecting(ring.attempt(order)), collected)
        again = step(Collecting(ring.attempt(order)), collected)
        assert isinstance(first, Signing) and first.lost == again.lost, "a coordinator that was killed decides alike"
        (out,) = first.lost
        assert {out, *first.at_odds} == {B, D}
        outs.add(out)
        for site in (B, D):
            stated = step(Collecting(replace(ring.attempt(order), standing={site: 0, ({B, D} - {site}).pop(): 1})), collected)
            assert set(stated.lost) == {site}  # type: ignore[union-attr]
        if outs == {B, D}:
            return
    pytest.fail(f"the lot always says {outs}")


def test_a_repeated_contribution_of_the_last_round_does_not_count() -> None:
    """Old words under old masks would leave noise in the total."""
    ring = ring_of(5)
    last = contributions(ring, ring.order(1))
    state, _ = ring.run(ring.order(2), replacing("Collecting", B, lambda _: last[B]))
    assert isinstance(state, Opened)
    assert state.lost == {B: "wrong-answer"}
    resigned = with_header(last[B], order=sha256_hex(ring.order(3, turn=ring.turn + 1)), round=3)
    state, _ = ring.run(ring.order(3), replacing("Collecting", B, lambda _: resigned))
    assert isinstance(state, Opened)
    assert state.lost == {B: "wrong-signature"}


@pytest.mark.parametrize("stage", ["Signing", "Opening"])
def test_a_late_contribution_is_no_answer_to_another_question(stage: str) -> None:
    """What comes after its exchange must not be added to a sum whose set is fixed."""
    ring = ring_of(5)
    order = ring.order()
    late = contributions(ring, order)
    post = losing(("Collecting", E))

    def bribed(at: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:
        return late[site] if (at, site) == (stage, B) else post(at, site, data, hand)

    state, _ = ring.run(order, bribed)
    assert isinstance(state, Failed)  # t = 4 of the four that were counted
    assert (state.where, state.lost[B]) == (stage, "wrong-answer")


def bad_share(ring: Ring, site: SiteId, owners: Sequence[SiteId]) -> Callable[[Answer], Answer]:
    """A signed answer with a wrong share of these owners' own masks (nobody lost)."""

    def change(answer: Answer) -> Answer:
        arrays = {SHARES: answer.arrays[SHARES].copy()}
        for owner in owners:
            arrays[SHARES][SHARE * ring.sites.index(owner)] ^= 1
        return signed_answer(ring, site, answer, arrays)

    return change


def signed_answer(ring: Ring, site: SiteId, answer: Answer, arrays: Tree) -> Answer:
    last = ring.members[site].state.last_contribution
    assert last is not None
    digest = masked_site.answer_digest(  # type: ignore[attr-defined]
        bytes.fromhex(STUDY),
        bytes.fromhex(last.order),
        last.counted,
        site,
        (),
        masked_site.payload_digest(arrays),  # type: ignore[attr-defined]
    )
    return Answer(answer.header.model_copy(update={"signature": ring.members[site].party.identity.sign(digest)}), arrays)


def test_a_site_with_wrong_shares_is_named_and_the_sum_opens_where_there_are_others() -> None:
    """One liar among more than enough must not cost the round, nor change it."""
    ring = ring_of(5)
    state, _ = ring.run(ring.order(), replacing("Opening", B, bad_share(ring, B, ring.sites)))
    assert isinstance(state, Opened)
    assert state.blamed == {B: "wrong-share"}
    assert same_bits(state.total, plain_sum(ring.words, ring.sites))


def test_where_every_share_is_needed_a_wrong_one_fails_the_sum_by_name() -> None:
    """Never a wrong sum: of one share both ends are named, since its owner may have sealed another than it committed to."""
    ring = ring_of(3)
    state, _ = ring.run(ring.order(), replacing("Opening", B, bad_share(ring, B, [C])))
    assert isinstance(state, Failed)
    assert (state.where, state.lost) == ("Opening", {B: "wrong-share", C: "wrong-share"})


def sharing_wrongly(monkeypatch: pytest.MonkeyPatch, liar: SiteId, change: Callable[[Any], Any], *, committed: bool) -> None:
    """`liar` gives out other shares than those of its secrets. committed: it also commits to them."""
    true_contribute, true_share, true_sealed = masked_site.contribute, masked_site.share, masked_site._sealed  # type: ignore[attr-defined]
    lying = [False]

    def contribute(party: Any, *rest: Any) -> Any:
        lying[0] = party.site == liar
        return true_contribute(party, *rest)

    def share(*args: Any) -> Any:
        return change(true_share(*args)) if lying[0] and committed else true_share(*args)

    def sealed(party: Any, contribution: Any, chain: bytes, peer: Any, shares: list[bytes]) -> bytes:
        wrong = lying[0] and not committed and peer in (A, B)
        return true_sealed(party, contribution, chain, peer, [bytes(len(one)) for one in shares] if wrong else shares)

    monkeypatch.setattr(masked_site, "contribute", contribute)
    monkeypatch.setattr(masked_site, "share", share)
    monkeypatch.setattr(masked_site, "_sealed", sealed)


def test_an_owner_that_gives_out_wrong_shares_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mask cannot be taken off: the sum fails, and its owner is known, not those who passed its shares on."""
    sharing_wrongly(monkeypatch, C, lambda shares: shares ^ np.uint8(1), committed=True)
    ring = ring_of(5)
    state, _ = ring.run(ring.order())
    assert isinstance(state, Failed)
    assert state.lost == {C: "wrong-shares"}


def test_an_owner_that_seals_other_shares_than_it_committed_to_blames_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two honest sites pass on what was sealed for them; they must not be named in the liar's place."""
    sharing_wrongly(monkeypatch, C, lambda shares: shares, committed=False)
    ring = ring_of(5)
    state, _ = ring.run(ring.order())
    assert isinstance(state, Failed)
    assert state.lost == {C: "wrong-share"}


def test_sealed_shares_that_do_not_open_name_both_ends_and_the_sum_goes_on() -> None:
    """Either could be lying: the pair is told, also where the sum opens without it [10]."""

    def garbled(message: ContributionMessage) -> ContributionMessage:
        arrays = {name: array.copy() for name, array in message.arrays.items()}
        arrays[SEALED_SHARES][20] ^= 1  # the shares for anna
        digest = masked_site.contribution_digest(  # type: ignore[attr-defined]
            bytes.fromhex(STUDY),
            bytes.fromhex(message.header.order),
            B,
            masked_site.payload_digest(arrays),  # type: ignore[attr-defined]
        )
        signature = ring.members[B].party.identity.sign(digest)
        return ContributionMessage(message.header.model_copy(update={"signature": signature}), arrays)

    ring = ring_of(5)
    state, _ = ring.run(ring.order(), replacing("Collecting", B, garbled))
    assert isinstance(state, Opened)
    assert state.blamed == {A: "share-unreadable", B: "share-unreadable"}
    assert same_bits(state.total, plain_sum(ring.words, ring.sites))
    ring = ring_of(3)
    state, _ = ring.run(ring.order(), replacing("Collecting", B, garbled))
    assert isinstance(state, Failed)
    assert state.lost == {A: "share-unreadable", B: "share-unreadable"}


BAD_ANSWERS: dict[str, Callable[[Any], Any]] = {
    "another's name": partial(with_header, site=C),
    "another's signature": partial(with_header, signature="ab" * 64),
    "shares too short": partial(with_arrays, change=lambda arrays: {SHARES: arrays[SHARES][:-1]}),
    "no shares": partial(with_arrays, change=lambda _: {}),
    "other shares, old signature": partial(with_arrays, change=lambda arrays: {SHARES: arrays[SHARES] ^ np.uint8(1)}),
    "everybody unreadable": partial(with_header, unreadable=(A, C, D, E)),
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_a_bad_answer_counts_as_none(what: str) -> None:
    """What is not signed by its sender could be anybody's: it names nobody and is not used."""
    ring = ring_of(5)
    state, _ = ring.run(ring.order(), replacing("Opening", B, BAD_ANSWERS[what]))
    assert isinstance(state, Opened)
    assert state.blamed == {}
    assert same_bits(state.total, plain_sum(ring.words, ring.sites))
    ring = ring_of(3)
    post = replacing("Opening", B, BAD_ANSWERS[what])
    if what == "everybody unreadable":
        post = replacing("Opening", B, partial(with_header, unreadable=(A, C)))
    state, _ = ring.run(ring.order(), post)
    assert isinstance(state, Failed)
    assert state.lost == {B: "wrong-answer"}
