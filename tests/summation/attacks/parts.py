"""Asks, answers and forgeries that the attacks share. Not a test."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wardround.summation.masked.layout import SEAL_EXTRA, SEALED_SHARES, SHARE, SHARES, others
from wardround.summation.masked.masks import inverse, mask, pair_sign
from wardround.summation.masked.shamir import recover
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Message, Order, Statement

from ..masked_parties import NAMES, STUDY, Ring, plain_sum

A, B, C, D, E = NAMES
WIDE = {"model/words": ("uint16", 20_000)}


def ring_of(n: int = 3, **settings: Any) -> Ring:
    ring = Ring(n, **settings)
    ring.agree()
    return ring


def small_words(ring: Ring) -> None:
    """Words of a few bits, so that anything but noise shows in the high bytes."""
    for site in ring.sites:
        ring.words[site] = {"model/words": ring.rng.integers(0, 64, 20_000, dtype=np.uint16)}


def contributions(ring: Ring, order: bytes, sites: Sequence[SiteId] | None = None) -> dict[SiteId, ContributionMessage]:
    answers = {}
    for site in sites or ring.sites:
        answer = ring.send(site, order)
        assert isinstance(answer, ContributionMessage), (site, answer)
        answers[site] = answer
    return answers


def sign_ask(order: bytes, counted: Sequence[SiteId]) -> bytes:
    return to_bytes(Ask(AskHeader(study=STUDY, what="sign", order=sha256_hex(order), counted=tuple(counted))))


def open_ask(
    order: bytes,
    contributed: Mapping[SiteId, ContributionMessage],
    site: SiteId,
    counted: Sequence[SiteId],
    certificate: Mapping[SiteId, str] | None = None,
) -> bytes:
    """An open for `site`, with the sealed shares that the contributions hold for it."""
    message = from_bytes(order)
    assert isinstance(message, Order)
    sealed = [sealed_of(contributed[owner], message.header.cohort, owner, site) for owner in counted if owner != site]
    signed = {str(one): signature for one, signature in (certificate or {}).items()}
    header = AskHeader(study=STUDY, what="open", order=sha256_hex(order), counted=tuple(counted), certificate=signed)
    return to_bytes(Ask(header, {SEALED_SHARES: np.frombuffer(b"".join(sealed), np.uint8)}))


def sealed_of(contribution: ContributionMessage, cohort: Sequence[str], owner: SiteId, site: SiteId) -> bytes:
    size, number = SHARE * len(cohort) + SEAL_EXTRA, others(cohort, owner).index(site)
    return contribution.arrays[SEALED_SHARES].tobytes()[size * number : size * (number + 1)]


def signatures(ring: Ring, order: bytes, counted: Sequence[SiteId]) -> dict[SiteId, str]:
    """Those that sign that `counted` were counted."""
    answers = {site: ring.send(site, sign_ask(order, counted)) for site in counted}
    return {site: answer.header.signature for site, answer in answers.items() if isinstance(answer, Answer)}


class Shares:
    """What the adversary has collected: shares of each owner's secrets in one order, by (owner, other end; or itself for b)."""

    def __init__(self, ring: Ring, order: bytes) -> None:
        self.ring, self.attempt = ring, ring.attempt(order)
        self.collected: dict[tuple[SiteId, SiteId], dict[SiteId, bytes]] = {}

    def add(self, site: SiteId, owner: SiteId, end: SiteId, share: bytes) -> None:
        self.collected.setdefault((owner, end), {})[site] = share

    def learn(self, answer: Message | str, counted: Sequence[SiteId]) -> None:
        assert isinstance(answer, Answer), answer
        ends = [site for site in self.attempt.cohort if site not in counted]
        shares = answer.arrays[SHARES].tobytes()
        secrets = [(owner, end) for owner in counted for end in (owner, *ends)]
        for number, (owner, end) in enumerate(secrets):
            self.add(SiteId(answer.header.site), owner, end, shares[SHARE * number : SHARE * (number + 1)])

    def seed(self, one: SiteId, other: SiteId) -> bytes | None:
        """Of the pair, shared by either end; or the own mask's of one site."""
        for key in ((one, other), (other, one)):
            shares = self.collected.get(key, {})
            if len(shares) >= self.attempt.quorum.threshold:
                table = np.frombuffer(b"".join(shares.values()), np.uint8).reshape(len(shares), 1, SHARE)
                return recover(table, [self.attempt.quorum.point(site) for site in shares], self.attempt.quorum.threshold)[
                    0
                ].tobytes()
        return None

    def stripped(self, contributed: Mapping[SiteId, ContributionMessage], sites: Sequence[SiteId]) -> Tree | None:
        """The plain sum of the words of `sites`, where the shares give every seed that stands between; else None."""
        total = plain_sum({site: only_words(self.ring, contributed[site]) for site in sites}, list(sites))
        for site in sites:
            for end in (site, *(end for end in self.attempt.cohort if end not in sites)):
                seed = self.seed(site, end)
                if seed is None:
                    return None
                mask(total, inverse([(seed, 1 if site == end else pair_sign(site, end))]))
        return total


def only_words(ring: Ring, contribution: ContributionMessage) -> Tree:
    return {name: contribution.arrays[name].copy() for name in ring.layout}


def high_bytes(words: Tree) -> np.ndarray[Any, Any]:
    return (words["model/words"] >> 8).astype(np.uint8)


def chi_square(values: np.ndarray[Any, Any]) -> float:
    """Over 256 values; for uniform bytes 255 with a deviation of 22.6."""
    expected = values.size / 256
    return float(((np.bincount(values, minlength=256) - expected) ** 2).sum() / expected)


def is_noise(words: Tree) -> bool:
    return chi_square(high_bytes(words)) < 255 + 8 * 22.6 and chi_square((words["model/words"] & 255).astype(np.uint8)) < 436


def restated(ring: Ring, site: SiteId, **changes: Any) -> tuple[Statement, ...]:
    return tuple(one.model_copy(update=changes) if one.site == site else one for one in ring.roster)
