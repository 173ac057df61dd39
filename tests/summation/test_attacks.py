"""What a malicious coordinator, network or site tries on the real machines, and what it gets: a word, or noise.

Numbers in brackets are sections of docs/spec/masked-sum.md. The names: anna, berta, carla, dora, emma, in this order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from wardround.crypto.identity import Identity
from wardround.summation.masked import coordinator as masked_sum
from wardround.summation.masked import keys as pairwise
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Collecting, Failed, Opened, Opening, Received, Signing, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.keys import Roster
from wardround.summation.masked.layout import BOX_EXTRA, BOXES, SHARE, SHARES, counted_digest, others
from wardround.summation.masked.masks import inverse, mask, pair_sign
from wardround.summation.masked.memory import MaskedState, after_restoring, ended
from wardround.summation.masked.shamir import recover
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Message, Order, Refusal, RefusalHeader, Statement

from .masked_parties import NAMES, STUDY, Member, Post, Ring, losing, plain_sum

A, B, C, D, E = NAMES
WIDE = {"model/words": ("uint16", 20_000)}


def ring_of(n: int = 3, **how: Any) -> Ring:
    ring = Ring(n, **how)
    ring.agree()
    return ring


def small_words(ring: Ring) -> None:
    """Words of a few bits, so that anything but noise shows in the high bytes."""
    for site in ring.sites:
        ring.words[site] = {"model/words": ring.rng.integers(0, 64, 20_000, dtype=np.uint16)}


def contributions(ring: Ring, order: bytes, sites: Sequence[SiteId] | None = None) -> dict[SiteId, ContributionMessage]:
    found = {}
    for site in sites or ring.sites:
        answer = ring.send(site, order)
        assert isinstance(answer, ContributionMessage), (site, answer)
        found[site] = answer
    return found


def sign_ask(order: bytes, counted: Sequence[SiteId]) -> bytes:
    return to_bytes(Ask(AskHeader(study=STUDY, what="sign", order=sha256_hex(order), counted=tuple(counted))))


def open_ask(
    order: bytes,
    given: Mapping[SiteId, ContributionMessage],
    site: SiteId,
    counted: Sequence[SiteId],
    certificate: Mapping[SiteId, str] | None = None,
) -> bytes:
    """An open for `site`, with the boxes that the contributions hold for it."""
    message = from_bytes(order)
    assert isinstance(message, Order)
    boxes = [box_of(given[owner], message.header.cohort, owner, site) for owner in counted if owner != site]
    signed = {str(one): signature for one, signature in (certificate or {}).items()}
    header = AskHeader(study=STUDY, what="open", order=sha256_hex(order), counted=tuple(counted), certificate=signed)
    return to_bytes(Ask(header, {BOXES: np.frombuffer(b"".join(boxes), np.uint8)}))


def box_of(given: ContributionMessage, cohort: Sequence[str], owner: SiteId, site: SiteId) -> bytes:
    size, place = SHARE * len(cohort) + BOX_EXTRA, others(cohort, owner).index(site)
    return given.arrays[BOXES].tobytes()[size * place : size * (place + 1)]


def signatures(ring: Ring, order: bytes, counted: Sequence[SiteId]) -> dict[SiteId, str]:
    """Those that sign that `counted` were counted."""
    found = {site: ring.send(site, sign_ask(order, counted)) for site in counted}
    return {site: answer.header.signature for site, answer in found.items() if isinstance(answer, Answer)}


class Shares:
    """What the adversary has collected: shares of each owner's secrets in one order, by (owner, other end; or itself for b)."""

    def __init__(self, ring: Ring, order: bytes) -> None:
        self.ring, self.of = ring, ring.attempt(order)
        self.found: dict[tuple[SiteId, SiteId], dict[SiteId, bytes]] = {}

    def add(self, site: SiteId, owner: SiteId, end: SiteId, share: bytes) -> None:
        self.found.setdefault((owner, end), {})[site] = share

    def learn(self, answer: Message | str, counted: Sequence[SiteId]) -> None:
        assert isinstance(answer, Answer), answer
        ends = [site for site in self.of.cohort if site not in counted]
        shares = answer.arrays[SHARES].tobytes()
        secrets = [(owner, end) for owner in counted for end in (owner, *ends)]
        for place, (owner, end) in enumerate(secrets):
            self.add(SiteId(answer.header.site), owner, end, shares[SHARE * place : SHARE * (place + 1)])

    def seed(self, one: SiteId, other: SiteId) -> bytes | None:
        """Of the pair, dealt by either end; or the own mask's of one site."""
        for key in ((one, other), (other, one)):
            shares = self.found.get(key, {})
            if len(shares) >= self.of.quorum.threshold:
                table = np.frombuffer(b"".join(shares.values()), np.uint8).reshape(len(shares), 1, SHARE)
                return recover(table, [self.of.quorum.point(site) for site in shares], self.of.quorum.threshold)[0].tobytes()
        return None

    def stripped(self, given: Mapping[SiteId, ContributionMessage], sites: Sequence[SiteId]) -> Tree | None:
        """The plain sum of the words of `sites`, where the shares give every seed that stands between; else None."""
        total = plain_sum({site: only_words(self.ring, given[site]) for site in sites}, list(sites))
        for site in sites:
            for end in (site, *(end for end in self.of.cohort if end not in sites)):
                seed = self.seed(site, end)
                if seed is None:
                    return None
                mask(total, inverse([(seed, 1 if site == end else pair_sign(site, end))]))
        return total


def only_words(ring: Ring, given: ContributionMessage) -> Tree:
    return {name: given.arrays[name].copy() for name in ring.layout}


def high_bytes(words: Tree) -> np.ndarray[Any, Any]:
    return (words["model/words"] >> 8).astype(np.uint8)


def chi_square(found: np.ndarray[Any, Any]) -> float:
    """Over 256 values; for uniform bytes 255 with a deviation of 22.6."""
    expected = found.size / 256
    return float(((np.bincount(found, minlength=256) - expected) ** 2).sum() / expected)


def is_noise(words: Tree) -> bool:
    return chi_square(high_bytes(words)) < 255 + 8 * 22.6 and chi_square((words["model/words"] & 255).astype(np.uint8)) < 436


# --- The coordinator lies about who was counted ---


def test_a_site_said_to_be_lost_after_its_words_came_stays_hidden() -> None:
    """The coordinator has all three vectors and opens two: the third must stay noise, under every question it may then ask."""
    ring = ring_of(3, collusion=0, layout=WIDE)
    small_words(ring)
    order = ring.order()
    given = contributions(ring, order)
    signed = signatures(ring, order, (A, B))
    shares = Shares(ring, order)
    for site in (A, B):
        shares.learn(ring.send(site, open_ask(order, given, site, (A, B), signed)), (A, B))
    opened = shares.stripped(given, (A, B))
    assert opened is not None
    assert same_bits(opened, plain_sum(ring.words, [A, B]))
    for site in (A, B):
        for counted in ((A, B, C), (B, C), (A, C)):
            word = "other-set" if site in counted else "counted"
            assert ring.send(site, sign_ask(order, counted)) == word
            refusal = ring.send(site, open_ask(order, given, site, counted, signed))
            assert refusal == ("answered" if site in counted and counted == (A, B) else word)
    left = only_words(ring, given[C])
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
    given = contributions(ring, order)
    for site in ring.sites:
        assert isinstance(ring.send(site, open_ask(order, given, site, ring.sites)), Answer)
    smaller = ring.order(cohort=(A, B), attempt=2)
    again = contributions(ring, smaller, (A, B))
    for site in (A, B):
        assert ring.send(site, open_ask(smaller, again, site, (A, B))) == "other-set"
    assert ring.send(A, ring.order(cohort=(A, C), attempt=2)) == "old-attempt"
    ring.agree()
    later = ring.order(cohort=(A, B), attempt=3)
    anew = contributions(ring, later, (A, B))
    assert ring.send(A, open_ask(later, anew, A, (A, B))) == "other-set"


def test_the_same_question_under_another_round_is_the_same_question() -> None:
    """A coordinator that numbers a round anew asks for words of the same model: a second set would show one site."""
    ring = ring_of(3, collusion=0)
    order = ring.order(1, model=7)
    given = contributions(ring, order)
    assert len(signatures(ring, order, (A, B))) == 2
    renamed = ring.order(2, model=7)
    again = contributions(ring, renamed)
    assert len(given) == len(again) == 3
    for site in (A, B):
        assert ring.send(site, open_ask(renamed, again, site, ring.sites)) == "other-set"
        assert ring.send(site, sign_ask(renamed, tuple(sorted({site, C})))) == "other-set"
    assert signatures(ring, renamed, (A, B)).keys() == {A, B}


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
    given = contributions(ring, first)
    second = ring.order(attempt=2)
    again = contributions(ring, second)
    for site in ring.sites:
        assert isinstance(ring.send(site, open_ask(second, again, site, ring.sites)), Answer)
        assert ring.send(site, open_ask(first, given, site, ring.sites)) == "old-order"
        assert ring.send(site, sign_ask(first, ring.sites[:2])) == "old-order"


def test_a_second_answer_with_other_bytes_is_not_given() -> None:
    """Boxes exchanged between two opens of one set could bring out shares of other dealings."""
    ring = ring_of(3, collusion=0)
    order = ring.order()
    given = contributions(ring, order)
    signed = signatures(ring, order, (A, B))
    first = open_ask(order, given, A, (A, B), signed)
    answer = ring.send(A, first)
    assert isinstance(answer, Answer)
    assert ring.send(A, first) is answer
    fewer = {site: one for site, one in signed.items() if site != A}
    assert ring.send(A, open_ask(order, given, A, (A, B), {**fewer, A: "0" * 128, C: "0" * 128})) == "answered"
    assert ring.send(A, open_ask(order, {B: given[C]}, A, (A, B), signed)) == "answered"


# --- Different survivors for different sites [11.1, 11.2] ---

THREE_VIEWS = {A: (A, B), B: (B, C), C: (A, C)}
FIVE_VIEWS = {A: (A, B, C), B: (A, B, D), C: (A, B, C), D: (A, B, D), E: (A, B, E)}


def asked_for(
    ring: Ring, views: Mapping[SiteId, tuple[SiteId, ...]]
) -> tuple[dict[SiteId, ContributionMessage], dict[SiteId, Message | str], bytes]:
    """Everybody contributes; each site signs its view, and is asked to open it with every signature there is on that view."""
    order = ring.order()
    given = contributions(ring, order)
    signed: dict[SiteId, Answer] = {}
    for site, view in views.items():
        answer = ring.send(site, sign_ask(order, view))
        assert isinstance(answer, Answer)
        signed[site] = answer
    answers = {}
    for site, view in views.items():
        certificate = {other: signed[other].header.signature for other in view if views[other] == view}
        answers[site] = ring.send(site, open_ask(order, given, site, view, certificate))
    return given, answers, order


@pytest.mark.parametrize(("n", "views"), [(3, THREE_VIEWS), (5, FIVE_VIEWS)])
def test_views_that_differ_open_nothing(n: int, views: dict[SiteId, tuple[SiteId, ...]]) -> None:
    """The attack that the certificate is there for. No site reveals a share, also where all the others' signatures are added."""
    ring = ring_of(n, collusion=0)
    given, answers, order = asked_for(ring, views)
    assert set(answers.values()) == {"no-certificate"}
    signed = {site: ring.members[site].stored[sha256_hex(sign_ask(order, view))] for site, view in views.items()}
    everything = {site: answer.header.signature for site, answer in signed.items() if isinstance(answer, Answer)}
    assert len(everything) == n
    for site, view in views.items():
        assert ring.send(site, open_ask(order, given, site, view, everything)) == "no-certificate"


def lenient_shares(
    ring: Ring, given: Mapping[SiteId, ContributionMessage], site: SiteId, view: Sequence[SiteId]
) -> Iterator[tuple[SiteId, SiteId, bytes]]:
    """What 7.4 forbids: also the dealings of owners that were not counted, of their pairs with those who were."""
    member = ring.members[site]
    state = member.state.given
    assert state is not None
    for owner in (owner for owner in state.cohort if owner not in view):
        dealt = masked_site._opened(member.party, state, owner, box_of(given[owner], state.cohort, owner, site))
        assert dealt is not None
        for number, end in enumerate(others(state.cohort, owner), 1):
            if end in view:
                yield owner, end, dealt[SHARE * number : SHARE * (number + 1)]


def test_without_certificate_and_owner_rule_three_views_strip_each_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """That both rules bear weight: with them off the coordinator reads every hospital's own words, bit for bit [11.2]."""
    monkeypatch.setattr(masked_site, "_signers", lambda *_: 250)
    ring = ring_of(3, collusion=0)
    given, answers, order = asked_for(ring, THREE_VIEWS)
    shares = Shares(ring, order)
    for site, view in THREE_VIEWS.items():
        shares.learn(answers[site], view)
    assert all(shares.stripped(given, [site]) is None for site in ring.sites)  # the owner rule alone still holds
    for site, view in THREE_VIEWS.items():
        for owner, end, share in lenient_shares(ring, given, site, view):
            shares.add(site, owner, end, share)
    for site in ring.sites:
        found = shares.stripped(given, [site])
        assert found is not None
        assert same_bits(found, ring.words[site])


def test_without_the_certificate_five_views_open_the_sum_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the threshold of three: the smallest case in which nothing but the certificate stands in the way [11.2]."""
    monkeypatch.setattr(masked_site, "_signers", lambda *_: 250)
    ring = ring_of(5, collusion=0)
    assert ring.quorum.threshold == 3
    given, answers, order = asked_for(ring, FIVE_VIEWS)
    shares = Shares(ring, order)
    for site, view in FIVE_VIEWS.items():
        shares.learn(answers[site], view)
    found = shares.stripped(given, [A, B])
    assert found is not None
    assert same_bits(found, plain_sum(ring.words, [A, B]))


@pytest.mark.parametrize("forged", ["others' keys", "another order", "another attempt", "one site twice", "not counted"])
def test_a_certificate_takes_signatures_of_the_counted_on_this_very_set(forged: str) -> None:
    """Signatures from elsewhere would let one view be opened with the approval of another."""
    ring = ring_of(5, collusion=0)
    first = ring.order()
    contributions(ring, first)
    earlier = signatures(ring, first, (A, B, C))
    assert len(earlier) == 3
    second = ring.order(attempt=2)
    given = contributions(ring, second)
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
    assert ring.send(A, open_ask(second, given, A, (A, B, C), certificate)) == "no-certificate"
    assert isinstance(ring.send(A, open_ask(second, given, A, (A, B, C), signatures(ring, second, (A, B, C)))), Answer)


# --- Another model for one site; replays ---


def rehashed(found: ContributionMessage, order: bytes) -> ContributionMessage:
    return replace(found, header=found.header.model_copy(update={"order": sha256_hex(order)}))


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
    given = {site: contributions(ring, sent[site], [site])[site] for site in ring.sites}
    start = Collecting(ring.attempt(order))
    state = step(start, Received(given))
    assert isinstance(state, Signing)
    assert state.lost == {C: "wrong-answer"}
    relabelled = {site: rehashed(found, order) for site, found in given.items()}
    state = step(start, Received(relabelled))
    assert isinstance(state, Signing)
    assert state.lost == {C: "wrong-signature"}
    monkeypatch.setattr(masked_sum, "_signed", lambda *_: True)
    state = step(start, Received(relabelled))
    assert isinstance(state, Signing)
    assert state.lost == {C: "other-seed"}
    total = plain_sum({site: only_words(ring, found) for site, found in given.items()}, ring.sites)
    assert is_noise(mask(total, inverse([(seed, 1) for seed in drawn.values()])))


def recording(drawn: dict[SiteId, bytes], site: SiteId) -> Callable[[int], bytes]:
    """The operating system's bytes; the first 32 after this are the site's own seed."""
    source = np.random.Generator(np.random.Philox(NAMES.index(site)))

    def draw(count: int) -> bytes:
        found = source.bytes(count)
        if count == 32:
            drawn.setdefault(site, found)
        return found

    return draw


def test_boxes_of_an_earlier_round_do_not_open() -> None:
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


# --- Keys and rosters ---


def restated(ring: Ring, site: SiteId, **changes: Any) -> tuple[Statement, ...]:
    return tuple(one.model_copy(update=changes) if one.site == site else one for one in ring.roster)


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
        restated(ring, B, round=5),
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


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
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
        with pytest.raises(masked_site.RefusedError) as caught:  # type: ignore[attr-defined]
            masked_site.check(member.party, member.state, message)
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
    assert ring.send(A, ring.order(4, cohort=(A, B, C))) == "memory"
    ring.agree((A, B, C, D))
    assert ring.send(A, ring.order(3, cohort=(A, B, C, D), attempt=2)) == "memory"
    assert isinstance(ring.send(A, ring.order(4, cohort=(A, B, C, D))), ContributionMessage)


def two_sums_with_a_site_that_forgot(ring: Ring, first: bytes, second: Callable[[], bytes]) -> list[Tree]:
    """A and B open `first` over {A, B}; A loses its state and is asked for keys anew; A and C are asked for `second`."""
    found = []
    for order, cohort in ((first, (A, B)), (b"", (A, C))):
        sent = order or second()
        given = {site: ring.send(site, sent) for site in cohort}
        if any(isinstance(answer, str) for answer in given.values()):
            return found
        shares = Shares(ring, sent)
        masked_words = {site: answer for site, answer in given.items() if isinstance(answer, ContributionMessage)}
        for site in cohort:
            answer = ring.send(site, open_ask(sent, masked_words, site, cohort))
            if not isinstance(answer, Answer):
                return found
            shares.learn(answer, cohort)
        total = shares.stripped(masked_words, cohort)
        assert total is not None
        found.append(total)
    return found


def asked_for_a_key_again(ring: Ring) -> None:
    """Only A, in the epoch that the others have a key for already: their statements are as old as their keys."""
    answer = ring.send(A, to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=ring.epoch))))
    assert isinstance(answer, Answer)
    header = answer.header
    fields = {"site": A, "key": header.key, "turn": header.turn, "round": header.round, "signature": header.signature}
    ring.roster = tuple(Statement(**fields) if one.site == A else one for one in ring.roster)


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
        ring.members[A].state = replace(ring.members[A].state, past={})  # the copy was older than round 1
        ring.agree()
        return ring.order(2, cohort=(A, C), model=7)

    assert len(two_sums_with_a_site_that_forgot(ring, first, again)) == 1


# --- Sites that send rubbish ---


def replacing(stage: str, who: SiteId, change: Callable[[Any], Message]) -> Post:
    def post(at: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:
        answer = hand(data)
        assert not isinstance(answer, str), answer
        return change(answer) if (at, site) == (stage, who) else answer

    return post


def with_arrays(found: Any, change: Callable[[Tree], Tree]) -> Any:
    return replace(found, arrays=change({name: array.copy() for name, array in found.arrays.items()}))


def with_header(found: Any, **changes: Any) -> Any:
    return replace(found, header=found.header.model_copy(update=changes))


def shorter(arrays: Tree) -> Tree:
    return {name: array[:-1] if name == "model/words" else array for name, array in arrays.items()}


def other_words(arrays: Tree) -> Tree:
    arrays["model/words"][0] ^= 1
    return arrays


BAD_CONTRIBUTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "wrong length": (partial(with_arrays, change=shorter), "wrong-shape"),
    "no boxes": (partial(with_arrays, change=lambda arrays: {n: a for n, a in arrays.items() if n != BOXES}), "wrong-shape"),
    "other words": (partial(with_arrays, change=other_words), "wrong-signature"),
    "no signature": (partial(with_header, signature=""), "wrong-signature"),
    "another's name": (partial(with_header, site=C), "wrong-answer"),
    "another order": (partial(with_header, order="e" * 64), "wrong-answer"),
    "another study": (partial(with_header, study="e" * 64), "wrong-answer"),
    "another round": (partial(with_header, round=9), "wrong-answer"),
    "another step": (partial(with_header, step="evaluate"), "wrong-answer"),
    "a refusal": (lambda found: Refusal(RefusalHeader(study=STUDY, site=B, order=found.header.order, code="x")), "wrong-answer"),
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

    def change(found: Answer) -> Answer:
        arrays = {SHARES: found.arrays[SHARES].copy()}
        for owner in owners:
            arrays[SHARES][SHARE * ring.sites.index(owner)] ^= 1
        return signed_answer(ring, site, found, arrays)

    return change


def signed_answer(ring: Ring, site: SiteId, found: Answer, arrays: Tree) -> Answer:
    given = ring.members[site].state.given
    assert given is not None
    digest = masked_site.answer_digest(  # type: ignore[attr-defined]
        bytes.fromhex(STUDY),
        bytes.fromhex(given.order),
        given.counted,
        site,
        (),
        masked_site.payload_digest(arrays),  # type: ignore[attr-defined]
    )
    return Answer(found.header.model_copy(update={"signature": ring.members[site].party.identity.sign(digest)}), arrays)


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


def dealing(monkeypatch: pytest.MonkeyPatch, liar: SiteId, change: Callable[[Any], Any], *, committed: bool) -> None:
    """`liar` deals other shares than those of its secrets. committed: it also commits to them."""
    true_contribute, true_share, true_sealed = masked_site.contribute, masked_site.share, masked_site._sealed  # type: ignore[attr-defined]
    lying = [False]

    def contribute(party: Any, *rest: Any) -> Any:
        lying[0] = party.site == liar
        return true_contribute(party, *rest)

    def share(*args: Any) -> Any:
        return change(true_share(*args)) if lying[0] and committed else true_share(*args)

    def sealed(party: Any, order: Any, h: Any, chains: Any, peer: Any, shares: bytes) -> bytes:
        wrong = lying[0] and not committed and peer in (A, B)
        return true_sealed(party, order, h, chains, peer, bytes(len(shares)) if wrong else shares)

    monkeypatch.setattr(masked_site, "contribute", contribute)
    monkeypatch.setattr(masked_site, "share", share)
    monkeypatch.setattr(masked_site, "_sealed", sealed)


def test_an_owner_that_deals_wrong_shares_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mask cannot be taken off: the sum fails, and the one who dealt is known, not those who passed its shares on."""
    dealing(monkeypatch, C, lambda shares: shares ^ np.uint8(1), committed=True)
    ring = ring_of(5)
    state, _ = ring.run(ring.order())
    assert isinstance(state, Failed)
    assert state.lost == {C: "wrong-shares"}


def test_an_owner_that_seals_other_shares_than_it_committed_to_blames_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two honest sites pass on what they found in their boxes; they must not be named in the liar's place."""
    dealing(monkeypatch, C, lambda shares: shares, committed=False)
    ring = ring_of(5)
    state, _ = ring.run(ring.order())
    assert isinstance(state, Failed)
    assert state.lost == {C: "wrong-share"}


def test_a_box_that_does_not_open_names_both_ends_and_the_sum_goes_on() -> None:
    """Either could be lying: the pair is told, also where the sum opens without it [10]."""

    def garbled(found: ContributionMessage) -> ContributionMessage:
        arrays = {name: array.copy() for name, array in found.arrays.items()}
        arrays[BOXES][20] ^= 1  # the box for anna
        digest = masked_site.contribution_digest(  # type: ignore[attr-defined]
            bytes.fromhex(STUDY),
            bytes.fromhex(found.header.order),
            B,
            masked_site.payload_digest(arrays),  # type: ignore[attr-defined]
        )
        signature = ring.members[B].party.identity.sign(digest)
        return ContributionMessage(found.header.model_copy(update={"signature": signature}), arrays)

    ring = ring_of(5)
    state, _ = ring.run(ring.order(), replacing("Collecting", B, garbled))
    assert isinstance(state, Opened)
    assert state.blamed == {A: "box-unreadable", B: "box-unreadable"}
    assert same_bits(state.total, plain_sum(ring.words, ring.sites))
    ring = ring_of(3)
    state, _ = ring.run(ring.order(), replacing("Collecting", B, garbled))
    assert isinstance(state, Failed)
    assert state.lost == {A: "box-unreadable", B: "box-unreadable"}


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


# --- What colluding sites and the coordinator see ---


def test_two_colluding_sites_and_the_coordinator_see_noise_but_for_the_sum() -> None:
    """Everything they hold is taken off: colluders' words, their pairs' masks and the opened own masks. What is left of a
    hospital's vector, and of its differences over attempts and rounds, is uniform; only over all three it is the sum [11.3]."""
    ring = ring_of(5, collusion=2, layout=WIDE)
    small_words(ring)
    honest = (A, B, C)
    known: dict[SiteId, list[Tree]] = {site: [] for site in honest}
    for order in (ring.order(1), ring.order(1, attempt=2), ring.order(2)):
        chains = {site: chain_before(ring, site, order) for site in (D, E)}
        given = contributions(ring, order)
        shares = Shares(ring, order)
        for site in ring.sites:
            shares.learn(ring.send(site, open_ask(order, given, site, ring.sites)), ring.sites)
        h = bytes.fromhex(sha256_hex(order))
        for site in honest:
            left = only_words(ring, given[site])
            assert is_noise(left)
            seeds = [(pairwise.pair_seed(chains[one][site], h, one, site), pair_sign(site, one)) for one in (D, E)]
            own = shares.seed(site, site)
            assert own is not None
            known[site].append(mask(left, inverse([*seeds, (own, 1)])))
    for views in known.values():
        assert all(is_noise(view) for view in views)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert is_noise({"model/words": views[one]["model/words"] - views[other]["model/words"]})
    for number in range(3):
        of_two = plain_sum({site: known[site][number] for site in honest}, [A, B])
        assert is_noise(of_two)
        total = plain_sum({site: known[site][number] for site in honest}, list(honest))
        assert same_bits(total, plain_sum(ring.words, list(honest)))


def chain_before(ring: Ring, site: SiteId, order: bytes) -> dict[SiteId, bytes]:
    """A colluder's chains at the order's turn."""
    message, member = from_bytes(order), ring.members[site]
    assert isinstance(message, Order)
    state = masked_site.check(member.party, member.state, message)
    assert state.chains is not None
    assert message.header.masked is not None
    return pairwise.moved(state.chains, message.header.masked.turn - state.position)


# --- Every state and every message: the site [9] ---


class Walk:
    """A ring with anna brought into one state, and one message of each kind for her."""

    def __init__(self, state: str) -> None:
        ring = self.ring = Ring(4, collusion=0)  # t = 3
        self.member: Member = ring.members[A]
        self.counted = (A, B, C)
        if state == "NoKeys":
            ring.epoch, ring.roster = (
                1,
                tuple(Statement(site=s, key="ab" * 32, turn=0, round=0, signature="0" * 128) for s in ring.sites),
            )
            self.order = ring.order(5)
            self.given = dict.fromkeys(ring.sites, ContributionMessage.__new__(ContributionMessage))
            self.certificate: dict[SiteId, str] = {}
            return
        ring.agree()
        self.order = ring.order(5)
        if state == "KeysOffered":
            self.given = {**contributions(ring, self.order, (B, C, D)), A: ContributionMessage.__new__(ContributionMessage)}
            self.certificate = {}
            return
        self.given = contributions(ring, self.order)
        self.certificate = signatures(ring, self.order, (B, C, D))
        if state in ("Signed", "Answered"):
            ring.members[B].state = replace(
                ring.members[B].state, given=replace(ring.members[B].state.given, counted=()), past={}
            )
            ring.members[C].state = replace(
                ring.members[C].state, given=replace(ring.members[C].state.given, counted=()), past={}
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

    def open(self, counted: Sequence[SiteId], *, certified: bool = True, boxes: int | None = None) -> bytes:
        known = all(hasattr(self.given[site], "arrays") for site in counted if site != A)
        size = SHARE * 4 + BOX_EXTRA
        header = AskHeader(
            study=STUDY,
            what="open",
            order=sha256_hex(self.order),
            counted=tuple(counted),
            certificate={str(site): one for site, one in self.certificate.items()} if certified else {},
        )
        sent = b"".join(box_of(self.given[s], self.ring.sites, s, A) if known else bytes(size) for s in counted if s != A)
        return to_bytes(Ask(header, {BOXES: np.frombuffer(sent if boxes is None else sent[:boxes], np.uint8)}))

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
    "open, boxes cut short": (
        lambda w: w.open(w.ring.sites, boxes=100),
        "boxes",
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
    found = answer if isinstance(answer, str) else OK
    assert found == elsewhere.get(at, word)
    assert (walk.member.state is before) == (found != OK or (kind == "keys, this epoch" and at == "KeysOffered"))


# --- Every state and every message: the coordinator ---


def coordinator_at(where: str) -> tuple[Ring, State, dict[str, dict[SiteId, Message]]]:
    """A coordinator's machine in one state, and what all four sites that were counted could send it, by kind."""
    ring = ring_of(5)
    order = ring.order()
    given: dict[SiteId, Message] = dict(contributions(ring, order))
    present = {site: found for site, found in given.items() if site != E}
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
        "others' contributions": dict.fromkeys(ring.sites[:4], given[E]),
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
        assert after.found == ((where, kind) in ONE_IS_RIGHT)
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
    assert ring.send(A, to_bytes(Ask(header, {"masked/boxes": np.zeros(3, np.uint8)}))) == "boxes"
    assert ring.members[A].state is before
    assert isinstance(ring.send(A, to_bytes(Ask(header))), Answer)
