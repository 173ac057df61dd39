"""[fhir] and [hooks] of clinic.toml: which codes and units of a record system fill the columns of a table model."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from wardround.study.code_systems import code_of
from wardround.study.sections.section import Section

FhirSource = Literal["measurement", "code", "age", "sex"]
Hook = Literal["patient-view", "order-select"]


def _sound(text: str) -> str:
    if code_of(text).prefix is not None:
        raise ValueError("one code, without a star: a record system is asked for it by name")
    return text


CodeText = Annotated[str, StringConstraints(max_length=300), AfterValidator(_sound)]
Factor = Annotated[float, Field(gt=0, le=1e12)]


class FhirColumnSection(Section):
    """What fills one column of the contract."""

    column: str = Field(min_length=1, max_length=200, description="The column's name in the contract.")
    source: FhirSource = Field(
        default="measurement",
        description="measurement: the number of the latest Observation; code: what the latest Observation says in a code; age in "
        "whole years and sex: of the Patient.",
    )
    codes: tuple[CodeText, ...] = Field(
        default=(), max_length=100, description='Of the Observation or its component, for example ["LOINC|2093-3"].'
    )
    units: dict[str, Factor] = Field(
        default_factory=dict,
        description='For measurement: each unit that is read (UCUM), with the factor into the unit of the column: { "mg/dL" = 1, '
        '"mmol/L" = 38.67 }. "" stands for no unit. Any other is refused.',
    )
    values: dict[str, str | int | float] = Field(
        default_factory=dict,
        description='For code and sex: what stands in the record -> the value of the column: { "female" = 0, "male" = 1 }. '
        "Any other is refused.",
    )
    days: Annotated[int, Field(ge=1, le=200_000)] = Field(
        default=365, description="An Observation that is older than this many days is not used."
    )

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Self:
        observed = self.source in ("measurement", "code")
        if observed != bool(self.codes):
            raise ValueError(f"column {self.column!r}: codes are needed for measurement and code, and for nothing else")
        if (self.source == "measurement") != bool(self.units):
            raise ValueError(f'column {self.column!r}: units are needed for measurement, and for nothing else; no unit is "" = 1')
        if (self.source in ("code", "sex")) != bool(self.values):
            raise ValueError(f"column {self.column!r}: values are needed for code and sex, and for nothing else")
        return self


class FhirSection(Section):
    """[fhir]: how a bundle becomes a row of the table model in service, and who reads reports of films."""

    columns: tuple[FhirColumnSection, ...] = Field(
        default=(), max_length=1000, description="One for each column of the contract of a table model."
    )
    readers: tuple[str, ...] = Field(
        default=(), description="Names of keys that may also read the reports of films that came over DICOM, and order answers."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [column.column for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns are filled twice: {', '.join(twice)}")
        return self


class IssuerSection(Section):
    """A record system that signs its calls."""

    issuer: str = Field(min_length=1, max_length=400, description="What its tokens say in iss.")
    keys: Path = Field(description="File with its public keys, a JSON Web Key Set. It is never fetched.")


class HooksSection(Section):
    """[hooks]: CDS Hooks for a table model. Where clinic.toml has no [hooks], /cds-services is not there."""

    hooks: tuple[Hook, ...] = Field(default=("patient-view",), min_length=1, description="Hooks that are answered.")
    audience: str = Field(
        default="", max_length=400, description="Address by which record systems call this service: what their tokens say in aud."
    )
    issuers: tuple[IssuerSection, ...] = Field(
        default=(), description="Whose tokens (JWT) are believed. Where there is none, calls carry a key of this clinic."
    )

    @model_validator(mode="after")
    def _tokens_name_us(self) -> Self:
        if self.issuers and not self.audience:
            raise ValueError("issuers need audience: the address that their tokens are meant for")
        return self
