"""Averaging of all arrays but some, of which every site keeps its own: the engine of `fedbn` and `fedper`.

The coordinator holds those as they were before round 1, and hears nothing of them.
"""

from dataclasses import dataclass

from wardround.algorithms.fedavg import mean_model
from wardround.algorithms.protocol import Trainer
from wardround.algorithms.quantities import TrainedModel
from wardround.values.contribution import Contribution, weighted
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


@dataclass(frozen=True)
class KeptParts:
    """local_names: the arrays that each site keeps. They are trained with all others, and never leave it."""

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
