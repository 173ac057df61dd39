"""Who of the sites is there, waits or has just said something: the signals between the hub's listener and its exchanges.

    listener: seen, idle, pushed, ring ---> Mailroom <--- exchange: wait for news, ring a site that has a message now

A site that asks for the next message while none is there has done with all before: what it has not answered is lost.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping

from wardround.values.ids import SiteId


class Mailroom:
    """Threads wait on its news; the listener's event loop waits on the bells of sites."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._count = 0
        self._seen: dict[SiteId, float] = {}
        self._idle: dict[SiteId, float] = {}
        self._replied: dict[SiteId, float] = {}
        self._left: dict[SiteId, float] = {}
        self._came: dict[SiteId, float] = {}
        self._bells: dict[SiteId, set[asyncio.Event]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def count(self) -> int:
        """How much news there was so far."""
        with self._news:
            return self._count

    def tell(self) -> None:
        """There is news: somebody came, answered or has nothing to do."""
        with self._news:
            self._count += 1
            self._news.notify_all()

    def wait(self, count: int, seconds: float) -> None:
        """Returns when there is news after the first `count`, at the latest after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._count != count, timeout=seconds)

    def saw(self, site: SiteId) -> None:
        """A proved request of the site."""
        self._seen[site] = time.time()

    def last_seen(self) -> Mapping[SiteId, float]:
        """When each site was heard of last, seconds since 1970."""
        return dict(self._seen)

    def replied(self, site: SiteId) -> None:
        """The site has brought a reply to something."""
        self._replied[site] = time.monotonic()
        self.tell()

    def replied_at(self, site: SiteId) -> float:
        """When the site has brought a reply last, by the monotonic clock."""
        return self._replied.get(site, 0.0)

    def comes(self, site: SiteId) -> None:
        """The site is there anew: it knows nothing of what was sent to it before."""
        self._came[site] = time.monotonic()
        self.tell()

    def came_at(self, site: SiteId) -> float:
        """When the site has come last, by the monotonic clock."""
        return self._came.get(site, 0.0)

    def leaves(self, site: SiteId) -> None:
        """The site waits for nothing any more: requests of its that are held open end."""
        self._left[site] = time.monotonic()
        self.ring([site])
        self.tell()

    def left_at(self, site: SiteId) -> float:
        """When the site has left last, by the monotonic clock."""
        return self._left.get(site, 0.0)

    def is_idle(self, site: SiteId, asked: float) -> None:
        """No message was there for the site when it asked, by the monotonic clock."""
        self._idle[site] = asked
        self.tell()

    def idle_since(self, site: SiteId) -> float:
        """When the site asked last and found no message, by the monotonic clock."""
        return self._idle.get(site, 0.0)

    def bell(self, site: SiteId) -> asyncio.Event:
        """Rings once when there may be a message for the site. In the listener's loop only."""
        event = asyncio.Event()
        self._bells.setdefault(site, set()).add(event)
        return event

    def unhang(self, site: SiteId, event: asyncio.Event) -> None:
        self._bells.get(site, set()).discard(event)

    def ring(self, sites: Iterable[SiteId]) -> None:
        """There are messages for these sites. From any thread."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._ring, tuple(sites))

    def _ring(self, sites: tuple[SiteId, ...]) -> None:
        for site in sites:
            for event in self._bells.get(site, ()):
                event.set()
