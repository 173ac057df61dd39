"""Masked = plain, bit for bit; whoever is lost, the survivors' exact sum or a named refusal, never a wrong sum."""

from itertools import product

import pytest

from wardround.summation.masked.attempt import Failed, Opened
from wardround.values.tree import same_bits

from .masked_parties import NAMES, Ring, losing, plain_sum


def test_the_masked_sum_is_the_plain_sum_in_two_exchanges() -> None:
    """The law of the whole construction."""
    ring = Ring(3)
    ring.agree()
    state, exchanges = ring.run(ring.order())
    assert isinstance(state, Opened)
    assert same_bits(state.total, plain_sum(ring.words, ring.sites))
    assert exchanges == 2


def test_a_lost_site_costs_one_more_exchange_and_leaves_the_others_sum() -> None:
    ring = Ring(5)
    ring.agree()
    state, exchanges = ring.run(ring.order(), losing(("Collecting", "berta")))
    assert isinstance(state, Opened)
    counted = [site for site in ring.sites if site != "berta"]
    assert state.counted == tuple(counted)
    assert same_bits(state.total, plain_sum(ring.words, counted))
    assert exchanges == 3


STAGES = ("Collecting", "Signing", "Opening")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "collusion"),
    [
        (3, 0),
        (3, 1),
        pytest.param(4, 1, marks=pytest.mark.slow),
        pytest.param(5, 0, marks=[pytest.mark.slow, pytest.mark.many]),
        pytest.param(5, 1, marks=pytest.mark.slow),
    ],
)
def test_every_pattern_of_losses_gives_the_survivors_sum_or_a_refusal(n: int, collusion: int) -> None:
    """Each site is lost at one stage or at none: 4^n patterns, none of which may give a wrong sum."""
    opened = 0
    for pattern in product((None, *STAGES), repeat=n):
        ring = Ring(n, collusion=collusion)
        ring.agree()
        lost = [(stage, site) for site, stage in zip(NAMES, pattern, strict=False) if stage]
        state, _ = ring.run(ring.order(), losing(*lost))
        gone = [site for site, stage in zip(NAMES, pattern, strict=False) if stage == "Collecting"]
        counted = [site for site in ring.sites if site not in gone]
        if isinstance(state, Opened):
            opened += 1
            assert state.counted == tuple(counted)
            assert same_bits(state.total, plain_sum(ring.words, counted))
        else:
            assert isinstance(state, Failed)
            assert state.answers < ring.quorum.threshold
    assert opened > 0
