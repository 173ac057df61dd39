"""The coordinator's half of the masked sum: a state machine without clock, network or files (docs/spec/masked-sum.md).

    Collecting --contributions--> Opening             everybody was counted
                              \\--> Signing --signatures--> Opening --shares--> Opened
    any of them --too few, or a liar without whom it does not go--> Failed

`step(state, received) -> state`; `asks(state)` is what to send next, so that a state that was written down and read again goes
on by itself. The words of one site are never unmasked: only their sum is.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np

from wardround.crypto.identity import signed_by
from wardround.summation.masked.attempt import (
    OTHER_SEED,
    Attempt,
    Collecting,
    CommittedShares,
    Failed,
    Opened,
    Opening,
    Received,
    Signing,
    State,
)
from wardround.summation.masked.layout import (
    COMMITMENTS,
    HASH,
    SEAL_EXTRA,
    SEALED_SHARES,
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
    slice_of,
)
from wardround.summation.masked.recovery import Recovery
from wardround.summation.masked.transcript import digest
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
        ask = Ask(AskHeader(study=state.attempt.study, what="sign", order=state.attempt.order, counted=state.counted))
        return dict.fromkeys(state.counted, ask)
    if isinstance(state, Opening):
        header = AskHeader(
            study=state.attempt.study,
            what="open",
            order=state.attempt.order,
            counted=state.counted,
            certificate={str(site): one for site, one in state.certificate.items()},
        )
        return {site: Ask(header, {SEALED_SHARES: _sealed_for(state, site)}) for site in state.counted}
    return {}


def _collect(state: Collecting, received: Received) -> Signing | Opening | Failed:
    attempt = state.attempt
    good, lost = _contributed(attempt, received)
    left_out, at_odds = _at_odds(attempt, good)
    for site in left_out:
        good.pop(site)
        lost[site] = OTHER_SEED
    if len(good) < attempt.quorum.threshold:
        return Failed(attempt, "Collecting", {**lost, **dict.fromkeys(at_odds, OTHER_SEED)}, len(good))
    total, shares = _total(attempt, good, received), {site: _committed_shares(arrays) for site, arrays in good.items()}
    following = Signing if lost or attempt.certify else Opening
    return following(attempt, total, shares, lost, at_odds)


def _contributed(attempt: Attempt, received: Received) -> tuple[dict[SiteId, Tree], dict[SiteId, str]]:
    """What each contribution that counts by itself brings besides its words, and why the others do not count. The words are as
    large as the model: they are read again, one site's at a time, when they are added."""
    promised = contribution_layout(attempt.layout, len(attempt.cohort))
    good: dict[SiteId, Tree] = {}
    lost: dict[SiteId, str] = {}
    for site in attempt.cohort:
        message = received.messages.get(site)
        if message is None:
            lost[site] = received.refused.get(site, NO_ANSWER)
        elif not isinstance(message, ContributionMessage) or not _answers_the_order(attempt, site, message):
            lost[site] = "wrong-answer"
        elif not fits(message.arrays, promised):
            lost[site] = "wrong-shape"
        elif not _signed(attempt, message):
            lost[site] = "wrong-signature"
        else:
            good[site] = {name: message.arrays[name].copy() for name in (SEALED_SHARES, COMMITMENTS, SHARE_COMMITMENTS)}
        del message  # before the next one is read
    return good, lost


def _total(attempt: Attempt, good: Collection[SiteId], received: Received) -> Tree:
    """The masked words of those counted, added modulo their size."""
    total: Tree = {}
    for site in good:
        message = received.messages[site]
        assert isinstance(message, ContributionMessage)  # as it was found to be
        for name in attempt.layout:
            if name in total:
                np.add(total[name], message.arrays[name], out=total[name])
            else:
                total[name] = message.arrays[name].copy()
        del message  # before the next one is read
    return total


def _committed_shares(arrays: Tree) -> CommittedShares:
    return CommittedShares(arrays[SEALED_SHARES].tobytes(), arrays[COMMITMENTS].tobytes(), arrays[SHARE_COMMITMENTS].tobytes())


def _answers_the_order(attempt: Attempt, site: SiteId, message: ContributionMessage) -> bool:
    header, (step_name, number, _) = message.header, attempt.sum.split("/")
    answered = (header.study, header.step, str(header.round), header.site, header.order)
    return answered == (attempt.study, step_name, number, site, attempt.order)


def _signed(attempt: Attempt, message: ContributionMessage) -> bool:
    site = message.header.site
    digest = contribution_digest(bytes.fromhex(attempt.study), bytes.fromhex(attempt.order), site, payload_digest(message.arrays))
    return signed_by(attempt.keys[site], message.header.signature, digest)


def _at_odds(attempt: Attempt, good: Mapping[SiteId, Tree]) -> tuple[list[SiteId], tuple[SiteId, ...]]:
    """Whom to leave out so that both ends of every pair agree on its seed, most disagreements first; and who else may lie.

    Of two that only disagree with each other one lies, and nobody can tell which: one of them goes, not both. Otherwise a single
    site could take any other with it (spec, 10.1)."""
    pairs, left_out, suspects = _disagreeing(attempt, good), list[SiteId](), set[SiteId]()
    if not pairs:
        return [], ()
    lots = _lots(attempt, good)
    while pairs:
        count = Counter(site for pair in pairs for site in pair)
        worst = [site for site, times in count.items() if times == max(count.values())]
        out = min(worst, key=lambda site: (attempt.standing.get(site, 0), lots[site]))
        left_out.append(out)
        suspects.update(site for pair in pairs if out in pair for site in pair if site in worst)
        pairs = [pair for pair in pairs if out not in pair]
    return left_out, tuple(sorted(suspects - set(left_out)))


def _disagreeing(attempt: Attempt, good: Mapping[SiteId, Tree]) -> list[tuple[SiteId, SiteId]]:
    """Pairs whose two ends committed to different seeds."""
    at = places(attempt.cohort)
    committed = {site: arrays[COMMITMENTS].tobytes() for site, arrays in good.items()}

    def seed_commitment(site: SiteId, other: SiteId) -> bytes:
        return slice_of(committed[site], HASH, 1 + place_among_others(at, site, other))

    pairs = combinations(sorted(good), 2)
    return [(one, other) for one, other in pairs if seed_commitment(one, other) != seed_commitment(other, one)]


def _lots(attempt: Attempt, good: Mapping[SiteId, Tree]) -> dict[SiteId, bytes]:
    """A public order of the sites that none of them sees before it contributes, and that a repeated message does not change."""
    commitments = b"".join(good[site][COMMITMENTS].tobytes() for site in sorted(good))
    return {site: digest("lot", bytes.fromhex(attempt.order), commitments, site) for site in good}


def _certify(state: Signing, received: Received) -> Opening | Failed:
    attempt = state.attempt
    message = counted_digest(bytes.fromhex(attempt.study), attempt, state.counted)
    certificate = {
        site: answer.header.signature
        for site, answer in _answers(state.counted, received).items()
        if not answer.arrays and signed_by(attempt.keys[site], answer.header.signature, message)
    }
    if len(certificate) < attempt.quorum.threshold:
        lost = {**state.lost, **_missing(state.counted, certificate, received)}
        return Failed(attempt, "Signing", lost, len(certificate))
    return Opening(attempt, state.total, state.shares, state.lost, state.at_odds, certificate)


def _answers(counted: Sequence[SiteId], received: Received) -> dict[SiteId, Answer]:
    messages = {site: received.messages.get(site) for site in counted}
    return {site: message for site, message in messages.items() if isinstance(message, Answer) and message.header.site == site}


def _missing(asked: Sequence[SiteId], came: Mapping[SiteId, object], received: Received) -> dict[SiteId, str]:
    return {
        site: received.refused.get(site, "wrong-answer" if site in received.messages else NO_ANSWER)
        for site in asked
        if site not in came
    }


def _open(state: Opening, received: Received) -> Opened | Failed:
    attempt, size = state.attempt, SHARE * len(state.counted) * (1 + len(state.lost))
    opened_shares: dict[SiteId, bytes] = {}
    unreadable: dict[SiteId, tuple[str, ...]] = {}
    for site, answer in _answers(state.counted, received).items():
        study, h, payload_hash = bytes.fromhex(attempt.study), bytes.fromhex(attempt.order), payload_digest(answer.arrays)
        digest = answer_digest(study, h, state.counted, site, answer.header.unreadable, payload_hash)
        if fits(answer.arrays, {SHARES: ("uint8", size)}) and signed_by(attempt.keys[site], answer.header.signature, digest):
            opened_shares[site] = answer.arrays[SHARES].tobytes()
            unreadable[site] = tuple(owner for owner in others(state.counted, site) if owner in answer.header.unreadable)
    came = _missing(state.counted, opened_shares, received)
    return Recovery(state, opened_shares, unreadable, came).run()


def _sealed_for(state: Opening, site: SiteId) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The shares that the others sealed for this site, by owner."""
    at = places(state.attempt.cohort)
    size = SHARE * len(at) + SEAL_EXTRA
    sealed = (
        slice_of(state.shares[owner].sealed_shares, size, place_among_others(at, owner, site))
        for owner in others(state.counted, site)
    )
    return np.frombuffer(b"".join(sealed), np.uint8)
