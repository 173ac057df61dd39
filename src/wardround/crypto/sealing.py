"""Bytes that one party alone can read: a fresh key for each body, which is sealed to the receiver's long-lived key.

    body --AES-256-GCM in pieces, key of this body--> ciphertext        key --HPKE to the receiver--> sealed key

One ciphertext serves several receivers: each gets the key of the body sealed to itself. Pieces are numbered and the last is
marked, so that none can be changed, moved, left out or added; a body of any size passes through little memory.
"""

import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wardround.crypto.curve_points import is_canonical_coordinate
from wardround.values.durable import kept_secret
from wardround.values.errors import RunError, WireError

PIECE = 1 << 20  # bytes of plain text in a piece; the last may have fewer
TAG = 16
KEY_BYTES = 32
SEALED_KEY_BYTES = 32 + KEY_BYTES + TAG  # the sender's ephemeral key, the key, a tag
_LONGEST = 200  # bytes of a key's file: the digits, and white space that an editor left
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Readable(Protocol):
    """What bytes are read from, as a file is."""

    def read(self, size: int, /) -> bytes: ...


class SealingKey:
    """A party's long-lived key pair for reading what is sealed to it: X25519.

    Attributes
    ----------
    public : str
        The public key, 64 hexadecimal digits. Anybody may know it.

    Source
    ------
    RFC 9180, "Hybrid Public Key Encryption", base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
    """

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public: str = private.public_key().public_bytes_raw().hex()

    @classmethod
    def new(cls) -> "SealingKey":
        """A fresh key from the operating system's generator."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def at(cls, path: Path) -> "SealingKey":
        """The key in a file of this user alone, or a new one where there is no such file. RunError where the file is damaged."""
        text = kept_secret(path, _LONGEST, lambda: X25519PrivateKey.generate().private_bytes_raw().hex().encode())
        try:
            return cls(X25519PrivateKey.from_private_bytes(bytes.fromhex(text.decode("ascii"))))
        except ValueError as error:
            raise RunError(
                f"The sealing key {path} is damaged",
                expected="64 hexadecimal digits",
                hint="bring it back from a backup, or join anew with a new invitation",
            ) from error

    def open_key(self, sealed: bytes, context: bytes) -> bytes:
        """The key of a body that was sealed to this party in this context. WireError where it was not."""
        try:
            key = _SUITE.decrypt(sealed, self._private, info=context)
        except (InvalidTag, ValueError) as error:
            raise WireError("The key of a message cannot be opened", hint="ask its sender which key it was sealed to") from error
        return _checked(key)


@lru_cache(maxsize=1024)
def is_sealing_key(public: str) -> bool:
    """Whether these digits are a public key that something can be sealed to: X25519, in its one spelling, not of small order."""
    if not is_canonical_coordinate(public):
        return False
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    except ValueError:  # the secret would be zero, whoever computes it
        return False
    return True


def new_body_key() -> bytes:
    """A key for one body, never used for another: its pieces are numbered from 0."""
    return secrets.token_bytes(KEY_BYTES)


def sealed_key(key: bytes, receiver: str, context: bytes) -> bytes:
    """`key` for the holder of a public sealing key (64 hexadecimal digits), bound to `context`. ValueError for no such key."""
    return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(bytes.fromhex(receiver)), info=context)


def sealed_size(size: int) -> int:
    """Bytes of the ciphertext of a body of `size` bytes; an empty one is one empty piece."""
    return size + TAG * max(1, -(-size // PIECE))


def encrypted(key: bytes, body: bytes | memoryview, *, first: int = 0) -> Iterator[bytes]:
    """The ciphertext of a body, piece by piece: `sealed_size(len(body))` bytes in all. first: number of the piece to begin with.

    Equal calls give equal bytes: whoever encrypts a second time with a key must do so with the same body.

    The STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
    Misuse-Resistance", CRYPTO 2015.
    """
    cipher, view = AESGCM(key), memoryview(body)
    pieces = max(1, -(-len(view) // PIECE))
    for number in range(first, pieces):
        yield cipher.encrypt(_nonce(number, last=number == pieces - 1), view[number * PIECE : (number + 1) * PIECE], None)


def decrypted(key: bytes, ciphertext: Readable, size: int) -> Iterator[bytes]:
    """The body of `size` bytes of ciphertext, piece by piece. WireError at the first piece that was changed, or that lacks.

    What was yielded before a WireError is true as far as it goes; nobody may use it before the last piece has come.
    """
    cipher, whole = AESGCM(key), PIECE + TAG
    pieces = max(1, -(-size // whole))
    last_size = size - whole * (pieces - 1)
    if last_size < TAG or (last_size == TAG and pieces > 1):  # an empty piece stands alone
        raise WireError("A sealed body has a size that none has", found=f"{size} bytes")
    for number in range(pieces):
        last = number == pieces - 1
        piece = ciphertext.read(last_size if last else whole)
        try:
            yield cipher.decrypt(_nonce(number, last=last), piece, None)
        except (InvalidTag, ValueError) as error:
            raise WireError(
                "A sealed body was changed on its way, or lacks a part", found=f"piece {number + 1} of {pieces}"
            ) from error


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise WireError("The key of a message has another length", expected=f"{KEY_BYTES} bytes", found=f"{len(key)} bytes")
    return key
