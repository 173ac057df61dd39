"""Somebody breaks into a hospital after a sum, having kept every byte that crossed the network before [11.4]."""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.summation.masked.keys import advanced, pair_commitment, pair_seed
from wardround.summation.masked.layout import COMMITMENTS, HASH
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId

from ..masked_parties import Ring
from .parts import A, B, C, contributions, open_ask, ring_of


@dataclass(frozen=True)
class Past:
    """One sum as the network saw it, and what A held before and during it. committed: commitments to A's pair seeds, as sent."""

    order: bytes
    committed: frozenset[bytes]
    chains: Mapping[SiteId, bytes]
    held: frozenset[bytes]

    def seeds_from(self, chains: Mapping[SiteId, bytes], steps: int = 0) -> frozenset[bytes]:
        """What one would find if these chains, run so many turns forward, were those of this sum."""
        h, ahead = bytes.fromhex(sha256_hex(self.order)), advanced(chains, steps)
        return frozenset(pair_commitment(h, A, other, pair_seed(ahead[other], h, A, other)) for other in (B, C))


def summed(ring: Ring, number: int) -> Past:
    chains = dict(ring.members[A].state.chains or {})
    order = ring.order(number)
    masked = contributions(ring, order)
    last = ring.members[A].state.last_contribution
    assert last is not None
    for site in ring.sites:
        ring.send(site, open_ask(order, masked, site, ring.sites))
    published = masked[A].arrays[COMMITMENTS].tobytes()  # of its own seed first, then of each pair's
    pairs = frozenset(published[HASH * pair : HASH * (pair + 1)] for pair in (1, 2))
    return Past(order, pairs, chains, frozenset([*last.seal_keys.values(), last.shares]))


def test_the_state_after_a_sum_gives_no_mask_nor_share_of_an_earlier_one() -> None:
    """Words of years could be unmasked at once by one break-in, if a chain could be run backwards or an old key were kept."""
    ring = ring_of(3)
    first, second, third = (summed(ring, number) for number in (1, 2, 3))
    for past in (second, third):  # before the first there are no chains yet
        assert past.seeds_from(past.chains) == past.committed, "the attack must work on a state that was taken in time"
    taken = ring.members[A].state
    assert taken.chains is not None and taken.last_contribution is not None
    for past in (first, second, third):
        assert not any(past.committed & past.seeds_from(taken.chains, steps) for steps in range(20))
    kept = {*taken.last_contribution.seal_keys.values(), taken.last_contribution.shares}
    assert kept == third.held  # they wait for their open
    assert not kept & (first.held | second.held)
