"""Calls that wait for hospitals, and end the moment a person says stop.

An exchange waits up to the study's deadline. What waits in it is left behind in a thread of its own, and nothing looks at what it
brings: for the study it is as if the process had been killed there, which is safe at any instant.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from wardround.hub.engine import Engine
from wardround.values.ids import SiteId

Result = TypeVar("Result")
LOOK_S = 0.2


class Halted(Exception):
    """The study is to stop here, by a person's wish or because the process ends."""


def halting(call: Callable[[], Result], halted: Callable[[], bool]) -> Result:
    """What `call` returns or raises. Halted as soon as `halted` says so, whether the call has ended or not."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def waiting() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  (raised below, in the thread that asked)
            errors.append(error)

    thread = threading.Thread(target=waiting, daemon=True)
    thread.start()
    while thread.is_alive():
        if halted():
            raise Halted
        thread.join(LOOK_S)
    if halted():
        raise Halted
    if errors:
        raise errors[0]
    return results[0]


@dataclass(frozen=True)
class HaltingEngine:
    """An engine whose exchanges end with Halted where `halted` says so."""

    engine: Engine
    halted: Callable[[], bool]

    def sites(self) -> tuple[SiteId, ...]:
        return self.engine.sites()

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> Mapping[SiteId, bytes]:
        lock, listening = threading.Lock(), [True]

        def heard(site: SiteId) -> None:
            with lock:  # one after the other, and none once the study has gone on
                if arrived is not None and listening:
                    arrived(site)

        try:
            return halting(lambda: self.engine.exchange(outbox, deadline_s, heard), self.halted)
        finally:
            with lock:
                listening.clear()


def wait_for(seconds: float, halted: Callable[[], bool]) -> None:
    """Returns after so long, or as soon as `halted` says so."""
    until = time.monotonic() + seconds
    while not halted() and (left := until - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
