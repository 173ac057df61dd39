"""A port of pages: the socket that listens, and the names by which it may be called."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from wardround.values.errors import RunError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def allowed_hosts(listen: str, names: tuple[str, ...] = ()) -> frozenset[str]:
    """What the Host header may say. listen: HOST:PORT. names: others by which a proxy in front is called.

    >>> sorted(allowed_hosts("127.0.0.1:80", ("hub.example.org",)))
    ['127.0.0.1:80', '[::1]:80', 'hub.example.org', 'localhost:80']
    """
    port = listen.rpartition(":")[2]
    return frozenset({listen.lower(), *(f"{host}:{port}" for host in LOOPBACK), *(name.lower() for name in names)})


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach the address.

    >>> is_loopback("127.0.0.1:8477"), is_loopback("0.0.0.0:8477")
    (True, False)
    """
    return listen.rpartition(":")[0].lower() in LOOPBACK


@contextmanager
def bound(listen: str, who: str, mend: str) -> Iterator[socket.socket]:
    """A listening socket at HOST:PORT: whoever comes before the server runs waits. RunError where the address is taken or none.
    who: "The dashboard". mend: how to choose another address."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
            listener.listen(128)
        except (OSError, OverflowError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{who} cannot listen at {listen}", found=reason, hint=mend) from error
        yield listener
