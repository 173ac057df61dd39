"""A site's key for the carrier's node authentication: ECDSA over P-384, since Flower knows no other kind.

It lets a site in at the gate and proves nothing else: what is said is signed by the site's identity.
"""

from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from wardround.values.durable import kept_secret
from wardround.values.errors import RunError

POINT_BYTES = 49
SIGNATURE_BYTES = 96
_CURVE = ec.SECP384R1()
_HASH = ec.ECDSA(hashes.SHA384())
_HALF = SIGNATURE_BYTES // 2
_LONGEST = 4_096
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973


class LoginKey:
    """A login key pair.

    Attributes
    ----------
    public : str
        The compressed point of the public key, 98 hexadecimal digits. Anybody may know it.

    Source
    ------
    FIPS 186-5, ECDSA over P-384 with SHA-384; SEC 1, 2.3.3, compressed points.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public: str = _compressed(private.public_key()).hex()

    @classmethod
    def at(cls, path: Path) -> "LoginKey":
        """The key in a PEM file of this user alone, or a new one where there is no such file. RunError where it is damaged."""
        content = kept_secret(path, _LONGEST, _new_key)
        try:
            private = load_pem_private_key(content, password=None)
        except (ValueError, TypeError) as error:
            raise _damaged(path) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != _CURVE.name:
            raise _damaged(path)
        return cls(private)

    def sign(self, message: bytes) -> str:
        """r and s of the signature over these bytes: 192 hexadecimal digits. Of s and its negative the smaller is written."""
        r, s = decode_dss_signature(self._private.sign(message, _HASH))
        return (r.to_bytes(_HALF, "big") + min(s, _ORDER - s).to_bytes(_HALF, "big")).hex()


def login_signed_by(public: str, signature: str, message: bytes) -> bool:
    """Whether `signature` over `message` was made with the private half of `public`. False for anything malformed.

    Only the smaller s is taken: with the other one anybody could write a second true signature out of the first.
    """
    try:
        raw = bytes.fromhex(signature)
        r, s = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
        if len(raw) != SIGNATURE_BYTES or s > _ORDER // 2:
            return False
        _point(public).verify(encode_dss_signature(r, s), message, _HASH)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1024)
def login_pem(public: str) -> bytes:
    """The public key as the carrier writes it: SubjectPublicKeyInfo in PEM. ValueError for no such key."""
    return _point(public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _point(public: str) -> ec.EllipticCurvePublicKey:
    raw = bytes.fromhex(public)
    point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)
    if _compressed(point) != raw:
        raise ValueError("a point that is written otherwise")
    return point


def _compressed(point: ec.EllipticCurvePublicKey) -> bytes:
    return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _new_key() -> bytes:
    return ec.generate_private_key(_CURVE).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _damaged(path: Path) -> RunError:
    return RunError(
        f"The login key {path} is damaged",
        expected="a private key over P-384 in PEM",
        hint="bring it back from a backup, or join anew with a new invitation",
    )
