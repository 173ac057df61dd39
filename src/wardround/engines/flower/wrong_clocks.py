"""Sites that Flower turns away for their clock. It says 401 to them as to a stranger, and nobody at the hub would know why.

401 --the site's own signature over its time--> so many seconds ahead --now and then--> the hub's log and screen
"""

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cryptography.exceptions import UnsupportedAlgorithm
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature

from wardround.engines.flower.line_faults import AHEAD_S, BEHIND_S
from wardround.values.ids import SiteId

KEY_HEADER = b"flwr-public-key"
_TIME, _SIGNATURE = b"flwr-timestamp", b"flwr-signature"
_TOLD_EVERY_S = 600.0
"""A site may not fill the hub's log."""
Tell = Callable[[SiteId, float], None]
Headers = Mapping[bytes, bytes]


class WrongClocks:
    """Of each site that is turned away for its clock, by how much that is ahead. tell: hears of it, of one site at most once in
    ten minutes."""

    def __init__(self, tell: Tell = lambda _, __: None) -> None:
        self._tell = tell
        self._ahead_s: dict[SiteId, float] = {}
        self._told: dict[SiteId, float] = {}

    def ahead_s(self) -> Mapping[SiteId, float]:
        """Seconds by which the clocks of the sites that are turned away now are ahead of this machine's."""
        return self._ahead_s.copy()

    def let_in(self, site: SiteId) -> None:
        self._ahead_s.pop(site, None)

    def turned_away(self, site: SiteId, headers: Headers) -> None:
        """Flower has answered 401 to a request with this site's login key."""
        ahead_s = _signed_ahead_s(headers)
        if ahead_s is None or -BEHIND_S < ahead_s < AHEAD_S:
            return
        self._ahead_s[site] = ahead_s
        now = time.monotonic()
        if now - self._told.get(site, float("-inf")) > _TOLD_EVERY_S:
            self._told[site] = now
            self._tell(site, ahead_s)


def decoded(text: bytes) -> bytes:
    """What stands in a head in base64; empty where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _signed_ahead_s(headers: Headers) -> float | None:
    """By how much the time that the key's owner has signed is ahead. None where it was not signed, or is no time: who knows a
    login key, which is public, could speak of its owner's clock otherwise."""
    written = headers.get(_TIME, b"")
    try:
        key = bytes_to_public_key(decoded(headers.get(KEY_HEADER, b"")))
        if not verify_signature(key, written, decoded(headers.get(_SIGNATURE, b""))):
            return None
        return (datetime.fromisoformat(written.decode("ascii")) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: a time without a zone
        return None
