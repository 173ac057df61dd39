"""FedBN: every site keeps its own normalisation, all else is averaged.

Li, Jiang, Zhang, Kamp, Dou: FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, ICLR 2021, Algorithm 1.
It fits hospitals whose scanners differ. There is no single model for a hospital outside the federation: the coordinator's
normalisation stays at its starting values.
"""

from dataclasses import dataclass

from wardround.algorithms.fedavg import mean_model
from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import TrainedModel
from wardround.algorithms.statement import AlgorithmStatement
from wardround.values.contribution import Contribution, weighted
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


@dataclass(frozen=True)
class FedBN:
    """local_names: the normalisation parameters and buffers, which never leave a site."""

    local_names: frozenset[str]

    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        return {"model": {name: shape for name, shape in shapes.items() if name not in self.local_names}}

    def start(self, model: Tree, weight: int) -> Bundle:  # noqa: ARG002
        return {"model": model}

    def order(self, state: Bundle) -> Bundle:
        return {"model": state["model"]}

    def reference(self, order: Bundle) -> Bundle:
        return {"model": self._shared(order["model"])}

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        run = trainer.compute(TrainedModel(self.local_model(order, memory)))
        local = {name: array for name, array in run.model.items() if name in self.local_names}
        shared = self._shared(run.model)
        return Contribution({"model": weighted(shared, run.examples)}, run.examples), {"local": local}, run

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:
        return {**order["model"], **memory.get("local", {})}

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        return {**state, "model": {**state["model"], **mean_model(total)}}

    def _shared(self, model: Tree) -> Tree:
        return {name: array for name, array in model.items() if name not in self.local_names}


STATEMENT = AlgorithmStatement(
    "fedbn",
    lambda settings, names: FedBN(names.normalisation),  # noqa: ARG005
    privacy_modes=frozenset({"none", "patient-local", "site"}),
    keeps="normalisation",
    one_model=False,
)
