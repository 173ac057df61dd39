"""The [analysis.regression] section: a generalised linear model over all hospitals' rows."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.sections.analysis.term import TermSection
from wardround.study.sections.section import Section

Family = Literal["gaussian", "binomial", "poisson", "gamma", "negative_binomial"]
Variance = Literal["model", "hc0", "hc1", "clustered"]
TermTests = Literal["wald", "likelihood_ratio"]


class RegressionSection(Section):
    """A regression: which column it explains, by which others, and how the intervals are made."""

    outcome: str = Field(
        min_length=1, description="The column that is explained: one of [[data.columns]], or the label's, which is then 0 or 1."
    )
    family: Family = Field(
        description="gaussian: differences of a number. binomial: odds ratios of a yes or no. poisson, negative_binomial: rate "
        "ratios of a count. gamma: ratios of a number above 0."
    )
    terms: tuple[TermSection, ...] = Field(min_length=1, max_length=500, description="What explains it, in order.")
    intercepts: Literal["common", "own", "both", "random"] = Field(
        default="common",
        description="common: one intercept. own: one for each hospital, so that a hospital where more have the outcome, for "
        "reasons that no column holds, does not move the other coefficients. both: the two models side by side. random: "
        "hospitals' intercepts are drawn from a normal law, whose variance is estimated (all families but gamma).",
    )
    reml: bool = Field(
        default=False,
        description='For intercepts = "random" of a gaussian family: whether the variances are by the restricted likelihood, '
        "which counts the coefficients as estimated, so that they are not too small. Otherwise by maximum likelihood.",
    )
    offset: str | None = Field(
        default=None,
        min_length=1,
        description="For a count: the column of the time (or the persons) at risk, above 0; its logarithm is the offset.",
    )
    weights: str | None = Field(default=None, min_length=1, description="The column of the rows' weights, 0 or more.")
    ridge: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        description="Penalty on the squared coefficients: half of this times their sum, of columns scaled as the contract says, "
        "intercepts free. 0 is none.",
    )
    dispersion: float | None = Field(
        default=None, gt=0, le=1e6, description="For negative_binomial: its dispersion alpha, variance = mean + alpha mean^2."
    )
    variance: Variance = Field(
        default="model",
        description="Where standard errors come from: the model; hc0 or hc1, robust against a wrong variance; clustered, robust "
        "also where a patient has several rows.",
    )
    term_tests: TermTests = Field(
        default="wald",
        description="How whole terms are tested. wald: from the model itself. likelihood_ratio: besides, the model without each "
        "term is fitted in the same sums, and its deviance compared; a term that is part of a product is not left out.",
    )
    reach: float = Field(
        default=200.0,
        ge=1,
        le=2**20,
        description="How far a point may lie at which hospitals are asked for sums: the largest sum of the absolute "
        "coefficients, of columns scaled to lie within -1 and 1; of a gaussian family in twentieths of the outcome's range. "
        "Beyond it hospitals add nothing. At a far point nearly every row weighs nothing, and a sum is of the few that are left.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the intervals.")
    events_per_coefficient: float = Field(
        default=5.0,
        ge=0,
        le=1000,
        description="binomial, poisson, negative_binomial: with fewer events (or fewer rows without one) for each coefficient "
        "the study is refused its table. 0 asks for none.",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        named = [self.outcome, *(name for term in self.terms for name in (term.column, term.times)), self.offset, self.weights]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @model_validator(mode="after")
    def _settings_fit_the_family(self) -> Self:
        counts = self.family in ("poisson", "negative_binomial")
        if self.offset is not None and not counts:
            raise ValueError(f'offset is the time at risk of a count: leave it out with family = "{self.family}"')
        if (self.dispersion is not None) != (self.family == "negative_binomial"):
            raise ValueError('dispersion is what family = "negative_binomial" needs, and it alone')
        if self.intercepts == "random":
            if self.family == "gamma":
                raise ValueError(
                    'intercepts = "random" is not there for family = "gamma", whose dispersion is a moment and no part of a '
                    'likelihood: set intercepts = "own", or explain the logarithm with family = "gaussian"'
                )
            others = {"weights": None, "ridge": 0.0, "variance": "model", "term_tests": "wald"}
            if wrong := [name for name, default in others.items() if getattr(self, name) != default]:
                raise ValueError(f'{wrong[0]} does nothing with intercepts = "random": leave it out')
        if self.reml and (self.intercepts != "random" or self.family != "gaussian"):
            raise ValueError(
                'reml is of intercepts = "random" and family = "gaussian", where the restricted likelihood has a closed form: '
                "leave it out"
            )
        if self.term_tests == "likelihood_ratio" and (self.ridge > 0 or self.variance != "model"):
            raise ValueError(
                'term_tests = "likelihood_ratio" compares likelihoods, which say nothing with a ridge, or where standard errors '
                "do not come from the model: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _terms_differ(self) -> Self:
        named = [(term.column, term.times) for term in self.terms]
        if twice := sorted({str(name) for name, times in named if named.count((name, times)) > 1}):
            raise ValueError(f"terms are there twice: {', '.join(twice)}")
        if self.outcome in {name for pair in named for name in pair} - {None}:
            raise ValueError(f"the outcome {self.outcome!r} is one of the terms")
        return self
