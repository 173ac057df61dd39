"""The label section of a study: which column holds the answer, and how its values become targets.

    value --LABEL_KINDS[kind].target--> target (0 or 1, a number, ...), or None: a value that the contract does not know

What a kind of question does with its targets stands in `wardround.tasks`, above this room. It makes itself known here when it
is registered there, so that readers and studies need to know the label section alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardround.study.cell_values import Case, Value, codes, exact_number, spelled
from wardround.study.sections.section import Section
from wardround.study.sections.task import TaskSection

Target = int | float
TargetKind = Literal["int8", "float32"]
_RULE = re.compile(r"\s*(<=|>=|<|>|=)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*", re.ASCII)


@dataclass(frozen=True)
class LabelKind:
    """One kind of question, as data and studies see it.

    target: a value of the label's column to its target; None for a value that the contract does not know. dtype: of targets in
    arrays. uses: those of KIND_SETTINGS that this kind reads; a study that sets another is refused.

    reads: the settings of [task] that it reads. wrong: what a label section lacks or has too much, in words; None where it is
    sound. columns: those that hold the label; a cell of several is their words joined by JOINT. sides: what values mean, in
    words. parts: how many of the targets are of each sort, by its name; empty where they have none. overlapping: whether one
    record may be of several sorts, or of none, so that they are no parts of a whole. knows: whether a number is a
    target of the contract, for records that were prepared before.
    """

    name: str
    target: Callable[["LabelContract", Value], Target | None]
    dtype: TargetKind
    uses: frozenset[str]
    reads: frozenset[str] = frozenset()
    wrong: Callable[["LabelContract"], str | None] = lambda _label: None
    columns: Callable[["LabelContract"], tuple[str, ...]] = lambda label: (label.column,)
    sides: Callable[["LabelContract"], tuple[tuple[str, str], ...]] = lambda _label: ()
    parts: Callable[["LabelContract", NDArray[Any]], dict[str, int]] = lambda _label, _targets: {}
    overlapping: bool = False
    knows: Callable[["LabelContract", Target], bool] = lambda _label, _target: True


UNDISCLOSED = "undisclosed"
"""The kind of question of a study that says nothing of its hospitals' questions."""

JOINT = "\x1f"
"""Between the words of several columns that hold one label together."""


KIND_SETTINGS = (
    "data.label.positive",
    "data.label.negative",
    "training.class_balance",
    "training.label_smoothing",
    "evaluation.threshold",
    "evaluation.model_threshold",
    "summation.max_auc_drop",
)
"""Settings that only some kinds of question read."""

LABEL_KINDS: dict[str, LabelKind] = {}


def register_label_kind(label_kind: LabelKind) -> None:
    """Make a kind known. ValueError where another kind has its name, or where it names a setting that is none of these."""
    if LABEL_KINDS.get(label_kind.name, label_kind) != label_kind:
        raise ValueError(f"two kinds of question are called {label_kind.name!r}")
    if unknown := label_kind.uses - set(KIND_SETTINGS):
        raise ValueError(f"{label_kind.name!r} uses settings that are not in KIND_SETTINGS: {', '.join(sorted(unknown))}")
    LABEL_KINDS[label_kind.name] = label_kind


class LabelContract(Section):
    """What is to be predicted. A value that the contract does not know is refused, never guessed."""

    kind: str = Field(
        default="binary",
        description="The kind of question. binary: yes or no, by the values that `positive` and `negative` name.",
    )
    name: str = Field(
        default="label",
        min_length=1,
        description="What a positive record means, in words: pneumonia, heart disease. Of another kind: what is asked for.",
    )
    positive: tuple[str | int, ...] | str = Field(
        default=(1,), description='Values that mean positive, for example ["PNEUMONIA", 1]; or a rule for numbers such as "> 0".'
    )
    negative: tuple[str | int, ...] | str = Field(
        default=(0,), description='Values that mean negative, for example ["NORMAL", 0]; or a rule for numbers such as "= 0".'
    )
    column: str = Field(default="label", min_length=1, description="The column, array or manifest column that holds the label.")
    case: Case = Field(
        default="ignore",
        description="Whether values written as text compare without case (ignore: NORMAL is Normal) or as written (exact).",
    )

    task: TaskSection | None = Field(
        default=None, description="What another kind of question than yes or no needs to know; [task] at the top of a study."
    )

    @property
    def asked(self) -> TaskSection:
        """What the kind of question needs to know."""
        return self.task or TaskSection()

    @property
    def sides(self) -> tuple[tuple[str, str], ...]:
        """What values of the label mean, in words: the two sides of a yes or no, the classes."""
        return LABEL_KINDS[self.kind].sides(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold the label."""
        return LABEL_KINDS[self.kind].columns(self)

    @property
    def overlapping(self) -> bool:
        """Whether one record may be of several sorts."""
        return LABEL_KINDS[self.kind].overlapping

    def knows(self, target: Target) -> bool:
        """Whether a number is a target of this contract."""
        return LABEL_KINDS[self.kind].knows(self, target)

    def parts(self, targets: NDArray[Any]) -> dict[str, int]:
        """How many of the targets are of each sort, by its name."""
        return LABEL_KINDS[self.kind].parts(self, targets)

    @model_validator(mode="after")
    def _kind_is_one_of_ours(self) -> Self:
        if self.kind not in LABEL_KINDS:
            raise ValueError(f"kind is one of {', '.join(sorted(LABEL_KINDS))}; found {self.kind!r}")
        return self

    @model_validator(mode="after")
    def _kind_has_what_it_needs(self) -> Self:
        kind = LABEL_KINDS[self.kind]
        for name, field in TaskSection.model_fields.items():
            if name not in kind.reads and getattr(self.asked, name) != field.default:
                readers = " or ".join(f'"{one}"' for one, other in sorted(LABEL_KINDS.items()) if name in other.reads)
                raise ValueError(f'task.{name} does nothing with kind = "{self.kind}": leave it out (it is read with {readers})')
        if (wrong := kind.wrong(self)) is not None:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _sides_are_disjoint(self) -> Self:
        for name, side in (("positive", self.positive), ("negative", self.negative)):
            if isinstance(side, str) and not _RULE.fullmatch(side):
                raise ValueError(f'{name} is a list of values, or a rule such as "> 0"; found {side!r}')
            if not side:
                raise ValueError(f"{name} names no value")
        if isinstance(self.positive, str) or isinstance(self.negative, str):
            _refuse_overlap(self)
        elif both := [v for v in self.positive if _matches(self.negative, v, self.case)] or [
            v for v in self.negative if _matches(self.positive, v, self.case)
        ]:
            raise ValueError(f"positive and negative share the values {sorted(map(str, both))}")
        return self

    def judge(self, value: Value | None) -> Target | None:
        """The target of a value; None for one that the contract does not know.

        >>> LabelContract(positive="> 0", negative="= 0").judge("3"), LabelContract().judge("yes")
        (1, None)
        """
        return None if value is None else LABEL_KINDS[self.kind].target(self, value)

    @property
    def dtype(self) -> TargetKind:
        """Of targets in arrays."""
        return LABEL_KINDS[self.kind].dtype


def _side_of(label: LabelContract, value: Value) -> Literal[0, 1] | None:
    """1 for positive, 0 for negative, None for neither."""
    if _matches(label.positive, value, label.case):
        return 1
    return 0 if _matches(label.negative, value, label.case) else None


def _matches(side: tuple[str | int, ...] | str, value: Value, case: Case) -> bool:
    text = spelled(value)
    if not isinstance(side, str):
        return text in codes(side, case)
    rule, number = _RULE.fullmatch(side), exact_number(text)
    if rule is None or number is None:
        return False
    bound = Decimal(rule[2])
    return {"<": number < bound, "<=": number <= bound, ">": number > bound, ">=": number >= bound, "=": number == bound}[rule[1]]


def _refuse_overlap(label: LabelContract) -> None:
    """Two sides overlap exactly when they do at, between or beyond the numbers that they name."""
    bounds: set[Decimal] = set()
    for side in (label.positive, label.negative):
        named = [_RULE.fullmatch(side)[2]] if isinstance(side, str) else map(spelled, side)  # type: ignore[index]
        bounds |= {number for number in map(exact_number, named) if number is not None}
    ends = sorted(bounds)
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    spellings = [spelled(v) for side in (label.positive, label.negative) if not isinstance(side, str) for v in side]
    for probe in [*map(str, [*ends, *between, ends[0] - 1, ends[-1] + 1]), *spellings]:
        if _matches(label.positive, probe, label.case) and _matches(label.negative, probe, label.case):
            raise ValueError(f"positive and negative both accept values near {probe}")


def _two_sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    sides = (("Positive", label.positive), ("Negative", label.negative))
    return tuple((name, side if isinstance(side, str) else ", ".join(map(str, side))) for name, side in sides)


def _two_parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    positives = int(targets.sum())
    return {"negative": len(targets) - positives, f"positive ({label.name})": positives}


def _zero_or_one(_label: LabelContract, target: Target) -> bool:
    return target in (0, 1)


BINARY = LabelKind("binary", _side_of, "int8", frozenset(KIND_SETTINGS), sides=_two_sides, parts=_two_parts, knows=_zero_or_one)
register_label_kind(BINARY)
