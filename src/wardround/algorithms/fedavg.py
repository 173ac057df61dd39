"""Federated averaging.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas: Communication-Efficient Learning of Deep Networks from Decentralized Data,
AISTATS 2017, Algorithm 1: w <- sum_k (n_k / n) w_k.
"""

from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import TrainedModel
from wardround.algorithms.statement import AlgorithmStatement
from wardround.values.blockwise import divided
from wardround.values.contribution import Contribution, weighted
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


class FedAvg:
    """With proximal_mu > 0 the local objective gains mu/2 |w - w_t|^2, which is FedProx (see fedprox.py)."""

    def __init__(self, proximal_mu: float = 0.0) -> None:
        self.proximal_mu = proximal_mu

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return {"model": shapes}

    def start(self, model: Tree, weight: int) -> Bundle:  # noqa: ARG002  (only algorithms with control variates need it)
        return {"model": model}

    def order(self, state: Bundle) -> Bundle:
        return {"model": state["model"]}

    def reference(self, order: Bundle) -> Bundle:
        return {"model": order["model"]}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        run = trainer.compute(TrainedModel(order["model"], self.proximal_mu))
        return Contribution({"model": weighted(run.model, run.examples)}, run.examples), memory, run

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:  # noqa: ARG002  (nothing stays at the site)
        return order["model"]

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        return {**state, "model": mean_model(total)}


def mean_model(total: Contribution) -> Tree:
    """sum_k n_k w_k / sum_k n_k, rounded once to float32."""
    return {name: divided(array, total.weight) for name, array in total.values["model"].items()}


STATEMENT = AlgorithmStatement(
    "fedavg",
    lambda settings, names: FedAvg(),  # noqa: ARG005  (it reads nothing)
    privacy_modes=frozenset({"none", "patient-local", "site"}),
)
