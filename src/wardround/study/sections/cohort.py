"""The [data.cohort] section: whom a database's records are about, what is known of them before a day, and what happens after it.

    concepts --which events--> index date of a person --windows before it--> features
                                          `----------window after it------> label

The same words serve a database in OMOP's common data model and an export of FHIR resources. No date enters a record: only numbers
of days do.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from wardround.study.code_systems import Code, code_of
from wardround.study.sections.section import Section

EventKind = Literal["visit", "discharge", "condition", "procedure", "drug", "measurement"]
Summary = Literal["any", "count", "last", "mean", "min", "max", "days_since", "age", "sex"]

NUMBERS: tuple[Summary, ...] = ("last", "mean", "min", "max")
"""Features that read the number of a measurement."""
OF_THE_PERSON: tuple[Summary, ...] = ("age", "sex")
"""Features that need no event."""


def _sound(text: str) -> str:
    code_of(text)
    return text


CodeText = Annotated[str, StringConstraints(max_length=300), AfterValidator(_sound)]
Days = Annotated[int, Field(ge=0, le=200_000)]


class ConceptSet(Section):
    """Codes that mean one thing, under a name. Each hospital uses those that its system can hold."""

    name: str = Field(min_length=1, max_length=100, description="What features, index and outcome call the set.")
    event: EventKind = Field(
        description="Where the codes stand. discharge: where a visit led to, on its last day; drug: prescriptions and "
        "vaccinations; measurement: OMOP's measurement and observation, FHIR's Observation."
    )
    codes: tuple[CodeText, ...] = Field(
        default=(),
        max_length=10_000,
        description='SYSTEM|CODE, for example ["SNOMED|59621000", "ICD10GM|I63.*", "OMOP|320128"]; a star at the end stands for '
        "all codes that begin so. Empty: every event of the kind.",
    )
    descendants: bool = Field(
        default=False,
        description="Also every concept below these, as OMOP's concept_ancestor says. A hospital without it is refused, and so "
        "is FHIR, which has no such table: codes are then listed one by one.",
    )

    @property
    def parsed_codes(self) -> tuple[Code, ...]:
        return tuple(code_of(text) for text in self.codes)

    @model_validator(mode="after")
    def _descendants_have_ancestors(self) -> Self:
        if self.descendants and not self.codes:
            raise ValueError(f"the concept set {self.name!r} asks for descendants of no code")
        return self


class IndexSection(Section):
    """The event that makes a person part of the cohort. Its first day is the index day, from which everything is counted."""

    concepts: str = Field(min_length=1, description="The concept set whose events count.")
    which: Literal["first", "last", "each"] = Field(
        default="first", description="A person's first event ever, the last, or each one as a record of its own."
    )
    days_after: Days = Field(
        default=0, description="The index day is this many days after the event: 1 lets features see the day of the event."
    )
    age: tuple[Days, Days] | None = Field(
        default=None, description="Youngest and oldest age on the index day, in whole years, both included."
    )
    observed_before: Days | None = Field(
        default=None, description="Days before the index that a person must have been under observation. Left out: no demand."
    )

    @model_validator(mode="after")
    def _ages_are_in_order(self) -> Self:
        if self.age is not None and self.age[0] > self.age[1]:
            raise ValueError(f"age is the youngest and the oldest; found {list(self.age)}")
        return self


class FeatureSection(Section):
    """One column of the contract, from what lies before the index day."""

    column: str = Field(min_length=1, description="The column of [[data.columns]] that it fills.")
    value: Summary = Field(
        description="any (0 or 1) or count of events; last, mean, min or max of their numbers; days_since the latest; age in "
        "whole years; sex (female, male, other)."
    )
    concepts: str = Field(default="", description="The concept set that is looked for; none for age and sex.")
    days_before: Annotated[int, Field(ge=1, le=200_000)] | None = Field(
        default=None,
        description="The window: this many days before the index day, which is not part of it. Left out: all earlier days.",
    )
    units: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="For last, mean, min, max: the units that are read, each with the factor into the unit of the column: "
        '{ "mmol/L" = 1, "mg/dL" = 0.0555 }. "" stands for no unit. Others are left out and counted.',
    )

    @model_validator(mode="after")
    def _value_has_what_it_needs(self) -> Self:
        if self.value in OF_THE_PERSON and (self.concepts or self.days_before is not None):
            raise ValueError(f"column {self.column!r}: {self.value} has no concepts and no window")
        if self.value not in OF_THE_PERSON and not self.concepts:
            raise ValueError(f"column {self.column!r}: {self.value} needs the name of a concept set")
        if (self.value in NUMBERS) != bool(self.units):
            raise ValueError(
                f"column {self.column!r}: units are needed for {', '.join(NUMBERS)}, and for nothing else; a unit has no name: "
                'write "" = 1'
            )
        return self


class OutcomeSection(Section):
    """What a record is labelled 1 for: death, or an event of a concept set, in a window from the index day on."""

    kind: Literal["death", "concepts"] = Field(description="death, or an event of the set that `concepts` names.")
    concepts: str = Field(default="", description="The concept set whose first event is the outcome.")
    days_from: Days = Field(default=0, description="First day of the window after the index day; 0 is the index day itself.")
    days_after: Days | None = Field(default=None, description="Last day of the window after the index day.")
    within_visit: bool = Field(
        default=False, description="The window ends with the visit of the index, its last day included. Instead of days_after."
    )
    censored: Literal["left_out", "negative"] = Field(
        default="left_out",
        description="Persons alive without the outcome who were not observed until the window's end: left out, or negative. Both "
        "are counted.",
    )

    @model_validator(mode="after")
    def _window_has_one_end(self) -> Self:
        if (self.days_after is None) != self.within_visit:
            raise ValueError("the outcome's window ends after days_after days, or with within_visit = true: write one of them")
        if (self.kind == "concepts") != bool(self.concepts):
            raise ValueError("concepts names the outcome's set where kind is concepts, and is left out for death")
        if self.days_after is not None and self.days_after < self.days_from:
            raise ValueError(f"days_from is {self.days_from}, after the window's last day {self.days_after}")
        return self


class CohortSection(Section):
    """Whom records are about, what is known before the index day, and the outcome after it. For databases and FHIR exports."""

    concepts: tuple[ConceptSet, ...] = Field(min_length=1, max_length=1000, description="Sets of codes, each under a name.")
    index: IndexSection = Field(description="The event that a record begins with.")
    features: tuple[FeatureSection, ...] = Field(min_length=1, description="What fills each column of the contract.")
    outcome: OutcomeSection = Field(description="What a record is labelled 1 for.")

    def concept_set(self, name: str) -> ConceptSet:
        """The set of that name, of which a checked cohort has one."""
        return next(concept_set for concept_set in self.concepts if concept_set.name == name)

    def position(self, name: str) -> int:
        """Of the set of that name among the cohort's sets, as its events carry it."""
        return [concept_set.name for concept_set in self.concepts].index(name)

    @property
    def needs_observation(self) -> bool:
        """Whether the time under observation decides something."""
        return self.index.observed_before is not None or not self.outcome.within_visit

    @model_validator(mode="after")
    def _names_are_there(self) -> Self:
        names = [concept_set.name for concept_set in self.concepts]
        used = [self.index.concepts, *(feature.concepts for feature in self.features), self.outcome.concepts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"concept sets are named twice: {', '.join(twice)}")
        if absent := sorted({name for name in used if name} - set(names)):
            raise ValueError(f"no concept set is called {', '.join(map(repr, absent))}; there are {', '.join(map(repr, names))}")
        if unused := [name for name in names if name not in used]:
            raise ValueError(f"nothing uses the concept set {', '.join(map(repr, unused))}: use it or take it out")
        return self

    @model_validator(mode="after")
    def _index_is_no_outcome_of_its_own(self) -> Self:
        event = self.concept_set(self.index.concepts).event
        if self.outcome.within_visit and event != "visit":
            raise ValueError(f"within_visit needs an index that is a visit; found a {event}")
        same = self.outcome.kind == "concepts" and self.concept_set(self.outcome.concepts).event == event
        if same and self.index.days_after + self.outcome.days_from == 0:
            raise ValueError("the index event could be its own outcome: set days_from = 1 under [data.cohort.outcome]")
        return self
