"""Distributed gradient descent: its steps are those of one place with all records, written out once more in float64."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.algorithms.fedopt import FedOpt
from wardround.algorithms.fedsgd import FedSgd
from wardround.values.tree import Tree, flatten

from .algorithm_conformance import THREE, AlgorithmConformance, federations, inherited, models
from .quadratic_hospitals import Federation, Quadratic, filled

PLAIN = FedSgd(FedOpt("momentum", 0.1, beta1=0.0), rounds=8)


class TestPlain(AlgorithmConformance):
    """The laws; a step is not a local training."""

    algorithm = PLAIN
    averages = False
    local_steps = False


class TestAdamAveraged(AlgorithmConformance):
    """The laws, with everything that the coordinator keeps. (Decay would pull even content hospitals to zero.)"""

    algorithm = FedSgd(FedOpt("adam", 0.1), rounds=3, cosine=True, average=0.7)
    averages = False
    local_steps = False


class TestCentred(AlgorithmConformance):
    """The laws, where the first round is a sum of features."""

    algorithm = FedSgd(FedOpt("momentum", 0.1), rounds=4, feature_mean="norm.bias")
    averages = False
    local_steps = False
    rests = False


@given(models, federations)
@inherited
def test_a_round_is_one_step_along_the_gradient_of_all_records_together(model: Tree, of: dict[str, Quadratic]) -> None:
    """What makes it worth an exchange a step: hospitals that differ do not drift."""
    play = Federation(PLAIN, of, model)
    play.play()
    n = sum(hospital.examples for hospital in of.values())
    start = flatten(model)
    gradient = sum(h.examples * h.curvature * (start - np.float32(h.target)) for h in of.values()) / n
    assert flatten(play.state["model"]) == pytest.approx(start - 0.1 * gradient, rel=1e-5, abs=1e-5)


def test_it_comes_to_the_optimum_of_all_hospitals() -> None:
    """sum_k n_k a_k t_k / sum_k n_k a_k, the minimum of the federated objective."""
    play = Federation(FedSgd(FedOpt("momentum", 0.5, beta1=0.0), rounds=100), THREE, filled(0.25))
    for _ in range(100):
        play.play_encoded()
    weights = [h.examples * h.curvature for h in THREE.values()]
    optimum = sum(w * h.target for w, h in zip(weights, THREE.values(), strict=True)) / sum(weights)
    assert flatten(play.state["model"]) == pytest.approx(optimum, abs=1e-5)


def test_the_step_falls_as_half_a_cosine() -> None:
    """A constant step leaves the last model in the noise of the last gradients."""
    still = {"north": Quadratic(1.0, 10, curvature=0.5)}
    play = Federation(FedSgd(FedOpt("momentum", 0.1, beta1=0.0), rounds=4, cosine=True), still, filled(0.0))
    steps, expected, w = [], [], 0.0
    for done in range(4):
        before = float(play.state["model"]["head.bias"])
        play.play()
        steps.append(float(play.state["model"]["head.bias"]) - before)
        rate = 0.1 * 0.5 * (1 + math.cos(math.pi * (done + 0.5) / 4))
        expected.append(rate * 0.5 * (1.0 - w))
        w += expected[-1]
    assert steps == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 6), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
@inherited
def test_the_result_is_the_mean_of_the_last_rounds(rounds: int, average: float) -> None:
    """Averaging takes noise out of the result and must not take the early rounds in."""
    plain = Federation(FedSgd(FedOpt("momentum", 0.3), rounds), THREE, filled(0.25))
    averaged = Federation(FedSgd(FedOpt("momentum", 0.3), rounds, average=average), THREE, filled(0.25))
    path = []
    for _ in range(rounds):
        plain.play()
        averaged.play()
        path.append(flatten(plain.state["model"]))
    last = path[-max(1, round(average * rounds)) :]
    assert flatten(averaged.state["model"]) == pytest.approx(np.mean(last, axis=0), rel=1e-5, abs=1e-6)


def test_weight_decay_leaves_biases_alone() -> None:
    """A bias that is pulled to zero moves every patient's score."""
    still = {"north": Quadratic(2.0, 10, curvature=1.0)}
    play = Federation(FedSgd(FedOpt("momentum", 0.5, beta1=0.0), 1, decay=0.1), still, filled(2.0))
    play.play()
    assert play.state["model"]["conv.weight"] == pytest.approx(2.0 - 0.5 * 0.1 * 2.0)
    assert play.state["model"]["norm.bias"] == pytest.approx(2.0)


def test_the_first_round_sums_the_centre_and_no_other_changes_it() -> None:
    """A step along with it, or a later gradient, would move what all hospitals scale by."""
    play = Federation(FedSgd(FedOpt("momentum", 0.1), 3, feature_mean="norm.bias", unit=0.5), THREE, filled(0.25))
    play.play()
    mean = sum(h.target * h.examples for h in THREE.values()) / sum(h.examples for h in THREE.values())
    assert play.state["model"]["norm.bias"] == pytest.approx(mean / 0.5)
    assert (play.state["model"]["conv.weight"] == 0.25).all()
    play.play()
    assert play.state["model"]["norm.bias"] == pytest.approx(mean / 0.5)
    assert not (play.state["model"]["conv.weight"] == 0.25).any()
