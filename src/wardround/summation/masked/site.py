"""The site's half of the masked sum: a state machine without clock, network or files (docs/spec/masked-sum.md).

    NoKeys --offer--> KeysOffered --check, contribute--> Contributed --sign--> Signed --answer--> Answered
                                                             \\---------------answer----------------/

`check` says whether an order may be worked for at all; `contribute` masks the words that the work gave. Each function takes a
state and returns the next; the caller makes the next state durable before it sends the message. A RefusedError changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardround.crypto.identity import signed_by
from wardround.summation.masked import keys as pairwise
from wardround.summation.masked.keys import Roster
from wardround.summation.masked.layout import (
    BOX_EXTRA,
    BOXES,
    COMMITMENTS,
    NONCE,
    SHARE,
    SHARE_COMMITMENTS,
    SHARES,
    answer_digest,
    box_data,
    content_of,
    contribution_digest,
    counted_digest,
    others,
    place_among_others,
    places,
    sum_name,
)
from wardround.summation.masked.masks import mask, seeds_of
from wardround.summation.masked.memory import Given, MaskedState, Party
from wardround.summation.masked.shamir import share
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import Answer, AnswerHeader, Ask, AskHeader, ContributionHeader, ContributionMessage, Masked, Order


def offer(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """A fresh key for a later epoch than any before."""
    _require_no_arrays(ask)
    epoch = ask.header.epoch
    if ask.header.what != "keys" or epoch <= state.epoch:
        raise RefusedError(
            f"Keys of epoch {epoch} cannot be offered any more", expected=f"an epoch after {state.epoch}", code="old-epoch"
        )
    secret = X25519PrivateKey.from_private_bytes(party.random_bytes(32))
    statement = pairwise.state_key(party.identity, party.study, epoch, party.site, secret, state.turn, state.round)
    # The old chains go now: a coordinator that asks for new keys has no further use for them, and an epoch never comes back.
    ahead = replace(state, epoch=epoch, offered=secret.private_bytes_raw(), roster="", chains=None)
    header = AnswerHeader(
        study=party.study.hex(),
        site=party.site,
        ask=ask_hash,
        key=statement.key,
        turn=statement.turn,
        round=statement.round,
        signature=statement.signature,
    )
    return ahead, Answer(header)


def check(party: Party, state: MaskedState, order: Order) -> MaskedState:
    """The state with the order's roster taken in, where the site may contribute (spec, 8.1). RefusedError otherwise."""
    masked, cohort = order.header.masked, order.header.cohort
    if masked is None:
        raise RefusedError("The order asks for words without a mask; this study is masked", code="not-masked")
    roster = Roster(masked.epoch, masked.roster)
    if not set(cohort) <= set(roster.sites) or party.site not in cohort:
        raise RefusedError("The cohort does not hold this site, or holds one without a key", code="cohort")
    if len(cohort) < party.quorum.threshold:
        raise RefusedError(
            "The cohort is smaller than the threshold",
            expected=f"at least {party.quorum.threshold}",
            found=str(len(cohort)),
            code="cohort-too-small",
        )
    state = _with_roster(party, state, roster)
    _check_turn(state, masked)
    _check_sum(state, order, masked)
    return state


def _with_roster(party: Party, state: MaskedState, roster: Roster) -> MaskedState:
    known = roster.digest(party.study).hex()
    if roster.epoch != state.epoch or (not state.offered and state.chains is None):
        raise RefusedError("This site has no keys of that epoch", code="keys")
    if state.chains is not None:
        if known != state.roster:
            raise RefusedError("The roster differs from the one this epoch began with", code="roster")
        return state
    secret = X25519PrivateKey.from_private_bytes(state.offered)
    mine = roster.of(party.site)
    if mine is None or mine.key != secret.public_key().public_bytes_raw().hex():
        raise RefusedError("The roster does not hold the key that this site offered", code="roster")
    for statement in roster.statements:
        if not pairwise.genuine(party.study, roster.epoch, statement, party.keys):
            raise RefusedError(f"The key of {statement.site} is not signed by the key the study lists", code="roster")
    memory_status, floor = state.memory_status, state.floor
    if memory_status in ("none", "new"):
        _require_witnesses(party, len(roster.statements), "memory")
        memory_status = "forgetful" if roster.position > 0 else "new"
        floor = max(floor, roster.round) if roster.position > 0 else floor
    chains = pairwise.moved(pairwise.first_chains(party.study, roster, party.site, secret), 1)
    return replace(
        state, offered=b"", roster=known, position=roster.position + 1, chains=chains, memory_status=memory_status, floor=floor
    )


def _require_witnesses(party: Party, found: int, code: str) -> None:
    """A site that may have forgotten what it said speaks only before enough others: one of them would know (spec, 3.6)."""
    if found < party.quorum.witnesses:
        raise RefusedError(
            "This site may have forgotten what it said in this study, and speaks only together with more sites",
            expected=f"at least {party.quorum.witnesses}",
            found=str(found),
            code=code,
        )


def _check_turn(state: MaskedState, masked: Masked) -> None:
    if masked.turn < state.position:
        raise RefusedError(
            f"Turn {masked.turn} is over", expected=f"{state.position} or later", found=str(masked.turn), code="old-turn"
        )
    pairwise.check_jump(masked.turn - state.position)  # before any work is done for the order


def _check_sum(state: MaskedState, order: Order, masked: Masked) -> None:
    name, given = sum_name(order.header), state.given
    if order.header.round <= state.floor:
        raise RefusedError("This site has no memory of that round and may have answered in it already", code="memory")
    if given is not None and given.sum == name:
        if masked.attempt <= given.attempt:
            raise RefusedError(f"This site contributed to attempt {given.attempt} already", code="old-attempt")
        if content_of(order) != given.content:
            raise RefusedError("Another attempt of a sum must ask for the same", code="other-content")
        return
    if any(name in earlier for earlier, _ in (state.past or {}).values()):
        raise RefusedError("This site has contributed to a later sum since", code="old-sum")


def contribute(
    party: Party, state: MaskedState, order: Order, order_hash: str, words: Tree
) -> tuple[MaskedState, ContributionMessage]:
    """The masked words of a checked order (`state` as `check` returned it), with commitments and sealed shares. `words` may be
    overwritten: masks are laid over them in place."""
    masked, cohort = order.header.masked, order.header.cohort
    if masked is None or state.chains is None:
        raise RefusedError("An order is checked before it is answered", code="keys")
    h, site = bytes.fromhex(order_hash), party.site
    chains = pairwise.moved(state.chains, masked.turn - state.position)
    peers = others(cohort, site)
    pairs = {peer: pairwise.pair_seed(chains[peer], h, site, peer) for peer in peers}
    own = party.random_bytes(32)
    arrays = mask(words, seeds_of(site, own, pairs))
    secrets = np.frombuffer(b"".join([own, *(pairs[peer] for peer in peers)]), np.uint8).reshape(len(cohort), 32)
    points = [party.quorum.point(SiteId(member)) for member in cohort]
    shares = dict(zip(cohort, share(secrets, party.quorum.threshold, points, party.random_bytes), strict=True))
    boxes = [_sealed(party, order, h, chains, peer, shares[peer].tobytes()) for peer in peers]
    commitments = [
        pairwise.own_commitment(h, site, own),
        *(pairwise.pair_commitment(h, site, peer, pairs[peer]) for peer in peers),
    ]
    share_commitments: list[bytes] = []
    for member in cohort:
        dealt = {number: one.tobytes() for number, one in enumerate(shares[member])}
        share_commitments += pairwise.share_commitments(h, site, SiteId(member), dealt)
    arrays |= {BOXES: _bytes(boxes), COMMITMENTS: _bytes(commitments), SHARE_COMMITMENTS: _bytes(share_commitments)}
    signature = party.identity.sign(contribution_digest(party.study, h, site, payload_digest(arrays)))
    given = Given(
        order=order_hash,
        sum=sum_name(order.header),
        attempt=masked.attempt,
        turn=masked.turn,
        cohort=tuple(map(SiteId, cohort)),
        content=content_of(order),
        box_keys={peer: pairwise.box_key(chains[peer], h, peer, site) for peer in peers},
        shares=shares[site].tobytes(),
        counted=state.given.counted if state.given is not None and state.given.sum == sum_name(order.header) else (),
    )
    ahead = replace(
        state,
        position=masked.turn + 1,
        chains=pairwise.moved(chains, 1),
        given=given,
        turn=masked.turn,
        round=max(state.round, order.header.round),
        past=_remembered(state, given, _spoken(state, given.content)),
    )
    return ahead, ContributionMessage(
        ContributionHeader(
            study=party.study.hex(),
            step=order.header.step,
            round=order.header.round,
            site=site,
            order=order_hash,
            signature=signature,
        ),
        arrays,
    )


def sign(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """The signature on who was counted: this site's one set for this sum."""
    _require_no_arrays(ask)
    given = _asked_about(party, state, ask)
    counted = tuple(map(SiteId, ask.header.counted))
    signature = party.identity.sign(counted_digest(party.study, given, counted))
    header = AnswerHeader(study=party.study.hex(), site=party.site, ask=ask_hash, signature=signature)
    return _spoke(state, replace(given, counted=counted)), Answer(header)


def answer(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """This site's shares that open the sum over those who were counted."""
    given = _asked_about(party, state, ask)
    if given.answered:
        raise RefusedError("This site has answered for this sum already", code="answered")
    counted = tuple(map(SiteId, ask.header.counted))
    lost = [member for member in given.cohort if member not in counted]
    if lost or state.memory_status != "member":
        signers = _signers(party, given, counted, ask.header)
        if state.memory_status != "member":
            _require_witnesses(party, signers, "no-certificate")
    boxes = _boxes(ask, given, counted, party.site)
    unreadable: list[SiteId] = []
    found: list[bytes] = []
    at = places(given.cohort)
    for owner in counted:
        dealt = given.shares if owner == party.site else _opened(party, given, owner, boxes[owner])
        if dealt is None:
            unreadable.append(owner)
            dealt = bytes(SHARE * len(given.cohort))
        secrets = [0, *(1 + place_among_others(at, owner, member) for member in lost)]
        found += [dealt[SHARE * number : SHARE * (number + 1)] for number in secrets]
    arrays: Tree = {SHARES: _bytes(found)}
    h = bytes.fromhex(given.order)
    header = AnswerHeader(
        study=party.study.hex(),
        site=party.site,
        ask=ask_hash,
        unreadable=tuple(unreadable),
        signature=party.identity.sign(answer_digest(party.study, h, counted, party.site, unreadable, payload_digest(arrays))),
    )
    spoken = _spoke(state, replace(given, counted=counted, answered=True))
    return replace(spoken, memory_status="member" if state.memory_status == "new" else state.memory_status), Answer(
        header, arrays
    )


def _spoke(state: MaskedState, given: Given) -> MaskedState:
    """The state that remembers which set this site spoke for, by what was asked: in whatever sum it is asked again."""
    return replace(state, given=given, past=_remembered(state, given, given.counted))


def _remembered(state: MaskedState, given: Given, counted: tuple[str, ...]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """`past` with this sum among those of its content."""
    past = dict(state.past or {})
    sums = past.get(given.content, ((), ()))[0]
    return {**past, given.content: (sums if given.sum in sums else (*sums, given.sum), counted)}


def _spoken(state: MaskedState, content: str) -> tuple[str, ...]:
    return (state.past or {}).get(content, ((), ()))[1]


def _require_no_arrays(ask: Ask) -> None:
    if ask.arrays:
        raise RefusedError(f"An ask for {ask.header.what} carries arrays that nobody reads", code="boxes")


def _asked_about(party: Party, state: MaskedState, ask: Ask) -> Given:
    """The contribution that a sign or an open is about, where this site may still speak for that set (spec, 8.2)."""
    given, counted = state.given, tuple(ask.header.counted)
    if given is None or ask.header.order != given.order:
        raise RefusedError("The ask is not about the order this site answered last", code="old-order")
    if party.site not in counted or not set(counted) <= set(given.cohort):
        raise RefusedError("Those counted must hold this site and lie within the cohort", code="counted")
    if len(counted) < party.quorum.threshold:
        raise RefusedError("Fewer were counted than the threshold", code="counted-too-small")
    spoken = given.counted or _spoken(state, given.content)
    if spoken and counted != spoken:
        # Two sums of the same over sets that differ by one site would show that site.
        raise RefusedError("For what was asked this site has spoken for another set", code="other-set")
    return given


def _signers(party: Party, given: Given, counted: tuple[SiteId, ...], header: AskHeader) -> int:
    """How many of those counted signed it. RefusedError where they are fewer than the threshold."""
    message = counted_digest(party.study, given, counted)
    valid = [
        site
        for site, signature in header.certificate.items()
        if site in counted and site in party.keys and signed_by(party.keys[site], signature, message)
    ]
    if len(valid) < party.quorum.threshold:
        raise RefusedError(
            "Too few sites signed who was counted",
            expected=f"at least {party.quorum.threshold}",
            found=str(len(valid)),
            code="no-certificate",
        )
    return len(valid)


def _sealed(party: Party, order: Order, h: bytes, chains: Mapping[SiteId, bytes], peer: SiteId, shares: bytes) -> bytes:
    nonce = party.random_bytes(NONCE)
    key = pairwise.box_key(chains[peer], h, party.site, peer)
    masked = order.header.masked
    assert masked is not None  # contribute has looked
    data = box_data(party.study, sum_name(order.header), masked.attempt, masked.turn, order.header.cohort, h, party.site, peer)
    return nonce + AESGCM(key).encrypt(nonce, shares, data)


def _boxes(ask: Ask, given: Given, counted: tuple[SiteId, ...], site: SiteId) -> dict[SiteId, bytes]:
    size = SHARE * len(given.cohort) + BOX_EXTRA
    owners = others(counted, site)
    sent = ask.arrays.get(BOXES)
    if ask.arrays.keys() != {BOXES} or sent is None or sent.dtype != np.uint8 or sent.shape != (size * len(owners),):
        raise RefusedError("The ask does not carry one box for each other site that was counted", code="boxes")
    return {owner: sent[size * place : size * (place + 1)].tobytes() for place, owner in enumerate(owners)}


def _opened(party: Party, given: Given, owner: SiteId, box: bytes) -> bytes | None:
    data = box_data(
        party.study, given.sum, given.attempt, given.turn, given.cohort, bytes.fromhex(given.order), owner, party.site
    )
    try:
        return AESGCM(given.box_keys[owner]).decrypt(box[:NONCE], box[NONCE:], data)
    except InvalidTag:
        return None


def _bytes(parts: list[bytes]) -> Any:
    return np.frombuffer(b"".join(parts), np.uint8)
