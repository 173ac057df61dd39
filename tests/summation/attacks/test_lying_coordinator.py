"""A coordinator that lies about who was counted, asks twice, or shows sites different views and models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from wardround.crypto.identity import Identity
from wardround.summation.masked import coordinator as masked_sum
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Collecting, Received, Signing
from wardround.summation.masked.coordinator import step
from wardround.summation.masked.layout import SHARE, SHARES, counted_digest, others
from wardround.summation.masked.masks import inverse, mask, pair_sign
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tree import same_bits
from wardround.wire.messages import Answer, ContributionMessage, Message

from ..masked_parties import NAMES, STUDY, Ring, plain_sum
from .parts import (
    WIDE,
    A,
    B,
    C,
    D,
    E,
    Shares,
    contributions,
    is_noise,
    only_words,
    open_ask,
    ring_of,
    sealed_of,
    sign_ask,
    signatures,
    small_words,
)


def test_a_site_said_to_be_lost_after_its_words_came_stays_hidden() -> None:
    """The coordinator has all three vectors and opens two: the third must stay noise, under every question it may then ask."""
    ring = ring_of(3, collusion=0, layout=WIDE)
    small_words(ring)
    order = ring.order()
    contributed = contributions(ring, order)
    signed = signatures(ring, order, (A, B))
    shares = Shares(ring, order)
    for site in (A, B):
        shares.learn(ring.send(site, open_ask(order, contributed, site, (A, B), signed)), (A, B))
    opened = shares.stripped(contributed, (A, B))
    assert opened is not None
    assert same_bits(opened, plain_sum(ring.words, [A, B]))
    for site in (A, B):
        for counted in ((A, B, C), (B, C), (A, C)):
            word = "other-set" if site in counted else "counted"
            assert ring.send(site, sign_ask(order, counted)) == word
            refusal = ring.send(site, open_ask(order, contributed, site, counted, signed))
            assert refusal == ("answered" if site in counted and counted == (A, B) else word)
    left = only_words(ring, contributed[C])
    for end in (A, B):
        seed = shares.seed(end, C)
        assert seed is not None
        mask(left, inverse([(seed, pair_sign(C, end))]))
    assert is_noise(left)
    assert not is_noise(ring.words[C])


def test_after_one_set_no_attempt_or_cohort_opens_another() -> None:
    """The difference of two sums over the same words would be one hospital's words."""
    ring = ring_of(3, collusion=0)
    order = ring.order()
    contributed = contributions(ring, order)
    for site in ring.sites:
        assert isinstance(ring.send(site, open_ask(order, contributed, site, ring.sites)), Answer)
    smaller = ring.order(cohort=(A, B), attempt=2)
    again = contributions(ring, smaller, (A, B))
    for site in (A, B):
        assert ring.send(site, open_ask(smaller, again, site, (A, B))) == "other-set"
    assert ring.send(A, ring.order(cohort=(A, C), attempt=2)) == "old-attempt"
    ring.agree()
    later = ring.order(cohort=(A, B), attempt=3)
    anew = contributions(ring, later, (A, B))
    assert ring.send(A, open_ask(later, anew, A, (A, B))) == "other-set"


@pytest.mark.permission
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_the_set_changes_as_often_as_was_approved_whatever_is_asked(allowed: int) -> None:
    """A model that is asked again under the next name, over one site less, shows that site: each change of the set is a chance.
    Every site counts for itself, and a set that stays is never refused."""
    ring = ring_of(4, collusion=0, set_changes=allowed)
    sets = [(A, B, C, D), (A, B, C), (A, B, D), (A, B, C)]
    last, changes = sets[0], 0
    for number, counted in enumerate(sets, 1):
        order = ring.order(number, model=7)
        contributions(ring, order)
        said = {site: ring.send(site, sign_ask(order, counted)) for site in (A, B)}
        if counted != last and changes == allowed:
            assert set(said.values()) == {"set-changes"}
            assert all(isinstance(ring.send(site, sign_ask(order, last)), Answer) for site in (A, B))
        else:
            assert all(isinstance(answer, Answer) for answer in said.values())
            last, changes = counted, changes + (counted != last)
    assert ring.members[A].state.set_changes == allowed


@pytest.mark.permission
def test_a_site_that_was_away_counts_the_changes_that_it_missed() -> None:
    """Counting only what each saw, dora would open a third set where two were approved. An order that hides the change from her
    is refused by those who were there, and one that says it to them alone has other masks."""
    ring = ring_of(4, collusion=0, set_changes=1)
    for number, counted in ((1, (A, B, C, D)), (2, (A, B, C))):
        order = ring.order(number)
        contributions(ring, order, counted)
        assert len(signatures(ring, order, counted)) == len(counted)
    order = ring.order(3)
    contributions(ring, order)
    assert {ring.send(site, sign_ask(order, ring.sites)) for site in ring.sites} == {"set-changes"}
    for number, history in enumerate(((0, (A, B, C, D)), (0, ()), (1, (A, B, D))), 4):
        hiding = ring.order(number, sets=history)
        assert {ring.send(site, hiding) for site in (A, B, C)} == {"set-history"}
        assert isinstance(ring.send(D, hiding), ContributionMessage) == (history != (0, ()))


def opening(ring: Ring, number: int) -> bytes:
    return ring.order(1, step="open", round=number, weight=0, model=7)


@pytest.mark.permission
def test_who_answered_in_an_opening_answers_in_the_next_for_the_same_set_only() -> None:
    """A coordinator that pretends that the first opening failed would have the number of records of dora from the second. Signing
    gives nothing away, and the first opening may never open: who only signed is free, and done with the first."""
    ring = ring_of(4, collusion=0)
    first = opening(ring, 0)
    contributed = contributions(ring, first)
    assert len(signatures(ring, first, ring.sites)) == 4
    for site in (A, B):
        assert isinstance(ring.send(site, open_ask(first, contributed, site, ring.sites)), Answer)
    second = opening(ring, 1)
    again = contributions(ring, second)
    less = (A, B, C)
    said = {site: ring.send(site, sign_ask(second, less)) for site in less}
    assert (said[A], said[B]) == ("other-set", "other-set")
    assert isinstance(said[C], Answer)
    assert ring.send(C, open_ask(first, contributed, C, ring.sites)) == "old-order"
    for site in (A, B, D):
        assert isinstance(ring.send(site, open_ask(second, again, site, ring.sites)), Answer)


def test_once_a_question_was_asked_under_two_names_neither_sum_comes_again() -> None:
    """A site that remembered only the latest name of a question would take part in the earlier sum again [8.1]."""
    ring = ring_of(3)
    for number, model in ((1, 7), (2, 7), (3, 8)):
        contributions(ring, ring.order(number, model=model))
    for number in (1, 2):
        assert ring.send(A, ring.order(number, model=7, attempt=2)) == "old-sum"
        assert ring.send(A, ring.order(number, model=9, attempt=2)) == "old-sum"


def test_an_earlier_attempt_is_not_opened_after_a_later_one() -> None:
    """Two openings of the same words under other masks are one chance too many; the keys of the first attempt are gone."""
    ring = ring_of(3)
    first = ring.order()
    contributed = contributions(ring, first)
    second = ring.order(attempt=2)
    again = contributions(ring, second)
    for site in ring.sites:
        assert isinstance(ring.send(site, open_ask(second, again, site, ring.sites)), Answer)
        assert ring.send(site, open_ask(first, contributed, site, ring.sites)) == "old-order"
        assert ring.send(site, sign_ask(first, ring.sites[:2])) == "old-order"


def test_a_second_answer_with_other_bytes_is_not_given() -> None:
    """Sealed shares swapped between two opens of one set could bring out shares of other secrets."""
    ring = ring_of(3, collusion=0)
    order = ring.order()
    contributed = contributions(ring, order)
    signed = signatures(ring, order, (A, B))
    first = open_ask(order, contributed, A, (A, B), signed)
    answer = ring.send(A, first)
    assert isinstance(answer, Answer)
    assert ring.send(A, first) is answer
    fewer = {site: one for site, one in signed.items() if site != A}
    assert ring.send(A, open_ask(order, contributed, A, (A, B), {**fewer, A: "0" * 128, C: "0" * 128})) == "answered"
    assert ring.send(A, open_ask(order, {B: contributed[C]}, A, (A, B), signed)) == "answered"


THREE_VIEWS = {A: (A, B), B: (B, C), C: (A, C)}
FIVE_VIEWS = {A: (A, B, C), B: (A, B, D), C: (A, B, C), D: (A, B, D), E: (A, B, E)}


def asked_for(
    ring: Ring, views: Mapping[SiteId, tuple[SiteId, ...]]
) -> tuple[dict[SiteId, ContributionMessage], dict[SiteId, Message | str], bytes]:
    """Everybody contributes; each site signs its view, and is asked to open it with every signature there is on that view."""
    order = ring.order()
    contributed = contributions(ring, order)
    signed: dict[SiteId, Answer] = {}
    for site, view in views.items():
        answer = ring.send(site, sign_ask(order, view))
        assert isinstance(answer, Answer)
        signed[site] = answer
    answers = {}
    for site, view in views.items():
        certificate = {other: signed[other].header.signature for other in view if views[other] == view}
        answers[site] = ring.send(site, open_ask(order, contributed, site, view, certificate))
    return contributed, answers, order


@pytest.mark.parametrize(("n", "views"), [(3, THREE_VIEWS), (5, FIVE_VIEWS)])
def test_views_that_differ_open_nothing(n: int, views: dict[SiteId, tuple[SiteId, ...]]) -> None:
    """The attack that the certificate is there for. No site reveals a share, also where all the others' signatures are added."""
    ring = ring_of(n, collusion=0)
    contributed, answers, order = asked_for(ring, views)
    assert set(answers.values()) == {"no-certificate"}
    signed = {site: ring.members[site].stored[sha256_hex(sign_ask(order, view))] for site, view in views.items()}
    everything = {site: answer.header.signature for site, answer in signed.items() if isinstance(answer, Answer)}
    assert len(everything) == n
    for site, view in views.items():
        assert ring.send(site, open_ask(order, contributed, site, view, everything)) == "no-certificate"


def lenient_shares(
    ring: Ring, contributed: Mapping[SiteId, ContributionMessage], site: SiteId, view: Sequence[SiteId]
) -> Iterator[tuple[SiteId, SiteId, bytes]]:
    """What 7.4 forbids: also the shares of owners that were not counted, of their pairs with those who were."""
    member = ring.members[site]
    state = member.state.last_contribution
    assert state is not None
    for owner in (owner for owner in state.cohort if owner not in view):
        shares = masked_site._opened(member.party, state, owner, sealed_of(contributed[owner], state.cohort, owner, site))
        assert shares is not None
        for number, end in enumerate(others(state.cohort, owner), 1):
            if end in view:
                yield owner, end, shares[SHARE * number : SHARE * (number + 1)]


def test_without_certificate_and_owner_rule_three_views_strip_each_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """That both rules bear weight: with them off the coordinator reads every hospital's own words, bit for bit [11.2]."""
    monkeypatch.setattr(masked_site, "_signers", lambda *_: 250)
    ring = ring_of(3, collusion=0)
    contributed, answers, order = asked_for(ring, THREE_VIEWS)
    shares = Shares(ring, order)
    for site, view in THREE_VIEWS.items():
        shares.learn(answers[site], view)
    assert all(shares.stripped(contributed, [site]) is None for site in ring.sites)  # the owner rule alone still holds
    for site, view in THREE_VIEWS.items():
        for owner, end, share in lenient_shares(ring, contributed, site, view):
            shares.add(site, owner, end, share)
    for site in ring.sites:
        opened = shares.stripped(contributed, [site])
        assert opened is not None
        assert same_bits(opened, ring.words[site])


def test_without_the_certificate_five_views_open_the_sum_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the threshold of three: the smallest case in which nothing but the certificate stands in the way [11.2]."""
    monkeypatch.setattr(masked_site, "_signers", lambda *_: 250)
    ring = ring_of(5, collusion=0)
    assert ring.quorum.threshold == 3
    contributed, answers, order = asked_for(ring, FIVE_VIEWS)
    shares = Shares(ring, order)
    for site, view in FIVE_VIEWS.items():
        shares.learn(answers[site], view)
    opened = shares.stripped(contributed, [A, B])
    assert opened is not None
    assert same_bits(opened, plain_sum(ring.words, [A, B]))


@pytest.mark.parametrize("forged", ["others' keys", "another order", "another attempt", "one site twice", "not counted"])
def test_a_certificate_takes_signatures_of_the_counted_on_this_very_set(forged: str) -> None:
    """Signatures from elsewhere would let one view be opened with the approval of another."""
    ring = ring_of(5, collusion=0)
    first = ring.order()
    contributions(ring, first)
    earlier = signatures(ring, first, (A, B, C))
    assert len(earlier) == 3
    second = ring.order(attempt=2)
    contributed = contributions(ring, second)
    own = ring.send(A, sign_ask(second, (A, B, C)))
    assert isinstance(own, Answer)
    one = {A: own.header.signature}
    said = counted_digest(bytes.fromhex(STUDY), ring.attempt(second), (A, B, C))
    lost = {site: ring.members[site].party.identity.sign(said) for site in (D, E)}  # two that collude
    strangers = {site: Identity.new().sign(b"") for site in (B, C)}
    certificate = {
        "others' keys": one | strangers,
        "another order": earlier,
        "another attempt": one | {site: earlier[site] for site in (B, C)},
        "one site twice": one | dict.fromkeys((B, C), one[A]),
        "not counted": one | lost,
    }[forged]
    assert ring.send(A, open_ask(second, contributed, A, (A, B, C), certificate)) == "no-certificate"
    assert isinstance(ring.send(A, open_ask(second, contributed, A, (A, B, C), signatures(ring, second, (A, B, C)))), Answer)


def rehashed(message: ContributionMessage, order: bytes) -> ContributionMessage:
    return replace(message, header=message.header.model_copy(update={"order": sha256_hex(order)}))


def test_a_site_with_another_model_is_out_and_a_total_with_it_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model made for one hospital would bring its records out of the difference; every mask is bound to the order [11.3]."""
    ring = ring_of(3, collusion=0, layout=WIDE)
    small_words(ring)
    drawn: dict[SiteId, bytes] = {}
    for site, member in ring.members.items():
        member.party = replace(member.party, random_bytes=recording(drawn, site))
    order = ring.order()
    other = ring.order(model=2, turn=ring.turn)
    sent = {site: other if site == C else order for site in ring.sites}
    contributed = {site: contributions(ring, sent[site], [site])[site] for site in ring.sites}
    start = Collecting(ring.attempt(order))
    state = step(start, Received(contributed))
    assert isinstance(state, Signing)
    assert state.lost == {C: "wrong-answer"}
    relabelled = {site: rehashed(message, order) for site, message in contributed.items()}
    state = step(start, Received(relabelled))
    assert isinstance(state, Signing)
    assert state.lost == {C: "wrong-signature"}
    monkeypatch.setattr(masked_sum, "_signed", lambda *_: True)
    state = step(start, Received(relabelled))
    assert isinstance(state, Signing)
    assert state.lost == {C: "other-seed"}
    total = plain_sum({site: only_words(ring, message) for site, message in contributed.items()}, ring.sites)
    assert is_noise(mask(total, inverse([(seed, 1) for seed in drawn.values()])))


def recording(drawn: dict[SiteId, bytes], site: SiteId) -> Callable[[int], bytes]:
    """The operating system's bytes; the first 32 after this are the site's own seed."""
    source = np.random.Generator(np.random.Philox(NAMES.index(site)))

    def draw(count: int) -> bytes:
        random = source.bytes(count)
        if count == 32:
            drawn.setdefault(site, random)
        return random

    return draw


def test_shares_sealed_in_an_earlier_round_do_not_open() -> None:
    """Shares of an old sum, asked for again under a new one, would be a second answer for the old one [11.4]."""
    ring = ring_of(3, collusion=0)
    first = ring.order(1)
    old = contributions(ring, first)
    second = ring.order(2)
    contributions(ring, second)
    answer = ring.send(A, open_ask(second, old, A, ring.sites))
    assert isinstance(answer, Answer)
    assert answer.header.unreadable == (B, C)
    shares = answer.arrays[SHARES].tobytes()
    assert shares[SHARE:] == bytes(2 * SHARE)


def test_an_old_order_gets_its_stored_bytes_or_a_word() -> None:
    """A network that repeats messages must not make a site mask other words under the same keys."""
    ring = ring_of(3)
    first = ring.order(1)
    contribution = ring.send(A, first)
    assert ring.send(A, first) is contribution
    assert ring.send(A, ring.order(1, weight=11, turn=1)) == "old-turn"
    assert ring.send(A, ring.order(1)) == "old-attempt"
    assert ring.send(A, ring.order(1, cohort=(A, B, C), weight=11, attempt=2)) == "other-content"
    contributions(ring, ring.order(2))
    assert ring.send(A, ring.order(1, attempt=2)) == "old-sum"
