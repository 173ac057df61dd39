"""The last layer that a hospital keeps: it is trained with what travels, and never leaves.

    order (trunk) + head --Trainer.compute--> trunk to be summed
                                        \\--> head, which waits in the site's memory until the round counts

No algorithm sees it: a trainer of one round puts it to the trunk before it computes, and takes it off what comes back. So each
algorithm keeps its laws. Where an algorithm only asks for gradients, the head takes a step of its own along them.

Under differential privacy of patients a head may change only by what is noised: what a head learned of one patient without noise
would stand in the next gradients of all others. Steps inside the hospital noise the whole network, head and trunk together. A sum
that all hospitals noise together holds the trunk alone, so the head then stays as it was drawn until nothing leaves any more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import BatchGradient, Quantity, Result
from wardround.plan.plan import Plan
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.values.local_run import LocalRun, RecordSum
from wardround.values.randomness import generator
from wardround.values.tree import Bundle, Tree

HEAD, HEAD_MOMENTS = "own_head", "own_head_moments"
"""The parts of a site's memory that hold them. No algorithm may name one of its parts so."""


@dataclass
class OwnHead:
    """A hospital's head in one round. arrays: as they stand. moments: of steps of its own, empty before the first."""

    arrays: Tree
    moments: Tree = field(default_factory=dict)

    def put_into(self, memory: Bundle) -> Bundle:
        """The memory to keep if the round counts. ValueError where an algorithm has a part of this name."""
        if taken := {HEAD, HEAD_MOMENTS} & memory.keys():
            raise ValueError(f"an algorithm's memory has a part named {min(taken)}, which is that of a head")
        return {**memory, HEAD: self.arrays, **({HEAD_MOMENTS: self.moments} if self.moments else {})}


def head_in(memory: Mapping[str, Tree], home: Plan, site: SiteId) -> OwnHead:
    """The head that counts: the one kept, or before the first round that counted the one that all begins with."""
    if HEAD in memory:
        return OwnHead(memory[HEAD], memory.get(HEAD_MOMENTS, {}))
    return OwnHead(first_head(home, site))


def without_head(memory: Bundle) -> Bundle:
    """The part of a memory that an algorithm knows."""
    return {part: tree for part, tree in memory.items() if part not in (HEAD, HEAD_MOMENTS)}


def first_head(home: Plan, site: SiteId) -> Tree:
    """Zeros, so that the first answer is the same for everybody. Drawn where the head stays as it is: a trunk under zeros would
    have no gradient. home: of the study as this hospital carries it out."""
    shapes = {name: home.model_shapes[name] for name in sorted(home.head)}
    if not stays_as_drawn(home.study):
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return {name: _drawn(home.study, site, name, shape) for name, shape in shapes.items()}


def _drawn(study: Study, site: SiteId, name: str, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Weights of deviation 1 / sqrt(width), so that outputs are of the size of what they read; no offsets."""
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    draws = generator("own head", study.training.seed, site, name).standard_normal(shape, np.float32)
    return draws / np.float32(math.sqrt(shape[-1]))


def stays_as_drawn(study: Study) -> bool:
    """Whether the head learns nothing until the last sum is over."""
    return study.privacy.mode == "patient-distributed"


class WithOwnHead:
    """Implements `Trainer` for a trunk, over a trainer of whole models. head: changes with what is computed.

    home: the study as this hospital carries it out. round_number: from 1.
    """

    def __init__(self, trainer: Trainer, head: OwnHead, home: Study, round_number: int) -> None:
        self._trainer, self.head, self._home, self._round = trainer, head, home, round_number

    @property
    def examples(self) -> int:
        return self._trainer.examples

    def compute(self, quantity: Quantity[Result]) -> Result:
        result = self._trainer.compute(replace(quantity, model={**quantity.model, **self.head.arrays}))
        if isinstance(result, LocalRun):
            self.head.arrays = {name: result.model[name] for name in self.head.arrays}
        elif isinstance(result, RecordSum) and isinstance(quantity, BatchGradient) and not stays_as_drawn(self._home):
            self._step(result)
        return result.only(quantity.model)

    def _step(self, result: RecordSum) -> None:
        from wardround.training.head_step import stepped

        mean = {name: result.sums[name] / result.weight for name in self.head.arrays}
        training, rounds = self._home.training, self._home.algorithm.rounds
        self.head.arrays, self.head.moments = stepped(training, self.head.arrays, mean, self._round, rounds, self.head.moments)
