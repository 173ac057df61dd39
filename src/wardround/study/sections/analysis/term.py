"""One term of a regression's formula: a column, the unit of its coefficient, and what it is multiplied by."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.sections.section import Section

Missing = Literal["leave_out", "indicator"]


class TermSection(Section):
    """One term of a model: a number, a yes or no, or the categories of a column, each against the first."""

    column: str = Field(min_length=1, description="The column of [[data.columns]].")
    per: float = Field(
        default=1.0,
        gt=0,
        le=1e12,
        description="For a number: the step that its coefficient is of, in the column's unit. 10 for an age in years is per 10 "
        "years.",
    )
    reference: str | int | None = Field(
        default=None,
        description="For a category: the one that the others are compared with. Left out: the first of the contract.",
    )
    missing: Missing = Field(
        default="leave_out",
        description="What becomes of a row without a value: it is left out (and counted), or it counts with a column of its own "
        "that is 1 where the value is missing.",
    )
    times: str | None = Field(
        default=None,
        min_length=1,
        description="Another column: the term is their product, an interaction. Both columns need terms of their own as well.",
    )

    @model_validator(mode="after")
    def _no_square(self) -> Self:
        if self.times == self.column:
            raise ValueError(f"a term is a column, or the product of two different ones; found {self.column!r} twice")
        return self
