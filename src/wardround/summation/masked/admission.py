"""Whether a site may contribute to an order of a masked sum, before it works for it (docs/spec/masked-sum.md, 3.4, 3.6 and 8.1).

    order --> cohort --> roster: everybody's key and memory --> turn --> history of sets --> sum --> state that may contribute

A RefusedError changes nothing.
"""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardround.summation.masked import keys as pairwise
from wardround.summation.masked.keys import Roster
from wardround.summation.masked.layout import content_of, set_hash, sum_name
from wardround.summation.masked.memory import MaskedState, Party
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.wire.messages import Masked, Order, Statement


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
    _check_sets(party, state, masked)
    _check_sum(state, order, masked)
    return state


def _with_roster(party: Party, state: MaskedState, roster: Roster) -> MaskedState:
    roster_hash = roster.digest(party.study).hex()
    if roster.epoch != state.epoch or (not state.offered and state.chains is None):
        raise RefusedError("This site has no keys of that epoch", code="keys")
    if state.chains is not None:
        if roster_hash != state.roster:
            raise RefusedError("The roster differs from the one this epoch began with", code="roster")
        return state
    secret = X25519PrivateKey.from_private_bytes(state.offered)
    mine = roster.statement_of(party.site)
    if mine is None or mine.key != secret.public_key().public_bytes_raw().hex():
        raise RefusedError("The roster does not hold the key that this site offered", code="roster")
    for statement in roster.statements:
        if not pairwise.genuine(party.study, roster.epoch, statement, party.keys):
            raise RefusedError(f"The key of {statement.site} is not signed by the key the study lists", code="roster")
        _require_memory(state, statement)
    memory_status, floor = state.memory_status, state.floor
    if memory_status in ("none", "new"):
        require_witnesses(party, len(roster.statements), "witnesses")
    if memory_status == "none":  # one that is new stays so, in later epochs too, until others have witnessed its word
        begins = roster.nobody_spoke and state.counter == 0
        memory_status = "new" if begins else "forgetful"
        floor = floor if begins else max(floor, roster.stage)
    chains = pairwise.advanced(pairwise.first_chains(party.study, roster, party.site, secret), 1)
    return replace(
        state,
        offered=b"",
        roster=roster_hash,
        position=roster.position + 1,
        chains=chains,
        memory_status=memory_status,
        floor=floor,
        peers=_heard(state, roster),
    )


def _require_memory(state: MaskedState, statement: Statement) -> None:
    """A site that says less than it did has forgotten, and does not know it. Turn 0 says so itself: such a site speaks only
    before witnesses (spec, 3.6)."""
    turn, counter = state.peers.get(SiteId(statement.site), (0, 0))
    if statement.turn and (statement.turn < turn or statement.counter < counter):
        raise RefusedError(
            f"{statement.site} states less than it has said before: its state is an older one",
            expected=f"turn {turn} and counter {counter}, or later",
            found=f"turn {statement.turn} and counter {statement.counter}",
            hint=f"in the site's folder at {statement.site}, run `cp state.safetensors state.copy && mv state.copy "
            "state.safetensors`; the site then knows that it has forgotten",
            code="peer-forgot",
        )


def _heard(state: MaskedState, roster: Roster) -> dict[SiteId, tuple[int, int]]:
    """`peers` with the counters of a roster."""
    peers = dict(state.peers)
    for statement in roster.statements:
        turn, counter = peers.get(SiteId(statement.site), (0, 0))
        peers[SiteId(statement.site)] = turn, max(counter, statement.counter)
    return peers


def require_witnesses(party: Party, witnesses: int, code: str) -> None:
    """A site that may have forgotten what it said speaks only before enough others: one of them would know (spec, 3.6)."""
    if witnesses < party.quorum.witnesses:
        raise RefusedError(
            "This site may have forgotten what it said in this study, and speaks only together with more sites",
            expected=f"at least {party.quorum.witnesses}",
            found=str(witnesses),
            code=code,
        )


def _check_turn(state: MaskedState, masked: Masked) -> None:
    if masked.turn < state.position:
        raise RefusedError(
            f"Turn {masked.turn} is over", expected=f"{state.position} or later", found=str(masked.turn), code="old-turn"
        )
    pairwise.check_jump(masked.turn - state.position)  # before any work is done for the order


def _check_sets(party: Party, state: MaskedState, masked: Masked) -> None:
    """Whether the order tells of the set that this site spoke for. All sites of a sum read the same, so that together they count
    every change, also one that this site was not there to see (spec, 11.7)."""
    if not state.last_set or masked.set_changes > state.set_changes:
        return
    mine = set_hash(party.study, state.last_set)
    if masked.set_changes < state.set_changes or masked.last_set != mine:
        raise RefusedError(
            "The order leaves out a change of the set that this site has seen",
            expected=f"{state.set_changes} changes, the last to {mine[:12]}; or more",
            found=f"{masked.set_changes}, the last to {masked.last_set[:12] or 'none'}",
            code="set-history",
        )


def _check_sum(state: MaskedState, order: Order, masked: Masked) -> None:
    name, contribution = sum_name(order.header), state.last_contribution
    if order.header.stage <= state.floor:
        raise RefusedError("This site has no memory of that sum and may have answered in it already", code="memory")
    if contribution is not None and contribution.sum == name:
        if masked.attempt <= contribution.attempt_number:
            raise RefusedError(f"This site contributed to attempt {contribution.attempt_number} already", code="old-attempt")
        if content_of(order) != contribution.content:
            raise RefusedError("Another attempt of a sum must ask for the same", code="other-content")
        return
    if name in state.past:
        raise RefusedError("This site has contributed to a later sum since", code="old-sum")
