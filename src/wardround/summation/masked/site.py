"""The site's half of the masked sum: a state machine without clock, network or files (docs/spec/masked-sum.md).

    NoKeys --offer--> KeysOffered --check, contribute--> Contributed --sign--> Signed --answer--> Answered
                                                             \\---------------answer----------------/

`admission.check` says whether an order may be worked for at all; `contribute` masks the words that the work gave. Each function
takes a state and returns the next; the caller makes the next state durable before it sends the message. A RefusedError changes
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardround.crypto.identity import signed_by
from wardround.summation.masked import keys as pairwise
from wardround.summation.masked.admission import require_witnesses
from wardround.summation.masked.layout import (
    COMMITMENTS,
    NONCE,
    SEAL_EXTRA,
    SEALED_SHARES,
    SHARE,
    SHARE_COMMITMENTS,
    SHARES,
    answer_digest,
    content_of,
    contribution_digest,
    counted_digest,
    is_opening,
    others,
    place_among_others,
    places,
    sealed_data,
    set_hash,
    slice_of,
    sum_name,
)
from wardround.summation.masked.masks import mask, seeds_of
from wardround.summation.masked.memory import LastContribution, MaskedState, Party
from wardround.summation.masked.shamir import share
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import (
    Answer,
    AnswerHeader,
    Ask,
    AskHeader,
    ContributionHeader,
    ContributionMessage,
    Masked,
    Order,
)

LONGEST_EPOCH_JUMP = 1000


def offer(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """A fresh key for a later epoch than any before."""
    _require_no_arrays(ask)
    epoch = ask.header.epoch
    if ask.header.what != "keys" or epoch <= state.epoch:
        raise RefusedError(
            f"Keys of epoch {epoch} cannot be offered any more", expected=f"an epoch after {state.epoch}", code="old-epoch"
        )
    if epoch > state.epoch + LONGEST_EPOCH_JUMP:
        # The last epoch that there is would be the last of this site: after it no key could be agreed on.
        raise RefusedError(
            f"Keys of epoch {epoch} are far ahead", expected=f"at most {state.epoch + LONGEST_EPOCH_JUMP}", code="epoch"
        )
    secret = X25519PrivateKey.from_private_bytes(party.random_bytes(32))
    reached = pairwise.Reached(state.turn, state.stage, state.spoken)
    statement = pairwise.state_key(party.identity, party.study, epoch, party.site, secret, reached)
    # The old chains go now: a coordinator that asks for new keys has no further use for them, and an epoch never comes back.
    ahead = replace(state, epoch=epoch, offered=secret.private_bytes_raw(), roster="", chains=None)
    header = AnswerHeader(
        study=party.study.hex(),
        site=party.site,
        ask=ask_hash,
        key=statement.key,
        turn=statement.turn,
        stage=statement.stage,
        counter=statement.counter,
        signature=statement.signature,
    )
    return ahead, Answer(header)


def contribute(
    party: Party, state: MaskedState, order: Order, order_hash: str, words: Tree
) -> tuple[MaskedState, ContributionMessage]:
    """The masked words of a checked order (`state` as `check` returned it), with commitments and sealed shares. `words` may be
    overwritten: masks are laid over them in place."""
    header = order.header
    if header.masked is None or state.chains is None:
        raise RefusedError("An order is checked before it is answered", code="keys")
    h, site = bytes.fromhex(order_hash), party.site
    chains = pairwise.advanced(state.chains, header.masked.turn - state.position)
    pairs = {peer: pairwise.pair_seed(chains[peer], h, site, peer) for peer in others(header.cohort, site)}
    own = party.random_bytes(32)
    shares = _shares(party, header.cohort, [own, *pairs.values()])
    contribution = _contribution(state, order, header.masked, order_hash)
    sealed = [_sealed(party, contribution, chains[peer], peer, shares[peer]) for peer in pairs]
    arrays = mask(words, seeds_of(site, own, pairs))
    arrays |= {
        SEALED_SHARES: _bytes(sealed),
        COMMITMENTS: _bytes(_seed_commitments(h, site, own, pairs)),
        SHARE_COMMITMENTS: _bytes(_share_commitments(h, site, shares)),
    }
    contribution = replace(
        contribution,
        seal_keys={peer: pairwise.seal_key(chains[peer], h, peer, site) for peer in pairs},
        shares=b"".join(shares[site]),
    )
    signature = party.identity.sign(contribution_digest(party.study, h, site, payload_digest(arrays)))
    reply = ContributionHeader(
        study=party.study.hex(), step=header.step, round=header.round, site=site, order=order_hash, signature=signature
    )
    return _after(state, contribution, chains, header.stage), ContributionMessage(reply, arrays)


def _shares(party: Party, cohort: Sequence[str], secrets: list[bytes]) -> dict[SiteId, list[bytes]]:
    """Every site's shares of these secrets, by secret."""
    rows = np.frombuffer(b"".join(secrets), np.uint8).reshape(len(secrets), 32)
    points = [party.quorum.point(SiteId(member)) for member in cohort]
    tables = share(rows, party.quorum.threshold, points, party.random_bytes)
    return {SiteId(member): [one.tobytes() for one in table] for member, table in zip(cohort, tables, strict=True)}


def _contribution(state: MaskedState, order: Order, masked: Masked, order_hash: str) -> LastContribution:
    """The contribution to this order, before anything is sealed. It keeps the set spoken for in an earlier attempt of the sum."""
    name, last = sum_name(order.header), state.last_contribution
    return LastContribution(
        order=order_hash,
        sum=name,
        attempt_number=masked.attempt,
        turn=masked.turn,
        cohort=tuple(map(SiteId, order.header.cohort)),
        content=content_of(order),
        seal_keys={},
        shares=b"",
        counted=last.counted if last is not None and last.sum == name else (),
        set_changes=masked.set_changes,
        last_set=masked.last_set,
    )


def _seed_commitments(h: bytes, site: SiteId, own: bytes, pairs: Mapping[SiteId, bytes]) -> list[bytes]:
    return [
        pairwise.own_commitment(h, site, own),
        *(pairwise.pair_commitment(h, site, peer, seed) for peer, seed in pairs.items()),
    ]


def _share_commitments(h: bytes, site: SiteId, shares: Mapping[SiteId, list[bytes]]) -> list[bytes]:
    return [
        commitment
        for member, member_shares in shares.items()
        for commitment in pairwise.share_commitments(h, site, member, dict(enumerate(member_shares)))
    ]


def _after(state: MaskedState, contribution: LastContribution, chains: Mapping[SiteId, bytes], stage: int) -> MaskedState:
    """The state that remembers a contribution: its chains stand at the next turn."""
    return replace(
        state,
        position=contribution.turn + 1,
        chains=pairwise.advanced(chains, 1),
        last_contribution=contribution,
        turn=contribution.turn,
        stage=max(state.stage, stage),
        past=state.past if contribution.sum in state.past else (*state.past, contribution.sum),
        counter=state.counter + 1,
    )


def sign(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """The signature on who was counted: this site's one set for this sum."""
    _require_no_arrays(ask)
    contribution = _asked_about(party, state, ask)
    counted = tuple(map(SiteId, ask.header.counted))
    signature = party.identity.sign(counted_digest(party.study, contribution, counted))
    header = AnswerHeader(study=party.study.hex(), site=party.site, ask=ask_hash, signature=signature)
    return _spoke(party, state, replace(contribution, counted=counted)), Answer(header)


def answer(party: Party, state: MaskedState, ask: Ask, ask_hash: str) -> tuple[MaskedState, Answer]:
    """This site's shares that open the sum over those who were counted."""
    contribution = _asked_about(party, state, ask)
    if contribution.answered:
        raise RefusedError("This site has answered for this sum already", code="answered")
    counted = tuple(map(SiteId, ask.header.counted))
    lost = [member for member in contribution.cohort if member not in counted]
    if lost or state.memory_status != "member":
        signers = _signers(party, contribution, counted, ask.header)
        if state.memory_status != "member":
            require_witnesses(party, signers, "no-certificate")
    opened, unreadable = _opened_shares(party, contribution, _sealed_for_this_site(party, ask, contribution), lost)
    arrays: Tree = {SHARES: _bytes(opened)}
    h = bytes.fromhex(contribution.order)
    header = AnswerHeader(
        study=party.study.hex(),
        site=party.site,
        ask=ask_hash,
        unreadable=unreadable,
        signature=party.identity.sign(answer_digest(party.study, h, counted, party.site, unreadable, payload_digest(arrays))),
    )
    spoken = _spoke(party, state, replace(contribution, counted=counted, answered=True))
    spoken = replace(
        spoken,
        memory_status="member" if state.memory_status == "new" else state.memory_status,
        opening_set=counted if is_opening(contribution.sum) else state.opening_set,
        peers={**state.peers, **{peer: _later(state, peer, contribution.turn) for peer in others(counted, party.site)}},
    )
    return spoken, Answer(header, arrays)


def _later(state: MaskedState, peer: SiteId, turn: int) -> tuple[int, int]:
    """What this site knows of a peer whose shares it has held in this turn."""
    last, counter = state.peers.get(peer, (0, 0))
    return max(last, turn), counter


def _opened_shares(
    party: Party, contribution: LastContribution, sealed: Mapping[SiteId, bytes], lost: Sequence[SiteId]
) -> tuple[list[bytes], tuple[SiteId, ...]]:
    """Of every counted owner, the share of its own seed and of its seeds with the lost (spec, 7.3); and whose do not open.

    sealed: by owner, for this site's own shares nothing."""
    opened: list[bytes] = []
    unreadable: list[SiteId] = []
    site_places = places(contribution.cohort)
    for owner, sealed_shares in sealed.items():
        shares = contribution.shares if owner == party.site else _opened(party, contribution, owner, sealed_shares)
        if shares is None:
            unreadable.append(owner)
            shares = bytes(SHARE * len(contribution.cohort))
        secrets = [0, *(1 + place_among_others(site_places, owner, member) for member in lost)]
        opened += [slice_of(shares, SHARE, number) for number in secrets]
    return opened, tuple(unreadable)


def _changes_with(party: Party, contribution: LastContribution, counted: Sequence[str]) -> int:
    """How often the set has changed in this study, once a site speaks for this one."""
    return contribution.set_changes + (contribution.last_set not in ("", set_hash(party.study, counted)))


def _spoke(party: Party, state: MaskedState, contribution: LastContribution) -> MaskedState:
    """The state that remembers which set this site spoke for."""
    return replace(
        state,
        last_contribution=contribution,
        last_set=contribution.counted,
        set_changes=_changes_with(party, contribution, contribution.counted),
        counter=state.counter + 1,
        spoken=state.spoken + 1,
    )


def _require_no_arrays(ask: Ask) -> None:
    if ask.arrays:
        raise RefusedError(f"An ask for {ask.header.what} carries arrays that nobody reads", code="sealed-shares")


def _asked_about(party: Party, state: MaskedState, ask: Ask) -> LastContribution:
    """The contribution that a sign or an open is about, where this site may still speak for that set (spec, 8.2)."""
    contribution, counted = state.last_contribution, tuple(ask.header.counted)
    if contribution is None or ask.header.order != contribution.order:
        raise RefusedError("The ask is not about the order this site answered last", code="old-order")
    if party.site not in counted or not set(counted) <= set(contribution.cohort):
        raise RefusedError("Those counted must hold this site and lie within the cohort", code="counted")
    if len(counted) < party.quorum.threshold:
        raise RefusedError("Fewer were counted than the threshold", code="counted-too-small")
    opening_set = state.opening_set if is_opening(contribution.sum) else ()
    if any(spoken and counted != spoken for spoken in (contribution.counted, opening_set)):
        # Two sums of one name over sets that differ by one site would show that site.
        raise RefusedError("For this sum the site has spoken for another set", code="other-set")
    if (changes := _changes_with(party, contribution, counted)) > party.set_changes:
        raise RefusedError(
            "The set of sites has changed as often as the study allows",
            expected=f"at most {party.set_changes} changes, so the set of the last sum",
            found=f"{changes}, the last to {', '.join(counted)}",
            hint="bring back the sites of that set, or approve a study with more summation.max_set_changes",
            code="set-changes",
        )
    return contribution


def _signers(party: Party, contribution: LastContribution, counted: tuple[SiteId, ...], header: AskHeader) -> int:
    """How many of those counted signed it. RefusedError where they are fewer than the threshold."""
    message = counted_digest(party.study, contribution, counted)
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


def _sealed(party: Party, contribution: LastContribution, chain: bytes, peer: SiteId, shares: list[bytes]) -> bytes:
    nonce = party.random_bytes(NONCE)
    key = pairwise.seal_key(chain, bytes.fromhex(contribution.order), party.site, peer)
    return nonce + AESGCM(key).encrypt(nonce, b"".join(shares), sealed_data(party.study, contribution, party.site, peer))


def _sealed_for_this_site(party: Party, ask: Ask, contribution: LastContribution) -> dict[SiteId, bytes]:
    """The sealed shares of every counted owner, in order; empty for this site itself, which kept its own."""
    size = SHARE * len(contribution.cohort) + SEAL_EXTRA
    owners = others(ask.header.counted, party.site)
    sent = ask.arrays.get(SEALED_SHARES)
    if ask.arrays.keys() != {SEALED_SHARES} or sent is None or sent.dtype != np.uint8 or sent.shape != (size * len(owners),):
        raise RefusedError("The ask does not carry the sealed shares of each other site that was counted", code="sealed-shares")
    data = sent.tobytes()
    sealed = {owner: slice_of(data, size, number) for number, owner in enumerate(owners)}
    return {SiteId(site): sealed.get(SiteId(site), b"") for site in ask.header.counted}


def _opened(party: Party, contribution: LastContribution, owner: SiteId, sealed: bytes) -> bytes | None:
    data = sealed_data(party.study, contribution, owner, party.site)
    try:
        return AESGCM(contribution.seal_keys[owner]).decrypt(sealed[:NONCE], sealed[NONCE:], data)
    except InvalidTag:
        return None  # the owner is named in the answer as one whose shares do not open


def _bytes(parts: list[bytes]) -> Any:
    return np.frombuffer(b"".join(parts), np.uint8)
