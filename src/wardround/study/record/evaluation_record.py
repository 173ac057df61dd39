"""One evaluation of one model on one set of records, as it is kept: figures, intervals and the sums they came from.

This page holds no formula and knows no question: `wardround.tasks.evaluation` makes an Evaluation from sums and gives the sums
back.
"""

from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from wardround.study.sections.section import Section
from wardround.values.canonical import finite_or_none

Interval = tuple[float, float]
Item = TypeVar("Item")


def as_figure(value: object) -> object:
    """NaN and infinity, which JSON lacks, become null; numpy's numbers become Python's."""
    return finite_or_none(float(value)) if isinstance(value, float | np.floating) else value


def _count(value: object) -> object:
    return int(value) if isinstance(value, np.integer) else value


def as_interval(value: object) -> object:
    """An interval with an undefined end is no interval."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    ends = tuple(as_figure(end) for end in value)
    return None if None in ends else ends


def by_name(mapping: dict[str, Item]) -> dict[str, Item]:
    """Mappings are kept in name order, as canonical JSON writes them: so equal records are shown alike."""
    return dict(sorted(mapping.items()))


Figure = Annotated[float | None, BeforeValidator(as_figure)]
Count = Annotated[int, BeforeValidator(_count), Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Evaluation(Section):
    """One model's figures on one set of records; a figure that the records cannot give is None, and so is its interval."""

    values: Annotated[dict[str, Figure], AfterValidator(by_name)] = Field(
        description="Figure by metric key; null where the records cannot give it."
    )
    intervals: Annotated[dict[str, Annotated[Interval | None, BeforeValidator(as_interval)]], AfterValidator(by_name)] = Field(
        default_factory=dict, description="Two-sided 95 % interval (low, high) by metric key; null where undefined."
    )
    sums: dict[str, JsonValue] | None = Field(
        default=None, description="The sums behind the figures, as the task packs them; null where they were not kept."
    )

    def value(self, metric: str) -> float | None:
        """The figure, or None where it is undefined or was not measured."""
        return self.values.get(metric)

    def interval(self, metric: str) -> Interval | None:
        return self.intervals.get(metric)
