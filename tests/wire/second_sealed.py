"""Sealed messages once more, from docs/spec/network.md and RFC 9180 alone: no line of the first implementation is used."""

import hashlib
import hmac
import json
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PIECE = 1_048_576
KEM_SUITE = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk: bytes, info: bytes, size: int) -> bytes:
    output, block = b"", b""
    while len(output) < size:
        block = hmac.new(prk, block + info + bytes([len(output) // 32 + 1]), hashlib.sha256).digest()
        output += block
    return output[:size]


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
    return expand(prk, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, size)


def hpke_open(secret: bytes, sealed: bytes, info: bytes) -> bytes:
    """RFC 9180, 5.1.1 and 6.1: base mode, one message, empty aad."""
    private = X25519PrivateKey.from_private_bytes(secret)
    enc, ciphertext = sealed[:32], sealed[32:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", shared)
    shared_secret = labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + private.public_key().public_bytes_raw(), 32)
    context = b"\0" + labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"") + labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    secret = labeled_extract(HPKE_SUITE, shared_secret, b"secret", b"")
    key, nonce = (labeled_expand(HPKE_SUITE, secret, label, context, size) for label, size in ((b"key", 32), (b"base_nonce", 12)))
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def ciphertext_of(key: bytes, body: bytes) -> bytes:
    """Section 4.2."""
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)] or [b""]
    sealed = []
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        sealed.append(AESGCM(key).encrypt(number.to_bytes(11, "big") + bytes([last]), piece, b""))
    return b"".join(sealed)


def read(message: bytes, identity_seed: bytes, sealing_seed: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Header, body's key and ciphertext inside, with every byte accounted for. identity_seed: of the sender, sealing_seed: of the
    receiver."""
    magic, version, header_size, inline_size = struct.unpack(">4sHIQ", message[:18])
    assert (magic, version) == (b"WRSM", 1)
    end = 18 + header_size
    signed, signature, inline = message[:end], message[end : end + 64], message[end + 64 :]
    assert len(inline) == inline_size
    public = Ed25519PrivateKey.from_private_bytes(identity_seed).public_key().public_bytes_raw()
    Ed25519PublicKey.from_public_bytes(public).verify(signature, b"wardround sealed message 1\0" + signed)
    header = json.loads(message[18:end])
    assert json.dumps(header, sort_keys=True, separators=(",", ":")).encode() == message[18:end]
    named = [header[name] for name in ("sender", "receiver", "topic", "study", "number", "reply_to")]
    info = b"wardround sealed body 1\0" + json.dumps(named, separators=(",", ":")).encode()
    return header, hpke_open(sealing_seed, bytes.fromhex(header["key"]), info), inline
