"""The dashboard's own port, in a thread of the hub's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from wardround.values.served_port import bound

_CONNECTIONS = 200
_MEND = 'choose another address in hub.toml: dashboard = "127.0.0.1:8478"'


@contextmanager
def served(app: ASGIApp, listen: str) -> Iterator[int]:
    """Serves the application while the block runs; its port. listen: HOST:PORT, port 0 for any. RunError where it is taken."""
    with bound(listen, "The dashboard", _MEND) as listener:
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
