"""A value of the label to a whole number within the public range."""

import math

from wardround.study.cell_values import Value
from wardround.study.label import LabelContract, LabelKind, Target
from wardround.tasks.number.label import knows, number_of, parts, sides, wrong_range


def count_of(label: LabelContract, value: Value) -> Target | None:
    """As `number_of`; None for a number that is not whole."""
    number = number_of(label, value)
    return number if number is None or math.isnan(number) or number == int(number) else None


def wrong(label: LabelContract) -> str | None:
    if (said := wrong_range(label)) is not None:
        return said
    low, high = label.asked.range or (0.0, 1.0)
    if low != 0 or high != int(high):
        return f'kind = "count" counts from 0 to a whole number: task.range = [0, {max(int(high), 1)}]; found [{low:g}, {high:g}]'
    return None


COUNT = LabelKind(
    "count",
    count_of,
    "float32",
    frozenset({"summation.max_auc_drop"}),
    reads=frozenset({"blank", "unit", "range", "outside"}),
    wrong=wrong,
    sides=sides,
    parts=parts,
    knows=knows,
)
