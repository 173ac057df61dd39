"""The dashboard's own port, in a thread of the hub's process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from wardround.values.errors import RunError

_CONNECTIONS = 200


@contextmanager
def served(app: ASGIApp, listen: str) -> Iterator[int]:
    """Serves the application while the block runs; its port. listen: HOST:PORT, port 0 for any. RunError where it is taken."""
    with _bound(listen) as listener:
        config = uvicorn.Config(
            app,
            http="h11",  # the quicker one has no limit for the head of a request
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="dashboard", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(128)  # whoever comes before the server runs waits
    except (OSError, OverflowError) as error:
        listener.close()
        raise RunError(
            f"The dashboard cannot listen at {listen}",
            found=getattr(error, "strerror", None) or str(error),
            hint='choose another address in hub.toml: dashboard = "127.0.0.1:8478"',
        ) from error
    return listener
