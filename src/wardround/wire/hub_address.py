"""Where a hub is reached: a DNS name or an IP address, and a port."""

import ipaddress
import re
from dataclasses import dataclass

from wardround.values.errors import WireError

LONGEST = 100
"""Characters of an address: an invitation with a longer one would not fit into its limit."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class HubAddress:
    """A hub's address. host: a DNS name in small letters, or an IP address without brackets."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> "HubAddress":
        """The address in a text such as `hub.example.org:443`, `192.0.2.1:8443` or `[2001:db8::1]:443`.

        Raises
        ------
        WireError
            The text is no address in the one spelling that it has.
        """
        host, colon, port = text.rpartition(":")
        inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if len(text) <= LONGEST and colon and re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 65536 and _is_host(inner):
            address = cls(inner, int(port))
            if str(address) == text:
                return address
        raise WireError(
            "This is no address of a hub",
            expected=f"a DNS name in small letters or an IP address, and a port, in at most {LONGEST} characters",
            found=repr(text[:LONGEST]),
            hint="write it as hub.example.org:443",
        )

    @property
    def is_ip(self) -> bool:
        return _ip(self.host) is not None

    @property
    def url(self) -> str:
        return f"https://{self}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    address = _ip(host)
    if address is not None:
        return str(address) == host and "%" not in host
    labels = host.split(".")
    return all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
