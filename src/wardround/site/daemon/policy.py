"""What a hospital allows before any study is looked at: policy.toml, written by its own people.

    policy --broken_rules(study, ...)--> sentences: none, or the study cannot be approved        allows_now --> hours of the day

Every rule is one setting that something reads. A study that breaks a rule cannot be approved, and an approval falls with the next
policy: it names the policy's hash.
"""

import math
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import Field, StringConstraints, model_validator

from wardround.study.declaration import Study
from wardround.study.sections.section import Section
from wardround.study.toml_reading import read_as
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.private_files import read_private

_LONGEST = 1 << 20
Mode = Literal["none", "patient-local", "patient-distributed", "site"]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Lead = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Policy(Section):
    """A hospital's own rules for studies. Two policies with the same hash are the same rules."""

    leads: tuple[Lead, ...] = Field(
        default=(),
        description="Who may lead a study, as question.contact names them; empty: anybody. A part of the contact does.",
    )
    questions: tuple[str, ...] = Field(
        default=(), description="Kinds of question that are allowed, as data.label.kind names them; empty: every kind."
    )
    privacy_modes: tuple[Mode, ...] = Field(
        default=("none", "patient-local", "patient-distributed", "site"), description="Privacy modes that are allowed."
    )
    plain_sums: bool = Field(
        default=False, description="Whether sums may be plain: the hub then reads this hospital's own share."
    )
    smallest_patients: int = Field(
        default=30, ge=1, le=10**9, description="Fewest patients of this hospital that a study trains on. Fewer: it is refused."
    )
    smallest_hospitals: int = Field(default=3, ge=1, le=10_000, description="Fewest hospitals of a study.")
    largest_epsilon: float | None = Field(
        default=None, gt=0, description="Largest epsilon of one private study. Left out: no limit but the ledger's budget."
    )
    largest_epsilon_in_all: float | None = Field(
        default=None, gt=0, description="Largest epsilon of all private studies of a ledger together, this one with them."
    )
    from_hour: Clock = Field(default="00:00", description="From when on the hospital's machine works, by its own clock.")
    until_hour: Clock = Field(default="00:00", description="Until when. The same as from_hour: all day.")
    longest_days: int = Field(default=365, ge=1, le=3650, description="For how many days at most a study may be approved.")
    cores: int = Field(default=0, ge=0, le=1024, description="CPU cores that training may use; 0: all.")
    memory_gb: float = Field(default=0, ge=0, le=10_000, description="Memory that the service may use, in GiB; 0: no limit.")
    tell_release: bool = Field(default=True, description="Whether the hub hears which release of Wardround runs here.")

    @model_validator(mode="after")
    def something_is_allowed(self) -> "Policy":
        if not self.privacy_modes:
            raise ValueError("privacy_modes is empty: no study could ever be approved")
        return self

    @property
    def hash(self) -> str:
        return sha256_hex(canonical_json(self.model_dump(mode="json")))

    def allows_now(self, now: datetime) -> bool:
        """Whether the machine works at this hour. now: by the hospital's own clock. Hours may go over midnight."""
        start, end = time.fromisoformat(self.from_hour), time.fromisoformat(self.until_hour)
        if start == end:
            return True
        return start <= now.time() < end if start < end else now.time() >= start or now.time() < end


def load_policy(path: Path) -> Policy:
    """The policy in force; the defaults where none was written. StudyError where it is not sound, with each problem's line."""
    content = read_private(path, _LONGEST)
    return Policy() if content is None else read_as(Policy, content.decode("utf-8", "replace"), str(path))


def write_starter(path: Path) -> None:
    """A policy with every rule at its default, and what each is for."""
    lines = ["# What this hospital allows. A study that breaks a rule cannot be approved; a change needs new approvals.\n"]
    defaults = Policy().model_dump(mode="json")
    for name, field in Policy.model_fields.items():
        value = defaults[name]
        setting = tomli_w.dumps({name: value}).strip() if value is not None else f"# {name} = 1.0"
        lines.append(f"# {field.description}\n{setting}\n")
    write_atomic(path, "\n".join(lines).encode(), private=True)


def broken_rules(
    policy: Policy, study: Study, *, patients: int, epsilon: float | None, epsilon_in_all: float | None
) -> Iterator[str]:
    """A sentence for each rule that a study breaks. patients: of this hospital, that it would train on. epsilon: of the study.
    epsilon_in_all: of its ledger, with this study. Both None where the study is not private."""
    contact = study.question.contact
    if policy.leads and not any(lead in contact for lead in policy.leads):
        yield f"question.contact is {contact!r}, and leads allows {', '.join(policy.leads)}"
    if policy.questions and study.data.label.kind not in policy.questions:
        yield f"the question is of the kind {study.data.label.kind}, and questions allows {', '.join(policy.questions)}"
    if study.privacy.mode not in policy.privacy_modes:
        yield f'privacy.mode is "{study.privacy.mode}", and privacy_modes allows {", ".join(policy.privacy_modes)}'
    if study.summation.mode == "plain" and not policy.plain_sums:
        yield "the sum is plain, and plain_sums is false: the hub would read this hospital's own share"
    if patients < policy.smallest_patients:
        yield f"this hospital has {patients} patients for it, and smallest_patients is {policy.smallest_patients}"
    if len(study.sites.names) < policy.smallest_hospitals:
        yield f"it names {len(study.sites.names)} hospitals, and smallest_hospitals is {policy.smallest_hospitals}"
    yield from _broken_limits(policy, epsilon, epsilon_in_all)


def _broken_limits(policy: Policy, epsilon: float | None, epsilon_in_all: float | None) -> Iterator[str]:
    for name, limit, cost in (
        ("largest_epsilon", policy.largest_epsilon, epsilon),
        ("largest_epsilon_in_all", policy.largest_epsilon_in_all, epsilon_in_all),
    ):
        if limit is not None and cost is not None and cost > limit:
            stated = f"{cost:.4g}" if math.isfinite(cost) else "without bound"
            yield f"it costs epsilon {stated}{' with what was spent' * (name.endswith('all'))}, and {name} is {limit:g}"
