"""Federated averaging: the mean of the hospitals' models, weighted by their records."""

import numpy as np
from hypothesis import given

from wardround.algorithms.fedavg import FedAvg
from wardround.values.tree import Tree, same_bits

from .algorithm_conformance import THREE, AlgorithmConformance, models
from .quadratic_hospitals import Federation, Quadratic, filled


class TestFedAvg(AlgorithmConformance):
    """The laws."""

    algorithm = FedAvg()


@given(models)
def test_the_new_model_is_the_weighted_mean_rounded_once(model: Tree) -> None:
    """McMahan et al. 2017, Algorithm 1, against arithmetic in longer floats."""
    play = Federation(FedAvg(), THREE, model)
    runs = {site: done[2].model for site, done in play.work().items()}
    play.play()
    for name, found in play.state["model"].items():
        exact = sum(np.longdouble(THREE[site].examples) * run[name].astype(np.longdouble) for site, run in runs.items()) / 100
        assert np.abs(found - exact).max() <= np.spacing(np.abs(np.asarray(found))).max() * 0.51


def test_a_single_local_step_is_gradient_descent_on_the_joint_objective() -> None:
    """The limit that ties federated averaging to ordinary training: it reaches the joint optimum."""
    hospitals = {"a": Quadratic(1.0, 30, 1.0, 1), "b": Quadratic(-2.0, 10, 2.0, 1)}
    play = Federation(FedAvg(), hospitals, filled(0.0))
    for _ in range(200):
        play.play()
    optimum = (30 * 1.0 * 1.0 + 10 * 2.0 * -2.0) / (30 * 1.0 + 10 * 2.0)
    assert all(np.allclose(array, optimum, atol=1e-6) for array in play.state["model"].values())


def test_it_keeps_nothing_at_the_sites() -> None:
    """Nothing stays that a lost reply could leave in a wrong state."""
    play = Federation(FedAvg(), THREE, filled(0.0))
    play.play()
    assert all(memory == {} for memory in play.memories.values())
    assert same_bits(FedAvg().local_model({"model": play.state["model"]}, {}), play.state["model"])
