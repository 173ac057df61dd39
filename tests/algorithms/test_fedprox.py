"""FedProx: federated averaging with a pull towards the round's starting model."""

import numpy as np
import pytest
from hypothesis import given

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.fedprox import fedprox
from wardround.values.tree import Tree

from .algorithm_conformance import AlgorithmConformance, federations, models, same_bundle
from .quadratic_hospitals import Federation, Quadratic, filled


class TestFedProx(AlgorithmConformance):
    """The laws, with a pull strong enough to show."""

    algorithm = fedprox(0.5)
    anchored = True


@given(models, federations)
def test_without_a_pull_it_is_federated_averaging(model: Tree, hospitals: dict[str, Quadratic]) -> None:
    """mu = 0, bit for bit, through the encoding."""
    prox, average = Federation(fedprox(0.0), hospitals, model), Federation(FedAvg(), hospitals, model)
    for _ in range(2):
        prox.play_encoded()
        average.play_encoded()
    assert same_bundle(prox.state, average.state)


@pytest.mark.parametrize("mu", [0.25, 1.0, 4.0])
def test_a_long_local_run_ends_at_the_optimum_of_equation_2(mu: float) -> None:
    """min_w a/2 (w - t)^2 + mu/2 (w - w_t)^2 has its minimum at (a t + mu w_t) / (a + mu)."""
    hospital = Quadratic(target=3.0, curvature=2.0, steps=400, learning_rate=0.1)
    play = Federation(fedprox(mu), {"a": hospital}, filled(-1.0))
    play.play()
    expected = (2.0 * 3.0 + mu * -1.0) / (2.0 + mu)
    assert all(np.allclose(array, expected, atol=1e-5) for array in play.state["model"].values())
