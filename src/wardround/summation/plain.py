"""The plain sum: the coordinator receives every contribution and adds the words modulo their size.

    Collecting --Replies--> SumOpened   where at least `minimum` sites sent what the layout promises
                       \\--> SumFailed   otherwise

One exchange. Addition of words is exact and commutative, so the total does not depend on the order of arrival. The coordinator
sees each contribution: only the masked sum hides them. The machine has no clock, network or files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

Layout = Mapping[str, tuple[str, int]]
Outbox = Mapping[SiteId, Tree]
NO_ANSWER = "no-answer"


@dataclass(frozen=True)
class Collecting:
    """cohort: who was asked. layout: the arrays each must send. minimum: fewer contributions than this open nothing."""

    cohort: tuple[SiteId, ...]
    layout: Layout
    minimum: int

    def __post_init__(self) -> None:
        if len(set(self.cohort)) != len(self.cohort):
            raise ValueError(f"the cohort names a site twice: {', '.join(self.cohort)}")


@dataclass(frozen=True)
class SumOpened:
    """total: the sum of the words of the sites in `counted`. lost: site -> why."""

    total: Tree
    counted: tuple[SiteId, ...]
    lost: Mapping[SiteId, str]


@dataclass(frozen=True)
class SumFailed:
    counted: tuple[SiteId, ...]
    lost: Mapping[SiteId, str]
    minimum: int


@dataclass(frozen=True)
class Replies:
    """What one exchange brought: arrays of those who contributed, a code for those who refused. Absent sites were lost."""

    arrays: Mapping[SiteId, Tree]
    refused: Mapping[SiteId, str] = field(default_factory=dict)


State = Collecting | SumOpened | SumFailed


def step(state: State, event: Replies) -> tuple[SumOpened | SumFailed, Outbox]:
    """Raises EngineError for an event that the state has no place for."""
    if not isinstance(state, Collecting):
        raise EngineError(
            f"The sum is already {'opened' if isinstance(state, SumOpened) else 'failed'}; it takes no more replies"
        )
    total: Tree = {}
    counted: list[SiteId] = []
    lost: dict[SiteId, str] = {}
    for site in state.cohort:
        arrays = event.arrays.get(site)
        if arrays is None:
            lost[site] = event.refused.get(site, NO_ANSWER)
        elif not fits(arrays, state.layout):
            lost[site] = "wrong-shape"
        else:
            _add(total, arrays, first=not counted)
            counted.append(site)
        del arrays  # before the next ones are read
    if len(counted) < max(1, state.minimum):
        return SumFailed(tuple(counted), lost, state.minimum), {}
    return SumOpened(total, tuple(counted), lost), {}


def _add(total: Tree, arrays: Tree, *, first: bool) -> None:
    """Adds into memory of the total's own: of large models there is one copy and not one for each site."""
    for name, array in arrays.items():
        if first:
            total[name] = array.copy()
        else:
            np.add(total[name], array, out=total[name])


def fits(arrays: Tree, layout: Layout) -> bool:
    """Exactly the promised arrays, each a flat vector of the promised type and length."""
    return arrays.keys() == layout.keys() and all(
        arrays[name].ndim == 1 and (arrays[name].dtype.name, arrays[name].size) == promised for name, promised in layout.items()
    )
