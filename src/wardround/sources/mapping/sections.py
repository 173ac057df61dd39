"""`mapping.toml`: one hospital's words and the contract's, side by side.

The contract is the same for every hospital; what differs between hospitals stands here, is kept at the hospital, and is known
elsewhere by its hash alone.

    file --[source]--> text cells --[[columns]], [label], [patient], ...--> the contract's columns --> as for any table
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.contract import DataContract
from wardround.study.sections.section import Section
from wardround.study.toml_reading import read_as, read_text
from wardround.values.errors import DataError, StudyError

Same = Literal["", "as written", "ignore case", "ignore zeros", "ignore case and zeros"]
_MEANT = "The hospital's column that it is read from."


class SourceSection(Section):
    """How the hospital's file is read."""

    sheet: str = Field(default="", description="For a workbook: the sheet. Needed where it has several.")
    encoding: str = Field(default="", description="For a CSV: its encoding, for example cp1252. Unless said, UTF-8 or its mark.")
    separator: str = Field(
        default="", max_length=1, description="For a CSV: the sign between cells. Unless said, read off the header."
    )
    decimal: Literal[".", ","] = Field(default=".", description="The sign before the decimals of numbers.")
    thousands: Literal["", ".", ",", " ", "\u00a0", "\u2009", "\u202f", "'", "\u2019"] = Field(
        default="",
        description="The sign between the thousands of numbers. A space stands for spaces of every width, an apostrophe for all.",
    )
    header_line: int = Field(
        default=0, ge=0, le=1000, description="The line of the column names, from 1. Unless said, the first."
    )
    repeated_header: Literal["", "left out"] = Field(
        default="", description="Header lines that stand again among the rows: refused unless said, or left out."
    )
    url: str = Field(default="", description="For a database: where it is, without a password.")
    query: str = Field(default="", description="For a database: the query (read only) that gives the table.")

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are the same sign, {self.decimal!r}")
        return self


class CellsSection(Section):
    """Where the cells of one column come from, and what they mean."""

    source: str = Field(alias="from", description=_MEANT)
    codes: dict[str, str | int | float] = Field(
        default={}, description='What the hospital writes, and what the contract calls it: { "m" = "male", "w" = "female" }.'
    )

    @model_validator(mode="after")
    def _is_filled_in(self) -> Self:
        if not self.source.strip():
            raise ValueError("from is empty: write the hospital's column, as the line beside it proposes")
        return self


class ColumnSection(CellsSection):
    """One of the contract's columns."""

    name: str = Field(min_length=1, description="The contract's name of the column.")
    factor: float = Field(default=1.0, description="A number is multiplied by it, to come into the contract's unit.")
    offset: float = Field(default=0.0, description="Added after the factor, for example to come from Fahrenheit to Celsius.")
    unit_column: str = Field(default="", description="The hospital's column that names the unit of each row.")
    units: dict[str, float] = Field(default={}, description='The factor of each unit: { "mmol/l" = 38.67, "mg/dl" = 1.0 }.')
    percent: Literal["", "as shown", "fraction"] = Field(
        default="", description="For numbers with a sign of percent: whether 45 % is 45 (as shown) or 0.45 (fraction)."
    )
    duration: Literal["", "days", "hours", "minutes", "seconds"] = Field(
        default="", description="For durations such as 26:30 (hours and minutes) or 26:30:15: what they are counted in."
    )
    date_format: str = Field(default="", description="How dates are written, for example %d.%m.%Y. Unless said, 2020-12-31.")
    minus: str = Field(
        default="", description="The hospital's column of an earlier date: the column then holds the time from it to `from`."
    )
    minus_format: str = Field(default="", description="How the earlier dates are written, where otherwise than date_format.")
    count: Literal["", "days", "whole years"] = Field(
        default="", description="What is counted between two dates: days (unless said), or whole years, as of an age."
    )

    @model_validator(mode="after")
    def _settings_belong_together(self) -> Self:
        if bool(self.unit_column) != bool(self.units):
            raise ValueError(f"column {self.name!r}: unit_column and units belong together")
        dated = [key for key in ("date_format", "minus_format", "count") if getattr(self, key)]
        if dated and not self.minus:
            raise ValueError(f"column {self.name!r}: {dated[0]} needs minus, the column of the earlier date")
        if self.minus and self.unit_column:
            raise ValueError(f"column {self.name!r}: the time between two dates has no unit_column; factor changes its unit")
        spellings = [key for key in ("minus", "percent", "duration") if getattr(self, key)]
        if len(spellings) > 1:
            raise ValueError(f"column {self.name!r}: {' and '.join(spellings)} do not go together")
        if 0.0 in (self.factor, *self.units.values()):
            raise ValueError(f"column {self.name!r}: a factor of 0 would make every value the same")
        return self


class PatientMapping(CellsSection):
    """Who is a patient."""

    same: Same = Field(
        default="",
        description="Which identifiers are one patient: as written, ignore case, ignore zeros (leading, and a trailing .0), or "
        "ignore case and zeros. Unless said, doubtful ones are told.",
    )


class HospitalMapping(Section):
    """The whole file."""

    format: Literal[1] = Field(default=1, description="The version of this format.")
    source: SourceSection = Field(default=SourceSection(), description="How the hospital's file is read.")
    columns: tuple[ColumnSection, ...] = Field(
        default=(), description="The contract's columns. One not named is read by its name."
    )
    label: CellsSection | None = Field(default=None, description="The label.")
    patient: PatientMapping | None = Field(default=None, description="The patient.")
    split: CellsSection | None = Field(default=None, description="The split.")
    site: CellsSection | None = Field(default=None, description="The hospital, where one file holds several.")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns are named twice: {', '.join(twice)}")
        return self

    def require_known(self, contract: DataContract) -> None:
        """DataError where it names a column that the contract does not have, or translates a label of several columns."""
        if self.label is not None and len(contract.label.columns) > 1:
            raise DataError(
                "The mapping translates one column as the label, and the contract's label stands in several",
                expected=f"the columns {', '.join(contract.label.columns)} in the table itself",
                found="[label] in the mapping",
                hint="take [label] out, and export these columns under these names",
            )
        names = [column.name for column in contract.columns]
        if strange := [column.name for column in self.columns if column.name not in names]:
            raise DataError(
                f"The mapping names columns that the contract does not have: {', '.join(map(repr, strange))}",
                expected=", ".join(names),
                hint="correct name in these [[columns]]; the hospital's name goes into from",
            )


@dataclass(frozen=True)
class KeptMapping:
    """A mapping that was read from a file. sha256: of the file's bytes; it says which mapping was used, and nothing of it."""

    mapping: HospitalMapping
    sha256: str


def load_mapping(path: str | Path) -> KeptMapping:
    """The mapping in a file. DataError where it is not sound, each problem with its line."""
    mapping_path = Path(path)
    try:
        text = read_text(
            mapping_path, "mapping", "make one with: wardround data map PATH --contract study.toml --out mapping.toml"
        )
        mapping = read_as(HospitalMapping, text, str(mapping_path))
    except StudyError as error:
        raise DataError(error.what, expected=error.expected, found=error.found, hint=error.hint or "correct that line") from error
    return KeptMapping(mapping, hashlib.sha256(mapping_path.read_bytes()).hexdigest())
