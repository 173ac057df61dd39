"""Requests to the SuperLink's application from within its own process: its control and runtime paths have no socket at all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import TimeoutError as Late
from typing import TypeVar

import httpx
from flwr.supercore.protobuf.client import ProtobufClient

from wardround.engines.flower.gate import App, ask

_TIMEOUT_S = 60.0
Client = TypeVar("Client", bound=ProtobufClient)


class InProcess(httpx.BaseTransport):
    """Hands requests of any thread to an ASGI application in an event loop. loop: where it runs."""

    def __init__(self, app: App, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._app, self._loop = app, loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "root_path": "",
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": None,
            "server": ("hub", 80),
        }
        future = asyncio.run_coroutine_threadsafe(ask(self._app, scope, request.read()), self._loop())
        try:
            start, *rest = future.result(_TIMEOUT_S)
        except Late as error:
            future.cancel()
            raise httpx.ReadTimeout("the SuperLink did not answer", request=request) from error
        body = b"".join(event.get("body", b"") for event in rest)
        return httpx.Response(start["status"], headers=start["headers"], content=body, request=request)


def inside(client: Client, transport: InProcess) -> Client:
    """Flower's client, speaking through this transport."""
    client._client.close()
    client._client = httpx.Client(transport=transport, timeout=_TIMEOUT_S)
    return client
