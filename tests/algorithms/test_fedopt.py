"""FedOpt against its artifacts, written out once more as scalar arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given

from wardround.algorithms import ServerOptimizer
from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.fedopt import FedOpt
from wardround.values.tree import Tree, flatten

from .algorithm_conformance import THREE, AlgorithmConformance, federations, models
from .quadratic_hospitals import Federation, Quadratic, filled

RULES: tuple[ServerOptimizer, ...] = ("momentum", "adagrad", "adam", "yogi")


class TestMomentum(AlgorithmConformance):
    """The laws; the coordinator's step is not the mean, so one site is not local training."""

    algorithm = FedOpt("momentum", 0.5)
    averages = False


class TestAdagrad(AlgorithmConformance):
    """The laws."""

    algorithm = FedOpt("adagrad", 0.1)
    averages = False


class TestAdam(AlgorithmConformance):
    """The laws."""

    algorithm = FedOpt("adam", 0.1)
    averages = False


class TestYogi(AlgorithmConformance):
    """The laws."""

    algorithm = FedOpt("yogi", 0.1)
    averages = False


def line_by_line(
    rule: ServerOptimizer, deltas: list[float], x: float, *, eta: float, b1: float, b2: float, tau: float
) -> list[float]:
    """One coordinate of Reddi et al. 2021, Algorithm 2, lines 11 to 14 (and Hsu et al. 2019 for momentum)."""
    m, v = 0.0, tau * tau
    path = []
    for delta in deltas:
        if rule == "momentum":
            m = b1 * m + delta
            x = x + eta * m
        else:
            m = b1 * m + (1 - b1) * delta
            if rule == "adagrad":
                v = v + delta**2
            elif rule == "yogi":
                v = v - (1 - b2) * delta**2 * math.copysign(1.0 if v != delta**2 else 0.0, v - delta**2)
            else:
                v = b2 * v + (1 - b2) * delta**2
            x = x + eta * m / (math.sqrt(v) + tau)
        path.append(x)
    return path


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("settings", [(0.1, 0.9, 0.99, 1e-3), (1.0, 0.0, 0.5, 0.1)])
def test_each_rule_is_the_papers(rule: ServerOptimizer, settings: tuple[float, float, float, float]) -> None:
    """A sign or a bias correction too many still trains, only worse: no other test would notice."""
    eta, b1, b2, tau = settings
    play = Federation(FedOpt(rule, eta, b1, b2, tau), THREE, filled(0.25))
    deltas, found = [], []
    for _ in range(8):
        start = play.state["model"]["head.bias"].astype(np.float64)
        mean = sum(done[0].values["model"]["head.bias"] for done in play.work().values()) / play.weight
        deltas.append(float(mean - start))
        play.play()
        found.append(float(play.state["model"]["head.bias"]))
    expected = line_by_line(rule, deltas, 0.25, eta=eta, b1=b1, b2=b2, tau=tau)
    assert found == pytest.approx(expected, rel=2e-6, abs=2e-6)
    assert len({round(value, 4) for value in found}) > 3


def test_the_rules_differ_from_each_other() -> None:
    """The name in the study must not be ignored."""
    ends = set()
    for rule in RULES:
        play = Federation(FedOpt(rule, 0.1), THREE, filled(0.25))
        for _ in range(3):
            play.play()
        ends.add(float(play.state["model"]["head.bias"]))
    assert len(ends) == len(RULES)


@given(models, federations)
def test_momentum_without_momentum_is_federated_averaging(model: Tree, hospitals: dict[str, Quadratic]) -> None:
    """b1 = 0 and step 1: the mean, up to the rounding of w + (mean - w)."""
    moved, average = Federation(FedOpt("momentum", 1.0, 0.0), hospitals, model), Federation(FedAvg(), hospitals, model)
    moved.play()
    average.play()
    left, right = flatten(moved.state["model"], np.float32), flatten(average.state["model"], np.float32)
    assert (np.abs(left - right) <= np.spacing(np.maximum(np.abs(left), np.abs(right)))).all()


@pytest.mark.parametrize("rule", RULES)
def test_the_optimum_of_equal_hospitals_is_reached(rule: ServerOptimizer) -> None:
    """Whatever the rule, hospitals that agree end where they agree."""
    play = Federation(
        FedOpt(rule, 0.3 if rule == "adagrad" else 0.05), {"a": Quadratic(1.0), "b": Quadratic(1.0, 5)}, filled(0.0)
    )
    for _ in range(400):
        play.play()
    assert all(np.allclose(array, 1.0, atol=0.02) for array in play.state["model"].values())
