"""The [analysis] section of a study that asks for tables and figures in place of a model."""

from typing import Self

from pydantic import Field, model_validator

from wardround.study.sections.analysis.describe import DescribeSection
from wardround.study.sections.analysis.effect import EffectSection
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.study.sections.analysis.survival import SurvivalSection
from wardround.study.sections.section import Section

COMMON = frozenset({"largest_hospital", "exchanges", "smallest_cell"})
"""Settings that every kind of analysis reads. Every other is the section of one kind."""


class AnalysisSection(Section):
    """Which numbers a study asks for, in place of a model: exactly one of the sections below."""

    largest_hospital: int = Field(
        default=100_000,
        ge=1,
        le=2**28,
        description="No hospital has more rows than this. The bounds of the sums follow from it and from the ranges of the "
        "columns, and with them the last digits that are exact; a hospital with more rows does not take part.",
    )
    exchanges: int = Field(
        default=25,
        ge=1,
        le=1000,
        description="The most sums that a fit takes, one after another. Each is one entry of the list that a hospital answers.",
    )
    smallest_cell: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Counts of all hospitals together below this are not shown, and neither is what would give them away. A "
        "hospital's own policy may ask for more. 1 shows everything.",
    )
    describe: DescribeSection | None = Field(
        default=None, description="Who the patients are: Table 1, correlations, cross-tables."
    )
    regression: RegressionSection | None = Field(default=None, description="A regression: odds ratios, rate ratios, differences.")
    effect: EffectSection | None = Field(default=None, description="What treatments do, on average and for single patients.")

    survival: SurvivalSection | None = Field(
        default=None, description="Survival: curves by group, log-rank tests, hazard ratios, what predictions are worth."
    )

    @property
    def kind(self) -> str:
        """The kind of analysis: the name of the section that is there."""
        return next(name for name in type(self).model_fields if name not in COMMON and getattr(self, name) is not None)

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Self:
        kinds = [name for name in type(self).model_fields if name not in COMMON]
        stated = [name for name in kinds if getattr(self, name) is not None]
        if len(stated) != 1:
            raise ValueError(
                f"[analysis] has exactly one of {', '.join(f'[analysis.{name}]' for name in kinds)}; found "
                f"{', '.join(stated) or 'none'}"
            )
        return self
