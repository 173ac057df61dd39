"""Sites in processes of their own: length-prefixed messages over pipes or sockets that nobody else can open.

    coordinator --8-byte length, bytes--> child: Site.handle --8-byte length, bytes--> coordinator

A child that dies is a lost site; it is started again for the next order, and goes on from its folder. A child whose parent dies
ends at once, so that a killed run leaves nothing behind that still writes.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from wardround.engines.local.child import Child, Starter
from wardround.engines.local.frames import read_frame, write_frame
from wardround.engines.local.scheduling import next_duration, starting_order
from wardround.site.config import SiteConfig
from wardround.values.cores import usable_cores
from wardround.values.ids import SiteId, site_id


class Worker:
    """One site's process, and a thread that waits for its answers."""

    def __init__(self, site_config: SiteConfig, start: Starter) -> None:
        self._site_config, self._start = site_config, start
        self._child: Child | None = None

    def ask(self, message: bytes, answer: Callable[[bytes | None], None]) -> None:
        """Send `message` and, from another thread, call `answer` with the reply, or None where the process died."""
        threading.Thread(target=lambda: answer(self._ask(message)), daemon=True).start()

    def _ask(self, message: bytes) -> bytes | None:
        try:
            child = self._started()
            write_frame(child.orders, message)
            return read_frame(child.answers)
        except (OSError, ValueError):  # it died with our bytes unread, or was ended (its streams are closed): no answer
            return None

    def _started(self) -> Child:
        if self._child is not None and self._child.has_ended():
            self.stop()  # it died: what it held here must be closed too
        if self._child is None:
            self._child = self._start()
            write_frame(self._child.orders, json.dumps(self._site_config.to_json()).encode())
        return self._child

    def warm_up(self) -> None:
        """Start the process now, so that it loads while the coordinator prepares. Where that fails, the first order will tell."""
        with suppress(OSError):
            self._started()

    def stop(self, *, kill: bool = False) -> None:
        if self._child is not None:
            self._child.end(kill=kill)
            self._child = None


class WorkerPool:
    """One worker a site; at most `at_once` answer at a time."""

    def __init__(self, site_configs: Sequence[SiteConfig], at_once: int, start: Starter) -> None:
        self._workers = {site_id(site_config.name): Worker(site_config, start) for site_config in site_configs}
        self._at_once = at_once
        self._seconds: dict[SiteId, float] = {}
        for worker in self._workers.values():
            worker.warm_up()

    @property
    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._workers))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None
    ) -> dict[SiteId, bytes]:
        if not outbox:
            return {}
        waiting, at_once = starting_order(tuple(outbox), self._seconds, usable_cores(), self._at_once)
        running: dict[SiteId, float] = {}
        done: queue.SimpleQueue[tuple[SiteId, bytes | None]] = queue.SimpleQueue()
        answers: dict[SiteId, bytes] = {}
        while waiting or running:
            while waiting and len(running) < at_once:
                site = waiting.pop(0)
                running[site] = time.monotonic() + deadline_s
                self._workers[site].ask(outbox[site], lambda data, site=site: done.put((site, data)))  # type: ignore[misc]
            try:
                site, data = done.get(timeout=max(0.0, min(running.values()) - time.monotonic()))
            except queue.Empty:
                self._drop_the_late(running)
                continue
            until = running.pop(site, None)
            if until is not None and data is not None:
                self._seconds[site] = next_duration(self._seconds.get(site, 0.0), time.monotonic() - (until - deadline_s))
                answers[site] = data
                if arrived:
                    arrived(site)
        return answers

    def _drop_the_late(self, running: dict[SiteId, float]) -> None:
        now = time.monotonic()
        for site in [site for site, until in running.items() if until <= now]:
            running.pop(site)
            self._workers[site].stop(kill=True)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.stop()
