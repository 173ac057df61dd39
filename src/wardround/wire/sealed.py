"""The sealed message: what travels between hospitals, signed by its sender and read by its receiver alone.

docs/spec/network.md, section 4.

    front | header: from whom, to whom, for what, until when, hash of the body, its sealed key | signature | body's ciphertext

    bytes --open_sealed: sender known, signature, receiver, expiry--> SealedHeader --body: hash, pieces--> what was said

A reader looks at nothing that is not signed by a party it knows: the lengths of the front, the header's bytes, the signature,
then the header, then the body. A large body is detached: it lies in a store, under its hash, and whoever carries it cannot read
it.
"""

import hashlib
import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wardround.crypto.identity import Identity, signed_by
from wardround.crypto.sealing import (
    PIECE,
    SEALED_KEY_BYTES,
    TAG,
    Readable,
    SealingKey,
    decrypted,
    encrypted,
    new_body_key,
    sealed_key,
    sealed_size,
)
from wardround.values.canonical import canonical_json
from wardround.values.chained_log import START, Head
from wardround.values.errors import WireError
from wardround.wire.messages import Hash, Header, NoneOrHash, Site
from wardround.wire.payload import refuse_bytes

MAGIC = b"WRSM"
VERSION = 1
HEADER_LIMIT = 1 << 12
INLINE_LIMIT = 1 << 20
"""Bytes of ciphertext that travel inside a message at most."""
DETACHED_ABOVE = 1 << 17
"""What we detach: a carrier copies what travels inside a message several times, and a body beside it not once."""
LARGEST_BODY = 1 << 31
SKEW_MS = 300_000
"""How far the clocks of two parties may differ."""
HUB = "hub"
"""What the coordinator's side is called; no hospital may have this name."""

_FRONT = struct.Struct(">4sHIQ")
_SIGNATURE = 64
_SIGNED = b"wardround sealed message 1\0"
_SEALED = b"wardround sealed body 1\0"
Topic = Literal["order", "reply", "offer", "status"]
Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]


class SealedHeader(Header):
    """Who says what to whom. topic: an order or its reply, an offer of a study or a site's status in it. study: its hash. number:
    greater than in every message before, of this sender about this study. reply_to: hash of the message that is answered; empty
    in an ask. created, expires: milliseconds since 1970, UTC. body: SHA-256 of the ciphertext. size: its bytes. key: the body's
    key, sealed to the receiver. log_entries, log_head: where the sender's own log stands."""

    kind: Literal["sealed"] = "sealed"
    sender: Site
    receiver: Site
    topic: Topic
    study: Hash
    number: int = Field(ge=1, lt=2**63)
    reply_to: NoneOrHash = ""
    created: Milliseconds
    expires: Milliseconds
    body: Hash
    size: int = Field(ge=0, le=LARGEST_BODY)
    detached: bool = False
    key: Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{2 * SEALED_KEY_BYTES}}}$")]
    log_entries: int = Field(default=0, ge=0, lt=2**53)
    log_head: Hash = START

    @property
    def context(self) -> bytes:
        """What the body's key is bound to, besides the receiver's own key."""
        return _SEALED + canonical_json([self.sender, self.receiver, self.topic, self.study, self.number, self.reply_to])


@dataclass(frozen=True)
class KeyCard:
    """Whom a message is from or for. name: a hospital's, or HUB. identity: public key of its signatures. sealing: public key that
    bodies are sealed to. Both are 64 hexadecimal digits."""

    name: str
    identity: str
    sealing: str


@dataclass(frozen=True)
class Party:
    """Who speaks and reads: a name and the private halves of its keys. name: a hospital's, or HUB."""

    name: str
    identity: Identity
    sealing: SealingKey

    @property
    def card(self) -> KeyCard:
        return KeyCard(self.name, self.identity.public, self.sealing.public)


@dataclass(frozen=True)
class SealedBody:
    """A body under a key of its own, once for all its receivers. sha256, size: of the ciphertext, which is made when it is read,
    and is the same each time: nothing holds it beside the body."""

    key: bytes = field(repr=False)
    plain: bytes | memoryview = field(repr=False)
    sha256: str
    size: int

    @classmethod
    def of(cls, body: bytes | memoryview) -> "SealedBody":
        key, sha256 = new_body_key(), hashlib.sha256()
        for piece in encrypted(key, body):
            sha256.update(piece)
        return cls(key, body, sha256.hexdigest(), sealed_size(len(body)))

    @property
    def detached(self) -> bool:
        """Whether it is too long to travel inside a message."""
        return self.size > DETACHED_ABOVE

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The ciphertext from byte `start` on."""
        whole = PIECE + TAG
        skip = start % whole
        for piece in encrypted(self.key, self.plain, first=start // whole):
            yield piece[skip:]
            skip = 0


@dataclass(frozen=True)
class Subject:
    """What a message is about. reply_to: hash of the message that is answered. lifetime_ms: from its creation to its expiry."""

    topic: Topic
    study: str
    number: int
    reply_to: str = ""
    lifetime_ms: int = 3_600_000


@dataclass(frozen=True)
class Sealed:
    """A message whose sender is proved, and whose body was not read yet. sha256: of the whole message as it came. inline: the
    ciphertext; empty where it is detached."""

    header: SealedHeader
    sha256: str
    inline: memoryview

    def body(self, key: SealingKey, detached: Readable | None = None, *, limit: int = LARGEST_BODY) -> bytes:
        """What was said, at most `limit` bytes. detached: the ciphertext out of the store. WireError where it is not what the
        sender signed."""
        body = io.BytesIO()  # its value is taken over without a copy
        for piece in self.pieces(key, detached, limit=limit):
            body.write(piece)
        return body.getvalue()

    def pieces(self, key: SealingKey, detached: Readable | None = None, *, limit: int = LARGEST_BODY) -> Iterator[bytes]:
        """The body piece by piece, as `body`. Nobody may use a piece before the last has come."""
        if self.header.size > sealed_size(limit):
            raise refuse_bytes(f"a sealed body of at most {sealed_size(limit)} bytes", f"{self.header.size} bytes")
        source: Readable = io.BytesIO(self.inline) if detached is None else detached
        reader = _Hashing(source)
        yield from decrypted(key.open_key(bytes.fromhex(self.header.key), self.header.context), reader, self.header.size)
        if reader.digest() != self.header.body:
            raise WireError("The body of a message is not the one that its sender signed")


def seal(subject: Subject, body: SealedBody, sender: Party, receiver: KeyCard, *, now_ms: int, log: Head) -> bytes:
    """The message. Where the body is detached, its ciphertext goes into the store first."""
    unkeyed = SealedHeader(
        sender=sender.name,
        receiver=receiver.name,
        topic=subject.topic,
        study=subject.study,
        number=subject.number,
        reply_to=subject.reply_to,
        created=now_ms,
        expires=now_ms + subject.lifetime_ms,
        body=body.sha256,
        size=body.size,
        detached=body.detached,
        key="0" * 2 * SEALED_KEY_BYTES,
        log_entries=log.entries,
        log_head=log.sha256,
    )
    header = unkeyed.revised(key=sealed_key(body.key, receiver.sealing, unkeyed.context).hex())
    inline = b"" if body.detached else b"".join(body.pieces())
    written = canonical_json(header.model_dump(mode="json"))
    signed = _FRONT.pack(MAGIC, VERSION, len(written), len(inline)) + written
    return b"".join([signed, bytes.fromhex(sender.identity.sign(_SIGNED + signed)), inline])


def open_sealed(data: bytes, senders: Mapping[str, KeyCard], receiver: str, *, now_ms: int) -> Sealed:
    """The message, where a known sender signed it for this receiver and it has not expired. WireError for anything else.

    senders: by name. Nothing of the header is used before its signature was found true."""
    front, header_size, inline_size = _front(data)
    start = front + header_size
    if len(data) != start + _SIGNATURE + inline_size:
        raise refuse_bytes(f"{start + _SIGNATURE + inline_size} bytes in all", f"{len(data)} bytes")
    raw = bytes(data[front:start])
    sender = senders.get(_claimed_sender(raw))
    if sender is None:
        raise WireError("A message comes from nobody whose keys are known here")
    if not signed_by(sender.identity, bytes(data[start : start + _SIGNATURE]).hex(), _SIGNED + bytes(data[:start])):
        raise WireError("The signature of a message is false", expected=f"that of {sender.name}")
    header = _read_header(raw)
    if header.receiver != receiver:
        raise WireError("A message is for another receiver", expected=receiver, found=header.receiver)
    _require_in_time(header, now_ms)
    if inline_size != (0 if header.detached else header.size):
        raise refuse_bytes("a body of the signed size", f"{inline_size} bytes")
    return Sealed(header, hashlib.sha256(data).hexdigest(), memoryview(data)[start + _SIGNATURE :])


def _front(data: bytes) -> tuple[int, int, int]:
    if len(data) < _FRONT.size:
        raise refuse_bytes("a sealed message is at least 18 bytes", f"{len(data)} bytes")
    magic, version, header_size, inline_size = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise refuse_bytes("the magic WRSM", repr(magic))
    if version != VERSION:
        raise refuse_bytes(f"version {VERSION}", f"version {version}", hint="run the same release of Wardround on both sides")
    if header_size > HEADER_LIMIT or inline_size > INLINE_LIMIT:
        raise refuse_bytes(f"at most {HEADER_LIMIT} + {INLINE_LIMIT} bytes", f"{header_size} + {inline_size} bytes")
    return _FRONT.size, header_size, inline_size


def _claimed_sender(raw: bytes) -> str:
    """Whose signature to look for. The bytes are short, and of what they say only this word is used before it is proved."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise refuse_bytes("a header of canonical JSON", type(error).__name__) from error
    return str(value.get("sender")) if isinstance(value, dict) else ""


def _read_header(raw: bytes) -> SealedHeader:
    try:
        header = SealedHeader.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise refuse_bytes("a valid header", f"{'.'.join(map(str, first['loc'])) or 'header'}: {first['msg']}") from error
    if canonical_json(header.model_dump(mode="json")) != raw:
        raise refuse_bytes("a header in canonical form, with every key", "another form")
    return header


def _require_in_time(header: SealedHeader, now_ms: int) -> None:
    if header.created > now_ms + SKEW_MS:
        raise WireError(
            "A message comes from the future",
            found=f"{(header.created - now_ms) // 1000} seconds ahead of this machine's clock",
            hint="set the clocks of both machines by a time server",
        )
    if header.expires < now_ms - SKEW_MS:
        raise WireError(
            "A message has expired",
            found=f"{(now_ms - header.expires) // 1000} seconds ago by this machine's clock",
            hint="set the clocks of both machines by a time server; if they are right, the message was late and is sent again",
        )


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, source: Readable) -> None:
        self._source, self._hash = source, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()
