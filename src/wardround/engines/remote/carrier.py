"""What brings messages of at most 1 MiB (and 5 KB) between the hub and its sites. It is trusted with delivery only.

    hub: exchange(outbox, deadline, arrived)        site: receive(wait) -> Carried;  reply(carried, bytes)

It may lose, double and re-order messages, and it may be lied to about who speaks: whoever uses it looks at signatures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wardround.values.ids import SiteId

CARRIED_LIMIT = (1 << 20) + 5000


class HubCarrier(Protocol):
    """The hub's end. Several threads may exchange at once."""

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId, bytes], bool]
    ) -> frozenset[SiteId]:
        """Sends each site its message, and hands on what comes back. Returns at the deadline, or when all have answered.

        arrived: is told every answer as it comes; where it says False, it was no answer of this site, the message is sent once
        more, and the site may still answer. Sites that cannot be reached at the moment are tried until the deadline.
        Returns the sites whose answer was taken.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Carried:
    """A message that came to a site. ticket: what the carrier needs to bring the answer back; nobody else looks at it."""

    data: bytes
    ticket: Any = field(default=None, repr=False)


class SiteCarrier(Protocol):
    """A site's end. One thread receives and replies; the line is kept alive beside it."""

    def receive(self, wait_s: float) -> Carried | None:
        """The next message; None where none came in `wait_s` seconds. Broken lines are mended inside, and heard of in `state`."""
        ...

    def reply(self, carried: Carried, data: bytes, may_leave: Callable[[], bool]) -> bool:
        """Brings the answer back; whether the carrier took it. False where it is too late for it, or may not leave any more:
        that is asked before each try, since a line may be broken for hours."""
        ...

    @property
    def state(self) -> str:
        """How the line stands, for the person at this machine: "connected", or what is wrong and its mend."""
        ...

    def close(self) -> None: ...
