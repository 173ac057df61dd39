"""What the hub asks of its own Flower, over the inner socket: who the nodes are, and one run after another to send messages in.

    roster --RegisterNode--> node ids      StartRun (an empty app) -> AcquireTask until it is ours -> PullTaskInput -> heartbeats

No code is ever run by Flower: the app is a zip of two texts, and the task is taken by this very process.
"""

import hashlib
import io
import threading
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround.engines.flower.holding import HoldInterceptor
from wardround.engines.flower.quiet import require_flower
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId

require_flower()

import httpx  # noqa: E402
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest, StopRunRequest, UnregisterNodeRequest  # noqa: E402
from flwr.proto.fab_pb2 import Fab  # noqa: E402
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, SendTaskHeartbeatRequest  # noqa: E402
from flwr.supercore.control.control_http_client import ControlHttpClient  # noqa: E402
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor  # noqa: E402
from flwr.supercore.interceptors.http.superexec_auth import SuperExecAuthHttpInterceptor  # noqa: E402
from flwr.supercore.runtime import RuntimeHttpClient  # noqa: E402

HEARTBEAT_S = 10.0
_TIMEOUT_S = 60.0
_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
_APP = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "wardround-messages"
version = "1.0.0"
description = "No code: only a run to send messages in."
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "wardround"
[tool.flwr.app.components]
serverapp = "none:app"
clientapp = "none:app"
"""


@dataclass
class Lane:
    """One run of Flower's, and the client that speaks for its task. sent: messages in it so far."""

    run_id: int
    client: Any
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def keep_alive(self) -> None:
        """Heartbeats until `close`: a task that is silent is taken for dead, with its run."""
        threading.Thread(target=self._beat, name="flower-heartbeat", daemon=True).start()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(httpx.HTTPError):
                self.client.SendTaskHeartbeat(SendTaskHeartbeatRequest())

    def close(self) -> None:
        self._stop.set()
        self.client.close()


class Inner:
    """Flower's inner side. socket: where the hub's own server listens. secret: that it was started with."""

    def __init__(self, socket: Path, secret: bytes) -> None:
        self._socket, self._secret = socket, secret
        self._nodes: dict[SiteId, tuple[bytes, int]] = {}
        self._lock = threading.Lock()

    def nodes(self, logins: Mapping[SiteId, bytes]) -> dict[SiteId, int]:
        """The node of each confirmed site; new sites are registered, and those that left or changed their key are taken out."""
        with self._lock:
            if {site: key for site, (key, _) in self._nodes.items()} != dict(logins):
                with self._control() as control:
                    for site in [site for site, (key, _) in self._nodes.items() if logins.get(site) != key]:
                        _, node = self._nodes.pop(site)
                        with suppress(httpx.HTTPStatusError):
                            control.UnregisterNode(UnregisterNodeRequest(node_id=node))
                    for site, key in logins.items():
                        if site not in self._nodes:
                            node = control.RegisterNode(RegisterNodeRequest(public_key=key)).node_id
                            self._nodes[site] = (key, node)
            return {site: node for site, (_, node) in self._nodes.items()}

    def lane(self) -> Lane:
        """A new run, whose task is ours."""
        app = _empty_app()
        with self._lock, self._control() as control:
            request = StartRunRequest(fab=Fab(hash_str=hashlib.sha256(app).hexdigest(), content=app))
            run_id = control.StartRun(request).run_id
            token = self._token_of(run_id)
        version = RuntimeVersionHttpInterceptor(component_name="flwr-serverapp")
        interceptors = (version, RuntimeTokenHttpInterceptor(token=token), HoldInterceptor())
        lane = Lane(run_id, self._over_socket(RuntimeHttpClient, interceptors))
        lane.client.PullTaskInput(PullTaskInputRequest())  # from STARTING to RUNNING
        lane.keep_alive()
        return lane

    def end(self, lane: Lane) -> None:
        """Nothing of this run is wanted any more."""
        with suppress(httpx.HTTPError), self._control() as control:
            control.StopRun(StopRunRequest(run_id=lane.run_id))

    def _token_of(self, run_id: int) -> str:
        """Flower hands out the oldest task of any run; those of earlier runs are nobody's any more."""
        secret = SuperExecAuthHttpInterceptor(master_secret=self._secret, protected_methods={_ACQUIRE})
        version = RuntimeVersionHttpInterceptor(component_name="flower-superexec")
        with self._over_socket(RuntimeHttpClient, (version, secret)) as client:
            for _ in range(1000):
                answer = client.AcquireTask(AcquireTaskRequest(supported_task_types=["flwr-serverapp"]))
                if answer.token and answer.task.run_id == run_id:
                    return str(answer.token)
                if not answer.token:
                    break
        raise EngineError("Flower did not hand out the run that was begun", hint="start the hub again")

    def _control(self) -> Any:
        return self._over_socket(ControlHttpClient, (RuntimeVersionHttpInterceptor(component_name="flwr-cli"),))

    def _over_socket(self, kind: Any, interceptors: tuple[Any, ...]) -> Any:
        client = kind("http://hub", interceptors=interceptors)
        client._client.close()
        client._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(self._socket)), timeout=_TIMEOUT_S)
        return client


def _empty_app() -> bytes:
    buffer = io.BytesIO()
    text = _APP.encode()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pyproject.toml", text)
        archive.writestr(".info/CONTENT", f"pyproject.toml,{hashlib.sha256(text).hexdigest()},{len(text) * 8}\n")
    return buffer.getvalue()
