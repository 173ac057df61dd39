"""A value of the label to the place of its class."""

from typing import Any

from numpy.typing import NDArray

from wardround.study.cell_values import Value, codes, spelled
from wardround.study.label import LabelContract, LabelKind, Target
from wardround.tasks.shared.score_stack import BLANK

FEWEST = 2


def place_of(label: LabelContract, value: Value) -> Target | None:
    """The place of the class that a value means; BLANK for a blank one, None for one that the contract does not know."""
    text = spelled(value)
    if text in codes(label.asked.blank, label.case):
        return BLANK
    return next((position for position, one in enumerate(label.asked.classes) if text in codes(one.values, label.case)), None)


def wrong(label: LabelContract) -> str | None:
    if len(label.asked.classes) < FEWEST:
        return 'kind = "classes" needs task.classes: two or more, each with its name and its values'
    if any(one.share is None for one in label.asked.classes) and any(one.share is not None for one in label.asked.classes):
        return "a public share is stated of every class, or of none"
    return None


def sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    return tuple((one.name, ", ".join(map(str, one.values))) for one in label.asked.classes)


def parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    counted = {one.name: int((targets == position).sum()) for position, one in enumerate(label.asked.classes)}
    blank = int((targets == BLANK).sum())
    return {**counted, "blank": blank} if label.asked.blank else counted


def knows(label: LabelContract, target: Target) -> bool:
    return BLANK <= target < len(label.asked.classes)


CLASSES = LabelKind(
    "classes",
    place_of,
    "int8",
    frozenset({"training.class_balance", "training.label_smoothing", "summation.max_auc_drop"}),
    reads=frozenset({"classes", "blank"}),
    wrong=wrong,
    sides=sides,
    parts=parts,
    knows=knows,
)
