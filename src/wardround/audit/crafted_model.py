"""A malicious coordinator: a model whose outputs are rounding remainders, so that one patient might move everybody's gradient.

    flagged records --the first patient in or out--> PrivateTrainer at the crafted model --> two clipped sums
    one of the two, by coin --+ noise of the study's grid--> how far along their difference it lies, in clip norms

Column 0 is 1 for everybody, as a constant or a common flag is. A large weight on it and the opposite bias leave of each output
what rounding leaves. Where that depends on the order in which a library adds, the first patient, who moves all others one place
up, changes hundreds of clipped gradients and not one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.quantities import BatchGradient
from wardround.audit.audited_training import TrainingCanaries
from wardround.privacy.noise_grid import NoiseGrid
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import shape_of
from wardround.training.model_tree import initial_tree
from wardround.values.records import Records
from wardround.values.tree import Tree, flatten

FIRST, OTHERS, COLUMNS, HIDDEN = "a-first", 600, 49, 10
_LARGE = np.float32(2.0**28)


def flagged_records() -> Records:
    """A table of drawn patients, one record each; the first in order is FIRST."""
    rng = np.random.default_rng(12)
    inputs = (4.0 * rng.normal(size=(OTHERS + 1, COLUMNS))).astype(np.float32)
    inputs[:, 0] = 1.0
    patients = np.array([FIRST, *(f"other-{number:04}" for number in range(OTHERS))])
    labels = (rng.random(OTHERS + 1) < 0.5).astype(np.int8)
    labels[0] = 1  # what the crafted model denies: the first patient's own gradient is as long as it may be
    return Records(inputs, labels, patients, np.full(OTHERS + 1, "train"))


def crafted_tree(network: NetworkSection, records: Records) -> Tree:
    """Small weights everywhere, but 2^28 on column 0 of the first layer, and the opposite bias."""
    rng = np.random.default_rng(13)
    shapes = initial_tree(network, shape_of(records), 1)
    tree = {name: rng.normal(size=array.shape).astype(np.float32) for name, array in shapes.items()}
    tree["hidden.0.weight"][:, 0], tree["hidden.0.bias"][:] = _LARGE, -_LARGE
    return tree


@dataclass(frozen=True)
class CraftedModel:
    """The attack at one clip norm. privacy: `clip_norm` counts, everybody is drawn."""

    privacy: PrivacySection

    @property
    def size(self) -> int:
        """How many values the network learns."""
        return len(self._sums[0])

    @property
    def moved(self) -> float:
        """How far the first patient moves the clipped sum, in clip norms: at most 1 where clipping holds."""
        without, whole = self._sums
        return float(np.linalg.norm(whole - without)) / self.privacy.clip_norm

    def views(self, noise_grid: NoiseGrid) -> "CraftedViews":
        return CraftedViews(*self._sums, noise_grid)

    @cached_property
    def _sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Without the first patient, and with."""
        records, network = flagged_records(), NetworkSection(name="mlp", hidden=(HIDDEN,))
        names = np.array([FIRST])
        canaries = TrainingCanaries(network, TrainingSection(), self.privacy, records, names, crafted_tree(network, records))
        kept = [canaries.kept(np.array([included])) for included in (False, True)]
        trainers = [canaries.trainer(some, np.asarray, "patient-distributed", sampling_rate=1.0) for some in kept]
        without, whole = (np.asarray(flatten(each.compute(BatchGradient(canaries.model)).sums)) for each in trainers)
        return without, whole


@dataclass(frozen=True)
class CraftedViews:
    """Every canary is one trial, a step with noise of its own: is FIRST in? The auditor knows both sums."""

    without: NDArray[np.float64]
    whole: NDArray[np.float64]
    noise_grid: NoiseGrid

    def __call__(self, included: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
        change = self.whole - self.without
        along = change / max(float(np.linalg.norm(change)), np.finfo(np.float64).tiny)
        grid, sums = self.noise_grid, (self.without, self.whole)
        noised = [along @ (grid.decode(grid.encode(sums[int(one)])) - self.without) for one in included]
        yield np.array(noised) / grid.clip_norm
