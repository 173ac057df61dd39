"""A hub on this machine, with its own authority, behind real TLS."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.hub.daemon.certificates import Authority, server_certificate
from wardround.hub.daemon.enrolment import EnrolmentDesk
from wardround.hub.daemon.invitations import Inviter, invite
from wardround.hub.daemon.roster import Roster, now_ms
from wardround.site.daemon.connection import Connection
from wardround.site.daemon.home import SiteHome
from wardround.values.chained_log import ChainedLog, Entry
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import Invitation
from wardround.wire.sealed import HUB, KeyCard


@dataclass
class Clock:
    """A clock that a test sets. ahead_ms: of this machine's clock."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@dataclass
class Seconds:
    """A clock of limits that stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class TestHub:
    """A hub in a folder. seconds: the clock of its limits."""

    __test__ = False
    folder: Path
    address: HubAddress
    clock: Clock = field(default_factory=Clock)
    seconds: Seconds = field(default_factory=Seconds)

    def __post_init__(self) -> None:
        self.identity, self.sealing = Identity.at(self.keys / "identity.key"), SealingKey.at(self.keys / "sealing.key")
        self.log = ChainedLog(self.folder / "log")
        self.roster = Roster(self.folder, self.log, self.clock)
        self.desk = EnrolmentDesk(self.roster, self.identity, self.sealing.public, clock=self.seconds)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def card(self) -> KeyCard:
        return KeyCard(HUB, self.identity.public, self.sealing.public)

    @property
    def inviter(self) -> Inviter:
        return Inviter(self.address, self.identity, self.sealing.public, Authority.at(self.keys).certificate)

    def invite(self, name: str, *, days: int = 14, again: bool = False) -> Invitation:
        return invite(self.roster, self.inviter, name, days=days, again=again)

    def logged(self, code: str) -> list[Entry]:
        return [entry for entry in self.log.entries() if entry.code == code]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def hub_in(folder: Path, **changes: object) -> TestHub:
    """A hub that is not up yet, with a port of its own."""
    return TestHub(folder, HubAddress("127.0.0.1", free_port()), **changes)


def site_in(folder: Path) -> SiteHome:
    return SiteHome(folder)


def hub_client(hub: TestHub) -> httpx.Client:
    """A client of the hub's port that trusts its authority, and uses no proxy."""
    return httpx.Client(
        base_url=hub.address.url, verify=Connection(hub.address, hub.inviter.authority).context(), trust_env=False
    )


@contextlib.contextmanager
def up(hub: TestHub, app: object = None, certificate: Path | None = None) -> Iterator[TestHub]:
    """The hub answers at its port during the block, through uvicorn and TLS."""
    path = certificate or server_certificate(hub.keys, hub.address)
    config = uvicorn.Config(
        app or hub.desk,
        host=hub.address.host,
        port=hub.address.port,
        ssl_certfile=path,
        ssl_keyfile=path,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)
