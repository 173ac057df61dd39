"""Hospitals elsewhere as an engine: what the coordinator sends goes out as sealed orders about one study."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from wardround.values.ids import SiteId
from wardround.wire.sealed import Topic


class Orders(Protocol):
    """What the engine needs of the hub's post."""

    def ask(
        self,
        topic: Topic,
        study: str,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,
        arrived: Callable[[SiteId], None] | None = None,
    ) -> Mapping[SiteId, bytes]: ...


class RemoteEngine:
    """Implements `hub.engine.Engine`. study_hash: of the study that the orders belong to. sites: those named in it."""

    def __init__(self, post: Orders, study_hash: str, sites: Iterable[SiteId]) -> None:
        self._post, self._study, self._sites = post, study_hash, tuple(sorted(sites))

    def sites(self) -> tuple[SiteId, ...]:
        return self._sites

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> Mapping[SiteId, bytes]:
        """Answers that are long are opened when they are read, one at a time."""
        return self._post.ask("order", self._study, outbox, deadline_s, arrived)
