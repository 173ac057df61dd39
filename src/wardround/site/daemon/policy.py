"""What a hospital allows before any study is looked at: policy.toml, written by its own people.

    policy --broken_rules(study, ...)--> sentences: none, or the study cannot be approved        allows_now --> hours of the day

Every rule is one setting that something reads. A study that breaks a rule cannot be approved, and an approval falls with the next
policy: it names the policy's hash. Only a person approves, but for one kind of study: one that evaluates a finished model and
trains nothing may be approved beforehand, so many times (`site.daemon.pre_approval`).
"""

import math
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import Field, StringConstraints, model_validator

from wardround.study.declaration import Study
from wardround.study.sections.evaluation import ModelHash
from wardround.study.sections.section import Section
from wardround.study.sections.site_name import SiteName
from wardround.study.toml_reading import read_as
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.private_files import read_private

_LONGEST = 1 << 20
Mode = Literal["none", "patient-local", "patient-distributed", "site"]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Hospital = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}:? +([0-9a-f] *){20,64}$")]
"""Its name, and the beginning of its key."""
_OF_PRE_APPROVALS = ("pre_approve_hospitals", "pre_approve_data", "pre_approve_studies", "pre_approve_models")
_NEEDED = ("leads", "pre_approve_hospitals", "pre_approve_data", "pre_approve_studies")
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
        default=30,
        ge=1,
        le=10**9,
        description="Fewest patients of this hospital that a study trains on, or that one which evaluates only tests, in each "
        "split that it looks at. Fewer: it is refused.",
    )
    smallest_hospitals: int = Field(default=3, ge=1, le=10_000, description="Fewest hospitals of a study.")
    smallest_cell: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Fewest patients of all hospitals together in a count that an analysis shows: its analysis.smallest_cell is "
        "at least this.",
    )
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
    pre_approve: Literal["nothing", "evaluation-only"] = Field(
        default="nothing",
        description="Which studies are approved beforehand, without a person: nothing; or evaluation-only, those that evaluate a "
        "finished model and train nothing, where they keep to every rule here. It needs leads and the next three settings.",
    )
    pre_approve_hospitals: tuple[Hospital, ...] = Field(
        default=(),
        description="The other hospitals that such studies may add up with, each with at least 20 digits of its key, compared by "
        'telephone: "south 1a2b 3c4d 5e6f 7a8b 9c0d", as `wardround site review` shows them. With hospitals that nobody compared '
        "the hub could read a sum.",
    )
    pre_approve_data: tuple[SiteName, ...] = Field(
        default=(),
        description="Data sets that such studies may use, by name; the first that fits is used. The first study fixes its test "
        "patients and the hospitals of the sum: a later one with others is left to a person.",
    )
    pre_approve_studies: int = Field(
        default=0, ge=0, le=1000, description="How many such studies at most, in all, since the first. Never counted anew."
    )
    pre_approve_models: tuple[ModelHash, ...] = Field(
        default=(), description="The models that they may evaluate, as evaluation.model names them; empty: any."
    )

    @model_validator(mode="after")
    def something_is_allowed(self) -> "Policy":
        if not self.privacy_modes:
            raise ValueError("privacy_modes is empty: no study could ever be approved")
        stated = {name for name in _OF_PRE_APPROVALS if getattr(self, name) != type(self).model_fields[name].default}
        if self.pre_approve == "nothing" and stated:
            raise ValueError(f'{min(stated)} does nothing with pre_approve = "nothing": leave it out, or set "evaluation-only"')
        missing = [name for name in _NEEDED if not getattr(self, name)]
        if self.pre_approve == "evaluation-only" and missing:
            raise ValueError(
                f'pre_approve = "evaluation-only" needs {", ".join(missing)}: whose studies, with whom, on what, how many'
            )
        return self

    def knows(self, hospital: str, key: str) -> bool:
        """Whether pre_approve_hospitals has this hospital under this key."""
        listed = (one.replace(":", " ", 1).split(maxsplit=1) for one in self.pre_approve_hospitals)
        return any(name == hospital and key.startswith(start.replace(" ", "")) for name, start in listed)

    @property
    def hash(self) -> str:
        return sha256_hex(self.rules)

    @property
    def rules(self) -> bytes:
        """What the hash is of: the settings as canonical JSON. Whoever holds these bytes can show which policy was meant.

        Settings that came later are in it where they are set: approvals that were given before hold on."""
        unset = {name for name in ("pre_approve", *_OF_PRE_APPROVALS) if self.pre_approve == "nothing"}
        unset |= {"smallest_cell"} if self.smallest_cell == 1 else set()
        return canonical_json(self.model_dump(mode="json", exclude=unset))

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
    """A sentence for each rule that a study breaks. patients: of this hospital, that it would train on or test. epsilon: of the
    study. epsilon_in_all: of its ledger, with this study. Both None where the study is not private."""
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
    if study.analysis is not None and study.analysis.smallest_cell < policy.smallest_cell:
        yield f"analysis.smallest_cell is {study.analysis.smallest_cell}, and smallest_cell is {policy.smallest_cell}"
    yield from _broken_limits(policy, epsilon, epsilon_in_all)


def not_pre_approved(policy: Policy, study: Study, own: str) -> Iterator[str]:
    """A sentence for each reason for which a study is left to a person, as far as they are public: none of them follows from this
    hospital's records. own: its name."""
    if policy.pre_approve != "evaluation-only":
        yield 'pre_approve is "nothing"'
        return
    if not study.evaluates_only:
        yield "it trains, or asks for an analysis, and only studies that evaluate a finished model are approved beforehand"
        return
    if study.summation.mode != "masked":
        yield "its sum is plain, and only masked ones are approved beforehand"
        return
    if strangers := sorted(name for name, key in study.sites.keys.items() if name != own and not policy.knows(name, key)):
        yield f"{', '.join(strangers)}: not among pre_approve_hospitals, or under another key"
    if study.summation.collusion == 0:
        yield "summation.collusion = 0 trusts every other hospital not to help the hub"
    if (fewest := study.quorum.threshold) < (number := len(study.sites.names)):
        # Two studies, one with a hospital that the hub leaves out of its sum, would show that one by the difference.
        yield f"its sum opens with {fewest} of {number} hospitals, and is approved beforehand with summation.threshold = {number}"
    if policy.pre_approve_models and study.evaluation.model not in policy.pre_approve_models:
        yield f"its model {str(study.evaluation.model)[:12]} is none of pre_approve_models"
    yield from broken_rules(policy, study, patients=policy.smallest_patients, epsilon=None, epsilon_in_all=None)


def _broken_limits(policy: Policy, epsilon: float | None, epsilon_in_all: float | None) -> Iterator[str]:
    for name, limit, cost in (
        ("largest_epsilon", policy.largest_epsilon, epsilon),
        ("largest_epsilon_in_all", policy.largest_epsilon_in_all, epsilon_in_all),
    ):
        if limit is not None and cost is not None and cost > limit:
            stated = f"{cost:.4g}" if math.isfinite(cost) else "without bound"
            yield f"it costs epsilon {stated}{' with what was spent' * (name.endswith('all'))}, and {name} is {limit:g}"
