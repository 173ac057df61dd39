"""Who may fetch or put a body: a site's signature over what it asks for (docs/spec/network.md, 7.2).

It travels as one line of a request's header, and is checked before the first byte of a body.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from wardround.crypto.identity import Identity, signed_by
from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.wire.payload import refuse_bytes
from wardround.wire.sealed import LARGEST_BODY, SKEW_MS, KeyCard

HEADER = "wardround-ticket"
LIFETIME_MS = 600_000
_LONGEST = 2048
_SIGNED = b"wardround body 1\0"
Method = Literal["GET", "PUT"]


@dataclass(frozen=True)
class Ticket:
    """name: of the site. sha256, size: of the body. expires: milliseconds since 1970."""

    name: str
    method: Method
    sha256: str
    size: int
    expires: int

    @property
    def signed_bytes(self) -> bytes:
        return _SIGNED + canonical_json(asdict(self))


def written(ticket: Ticket, identity: Identity) -> str:
    """The ticket as it travels."""
    return base64.b64encode(canonical_json({**asdict(ticket), "signature": identity.sign(ticket.signed_bytes)})).decode()


def read(text: str, senders: Mapping[str, KeyCard], *, now_ms: int) -> Ticket:
    """The ticket, where a site of the roster signed it and it is in time. WireError for anything else."""
    ticket, signature = _parsed(text)
    card = senders.get(ticket.name)
    if card is None or not signed_by(card.identity, signature, ticket.signed_bytes):
        raise WireError("A ticket for a body is not signed by a site of the roster")
    if not now_ms - SKEW_MS <= ticket.expires <= now_ms + SKEW_MS + LIFETIME_MS:
        raise WireError("A ticket for a body is not of now", hint="set the clocks of both machines by a time server")
    return ticket


def _parsed(text: str) -> tuple[Ticket, str]:
    if len(text) > _LONGEST:
        raise refuse_bytes("a short ticket", f"{len(text)} bytes")
    try:
        value = json.loads(base64.b64decode(text, validate=True))
        signature = value.pop("signature")
        ticket = Ticket(**value)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise refuse_bytes("a ticket", type(error).__name__) from error
    texts = (ticket.name, ticket.method, ticket.sha256, signature)
    if not all(isinstance(text, str) and text.isascii() for text in texts) or not all(
        type(n) is int for n in (ticket.size, ticket.expires)
    ):
        raise refuse_bytes("a ticket", "fields of other types")
    if not 0 <= ticket.size <= LARGEST_BODY:
        raise refuse_bytes(f"a body of at most {LARGEST_BODY} bytes", f"{ticket.size} bytes")
    return ticket, signature
