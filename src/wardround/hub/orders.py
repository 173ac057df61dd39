"""The study's orders to the sites of a run: sums of what they contribute, and words that nothing is summed for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wardround.hub.checkpoint import KeyProgress, Progress
from wardround.hub.engine import Engine
from wardround.hub.exchange import Traffic, exchange, replies_to, reply_limit
from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import ANALYSE, ExchangeStarted, Listener, SiteAnswered, SiteLost
from wardround.hub.summing import READ_LOGS, PlainSumming, Summing
from wardround.plan.permission import AGAIN
from wardround.plan.plan import Plan
from wardround.study.sections.sites import SitesSection
from wardround.summation.approved import Approved
from wardround.summation.masked.layout import content_of
from wardround.summation.plain import NO_ANSWER, Layout, SumFailed, SumOpened
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle
from wardround.wire.envelope import pack_bundle, to_bytes
from wardround.wire.messages import Order, OrderHeader, Step

_NOTHING: Layout = {}
NOT_OPEN = "not-open"


class HasLayout(Protocol):
    """What says which words each site of a sum sends."""

    @property
    def layout(self) -> Layout: ...


@dataclass(frozen=True)
class Question:
    """One order of the study's list, and the arrays that go with it."""

    step: Step
    number: int
    bundle: Bundle = field(default_factory=dict)
    label: str = ""


def nothing() -> None:
    """Where there is nothing to do."""


@dataclass(frozen=True)
class Orders:
    """Puts orders to sites over one engine, and tells the listener who is asked, answers and is lost. deadline_s: seconds that a
    site has to answer each. let_go: is called when an order has been written, and nobody needs its arrays for a while."""

    plan: Plan
    engine: Engine
    listener: Listener
    deadline_s: float
    let_go: Callable[[], None] = nothing

    def summing(self, folder: Path, keep_keys: Callable[[KeyProgress], None], keys: KeyProgress) -> Summing:
        """The study's way of adding. folder: for what a masked sum must remember. keep_keys: makes its keys durable."""
        study = self.plan.study
        if not self.plan.masked:
            return PlainSumming(study.sites.minimum, self._trip)
        approved = Approved(study.hash, study.quorum, study.sites.keys, study.set_changes)
        return MaskedSumming(approved, folder, self._trip, keep_keys, self.listener, keys)

    def sum(
        self, summing: Summing, progress: Progress, question: Question, frame: HasLayout, least: int = 0
    ) -> tuple[SumOpened | SumFailed, Traffic]:
        """One sum over the sites of the run, and what it took. least: with fewer contributions nothing is opened.

        A site that lost its state is given the model of the opening once more. It is asked again where the sum failed."""
        outcome, traffic = summing.sum(self._order(progress, question), frame.layout, least)
        if self._opened_again(progress, outcome.lost) and isinstance(outcome, SumFailed):
            outcome, traffic = summing.sum(self._order(progress, question), frame.layout, least)
        self._tell_of_the_lost(outcome.lost)
        return outcome, traffic

    def tell(self, progress: Progress, question: Question) -> tuple[tuple[SiteId, ...], dict[SiteId, str]]:
        """An order that nothing is summed for: who followed it, and who did not. The run goes on without the others."""
        lost = self._told(progress, question, progress.sites)
        if question.step in ("own", "evaluate", "personal") and (again := self._opened_again(progress, lost)):
            lost = {**{site: word for site, word in lost.items() if site not in again}, **self._told(progress, question, again)}
        self._tell_of_the_lost(lost)
        return tuple(site for site in progress.sites if site not in lost), lost

    def content(self, question: Question) -> str:
        """What a question asks, as a hash, whoever is asked and whenever."""
        return content_of(
            Order(
                OrderHeader(study=self.plan.study.hash, step=question.step, cohort=(), round=question.number),
                pack_bundle(question.bundle),
            )
        )

    def _told(self, progress: Progress, question: Question, sites: Sequence[SiteId]) -> dict[SiteId, str]:
        """Who of these sites did not follow an order, and why."""
        order = self._order(progress, question)
        outbox = dict.fromkeys(sites, to_bytes(order))
        replies = replies_to(order.header, exchange(self._trip, outbox, reply_limit(_NOTHING), Traffic(), heard=True))
        return {site: replies.refused.get(site, NO_ANSWER) for site in sites if site not in replies.arrays}

    def _opened_again(self, progress: Progress, lost: Mapping[SiteId, str]) -> tuple[SiteId, ...]:
        """Sites that had lost their state and have the model of the opening again. They say nothing for it."""
        sites = tuple(site for site, word in lost.items() if word == NOT_OPEN)
        if not sites:
            return ()
        bundle = {"model": {**self.plan.initial_model(), **progress.frozen}} if self.plan.analysis is None else {}
        refused = self._told(progress, Question("open", 0, bundle, AGAIN), sites)
        return tuple(site for site in sites if site not in refused)

    def _order(self, progress: Progress, question: Question) -> Order:
        study, step = self.plan.study, question.step
        rounds = study.algorithm.rounds if step in ("train", "own") else 0
        shown = step if self.plan.analysis is None or step != "evaluate" else ANALYSE
        self.listener(ExchangeStarted(shown, question.number, rounds, progress.sites))
        header = OrderHeader(
            study=study.hash,
            step=step,
            round=question.number,
            label=question.label,
            cohort=progress.sites,
            counted=progress.last_counted,
            unused=progress.unused,
            disputed=progress.disputed,
            opening="" if step == "open" else progress.opened,
            weight=progress.weight if step == "train" else 0,
        )
        return Order(header, pack_bundle(question.bundle))

    def _trip(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:
        self.let_go()
        arrived = (lambda site: self.listener(SiteAnswered(site))) if heard else None
        return self.engine.exchange(outbox, self.deadline_s, arrived)

    def _tell_of_the_lost(self, lost: Mapping[SiteId, str]) -> None:
        for site, code in lost.items():
            self.listener(SiteLost(site, code))


def too_few(counted: Sequence[SiteId], lost: Mapping[SiteId, str], needed: int, hint: str = READ_LOGS) -> EngineError:
    """What to raise where a sum, or a run, has too few sites."""
    reasons = ", ".join(f"{site}: {code}" for site, code in lost.items()) or "none lost"
    return EngineError(
        "Too few sites contributed, so nothing was summed",
        expected=f"at least {needed}",
        found=f"{len(counted)} ({reasons})",
        hint=hint,
    )


def require_sites(section: SitesSection, asked: tuple[SiteId, ...]) -> None:
    """EngineError unless exactly the named sites can be reached, and enough of them."""
    named = tuple(sorted(section.names))
    if named and named != asked:
        raise EngineError(
            "The sites that can be reached are not those the study names",
            expected=", ".join(named),
            found=", ".join(asked) or "none",
            hint="start all of them, or correct sites.names",
        )
    if len(asked) < section.minimum:
        raise too_few(asked, {}, section.minimum)
