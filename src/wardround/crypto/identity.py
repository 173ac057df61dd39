"""A site's long-lived signing key. Its public half stands in the study that every hospital approves."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardround.crypto.curve_points import is_signing_key
from wardround.values.durable import kept_secret
from wardround.values.errors import RunError

_LONGEST = 200  # bytes of a key's file: the digits, and white space that an editor left


class Identity:
    """A site's key pair for signatures: Ed25519.

    Attributes
    ----------
    public : str
        The public key, 64 hexadecimal digits, as `sites.keys` of a study lists it. Anybody may know it.

    Source
    ------
    RFC 8032, "Edwards-Curve Digital Signature Algorithm (EdDSA)".
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: str = private.public_key().public_bytes_raw().hex()

    @classmethod
    def new(cls) -> "Identity":
        """A fresh key from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def at(cls, path: Path) -> "Identity":
        """The key in a file, or a new one where there is no such file. Processes that come at once get the same one.

        Parameters
        ----------
        path : Path
            The file: 64 hexadecimal digits. A new one is readable by its owner only.

        Raises
        ------
        RunError
            The file holds no key, is a link, or belongs or is open to other users.
        """
        text = kept_secret(path, _LONGEST, lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex().encode())
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.decode("ascii"))))
        except ValueError as error:
            raise RunError(
                f"The identity key {path} is damaged",
                expected="64 hexadecimal digits",
                hint="bring it back from a backup; a new key needs the study's new approval at every hospital",
            ) from error

    def sign(self, message: bytes) -> str:
        """The signature over these bytes: 128 hexadecimal digits. Equal messages have equal signatures."""
        return self._private.sign(message).hex()


def signed_by(public: str, signature: str, message: bytes) -> bool:
    """Whether `signature` over `message` was made with the private half of `public`. False for anything malformed, and for a key
    of small order, under which 128 zeros are the signature of a quarter of all messages."""
    if not is_signing_key(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
