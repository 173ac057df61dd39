"""A value of the label to a number within the public range."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import Value, codes, is_number, spelled
from wardround.study.label import LabelContract, LabelKind, Target

BLANK = math.nan


def number_of(label: LabelContract, value: Value) -> Target | None:
    """BLANK for a blank value; None for one that is no number, or lies outside the range of a study that refuses those."""
    text = spelled(value)
    if text in codes(label.asked.blank, label.case):
        return BLANK
    if not is_number(text) or label.asked.range is None:
        return None
    number, (low, high) = float(text), label.asked.range
    if not low <= number <= high and label.asked.outside == "refuse":
        return None
    return min(max(number, low), high)


def wrong_range(label: LabelContract) -> str | None:
    if label.asked.range is None:
        return f'kind = "{label.kind}" needs task.range: the smallest and the largest answer, which everybody may know'
    return None


def sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    low, high = label.asked.range or (0.0, 1.0)
    beyond = "moved to the bound" if label.asked.outside == "clip" else "refused"
    return (("Range", f"{low:g} to {high:g} {label.asked.unit}".strip() + f"; beyond it {beyond}"),)


def parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    """By halves of the public range: no number of a patient is told."""
    low, high = label.asked.range or (0.0, 1.0)
    known_rows = targets[np.isfinite(targets.astype(np.float64))]
    upper = int((known_rows > (low + high) / 2).sum())
    blank = len(targets) - len(known_rows)
    halves = {
        f"up to {(low + high) / 2:g} (lower half)": len(known_rows) - upper,
        f"above {(low + high) / 2:g} (upper half)": upper,
    }
    return {**halves, "blank": blank} if label.asked.blank else halves


def knows(label: LabelContract, target: Target) -> bool:
    low, high = label.asked.range or (0.0, 1.0)
    return math.isnan(target) or low <= target <= high


NUMBER = LabelKind(
    "number",
    number_of,
    "float32",
    frozenset({"summation.max_auc_drop"}),
    reads=frozenset({"blank", "unit", "range", "outside", "scale", "loss", "coverage", "spread"}),
    wrong=wrong_range,
    sides=sides,
    parts=parts,
    knows=knows,
)
