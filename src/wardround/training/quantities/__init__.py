"""How each quantity that algorithms ask for is worked out from a site's records: one file each, plain and private.

A new quantity is its value in `algorithms/quantities.py`, its file here and one line below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wardround.algorithms.quantities import BatchGradient, FeatureMean, Quantity, TrainedModel
from wardround.training.quantities import batch_gradient, feature_mean, trained_model

if TYPE_CHECKING:
    from wardround.training.loop import TorchTrainer
    from wardround.training.per_patient.private_loop import PrivateTrainer


@dataclass(frozen=True)
class Computation:
    """plain: from the records as they are. private: no patient's share in a step is longer than privacy.clip_norm. mode: the one
    mode under which what leaves of that is private: each step noised here, or the sum noised by all sites together."""

    plain: Callable[["TorchTrainer", Any], Any]
    private: Callable[["PrivateTrainer", Any], Any]
    mode: Literal["patient-local", "patient-distributed"]


COMPUTATIONS: dict[type[Quantity[Any]], Computation] = {
    TrainedModel: Computation(trained_model.plain, trained_model.private, "patient-local"),
    BatchGradient: Computation(batch_gradient.plain, batch_gradient.private, "patient-distributed"),
    FeatureMean: Computation(feature_mean.plain, feature_mean.private, "patient-distributed"),
}


def computation_of(quantity: Quantity[Any]) -> Computation:
    """TypeError for a quantity that nobody has written down how to work out."""
    if type(quantity) not in COMPUTATIONS:
        raise TypeError(f"training/quantities/ has no file for {type(quantity).__name__}")
    return COMPUTATIONS[type(quantity)]
