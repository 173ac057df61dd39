"""Hospitals elsewhere as an engine: what the coordinator sends goes out as sealed orders about one study."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from wardround.values.ids import SiteId
from wardround.wire.sealed import LARGEST_BODY, Topic


class Orders(Protocol):
    """What the engine needs of the hub's post."""

    def ask(
        self,
        topic: Topic,
        study: str,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,
        arrived: Callable[[SiteId], None] | None = None,
        *,
        limit: int,
    ) -> Mapping[SiteId, bytes]: ...


class RemoteEngine:
    """Implements `hub.engine.Engine`. study_hash: of the study that the orders belong to. sites: those named in it. limit: bytes
    that an answer has at most; a longer one is refused before it is read."""

    def __init__(self, post: Orders, study_hash: str, sites: Iterable[SiteId], limit: int = LARGEST_BODY) -> None:
        self._post, self._study, self._sites, self._limit = post, study_hash, tuple(sorted(sites)), limit

    def sites(self) -> tuple[SiteId, ...]:
        return self._sites

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> Mapping[SiteId, bytes]:
        """Answers that are long are opened when they are read, one at a time."""
        return self._post.ask("order", self._study, outbox, deadline_s, arrived, limit=self._limit)
