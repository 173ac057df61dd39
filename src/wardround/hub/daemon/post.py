"""What the hub's service needs of whatever carries sealed messages to the sites."""

from collections.abc import Callable, Mapping
from typing import Protocol

from wardround.values.ids import SiteId
from wardround.wire.sealed import Topic


class Post(Protocol):
    """Sealed messages to sites and their proved answers. Several studies may ask at once, each from a thread of its own."""

    def ask(
        self,
        topic: Topic,
        study: str,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,
        arrived: Callable[[SiteId], None] | None = None,
    ) -> Mapping[SiteId, bytes]:
        """Each site's proved answer to its message about the study; a site that gave none in time is absent."""
        ...
