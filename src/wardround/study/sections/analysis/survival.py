"""The [analysis.survival] section: when patients have an event, by group, and what makes it come earlier."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.sections.analysis.term import TermSection
from wardround.study.sections.section import Section

Ties = Literal["efron", "breslow"]
Baseline = Literal["by_hospital", "common"]


class SurvivalSection(Section):
    """Curves on a public grid of times, tests between groups, and a Cox regression where terms are named."""

    time: str = Field(min_length=1, description="The column of the time at which a patient leaves: a number with a range from 0.")
    event: str = Field(
        min_length=1,
        description="Whether the event was seen then: the label's column, a binary one, or a category with `causes`.",
    )
    causes: tuple[str | int, ...] = Field(
        default=(),
        max_length=20,
        description="For a category: the codes that are events. The first is the event asked for, the others compete with it; "
        "any other code means that the patient was still without an event.",
    )
    groups: str | None = Field(
        default=None, min_length=1, description="The column, a category or binary, whose groups have curves of their own."
    )
    strata: str | None = Field(
        default=None,
        min_length=1,
        description="A column, a category or binary, whose groups have baselines of their own within each hospital, in the "
        "log-rank test by hospital and in the Cox regression.",
    )
    strata_baselines: bool = Field(
        default=False,
        description="Whether the baseline hazard of each of the `strata` becomes public, over all hospitals, on cells in which "
        "none or smallest_cell of each leave. Where the column says whose patients they are, that is one hospital's figure.",
    )
    until: float = Field(gt=0, le=1e6, description="How long patients are followed on the curves, in the unit of the time.")
    cell: float = Field(
        gt=0,
        le=1e6,
        description="Width of a cell of the public grid, in the unit of the time. Where fewer patients leave in a cell than "
        "smallest_cell it is joined with the next one, and the result says so.",
    )
    whole_times: bool = Field(
        default=True, description="Whether times are whole numbers, such as days. Then cells 1 wide lose nothing."
    )
    horizons: tuple[float, ...] = Field(
        default=(),
        max_length=20,
        description="Times up to `until` at which survival, restricted means and predicted chances are told.",
    )
    terms: tuple[TermSection, ...] = Field(
        default=(), max_length=500, description="The columns of a Cox regression, in order. None: curves and tests alone."
    )
    baseline: Baseline = Field(
        default="by_hospital",
        description="by_hospital: each hospital's patients are compared with its own, and nothing about single times leaves it. "
        "common: one baseline for all hospitals, by sums in every cell of the grid.",
    )
    ties: Ties = Field(
        default="efron", description="What becomes of events at one time, in a regression by hospital. On the grid it is breslow."
    )
    ridge: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        description="Penalty on the squared coefficients: half of this times their sum, of columns scaled as the contract says. "
        "0 is none.",
    )
    reach: float = Field(
        default=30.0,
        ge=1,
        le=2**20,
        description="How far a point may lie at which hospitals are asked for a regression's sums: the largest sum of the "
        "absolute coefficients, of columns scaled to lie within -1 and 1. Beyond it hospitals add nothing: at a far point one "
        "patient outweighs all others in a risk set.",
    )
    held_out: bool = Field(
        default=False,
        description="Whether the regression leaves the test patients of [data.splits] out, and its predictions are judged on "
        "them. Without, they are judged on the patients that made them, and look better than they are.",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        of_terms = (name for term in self.terms for name in (term.column, term.times))
        named = (self.time, self.event, self.groups, self.strata, *of_terms)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.until / self.cell > 20_000:
            raise ValueError("until / cell is the number of cells, at most 20,000: widen the cell")
        if any(not 0 < horizon <= self.until for horizon in self.horizons) or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError("horizons rise, and lie above 0 and up to until")
        if self.whole_times and any(time % 1 for time in (self.until, self.cell, *self.horizons)):
            raise ValueError("until, cell and horizons are whole numbers, or whole_times = false")
        return self

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        if not self.terms:
            for name in ("ridge", "held_out", "ties", "baseline", "reach"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is of a Cox regression: name its terms, or leave it out")
        if self.strata_baselines and (self.strata is None or not self.terms):
            raise ValueError("strata_baselines is of a Cox regression with strata: name both, or leave it out")
        if self.baseline == "common" and self.strata is not None:
            raise ValueError('strata have baselines of their own, and baseline = "common" is one for all')
        if self.baseline == "common" and self.ties != "breslow":
            raise ValueError('on the grid of baseline = "common" ties are joined by cell: set ties = "breslow"')
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        named = [(term.column, term.times) for term in self.terms]
        if twice := sorted({str(name) for name, times in named if named.count((name, times)) > 1}):
            raise ValueError(f"terms are there twice: {', '.join(twice)}")
        special = [name for name in (self.time, self.event, self.groups, self.strata) if name is not None]
        if len(set(special)) < len(special):
            raise ValueError("time, event, groups and strata are columns of their own")
        inner = {self.time, self.event, self.strata} & {name for pair in named for name in pair if name is not None}
        if inner:
            raise ValueError(f"{min(name for name in inner if name)} is one of the terms, and time, event or strata as well")
        return self
