"""The hub, put together: Flower carries, we sign and seal, the service carries the studies on, pages for people beside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.cli.hub.dashboard import dashboard_beside
from wardround.cli.hub.torch_process import FinishingElsewhere, NetworksElsewhere, write_evidence
from wardround.values.errors import StudyError, WardroundError

if TYPE_CHECKING:
    from wardround.analysis.result import Result
    from wardround.engines.flower.hub import FlowerHub
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.service import HubService
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.study.declaration import Study
    from wardround.study.run_settings import RunSettings
    from wardround.values.chained_log import ChainedLog
    from wardround.values.ids import SiteId
    from wardround.wire.hub_address import HubAddress

RENEWED_EVERY_S = 86_400.0


@contextmanager
def hub_service(home: "HubHome", say: Callable[[str], None]) -> Iterator["HubService"]:
    """The service of a hub whose port is open. EngineError where it cannot be; MissingExtraError where parts are missing."""
    from wardround.engines.flower.hub import FlowerHub
    from wardround.engines.remote.body_app import BodyApp
    from wardround.engines.remote.body_store import BodyStore
    from wardround.engines.remote.engine import RemoteEngine
    from wardround.engines.remote.hub_post import HubPost
    from wardround.hub.daemon.certificates import server_certificate
    from wardround.hub.daemon.enrolment import EnrolmentDesk
    from wardround.hub.daemon.finishing import Finishing
    from wardround.hub.daemon.roster import Roster
    from wardround.hub.daemon.runner import Means
    from wardround.hub.daemon.service import HubService
    from wardround.hub.daemon.status import Lines
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.hub.dashboard.feed import Feed
    from wardround.wire.hub_address import HubAddress
    from wardround.wire.sealed import HUB, Party

    settings, log = home.settings, home.log
    party = Party(HUB, home.identity, home.sealing)
    roster, bodies = Roster(home.path, log), BodyStore(home.path / "bodies")
    desk = EnrolmentDesk(roster, party.identity, party.sealing.public)
    address = HubAddress.read(settings.address)
    certificate = server_certificate(home.path / "keys", address)
    own = _OwnPages(desk, BodyApp(bodies, roster.key_cards, say))
    files, told = (certificate, certificate), partial(_say_clock, log, say)
    carrier = FlowerHub(settings.listen, settings.port, *files, roster.logins, own, clock_is_wrong=told)
    post = HubPost(carrier.carrier, party, roster.key_cards, bodies, log, home.path / "post")
    feed = Feed()
    means = Means(
        home,
        roster,
        post,
        lambda study, sites: RemoteEngine(post, study, sites, _largest_reply(StudyFolder(home.study(study)))),
        FinishingElsewhere(Finishing(write_evidence, _stage_external, _write_tables)),
        NetworksElsewhere,
        heads=post.heads,
        last_seen=carrier.last_seen,
        changed=feed.changed,
    )

    def clocks() -> dict["SiteId", float]:
        return {**post.clocks(), **carrier.wrong_clocks()}

    carrier.start()
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(home.path / "keys", address, carrier, ended), daemon=True)
    renewing.start()
    try:
        service = HubService(means)
        with dashboard_beside(home, roster, service, feed, lambda: Lines(carrier.last_seen(), clocks()), say):
            yield service
    finally:
        ended.set()
        carrier.stop()


def _write_tables(result: "Result", facts: dict[str, Any], study_toml: str, folder: Path) -> None:
    """matplotlib is loaded when the first analysis has come to its end."""
    from wardround.evidence.analysis.writing import write_result

    write_result(result, facts, study_toml, folder)


def _say_clock(log: "ChainedLog", say: Callable[[str], None], site: "SiteId", ahead_s: float) -> None:
    """Why a hospital that is in the roster is not let in: in the log, and on the screen."""
    side = "ahead of" if ahead_s > 0 else "behind"
    sentence = (
        f"{site} is not let in: its clock is {abs(ahead_s):.0f} s {side} this machine's. Set the wrong one by a time server; "
        "where this is said of several hospitals, it is this machine's."
    )
    say(sentence)
    with suppress(WardroundError):  # a full disk: it is said again
        log.append("clock-differs", sentence, site=site, ahead_s=round(ahead_s))


def _renew(keys: Path, address: "HubAddress", carrier: "FlowerHub", ended: threading.Event) -> None:
    """Looks every day whether the TLS certificate has to be renewed, in a hub that runs for years."""
    from wardround.hub.daemon.certificates import server_certificate

    while not ended.wait(RENEWED_EVERY_S):
        with suppress(WardroundError, OSError):  # a full disk; there are months left for the next try
            server_certificate(keys, address)
            carrier.show_renewed_certificate()


class _OwnPages:
    """Our own applications on the public port: enrolment, and the store of long bodies."""

    def __init__(self, desk: Any, bodies: Any) -> None:
        self._desk, self._bodies = desk, bodies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        application = self._bodies if scope["path"].startswith("/bodies/") else self._desk
        await application(scope, receive, send)


def _largest_reply(folder: "StudyFolder") -> int:
    from wardround.hub.exchange import largest_reply
    from wardround.plan.plan import Plan

    return largest_reply(Plan(folder.study(), NetworksElsewhere(folder)))


def _stage_external(study: "Study", settings: "RunSettings", path: Path) -> None:
    """The external test set that lies at the hub, as in a simulation."""
    from wardround.simulation.hospitals import dataset_cache, stage_external_test

    if settings.external is None:
        raise StudyError("Nobody said where the external test set lies", hint="write [external] into STUDY.run.toml")
    stage_external_test(study, settings.external, path, dataset_cache(study))
