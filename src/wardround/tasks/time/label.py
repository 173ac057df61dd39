"""A time and whether the event was seen then, as one whole number on a public grid.

grid  0 -- 365 -- 730 -- ...      each interval has a few ticks of equal length; the last tick is whoever was followed beyond
time 400, event seen  -->  2 * tick + 1       time 400, not seen  -->  2 * tick
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import Value, codes, is_number
from wardround.study.label import JOINT, LabelContract, LabelKind, Target
from wardround.tasks.protocol import Floats

BLANK = -1.0
FEWEST = 2
TICKS_OF_FEW, TICKS_OF_MANY, MANY = 4, 2, 16
"""Ticks of an interval where the grid has up to MANY intervals, and where it has more: even, so that a middle is known."""


def ticks_of(intervals: int) -> int:
    """Of one interval."""
    return TICKS_OF_FEW if intervals <= MANY else TICKS_OF_MANY


def fine_grid(label: LabelContract) -> Floats:
    """Where ticks begin, and where the last one ends."""
    grid = label.asked.grid
    count = ticks_of(len(grid) - 1)
    return np.array([low + (high - low) * part / count for low, high in pairwise(grid) for part in range(count)] + [grid[-1]])


def code_of(label: LabelContract, value: Value) -> Target | None:
    """BLANK where the time is a blank; None where it is no time, or the other cell does not say whether the event was seen.

    Whoever was followed beyond the grid had no event within it.
    """
    words = [word.strip() for word in str(value).split(JOINT)]
    asked = label.asked
    if words[0] in codes(asked.blank, label.case):
        return BLANK
    if len(words) != 2 or not is_number(words[0]) or float(words[0]) < 0:
        return None
    seen = words[1] in codes(asked.seen, label.case)
    if not seen and words[1] not in codes(asked.unseen, label.case):
        return None
    ticks = fine_grid(label)
    if float(words[0]) >= ticks[-1]:
        return 2.0 * (len(ticks) - 1) if asked.outside == "clip" else None
    return 2.0 * int(np.searchsorted(ticks, float(words[0]), side="right") - 1) + seen


def wrong(label: LabelContract) -> str | None:
    asked = label.asked
    if not asked.event:
        return 'kind = "time" needs task.event: the column that says whether the event was seen'
    if len(asked.grid) < FEWEST + 1 or asked.grid[0] != 0:
        return 'kind = "time" needs task.grid: times that rise from 0 on, [0, 365, 730] for two intervals'
    if not asked.horizons or any(horizon not in asked.grid[1:] for horizon in asked.horizons):
        return 'kind = "time" needs task.horizons: one or more ends of task.grid, at which answers are judged'
    return None


def columns(label: LabelContract) -> tuple[str, ...]:
    return (label.column, label.asked.event)


def sides(label: LabelContract) -> tuple[tuple[str, str], ...]:
    asked = label.asked
    beyond = "followed to its end" if asked.outside == "clip" else "refused"
    return (
        ("Seen", f"{asked.event}: {', '.join(map(str, asked.seen))}"),
        ("Not seen so far", f"{asked.event}: {', '.join(map(str, asked.unseen))}"),
        ("Followed", f"0 to {asked.grid[-1]:g} {asked.unit}".strip() + f"; beyond it {beyond}"),
    )


def parts(label: LabelContract, targets: NDArray[Any]) -> dict[str, int]:
    known_rows = targets[targets != BLANK]
    seen = int((known_rows % 2 == 1).sum())
    both = {"with the event": seen, "without it so far": len(known_rows) - seen}
    return {**both, "blank": len(targets) - len(known_rows)} if label.asked.blank else both


def knows(label: LabelContract, target: Target) -> bool:
    last = 2 * (len(fine_grid(label)) - 1)
    return target == BLANK or (not math.isnan(target) and target == int(target) and 0 <= target <= last)


TIME = LabelKind(
    "time",
    code_of,
    "float32",
    frozenset({"summation.max_auc_drop"}),
    reads=frozenset({"blank", "unit", "outside", "event", "seen", "unseen", "grid", "horizons", "hazards"}),
    wrong=wrong,
    columns=columns,
    sides=sides,
    parts=parts,
    knows=knows,
)
