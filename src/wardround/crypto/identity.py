"""A site's long-lived signing key. Its public half stands in the study that every hospital approves."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardround.values.durable import write_atomic
from wardround.values.errors import RunError


class Identity:
    """Ed25519 (RFC 8032). `public` is 64 hexadecimal digits, as `sites.keys` lists it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: str = private.public_key().public_bytes_raw().hex()

    @classmethod
    def new(cls) -> "Identity":
        """A fresh key from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def at(cls, path: Path) -> "Identity":
        """The key in this file; made, readable by its owner only, where there is none. RunError where it is damaged."""
        if not path.exists():
            write_atomic(path, Ed25519PrivateKey.generate().private_bytes_raw().hex().encode(), private=True)
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii"))))
        except ValueError as error:
            raise RunError(
                f"The identity key {path} is damaged",
                expected="64 hexadecimal digits",
                hint="bring it back from a backup; a new key needs the study's new approval at every hospital",
            ) from error

    def sign(self, message: bytes) -> str:
        """128 hexadecimal digits."""
        return self._private.sign(message).hex()


def signed_by(public: str, signature: str, message: bytes) -> bool:
    """Whether `signature` over `message` was made with the private half of `public`. False for anything malformed."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
