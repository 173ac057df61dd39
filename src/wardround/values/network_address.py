"""Whom an Internet address stands for, and how often each has tried, where strangers are counted."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

_MOST_ADDRESSES = 10_000


def network_of(client: Sequence[Any] | None) -> str:
    """Who is counted together: an IPv4 address, or the 64 bits of an IPv6 network, in which one host has many.

    client: address and port, as a server knows the other end.

    >>> network_of(("192.0.2.1", 5000)), network_of(("2001:db8::1:2", 5000)), network_of(None)
    ('192.0.2.1', '2001:db8::/64', 'unknown')
    """
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def is_loopback_host(host: str) -> bool:
    """Whether a host, without its port, is this machine.

    >>> is_loopback_host("localhost"), is_loopback_host("::1"), is_loopback_host("127.0.0.1.evil.example")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def service_url(text: str) -> str:
    """A web address that may be asked, as it is written. ValueError where it is none, or leads elsewhere in the clear.

    >>> service_url("https://pacs.example/dicom-web"), service_url("http://localhost:8042")
    ('https://pacs.example/dicom-web', 'http://localhost:8042')
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("write https://HOST:PORT/PATH, without a name, a password or a question mark")
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        raise ValueError("http is for this machine alone; write https")
    return text


class TryCount:
    """How often each address tried within the last seconds, up to `most`. Of more than 10,000 addresses it forgets those
    that were silent for longest."""

    def __init__(self, most: int, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._within_s, self._clock = most, within_s, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def is_full(self, address: str) -> bool:
        """Whether this address has tried `most` times."""
        times = self._times.get(address)
        return times is not None and len(times) == self._most and times[0] > self._clock() - self._within_s

    def add(self, address: str) -> None:
        with self._lock:
            self._add(address)

    def allows(self, address: str) -> bool:
        """Whether one more try may be made now. It is counted at once, so that many at a time are no way around."""
        with self._lock:
            if self.is_full(address):
                return False
            self._add(address)
        return True

    def was_right(self, address: str) -> None:
        """The latest try counts no longer: a whole hospital may come from one address, through its proxy."""
        with self._lock:
            if times := self._times.get(address):
                times.pop()

    def forget(self) -> None:
        """As if nobody had tried."""
        with self._lock:
            self._times.clear()

    def _add(self, address: str) -> None:
        self._times.setdefault(address, deque(maxlen=self._most)).append(self._clock())
        self._times.move_to_end(address)
        while len(self._times) > _MOST_ADDRESSES:
            self._times.popitem(last=False)
