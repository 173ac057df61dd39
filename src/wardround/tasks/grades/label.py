"""A value of the label to a grade, or to the grades between which it lies.

"2" -> 2      "1+" (between "1" and "4") -> one more than the last grade, and so on, value by value      "?" -> BLANK
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import Value, codes, spelled
from wardround.study.label import LabelContract, LabelKind, Target
from wardround.tasks.shared.score_stack import BLANK

FEWEST = 3


def place_of(label: LabelContract, value: Value) -> Target | None:
    """See above; None for a value that the contract does not know."""
    text, asked = spelled(value), label.asked
    if text in codes(asked.blank, label.case):
        return BLANK
    known_rows = [one.values for one in asked.classes] + [one.values for one in asked.between]
    return next((position for position, values in enumerate(known_rows) if text in codes(values, label.case)), None)


def names_of(label: LabelContract) -> tuple[str, ...]:
    """Of the grades, from the least on."""
    return tuple(one.name for one in label.asked.classes)


def may_be(label: LabelContract) -> NDArray[np.bool_]:
    """(grades and intervals, grades): which grades each target may be; the last row is a blank's, which BLANK finds too."""
    names = names_of(label)
    rows = [np.arange(len(names)) == position for position in range(len(names))]
    for one in label.asked.between:
        least, most = names.index(one.least), names.index(one.most)
        rows.append((least <= np.arange(len(names))) & (np.arange(len(names)) <= most))
    return np.array([*rows, np.zeros(len(names), bool)])


def between_name(least: str, most: str, last: str) -> str:
    """An interval of grades in words."""
    return f"{least} or more" if most == last else f"{least} to {most}"


def wrong(label: LabelContract) -> str | None:
    names = names_of(label)
    if len(names) < FEWEST:
        return 'kind = "grades" needs task.classes: three or more grades, from the least on, each with its name and its values'
    if any(one.share is not None for one in label.asked.classes):
        return 'task.classes.share does nothing with kind = "grades", whose classes are not balanced: leave it out'
    for one in label.asked.between:
        if one.least not in names or one.most not in names or names.index(one.least) >= names.index(one.most):
            return f'task.between goes from one grade to a larger one by their names; found "{one.least}" to "{one.most}"'
    return None


def sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    last = names_of(label)[-1]
    exact = tuple((one.name, ", ".join(map(str, one.values))) for one in label.asked.classes)
    return exact + tuple(
        (between_name(one.least, one.most, last), ", ".join(map(str, one.values))) for one in label.asked.between
    )


def parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    counted = {name: int((targets == position).sum()) for position, (name, _) in enumerate(sides(label))}
    return {**counted, "blank": int((targets == BLANK).sum())} if label.asked.blank else counted


def knows(label: LabelContract, target: Target) -> bool:
    return BLANK <= target < len(sides(label))


GRADES = LabelKind(
    "grades",
    place_of,
    "int8",
    frozenset({"summation.max_auc_drop"}),
    reads=frozenset({"classes", "between", "blank"}),
    wrong=wrong,
    sides=sides,
    parts=parts,
    knows=knows,
)
