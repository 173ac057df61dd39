"""The messages of the wire: order, contribution, refusal, and the asks and answers of a masked sum.

docs/spec/wire.md, section 4, and docs/spec/masked-sum.md, sections 4 and 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wardround.values.tree import Tree

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Site = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Round = Annotated[int, Field(ge=1, le=100_000)]
Step = Literal["open", "train", "evaluate", "own", "personal", "close"]
What = Literal["keys", "sign", "open"]
Turn = Annotated[int, Field(ge=0, lt=2**53)]
OPENINGS = 1_000
"""More than any study has; so many stages lie before the first round."""
Stage = Annotated[int, Field(ge=0, le=OPENINGS + 100_001)]
Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
NoneOrHash = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
NoneOrSignature = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{128})?$")]


class Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def revised(self, **changes: object) -> Self:
        """The same header with other fields, checked as any other."""
        return type(self).model_validate({**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


class Statement(Header):
    """One site's key for one epoch. turn, stage: the last turn and the greatest stage it contributed to. counter: how often it
    has spoken in this study."""

    site: Site
    key: Hash
    turn: Turn
    stage: Stage
    counter: Turn
    signature: Signature


class Masked(Header):
    """What an order of a masked sum says besides: which attempt, which turn of the keys, and whose keys.

    set_changes: how often the set that sites spoke for has changed in this study. last_set: a hash of the last of those sets."""

    attempt: int = Field(ge=1, le=1000)
    turn: int = Field(ge=1, lt=2**53)
    epoch: int = Field(ge=1, lt=2**32)
    roster: tuple[Statement, ...]
    set_changes: int = Field(default=0, ge=0, lt=2**53)
    last_set: NoneOrHash = ""

    @model_validator(mode="after")
    def the_roster_is_sorted(self) -> "Masked":
        _require_sorted([statement.site for statement in self.roster])
        return self


def _require_sorted(sites: Sequence[str]) -> None:
    if list(sites) != sorted(set(sites)):
        raise ValueError("lists of sites must be sorted and hold no name twice")


class OrderHeader(Header):
    """counted: site -> the last round in whose total it was. unused: rounds whose total was not used, in order. disputed: site ->
    the last round that went on without it because it and another site were at odds. opening: what the study was opened with, as a
    hash; empty in an opening."""

    kind: Literal["order"] = "order"
    study: Hash
    step: Step
    round: int = Field(ge=0, le=100_000)
    label: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,80}$")
    cohort: tuple[Site, ...]
    counted: dict[Site, Round] = Field(default_factory=dict)
    unused: tuple[Round, ...] = ()
    disputed: dict[Site, Round] = Field(default_factory=dict)
    opening: NoneOrHash = ""
    weight: int = Field(default=0, ge=0, lt=2**53)
    masked: Masked | None = None

    @model_validator(mode="after")
    def lists_are_sorted_and_rounds_fit(self) -> "OrderHeader":
        _require_sorted(self.cohort)
        if list(self.unused) != sorted(set(self.unused)):
            raise ValueError("lists of rounds must be sorted and hold none twice")
        trains = self.step in ("train", "own", "personal")
        if (self.step == "open" and self.round > OPENINGS - 1) or (trains and self.round == 0):
            raise ValueError(f"openings have a number from 0 to {OPENINGS - 1}, rounds one from 1")
        return self

    @property
    def stage(self) -> int:
        """How far a study is when it asks this: its openings, its rounds, its evaluations."""
        return self.round if self.step == "open" else OPENINGS + self.round + (self.step == "evaluate")


class ContributionHeader(Header):
    kind: Literal["contribution"] = "contribution"
    study: Hash
    step: Step
    round: int = Field(ge=0, le=100_000)
    site: Site
    order: Hash
    signature: NoneOrSignature = ""


class AskHeader(Header):
    kind: Literal["ask"] = "ask"
    study: Hash
    what: What
    epoch: int = Field(default=0, ge=0, lt=2**32)
    order: NoneOrHash = ""
    counted: tuple[Site, ...] = ()
    certificate: dict[Site, Signature] = Field(default_factory=dict)

    @model_validator(mode="after")
    def fields_fit_what_is_asked(self) -> "AskHeader":
        _require_sorted(self.counted)
        if (self.what == "keys") != (self.epoch > 0) or (self.what == "keys") == bool(self.order and self.counted):
            raise ValueError("keys has an epoch, sign and open have an order and those who were counted")
        if self.certificate and self.what != "open":
            raise ValueError("only an open has a certificate")
        return self


class AnswerHeader(Header):
    kind: Literal["answer"] = "answer"
    study: Hash
    site: Site
    ask: Hash
    key: NoneOrHash = ""
    turn: Turn = 0
    stage: Stage = 0
    counter: Turn = 0
    unreadable: tuple[Site, ...] = ()
    signature: Signature

    def statement(self, site: str) -> Statement:
        """The key that this answer states for `site`. ValueError where it states none."""
        return Statement(
            site=site, key=self.key, turn=self.turn, stage=self.stage, counter=self.counter, signature=self.signature
        )

    @model_validator(mode="after")
    def the_list_is_sorted(self) -> "AnswerHeader":
        _require_sorted(self.unreadable)
        return self


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
class ContributionMessage:
    """Site to sum. arrays: one flat vector of unsigned words per part, named `part/words`; masked also `masked/...` in bytes."""

    header: ContributionHeader
    arrays: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    header: RefusalHeader


@dataclass(frozen=True)
class Ask:
    """Coordinator to site, about an order of a masked sum. arrays: `masked/sealed_shares` of an open."""

    header: AskHeader
    arrays: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Site to coordinator. arrays: `masked/shares` of an open."""

    header: AnswerHeader
    arrays: Tree = field(default_factory=dict)


Message = Order | ContributionMessage | Refusal | Ask | Answer
