"""What carries bytes between the coordinator and the sites."""

from collections.abc import Callable, Mapping
from typing import Protocol

from wardround.values.ids import SiteId


class Engine(Protocol):
    """Moves bytes; knows nothing of what they mean."""

    def sites(self) -> tuple[SiteId, ...]:
        """The sites that can be asked, sorted."""
        ...

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> Mapping[SiteId, bytes]:
        """Each site's answer to its message. A site that does not answer in time is absent. `arrived` hears of each answer."""
        ...
