"""What a candidate for a hospital's personal model is, and what it is made of.

    Material --Candidate.fit--> Tuner --rows of validation--> Option: a model, and what it gives for every validation record

A candidate trains on training records alone. What it chooses on validation records it chooses on the rows that it is told, so
that it can be scored on the others. Laws that every candidate keeps: tests/algorithms/personal/candidate_conformance.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms.personal.memory import Memory, Neighbours
from wardround.values.tree import Tree

Outputs = NDArray[np.float64]
"""(n,), or (n, outputs) where the question has several: what a network gives, before anything is shown of it."""
Rows = NDArray[np.intp]
MOST_REMEMBERED = 10_000
"""Of more training records so many are drawn: each answer takes the distance to every one."""


class PersonalSettings(Protocol):
    """The [personal] section of a study, as a candidate reads it."""

    @property
    def passes(self) -> int: ...
    @property
    def proximal_mu(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Part:
    """A model of the study's network, with a weight. neighbours: the hospital's records that it asks; None for a model alone."""

    weight: float
    tree: Tree
    neighbours: Neighbours | None = None

    def is_like(self, other: "Part") -> bool:
        """Whether both give the same, but for the weight."""
        return self.tree is other.tree and self.neighbours is other.neighbours


@dataclass(frozen=True)
class PersonalModel:
    """One or more models of the study's network. What it gives is the sum of what its parts give, each times its weight."""

    parts: tuple[Part, ...]

    @classmethod
    def single(cls, model: Tree) -> "PersonalModel":
        return cls((Part(1.0, model),))

    @classmethod
    def mean(cls, models: Sequence["PersonalModel"]) -> "PersonalModel":
        """What these give, meaned. A model that is in several of them is one part."""
        parts: list[Part] = []
        for part in [replace(part, weight=part.weight / len(models)) for model in models for part in model.parts]:
            same = next((k for k, other in enumerate(parts) if part.is_like(other)), None)
            if same is None:
                parts.append(part)
            else:
                parts[same] = replace(part, weight=parts[same].weight + part.weight)
        return cls(tuple(parts))

    @property
    def holds_records(self) -> bool:
        """Whether it holds values of single patients, and not only what was learnt from all of them."""
        return any(part.neighbours is not None for part in self.parts)


@dataclass(frozen=True)
class Option:
    """setting: what was tuned, in words; empty for nothing. outputs: of every validation record."""

    model: PersonalModel
    outputs: Outputs
    setting: str = ""


Tuner = Callable[[Rows], Option]
"""Validation rows -> what is best on them. With no rows: what the candidate is without tuning."""


class Material(Protocol):
    """What a hospital makes candidates of: two models, its training records, and its validation records."""

    @property
    def own(self) -> Tree:
        """The model of this hospital's records alone."""
        ...

    @property
    def federated(self) -> Tree:
        """The federated model as this hospital would use it."""
        ...

    @property
    def head(self) -> frozenset[str]:
        """Names of the last layer's arrays: a matrix that ends in "weight" and a vector that ends in "bias"."""
        ...

    def trained(
        self, start: Tree, passes: Sequence[int], *, proximal_mu: float = 0.0, learns: frozenset[str] | None = None
    ) -> list[Tree]:
        """The model after each of these numbers of passes over the training records, rising: one training, as long as the
        longest. proximal_mu pulls towards `start`. learns: names of what may change, None for all. No pass gives `start`; the
        same call gives the same bits."""
        ...

    def outputs(self, model: Tree) -> Outputs:
        """Of every validation record."""
        ...

    def inner(self, model: Tree) -> NDArray[np.float32]:
        """What goes into the last layer for every validation record, (n, width)."""
        ...

    def memory(self, model: Tree) -> tuple[Memory, Rows]:
        """Training records as this model sees them, at most `MOST_REMEMBERED`, in an order that does not depend on theirs; and a
        number for the patient of each."""
        ...

    def with_votes(self, outputs: Outputs, votes: Outputs, voters: Outputs, share: float) -> Outputs:
        """See `wardround.tasks.protocol.Task`."""
        ...

    def losses(self, outputs: Outputs) -> NDArray[np.float64]:
        """The proper loss of every validation record, (n,)."""
        ...

    @property
    def weights(self) -> NDArray[np.float64]:
        """One over the validation records of the same patient, (n,): so that every patient counts once."""
        ...


class Candidate(Protocol):
    """One way to make a personal model. It holds no state."""

    @property
    def name(self) -> str: ...

    @property
    def reads(self) -> frozenset[str]:
        """The settings of [personal] that it reads."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether its model may hold values of single patients, as `PersonalModel.holds_records`."""
        ...

    def fit(self, material: Material, settings: PersonalSettings) -> Tuner:
        """All training is done when it returns; the tuner only looks at outputs."""
        ...


@dataclass(frozen=True)
class NamedCandidate:
    """A candidate of this house: its name, how it is fitted, what it reads, and whether it remembers patients."""

    name: str
    fit: Callable[[Material, PersonalSettings], Tuner]
    reads: frozenset[str] = frozenset()
    remembers: bool = False


def mean_loss(material: Material, outputs: Outputs, rows: Rows) -> float:
    """Over the patients of these validation rows, all of each patient's; 0 for no rows."""
    weights = material.weights[rows]
    return float(weights @ material.losses(outputs)[rows] / weights.sum()) if len(rows) else 0.0


def untuned(option: Option) -> Tuner:
    """The tuner of what validation records do not change."""
    return lambda rows: option  # noqa: ARG005


def best_of(options: Sequence[Option], material: Material) -> Tuner:
    """The tuner that takes the option of least mean loss; of equal ones, and without rows, the first."""

    def tune(rows: Rows) -> Option:
        return min(options, key=lambda option: mean_loss(material, option.outputs, rows))

    return tune


def option_of(model: Tree, material: Material, setting: str = "") -> Option:
    """A single model as an option."""
    return Option(PersonalModel.single(model), material.outputs(model), setting)


def after_passes(material: Material, counts: Sequence[int], **training: Any) -> list[Option]:
    """The federated model after each of these numbers of passes here."""
    models = material.trained(material.federated, counts, **training)
    return [option_of(model, material, _passes(count)) for model, count in zip(models, counts, strict=True)]


def _passes(count: int) -> str:
    return {0: "no pass", 1: "1 pass"}.get(count, f"{count} passes")


PASSES = (0, 1, 2, 3, 5, 10, 20, 30, 50)


def pass_counts(most: int) -> list[int]:
    """The numbers of passes that are tried: none, few, and up to the most."""
    return [*(count for count in PASSES if count < most), most]
