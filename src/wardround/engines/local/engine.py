"""Hospitals on one machine: in order within this process, or each in a process of its own, side by side.

Bytes go in and bytes come out either way, so both give the same model, bit for bit. Side by side is faster; in order needs the
memory of one training at a time.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from wardround.engines.local.fork_client import ForkServer, can_fork
from wardround.engines.local.subprocess_child import SubprocessChild
from wardround.engines.local.worker_pool import WorkerPool
from wardround.site.config import SiteConfig
from wardround.site.site import Site
from wardround.values.ids import SiteId, site_id


class InOrder:
    """Sites answer one after the other in this process. A site slower than the deadline is counted as lost."""

    def __init__(self, site_configs: Sequence[SiteConfig]) -> None:
        self._site_configs = {site_id(site_config.name): site_config for site_config in site_configs}
        self._sites: dict[SiteId, Site] = {}

    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._site_configs))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        answers: dict[SiteId, bytes] = {}
        for site in sorted(outbox):
            began = time.monotonic()
            answer = self._site(site).handle(outbox[site])
            if time.monotonic() - began <= deadline_s:
                answers[site] = answer
                if arrived:
                    arrived(site)
        return answers

    def _site(self, name: SiteId) -> Site:
        if name not in self._sites:
            self._sites[name] = self._site_configs[name].open()
        return self._sites[name]

    def close(self) -> None:
        for site in self._sites.values():
            site.close()
        self._sites.clear()


class SideBySide:
    """Each site in its own process; at most `workers` of them work at a time.

    fork_server: one that was started before the site_configs were known; closed with this engine. Without it, a new one where
    the system allows, or else a fresh interpreter for each site.
    """

    def __init__(self, site_configs: Sequence[SiteConfig], workers: int, fork_server: ForkServer | None = None) -> None:
        self._fork_server = fork_server or early_fork_server(workers)
        self._pool = WorkerPool(site_configs, workers, self._fork_server.start if self._fork_server else SubprocessChild)

    def sites(self) -> tuple[SiteId, ...]:
        return self._pool.sites

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        return self._pool.exchange(outbox, deadline_s, arrived)

    def close(self) -> None:
        self._pool.close()
        if self._fork_server:
            self._fork_server.close()


def early_fork_server(workers: int) -> ForkServer | None:
    """To be started before anything else is read, since it takes a second to load; None where sites will not be forked."""
    return ForkServer() if workers > 1 and can_fork() else None


def in_process(site_configs: Sequence[SiteConfig], workers: int, fork_server: ForkServer | None = None) -> InOrder | SideBySide:
    """workers: 0 or 1 for in order; more for that many processes at work at once. fork_server: see SideBySide."""
    return (
        InOrder(site_configs)
        if workers <= 1 or len(site_configs) < 2
        else SideBySide(site_configs, min(workers, len(site_configs)), fork_server)
    )
