"""Requests as a site writes them, and as a stranger would; the desk is asked without a network."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardround.crypto.identity import Identity
from wardround.crypto.login_key import LoginKey
from wardround.crypto.sealing import SealingKey
from wardround.hub.daemon.enrolment import EnrolmentDesk
from wardround.values.canonical import canonical_json
from wardround.wire.enrolment import PATH, EnrolmentRequest, RotationRequest, SiteKeys
from wardround.wire.sealed import KeyCard


@dataclass
class TestSite:
    """A hospital's three keys. name: under which it asks."""

    __test__ = False
    name: str
    identity: Identity
    sealing: SealingKey
    login: LoginKey

    @classmethod
    def new(cls, folder: Path, name: str = "st-anna") -> "TestSite":
        return cls(name, Identity.new(), SealingKey.new(), LoginKey.at(folder / f"{Identity.new().public[:12]}.key"))

    @property
    def keys(self) -> SiteKeys:
        return SiteKeys(name=self.name, identity=self.identity.public, sealing=self.sealing.public, login=self.login.public)

    def enrolment(self, code: str, hub: KeyCard, time: int, **other: Any) -> bytes:
        """other: keys that it claims, or a key that it signs with, in the place of its own."""
        keys, identity, login = (
            other.get("keys", self.keys),
            other.get("identity", self.identity),
            other.get("login", self.login),
        )
        return EnrolmentRequest.made(keys, code, time, hub, identity, login).to_bytes()

    def rotation(self, new: "TestSite", hub: KeyCard, time: int) -> bytes:
        return RotationRequest.made(new.keys, time, hub, self.identity, new.identity, new.login).to_bytes()


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[bytes, bytes]

    @property
    def state(self) -> str:
        return str(json.loads(self.body)["answer"]["state"])


def asked(
    desk: EnrolmentDesk,
    body: bytes,
    *,
    client: tuple[str, int] | None = ("192.0.2.7", 40_000),
    headers: list[tuple[bytes, bytes]] | None = None,
    pieces: list[dict[str, Any]] | None = None,
    path: str = PATH,
    method: str = "POST",
) -> Reply:
    """What the desk answers. headers: instead of the true length. pieces: what the carrier hands on, instead of the body."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": client,
        "headers": [(b"content-length", str(len(body)).encode())] if headers is None else headers,
    }
    coming = list(pieces if pieces is not None else [{"type": "http.request", "body": body, "more_body": False}])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(desk(scope, receive, send))
    assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
    return Reply(sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"]))


def changed(request: bytes, **fields: Any) -> bytes:
    """The request with other fields and the old proofs, in canonical form."""
    value = json.loads(request)
    for name, new in fields.items():
        if name in value["keys"]:
            value["keys"][name] = new
        else:
            value[name] = new
    return canonical_json(value)
