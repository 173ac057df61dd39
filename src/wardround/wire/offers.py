"""What hub and sites say about a study before and beside its orders (docs/spec/network.md, section 5).

hub --Offer: the study, whose keys, who leads--> site --SiteStatus: what was decided there, and the proof of it--> hub
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from wardround.crypto.identity import Identity, signed_by
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import WireError
from wardround.wire.messages import Hash, Header, Signature, Site
from wardround.wire.payload import refuse_bytes
from wardround.wire.sealed import KeyCard

OFFER_LIMIT = 1 << 22
STATUS_LIMIT = 1 << 16
_SIGNED = b"wardround approval 1\0"
BY_POLICY = "policy "
"""How `by` begins where a hospital's policy decided beforehand, and no person; the first 12 digits of its hash follow."""
Kind = TypeVar("Kind", bound=Header)
State = Literal["offered", "approved", "hours", "refused", "revoked", "expired", "finished", "unfit"]
"""How a study stands at a hospital. hours: approved, and its machine does not work at this hour."""
Text = Annotated[str, StringConstraints(max_length=500)]
Time = Annotated[int, Field(ge=0, lt=2**53)]


class SiteCard(Header):
    """A site and its public keys, as every hospital of the study sees them."""

    name: Site
    identity: Hash
    sealing: Hash

    @property
    def key_card(self) -> KeyCard:
        return KeyCard(self.name, self.identity, self.sealing)


class HeardHead(Header):
    """Where a party's log stood in the last message that was heard of it."""

    site: Site
    entries: int = Field(ge=0, lt=2**53)
    sha256: Hash


class Offer(Header):
    """A study for a hospital to decide about. study: its TOML, with names and keys of all sites. sites: those, with the keys that
    messages are sealed to. lead: who answers for it. heads: where the logs of the sites stood, as the hub heard."""

    kind: Literal["offer"] = "offer"
    study: Annotated[str, StringConstraints(max_length=1 << 20)]
    sites: tuple[SiteCard, ...] = Field(max_length=10_000)
    lead: Text = ""
    heads: tuple[HeardHead, ...] = Field(default=(), max_length=10_000)

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Self:
        return _read(cls, data, OFFER_LIMIT)


class ApprovalStatement(Header):
    """What a site's key signed about a study. subject: hash of what was approved of this hospital's own: data set, fingerprint of
    its records, mapping, ledger (`Approval.subject`). policy: hash of the policy in force. at, until: milliseconds since 1970."""

    version: Literal[1] = 1
    study: Hash
    site: Site
    decision: Literal["approved", "refused", "revoked"]
    subject: Hash
    policy: Hash
    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    at: Time
    until: Time

    @property
    def signed_bytes(self) -> bytes:
        return _SIGNED + canonical_json(self.model_dump(mode="json"))

    @property
    def hash(self) -> str:
        return sha256_hex(self.signed_bytes)


class SignedApproval(Header):
    """An approval statement and the signature of the site's identity over it."""

    statement: ApprovalStatement
    signature: Signature

    @classmethod
    def of(cls, statement: ApprovalStatement, identity: Identity) -> Self:
        return cls(statement=statement, signature=identity.sign(statement.signed_bytes))

    def is_signed_by(self, identity: str) -> bool:
        """identity: the public key of the site, 64 hexadecimal digits."""
        return signed_by(identity, self.signature, self.statement.signed_bytes)


class SiteStatus(Header):
    """Where a hospital stands with a study. approval: the proof, where one was decided on. release: of Wardround, at the site."""

    kind: Literal["status"] = "status"
    state: State
    approval: SignedApproval | None = None
    release: Annotated[str, StringConstraints(max_length=40)] = ""

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Self:
        return _read(cls, data, STATUS_LIMIT)


def subject_hash(facts: dict[str, Any]) -> str:
    """What stands for a hospital's own facts in what leaves. facts: strings, with a random salt of 256 bits among them: names of
    data sets are few, and could be guessed from a bare hash. An empty task is left out, as it was before there were tasks: what
    was signed then holds on."""
    if len(str(facts.get("salt", ""))) != 64:
        raise ValueError("the facts need a salt of 64 hexadecimal digits")
    return sha256_hex(canonical_json({name: fact for name, fact in facts.items() if name != "task" or fact}))


def _read(kind: type[Kind], data: bytes | bytearray, limit: int) -> Kind:
    if len(data) > limit:
        raise refuse_bytes(f"at most {limit} bytes", f"{len(data)} bytes")
    try:
        return kind.model_validate_json(bytes(data))
    except (ValidationError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'message'}: {first['msg']}"
        else:
            reason = "nested too deep"
        raise WireError(
            f"This is no {kind.__name__}", found=reason, hint="run the same release of Wardround on both sides"
        ) from error
