"""The [analysis.effect] section: what treatments do, on average and for single patients."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.sections.analysis.term import TermSection
from wardround.study.sections.section import Section


class EffectSection(Section):
    """The effect of treatments on an outcome: which columns, how the treatment came about, and what is told."""

    outcome: str = Field(
        min_length=1, description="The column of the outcome: a number or a yes or no of [[data.columns]], or the label's."
    )
    treatment: str = Field(min_length=1, description="The column of the treatment: a category, or a yes or no.")
    arms: tuple[str | int, ...] = Field(
        default=(),
        description="The treatments that are compared, the control first. Left out: all of the column's, in its contract's "
        "order. Patients with another treatment are left out, and counted.",
    )
    covariates: tuple[TermSection, ...] = Field(
        min_length=1,
        max_length=200,
        description="Columns from before the treatment that the outcome or the choice of treatment may depend on.",
    )
    curves: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        description="Numbers among the covariates whose effect may be curved: a restricted cubic spline, with knots 1.5 and 0.5 "
        "scales below and above the contract's center.",
    )
    probabilities: tuple[float, ...] = Field(
        default=(),
        description="Where the treatment was drawn by lot: the probability of each arm, in the order of `arms`. Left out: they "
        "are estimated from the covariates, and the result rests on nothing else having decided.",
    )
    smallest_probability: float = Field(
        default=0.01,
        gt=0,
        le=0.25,
        description="With estimated probabilities: a patient for whom some arm is less probable is left out of the averages, and "
        "counted. Agreed on before anybody looks.",
    )
    better: Literal["higher", "lower"] = Field(default="higher", description="Which outcome is better; rules are made by it.")
    individual: bool = Field(
        default=True, description="Whether effects for single patients, their calibration and treatment rules are told too."
    )
    links: tuple[Literal["identity", "log"], ...] = Field(
        default=("identity",),
        min_length=1,
        description="Forms of the outcome's models to choose from, by their error on patients that they did not see. identity: a "
        "line. log: effects multiply, for outcomes whose mean is above 0.",
    )
    penalties: tuple[float, ...] = Field(
        default=(0.1, 1.0, 10.0, 100.0),
        min_length=1,
        max_length=20,
        description="Ridge penalties to choose from in the same way, of columns with variance 1.",
    )
    folds: int = Field(
        default=5,
        ge=2,
        le=10,
        description="Parts that patients are divided into by a hash: nobody is judged by a model that saw him.",
    )

    reach: float = Field(
        default=150.0,
        ge=1,
        le=2**20,
        description="How far points may lie at which hospitals are asked for sums: the largest sum of the absolute coefficients "
        "of log odds or logarithms, of columns within -1 and 1; of an outcome in fifteenths of its range. Beyond it hospitals "
        "add nothing: at a far point a sum is of the few rows that are left.",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        named = [self.outcome, self.treatment, *(name for term in self.covariates for name in (term.column, term.times))]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @model_validator(mode="after")
    def _columns_have_one_part(self) -> Self:
        covariates = {name for term in self.covariates for name in (term.column, term.times)} - {None}
        named = [(term.column, term.times) for term in self.covariates]
        if twice := sorted({str(name) for name, times in named if named.count((name, times)) > 1}):
            raise ValueError(f"covariates are there twice: {', '.join(twice)}")
        if both := sorted({self.outcome, self.treatment} & covariates):
            raise ValueError(f"{', '.join(both)} is the outcome or the treatment, and may not be one of the covariates")
        if unknown := [name for name in self.curves if (name, None) not in named]:
            raise ValueError(f"curves names {', '.join(unknown)}, of which there is no covariate")
        if len(set(self.curves)) != len(self.curves):
            raise ValueError("curves names a column twice")
        if self.outcome == self.treatment:
            raise ValueError(f"the outcome and the treatment are both {self.outcome!r}")
        if len(set(self.links)) != len(self.links):
            raise ValueError("links are there twice")
        return self

    @model_validator(mode="after")
    def _numbers_are_usable(self) -> Self:
        if any(not 0 < penalty <= 1e9 for penalty in self.penalties):
            raise ValueError("penalties are numbers above 0, up to 1e9")
        if self.probabilities and (min(self.probabilities) <= 0 or abs(sum(self.probabilities) - 1) > 1e-6):
            raise ValueError(f"probabilities are above 0 and add up to 1; found {list(self.probabilities)}")
        if self.arms and len({str(arm) for arm in self.arms}) != len(self.arms):
            raise ValueError("arms are there twice")
        return self
