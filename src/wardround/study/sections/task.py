"""What a kind of question needs to know beyond yes and no: classes, grades, findings, a public scale, a grid of times.

`[task]` at the top of a study file is written out below [data.label], so that whatever holds the data contract (a model file, a
hospital's approval, the clinic) holds the question too.
"""

import math
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from wardround.study.cell_values import named_twice
from wardround.study.sections.section import Section

Values = tuple[str | int, ...]
MOST_CLASSES = 32
MOST_FINDINGS = 15
"""All answers of a record are one whole number, three values for each finding, which float32 holds exactly."""
MOST_INTERVALS = 64


class ClassSection(Section):
    """One of the classes, or of the grades in their order from the least on."""

    name: str = Field(min_length=1, description="What it is called in tables, in the report and in the model file.")
    values: Values = Field(min_length=1, description='Values of the label that mean it, for example ["NORMAL", 0].')
    share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="classes: its public share among such patients. training.class_balance then weighs by these shares and counts"
        " nobody, also in a private study.",
    )


class BetweenSection(Section):
    """Values that say only between which grades a record lies, such as "1 or more"."""

    values: Values = Field(min_length=1, description='Values of the label that mean it, for example ["1+"].')
    least: str = Field(description="The least grade that it may be, by its name.")
    most: str = Field(description="The largest grade that it may be, by its name.")


class FindingSection(Section):
    """One of several findings, each with yes, no or blank of its own."""

    name: str = Field(min_length=1, description="What it is called in tables, in the report and in the model file.")
    column: str = Field(
        default="", description="The column that holds it; empty: data.label.column names the findings that are there."
    )
    positive: Values = Field(default=(1,), min_length=1, description="Values that mean yes.")
    negative: Values = Field(default=(0,), min_length=1, description="Values that mean no.")


class TaskSection(Section):
    """What a kind of question other than yes or no needs to know. Each kind reads some of these settings, and needs some."""

    classes: tuple[ClassSection, ...] = Field(
        default=(), max_length=MOST_CLASSES, description="classes: what a record may be. grades: the grades, from the least on."
    )
    between: tuple[BetweenSection, ...] = Field(
        default=(), description="grades: values that leave open which of several neighbouring grades it is."
    )
    findings: tuple[FindingSection, ...] = Field(
        default=(), max_length=MOST_FINDINGS, description="findings: what may be found, each by itself."
    )
    blank: Values = Field(
        default=(),
        description="Values that say that the answer is not known. Such a record is kept, and counts neither in training nor in "
        "any figure; of several findings, the others count.",
    )
    unit: str = Field(default="", description="number, count, time: the unit, for example days.")
    range: tuple[float, float] | None = Field(
        default=None,
        description="number, count: the smallest and the largest answer. Public: outputs, losses and sums are scaled by it.",
    )
    outside: Literal["refuse", "clip"] = Field(
        default="refuse", description="number, count, time: what an answer outside the range means: refuse, or move to the bound."
    )
    scale: Literal["linear", "log"] = Field(
        default="linear", description="number: errors count on this scale. log is of 1 + the number less the smallest one."
    )
    loss: Literal["squared", "huber"] = Field(
        default="squared", description="number: the loss of the middle answer; huber weighs far errors less."
    )
    coverage: float = Field(
        default=0.8,
        ge=0.5,
        le=0.99,
        description="number, count: how many of 100 true answers the range that is given is to hold.",
    )
    spread: Literal["own", "constant"] = Field(
        default="own",
        description="number: whether each record has a range of its own width, or all the same one on the scale, which few "
        "records can teach.",
    )
    event: str = Field(default="", description="time: the column that says whether the event was seen; data.label.column: when.")
    seen: Values = Field(default=(1,), min_length=1, description="time: values of that column that mean that it was seen.")
    unseen: Values = Field(
        default=(0,), min_length=1, description="time: values that mean that the record was followed so long without it."
    )
    grid: tuple[float, ...] = Field(
        default=(),
        max_length=MOST_INTERVALS + 1,
        description="time: where intervals of time end, from 0 on, in the unit. Public.",
    )
    horizons: tuple[float, ...] = Field(
        default=(), max_length=8, description="time: ends of the grid at which answers are given and judged."
    )

    hazards: Literal["proportional", "own"] = Field(
        default="proportional",
        description="time: whether all intervals share one score of a record, each with an offset (proportional), or each "
        "interval has weights of its own, which need many events.",
    )

    @model_validator(mode="after")
    def _parts_are_sound(self) -> Self:
        for what, names in (
            ("classes", [one.name for one in self.classes]),
            ("findings", [one.name for one in self.findings]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} have one name twice: {', '.join(twice)}")
        values = [value for one in self.classes for value in one.values]
        values += [value for one in self.between for value in one.values] + list(self.blank)
        if named_twice(values):
            raise ValueError("classes, between and blank name one value twice")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range is the smallest answer and then the largest, above it; found {list(self.range)}")
        if any(not math.isfinite(edge) or edge < 0 for edge in self.grid) or any(a >= b for a, b in pairwise(self.grid)):
            raise ValueError("grid is a list of times that rise, from 0 on")
        return self
