"""Hospitals whose training is a few exact steps on a bowl, and a federation of them without roles, wire or torch.

Hospital k minimises F_k(w) = a_k / 2 |w - t_k|^2 by plain gradient descent in float32. All that an algorithm can ask of a
trainer happens in microseconds, and every optimum is known in closed form.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import cast

import numpy as np

from wardround.algorithms.protocol import Algorithm
from wardround.algorithms.quantities import BatchGradient, FeatureMean, Quantity, Result, TrainedModel
from wardround.privacy.fixed_point_mechanism import CLIPPED, WEIGHT, protect, reveal
from wardround.privacy.frame import Frame
from wardround.site.kept_moments import joined, parted
from wardround.summation.plain import Collecting, Replies, SumOpened, step
from wardround.values.contribution import Contribution, weighted
from wardround.values.ids import SiteId
from wardround.values.local_run import LocalResult, LocalRun, RecordSum
from wardround.values.randomness import rounding_key
from wardround.values.tree import Bundle, Tree, shapes_of

NAMES = {"conv.weight": (2, 3), "head.bias": (), "norm.bias": (3,), "norm.weight": (3,)}
NORM_NAMES = frozenset({"norm.bias", "norm.weight"})


def model_of(values: Iterable[float]) -> Tree:
    """The 13 values, in name order, as a model."""
    flat = np.fromiter(values, np.float32, 13)
    parts = np.split(flat, np.cumsum([int(np.prod(shape)) for shape in NAMES.values()])[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(NAMES.items(), parts, strict=True)}


def filled(value: float) -> Tree:
    return model_of([value] * 13)


@dataclass(frozen=True)
class Quadratic:
    """target: t_k, for every value. curvature: a_k. steps, learning_rate: of one local run. momentum: above 0 it is kept from
    round to round; moments: what the round before left."""

    target: float
    examples: int = 10
    curvature: float = 1.0
    steps: int = 3
    learning_rate: float = 0.125
    momentum: float = 0.0
    moments: Tree = field(default_factory=dict)

    def compute(self, quantity: Quantity[Result]) -> Result:
        match quantity:
            case TrainedModel(model, proximal_mu, gradient_shift):
                result: LocalResult = self._trained(model, proximal_mu, gradient_shift)
            case BatchGradient(model):
                result = self._gradient(model)
            case FeatureMean(model):
                result = self._feature_mean(model)
            case _:
                raise TypeError(type(quantity).__name__)
        return cast("Result", result)

    def _trained(self, model: Tree, proximal_mu: float, gradient_shift: Tree | None) -> LocalRun:
        rate = np.float32(self.learning_rate)
        now = dict(model)
        moments = self.moments or {f"first.{name}": np.zeros(w.shape, np.float32) for name, w in model.items()}
        for _ in range(self.steps):
            gradient = {name: np.float32(self.curvature) * (w - np.float32(self.target)) for name, w in now.items()}
            if proximal_mu:
                gradient = {name: g + np.float32(proximal_mu) * (now[name] - model[name]) for name, g in gradient.items()}
            if gradient_shift is not None:
                gradient = {name: g + gradient_shift[name] for name, g in gradient.items()}
            if self.momentum:
                carried = {name: np.float32(self.momentum) * moments[f"first.{name}"] + gradient[name] for name in now}
                moments, gradient = {f"first.{name}": np.asarray(m, np.float32) for name, m in carried.items()}, carried
            now = {name: np.asarray(w - rate * gradient[name], np.float32) for name, w in now.items()}
        loss = float(sum(((w - self.target) ** 2).sum() for w in now.values()))
        kept = moments if self.momentum else {}
        return LocalRun(now, self.steps, self.steps * self.learning_rate, self.examples, loss, self.examples, kept)

    def _gradient(self, model: Tree) -> RecordSum:
        slope = {name: np.float32(self.curvature) * (w - np.float32(self.target)) for name, w in model.items()}
        loss = float(sum(((w - self.target) ** 2).sum() for w in model.values()))
        return RecordSum(weighted(slope, self.examples), self.examples, loss, self.examples)

    def _feature_mean(self, model: Tree) -> RecordSum:
        """The norm's bias stands for the centre of features."""
        sums = {name: np.zeros(w.shape) for name, w in model.items()}
        sums["norm.bias"] = np.full(3, self.target * self.examples)  # type: ignore[assignment]
        return RecordSum(sums, self.examples, 0.0, 0)


@dataclass
class Federation:
    """Rounds as the coordinator and the sites play them: contributions, their total, the update, memory only if counted."""

    algorithm: Algorithm
    hospitals: Mapping[str, Quadratic]
    model: Tree
    clip: float = 64.0
    state: Bundle = field(init=False)
    memories: dict[str, Bundle] = field(init=False)
    round: int = 0

    def __post_init__(self) -> None:
        self.state = self.algorithm.start(self.model, self.weight)
        self.memories = {site: {} for site in self.hospitals}

    @property
    def weight(self) -> int:
        return sum(hospital.examples for hospital in self.hospitals.values())

    @property
    def frame(self) -> Frame:
        order = self.algorithm.order(self.state)
        counts = {WEIGHT: (), CLIPPED: (), "loss": (2,)}
        parts = self.algorithm.parts(shapes_of(order["model"]))
        return Frame(len(self.hospitals), parts, counts, self.weight, self.clip)

    def work(self) -> dict[str, tuple[Contribution, Bundle, LocalRun]]:
        return {site: self._worked(hospital, self.memories[site]) for site, hospital in self.hospitals.items()}

    def _worked(self, hospital: Quadratic, before: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        """As a site does it: the optimiser's moments lie beside the algorithm's own memory."""
        memory, moments = parted(before)
        trainer = replace(hospital, moments=moments)
        contribution, memory, run = self.algorithm.work(self.algorithm.order(self.state), trainer, memory)
        return contribution, joined(memory, run.moments), run

    def play(self, counted: Iterable[str] | None = None) -> Contribution:
        """One round, contributions added as they are; sites not in `counted` are lost. Gives the total."""
        done = self.work()
        chosen = list(self.hospitals if counted is None else counted)
        total = reduce(add, (done[site][0] for site in chosen))
        return self._finish(total, {site: done[site][1] for site in chosen})

    def play_encoded(self, counted: Iterable[str] | None = None) -> Contribution:
        """One round through words, their sum and back."""
        done = self.work()
        chosen = list(self.hospitals if counted is None else counted)
        total = self.sum_of_words({site: done[site][0] for site in chosen})
        return self._finish(total, {site: done[site][1] for site in chosen})

    def sum_of_words(self, contributions: Mapping[str, Contribution]) -> Contribution:
        frame, reference = self.frame, self.algorithm.reference(self.algorithm.order(self.state))
        words = {
            SiteId(site): protect(
                Contribution(found.values, found.weight, {"loss": np.array([7, found.weight])}),
                reference,
                frame,
                lambda part, site=site: rounding_key("round", 1, site, self.round, part),
            )
            for site, found in contributions.items()
        }
        opened, _ = step(Collecting(tuple(words), frame.layout, 1), Replies(words))
        assert isinstance(opened, SumOpened)
        return reveal(opened.total, reference, frame)

    def _finish(self, total: Contribution, memories: Mapping[str, Bundle]) -> Contribution:
        self.state = self.algorithm.update(self.state, total)
        self.memories |= memories
        self.round += 1
        return total
