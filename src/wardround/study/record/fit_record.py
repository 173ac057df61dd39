"""What a fitted regression says of itself: every number of its model, with its uncertainty. Part of a run's record."""

from typing import Literal

from pydantic import Field

from wardround.study.contract import DataContract
from wardround.study.record.evaluation_record import Count, Figure
from wardround.study.sections.section import Section


class CoefficientRecord(Section):
    name: str = Field(description="The column, its category, and the step that the coefficient is of.")
    estimate: Figure = Field(description="The coefficient.")
    standard_error: Figure = Field(description="Its standard error.")
    p: Figure = Field(description="Two-sided, of no effect.")


class BaselineRecord(Section):
    horizon: float = Field(description="A time, in the unit of the time's column.")
    cumulative_hazard: Figure = Field(description="The hazard summed until then, of a patient whose predictor is 0.")


class FitRecord(Section):
    """A regression over all hospitals' rows, which is a model: what it is made of, and what it answers."""

    family: Literal["binomial", "cox", "gaussian", "poisson", "negative_binomial"] = Field(
        description="binomial: log odds. cox: log hazard ratios. gaussian: differences. The others: log rate ratios."
    )
    data: DataContract = Field(description="What the model reads, and what it answers: its input contract.")
    rows: str = Field(description="Rows that the fit used; `< 5` where they are fewer than may be shown.")
    left_out: str = Field(description="Rows left out for a missing value.")
    events: str = Field(default="", description="Rows with the event; empty where the result does not say.")
    sums: Count = Field(description="Sums over the hospitals that the run took.")
    coefficients: tuple[CoefficientRecord, ...] = Field(description="In the order of the terms, an intercept first.")
    center: Figure = Field(default=0.0, description="cox: the linear predictor of the patient to whom the baseline belongs.")
    baseline: tuple[BaselineRecord, ...] = Field(default=(), description="cox: the baseline at each horizon.")
    deviation: Figure = Field(default=None, description="gaussian: the residual deviation.")
    log_likelihood: Figure = Field(default=None, description="At the coefficients.")
    deviance: Figure = Field(default=None, description="At the coefficients; null of a Cox regression.")
    aic: Figure = Field(default=None, description="Akaike's criterion; null of a Cox regression.")
