r"""What a person at the hospital decided about a study, or the policy beforehand, as a signed record; and whether it holds now.

    offer --a person looks--> decide(...) --> decision.json --require_approved, before work and before an answer leaves--> go on
                                   \--every one of them, for good--> decisions/000001.json ...  policies/HASH.json

A decision names the study's hash, the data set, the fingerprint of its records, the mapping, the ledger and the policy. Where one
of them is another now, it does not hold. What leaves of it is a hash of the hospital's own facts, with a salt (`wire/offers.py`).
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wardround.crypto.identity import Identity
from wardround.site.daemon.policy import Policy
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RefusedError, RunError
from wardround.values.private_files import make_private, private_lock, read_private
from wardround.wire.messages import Hash, Header, NoneOrHash, Site
from wardround.wire.offers import BY_POLICY, ApprovalStatement, SignedApproval, State, subject_hash

FILE = "decision.json"
"""The decision in force."""
DECISIONS, POLICIES = "decisions", "policies"
"""Folders of a study: every decision about it in the order in which they were made, and the policies that they name."""
_LONGEST = 1 << 20
DAY_MS = 86_400_000
LONGEST_NAME = 200
_NOT_APPROVED, _REVOKED, _POLICY = "not-approved", "revoked", "policy"


class Facts(Header):
    """The hospital's own half of a decision, which stays here. fingerprint: of the records (`site.work.fingerprint`). mapping:
    the hash of the mapping's file, "" without one. ledger: its name, "" for a study that is not private. task: the hash of the
    hospital's own task, "" for a study that names its question. salt: random, so that nobody finds the names by trying."""

    data_set: Annotated[str, StringConstraints(max_length=63)] = ""
    fingerprint: NoneOrHash = ""
    mapping: NoneOrHash = ""
    ledger: Annotated[str, StringConstraints(max_length=63)] = ""
    task: NoneOrHash = ""
    salt: Hash = Field(default_factory=lambda: secrets.token_hex(32))

    @property
    def hash(self) -> str:
        return subject_hash(self.model_dump(mode="json"))


class Decision(Header):
    """A signed approval, refusal or revocation, and the facts behind its hash."""

    signed: SignedApproval
    facts: Facts

    @property
    def statement(self) -> ApprovalStatement:
        return self.signed.statement

    @property
    def hash(self) -> str:
        """What the log calls this decision by."""
        return self.signed.statement.hash

    @property
    def is_beforehand(self) -> bool:
        """Whether a policy decided, and no person."""
        return self.statement.by.startswith(BY_POLICY)


@dataclass(frozen=True)
class Deciding:
    """Who decides, and until when it holds. by: the person's name, as it will stand in the record. now_ms, until_ms: milliseconds
    since 1970. policy: the one that decides beforehand, in a person's place."""

    by: str
    now_ms: int
    until_ms: int
    policy: Policy | None = None

    @classmethod
    def beforehand(cls, policy: Policy, now_ms: int) -> "Deciding":
        """A policy, for as long as it allows."""
        return cls(f"{BY_POLICY}{policy.hash[:12]}", now_ms, now_ms + policy.longest_days * DAY_MS, policy)


@dataclass(frozen=True)
class Decisions:
    """The decisions of one hospital. site: its name. identity: its key; a record that it did not sign is none."""

    studies: Path
    site: Site
    identity: Identity

    def of(self, study: str) -> Decision | None:
        """The decision in force about a study; None where nobody has decided. RunError where the record was changed."""
        path = self.studies / study / FILE
        content = read_private(path, _LONGEST)
        if content is None:
            return None
        decision = read_decision(path, content)
        statement = decision.statement
        true = decision.signed.is_signed_by(self.identity.public) and statement.subject == decision.facts.hash
        if not true or (statement.study, statement.site) != (study, self.site):
            raise _not_ours(path)
        return decision

    def decide(
        self, study: str, decision: Literal["approved", "refused", "revoked"], facts: Facts, policy: Policy, who: Deciding
    ) -> Decision:
        """Signs what was decided and puts it in force, in place of what was decided before; that stays among the kept ones.
        RefusedError without a person's name, where a person decides."""
        if who.policy is None:
            require_name(who.by)
        statement = ApprovalStatement(
            study=study,
            site=self.site,
            decision=decision,
            subject=facts.hash,
            policy=policy.hash,
            by=who.by,
            at=who.now_ms,
            until=who.until_ms,
        )
        signed = Decision(signed=SignedApproval.of(statement, self.identity), facts=facts)
        self._keep(self.studies / study, canonical_json(signed.model_dump(mode="json")), policy)
        return signed

    def _keep(self, folder: Path, decision: bytes, policy: Policy) -> None:
        """The policy and the decision are among the kept ones before it is in force: numbers leave under none that is not."""
        make_private(folder / DECISIONS)
        with private_lock(folder / DECISIONS / "decisions.lock"):
            kept = kept_files(folder)
            before = read_private(folder / FILE, _LONGEST)
            if not kept and before is not None:  # an earlier release kept the last one only
                kept = (_numbered(folder, 1),)
                write_atomic(kept[0], before, private=True)
            write_atomic(folder / POLICIES / f"{policy.hash}.json", policy.rules, private=True)
            write_atomic(_numbered(folder, len(kept) + 1), decision, private=True)
            write_atomic(folder / FILE, decision, private=True)

    def state(self, study: str, policy: Policy, now_ms: int) -> State:
        """Where the study stands at this hospital, as the hub may hear it."""
        decision = self.of(study)
        if decision is None:
            return "offered"
        statement = decision.statement
        if statement.decision != "approved":
            return statement.decision
        return "approved" if statement.policy == policy.hash and now_ms < statement.until else "expired"

    def require_approved(self, study: str, policy: Policy, now_ms: int) -> Decision:
        """The approval that holds now. RefusedError where there is none: its word says why, and follows from no record."""
        decision = self.of(study)
        if decision is None or decision.statement.decision == "refused":
            raise RefusedError(
                "This hospital has not approved the study", hint=f"wardround site review {study[:12]}", code=_NOT_APPROVED
            )
        if decision.statement.decision == "revoked":
            raise RefusedError("This hospital has revoked its approval of the study", code=_REVOKED)
        if now_ms >= decision.statement.until:
            raise RefusedError(
                "The approval of the study has expired", hint=f"wardround site approve {study[:12]}", code=_NOT_APPROVED
            )
        if decision.statement.policy != policy.hash:
            raise RefusedError(
                "The hospital's policy is another than when the study was approved",
                hint=f"look at the study with the new policy: wardround site review {study[:12]}",
                code=_POLICY,
            )
        return decision


def read_decision(path: Path, content: bytes) -> Decision:
    """What a file of a decision holds; whose it is, its signature says. RunError where it is none."""
    try:
        return Decision.model_validate_json(content)
    except ValidationError as error:
        raise _not_ours(path) from error


def kept_files(folder: Path) -> tuple[Path, ...]:
    """The kept decisions about a study, oldest first. folder: the study's."""
    return tuple(sorted((folder / DECISIONS).glob("[0-9]*.json")))


def _numbered(folder: Path, number: int) -> Path:
    return folder / DECISIONS / f"{number:06d}.json"


def require_name(by: str) -> None:
    """RefusedError where this is no name that a record can hold."""
    if by.strip().casefold().startswith(BY_POLICY):
        raise RefusedError(
            "A person's name does not begin with the word policy: so records begin that no person made",
            found=by[:60],
            hint="--by 'Anna Weber'",
        )
    if not 1 <= len(by.strip()) <= LONGEST_NAME or not by.isprintable():
        raise RefusedError(
            "A decision needs the name of the person who takes it",
            expected=f"1 to {LONGEST_NAME} characters, in one line",
            found=f"{len(by)} characters",
            hint="--by 'Anna Weber'",
        )


def _not_ours(path: Path) -> RunError:
    return RunError(
        f"{path} was not signed by this hospital's key as it stands",
        expected="the record that `wardround site approve` wrote",
        hint=f"somebody changed it: find out who; then remove it and decide anew: rm '{path}'",
    )
