"""What an algorithm is, and what it needs from a trainer.

An algorithm never sees one site's contribution at the coordinator: `update` gets the total. State and memory are bundles of
arrays, so that a checkpoint is one file.

Laws that every algorithm keeps (tests/algorithms/algorithm_conformance.py):
one site is local training; identical sites are one site; the order of sites does not matter; state survives a checkpoint.
"""

from typing import Protocol

from wardround.algorithms.quantities import Quantity, Result
from wardround.values.contribution import Contribution
from wardround.values.local_run import LocalRun
from wardround.values.tree import Bundle, Shapes, Tree


class Trainer(Protocol):
    """Answers for one site's records. Without privacy it is deterministic: the same call gives the same bits."""

    @property
    def examples(self) -> int:
        """n_k, the number of training records, >= 1."""
        ...

    def compute(self, quantity: Quantity[Result]) -> Result:
        """A quantity of these records (`algorithms/quantities.py`)."""
        ...


class Algorithm(Protocol):
    def parts(self, shapes: Shapes) -> dict[str, Shapes]:
        """The kinds of values every site sends, with names and shapes: known before anything runs."""
        ...

    def start(self, model: Tree, weight: int) -> Bundle:
        """The coordinator's state before the first round. weight: the total of all sites' weights."""
        ...

    def order(self, state: Bundle) -> Bundle:
        """What the sites get, float32. It always has a "model"."""
        ...

    def reference(self, order: Bundle) -> Bundle:
        """A public point near every site's values, part by part. Only the distance from it is encoded; a missing part is zero."""
        ...

    def work(self, order: Bundle, trainer: Trainer, memory: Bundle) -> tuple[Contribution, Bundle, LocalRun]:
        """Runs at the site: its contribution, the memory to keep if it counts, and the run."""
        ...

    def local_model(self, order: Bundle, memory: Bundle) -> Tree:
        """The model that this site would use: the order's, with whatever stays at the site."""
        ...

    def update(self, state: Bundle, total: Contribution) -> Bundle:
        """Runs at the coordinator, on the total alone. total.weight > 0."""
        ...
