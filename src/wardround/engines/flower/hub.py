"""The hub's listener: Flower's SuperLink inside this process, behind our gate, on one public port.

    site --TLS--> uvicorn --> Gate --> SuperLink (state in memory) <-- runs and messages, from within this process

Nothing of Flower's state is worth keeping: its nodes follow from the roster, and what was under way is asked again.
"""

import asyncio
import secrets
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import uvicorn
from flwr.superlink.config_loader import SuperLinkLifespanConfig, load_control_authn_plugin
from flwr.superlink.main import create_app

from wardround.engines.flower.flower_run import FlowerRun
from wardround.engines.flower.gate import App, Gate
from wardround.engines.flower.guarded_lines import guarded, with_all_places
from wardround.engines.flower.hub_carrier import FlowerHubCarrier
from wardround.engines.flower.in_process import InProcess
from wardround.engines.flower.line_faults import require_no_socks
from wardround.engines.flower.mailroom import Mailroom
from wardround.engines.flower.nodes import Logins, NodeTable
from wardround.engines.flower.wrong_clocks import Tell, WrongClocks
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId

_START_S = 30.0
_STOP_S = 5.0


class FlowerHub:
    """Serves sites on one port. certificate, key: PEM files of its TLS certificate. logins: public login keys (PEM) of the
    confirmed sites at this moment. ours: an ASGI application for `/enrol` and `/bodies/`. clock_is_wrong: hears of a site that
    is not let in for its clock, and by how many seconds that is ahead."""

    def __init__(
        self,
        host: str,
        port: int,
        certificate: Path,
        key: Path,
        logins: Logins,
        ours: App | None = None,
        *,
        clock_is_wrong: Tell = lambda _, __: None,
    ) -> None:
        require_no_socks()
        self._secret = secrets.token_bytes(32)
        flower = _superlink(self._secret)
        state = flower.state.linkstate_factory.state()
        self._mailroom, self._clocks = Mailroom(), WrongClocks(clock_is_wrong)
        nodes = NodeTable(state, logins)
        transport = InProcess(flower, self._loop)
        self.carrier = FlowerHubCarrier(state, nodes, self._mailroom, lambda: FlowerRun(transport, self._secret))
        gate = Gate(flower, nodes, self._mailroom, ours, self._clocks)
        self._server = uvicorn.Server(_listener(gate, host, port, certificate, key))
        self._thread = threading.Thread(target=self._serve, name="wardround-hub", daemon=True)
        self._failure: BaseException | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was asked for."""
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def last_seen(self) -> Mapping[SiteId, float]:
        """When each site was heard of last, seconds since 1970."""
        return self._mailroom.last_seen()

    def wrong_clocks(self) -> Mapping[SiteId, float]:
        """How many seconds the clock of each site is ahead that is not let in for it now."""
        return self._clocks.ahead_s()

    def start(self) -> None:
        """Returns when sites can connect. EngineError where the port cannot be listened on."""
        with_all_places()
        self._thread.start()
        until = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                config = self._server.config
                raise EngineError(
                    f"The hub cannot listen on port {config.port} of {config.host}",
                    found=str(self._failure or "see the lines above"),
                    hint="look whether another process has the port (ss -ltnp), or choose another in the hub's settings; ports "
                    "below 1024 need the right to them",
                )
            time.sleep(0.01)

    def show_renewed_certificate(self) -> None:
        """Shows new connections what the certificate's files hold now; those that are open stay."""
        config = self._server.config
        if config.ssl is not None and config.ssl_certfile is not None:
            config.ssl.load_cert_chain(config.ssl_certfile, config.ssl_keyfile)

    def stop(self) -> None:
        """Ends exchanges, hangs up, and returns when the port is free."""
        self.carrier.close()
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._server.force_exit = True
        self._thread.join(_STOP_S)

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())  # uvloop's TLS goes on reading for 30 s what a closed connection sends
        except (OSError, SystemExit) as error:
            self._failure = error

    async def _run(self) -> None:
        self._mailroom.loop = asyncio.get_running_loop()
        await self._server.serve()
        await self._hang_up()

    async def _hang_up(self) -> None:
        """Closes every line of this loop, also one whose TLS has not begun, of which the server knows nothing."""
        lines = getattr(asyncio.get_running_loop(), "_transports", {})
        for _ in range(2):
            await asyncio.sleep(0)  # what was accepted last has its transport in the next turn; what was hung up on is closed
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            for line in list(lines.values()):
                line.abort()
        await asyncio.sleep(0)

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = self._mailroom.loop
        if loop is None or loop.is_closed():
            raise EngineError("The hub's listener is not running", hint="start the hub again")
        return loop


class _NoServers:
    """What Flower would start beside its application: gRPC, health, processes. None of it is."""

    def __init__(self, *_: object) -> None:
        pass

    def startup(self) -> None:
        pass

    def shutdown(self) -> None:
        pass


_no_servers: Any = _NoServers
_IDLE_LAYERS = frozenset({"ControlLicenseMiddleware", "ControlEventLogMiddleware", "FleetEventLogMiddleware"})
"""They look for a licence and for plugins that are not there, at half a millisecond a request and layer."""


def _superlink(secret: bytes) -> Any:
    """Flower's application, without what does nothing here."""
    app: Any = create_app(_config(secret), _no_servers)
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls.__name__ not in _IDLE_LAYERS]
    return app


def _config(secret: bytes) -> SuperLinkLifespanConfig:
    """Node authentication on, state in memory, no process started; names that this version of Flower does not know are left."""
    settings: dict[str, Any] = {
        "superexec_auth_secret": secret,
        "authn_plugin": load_control_authn_plugin(),
        "enable_supernode_auth": True,
        "enable_event_log": False,
        "control_address": "",
        "host": "127.0.0.1",
        "port": 0,
        "insecure": False,
        "fleet_api_type": "grpc-rere",
        "simulation": False,
        "database": ":flwr-in-memory:",
        "isolation": "process",
        "runtime_dependency_install": False,
    }
    names = [field.name for field in fields(SuperLinkLifespanConfig)]
    chosen: Any = {name: settings.get(name) for name in names}
    return SuperLinkLifespanConfig(**chosen)


def _listener(app: App, host: str, port: int, certificate: Path, key: Path) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        server_header=False,
        proxy_headers=False,  # whoever connects from this machine would choose the address that his refusals are counted under
        ws="none",
        h11_max_incomplete_event_size=1 << 14,
    )
    config.load()
    if config.ssl is None:
        raise EngineError("The hub does not listen without TLS", hint="make its certificate anew with `wardround hub init`")
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    config.http_protocol_class = guarded(config.http_protocol_class)  # type: ignore[assignment]
    return config
