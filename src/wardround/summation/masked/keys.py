"""Pairwise secrets: signed statements, one roster an epoch, one chain a pair that only moves forward (spec, section 3).

statements --signed--> roster --X25519--> chains at position P --ratchet--> position T: seeds and seal keys of turn T
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wardround.crypto.curve_points import is_canonical_coordinate
from wardround.crypto.identity import Identity, signed_by
from wardround.summation.masked.transcript import derive, digest, part, started, u32, u64
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.wire.messages import Statement

LONGEST_JUMP = 10_000


def statement_digest(study: bytes, epoch: int, statement: Statement) -> bytes:
    """What a statement's signature is over."""
    return digest(
        "key",
        study,
        statement.site,
        u32(epoch),
        bytes.fromhex(statement.key),
        u64(statement.turn),
        u32(statement.stage),
        u64(statement.counter),
    )


@dataclass(frozen=True)
class Reached:
    """How far a site has come: the last turn and the greatest stage it contributed to, and how often it has spoken."""

    turn: int = 0
    stage: int = 0
    counter: int = 0


def state_key(
    identity: Identity, study: bytes, epoch: int, site: SiteId, secret: X25519PrivateKey, reached: Reached
) -> Statement:
    """The signed statement of a fresh key."""
    key = secret.public_key().public_bytes_raw().hex()
    unsigned = Statement(site=site, key=key, turn=reached.turn, stage=reached.stage, counter=reached.counter, signature="0" * 128)
    return unsigned.revised(signature=identity.sign(statement_digest(study, epoch, unsigned)))


def genuine(study: bytes, epoch: int, statement: Statement, keys: Mapping[str, str]) -> bool:
    """Whether the site that the statement names made it, by the study's list of identity keys."""
    public = keys.get(statement.site)
    return public is not None and signed_by(public, statement.signature, statement_digest(study, epoch, statement))


@dataclass(frozen=True)
class Roster:
    """Who has which key in one epoch. Sites sorted, none twice."""

    epoch: int
    statements: tuple[Statement, ...]

    def __post_init__(self) -> None:
        sites = [statement.site for statement in self.statements]
        if sites != sorted(set(sites)):
            raise ValueError("a roster is sorted by site and holds none twice")

    @property
    def sites(self) -> tuple[SiteId, ...]:
        return tuple(SiteId(statement.site) for statement in self.statements)

    @property
    def position(self) -> int:
        """Where the chains start: no site has contributed to a later turn."""
        return max(statement.turn for statement in self.statements)

    @property
    def nobody_spoke(self) -> bool:
        """Whether no site says that it has signed or opened a set: then the study begins, whoever has contributed already."""
        return all(statement.counter == 0 for statement in self.statements)

    @property
    def stage(self) -> int:
        """The greatest stage that any site has contributed to."""
        return max(statement.stage for statement in self.statements)

    def digest(self, study: bytes) -> bytes:
        fields: list[bytes | str] = []
        for statement in self.statements:
            fields += [statement.site, bytes.fromhex(statement.key)]
            fields += [u64(statement.turn), u32(statement.stage), u64(statement.counter)]
        return digest("roster", study, u32(self.epoch), *fields)

    def statement_of(self, site: SiteId) -> Statement | None:
        return next((statement for statement in self.statements if statement.site == site), None)


def first_chains(study: bytes, roster: Roster, site: SiteId, secret: X25519PrivateKey) -> dict[SiteId, bytes]:
    """The chains of `site` with every other site of the roster, at the roster's position. RefusedError for a degenerate key."""
    salt = roster.digest(study)
    chains: dict[SiteId, bytes] = {}
    for statement in roster.statements:
        if statement.site == site:
            continue
        try:
            shared = _agreed(secret, statement.key)
        except ValueError as error:
            raise RefusedError(f"The key of {statement.site} has no secret in it", code="roster") from error
        chains[SiteId(statement.site)] = derive(shared, salt, "chain", *sorted((site, statement.site)))
    return chains


def holds_a_secret(key: str) -> bool:
    """Whether an X25519 public key, in hexadecimal, agrees on anything: with a degenerate one everybody's secret is zero."""
    try:
        _agreed(X25519PrivateKey.generate(), key)
    except ValueError:
        return False
    return True


def _agreed(secret: X25519PrivateKey, key: str) -> bytes:
    """The secret shared with a public key. ValueError for a key of small order, or one that has another spelling."""
    if not is_canonical_coordinate(key):
        raise ValueError("no canonical coordinate")
    return secret.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(key)))


def advanced(chains: Mapping[SiteId, bytes], steps: int) -> dict[SiteId, bytes]:
    """The chains that many turns later. There is no way back."""
    check_jump(steps)
    ahead = dict(chains)
    for _ in range(steps):
        ahead = {site: derive(chain, b"", "ratchet") for site, chain in ahead.items()}
    return ahead


def check_jump(steps: int) -> None:
    if not 0 <= steps <= LONGEST_JUMP:
        raise RefusedError(f"The order is {steps} turns ahead of this site's keys", expected=f"0 to {LONGEST_JUMP}", code="turn")


def pair_seed(chain: bytes, order: bytes, one: SiteId, other: SiteId) -> bytes:
    """The seed of the mask that two sites share in one order; `chain` stands at the order's turn."""
    return derive(chain, order, "pair", *sorted((one, other)))


def seal_key(chain: bytes, order: bytes, owner: SiteId, recipient: SiteId) -> bytes:
    return derive(chain, order, "seal", owner, recipient)


def own_commitment(order: bytes, site: SiteId, seed: bytes) -> bytes:
    return digest("own", order, site, seed)


def pair_commitment(order: bytes, one: SiteId, other: SiteId, seed: bytes) -> bytes:
    return digest("pair", order, *sorted((one, other)), seed)


def share_commitments(order: bytes, owner: SiteId, recipient: SiteId, shares: Mapping[int, bytes]) -> list[bytes]:
    """shares: number of the secret -> the recipient's share of it. n sites make n^2 of these: what they begin with alike is
    hashed once."""
    start = started("share", order, owner, recipient)
    commitments = []
    for secret, share in shares.items():
        one = start.copy()
        one.update(part(u32(secret)) + part(share))
        commitments.append(one.digest())
    return commitments
