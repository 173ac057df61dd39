"""A plan of drift over hospitals as one file, that a lead writes and each hospital joins; and what a hospital keeps of it.

    lead: plan.json --out of band, its code compared--> hospital: clinic/drift/CODE/plan.json, name, sums/

The code is the hash of the whole file: hospitals with one code have one lead, one model, one contract and one list of periods. A
hospital joins where its own acceptance has the same model and contract, and where no other plan has a period of that time: the
same counts in two sums over other hospitals would give a hospital's own away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.watch.shared_counts import Period, drift_plan, latest_acceptance
from wardround.crypto.curve_points import is_signing_key
from wardround.plan.sum_plan import SumPlan
from wardround.study.contract import DataContract
from wardround.study.record.evaluation_record import Sha256
from wardround.study.sections.section import Section
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, RunError, StudyError
from wardround.values.private_files import private_lock, read_private

_LONGEST = 1 << 20
FOLDER = "drift"


class DriftPlan(Section):
    """plan.json: who adds up which counts of which model, and when."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    lead: str = Field(description="Public key of the lead, 64 hexadecimal digits: what it asks is signed by it.")
    hospitals: dict[str, str] = Field(description="Hospital -> public key of its clinic (wardround clinic drift key).")
    model: Sha256 = Field(description="SHA-256 of the model's file.")
    data: DataContract = Field(description="The contract of its study: its public bins are counted.")
    periods: tuple[str, ...] = Field(min_length=1, max_length=200, description="Months and quarters; none overlaps another.")
    collusion: Annotated[int, Field(ge=0, le=100)] = Field(default=1, description="How many hospitals may help the lead.")

    @model_validator(mode="after")
    def _can_be_summed(self) -> Self:
        if not is_signing_key(self.lead):
            raise ValueError("lead: this is no public key")
        try:
            _ = self.sums.approved
        except StudyError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def read(cls, path: Path) -> "DriftPlan":
        """DataError where the file holds no plan."""
        try:
            with path.open("rb") as file:
                return cls.model_validate_json(file.read(_LONGEST + 1))
        except OSError as error:
            raise DataError(f"{path} cannot be read", found=error.strerror or "", hint="name the lead's plan.json") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DataError(
                f"{path} is no plan of drift",
                found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300],
                hint="ask the lead for what `wardround clinic drift plan` wrote",
            ) from error

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @property
    def code(self) -> str:
        """What all compare."""
        return sha256_hex(self.to_bytes())

    @property
    def sums(self) -> SumPlan:
        return drift_plan(self.hospitals, self.data, self.model, self.periods, collusion=self.collusion)


@dataclass(frozen=True)
class Joined:
    """A plan that this clinic takes part in. name: as the plan calls it. folder: of its keys and answers."""

    plan: DriftPlan
    name: str
    folder: Path


def hospital_of(clinic: ClinicPlace, plan: DriftPlan) -> str:
    """As which hospital the plan lists this clinic. StudyError where it may not take part."""
    name = next((name for name, key in plan.hospitals.items() if key == clinic.identity.public), None)
    if name is None:
        raise StudyError(
            "The plan does not list this clinic's key",
            expected=clinic.identity.public,
            hint="tell the lead: wardround clinic drift key",
        )
    if latest_acceptance(clinic, plan.model).statement.data != plan.data:
        raise StudyError(
            "The plan has another contract than the model that this clinic accepted", hint="ask the lead for a plan of that model"
        )
    for other in joined(clinic):
        if other.plan.code != plan.code and other.plan.model == plan.model and _overlap(other.plan, plan):
            raise StudyError(
                f"This clinic takes part in the plan {other.plan.code[:16]} already, with a period of the same time",
                hint="the same counts in two sums would give them away: agree on periods that lie apart",
            )
    return name


def join(clinic: ClinicPlace, plan: DriftPlan) -> Joined:
    """Takes part from now on. StudyError where this clinic may not."""
    with private_lock(clinic.path / "drift.lock"):
        name = hospital_of(clinic, plan)
        folder = clinic.path / FOLDER / plan.code[:16]
        write_atomic(folder / "plan.json", plan.to_bytes(), private=True)
    return Joined(plan, name, folder)


def joined(clinic: ClinicPlace) -> Iterator[Joined]:
    """The plans that this clinic takes part in. RunError where one was changed."""
    for path in sorted((clinic.path / FOLDER).glob("*/plan.json")):
        plan = DriftPlan.model_validate_json(read_private(path, _LONGEST) or b"")
        name = next((name for name, key in plan.hospitals.items() if key == clinic.identity.public), None)
        if name is None or path.parent.name != plan.code[:16]:
            raise RunError(f"{path} is not what this clinic joined", hint="bring it back from a backup")
        yield Joined(plan, name, path.parent)


def _overlap(one: DriftPlan, other: DriftPlan) -> bool:
    periods = [Period.named(name) for name in other.periods]
    return any(Period.named(name).overlaps(period) for name in one.periods for period in periods)
