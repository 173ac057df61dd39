"""FedOpt: the coordinator takes an optimiser's step along the mean change.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan: Adaptive Federated Optimization, ICLR 2021, Algorithm 2
(adagrad, yogi, adam; without bias correction, as there). Momentum: Hsu, Qi, Brown, arXiv:1909.06335, FedAvgM.

    delta_t = sum_k (n_k / n) w_k - w_t
    momentum: m <- b1 m + delta                       w <- w + lr m
    others:   m <- b1 m + (1 - b1) delta              w <- w + lr m / (sqrt(v) + tau)
        adagrad: v <- v + delta^2
        adam:    v <- b2 v + (1 - b2) delta^2
        yogi:    v <- v - (1 - b2) delta^2 sign(v - delta^2)

With momentum, b1 = 0 and lr = 1 it is federated averaging up to the rounding of w + (mean - w).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.protocol import Trainer
from wardround.algorithms.statement import AlgorithmSettings, AlgorithmStatement, ServerOptimizer
from wardround.values.contribution import Contribution
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


@dataclass(frozen=True)
class FedOpt:
    """learning_rate > 0; 0 <= beta1, beta2 < 1; tau > 0. Moments are float64 and stay at the coordinator."""

    rule: ServerOptimizer
    learning_rate: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return FedAvg().parts(shapes)

    def start(self, model: Tree, weight: int) -> Bundle:  # noqa: ARG002
        first = {name: np.zeros(array.shape, np.float64) for name, array in model.items()}
        # The paper's v starts at tau^2 (Algorithm 2, "v_{-1} >= tau^2").
        second = {name: np.full(array.shape, self.tau**2, np.float64) for name, array in model.items()}
        return {"model": model, "first": first, "second": second}

    def order(self, state: Bundle) -> Bundle:
        return {"model": state["model"]}

    def reference(self, order: Bundle) -> Bundle:
        return {"model": order["model"]}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        return FedAvg().work(order, trainer, memory)

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:  # noqa: ARG002
        return order["model"]

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        model: Tree = {}
        first: Tree = {}
        second: Tree = {}
        for name, old in state["model"].items():
            start = old.astype(np.float64)
            delta = total.values["model"][name] / total.weight - start
            first[name], second[name], step = self.moved(delta, state["first"][name], state["second"][name])
            model[name] = (start + self.learning_rate * step).astype(np.float32)
        return {"model": model, "first": first, "second": second}

    def moved(self, delta: NDArray[Any], m: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The new moments of one array, and the step before it is multiplied by the learning rate."""
        if self.rule == "momentum":
            m = self.beta1 * m + delta
            return m, v, m
        m = self.beta1 * m + (1 - self.beta1) * delta
        squared = delta * delta
        if self.rule == "adagrad":
            v = v + squared
        elif self.rule == "adam":
            v = self.beta2 * v + (1 - self.beta2) * squared
        else:
            v = v - (1 - self.beta2) * squared * np.sign(v - squared)
        return m, v, m / (np.sqrt(v) + self.tau)


OPTIMIZER_SETTINGS = frozenset({"server_optimizer", "server_learning_rate", "server_momentum", "server_beta2", "server_tau"})
"""What the coordinator's optimiser reads."""


def optimizer_of(settings: AlgorithmSettings) -> FedOpt:
    """The coordinator's optimiser. Without a step size: 1 for momentum, 0.01 for those whose steps are of about this size."""
    return FedOpt(
        settings.server_optimizer,
        settings.server_learning_rate or (1.0 if settings.server_optimizer == "momentum" else 0.01),
        settings.server_momentum,
        settings.server_beta2,
        settings.server_tau,
    )


STATEMENT = AlgorithmStatement(
    "fedopt",
    lambda settings, names: optimizer_of(settings),  # noqa: ARG005
    reads=OPTIMIZER_SETTINGS,
    privacy_modes=frozenset({"none", "patient-local", "site"}),
)
