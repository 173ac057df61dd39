"""Keys from keys: HKDF-SHA256 (RFC 5869) with the labels of docs/spec/masked-sum.md, 2.2 and 2.3.

Every key names what it is for, and every part of the name carries its length, so that no two purposes share a key.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PROTOCOL = b"wardround masked-sum 1 "
KEY_BYTES = 32


def purpose(label: str, *parts: bytes) -> bytes:
    """The label and its parts as bytes that no other label and parts have.

    >>> purpose("mask", b"w")
    b'wardround masked-sum 1 mask\\x00\\x00\\x00\\x00\\x01w'
    """
    return PROTOCOL + label.encode("ascii") + b"\0" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def kdf(key: bytes, salt: bytes, label: str, *parts: bytes) -> bytes:
    """32 bytes that say nothing of `key`, nor of what it gives for another label or other parts. salt: empty for none."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt or None, info=purpose(label, *parts)).derive(key)


def mask_key(seed: bytes, array: str) -> bytes:
    """Key of the stream by which `seed` masks the array of this name (masked-sum.md, 5.2)."""
    return kdf(seed, b"", "mask", array.encode("ascii"))
