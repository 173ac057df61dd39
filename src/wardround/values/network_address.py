"""Whom an Internet address stands for, where strangers are counted."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any


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
