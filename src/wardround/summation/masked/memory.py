"""What a site of a masked sum is and remembers: values, and what becomes of them when memory is lost or the study ends."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from wardround.crypto.identity import Identity
from wardround.crypto.quorum import Quorum
from wardround.values.ids import SiteId
from wardround.values.stored import SecretBytes

RandomBytes = Callable[[int], bytes]
MemoryStatus = Literal["none", "new", "member", "forgetful"]
"""member: others witnessed what it said first. none: no state was there, or it was lost or restored, and it has no keys since.
new: so, but the study seems to begin only now; one word before witnesses proves it. forgetful: so, and the study was on its way
before."""


@dataclass(frozen=True)
class Party:
    """Who this site is in one study. keys: site -> identity key, as approved. set_changes: how often the set that sites speak
    for may change from one sum to the next. random_bytes: only test vectors replace it."""

    site: SiteId
    study: bytes
    quorum: Quorum
    keys: Mapping[str, str]
    identity: Identity
    set_changes: int
    random_bytes: RandomBytes = os.urandom


@dataclass(frozen=True)
class LastContribution:
    """What a site keeps of its last contribution. shares: its own of its own secrets. seal_keys: open what others
    sealed. counted: the set it signed or answered for this sum, in whichever attempt; empty for none yet. set_changes, last_set:
    as the order says them."""

    order: str
    sum: str
    attempt_number: int
    turn: int
    cohort: tuple[SiteId, ...]
    content: str
    seal_keys: dict[SiteId, SecretBytes]
    shares: SecretBytes
    counted: tuple[SiteId, ...] = ()
    answered: bool = False
    set_changes: int = 0
    last_set: str = ""


@dataclass(frozen=True)
class MaskedState:
    """What a site remembers. offered: the X25519 secret of the epoch it offered a key for. position: where the chains stand.
    past: the names of all sums that it contributed to. memory_status: how far its memory goes back (see `MemoryStatus`).
    stage: the greatest that it contributed to. floor: it contributes to later stages than this only. opening_set: the set that it
    answered for in an opening; it speaks for no other in the next ones.

    last_set: the set that it spoke for last. set_changes: how often the set had changed by then, in the whole study, also where
    others spoke without this site. counter: contributions, signatures and openings so far. spoken: signatures and openings alone.
    peers: of each other site, the last turn in which this one held its shares, and how often it said that it had spoken: one that
    states less has forgotten."""

    epoch: int = 0
    offered: SecretBytes = b""
    roster: str = ""
    position: int = 0
    chains: Mapping[SiteId, SecretBytes] | None = None
    last_contribution: LastContribution | None = None
    turn: int = 0
    stage: int = 0
    past: tuple[str, ...] = ()
    memory_status: MemoryStatus = "none"
    floor: int = -1
    opening_set: tuple[SiteId, ...] = ()
    last_set: tuple[SiteId, ...] = ()
    set_changes: int = 0
    counter: int = 0
    spoken: int = 0
    peers: Mapping[SiteId, tuple[int, int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its place in section 9 of the specification."""
        if self.last_contribution is not None:
            return (
                "Answered" if self.last_contribution.answered else "Signed" if self.last_contribution.counted else "Contributed"
            )
        return "Ready" if self.chains is not None else "KeysOffered" if self.offered else "NoKeys"


def ended(state: MaskedState) -> MaskedState:
    """The state after the study closed: no secret is left, only what was spoken for."""
    return replace(state, offered=b"", roster="", chains=None, last_contribution=None)


def after_restoring(state: MaskedState) -> MaskedState:
    """What is left of a state that was copied or restored: it may be older than answers that left (spec, 3.6)."""
    return replace(state, offered=b"", roster="", chains=None, last_contribution=None, turn=0, stage=0, memory_status="none")
