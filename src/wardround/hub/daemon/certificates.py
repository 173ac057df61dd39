"""The hub's own certificate authority, and the TLS certificate that it signs for the hub's address.

    keys/authority.pem  key and certificate of the authority: it is in every invitation, and sites trust nothing else
    keys/server.pem     key and certificate of the TLS port, renewed when two thirds of its life are over

Key and certificate lie in one file each, so that they are never of two kinds. Both are for the hub's user alone.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wardround.values.durable import kept_secret, write_atomic
from wardround.values.errors import RunError
from wardround.values.private_files import private_lock, read_private
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import AUTHORITY_NAME

AUTHORITY = "authority.pem"
SERVER = "server.pem"
AUTHORITY_YEARS = 30
SERVER_DAYS = 397

_EARLIER = timedelta(days=1)  # a certificate is good at once for a site whose clock is behind
_LONGEST = 1 << 16
_USES = ("key_cert_sign", "digital_signature", "crl_sign", "content_commitment", "key_encipherment", "data_encipherment")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Authority:
    """The hub's certificate authority. certificate: in PEM, as invitations hold it."""

    key: ec.EllipticCurvePrivateKey
    certificate: str

    @classmethod
    def at(cls, folder: Path, clock: Callable[[], datetime] = _now) -> "Authority":
        """The authority whose key lies in the folder, or a new one. RunError where its file is damaged."""
        path = folder / AUTHORITY
        content = kept_secret(path, _LONGEST, lambda: _new_authority(clock()))
        key, certificate = _read_pair(path, content)
        return cls(key, certificate.public_bytes(Encoding.PEM).decode("ascii"))


def server_certificate(folder: Path, address: HubAddress, clock: Callable[[], datetime] = _now) -> Path:
    """The file with key and certificate of the hub's TLS port, made or renewed where it has to be.

    It is made anew where there is none, where less than a third of its life is left, where it is for another address, and where
    another authority signed it. A process that serves with it reads it again to use what was renewed.
    """
    authority, path = Authority.at(folder, clock), folder / SERVER
    with private_lock(path.with_name(f"{SERVER}.lock")):
        content = read_private(path, _LONGEST)
        if content is None or not _serves(_read_pair(path, content)[1], authority, address, clock()):
            write_atomic(path, _new_server(authority, address, clock()), private=True)
    return path


def server_expiry(folder: Path) -> datetime | None:
    """Until when the hub's TLS certificate is good; None where there is none yet."""
    content = read_private(folder / SERVER, _LONGEST)
    return None if content is None else _read_pair(folder / SERVER, content)[1].not_valid_after_utc


def _new_authority(now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(AUTHORITY_NAME, key.public_key(), now, timedelta(days=365 * AUTHORITY_YEARS)).issuer_name(
        _name(AUTHORITY_NAME)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign"), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _pair(key, builder.sign(key, hashes.SHA256()))


def _new_server(authority: Authority, address: HubAddress, now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    builder = _builder("Wardround hub's port", key.public_key(), now, timedelta(days=SERVER_DAYS)).issuer_name(issuer.subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(address)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return _pair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(name: str, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(_name(name)).public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _EARLIER).not_valid_after(now + life)


def _serves(certificate: x509.Certificate, authority: Authority, address: HubAddress, now: datetime) -> bool:
    """Whether the certificate is for this address, of this authority, and has more than a third of its life left."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate.encode()))
    except (InvalidSignature, ValueError, TypeError):
        return False
    left = certificate.not_valid_after_utc - now
    begun = certificate.not_valid_before_utc <= now
    return list(names) == [_general_name(address)] and begun and left > timedelta(days=SERVER_DAYS) / 3


def _general_name(address: HubAddress) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(address.host)) if address.is_ip else x509.DNSName(address.host)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(use: str) -> x509.KeyUsage:
    uses = dict.fromkeys((*_USES, "key_agreement", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**{**uses, use: True})


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def _read_pair(path: Path, content: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key, certificate = load_pem_private_key(content, password=None), x509.load_pem_x509_certificate(content)
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise _damaged(path)
    return key, certificate


def _damaged(path: Path) -> RunError:
    mend = "a new one is made" if path.name == SERVER else "without it every hospital has to be invited anew"
    return RunError(
        f"{path} is damaged",
        expected="a private key and its certificate in PEM",
        hint=f"bring it back from a backup; or move it away: {mend}",
    )
