"""The words of a record's findings to one whole number, and back: a digit of three values for each finding.

    "1", "", "0"  --code_of-->  1 + 2 * 3 + 0 * 9  --truths-->  1, BLANK, 0

An empty cell is a blank: not known, and never a no. float32 holds the numbers of up to 15 findings exactly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import Value, codes, spelled
from wardround.study.label import JOINT, LabelContract, LabelKind, Target
from wardround.study.sections.task import FindingSection
from wardround.tasks.shared.score_stack import BLANK

FEWEST = 2
UNKNOWN = 2
LISTED = "|"
"""Between findings that one cell names."""


def code_of(label: LabelContract, value: Value) -> Target | None:
    """None where one of the words is neither a yes, a no nor a blank."""
    asked_findings = label.asked.findings
    if asked_findings[0].column:
        words = str(value).split(JOINT)
        fitting = len(words) == len(asked_findings)
        digits: Sequence[int | None] = (
            [_digit(label, *pair) for pair in zip(asked_findings, words, strict=True)] if fitting else [None]
        )
    else:
        digits = _listed(label, spelled(value))
    known_digits = [digit for digit in digits if digit is not None]
    return (
        float(sum(digit * 3**position for position, digit in enumerate(known_digits)))
        if len(known_digits) == len(asked_findings)
        else None
    )


def _digit(label: LabelContract, finding: FindingSection, word: str) -> int | None:
    text = word.strip()
    if not text or text in codes(label.asked.blank, label.case):
        return UNKNOWN
    if text in codes(finding.positive, label.case):
        return 1
    return 0 if text in codes(finding.negative, label.case) else None


def _listed(label: LabelContract, text: str) -> Sequence[int | None]:
    """A cell that names what was found: all others are a no. A word that is a no of any finding says that there was nothing."""
    asked_findings = label.asked.findings
    if not text or text in codes(label.asked.blank, label.case):
        return [UNKNOWN] * len(asked_findings)
    words = [word.strip() for word in text.split(LISTED)]
    nothing = [value for one in asked_findings for value in one.negative]
    named = [[word in codes(one.positive, label.case) for word in words] for one in asked_findings]
    if not all(
        any(of_word) or word in codes(nothing, label.case) for word, of_word in zip(words, zip(*named, strict=True), strict=True)
    ):
        return [None]
    return [int(any(of_finding)) for of_finding in named]


def truths_of(labels: NDArray[Any], findings: int) -> NDArray[np.int64]:
    """(n,) -> (n, findings): 1, 0 or BLANK."""
    whole = np.asarray(labels, np.float64).astype(np.int64)
    digits = (whole[:, None] // 3 ** np.arange(findings)) % 3
    return np.where(digits == UNKNOWN, BLANK, digits)


def codes_of(truths: NDArray[np.integer]) -> NDArray[np.float32]:
    """The inverse of `truths_of`."""
    digits = np.where(truths == BLANK, UNKNOWN, truths).astype(np.int64)
    return np.asarray((digits * 3 ** np.arange(truths.shape[1])).sum(axis=1), np.float32)


def wrong(label: LabelContract) -> str | None:
    asked_findings = label.asked.findings
    if len(asked_findings) < FEWEST:
        return 'kind = "findings" needs task.findings: two or more, each with its name and its column'
    if len({bool(one.column) for one in asked_findings}) > 1:
        return "task.findings have a column each, or none has one and data.label.column names those that are there"
    if len({one.column for one in asked_findings if one.column}) < sum(bool(one.column) for one in asked_findings):
        return "two of task.findings have one column"
    return None


def columns(label: LabelContract) -> tuple[str, ...]:
    own = tuple(one.column for one in label.asked.findings)
    return own if all(own) else (label.column,)


def sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one.name, f"yes: {', '.join(map(str, one.positive))}; no: {', '.join(map(str, one.negative))}")
        for one in label.asked.findings
    )


def parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    """Records with each finding, and those of which nothing is known."""
    truths = truths_of(targets, len(label.asked.findings))
    there = {f"with {one.name}": int((truths[:, position] == 1).sum()) for position, one in enumerate(label.asked.findings)}
    return {**there, "all blank": int((truths == BLANK).all(axis=1).sum())}


def knows(label: LabelContract, target: Target) -> bool:
    return target == int(target) and 0 <= target < 3 ** len(label.asked.findings)


FINDINGS = LabelKind(
    "findings",
    code_of,
    "float32",
    frozenset({"training.label_smoothing", "evaluation.threshold", "evaluation.model_threshold", "summation.max_auc_drop"}),
    reads=frozenset({"findings", "blank"}),
    wrong=wrong,
    columns=columns,
    sides=sides,
    parts=parts,
    knows=knows,
    overlapping=True,
)
