"""A carrier within one process that loses, doubles, re-orders and forges, as one on the Internet may."""

import queue
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wardround.engines.remote.carrier import Carried
from wardround.values.errors import WireError
from wardround.values.ids import SiteId
from wardround.wire.sealed import SealedBody

Arrived = Callable[[SiteId, bytes], bool]
_RESENT_EVERY_S = 0.2


@dataclass
class Faults:
    """lost, doubled: the part of messages, each way. forged: bytes that come to the hub beside each answer, in its sender's name.
    old: whether sites get earlier orders again, out of order."""

    lost: float = 0.0
    doubled: float = 0.0
    forged: Callable[[SiteId, bytes], list[bytes]] = lambda _site, _data: []
    old: bool = False
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def copies(self) -> int:
        if self.dice.random() < self.lost:
            return 0
        return 2 if self.dice.random() < self.doubled else 1


class MemoryCarrier:
    """Both ends. sites: those that are there."""

    def __init__(self, sites: tuple[SiteId, ...], faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._orders: dict[SiteId, queue.Queue[bytes]] = {site: queue.Queue() for site in sites}
        self._replies: queue.Queue[tuple[SiteId, bytes]] = queue.Queue()
        self.carried: list[tuple[SiteId, bytes]] = []

    def exchange(self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Arrived) -> frozenset[SiteId]:
        until, waiting = time.monotonic() + deadline_s, dict(outbox)
        self._send(waiting)
        while waiting and time.monotonic() < until:
            try:
                site, data = self._replies.get(timeout=_RESENT_EVERY_S)
            except queue.Empty:
                self._send(waiting)
                continue
            if site in waiting and arrived(site, data):
                del waiting[site]
        return frozenset(outbox.keys() - waiting.keys())

    def close(self) -> None:
        pass

    def end_of(self, site: SiteId) -> "MemorySite":
        return MemorySite(self, site)

    def _send(self, waiting: Mapping[SiteId, bytes]) -> None:
        for site, data in waiting.items():
            earlier = [old for name, old in self.carried if name == site and old != data] if self.faults.old else []
            self.carried.append((site, data))
            for message in [*earlier[-2:], *[data] * self.faults.copies(), *earlier[:1]]:
                if site in self._orders:
                    self._orders[site].put(message)

    def received(self, site: SiteId, wait_s: float) -> Carried | None:
        try:
            return Carried(self._orders[site].get(timeout=min(wait_s, 0.1)), site)
        except queue.Empty:
            return None

    def replied(self, site: SiteId, data: bytes) -> None:
        for message in [*self.faults.forged(site, data), *[data] * self.faults.copies()]:
            self._replies.put((site, message))


class MemorySite:
    """A site's end."""

    state = "connected"

    def __init__(self, carrier: MemoryCarrier, site: SiteId) -> None:
        self._carrier, self._site = carrier, site

    def receive(self, wait_s: float) -> Carried | None:
        return self._carrier.received(self._site, wait_s)

    def reply(self, carried: Carried, data: bytes, may_leave: Callable[[], bool]) -> bool:  # noqa: ARG002
        if not may_leave():
            return False
        self._carrier.replied(self._site, data)
        return True

    def close(self) -> None:
        pass


class StoreLine:
    """Bodies straight from and into the hub's store, for a site in the same process."""

    def __init__(self, store, site: SiteId) -> None:
        self._store, self._site = store, site

    def open(self, sha256: str, size: int):  # noqa: ARG002
        file = self._store.sent(sha256)
        if file is None:
            raise WireError("the hub has the body no more")
        return file

    def put(self, body: SealedBody) -> None:
        upload = self._store.upload(self._site, body.sha256, body.size)
        for piece in body.pieces():
            upload.write(piece)
        upload.finish()
        upload.close()

    def close(self) -> None:
        pass
