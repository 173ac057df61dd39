"""The [analysis.describe] section: who the patients of all hospitals together are."""

from pydantic import Field, model_validator

from wardround.study.sections.section import Section


class DescribeSection(Section):
    """A Table 1, and what goes with it: correlations, cross-tables, histograms, the value of columns for a yes or no."""

    columns: tuple[str, ...] = Field(
        default=(), max_length=500, description="The columns that are described. Left out: all of [[data.columns]]."
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description="A category or binary column, or the label: one column of the table for each value.",
    )
    bins: int = Field(
        default=1024,
        ge=16,
        le=65_536,
        description="Bins of equal width over a number's range, from whose counts median and quartiles are read: they are exact "
        "to one bin.",
    )
    correlation: bool = Field(default=False, description="Whether numbers and binaries are correlated, pair by pair.")
    cross_tables: tuple[tuple[str, str], ...] = Field(
        default=(), max_length=200, description="Pairs of categories or binaries, each with its counts and a chi-square test."
    )
    histograms: bool = Field(default=False, description="Whether numbers are drawn.")
    value_for: str | None = Field(
        default=None,
        min_length=1,
        description="A binary column, or the label: how well each described column tells it, by weight of evidence and "
        "information value.",
    )
    value_bins: int = Field(
        default=10, ge=2, le=50, description="For value_for: groups of about equal size that a number is cut into."
    )

    @model_validator(mode="after")
    def _cross_tables_are_of_two(self) -> "DescribeSection":
        if same := [left for left, right in self.cross_tables if left == right]:
            raise ValueError(f"a cross-table is of two columns; found {same[0]!r} twice")
        return self
