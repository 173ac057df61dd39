"""Hashes and keys with a label and unmistakable parts (docs/spec/masked-sum.md, 2.2 and 2.3)."""

import hashlib
import struct
from collections.abc import Iterable

from wardround.crypto.key_derivation import kdf, purpose


def part(data: bytes | str) -> bytes:
    """`L(x)`: the length, then the bytes, so that no two lists of parts are spelled alike."""
    raw = data.encode("ascii") if isinstance(data, str) else data
    return struct.pack(">I", len(raw)) + raw


def names(sites: Iterable[str]) -> bytes:
    """A list of sites as one part."""
    return b"".join(map(part, sites))


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


def _raw(parts: Iterable[bytes | str]) -> Iterable[bytes]:
    return (one.encode("ascii") if isinstance(one, str) else one for one in parts)


def digest(label: str, *parts: bytes | str) -> bytes:
    """`T(label, ...)`: 32 bytes that stand for exactly these parts."""
    return started(label, *parts).digest()


def started(label: str, *parts: bytes | str) -> "hashlib._Hash":
    """`digest` before its last parts; each that is still to come is added as `part` spells it."""
    return hashlib.sha256(purpose(label, *_raw(parts)))


def derive(key: bytes, salt: bytes, label: str, *parts: bytes | str) -> bytes:
    """`KDF(key, salt, label, ...)`: HKDF-SHA256 (RFC 5869), 32 bytes."""
    return kdf(key, salt, label, *_raw(parts))
