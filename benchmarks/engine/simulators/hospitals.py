"""Three hospitals for the comparison: real chest X-rays where `WARDROUND_DATA` has them, else generated images.

Patients stay whole: no patient is in two hospitals or in two splits. Every figure is fixed by the seed. A hospital's
training images are cut to whole batches (at most BATCH - 1 are left out), so that every simulator does the same
number of optimiser steps, whatever it does with a last, smaller batch.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHARES = (0.5, 0.3, 0.2)
VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
BATCH = 64
NAMES = ("north", "south", "harbour")

Cohort = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.str_]]


def write_hospitals(folder: Path, seed: int) -> tuple[str, tuple[Path, ...]]:
    """One npz per hospital (images, labels, patients, splits) -> (what the data are, the paths)."""
    folder.mkdir(parents=True, exist_ok=True)
    described, (images, labels, patients) = _cohort(seed)
    generator = np.random.default_rng(seed)
    names, belongs = np.unique(patients, return_inverse=True)
    hospital = generator.choice(len(SHARES), size=len(names), p=SHARES)[belongs]
    rest = 1 - VALIDATION_SHARE - TEST_SHARE
    split = generator.choice(["train", "validation", "test"], size=len(names), p=(rest, VALIDATION_SHARE, TEST_SHARE))[belongs]
    paths = tuple(folder / f"{name}.npz" for name in NAMES)
    for number, path in enumerate(paths):
        mine = np.flatnonzero(hospital == number)
        training = mine[split[mine] == "train"]
        mine = np.setdiff1d(mine, training[len(training) // BATCH * BATCH :])
        np.savez(path, images=images[mine], labels=labels[mine], patients=patients[mine], splits=split[mine])
    return described, paths


def _cohort(seed: int) -> tuple[str, Cohort]:
    root = os.environ.get("WARDROUND_DATA")
    path = Path(root) / "kermany_cxr" / "kermany_cxr_64.npz" if root else None
    if path is None or not path.exists():
        return "generated images (WARDROUND_DATA has no kermany_cxr)", generated_cohort(seed)
    with np.load(path, allow_pickle=False) as arrays:
        cohort = arrays["train_images"], arrays["train_labels"].reshape(-1), arrays["train_patient"]
    return "kermany_cxr, 64 px, official training images", cohort


def generated_cohort(seed: int, count: int = 5216, side: int = 64) -> Cohort:
    """Noise with a bright blob where the label is 1: as much work per image as an X-ray, and learnable."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.7).astype(np.uint8)
    rows, columns = np.mgrid[:side, :side]
    centres = generator.uniform(side / 4, 3 * side / 4, size=(count, 2, 1, 1))
    blob = np.exp(-((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2) / (side / 2) ** 2)
    pixels = 90 + 35 * generator.standard_normal((count, side, side)) + 40 * blob * labels[:, None, None]
    patients = np.array([f"patient-{number // 2:05d}" for number in range(count)])
    return pixels.clip(0, 255).astype(np.uint8), labels, patients
