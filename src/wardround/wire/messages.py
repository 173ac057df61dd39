"""The three messages of the wire: an order, a contribution, a refusal (docs/spec/wire.md, section 4)."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wardround.values.tree import Tree

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Site = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Round = Annotated[int, Field(ge=1, le=100_000)]
Step = Literal["open", "train", "evaluate", "own", "close"]


class Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OrderHeader(Header):
    kind: Literal["order"] = "order"
    study: Hash
    step: Step
    round: int = Field(ge=0, le=100_000)
    label: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,80}$")
    cohort: tuple[Site, ...]
    counted: dict[Site, Round] = Field(default_factory=dict)
    weight: int = Field(default=0, ge=0, lt=2**53)

    @model_validator(mode="after")
    def lists_are_sorted_and_rounds_fit(self) -> "OrderHeader":
        if list(self.cohort) != sorted(set(self.cohort)):
            raise ValueError("lists of sites must be sorted and hold no name twice")
        if (self.round == 0) != (self.step == "open"):
            raise ValueError("round 0 is the opening, and only the opening")
        return self


class ContributionHeader(Header):
    kind: Literal["contribution"] = "contribution"
    study: Hash
    step: Step
    round: int = Field(ge=0, le=100_000)
    site: Site
    order: Hash


class RefusalHeader(Header):
    kind: Literal["refusal"] = "refusal"
    study: Hash
    site: Site
    order: Hash
    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")


@dataclass(frozen=True)
class Order:
    """Coordinator to site. arrays: float32, named `part/name`."""

    header: OrderHeader
    arrays: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Contribution:
    """Site to sum. arrays: one flat vector of unsigned words per part, named `part/words`."""

    header: ContributionHeader
    arrays: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    header: RefusalHeader


Message = Order | Contribution | Refusal
