"""What colluding sites and the coordinator see of a sum."""

from wardround.summation.masked import admission
from wardround.summation.masked import keys as pairwise
from wardround.summation.masked.masks import inverse, mask, pair_sign
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order

from ..masked_parties import Ring, plain_sum
from .parts import WIDE, A, B, C, D, E, Shares, contributions, is_noise, only_words, open_ask, ring_of, small_words


def test_two_colluding_sites_and_the_coordinator_see_noise_but_for_the_sum() -> None:
    """Everything they hold is taken off: colluders' words, their pairs' masks and the opened own masks. What is left of a
    hospital's vector, and of its differences over attempts and rounds, is uniform; only over all three it is the sum [11.3]."""
    ring = ring_of(5, collusion=2, layout=WIDE)
    small_words(ring)
    honest = (A, B, C)
    words_at_hand: dict[SiteId, list[Tree]] = {site: [] for site in honest}
    for number, attempt in ((1, 1), (1, 2), (2, 1)):
        order = ring.order(number, attempt=attempt)
        chains = {site: chain_before(ring, site, order) for site in (D, E)}
        contributed = contributions(ring, order)
        shares = Shares(ring, order)
        for site in ring.sites:
            shares.learn(ring.send(site, open_ask(order, contributed, site, ring.sites)), ring.sites)
        h = bytes.fromhex(sha256_hex(order))
        for site in honest:
            left = only_words(ring, contributed[site])
            assert is_noise(left)
            seeds = [(pairwise.pair_seed(chains[one][site], h, one, site), pair_sign(site, one)) for one in (D, E)]
            own = shares.seed(site, site)
            assert own is not None
            words_at_hand[site].append(mask(left, inverse([*seeds, (own, 1)])))
    for views in words_at_hand.values():
        assert all(is_noise(view) for view in views)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert is_noise({"model/words": views[one]["model/words"] - views[other]["model/words"]})
    for number in range(3):
        of_two = plain_sum({site: words_at_hand[site][number] for site in honest}, [A, B])
        assert is_noise(of_two)
        total = plain_sum({site: words_at_hand[site][number] for site in honest}, list(honest))
        assert same_bits(total, plain_sum(ring.words, list(honest)))


def chain_before(ring: Ring, site: SiteId, order: bytes) -> dict[SiteId, bytes]:
    """A colluder's chains at the order's turn."""
    message, member = from_bytes(order), ring.members[site]
    assert isinstance(message, Order)
    state = admission.check(member.party, member.state, message)
    assert state.chains is not None
    assert message.header.masked is not None
    return pairwise.advanced(state.chains, message.header.masked.turn - state.position)
