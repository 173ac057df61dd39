"""The invitation: a text file by which one hospital finds the hub, trusts it and may join it once.

docs/spec/network.md, 3.2.

    hub --Invitation.signed--> text of at most 1,500 bytes --by hand or mail--> Invitation.read --> site

A data manager reads what the file says before it is used. So the text has one spelling, its comments too: what was changed in
it is refused, but for the ends of its lines, which mail programs change.
"""

import re
import tomllib
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from wardround.crypto.curve_points import is_signing_key
from wardround.crypto.identity import Identity, signed_by
from wardround.crypto.sealing import is_sealing_key
from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.values.ids import RESERVED
from wardround.wire.hub_address import HubAddress
from wardround.wire.messages import Hash, Header, Signature, Site
from wardround.wire.sealed import HUB, KeyCard

LONGEST = 1_500
"""Bytes of an invitation."""
CODE_BYTES = 16
AUTHORITY_NAME = "Wardround hub"
"""Who signs a hub's certificates, by name: short, since it is in every invitation."""
_LONGEST_FILE = 4_096  # with the line ends of another system, and blank lines of a mail program
_BASE64 = "[A-Za-z0-9+/]"
_SIGNED = b"wardround invitation 1\0"
_EXPIRY = "%Y-%m-%d %H:%M UTC"
_ANEW = "ask the hub for the file itself, not as text inside a mail, or for a new invitation"


def _not_reserved(name: str) -> str:
    if name in (HUB, RESERVED):
        raise ValueError(f'a hospital may not be called "{HUB}" or "{RESERVED}"')
    return name


def _address(text: str) -> str:
    try:
        return str(HubAddress.read(text))
    except WireError as error:
        raise ValueError(str(error)) from error


def _expiry(text: str) -> str:
    if datetime.strptime(text, _EXPIRY).strftime(_EXPIRY) != text:
        raise ValueError("a time that is written otherwise")
    return text


def _signing(key: str) -> str:
    if not is_signing_key(key):
        raise ValueError("no public key of Ed25519")
    return key


def _sealing(key: str) -> str:
    if not is_sealing_key(key):
        raise ValueError("no public key of X25519 that anything can be sealed to")
    return key


SigningKey = Annotated[Hash, AfterValidator(_signing)]
"""A public key of Ed25519: under one of small order anybody could sign."""
SealingPublic = Annotated[Hash, AfterValidator(_sealing)]
"""A public key of X25519: nothing can be sealed to one of small order, and a study with it would end for everybody."""
Hospital = Annotated[Site, AfterValidator(_not_reserved)]
"""A site's name in the roster: neither the hub's nor that of the shared model."""
Address = Annotated[str, AfterValidator(_address)]
Code = Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{2 * CODE_BYTES}}}$")]
Certificate = Annotated[
    str,
    StringConstraints(
        pattern=rf"^-----BEGIN CERTIFICATE-----\n({_BASE64}{{64}}\n){{0,20}}{_BASE64}{{1,64}}=?=?\n-----END CERTIFICATE-----\n$"
    ),
]
"""A certificate in PEM, in one spelling."""


class Invitation(Header):
    """Who invites whom, until when. code: proves once that the hub meant this hospital. identity, sealing: the hub's public keys.
    authority: the certificate that the hub's TLS certificate is signed by. signature: of the hub's identity over all the rest."""

    version: Literal[1] = 1
    address: Address
    hospital: Hospital
    expires: Annotated[str, StringConstraints(max_length=20), AfterValidator(_expiry)]
    code: Code
    identity: SigningKey
    sealing: SealingPublic
    authority: Certificate = Field(repr=False)
    signature: Signature

    @classmethod
    def signed(cls, address: HubAddress, hospital: str, code: bytes, expires_ms: int, hub: tuple[Identity, str], ca: str) -> Self:
        """An invitation of the hub. hub: its identity and its public sealing key. ca: the authority's certificate in PEM.
        expires_ms: rounded down to a whole minute. WireError where it would not fit, or the name is no hospital's."""
        identity, sealing = hub
        try:
            unsigned = cls(
                address=str(address),
                hospital=hospital,
                expires=datetime.fromtimestamp(expires_ms // 1000, UTC).strftime(_EXPIRY),
                code=code.hex(),
                identity=identity.public,
                sealing=sealing,
                authority=ca,
                signature="0" * 128,
            )
        except ValidationError as error:
            raise WireError("There is no such invitation", found=_first(error), hint="choose another name or address") from error
        invitation = unsigned.revised(signature=identity.sign(unsigned._signed_bytes))
        if len(invitation.text.encode()) > LONGEST:
            raise WireError(
                "The invitation is too long",
                expected=f"at most {LONGEST} bytes",
                found=f"{len(invitation.text)}",
                hint="choose a shorter name for the hospital or the hub",
            )
        return invitation

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The invitation in a file. WireError where it is none, or is not as its hub wrote it."""
        text = _tidied(data)
        try:
            value = tomllib.loads(text)
            invitation = cls.model_validate({**value, "signature": str(value.get("signature")).replace("\n", "")})
        except (ValueError, TypeError, RecursionError) as error:
            reason = _first(error) if isinstance(error, ValidationError) else str(error)[:80]
            raise WireError("This is no invitation to a hub", found=reason, hint=_ANEW) from error
        if invitation.text != text:
            raise WireError("The invitation was changed", expected="the text that its hub wrote", found="another", hint=_ANEW)
        if not signed_by(invitation.identity, invitation.signature, invitation._signed_bytes):
            raise WireError("The invitation was changed", expected="the hub's signature", found="a false one", hint=_ANEW)
        return invitation

    @property
    def hub(self) -> KeyCard:
        return KeyCard(HUB, self.identity, self.sealing)

    @property
    def expires_ms(self) -> int:
        return int(datetime.strptime(self.expires, _EXPIRY).replace(tzinfo=UTC).timestamp()) * 1000

    @property
    def text(self) -> str:
        """The file, in its one spelling. No line has more than 80 characters unless address or name are long."""
        return (
            "# Wardround: the hub at this address invites this hospital to join it.\n"
            "# For one use. Keep the file private: its holder can ask to join in the\n"
            "# hospital's name. Use:  wardround site join FILE\n"
            "# Afterwards compare eight words with the hub by telephone.\n"
            f'address = "{self.address}"\n'
            f'hospital = "{self.hospital}"\n'
            f'expires = "{self.expires}"\n'
            f"version = {self.version}\n"
            f'code = "{self.code}"\n'
            f'identity = "{self.identity}"\n'
            f'sealing = "{self.sealing}"\n'
            f'authority = """\n{self.authority}"""\n'
            f'signature = """\n{self.signature[:64]}\n{self.signature[64:]}\n"""\n'
        )

    @property
    def _signed_bytes(self) -> bytes:
        return _SIGNED + canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def _tidied(data: bytes) -> str:
    """The text without what mail programs and editors change: a mark at its start, ends of lines, blank lines around it."""
    if len(data) > _LONGEST_FILE:
        raise WireError("This is no invitation to a hub", expected=f"at most {LONGEST} bytes", found=f"{len(data)}", hint=_ANEW)
    try:
        lines = data.decode("utf-8-sig").strip().replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise WireError("This is no invitation to a hub", expected="text", found="other bytes", hint=_ANEW) from error
    return "\n".join(line.rstrip(" \t\r") for line in lines) + "\n"


def _first(error: Any) -> str:
    """What is wrong with the first key, without what stands in it: a code is nobody's to see."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where, reason = ".".join(map(str, problem["loc"])) or "the file", problem["msg"].removeprefix("Value error, ")
    return re.sub(r"\s+", " ", f"{where}: {reason}")[:200]
