"""Where one study stands at the hub, as one value and one file: what the service goes on from, and what is shown of it.

    offered --all approved--> running --the model is there--> finished
       |                       |   ^
       |                too few|   |they are seen again, or a person says "go on"
       |                       v   |
       +--one refuses--> declined  waiting          any of these --a person--> stopped       --a fault--> failed

declined, stopped and failed begin anew where a person says so: as offered, or as waiting where the run had begun.
"""

import time
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from wardround.hub.notices import ExchangeStarted, RoundDiscarded, RoundFinished
from wardround.values.canonical import finite_or_none
from wardround.wire.messages import Hash, Header, Site
from wardround.wire.offers import SignedApproval, State

Phase = Literal["offered", "running", "waiting", "stopped", "declined", "failed", "finished"]
Standing = State | Literal["unheard", "unproved"]
Words = Annotated[str, StringConstraints(max_length=8000)]

NEXT: Mapping[Phase, frozenset[Phase]] = {
    "offered": frozenset({"running", "waiting", "stopped", "declined", "failed"}),
    "running": frozenset({"waiting", "stopped", "failed", "finished"}),
    "waiting": frozenset({"running", "stopped", "failed"}),
    "stopped": frozenset({"offered", "waiting"}),
    "declined": frozenset({"offered", "stopped"}),
    "failed": frozenset({"offered", "waiting", "stopped"}),
    "finished": frozenset(),
}
AT_WORK: frozenset[Phase] = frozenset({"offered", "running", "waiting"})
"""Phases in which the service does something by itself."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class SiteStanding(Header):
    """What the hub knows of a hospital in a study. state: as it said, `unheard` before it said anything, `unproved` where it says
    "approved" and no proof of its own key stands behind it. at: when it last spoke, 0 for never. fault: why its approval is none,
    in words. word: of its last refusal of an order, "" after an answer."""

    state: Standing = "unheard"
    at: int = 0
    release: str = ""
    approval: SignedApproval | None = None
    fault: Words = ""
    word: str = ""


class RoundLine(Header):
    """One round as it may be shown: figures are of the total alone.

    loss, score: null where a hospital of the opening was missing. discarded: why its total was not used. epsilon:
    what one unit of a hospital has cost after this round at most; null where it was not worked out."""

    number: int
    seconds: float = 0.0
    loss: float | None = None
    score: float | None = None
    lost: dict[Site, str] = Field(default_factory=dict)
    discarded: str = ""
    epsilon: float | None = None

    @classmethod
    def of(cls, notice: RoundFinished) -> Self:
        lost = {str(site): word for site, word in notice.lost.items()}
        score, loss = finite_or_none(notice.score.value), None if notice.loss is None else finite_or_none(notice.loss)
        return cls(number=notice.number, seconds=notice.seconds, loss=loss, score=score, lost=lost)


class ExchangeNow(Header):
    """What is asked at the moment. number, rounds: 0 where there is none. since: milliseconds since 1970."""

    step: str
    number: int
    rounds: int
    asked: tuple[Site, ...]
    answered: tuple[Site, ...] = ()
    since: int

    @classmethod
    def of(cls, notice: ExchangeStarted) -> Self:
        asked = tuple(map(str, notice.sites))
        return cls(step=notice.step, number=notice.number, rounds=notice.rounds, asked=asked, since=now_ms())


class StudyState(Header):
    """since: when the phase began. reason, mend: of the phase, in words. awaits: hospitals without which it does not go on.
    retry_at: when it is tried again at the latest. tries: how often it waited since the last round. begun: whether a run has
    begun. without_missing: a person let it go on with whoever is there. score_name: the headline figure of the rounds, as in a
    sentence. epsilon, delta: what the whole study costs, where it is private; an epsilon without bound is null. wish: number of
    the last wish of a person that was obeyed. model: hash of the finished model."""

    study: Hash
    phase: Phase = "offered"
    since: int
    reason: Words = ""
    mend: Words = ""
    awaits: tuple[Site, ...] = ()
    retry_at: int = 0
    tries: int = 0
    begun: bool = False
    without_missing: bool = False
    sites: dict[Site, SiteStanding] = Field(default_factory=dict)
    exchange: ExchangeNow | None = None
    score_name: str = ""
    epsilon: float | None = None
    delta: float | None = None
    rounds: tuple[RoundLine, ...] = ()
    wish: int = 0
    model: str = ""

    def to(
        self, phase: Phase, *, reason: str = "", mend: str = "", awaits: tuple[str, ...] = (), retry_at: int = 0, **more: object
    ) -> Self:
        """The state in another phase. ValueError for a step that no study takes."""
        if phase not in NEXT[self.phase]:
            raise ValueError(f"a study that is {self.phase} does not become {phase}")
        return self.revised(
            phase=phase, since=now_ms(), reason=reason, mend=mend, awaits=awaits, retry_at=retry_at, exchange=None, **more
        )

    def with_site(self, site: str, **changes: object) -> Self:
        """The state with something else known of one hospital."""
        return self.revised(sites={**self.sites, site: self.sites.get(site, SiteStanding()).revised(**changes)})

    def with_round(self, line: RoundLine, score_name: str) -> Self:
        """The state after a round. One that was asked again after a restart stands once."""
        kept = tuple(one for one in self.rounds if one.number != line.number)
        return self.revised(rounds=(*kept, line), score_name=score_name, tries=0)

    def with_discarded(self, notice: RoundDiscarded) -> Self:
        """The state after a round's total was not used, or taken back."""
        line = next((one for one in self.rounds if one.number == notice.number), RoundLine(number=notice.number))
        return self.with_round(line.revised(discarded=notice.why), self.score_name)

    @property
    def missing_approvals(self) -> tuple[str, ...]:
        """Hospitals whose approval the hub cannot prove now."""
        return tuple(site for site, standing in sorted(self.sites.items()) if standing.state not in ("approved", "finished"))
