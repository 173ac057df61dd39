"""The study's orders to the sites of a run: sums of what they contribute, and words that nothing is summed for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardround.hub.checkpoint import KeyProgress, Progress
from wardround.hub.engine import Engine
from wardround.hub.exchange import Traffic, exchange, replies_to, reply_limit
from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import ExchangeStarted, Listener, SiteAnswered, SiteLost
from wardround.hub.summing import PlainSumming, Summing
from wardround.plan.plan import Plan
from wardround.privacy.mechanism import AnyFrame
from wardround.study.sections.sites import SitesSection
from wardround.summation.approved import Approved
from wardround.summation.plain import NO_ANSWER, Layout, SumFailed, SumOpened
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle
from wardround.wire.envelope import pack_bundle, to_bytes
from wardround.wire.messages import Order, OrderHeader, Step

_NOTHING: Layout = {}


@dataclass(frozen=True)
class Orders:
    """Puts orders to sites over one engine, and tells the listener who is asked, answers and is lost. deadline_s: seconds that a
    site has to answer each."""

    plan: Plan
    engine: Engine
    listener: Listener
    deadline_s: float

    def summing(self, folder: Path, keep_keys: Callable[[KeyProgress], None], keys: KeyProgress) -> Summing:
        """The study's way of adding. folder: for what a masked sum must remember. keep_keys: makes its keys durable."""
        study = self.plan.study
        if not self.plan.masked:
            return PlainSumming(study.sites.minimum, self._trip)
        approved = Approved(study.hash, study.quorum, study.sites.keys, study.set_changes)
        return MaskedSumming(approved, folder, self._trip, keep_keys, self.listener, keys)

    def sum(
        self,
        summing: Summing,
        progress: Progress,
        step: Step,
        number: int,
        bundle: Bundle,
        frame: AnyFrame,
        *,
        label: str = "",
        least: int = 0,
    ) -> tuple[SumOpened | SumFailed, Traffic]:
        """One sum over the sites of the run, and what it took. least: with fewer contributions nothing is opened."""
        outcome, traffic = summing.sum(self._order(progress, step, number, bundle, label), frame.layout, least)
        self._tell_of_the_lost(outcome.lost)
        return outcome, traffic

    def tell(
        self, progress: Progress, step: Step, number: int, bundle: Bundle | None = None, label: str = ""
    ) -> tuple[tuple[SiteId, ...], dict[SiteId, str]]:
        """An order that nothing is summed for: who followed it, and who did not. The run goes on without the others."""
        order = self._order(progress, step, number, bundle or {}, label)
        outbox = dict.fromkeys(progress.sites, to_bytes(order))
        replies = replies_to(order.header, exchange(self._trip, outbox, reply_limit(_NOTHING), Traffic(), heard=True))
        lost = {site: replies.refused.get(site, NO_ANSWER) for site in progress.sites if site not in replies.arrays}
        self._tell_of_the_lost(lost)
        return tuple(site for site in progress.sites if site not in lost), lost

    def _order(self, progress: Progress, step: Step, number: int, bundle: Bundle, label: str) -> Order:
        study = self.plan.study
        rounds = study.algorithm.rounds if step in ("train", "own") else 0
        self.listener(ExchangeStarted(step, number, rounds, progress.sites))
        header = OrderHeader(
            study=study.hash,
            step=step,
            round=number,
            label=label,
            cohort=progress.sites,
            counted=progress.last_counted,
            unused=progress.unused,
            disputed=progress.disputed,
            weight=progress.weight if step == "train" else 0,
        )
        return Order(header, pack_bundle(bundle))

    def _trip(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:
        arrived = (lambda site: self.listener(SiteAnswered(site))) if heard else None
        return self.engine.exchange(outbox, self.deadline_s, arrived)

    def _tell_of_the_lost(self, lost: Mapping[SiteId, str]) -> None:
        for site, code in lost.items():
            self.listener(SiteLost(site, code))


def too_few(counted: Sequence[SiteId], lost: Mapping[SiteId, str], needed: int) -> EngineError:
    """What to raise where a sum, or a run, has too few sites."""
    reasons = ", ".join(f"{site}: {code}" for site, code in lost.items()) or "none lost"
    return EngineError(
        "Too few sites contributed, so nothing was summed",
        expected=f"at least {needed}",
        found=f"{len(counted)} ({reasons})",
        hint="read why in each site's own log, log.ndjson in its folder, mend it, and run again with --resume",
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
