"""Sealed messages: what was signed is what is read, by its receiver alone, and no changed byte has an effect."""

import hashlib
import io
import json
import runpy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import PIECE, SealingKey
from wardround.values.chained_log import Head
from wardround.values.errors import WireError
from wardround.wire.sealed import (
    DETACHED_ABOVE,
    HUB,
    INLINE_LIMIT,
    SKEW_MS,
    Party,
    SealedBody,
    Subject,
    open_sealed,
    seal,
)

from . import second_sealed as second

FOLDER = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "sealed-messages.json").read_text())
STUDY, NOW = "5" * 64, 1_795_000_000_000
HUB_PARTY, SITE, OTHER = (Party(name, Identity.new(), SealingKey.new()) for name in (HUB, "lund", "oslo"))
SENDERS = {HUB: HUB_PARTY.card}
SUBJECT = Subject("order", STUDY, 3)


def sealed(body: bytes, subject: Subject = SUBJECT, sender: Party = HUB_PARTY, now_ms: int = NOW) -> bytes:
    return seal(subject, SealedBody.of(body), sender, SITE.card, now_ms=now_ms, log=Head(4, "a" * 64))


def opened(message: bytes, name: str = "lund", now_ms: int = NOW):
    return open_sealed(message, SENDERS, name, now_ms=now_ms)


@given(st.binary(max_size=3000))
@settings(max_examples=50, deadline=None)
def test_what_was_sealed_is_read(body: bytes) -> None:
    """Of any size, also empty; and the header is what the sender said."""
    message = sealed(body)
    read = opened(message)
    assert read.body(SITE.sealing) == body
    assert (read.header.sender, read.header.number, read.header.log_entries) == (HUB, 3, 4)
    assert read.sha256 == hashlib.sha256(message).hexdigest()


@pytest.mark.parametrize("size", [DETACHED_ABOVE - 16, DETACHED_ABOVE - 15, PIECE, 3 * PIECE + 5])
def test_a_long_body_travels_beside_its_message(size: int) -> None:
    """The limit is that of the ciphertext; what is inside and what is beside are read alike."""
    plain = hashlib.shake_256(b"x").digest(size)
    body = SealedBody.of(plain)
    message = seal(SUBJECT, body, HUB_PARTY, SITE.card, now_ms=NOW, log=Head())
    assert body.detached == (size > DETACHED_ABOVE - 16)
    assert (len(message) < 2000) == body.detached
    beside = io.BytesIO(b"".join(body.pieces())) if body.detached else None
    assert opened(message).body(SITE.sealing, beside) == plain


@given(st.integers(min_value=0, max_value=2 * (PIECE + 16) + 7))
@settings(max_examples=20, deadline=None)
def test_a_ciphertext_is_made_anew_from_any_byte_on(start: int) -> None:
    """A transfer that broke goes on where it stopped, though nobody has kept the ciphertext."""
    body = SealedBody.of(bytes(2 * PIECE))
    whole = b"".join(body.pieces())
    assert b"".join(body.pieces(start)) == whole[start:]
    assert (hashlib.sha256(whole).hexdigest(), len(whole)) == (body.sha256, body.size)


def test_no_byte_of_a_message_can_be_changed_added_or_left_out() -> None:
    """Every single byte, with one bit and with all of them turned over."""
    message = sealed(b"a body of a few bytes")
    for position in range(len(message)):
        for turned in (1, 255):
            changed = bytearray(message)
            changed[position] ^= turned
            with pytest.raises(WireError):
                opened(bytes(changed)).body(SITE.sealing)
    for wrong in [message[:cut] for cut in range(len(message))] + [message + b"\0", b"\0" + message]:
        with pytest.raises(WireError):
            opened(wrong).body(SITE.sealing)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_junk_is_refused_by_name(junk: bytes) -> None:
    """Whatever comes, there is no other exception, and nothing is allocated by a length that it states."""
    for data in (junk, b"WRSM\0\1" + junk, b"WRSM\0\1\0\0\0\2" + b"\xff" * 8 + junk):
        with pytest.raises(WireError):
            opened(data)


def test_a_message_is_for_one_receiver_from_one_sender() -> None:
    """Another receiver cannot open it though he has the bytes, and nobody can be made to take it for his own."""
    message = sealed(b"for Lund")
    with pytest.raises(WireError, match="another receiver"):
        opened(message, "oslo")
    with pytest.raises(WireError, match="cannot be opened"):
        opened(message).body(OTHER.sealing)
    with pytest.raises(WireError, match="nobody whose keys"):
        open_sealed(message, {"lund": SITE.card}, "lund", now_ms=NOW)
    false = replace(HUB_PARTY, identity=Identity.new())
    with pytest.raises(WireError, match="signature of a message is false"):
        opened(sealed(b"in the hub's name", sender=false))


def test_the_key_of_a_body_opens_in_its_own_message_only() -> None:
    """A key that was cut out of one message opens nothing under another header, though sender and receiver are the same."""
    one = opened(sealed(b"one"))
    other = opened(sealed(b"other", replace(SUBJECT, number=4)))
    mixed = replace(other, header=other.header.revised(key=one.header.key))
    with pytest.raises(WireError, match="cannot be opened"):
        mixed.body(SITE.sealing)


def test_one_ciphertext_serves_several_receivers_and_nobody_else() -> None:
    """A model goes to a hundred hospitals and is encrypted once."""
    body = SealedBody.of(b"for two")
    messages = [seal(SUBJECT, body, HUB_PARTY, who.card, now_ms=NOW, log=Head()) for who in (SITE, OTHER)]
    for who, message in zip((SITE, OTHER), messages, strict=True):
        read = opened(message, who.name)
        assert read.header.body == body.sha256
        assert read.body(who.sealing) == b"for two"
        with pytest.raises(WireError):
            read.body(SealingKey.new())


@pytest.mark.parametrize(("late_ms", "fits"), [(-SKEW_MS, True), (-SKEW_MS - 1, False), (3_600_000 + SKEW_MS, True)])
def test_a_message_has_its_time(late_ms: int, fits: bool) -> None:
    """A replayed message dies by itself; clocks may differ by five minutes."""
    message = sealed(b"now")
    if fits:
        assert opened(message, now_ms=NOW + late_ms).body(SITE.sealing) == b"now"
    else:
        with pytest.raises(WireError, match="future"):
            opened(message, now_ms=NOW + late_ms)
    with pytest.raises(WireError, match="expired"):
        opened(message, now_ms=NOW + 3_600_001 + SKEW_MS)


def test_a_body_beside_the_message_that_is_another_is_refused() -> None:
    """The store is the hub's, and whoever writes there does not sign."""
    body = SealedBody.of(bytes(INLINE_LIMIT + 1))
    read = opened(seal(SUBJECT, body, HUB_PARTY, SITE.card, now_ms=NOW, log=Head()))
    right = b"".join(body.pieces())
    another = b"".join(SealedBody.of(bytes(INLINE_LIMIT + 1)).pieces())
    pieces = [right[: PIECE + 16], right[PIECE + 16 :]]
    for wrong in (another, right[:-1], right[1:], pieces[1] + pieces[0], right[:-1] + b"\0", b""):
        with pytest.raises(WireError):
            read.body(SITE.sealing, io.BytesIO(wrong))
    with pytest.raises(WireError, match="at most"):
        read.body(SITE.sealing, io.BytesIO(right), limit=INLINE_LIMIT)


def test_a_stated_length_costs_no_memory() -> None:
    """A front that promises an exabyte is refused by its number."""
    began = time.monotonic()
    for header, inline in ((2**32 - 1, 0), (100, 2**64 - 1), (4097, 0), (0, INLINE_LIMIT + 1)):
        front = b"WRSM\0\1" + header.to_bytes(4, "big") + inline.to_bytes(8, "big")
        with pytest.raises(WireError):
            opened(front + bytes(100))
    assert time.monotonic() - began < 1.0


def seed_of(name: str, kind: str) -> bytes:
    (party,) = [party for party in VECTORS["parties"] if party["name"] == name]
    return bytes.fromhex(party[f"{kind}_seed"])


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: f"{vector['sender']} {vector['size']}")
def test_both_implementations_read_the_vectors(vector: dict[str, Any]) -> None:
    """The second knows the specification and RFC 9180 only: what is written there is what is done."""
    message, plain = bytes.fromhex(vector["message"]), hashlib.shake_256(vector["label"].encode()).digest(vector["size"])
    sender, receiver = vector["sender"], vector["receiver"]
    header, key, inline = second.read(message, seed_of(sender, "identity"), seed_of(receiver, "sealing"))
    assert key.hex() == vector["key"]
    ciphertext = second.ciphertext_of(key, plain)
    assert (header["body"], header["size"]) == (hashlib.sha256(ciphertext).hexdigest(), len(ciphertext))
    assert inline == (b"" if header["detached"] else ciphertext)
    party = runpy.run_path(str(FOLDER / "make_sealed_messages.py"))["party"]
    read = open_sealed(message, {sender: party(sender).card}, receiver, now_ms=VECTORS["now_ms"])
    assert read.header.model_dump(mode="json") == header
    assert read.body(party(receiver).sealing, io.BytesIO(ciphertext) if read.header.detached else None) == plain


@pytest.mark.parametrize("vector", VECTORS["bodies"], ids=lambda vector: str(vector["size"]))
def test_ciphertexts_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    """Given a key, a body has one ciphertext."""
    plain = hashlib.shake_256(vector["label"].encode()).digest(vector["size"])
    ciphertext = second.ciphertext_of(bytes.fromhex(vector["key"]), plain)
    assert hashlib.sha256(ciphertext).hexdigest() == vector["sha256"]
    assert b"".join(SealedBody(bytes.fromhex(vector["key"]), plain, "", len(ciphertext)).pieces()) == ciphertext


def test_the_second_implementation_reads_what_is_made_today() -> None:
    """The file of vectors may grow old; the format may not drift from it."""
    made = runpy.run_path(str(FOLDER / "make_sealed_messages.py"))
    fresh = made["vectors"]()
    assert {name: fresh[name] for name in ("version", "study", "parties", "bodies")} == {
        name: VECTORS[name] for name in ("version", "study", "parties", "bodies")
    }
    for vector in fresh["messages"]:
        message = bytes.fromhex(vector["message"])
        _, key, _ = second.read(message, seed_of(vector["sender"], "identity"), seed_of(vector["receiver"], "sealing"))
        assert key.hex() == vector["key"]
