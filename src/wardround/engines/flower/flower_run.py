"""A run of Flower, of which the hub is itself the server app: what messages need to travel in, and nothing else.

    StartRun (a bundle without code) -> AcquireTask until it is ours -> PullTaskInput -> heartbeats -> push and pull -> StopRun

A run that Flower has ended is replaced; who sent in it sends again.
"""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import httpx
from flwr.proto.control_pb2 import StartRunRequest, StopRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.message_pb2 import Message
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushAppMessagesRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor
from flwr.supercore.interceptors.http.superexec_auth import SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

from wardround.engines.flower.in_process import InProcess, inside
from wardround.engines.flower.letters import tree_of
from wardround.values.errors import EngineError

HUB_URL = "http://hub"
HEARTBEAT_S = 10.0
_TASK = "flwr-serverapp"
Value = TypeVar("Value")
_PYPROJECT = b"""[project]
name = "wardround"
version = "1.0.0"
description = "no code"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "wardround"
[tool.flwr.app.components]
serverapp = "none:app"
clientapp = "none:app"
"""


class FlowerRun:
    """One run, from its start to `close`. secret: what Flower asks of whoever takes tasks. Raises EngineError where it ends."""

    def __init__(self, transport: InProcess, secret: bytes) -> None:
        self._transport = transport
        self._control = inside(ControlHttpClient(HUB_URL), transport)
        self.number = self._started()
        self._runtime = self._client(self._token(secret))
        _call(lambda: self._runtime.PullTaskInput(PullTaskInputRequest()))
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="wardround-run", daemon=True).start()

    def push(self, messages: Sequence[Message]) -> list[bool]:
        """Whether Flower took each message: it does not where its site has never logged in."""
        request = PushAppMessagesRequest(messages_list=messages, message_object_trees=[tree_of(one) for one in messages])
        return [bool(taken) for taken in _call(lambda: self._runtime.PushMessages(request)).message_ids]

    def pull(self, message_ids: Sequence[str]) -> list[Message]:
        """Replies to these messages that have come, and errors in place of those that cannot come any more; each once."""
        request = PullAppMessagesRequest(message_ids=message_ids)
        return list(_call(lambda: self._runtime.PullMessages(request)).messages_list)

    def close(self) -> None:
        """Ends the run; Flower forgets what was said in it."""
        self._ended.set()
        with suppress(httpx.HTTPError, RuntimeError, EngineError):  # closed before, or with its listener
            self._control.StopRun(StopRunRequest(run_id=self.number))
        self._control.close()
        self._runtime.close()

    def _started(self) -> int:
        bundle = _bundle()
        fab = Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
        number: int = _call(lambda: self._control.StartRun(StartRunRequest(fab=fab))).run_id
        return number

    def _token(self, secret: bytes) -> str:
        """Flower gives out the oldest task of any run: those before ours belong to runs that nobody serves any more."""
        signing = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={"/flwr.proto.Runtime/AcquireTask"})
        with inside(RuntimeHttpClient(HUB_URL, interceptors=[signing]), self._transport) as client:
            while True:
                reply = _call(lambda: client.AcquireTask(AcquireTaskRequest(supported_task_types=[_TASK])))
                if not reply.token:
                    raise EngineError("Flower has no task for the run that was started", hint="start the hub again")
                if reply.task.run_id == self.number:
                    token: str = reply.token
                    return token

    def _client(self, token: str) -> RuntimeHttpClient:
        return inside(RuntimeHttpClient(HUB_URL, interceptors=[RuntimeTokenHttpInterceptor(token=token)]), self._transport)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            with suppress(httpx.HTTPError, RuntimeError):  # the next exchange finds that the run has ended
                self._runtime.SendTaskHeartbeat(SendTaskHeartbeatRequest())


def _call(request: Callable[[], Value]) -> Value:
    try:
        return request()
    except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: another exchange has closed the run
        reason = error.response.text[:200] if isinstance(error, httpx.HTTPStatusError) else str(error)
        raise EngineError(
            "Flower has ended the run that messages travel in", found=reason, hint="nothing, if the hub goes on by itself"
        ) from error


def _bundle() -> bytes:
    """What Flower calls a FAB: a description and its list of contents, and no line of code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pyproject.toml", _PYPROJECT)
        digest = hashlib.sha256(_PYPROJECT).hexdigest()
        archive.writestr(".info/CONTENT", f"pyproject.toml,{digest},{len(_PYPROJECT) * 8}\n")
    return buffer.getvalue()
