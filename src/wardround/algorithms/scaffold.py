"""SCAFFOLD: control variates that take the sites' drift out of local steps.

Karimireddy, Kale, Mohri, Reddi, Stich, Suresh: SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020,
Algorithm 1 with option II. Site k adds (c - c_k) to every gradient; afterwards

    c_k+ = c_k - c + (x - y_k) / (sum of the steps' learning rates)
    x <- x + lr_g (sum_k n_k y_k / n_S - x)             c <- c + sum_{k in S} n_k (c_k+ - c_k) / n

Here means are weighted by n_k as in the federated objective (the paper's are uniform; equal weights give it back); n_S is the
weight of the sites that were counted, n that of all, so that c stays the mean of the c_k. A site keeps c_k+ only if it was
counted: otherwise c would forget what the site remembers.
"""

from dataclasses import dataclass

import numpy as np

from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import TrainedModel
from wardround.algorithms.statement import AlgorithmStatement, Demand
from wardround.values.contribution import Contribution, weighted
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


@dataclass(frozen=True)
class Scaffold:
    """global_learning_rate > 0; 1 is plain averaging of the models."""

    global_learning_rate: float = 1.0

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return {"model": shapes, "control": shapes}

    def start(self, model: Tree, weight: int) -> Bundle:
        return {"model": model, "control": _zeros(model), "numbers": {"weight": np.array(weight, np.float64)}}

    def order(self, state: Bundle) -> Bundle:
        return {"model": state["model"], "control": state["control"]}

    def reference(self, order: Bundle) -> Bundle:
        return {"model": order["model"]}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        model, common = order["model"], order["control"]
        own = memory.get("control") or _zeros(model)
        run = trainer.compute(TrainedModel(model, gradient_shift={name: common[name] - own[name] for name in model}))
        new = {name: own[name] - common[name] + (model[name] - run.model[name]) / np.float32(run.lr_sum) for name in model}
        change = {name: new[name].astype(np.float64) - own[name] for name in model}
        values = {"model": weighted(run.model, run.examples), "control": weighted(change, run.examples)}
        return Contribution(values, run.examples), {"control": new}, run

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:  # noqa: ARG002
        return order["model"]

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        everyone = float(state["numbers"]["weight"])
        model: Tree = {}
        control: Tree = {}
        for name, old in state["model"].items():
            mean = total.values["model"][name] / total.weight
            step = mean if self.global_learning_rate == 1.0 else old + self.global_learning_rate * (mean - old)
            model[name] = step.astype(np.float32)
            control[name] = (state["control"][name] + total.values["control"][name] / everyone).astype(np.float32)
        return {**state, "model": model, "control": control}


def _zeros(model: Tree) -> Tree:
    return {name: np.zeros(array.shape, np.float32) for name, array in model.items()}


STATEMENT = AlgorithmStatement(
    "scaffold",
    lambda settings, names: Scaffold(settings.server_learning_rate or 1.0),  # noqa: ARG005
    reads=frozenset({"server_learning_rate"}),
    privacy_modes=frozenset({"none", "patient-local"}),
    keeps="its control variates",
    demands=(
        Demand("training.optimizer", "sgd", "corrects plain gradient steps"),
        Demand("training.momentum", 0, "reads its correction off plain gradient steps"),
    ),
)
