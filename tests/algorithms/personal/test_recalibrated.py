"""Recalibrating by few patients, whose truth is known: what the prior is for."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from wardround.algorithms.personal import Memory, candidate_named, recalibrated
from wardround.study.sections.personal import PersonalSection
from wardround.values.tree import Tree

DRAWS, FEW = 40, 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Patients with one record each, as a candidate sees them. logits: of the federated model."""

    logits: Floats
    labels: Floats

    head = frozenset({"head.weight", "head.bias"})
    own: Tree
    federated: Tree

    @property
    def weights(self) -> Floats:
        return np.ones(len(self.logits))

    def outputs(self, model: Tree) -> Floats:  # noqa: ARG002  (the federated model is all there is)
        return self.logits

    def losses(self, outputs: Floats) -> Floats:
        return np.asarray(np.logaddexp(0, outputs) - self.labels * outputs)

    def inner(self, model: Tree) -> NDArray[np.float32]:
        raise AssertionError(f"recalibrating asks no neighbours of {model}")

    def memory(self, model: Tree) -> tuple[Memory, NDArray[np.intp]]:
        raise AssertionError(f"recalibrating remembers nobody with {model}")

    def with_votes(self, outputs: Floats, *_: object) -> Floats:
        raise AssertionError(f"recalibrating mixes no vote into {outputs}")

    def trained(self, start: Tree, passes: int, **_: object) -> Tree:
        raise AssertionError(f"recalibrating trains nothing, from {start} for {passes} passes")


def changes(offset: float) -> Floats:
    """By how much recalibrating on a few patients changes the true loss, for each of many draws of them. The federated model's
    logits are `offset` below the truth's."""
    everybody = np.random.default_rng(0).normal(0, 2, 2000)
    chance = 1 / (1 + np.exp(-(everybody + offset)))
    model = {"head.weight": np.ones((1, 1), np.float32), "head.bias": np.zeros(1, np.float32)}

    def true_loss(slope: float, moved: float) -> float:
        outputs = slope * everybody + moved
        return float(np.mean(np.logaddexp(0, outputs) - chance * outputs))

    losses = []
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, FEW])
        logits = rng.normal(0, 2, FEW)
        labels = (rng.random(FEW) < 1 / (1 + np.exp(-(logits + offset)))).astype(np.float64)
        tune = candidate_named("recalibrated").fit(Validation(logits, labels, model, model), PersonalSection())
        (part,) = tune(np.arange(FEW)).model.parts
        losses.append(true_loss(float(part.tree["head.weight"][0, 0]), float(part.tree["head.bias"][0])))
    return np.array(losses) - true_loss(1.0, 0.0)


def test_ten_patients_do_next_to_no_harm_to_a_model_that_was_right() -> None:
    """Recalibrating on few patients made models worse: every draw of ten does, so what counts is by how little."""
    harm = changes(offset=0.0)
    assert harm.mean() < 0.005 and harm.max() < 0.03


def test_without_the_prior_they_do_a_great_deal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test before would prove nothing: two numbers are fitted to ten patients."""
    monkeypatch.setattr(recalibrated, "SLOPE_DEVIATION", 20.0)
    monkeypatch.setattr(recalibrated, "OFFSET_DEVIATION", 20.0)
    assert changes(offset=0.0).mean() > 0.1


def test_ten_patients_mend_a_model_that_is_wrong_by_a_logit() -> None:
    """A prior that lets nothing through would make the candidate useless."""
    change = changes(offset=1.0)
    assert change.mean() < -0.02 and (change > 0).sum() <= DRAWS / 5
