"""What an algorithm may ask of a hospital's records: a frozen value for each quantity.

    algorithm --quantity--> Trainer.compute --> a trained model, or a sum over records

How each is worked out, with and without privacy, stands in `training/quantities/`, one file each.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from wardround.values.local_run import LocalResult, LocalRun, RecordSum
from wardround.values.tree import Tree

Result = TypeVar("Result", bound=LocalResult)


@dataclass(frozen=True)
class Quantity(Generic[Result]):
    """model: the model that it is taken at."""

    model: Tree


@dataclass(frozen=True)
class TrainedModel(Quantity[LocalRun]):
    """The model after a round of local steps from `model`. proximal_mu * (w - model) and gradient_shift are added to every
    gradient. learns: names of the arrays that may change; None for all. passes: the model is kept after each of these numbers of
    passes over the records, too: rising, none above those of the round."""

    proximal_mu: float = 0.0
    gradient_shift: Tree | None = None
    learns: frozenset[str] | None = None
    passes: tuple[int, ...] = ()


@dataclass(frozen=True)
class BatchGradient(Quantity[RecordSum]):
    """The gradients of one step's records at `model`, summed; zeros for what no gradient changes."""


@dataclass(frozen=True)
class FeatureMean(Quantity[RecordSum]):
    """The scaled features of one step's records, summed as `sums["scaling.feature_mean"]`; zeros for all else."""
