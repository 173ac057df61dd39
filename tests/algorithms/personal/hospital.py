"""One hospital's material for candidates: the site's own, over the smallest real training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wardround.site.personal_models import HospitalMaterial
from wardround.study.declaration import Study
from wardround.values.records import Records
from wardround.values.tree import Tree

from ...federation.tiny_federation import records, site, study

EVERYTHING = ["own", "federated", "fine_tuned", "private_head", "proximal", "recalibrated", "mixed", "neighbours"]


def personal_study(**settings: Any) -> Study:
    return study().revised(personal={"candidates": EVERYTHING, "passes": 3, "rate": 0.5, **settings})


def drawn(hospital: HospitalMaterial, seed: int) -> Tree:
    """A model that says something: the first one has a head of zeros."""
    rng = np.random.Generator(np.random.Philox(seed))
    start = hospital.bench.plan.trainable(hospital.bench.plan.initial_model())
    return {name: (array + 0.3 * rng.standard_normal(array.shape)).astype(np.float32) for name, array in start.items()}


def material(
    folder: Path, load: Callable[[], Records] = lambda: records("north"), declared: Study | None = None
) -> HospitalMaterial:
    """Of hospital north, with an own and a federated model that were drawn."""
    one = site("north", personal_study() if declared is None else declared, folder, load)
    bare = HospitalMaterial(one.work.bench, {}, {})
    one.close()
    return HospitalMaterial(bare.bench, drawn(bare, 1), drawn(bare, 2))


def reordered(these: Records, seed: int) -> Records:
    """The same records, those of each split in another order but for training, whose order is the order of steps."""
    rng = np.random.Generator(np.random.Philox(seed))
    moved = np.arange(len(these))
    places = np.flatnonzero(these.splits != "train")
    moved[places] = rng.permutation(places)
    return these.select(moved)
