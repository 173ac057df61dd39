"""One evaluation of one model on one set of records, as it is kept: figures, intervals and the sums they came from.

This page holds no formula: `wardround.tasks.evaluation` makes an Evaluation from sums and gives the sums back.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from wardround.study.sections.section import Section
from wardround.values.canonical import finite_or_none

Interval = tuple[float, float]
Item = TypeVar("Item")


def as_figure(value: object) -> object:
    """NaN and infinity, which JSON lacks, become null; numpy's numbers become Python's."""
    return finite_or_none(float(value)) if isinstance(value, float | np.floating) else value


def _count(value: object) -> object:
    return int(value) if isinstance(value, np.integer) else value


def _interval(value: object) -> object:
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


class SparseSums(Section):
    """The integer sums of an evaluation; of the histogram only the filled bins.

    The law: SparseSums.from_counts(counts).to_counts() equals counts.
    """

    bins: Annotated[int, Field(gt=0, description="Number of equal bins of the logit.")]
    negatives: tuple[tuple[Count, Count], ...] = Field(description="(bin, records) of class 0, filled bins only, in bin order.")
    positives: tuple[tuple[Count, Count], ...] = Field(description="(bin, records) of class 1, filled bins only, in bin order.")
    calibration: tuple[tuple[Count, Count, Count], ...] = Field(
        description="For each equal-width bin of the probability: records, sum of probability x 2^20, positive records."
    )
    brier: Count = Field(description="Sum of squared errors of the probability, x 2^20.")
    loss: Count = Field(description="Sum of the cross-entropies in nats, each capped at 16, x 2^20.")

    @model_validator(mode="after")
    def _bins_are_in_reach(self) -> "SparseSums":
        for filled in (self.negatives, self.positives):
            places = [place for place, _ in filled]
            if places != sorted(set(places)) or (places and places[-1] >= self.bins):
                raise ValueError(f"bins must rise and stay below {self.bins}")
        return self

    @classmethod
    def from_counts(cls, counts: Mapping[str, NDArray[Any]]) -> "SparseSums":
        """From the arrays histogram (2, bins), calibration (b, 3), brier () and loss ()."""
        histogram = counts["histogram"]
        return cls(
            bins=histogram.shape[1],
            negatives=_filled(histogram[0]),
            positives=_filled(histogram[1]),
            calibration=tuple((int(n), int(total), int(hits)) for n, total, hits in counts["calibration"]),
            brier=int(counts["brier"]),
            loss=int(counts["loss"]),
        )

    def to_counts(self) -> dict[str, NDArray[np.int64]]:
        histogram = np.zeros((2, self.bins), np.int64)
        for row, filled in enumerate((self.negatives, self.positives)):
            for place, count in filled:
                histogram[row, place] = count
        calibration = np.array(self.calibration, np.int64).reshape(-1, 3)
        return {
            "histogram": histogram,
            "calibration": calibration,
            "brier": np.asarray(self.brier, np.int64),
            "loss": np.asarray(self.loss, np.int64),
        }


def _filled(row: NDArray[Any]) -> tuple[tuple[int, int], ...]:
    return tuple((int(place), int(row[place])) for place in np.flatnonzero(row))


class Evaluation(Section):
    """One model's figures on one set of records; a figure that the records cannot give is None, and so is its interval."""

    values: Annotated[dict[str, Figure], AfterValidator(by_name)] = Field(
        description="Figure by metric key; null where the records cannot give it."
    )
    intervals: Annotated[dict[str, Annotated[Interval | None, BeforeValidator(_interval)]], AfterValidator(by_name)] = Field(
        default_factory=dict, description="Two-sided 95 % interval (low, high) by metric key; null where undefined."
    )
    sums: SparseSums | None = Field(default=None, description="The sums behind the figures; null where they were not kept.")

    def value(self, metric: str) -> float | None:
        """The figure, or None where it is undefined or was not measured."""
        return self.values.get(metric)

    def interval(self, metric: str) -> Interval | None:
        return self.intervals.get(metric)
