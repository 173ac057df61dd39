"""The scaled features of one step's records, summed, so that all hospitals together know their mean."""

from typing import TYPE_CHECKING

import torch

from wardround.algorithms.quantities import FeatureMean
from wardround.training.inputs import FEATURE_MEAN
from wardround.training.local_descent import Loaded
from wardround.training.model_tree import wide
from wardround.training.networks.scaling import FeatureScaling
from wardround.training.per_patient.fixed_order import FixedReductions
from wardround.training.per_patient.patient_sampling import Drawn
from wardround.values.errors import StudyError
from wardround.values.local_run import RecordSum

if TYPE_CHECKING:
    from wardround.training.loop import TorchTrainer
    from wardround.training.per_patient.private_loop import PrivateTrainer


def plain(trainer: "TorchTrainer", quantity: FeatureMean) -> RecordSum:
    """Of all records."""
    network = trainer.loaded(quantity.model)
    rows = _scaled_rows(network, trainer.rows.read(torch.arange(trainer.examples, device=trainer.device)))
    return RecordSum({**network.zeros(), FEATURE_MEAN: wide(rows.double().sum(0))}, trainer.examples, 0.0, 0)


def private(trainer: "PrivateTrainer", quantity: FeatureMean) -> RecordSum:
    """The drawn patients' mean feature vectors, without noise; one of length 1 counts as clip_norm long, at most."""
    network = trainer.loaded(quantity.model)
    drawn = trainer.drawn()
    rows = _scaled_rows(network, trainer.rows.read(torch.from_numpy(drawn.rows).to(trainer.device)))
    total = wide(_clipped_means(rows.double(), drawn, trainer.privacy.clip_norm).sum(0))
    return RecordSum({**network.zeros(), FEATURE_MEAN: total}, trainer.step_weight, 0.0, 0)


def _scaled_rows(network: Loaded, rows: torch.Tensor) -> torch.Tensor:
    """Rows (n, features) as the network scales them, before they are centred: of length at most 1. StudyError for a network that
    does not scale features."""
    scaling = network.module.get_submodule("scaling")
    if not isinstance(scaling, FeatureScaling):
        raise StudyError("Only scaled features have a mean to be taken from them", hint="leave network.backbone.feature_mean out")
    with torch.inference_mode(), FixedReductions():
        return scaling.uncentred(rows)


def _clipped_means(rows: torch.Tensor, drawn: Drawn, clip_norm: float) -> torch.Tensor:
    """rows (n, d), float64 -> (patients, d): each patient's mean row times clip_norm, at most so long. One that is not finite is
    zero: it must not take the others with it."""
    counts = torch.from_numpy(drawn.counts)
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
    means = torch.zeros(len(counts), rows.shape[1], dtype=rows.dtype).index_add_(0, owner, rows.cpu()) / counts[:, None]
    means = torch.where(torch.isfinite(means).all(1, keepdim=True), means, 0.0)
    scale: torch.Tensor = clip_norm * (1 - 2.0**-30) / means.norm(dim=1, keepdim=True).clamp(min=1.0)
    return means * scale
