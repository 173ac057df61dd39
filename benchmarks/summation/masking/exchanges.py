"""How many exchanges a masked round takes: a tiny real study of three sites, round 1 with everybody, in round 2 one site lost.

Counted by the coordinator itself, in the history of its rounds. The keys were agreed before, when the study opened. c = 0, since
under c = 1 three sites may lose nobody.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from wardround.crypto.identity import Identity
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import silent
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order

SITES = tuple(SiteId(name) for name in ("east", "north", "south"))
LOST, LOST_IN = SiteId("south"), 2
STUDY = """
format = 1
[question]
title = "Exchanges"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-4, 4]
[network]
name = "logistic"
[training]
local_epochs = 1
[algorithm]
name = "fedavg"
rounds = 2
[summation]
mode = "masked"
collusion = 0
[evaluation]
own_baseline = false
[sites]
minimum = 2
"""


class Ward:
    """An engine that loses one site's answer to the order of round LOST_IN."""

    def __init__(self, sites: Mapping[SiteId, Site]) -> None:
        self._sites = sites

    def sites(self) -> tuple[SiteId, ...]:
        return SITES

    def exchange(
        self,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,  # noqa: ARG002
        arrived: Callable[[SiteId], None] | None = None,  # noqa: ARG002
    ) -> dict[SiteId, bytes]:
        return {site: self._sites[site].handle(data) for site, data in outbox.items() if not (site == LOST and _lost(data))}


def _lost(data: bytes) -> bool:
    message = from_bytes(data)
    return isinstance(message, Order) and message.header.step == "train" and message.header.round == LOST_IN


def _records(site: SiteId) -> Records:
    draw = np.random.Generator(np.random.Philox(SITES.index(site)))
    inputs = draw.standard_normal((30, 1)).astype(np.float32)
    splits = np.array(["train", "train", "train", "validation", "test"] * 6)
    return Records(inputs, (inputs[:, 0] > 0).astype(np.int8), np.array([f"{site}-{number}" for number in range(30)]), splits)


def measure() -> dict[str, float]:
    identities = {site: Identity.new() for site in SITES}
    study = _enrolled(parse_study(STUDY), {str(site): identity.public for site, identity in identities.items()})
    with tempfile.TemporaryDirectory(prefix="wardround-exchanges-") as folder:
        sites = {
            site: Site(
                site,
                study,
                lambda site=site: _records(site),  # type: ignore[misc]
                Path(folder) / site,
                identity=identities[site],
                device="cpu",  # type: ignore[misc]
            )  # type: ignore[misc]
            for site in SITES
        }
        coordinator = Coordinator(study, Ward(sites), Path(folder) / "coordinator", listener=silent)
        coordinator.run()
        coordinator.close()
        for site in sites.values():
            site.close()
    full, one_lost = coordinator.progress.history
    if full.lost or list(one_lost.lost) != [LOST]:
        raise RuntimeError(f"lost were {dict(full.lost)} and {dict(one_lost.lost)}")
    print(f"\na masked round of {len(SITES)} sites\n  {'lost':>4} {'exchanges':>9}")
    for number in (full, one_lost):
        print(f"  {len(number.lost):4} {number.exchanges:9}")
    return {"exchanges": full.exchanges, "exchanges_one_lost": one_lost.exchanges}


def _enrolled(study: Study, keys: dict[str, str]) -> Study:
    return study.revised(sites={"names": tuple(keys), "keys": keys})
