"""Hospitals on one machine: in order within this process, or each in a process of its own, side by side.

Bytes go in and bytes come out either way, so both give the same model, bit for bit. Side by side is faster; in order needs the
memory of one training at a time.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from wardround.engines.forked import Nursery, can_fork
from wardround.engines.fresh import FreshChild
from wardround.engines.seat import Seat
from wardround.engines.workers import WorkerPool
from wardround.roles.site import Site
from wardround.values.ids import SiteId, site_id


class InOrder:
    """Sites answer one after the other in this process. A site slower than the deadline is counted as lost."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._seats = {site_id(seat.name): seat for seat in seats}
        self._sites: dict[SiteId, Site] = {}

    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._seats))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        answers: dict[SiteId, bytes] = {}
        for site in sorted(outbox):
            began = time.monotonic()
            answer = self._site(site).handle(outbox[site])
            if time.monotonic() - began <= deadline_s:
                answers[site] = answer
                if arrived:
                    arrived(site)
        return answers

    def _site(self, name: SiteId) -> Site:
        if name not in self._sites:
            self._sites[name] = self._seats[name].open()
        return self._sites[name]

    def close(self) -> None:
        for site in self._sites.values():
            site.close()
        self._sites.clear()


class SideBySide:
    """Each site in its own process; at most `workers` of them work at a time.

    nursery: one that was started before the seats were known; closed with this engine. Without it, a new one where the system
    allows, or else a fresh interpreter for each site.
    """

    def __init__(self, seats: Sequence[Seat], workers: int, nursery: Nursery | None = None) -> None:
        self._nursery = nursery or early_nursery(workers)
        self._pool = WorkerPool(seats, workers, self._nursery.start if self._nursery else FreshChild)

    def sites(self) -> tuple[SiteId, ...]:
        return self._pool.sites

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        return self._pool.exchange(outbox, deadline_s, arrived)

    def close(self) -> None:
        self._pool.close()
        if self._nursery:
            self._nursery.close()


def early_nursery(workers: int) -> Nursery | None:
    """To be started before anything else is read, since it takes a second to load; None where sites will not be forked."""
    return Nursery() if workers > 1 and can_fork() else None


def in_process(seats: Sequence[Seat], workers: int, nursery: Nursery | None = None) -> InOrder | SideBySide:
    """workers: 0 or 1 for in order; more for that many processes at work at once. nursery: see SideBySide."""
    return InOrder(seats) if workers <= 1 or len(seats) < 2 else SideBySide(seats, min(workers, len(seats)), nursery)
