"""What a plan asks of a study's network without running it, and who answers: this process, or another one.

    Plan --facts, initial_model--> Networks: InThisProcess (PyTorch is loaded) | any other that gives the same answers

PyTorch takes 200 MB of a process. A hub that only adds and sends has it in another, which ends.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wardround.study.sections.network import LAST_LAYERS
from wardround.values.tree import Shapes, Tree, size_of

if TYPE_CHECKING:
    from wardround.plan.plan import Plan


@dataclass(frozen=True)
class NetworkFacts:
    """shapes: of every float32 array. trainable: names of those that training changes, and so travel after the opening. norms:
    names of those that belong to normalisation layers. Where each hospital keeps its last layer, without that layer; head_width:
    how many numbers that layer reads then, else 0."""

    shapes: Shapes
    trainable: frozenset[str]
    norms: frozenset[str]
    head_width: int = 0

    @property
    def trainable_size(self) -> int:
        """How many numbers training changes."""
        return size_of({name: self.shapes[name] for name in self.trainable})


def in_last_layer(name: str) -> bool:
    """Whether an array of this name belongs to the network's last layer."""
    return name.rpartition(".")[0] in LAST_LAYERS


def trunk_of(facts: NetworkFacts) -> NetworkFacts:
    """The network without its last layer: what hospitals share where each keeps its own. It is the same for any question."""
    widths = [shape[-1] for name, shape in facts.shapes.items() if in_last_layer(name) and len(shape) > 1]
    kept = {name: shape for name, shape in facts.shapes.items() if not in_last_layer(name)}
    return NetworkFacts(kept, facts.trainable & kept.keys(), facts.norms & kept.keys(), widths[0])


class Networks(Protocol):
    """Answers about the network of a plan's study. It may read the plan's study, records, inputs and task."""

    def facts(self, plan: "Plan") -> NetworkFacts: ...

    def initial_model(self, plan: "Plan") -> Tree:
        """Every array of the model, float32, before the first round."""
        ...


class InThisProcess:
    """Implements `Networks`: PyTorch is loaded with the first answer."""

    def facts(self, plan: "Plan") -> NetworkFacts:
        from wardround.training.model_tree import float_shapes, norm_names, trainable_names
        from wardround.training.networks import build

        network = build(plan.study.learned, plan.inputs, plan.task.outputs)
        facts = NetworkFacts(float_shapes(network), trainable_names(network), norm_names(network))
        return trunk_of(facts) if plan.study.keeps_heads else facts

    def initial_model(self, plan: "Plan") -> Tree:
        from wardround.plan.public_scaling import public_scaling
        from wardround.training.model_tree import initial_tree

        study = plan.study
        tree = initial_tree(study.learned, plan.inputs, study.training.seed, plan.task.outputs)
        if study.keeps_heads:
            tree = {name: array for name, array in tree.items() if not in_last_layer(name)}
        return {**tree, **public_scaling(study.learned.backbone, plan.records)}


IN_THIS_PROCESS = InThisProcess()
