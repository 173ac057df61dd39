"""A site that forgot and does not know it, as after a snapshot of its whole machine, is noticed by the others [3.6]."""

from copy import deepcopy
from dataclasses import replace

from wardround.summation.masked.attempt import Opened
from wardround.summation.masked.memory import MaskedState
from wardround.wire.messages import ContributionMessage

from ..masked_parties import Ring
from .parts import A, B, C, D, ring_of


def ring_with_a_snapshot_of_one(*, sums_after: int) -> Ring:
    """A's machine as it was after the first sum, while the others have opened more."""
    ring = ring_of(4)
    opened(ring)
    snapshot = deepcopy((ring.members[A].state, ring.members[A].stored))
    for _ in range(sums_after):
        opened(ring)
    ring.members[A].state, ring.members[A].stored = snapshot
    return ring


def opened(ring: Ring) -> None:
    state, _ = ring.run(ring.order(ring.turn + 1))
    assert isinstance(state, Opened)


def test_the_others_refuse_new_keys_with_it() -> None:
    """It would speak for a second set of a sum that it has spoken for, and cannot know."""
    ring = ring_with_a_snapshot_of_one(sums_after=1)
    ring.agree()
    order = ring.order(3)
    assert [ring.send(site, order) for site in (B, C, D)] == ["peer-forgot"] * 3


def test_without_it_they_go_on() -> None:
    """One machine's snapshot must not stop a study that can do without that hospital."""
    ring = ring_with_a_snapshot_of_one(sums_after=1)
    ring.agree((B, C, D))
    state, _ = ring.run(ring.order(3, cohort=(B, C, D)))
    assert isinstance(state, Opened)


def test_once_its_state_is_removed_it_takes_part_again() -> None:
    """The refusal's hint: without a state it states turn 0, and speaks only before witnesses."""
    ring = ring_with_a_snapshot_of_one(sums_after=1)
    ring.members[A].state, ring.members[A].stored = replace(MaskedState(), counter=ring.members[A].state.counter), {}
    ring.agree()
    answers = [ring.send(site, order) for order in [ring.order(3)] for site in ring.sites]
    assert all(isinstance(answer, ContributionMessage) for answer in answers)


def test_a_snapshot_of_the_present_is_none() -> None:
    """A machine that was brought back before anything was said since has forgotten nothing."""
    ring = ring_with_a_snapshot_of_one(sums_after=0)
    ring.agree()
    opened(ring)
