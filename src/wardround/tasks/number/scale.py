"""The public scale on which errors of a number count: linear, or the logarithm of 1 + what it is above the smallest.

number in the unit --aim--> -2 ... 2, the middle of the scale at 0 --number--> back, within the range
"""

from dataclasses import dataclass

import numpy as np

from wardround.study.label import LabelContract
from wardround.study.sections.task import TaskSection
from wardround.tasks.protocol import Floats
from wardround.tasks.shared.errors import Range

REACH = 2.0
"""Aims lie from -REACH to REACH: numbers of ordinary size, whatever the unit."""


def columns_of(asked: TaskSection) -> tuple[int, int, int]:
    """Where middle, low and high end stand among the outputs. With a constant spread they share one score, and fall."""
    return (1, 2, 0) if asked.spread == "constant" else (0, 1, 2)


@dataclass(frozen=True)
class Scale:
    """bounds: of the range. logarithmic: whether errors count on the logarithm."""

    bounds: Range
    logarithmic: bool

    @classmethod
    def of(cls, label: LabelContract) -> "Scale":
        low, high = label.asked.range or (0.0, 1.0)
        return cls(Range(low, high), label.asked.scale == "log")

    @property
    def width(self) -> float:
        """Of the whole range, on the scale."""
        return float(np.log1p(self.bounds.width)) if self.logarithmic else self.bounds.width

    def part(self, numbers: Floats) -> Floats:
        """0 at the low end of the scale, 1 at its high end."""
        part = self.bounds.part(numbers)
        return np.log1p(part * self.bounds.width) / self.width if self.logarithmic else part

    def aim(self, numbers: Floats) -> Floats:
        """What an output is to be."""
        return REACH * (2.0 * self.part(numbers) - 1.0)

    def number(self, outputs: Floats) -> Floats:
        """What an output says, in the unit."""
        part = np.clip(outputs / (2.0 * REACH) + 0.5, 0.0, 1.0)
        return self.bounds.low + (np.expm1(part * self.width) if self.logarithmic else part * self.width)
