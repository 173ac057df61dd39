"""A hub and hospitals with keys of their own, and what both ends of a remote engine are made of."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.engines.remote.body_store import BodyStore
from wardround.engines.remote.carrier import HubCarrier, SiteCarrier
from wardround.engines.remote.hub_post import HubPost
from wardround.engines.remote.site_post import Answer, BodyLine, SitePost
from wardround.values.chained_log import ChainedLog
from wardround.values.ids import SiteId
from wardround.wire.sealed import HUB, KeyCard, Party, SealedHeader, Topic

STUDY = "5" * 64
NAMES = tuple(SiteId(name) for name in ("east", "north", "south"))


def party(name: str) -> Party:
    return Party(name, Identity.new(), SealingKey.new())


@dataclass
class Parties:
    """The hub, its sites, and the roster, which a test may change."""

    folder: Path
    hub: Party = field(default_factory=lambda: party(HUB))
    sites: dict[SiteId, Party] = field(default_factory=lambda: {name: party(name) for name in NAMES})
    roster: dict[str, KeyCard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.roster |= {name: site.card for name, site in self.sites.items()}

    def store(self) -> BodyStore:
        return BodyStore(self.folder / "hub" / "bodies")

    def hub_log(self) -> ChainedLog:
        return ChainedLog(self.folder / "hub" / "log")

    def site_log(self, site: SiteId) -> ChainedLog:
        return ChainedLog(self.folder / site / "log")

    def hub_post(self, carrier: HubCarrier, store: BodyStore) -> HubPost:
        return HubPost(carrier, self.hub, lambda: self.roster, store, self.hub_log(), self.folder / "hub" / "numbers")

    def site_post(self, site: SiteId, carrier: SiteCarrier, bodies: BodyLine) -> SitePost:
        folder = self.folder / site / "post"
        return SitePost(carrier, self.sites[site], self.hub.card, folder, bodies, self.site_log(site))


def codes(log: ChainedLog) -> list[str]:
    return [entry.code for entry in log.entries()]


def echo(site: str) -> Answer:
    """Answers with what came and its own name, so that every answer differs."""

    def answer(header: SealedHeader, body: bytes) -> tuple[Topic, bytes]:
        return ("reply" if header.topic == "order" else "status"), site.encode() + b": " + body

    return answer


@contextmanager
def served(posts: Mapping[SiteId, SitePost], answer_of: Callable[[str], Answer] = echo) -> Iterator[None]:
    """Every site's post at work, each in a thread; all have ended afterwards."""
    stop = Event()
    threads = [Thread(target=post.serve, args=(answer_of(site), stop), daemon=True) for site, post in posts.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30.0)  # on a busy machine
            assert not thread.is_alive()
