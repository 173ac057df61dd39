"""Writes sealed-messages.json beside this file: test vectors of sealed messages (docs/spec/network.md, section 4).

    python docs/spec/vectors/make_sealed_messages.py

Every secret is fixed and public here, so nothing of this may be used for anything else. The encapsulation of a key is drawn by
the operating system: a new file has other messages, which are as good.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import PIECE, TAG, SealingKey, encrypted, sealed_size
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import Head
from wardround.wire.sealed import HUB, Party, SealedBody, Subject, seal

STUDY = hashlib.sha256(b"wardround vectors").hexdigest()
NOW_MS = 1_795_000_000_000
SIZES = (0, 1, 1000, PIECE, PIECE + 1, 3 * PIECE - TAG)


def fixed_bytes(label: str, size: int = 32) -> bytes:
    return hashlib.shake_256(label.encode()).digest(size)


def seeds(name: str) -> tuple[bytes, bytes]:
    return fixed_bytes(f"identity {name}"), fixed_bytes(f"sealing {name}")


def party(name: str) -> Party:
    identity, sealing = seeds(name)
    return Party(
        name,
        Identity(Ed25519PrivateKey.from_private_bytes(identity)),
        SealingKey(X25519PrivateKey.from_private_bytes(sealing)),
    )


def body_of(size: int) -> SealedBody:
    key, plain = fixed_bytes(f"key {size}"), fixed_bytes(f"body {size}", size)
    ciphertext = b"".join(encrypted(key, plain))
    return SealedBody(key, plain, sha256_hex(ciphertext), sealed_size(size))


def exchange_of(size: int, number: int) -> list[dict[str, Any]]:
    """An order of the hub and the reply of a site, both with a body of this size: shake_256 of `label`."""
    hub, site, body = party(HUB), party("lund"), body_of(size)
    order = seal(Subject("order", STUDY, number), body, hub, site.card, now_ms=NOW_MS, log=Head(number, sha256_hex(b"hub")))
    subject = Subject("reply", STUDY, number, sha256_hex(order), lifetime_ms=60_000)
    reply = seal(subject, body, site, hub.card, now_ms=NOW_MS + 500, log=Head(7, sha256_hex(b"site")))
    return [
        {
            "sender": sender,
            "receiver": receiver,
            "label": f"body {size}",
            "size": size,
            "key": body.key.hex(),
            "message": message.hex(),
        }
        for sender, receiver, message in ((HUB, "lund", order), ("lund", HUB, reply))
        if len(message) < 8192
    ]


def ciphertext_vectors() -> list[dict[str, Any]]:
    return [
        {"label": f"body {size}", "size": size, "key": body_of(size).key.hex(), "sha256": body_of(size).sha256} for size in SIZES
    ]


def vectors() -> dict[str, Any]:
    parties = [
        {"name": name, "identity_seed": seeds(name)[0].hex(), "sealing_seed": seeds(name)[1].hex()} for name in (HUB, "lund")
    ]
    messages = [message for number, size in enumerate(SIZES, 1) for message in exchange_of(size, number)]
    return {
        "version": 1,
        "study": STUDY,
        "now_ms": NOW_MS,
        "parties": parties,
        "bodies": ciphertext_vectors(),
        "messages": messages,
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("sealed-messages.json")
    path.write_text(json.dumps(vectors(), sort_keys=True, separators=(",", ":")) + "\n")
