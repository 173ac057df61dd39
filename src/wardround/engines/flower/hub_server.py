"""The hub's servers in one thread: Flower's SuperLink, embedded, behind the gate; and its inner side on a socket of this user's.

    outside --TLS--> Gate -> LongPoll -> Flower (fleet paths)       inside --unix socket, folder 0700--> LongPoll -> Flower (all)

Flower's state lives in memory, and nothing in it is worth keeping: nodes come from the roster, messages are sent again.
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wardround.engines.flower.gate import App, Gate, Logins
from wardround.engines.flower.long_poll import LongPoll
from wardround.engines.flower.quiet import require_flower
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.private_files import private_folder

require_flower()

import uvicorn  # noqa: E402
from flwr.superlink.config_loader import SuperLinkLifespanConfig, load_control_authn_plugin  # noqa: E402
from flwr.superlink.main import create_app  # noqa: E402

SOCKET = "flower.sock"
_START_S = 30.0
_IN_MEMORY = ":flwr-in-memory:"


class HubServer:
    """Serves from `start` to `stop`. folder: for the inner socket. certificate, key: PEM files. own: our pages on this port."""

    def __init__(
        self, folder: Path, host: str, port: int, certificate: Path, key: Path, logins: Logins, own: App | None, secret: bytes
    ) -> None:
        private_folder(folder, signs=(SOCKET,))
        self.socket = folder / SOCKET
        flower = LongPoll(create_app(_config(host, port, secret), _NoServers))  # type: ignore[arg-type]
        self._gate = Gate(flower, logins, own)
        common: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "timeout_keep_alive": 75}
        self._outer = uvicorn.Server(
            uvicorn.Config(
                self._gate, host=host, port=port, ssl_certfile=certificate, ssl_keyfile=key, server_header=False, **common
            )
        )
        self._inner = uvicorn.Server(uvicorn.Config(flower, uds=str(self.socket), **common))
        self._where = f"{host}:{port}"
        self._thread = threading.Thread(target=self._serve, name="hub-server", daemon=True)

    def start(self) -> None:
        """Returns when both sides listen. EngineError where a port is taken or may not be used."""
        self.socket.unlink(missing_ok=True)  # left by a killed process
        self._thread.start()
        until = time.monotonic() + _START_S
        while not (self._outer.started and self._inner.started):
            if not self._thread.is_alive() or time.monotonic() > until:
                self.stop()
                raise EngineError(
                    f"The hub cannot listen on {self._where}",
                    found="the port is taken, or this user may not use it",
                    hint="stop what listens there (ss -ltnp), or choose another port with `wardround hub init`; below 1024 a "
                    "service needs AmbientCapabilities=CAP_NET_BIND_SERVICE",
                )
            time.sleep(0.01)
        self.socket.chmod(0o600)  # uvicorn lets everybody in; the folder does not

    def stop(self) -> None:
        """Lets go of the ports. Whoever waits is hung up on."""
        for server in (self._outer, self._inner):
            server.should_exit = server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(10.0)
        self.socket.unlink(missing_ok=True)

    def last_seen(self) -> Mapping[SiteId, float]:
        """When each site last came through the gate, seconds since 1970."""
        return dict(self._gate.seen)

    def _serve(self) -> None:
        with suppress(SystemExit, OSError):  # uvicorn exits where it cannot bind; `start` says so
            asyncio.run(self._both())

    async def _both(self) -> None:
        await asyncio.gather(self._outer.serve(), self._inner.serve())


class _NoServers:
    """Flower's gRPC servers and its health server are never started."""

    def __init__(self, *_: object) -> None:
        pass

    def startup(self) -> None:
        pass

    def shutdown(self) -> None:
        pass


def _config(host: str, port: int, secret: bytes) -> Any:
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=host,
        port=port,
        insecure=False,
        certificates=None,
        superexec_auth_secret=secret,
        authn_plugin=load_control_authn_plugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type="grpc-rere",
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=None,
        ssl_certfile=None,
        ssl_keyfile=None,
        database=_IN_MEMORY,
        isolation="process",
        runtime_dependency_install=False,
    )
