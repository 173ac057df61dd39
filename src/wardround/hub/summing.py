"""How a coordinator gets a total: one protocol, two ways. The plain one is here, the masked one in `masked_summing`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wardround.hub.checkpoint import KeyProgress
from wardround.hub.exchange import Traffic, Trip, exchange, replies_to, reply_limit
from wardround.summation.plain import Collecting, Layout, SumFailed, SumOpened, step
from wardround.values.ids import SiteId
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Order


class Summing(Protocol):
    """Carries sums over the sites of an order."""

    @property
    def keys(self) -> KeyProgress:
        """What must be in the checkpoint for the next sum, recorded together with what this one gave."""
        ...

    def sum(self, order: Order, layout: Layout, least: int = 0) -> tuple[SumOpened | SumFailed, Traffic]:
        """The total of what the cohort of `order` promises, or why there is none; and what it took. least: with fewer
        contributions nothing is opened."""
        ...

    def closed_for_ever(self, failed: SumFailed) -> bool:
        """Whether a sum that failed can never be opened, whoever comes back."""
        ...

    def leaves_out(self, sites: Sequence[str]) -> bool:
        """Whether some of these sites are not asked any more."""
        ...

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The only set for which the sum at hand can be opened; empty where any will do."""
        ...

    @property
    def bound(self) -> bool:
        """Whether sites may have answered in an opening, and will answer in every other for the same set only."""
        ...

    def mend(self, failed: SumFailed) -> str:
        """What cures a sum that failed: a hint that is true when it is followed."""
        ...

    def give_up(self) -> None:
        """The sum that failed is over without a total."""
        ...

    def close(self) -> None:
        """Nothing of the last sum is kept."""
        ...


READ_LOGS = "read why in each site's own log, log.ndjson in its folder, mend it, and run again with --resume"


@dataclass(frozen=True)
class PlainSumming:
    """One exchange; the coordinator receives every contribution. minimum: fewer contributions than this open nothing."""

    minimum: int
    trip: Trip
    keys: KeyProgress = field(default_factory=KeyProgress)

    def sum(self, order: Order, layout: Layout, least: int = 0) -> tuple[SumOpened | SumFailed, Traffic]:
        cohort, traffic = tuple(SiteId(site) for site in order.header.cohort), Traffic()
        received = exchange(self.trip, dict.fromkeys(cohort, to_bytes(order)), reply_limit(layout), traffic, heard=True)
        outcome, _ = step(Collecting(cohort, layout, max(self.minimum, least)), replies_to(order.header, received))
        return outcome, traffic

    def closed_for_ever(self, failed: SumFailed) -> bool:  # noqa: ARG002  (a late site may always answer the same order)
        return False

    def leaves_out(self, sites: Sequence[str]) -> bool:  # noqa: ARG002
        return False

    @property
    def waits_for(self) -> tuple[str, ...]:
        return ()

    @property
    def bound(self) -> bool:
        return False

    def mend(self, failed: SumFailed) -> str:  # noqa: ARG002
        return READ_LOGS

    def give_up(self) -> None:
        pass

    def close(self) -> None:
        pass
