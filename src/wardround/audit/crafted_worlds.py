"""A malicious coordinator against a study's own network: how far can one patient move a step's clipped sum?

    model whose every output is what rounding leaves (crafted_networks) -+
    made-up patients, with and without the first ------------------------+--> PrivateTrainer --> two sums --> distance

Every epsilon rests on a distance of at most 1. The first patient has one record, or two: all others then stand one place further
up, or two, in the pieces that a step is cut into. `crafted_model` turns such a distance into epsilon for a network of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.quantities import BatchGradient
from wardround.plan.plan import Plan
from wardround.plan.pricing import with_sites
from wardround.study.declaration import Study
from wardround.study.sections.training import TrainingSection
from wardround.training.head import Head
from wardround.training.inputs import InputShape
from wardround.training.per_patient.crafted_networks import crafted_trees, rows_together
from wardround.training.per_patient.private_loop import PrivateTrainer
from wardround.values.records import Records
from wardround.values.tree import Tree, flatten

OTHERS = 300
"""Patients of a table beside the first; of images so many that every shape of piece is full."""
_FIRST = "a-first"


@dataclass(frozen=True)
class MaliciousModel:
    """worlds: pairs of worlds tried. moved: the largest distance of two sums, in clip norms. None were tried where a study
    protects hospitals, whose change of the model is shortened whole, and rests on no patient's gradient."""

    worlds: int
    moved: float

    @property
    def refuted(self) -> bool:
        """A clipped sum that moves further makes every stated epsilon false."""
        return self.moved > 1.0


def malicious_model(study: Study) -> MaliciousModel | None:
    """study: a private one. None where the unit is the site."""
    if not study.privacy.of_patients:
        return None
    moves = [float(np.linalg.norm(whole - without)) / study.privacy.clip_norm for without, whole in pairs_of_sums(study)]
    return MaliciousModel(len(moves), max(moves))


def pairs_of_sums(study: Study) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The clipped sums without the first patient and with, of each pair of worlds. study: one that protects patients."""
    attack = _Attack(Plan(with_sites(study)))
    inputs, outputs = attack.plan.inputs, attack.plan.task.outputs
    for model in crafted_trees(study.learned, inputs, outputs, _plain_image(inputs)):
        for first in (1, 2):
            yield attack.sums(model, first)


@dataclass(frozen=True)
class _Attack:
    plan: Plan

    def sums(self, model: Tree, first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Without the first patient, and with. first: how many records the first patient has."""
        records = _drawn_records(self.plan.inputs, first)
        others = records.select(np.flatnonzero(records.patients != _FIRST))
        return self._sum(model, others), self._sum(model, records)

    def _sum(self, model: Tree, records: Records) -> NDArray[np.float64]:
        study, task = self.plan.study, self.plan.task
        training = TrainingSection()  # no augmentation: two worlds would differ by what was drawn
        everybody = study.privacy.changed(
            mode="patient-distributed", steps=None, sampling_rate=1.0, images_per_patient=None, views=1
        )
        trainer = PrivateTrainer(
            study.learned,
            training,
            everybody,
            self.plan.inputs,
            records,
            Head(task.outputs, task.row_loss(training, None)),
            patients=len(records),
            noise=np.asarray,
            round_number=1,
            rounds=1,
            device="cpu",
        )
        return np.asarray(flatten(trainer.compute(BatchGradient(model)).sums))


def _plain_image(inputs: InputShape) -> NDArray[np.uint8]:
    shape = (inputs.height, inputs.width) if inputs.channels == 1 else (inputs.height, inputs.width, inputs.channels)
    return np.clip(128.0 + 40.0 * np.random.default_rng(15).normal(size=shape), 0, 255).astype(np.uint8)


def _drawn_records(inputs: InputShape, first: int) -> Records:
    """The first patient's records, then one of each other patient. A table's column 0 is 1; images are copies of the plain one,
    every fourth apart, which is drawn."""
    others = OTHERS if inputs.kind == "table" else max(8, 4 * rows_together(inputs) + 1)
    rng = np.random.default_rng(14)
    rows = first + others
    if inputs.kind == "table":
        values = rng.normal(size=(rows, inputs.features)).astype(np.float32)
        values[:, 0] = 1.0
    else:
        plain = _plain_image(inputs)
        values = np.stack([plain if row % 4 else rng.integers(0, 256, plain.shape, np.uint8) for row in range(rows)])
    patients = np.array([_FIRST] * first + [f"other-{number:04}" for number in range(others)])
    return Records(values, (rng.random(rows) < 0.5).astype(np.int8), patients, np.full(rows, "train"))
