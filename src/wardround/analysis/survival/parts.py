"""Parts of a result, made one after another and joined."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wardround.analysis.result import Cell, Chart, Table
from wardround.privacy.disclosure import withheld_of_list


@dataclass(frozen=True)
class ResultParts:
    """As in `Result`."""

    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: float = 0.0

    def __add__(self, other: "ResultParts") -> "ResultParts":
        return ResultParts(
            self.tables + other.tables,
            self.charts + other.charts,
            {**self.figures, **other.figures},
            self.notes + other.notes,
            max(self.error, other.error),
        )


def told(value: float) -> float | None:
    """A number as a file can hold it; None for what is not there, also where a time is never reached."""
    return float(value) if math.isfinite(value) else None


def shown_or_none(count: int, smallest: int) -> int | None:
    """A count as a figure; None where it is of fewer than may be shown."""
    return None if 0 < count < smallest else count


def small(counts: list[int], smallest: int) -> list[bool]:
    """Which of counts whose sum is known may not be shown."""
    return [bool(is_withheld) for is_withheld in withheld_of_list(np.array(counts, np.int64), smallest)]


def cells(counts: list[int], smallest: int) -> list[Cell]:
    """Counts as a table shows them. One that is hidden for another's sake stands as an empty cell."""
    return [
        count if not is_hidden else f"< {smallest}" if count < smallest else None
        for count, is_hidden in zip(counts, small(counts, smallest), strict=True)
    ]
