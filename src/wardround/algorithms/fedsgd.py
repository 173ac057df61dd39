"""Distributed gradient descent: every round is one step along the gradient of all hospitals together.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas (AISTATS 2017), section 2, FedSGD: each site sends the sum of its records'
gradients at the common model, the coordinator divides by how many they are and takes an optimiser's step (`FedOpt`, of which
delta = -gradient). What the sites send adds up to what one place with all records would have worked out, so nothing drifts; the
price is one exchange a step. Under `patient-distributed` privacy the sums are clipped patient by patient, and noised.

The result is the mean of the last rounds' models (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992), if asked: it takes
noise out of the last step, and costs no privacy.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.algorithms.fedopt import OPTIMIZER_SETTINGS, FedOpt, optimizer_of
from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import BatchGradient, FeatureMean
from wardround.algorithms.statement import AlgorithmSettings, AlgorithmStatement, NetworkNames
from wardround.values.contribution import Contribution
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


@dataclass(frozen=True)
class FedSgd:
    """descent: the coordinator's optimiser. rounds: how many there will be. cosine: whether the step size falls to nothing.
    decay: weight decay, >= 0, times the step size, on arrays of two axes or more. average: share of the last rounds, 0 to 1.
    feature_mean: the name of the array that the first round sums instead of a step, the mean of the features; empty for none.
    unit: the length that the sites give a feature vector of length 1 in that sum."""

    descent: FedOpt
    rounds: int
    cosine: bool = False
    decay: float = 0.0
    average: float = 0.0
    feature_mean: str = ""
    unit: float = 1.0

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return {"gradient": shapes}

    def start(self, model: Tree, weight: int) -> Bundle:
        kept = self.descent.start(model, weight)
        return {**kept, "iterate": model, "mean": _wide(model), "numbers": {"round": np.array(0.0)}}

    def order(self, state: Bundle) -> Bundle:
        if not self.feature_mean:
            return {"model": state["iterate"]}
        summed = np.full(1, self._sums_feature_mean(state), np.float32)
        return {"model": state["iterate"], "feature_mean": {"summed": summed}}  # in every round, so that all have one shape

    def reference(self, order: Bundle) -> Bundle:  # noqa: ARG002  (gradients are sent as they are)
        return {}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        model = order["model"]
        sums_mean = bool(self.feature_mean) and order["feature_mean"]["summed"][0] > 0
        total = trainer.compute(FeatureMean(model) if sums_mean else BatchGradient(model))
        run = LocalRun(model, 1, 0.0, total.weight, total.loss_sum, total.loss_count)
        return Contribution({"gradient": total.sums}, total.weight), memory, run

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:  # noqa: ARG002  (nothing stays at the site)
        return order["model"]

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        done = int(state["numbers"]["round"])
        if self._sums_feature_mean(state):
            return self._with_feature_mean(state, total)
        rate = self._rate(done)
        first: Tree = {}
        second: Tree = {}
        iterate: Tree = {}
        for name, old in state["iterate"].items():
            if name == self.feature_mean:
                first[name], second[name], iterate[name] = state["first"][name], state["second"][name], old
                continue
            start = old.astype(np.float64)
            delta = -total.values["gradient"][name] / total.weight
            first[name], second[name], step = self.descent.moved(delta, state["first"][name], state["second"][name])
            decay = self.decay * start if start.ndim >= 2 else 0.0
            iterate[name] = (start + rate * (step - decay)).astype(np.float32)
        mean = self._mean(state["mean"], iterate, done + 1)
        model = {name: array.astype(np.float32) for name, array in mean.items()}
        numbers = {"round": np.array(done + 1.0)}
        return {"model": model, "iterate": iterate, "mean": mean, "first": first, "second": second, "numbers": numbers}

    def _sums_feature_mean(self, state: Bundle) -> bool:
        """Whether the coming round sums the feature_mean."""
        return bool(self.feature_mean) and int(state["numbers"]["round"]) == 0

    def _with_feature_mean(self, state: Bundle, total: Contribution) -> Bundle:
        mean = total.values["gradient"][self.feature_mean] / (total.weight * self.unit)
        iterate = {**state["iterate"], self.feature_mean: mean.astype(np.float32)}
        return {**state, "model": iterate, "iterate": iterate, "mean": _wide(iterate), "numbers": {"round": np.array(1.0)}}

    def _rate(self, done: int) -> float:
        """The step size of round done + 1, which stands in the middle of its share of the cosine."""
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, (done + 0.5) / self.rounds))) if self.cosine else 1.0
        return self.descent.learning_rate * fall

    def _mean(self, mean: Tree, iterate: Tree, number: int) -> Tree:
        """The mean of the iterates of the last rounds up to `number`; the newest alone before they begin."""
        first = self.rounds - round(self.average * self.rounds) + 1
        counted = number - first + 1
        if counted <= 1:
            return _wide(iterate)
        return {name: array + (iterate[name] - array) / counted for name, array in mean.items()}


def _wide(tree: Tree) -> Tree:
    return {name: array.astype(np.float64) for name, array in tree.items()}


def _build(settings: AlgorithmSettings, names: NetworkNames) -> FedSgd:
    return FedSgd(
        optimizer_of(settings),
        settings.rounds,
        settings.server_schedule == "cosine",
        settings.server_decay,
        settings.server_average,
        names.feature_mean,
        names.feature_length,
    )


STATEMENT = AlgorithmStatement(
    "fedsgd",
    _build,
    reads=OPTIMIZER_SETTINGS | {"server_schedule", "server_decay", "server_average"},
    local_steps=False,
    privacy_modes=frozenset({"none", "patient-distributed"}),
    sums_feature_mean=True,
)
