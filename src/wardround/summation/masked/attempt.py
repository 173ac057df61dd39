"""One attempt of a masked sum, as the coordinator knows it: the states of its machine, and what an exchange brings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.crypto.quorum import Quorum
from wardround.summation.masked.layout import Layout
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.messages import Message

OTHER_SEED = "other-seed"
"""Of a site that disagrees with another about the seed of their common mask."""


@dataclass(frozen=True)
class Attempt:
    """One order of one sum. study, order: hashes in hexadecimal; keys: identity keys by site; layout: the words of a
    site. certify: signatures are asked for also where nobody was lost, since some site has no long memory (spec, 3.6).
    standing: of sites at odds the one with the least is left out first, and the lot decides between equals (spec, 10.1)."""

    study: str
    quorum: Quorum
    keys: Mapping[str, str]
    sum: str
    attempt_number: int
    turn: int
    order: str
    cohort: tuple[SiteId, ...]
    layout: Layout
    certify: bool = False
    standing: Mapping[SiteId, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CommittedShares:
    """What a counted site's contribution brought besides its words: `sealed_shares` for the others, and commitments to every
    pair's seed and to every share. Bytes as on the wire."""

    sealed_shares: bytes
    commitments: bytes
    share_commitments: bytes


@dataclass(frozen=True)
class Collecting:
    attempt: Attempt


@dataclass(frozen=True)
class Signing:
    """total: the masked words of those counted, added. lost: site -> why. at_odds: who was counted, though it may as well be the
    liar as the one that was left out for it."""

    attempt: Attempt
    total: Tree
    shares: Mapping[SiteId, CommittedShares]
    lost: Mapping[SiteId, str]
    at_odds: tuple[SiteId, ...] = ()

    @property
    def counted(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self.shares))


@dataclass(frozen=True)
class Opening:
    attempt: Attempt
    total: Tree
    shares: Mapping[SiteId, CommittedShares]
    lost: Mapping[SiteId, str]
    at_odds: tuple[SiteId, ...] = ()
    certificate: Mapping[SiteId, str] = field(default_factory=dict)

    @property
    def counted(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self.shares))


@dataclass(frozen=True)
class Opened:
    """total: the sum of the words of those counted. blamed: site -> what it was caught at, though the sum opened without it.
    silent: who was counted and did not help to open it."""

    attempt: Attempt
    total: Tree
    counted: tuple[SiteId, ...]
    lost: Mapping[SiteId, str]
    blamed: Mapping[SiteId, str] = field(default_factory=dict)
    silent: tuple[SiteId, ...] = ()


@dataclass(frozen=True)
class Failed:
    """where: the state it failed in. lost: why each site is missing, or what it is blamed for. answers: sites whose part came."""

    attempt: Attempt
    where: str
    lost: Mapping[SiteId, str]
    answers: int


@dataclass(frozen=True)
class Received:
    """What one exchange brought: messages as read, and a code for whoever refused or could not be read. Others were lost."""

    messages: Mapping[SiteId, Message]
    refused: Mapping[SiteId, str] = field(default_factory=dict)


State = Collecting | Signing | Opening | Opened | Failed
