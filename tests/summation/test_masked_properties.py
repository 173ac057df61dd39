"""Whatever the sites, the threshold, the survivors and the layout: masked = plain, also when every state was written and read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.summation.masked.attempt import Collecting, Opened, Opening, Received, Signing, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.memory import MaskedState
from wardround.summation.masked.store import sum_from_tensors, sum_to_tensors
from wardround.values.ids import SiteId
from wardround.values.stored import head_of, value_of
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import same_bits
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Message

from .masked_parties import Ring, deliver, plain_sum

SITES = tuple(SiteId(f"site-{number}") for number in range(8))
PARTS = ("control/words", "counts/words", "delta_v2/words", "model/words")
LAYOUTS = st.dictionaries(
    st.sampled_from(PARTS), st.tuples(st.sampled_from(("uint16", "uint32", "uint64")), st.integers(1, 70)), min_size=1
)


@st.composite
def quorums(draw: st.DrawFn) -> Quorum:
    """Any that section 1.4 allows, for two to eight sites."""
    n = draw(st.integers(2, 8))
    c = draw(st.sampled_from([c for c in range(n) if smallest_threshold(n, c) <= n]))
    return Quorum(SITES[:n], draw(st.integers(smallest_threshold(n, c), n)), c)


@st.composite
def sums(draw: st.DrawFn) -> tuple[Ring, tuple[SiteId, ...], tuple[SiteId, ...], Mapping[str, SiteId]]:
    """A ring with its words; the cohort; those whose contributions come; and at each later stage one that may be silent."""
    quorum = draw(quorums())
    ring = Ring(len(quorum.sites), quorum=quorum, layout=draw(LAYOUTS), seed=draw(st.integers(0, 2**32)))
    extremes = draw(st.sampled_from(("any", "zero", "largest")))
    if extremes != "any":
        for words in ring.words.values():
            for array in words.values():
                array[:] = 0 if extremes == "zero" else np.iinfo(array.dtype).max
    cohort = some(draw, ring.sites, quorum.threshold)
    counted = some(draw, cohort, quorum.threshold)
    silent = (
        {stage: draw(st.sampled_from(counted)) for stage in ("Signing", "Opening")} if len(counted) > quorum.threshold else {}
    )
    return ring, cohort, counted, silent


def some(draw: st.DrawFn, sites: tuple[SiteId, ...], least: int) -> tuple[SiteId, ...]:
    order = draw(st.permutations(sites))
    return tuple(sorted(order[: draw(st.integers(least, len(sites)))]))


def written_and_read(state: MaskedState) -> MaskedState:
    """As the site's store does it: through JSON text."""
    again = value_of(MaskedState, json.loads(json.dumps(head_of(state))))
    assert head_of(again) == head_of(state)
    for name in vars(state).keys() - {"past"}:
        assert getattr(again, name) == getattr(state, name), name
    assert (again.past or {}) == (state.past or {})
    assert again.name == state.name
    return again


def sum_written_and_read(state: State) -> State:
    if not isinstance(state, Signing | Opening):
        return state
    total, head = sum_to_tensors(state)
    again = sum_from_tensors(total, json.loads(json.dumps(head)))
    assert {**vars(again), "total": None} == {**vars(state), "total": None}
    assert same_bits(again.total, state.total)
    return again


def run(
    ring: Ring, order: bytes, counted: tuple[SiteId, ...], silent: Mapping[str, SiteId], *, remembering: bool
) -> tuple[State, int]:
    """One attempt. remembering: no state is written; else every machine goes on from its written state after every message."""

    def post(stage: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:
        answer = deliver(stage, site, data, hand)
        assert not isinstance(answer, str), answer
        if not remembering:
            ring.members[site].state = written_and_read(ring.members[site].state)
        return None if (stage == "Collecting" and site not in counted) or silent.get(stage) == site else answer

    state: State = Collecting(ring.attempt(order))
    outbox = dict.fromkeys(state.attempt.cohort, order)
    exchanges = 0
    while outbox:
        exchanges += 1
        state = step(state, ring.exchange(type(state).__name__, outbox, post))
        state = state if remembering else sum_written_and_read(state)
        outbox = {site: to_bytes(ask) for site, ask in asks(state).items()}
    return state, exchanges


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sums())
def test_masked_is_plain_whoever_survives_also_from_written_states(
    drawn: tuple[Ring, tuple[SiteId, ...], tuple[SiteId, ...], Mapping[str, SiteId]],
) -> None:
    """The law: bit for bit the sum of those counted, in two exchanges, or three where somebody was lost. Two rounds: the chains
    move on from what was read."""
    ring, cohort, counted, silent = drawn
    ring.agree()
    expected = plain_sum(ring.words, counted)
    for number, remembering in ((1, True), (2, False), (3, False)):
        state, exchanges = run(ring, ring.order(number, cohort=cohort), counted, silent, remembering=remembering)
        assert isinstance(state, Opened)
        assert state.counted == counted
        assert same_bits(state.total, expected)
        assert exchanges == (2 if counted == cohort else 3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sums(), st.integers(1, 3))
def test_a_later_attempt_from_written_states_opens_the_same_set_to_the_same_bits(
    drawn: tuple[Ring, tuple[SiteId, ...], tuple[SiteId, ...], Mapping[str, SiteId]], turns: int
) -> None:
    """The first attempt stops after its signatures; the next has the signers for its cohort and other masks on the same words."""
    ring, cohort, counted, _ = drawn
    ring.agree()
    order = ring.order(1, cohort=cohort)
    everybody = ring.exchange("Collecting", dict.fromkeys(cohort, order), deliver)
    came = Received({site: everybody.messages[site] for site in counted})
    state = step(Collecting(ring.attempt(order)), came)
    if isinstance(state, Signing):
        ring.exchange("Signing", {site: to_bytes(ask) for site, ask in asks(state).items()}, deliver)
    for member in ring.members.values():
        member.state = written_and_read(member.state)
    ring.turn += turns
    again, exchanges = run(ring, ring.order(1, cohort=counted, attempt=2), counted, {}, remembering=False)
    assert isinstance(again, Opened)
    assert same_bits(again.total, plain_sum(ring.words, counted))
    assert exchanges == 2


def test_a_sum_between_two_exchanges_survives_its_file(tmp_path: Path) -> None:
    """The very file that a killed coordinator goes on from, for both states that are ever written."""
    ring = Ring(5)
    ring.agree()
    order = ring.order()
    everybody = ring.exchange("Collecting", dict.fromkeys(ring.sites, order), deliver)
    four = {site: everybody.messages[site] for site in ring.sites[:4]}
    signing = step(Collecting(ring.attempt(order)), Received(four))
    assert isinstance(signing, Signing)
    signed = ring.exchange("Signing", {site: to_bytes(ask) for site, ask in asks(signing).items()}, deliver)
    opening = step(signing, signed)
    assert isinstance(opening, Opening)
    for state in (signing, opening):
        write_tensors(tmp_path / "sum", *sum_to_tensors(state))
        again = sum_from_tensors(*read_tensors(tmp_path / "sum"))
        assert asked(again) == asked(state)
        assert same_bits(again.total, state.total)
    shares = ring.exchange("Opening", {site: to_bytes(ask) for site, ask in asks(opening).items()}, deliver)
    ended = step(sum_from_tensors(*read_tensors(tmp_path / "sum")), shares)
    assert isinstance(ended, Opened)
    assert same_bits(ended.total, plain_sum(ring.words, ring.sites[:4]))


def asked(state: Any) -> dict[SiteId, bytes]:
    return {site: to_bytes(ask) for site, ask in asks(state).items()}


def test_equal_states_are_written_alike_and_others_are_not() -> None:
    """A site's file is compared byte for byte in many tests; a field that is not written would be forgotten at a restart."""
    ring = Ring(3)
    ring.agree()
    ring.run(ring.order())
    state = ring.members[ring.sites[0]].state
    text = json.dumps(head_of(state))
    changed: dict[str, Any] = {
        "epoch": 9,
        "offered": b"x" * 32,
        "roster": "ab",
        "position": 77,
        "chains": None,
        "last_contribution": None,
        "turn": 78,
        "stage": 79,
        "past": (),
        "last_set": ("x",),
        "set_changes": 81,
        "counter": 82,
        "spoken": 83,
        "peers": {},
        "memory_status": "forgetful",
        "floor": 80,
        "opening_set": ("x",),
    }
    assert changed.keys() == vars(state).keys()
    assert all(json.dumps(head_of(replace(state, **{name: value}))) != text for name, value in changed.items())
    assert state.last_contribution is not None
    other: dict[str, Any] = dict.fromkeys(("order", "sum", "content"), "other") | dict.fromkeys(("attempt_number", "turn"), 9)
    other |= {"cohort": (), "seal_keys": {}, "shares": b"", "counted": (), "answered": False, "set_changes": 5, "last_set": "ab"}
    assert other.keys() == vars(state.last_contribution).keys()
    for name, value in other.items():
        changed_contribution = replace(state.last_contribution, **{name: value})
        assert json.dumps(head_of(replace(state, last_contribution=changed_contribution))) != text, name
