"""Which decisions a hospital made about a study, under which policies, and which answers left under them: by its evidence.

decisions/000001.json ... --the last of them--> decision.json       each: signature, study, facts behind its hash
each decision --policy's hash--> policies/HASH.json                 log: answer --approval's hash--> an approval among them
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wardround.evidence.pack import DECISION, DECISIONS, LOG, POLICIES
from wardround.evidence.pack_charges import ANSWER
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import Entry, read_entries
from wardround.wire.offers import BY_POLICY, ApprovalStatement, SignedApproval, subject_hash

Files = Mapping[str, bytes]
_TAKEN_BACK = ("refused", "revoked")


@dataclass(frozen=True)
class DecisionFile:
    """One decision of the zip. name: of its file. subject: the hash of the facts that are with it."""

    name: str
    signed: SignedApproval
    subject: str

    @property
    def statement(self) -> ApprovalStatement:
        return self.signed.statement


def decisions_problem(files: Files, manifest: Mapping[str, Any]) -> str | None:
    """Whether every decision is this hospital's, about this study, and none is missing. None where nobody had decided."""
    names = _names(files)
    if not names:
        return None
    try:
        decisions = [_read(files, name) for name in names]
    except _UnreadableError as error:
        return str(error)
    for one in decisions:
        if problem := _fault(one, manifest):
            return problem
    kept = [name for name in names if name != DECISION]
    numbers = [name.removeprefix(DECISIONS).removesuffix(".json") for name in kept]
    if numbers != [f"{number:06d}" for number in range(1, len(kept) + 1)]:
        return "a decision is missing: their numbers have a gap"
    if kept and files.get(DECISION) != files[kept[-1]]:
        return f"the decision in force is not the last one, {kept[-1]}"
    return _missing(files, decisions, manifest["study"])


def policies_problem(files: Files, manifest: Mapping[str, Any]) -> str | None:
    """Whether the policy of each decision is in it, and every policy is the one of its hash. None where nobody had decided."""
    if not _names(files) or decisions_problem(files, manifest):
        return None
    for name in sorted(files):
        if name.startswith(POLICIES) and sha256_hex(files[name]) != name.removeprefix(POLICIES).removesuffix(".json"):
            return f"{name[:100]} is another policy than the one of this hash"
    for one in (_read(files, name) for name in _names(files)):
        if f"{POLICIES}{one.statement.policy}.json" not in files:
            return f"the policy {one.statement.policy[:12]}, under which {one.name} was {one.statement.decision}, is not in it"
    return ""


def beforehand_problem(files: Files, manifest: Mapping[str, Any]) -> str | None:
    """None where a person decided, or nobody: that a policy did is a claim of its own, which its line of the log holds."""
    if decisions_problem(files, manifest):
        return None
    statements = [_read(files, name).statement for name in _names(files)]
    beforehand = [one for one in statements if one.by.startswith(BY_POLICY)]
    if not beforehand:
        return None
    lines = _lines(files, manifest["study"])
    if lines is None:
        return "the decision says that a policy made it, and the log cannot be read"
    for statement in beforehand:
        if statement.by != f"{BY_POLICY}{statement.policy[:12]}":
            return "the decision names another policy than the one that it was made under"
        if not any(line.code == "pre-approved" and line.facts.get("policy") == statement.policy for line in lines):
            return "the decision says that a policy made it, and the log has no line of that"
    return ""


def approvals_problem(files: Files, manifest: Mapping[str, Any]) -> str | None:
    """Whether every answer left under an approval that is in it. None where no line of the log names one, as before this rule."""
    lines = _lines(files, manifest["study"]) or []
    answers = [line for line in lines if line.code == ANSWER and "approval" in line.facts]
    if not answers or decisions_problem(files, manifest):
        return None
    made = {one.hash: one.decision for one in (_read(files, name).statement for name in _names(files))}
    for line in answers:
        decision = made.get(str(line.facts["approval"]))
        if decision != "approved":
            what = "an approval that is not in it" if decision is None else f"a decision by which the study was {decision}"
            return f"line {line.number} of the log, an answer, names {what}"
    return ""


def _missing(files: Files, decisions: list[DecisionFile], study: str) -> str:
    """A decision against the study that the log has and the zip has not: without it an earlier approval would seem to hold."""
    made = {one.statement.hash for one in decisions}
    for line in _lines(files, study) or []:
        if line.code in _TAKEN_BACK and "decision" in line.facts and line.facts["decision"] not in made:
            return f"line {line.number} of the log says that the study was {line.code}, and that decision is missing"
    return ""


def _fault(one: DecisionFile, manifest: Mapping[str, Any]) -> str:
    statement = one.statement
    if not one.signed.is_signed_by(manifest["identity"]):
        return f"{one.name}: the decision is not signed by the hospital's key"
    if (statement.study, statement.site) != (manifest["study"], manifest["site"]):
        return f"{one.name}: the decision is about another study or hospital"
    return "" if statement.subject == one.subject else f"{one.name}: the decision's facts are not those behind its hash"


def _names(files: Files) -> list[str]:
    """The kept ones by their number, then the one in force."""
    return [*sorted(name for name in files if name.startswith(DECISIONS)), *([DECISION] if DECISION in files else [])]


class _UnreadableError(ValueError):
    """A file that is no decision."""


def _read(files: Files, name: str) -> DecisionFile:
    try:
        value = json.loads(files[name])
        signed = SignedApproval.model_validate_json(json.dumps(value["signed"]))
        return DecisionFile(name[:100], signed, subject_hash(value["facts"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise _UnreadableError(f"{name[:100]} cannot be read") from error


def _lines(files: Files, study: str) -> list[Entry] | None:
    """The log's lines about the study; None where the log cannot be read."""
    try:
        return list(_lines_of(files, study))
    except ValueError:
        return None


def _lines_of(files: Files, study: str) -> Iterator[Entry]:
    for name, data in files.items():
        if name.startswith(LOG):
            yield from (entry for entry in read_entries(data) if entry.facts.get("study") == study)
