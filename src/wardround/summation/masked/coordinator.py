"""The coordinator's half of the masked sum: a state machine without clock, network or files (docs/spec/masked-sum.md).

    Collecting --contributions--> Opening             everybody was counted
                              \\--> Signing --signatures--> Opening --shares--> Opened
    any of them --too few, or a liar without whom it does not go--> Failed

`step(state, received) -> state`; `asks(state)` is what to send next, so that a state that was written down and read again goes
on by itself. The words of one site are never unmasked: only their sum is.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from wardround.crypto.identity import signed_by
from wardround.summation.masked.attempt import Attempt, Collecting, Dealt, Failed, Opened, Opening, Received, Signing, State
from wardround.summation.masked.layout import (
    BOX_EXTRA,
    BOXES,
    COMMITMENTS,
    HASH,
    SHARE,
    SHARE_COMMITMENTS,
    SHARES,
    answer_digest,
    contribution_digest,
    contribution_layout,
    counted_digest,
    others,
    place_among_others,
    places,
)
from wardround.summation.masked.recovery import Recovery, in_most, slice_of
from wardround.summation.plain import NO_ANSWER, fits
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage


def step(state: State, received: Received) -> State:
    """The state after one exchange. Raises EngineError for a state that takes no more messages."""
    match state:
        case Collecting():
            return _collect(state, received)
        case Signing():
            return _certify(state, received)
        case Opening():
            return _open(state, received)
    raise EngineError(f"The sum is already {type(state).__name__.lower()}; it takes no more messages")


def asks(state: State) -> dict[SiteId, Ask]:
    """What to send to whom next; nothing where an order is out (Collecting) or the sum is over."""
    if isinstance(state, Signing):
        ask = Ask(AskHeader(study=state.of.study, what="sign", order=state.of.order, counted=state.counted))
        return dict.fromkeys(state.counted, ask)
    if isinstance(state, Opening):
        header = AskHeader(
            study=state.of.study,
            what="open",
            order=state.of.order,
            counted=state.counted,
            certificate={str(site): one for site, one in state.certificate.items()},
        )
        return {site: Ask(header, {BOXES: _boxes_for(state, site)}) for site in state.counted}
    return {}


def _collect(state: Collecting, received: Received) -> Signing | Opening | Failed:
    of = state.of
    promised = contribution_layout(of.layout, len(of.cohort))
    good: dict[SiteId, Tree] = {}
    lost: dict[SiteId, str] = {}
    for site in of.cohort:
        message = received.messages.get(site)
        if message is None:
            lost[site] = received.refused.get(site, NO_ANSWER)
        elif not isinstance(message, ContributionMessage) or not _answers_the_order(of, site, message):
            lost[site] = "wrong-answer"
        elif not fits(message.arrays, promised):
            lost[site] = "wrong-shape"
        elif not _signed(of, message):
            lost[site] = "wrong-signature"
        else:
            good[site] = message.arrays
    for site in _at_odds(of, good):
        good.pop(site)
        lost[site] = "other-seed"
    if len(good) < of.quorum.threshold:
        return Failed(of, "Collecting", lost, len(good))
    total: Tree = {}
    for arrays in good.values():
        for name in of.layout:
            if name in total:
                np.add(total[name], arrays[name], out=total[name])
            else:
                total[name] = arrays[name].copy()
    dealt = {
        site: Dealt(arrays[BOXES].tobytes(), arrays[COMMITMENTS].tobytes(), arrays[SHARE_COMMITMENTS].tobytes())
        for site, arrays in good.items()
    }
    return Signing(of, total, dealt, lost) if lost or of.certify else Opening(of, total, dealt, lost)


def _answers_the_order(of: Attempt, site: SiteId, message: ContributionMessage) -> bool:
    header, (step_name, number, _) = message.header, of.sum.split("/")
    found = (header.study, header.step, str(header.round), header.site, header.order)
    return found == (of.study, step_name, number, site, of.order)


def _signed(of: Attempt, message: ContributionMessage) -> bool:
    site = message.header.site
    digest = contribution_digest(bytes.fromhex(of.study), bytes.fromhex(of.order), site, payload_digest(message.arrays))
    return signed_by(of.keys[site], message.header.signature, digest)


def _at_odds(of: Attempt, good: Mapping[SiteId, Tree]) -> list[SiteId]:
    """Sites to leave out so that both ends of every pair agree on its seed: most disagreements first, ties together."""
    at = places(of.cohort)
    committed = {site: arrays[COMMITMENTS].tobytes() for site, arrays in good.items()}

    def of_pair(site: SiteId, other: SiteId) -> bytes:
        return slice_of(committed[site], HASH, 1 + place_among_others(at, site, other))

    return in_most([(one, other) for one, other in combinations(sorted(good), 2) if of_pair(one, other) != of_pair(other, one)])


def _certify(state: Signing, received: Received) -> Opening | Failed:
    message = counted_digest(bytes.fromhex(state.of.study), state.of, state.counted)
    certificate = {
        site: answer.header.signature
        for site, answer in _answers(state.counted, received).items()
        if not answer.arrays and signed_by(state.of.keys[site], answer.header.signature, message)
    }
    if len(certificate) < state.of.quorum.threshold:
        return Failed(state.of, "Signing", {**state.lost, **_missing(state.counted, certificate, received)}, len(certificate))
    return Opening(state.of, state.total, state.dealt, state.lost, certificate)


def _answers(counted: Sequence[SiteId], received: Received) -> dict[SiteId, Answer]:
    found = {site: received.messages.get(site) for site in counted}
    return {site: message for site, message in found.items() if isinstance(message, Answer) and message.header.site == site}


def _missing(asked: Sequence[SiteId], came: Mapping[SiteId, object], received: Received) -> dict[SiteId, str]:
    return {
        site: received.refused.get(site, "wrong-answer" if site in received.messages else NO_ANSWER)
        for site in asked
        if site not in came
    }


def _open(state: Opening, received: Received) -> Opened | Failed:
    of, size = state.of, SHARE * len(state.counted) * (1 + len(state.lost))
    shares: dict[SiteId, bytes] = {}
    unreadable: dict[SiteId, tuple[str, ...]] = {}
    for site, answer in _answers(state.counted, received).items():
        study, h, payload_hash = bytes.fromhex(of.study), bytes.fromhex(of.order), payload_digest(answer.arrays)
        digest = answer_digest(study, h, state.counted, site, answer.header.unreadable, payload_hash)
        if fits(answer.arrays, {SHARES: ("uint8", size)}) and signed_by(of.keys[site], answer.header.signature, digest):
            shares[site] = answer.arrays[SHARES].tobytes()
            unreadable[site] = tuple(owner for owner in others(state.counted, site) if owner in answer.header.unreadable)
    came = _missing(state.counted, shares, received)
    return Recovery(state, shares, unreadable, came).run()


def _boxes_for(state: Opening, site: SiteId) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    at = places(state.of.cohort)
    size = SHARE * len(at) + BOX_EXTRA
    owners = others(state.counted, site)
    return np.frombuffer(
        b"".join(slice_of(state.dealt[owner].boxes, size, place_among_others(at, owner, site)) for owner in owners), np.uint8
    )
