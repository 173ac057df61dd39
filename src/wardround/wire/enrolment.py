"""What a site and the hub say to each other when the site joins, or changes its keys (docs/spec/network.md, 3.3 to 3.5).

    site --EnrolmentRequest: name, code, three keys, two proofs--> hub --SignedEnrolment: waiting, confirmed, revoked--> site
    site --RotationRequest: name, new keys, three proofs-->

Each is canonical JSON, and small. A request is written once and sent as often as needed: the answer to the same bytes says where
the site stands now.
"""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from wardround.crypto.identity import Identity, signed_by
from wardround.crypto.login_key import POINT_BYTES, SIGNATURE_BYTES, LoginKey, login_signed_by
from wardround.crypto.words import eight_words
from wardround.values.canonical import canonical_json
from wardround.wire.invitation import Code, Hospital, SealingPublic, SigningKey
from wardround.wire.messages import Hash, Header, Signature
from wardround.wire.payload import refuse_bytes
from wardround.wire.sealed import KeyCard

PATH = "/enrol"
REQUEST_LIMIT = 8_192
ANSWER_LIMIT = 4_096
REFUSED = canonical_json({"kind": "refused", "version": 1})
"""The body of every refusal, whatever its cause."""
CLOCK_AHEAD_MS = 300_000
"""How far a request may come from the future."""

_ENROLMENT = b"wardround enrolment 1\0"
_ROTATION = b"wardround rotation 1\0"
_ANSWER = b"wardround enrolment answer 1\0"
Standing = Literal["waiting", "confirmed", "revoked"]
"""waiting: a person has yet to compare the words. confirmed: in the roster. revoked: let in no more."""
LoginPublic = Annotated[str, StringConstraints(pattern=f"^0[23][0-9a-f]{{{2 * POINT_BYTES - 2}}}$")]
LoginSignature = Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{2 * SIGNATURE_BYTES}}}$")]
Time = Annotated[int, Field(ge=0, lt=2**53)]
Kind = TypeVar("Kind", bound=Header)


class SiteKeys(Header):
    """The three public keys of a site, under its name."""

    name: Hospital
    identity: SigningKey
    sealing: SealingPublic
    login: LoginPublic

    @property
    def key_card(self) -> KeyCard:
        return KeyCard(self.name, self.identity, self.sealing)

    def words(self, hub: KeyCard) -> str:
        """The eight words that hub and site compare."""
        return eight_words({"hub": _card(hub), "site": _card(self.key_card), "login": self.login})


class EnrolmentRequest(Header):
    """A hospital that was invited asks to be entered. code: of its invitation. time: of the site's clock, in
    milliseconds since 1970. identity_proof, login_proof: signatures with the two keys over all else and the hub's key card."""

    kind: Literal["enrolment"] = "enrolment"
    version: Literal[1] = 1
    keys: SiteKeys
    code: Code = Field(repr=False)
    time: Time
    identity_proof: Signature
    login_proof: LoginSignature

    @classmethod
    def made(cls, keys: SiteKeys, code: str, time: int, hub: KeyCard, identity: Identity, login: LoginKey) -> Self:
        blank = cls(keys=keys, code=code, time=time, identity_proof="0" * 128, login_proof="0" * 2 * SIGNATURE_BYTES)
        proved = blank.proved_bytes(hub)
        return blank.revised(identity_proof=identity.sign(proved), login_proof=login.sign(proved))

    def proved_bytes(self, hub: KeyCard) -> bytes:
        return _proved(_ENROLMENT, self, hub)

    def is_proved(self, hub: KeyCard) -> bool:
        """Whether the sender holds both keys, and means this hub."""
        return _holds_keys(self.keys, self.proved_bytes(hub), self.identity_proof, self.login_proof)

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))


class RotationRequest(Header):
    """A hospital of the roster asks for new keys. time: greater than in its last request. former_proof: signature of the identity
    that is in force, over everything but the proofs and the hub's key card; so are the other two, with the new keys."""

    kind: Literal["rotation"] = "rotation"
    version: Literal[1] = 1
    keys: SiteKeys
    time: Time
    former_proof: Signature
    identity_proof: Signature
    login_proof: LoginSignature

    @classmethod
    def made(cls, keys: SiteKeys, time: int, hub: KeyCard, former: Identity, identity: Identity, login: LoginKey) -> Self:
        nothing = "0" * 128
        blank = cls(keys=keys, time=time, former_proof=nothing, identity_proof=nothing, login_proof="0" * 2 * SIGNATURE_BYTES)
        proved = blank.proved_bytes(hub)
        return blank.revised(
            former_proof=former.sign(proved), identity_proof=identity.sign(proved), login_proof=login.sign(proved)
        )

    def proved_bytes(self, hub: KeyCard) -> bytes:
        return _proved(_ROTATION, self, hub)

    def is_proved(self, hub: KeyCard, former_identity: str) -> bool:
        """Whether the holder of the identity in force made it, and holds both new keys."""
        proved = self.proved_bytes(hub)
        return signed_by(former_identity, self.former_proof, proved) and _holds_keys(
            self.keys, proved, self.identity_proof, self.login_proof
        )

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))


class EnrolmentAnswer(Header):
    """Where a site stands. request: SHA-256 of the request that is answered. time: of the hub's clock, in
    milliseconds since 1970."""

    kind: Literal["enrolled"] = "enrolled"
    version: Literal[1] = 1
    name: Hospital
    request: Hash
    state: Standing
    time: Time


class SignedEnrolment(Header):
    """An answer, and the signature of the hub's identity over it."""

    answer: EnrolmentAnswer
    signature: Signature

    @classmethod
    def by(cls, hub: Identity, answer: EnrolmentAnswer) -> Self:
        return cls(answer=answer, signature=hub.sign(_ANSWER + canonical_json(answer.model_dump(mode="json"))))

    def is_signed_by(self, identity: str) -> bool:
        signed = _ANSWER + canonical_json(self.answer.model_dump(mode="json"))
        return signed_by(identity, self.signature, signed)

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return _read(cls, data, ANSWER_LIMIT)


def read_request(data: bytes) -> EnrolmentRequest | RotationRequest:
    """What a stranger asks at the hub. WireError for anything that is not written as a site writes it."""
    if len(data) > REQUEST_LIMIT:
        raise refuse_bytes(f"at most {REQUEST_LIMIT} bytes", f"{len(data)} bytes")
    if data.startswith(b'{"former_proof":'):  # canonical JSON begins with the first key, and the reader looks at it again
        return _read(RotationRequest, data, REQUEST_LIMIT)
    return _read(EnrolmentRequest, data, REQUEST_LIMIT)


def _proved(purpose: bytes, request: EnrolmentRequest | RotationRequest, hub: KeyCard) -> bytes:
    proofs = {"former_proof", "identity_proof", "login_proof"}
    said = request.model_dump(mode="json", exclude=proofs)
    return purpose + canonical_json({**said, "hub": _card(hub)})


def _holds_keys(keys: SiteKeys, proved: bytes, identity_proof: str, login_proof: str) -> bool:
    return signed_by(keys.identity, identity_proof, proved) and login_signed_by(keys.login, login_proof, proved)


def _card(card: KeyCard) -> dict[str, str]:
    return {"name": card.name, "identity": card.identity, "sealing": card.sealing}


def _read(kind: type[Kind], data: bytes, limit: int) -> Kind:
    if len(data) > limit:
        raise refuse_bytes(f"at most {limit} bytes", f"{len(data)} bytes")
    try:
        message = kind.model_validate_json(data)
        canonical = canonical_json(message.model_dump(mode="json"))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))[:80] or "message"
        raise refuse_bytes(f"a message of the kind {kind.__name__}", f"{where}: {problem['msg'][:120]}") from error
    except (ValueError, RecursionError) as error:
        raise refuse_bytes(f"a message of the kind {kind.__name__}", type(error).__name__) from error
    if canonical != data:
        raise refuse_bytes("canonical JSON with every key", "another form")
    return message
