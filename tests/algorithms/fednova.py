"""FedNova: every hospital's change counts as if all had taken the same number of steps.

Wang, Liu, Liang, Joshi, Poor: Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, NeurIPS 2020,
equations 6 and 7. Hospital k takes tau_k plain gradient steps from w_t to w_k, so that |a_k|_1 = tau_k, and p_k = n_k / n:

    d_k = (w_k - w_t) / tau_k             tau_eff = sum_k p_k tau_k             w <- w + tau_eff sum_k p_k d_k

Federated averaging takes sum_k p_k tau_k d_k instead: whoever takes more steps pulls harder. With the same tau_k for all both
are the same. A hospital sends d_k and tau_k, each times n_k: the coordinator learns their means alone.
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
class FedNova:
    """Normalised averaging for plain gradient steps at one learning rate."""

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return {"change": shapes, "steps": {"count": ()}}

    def start(self, model: Tree, weight: int) -> Bundle:  # noqa: ARG002  (only control variates need it)
        return {"model": model}

    def order(self, state: Bundle) -> Bundle:
        return {"model": state["model"]}

    def reference(self, order: Bundle) -> Bundle:  # noqa: ARG002  (changes are near zero already)
        return {}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        run = trainer.compute(TrainedModel(order["model"]))
        steps = np.float32(max(1, run.steps))
        change = {name: (run.model[name] - array) / steps for name, array in order["model"].items()}
        count: Tree = {"count": np.asarray(steps)}
        values = {"change": weighted(change, run.examples), "steps": weighted(count, run.examples)}
        return Contribution(values, run.examples), memory, run

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:  # noqa: ARG002  (nothing stays at the site)
        return order["model"]

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        effective_steps = total.values["steps"]["count"] / total.weight
        changes = total.values["change"]
        return {
            "model": {
                name: (array + effective_steps * changes[name] / total.weight).astype(np.float32)
                for name, array in state["model"].items()
            }
        }


STATEMENT = AlgorithmStatement(
    "fednova",
    lambda settings, names: FedNova(),  # noqa: ARG005  (it reads nothing)
    demands=(
        Demand("training.optimizer", "sgd", "counts plain gradient steps"),
        Demand("training.momentum", 0, "counts plain gradient steps"),
        Demand("training.schedule", "constant", "counts steps of one length"),
    ),
)
