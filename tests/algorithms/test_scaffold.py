"""SCAFFOLD: the drift of local steps is taken out, and the control variates stay each other's mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.scaffold import Scaffold
from wardround.values.tree import Tree, flatten

from .algorithm_conformance import THREE, AlgorithmConformance, federations, models, same_bundle
from .quadratic_hospitals import Federation, Quadratic, filled

UNLIKE = {
    "north": Quadratic(1.0, 50, 2.0, steps=10, learning_rate=0.1),
    "south": Quadratic(-1.0, 30, 0.25, steps=10, learning_rate=0.1),
    "west": Quadratic(-3.0, 20, 1.0, steps=10, learning_rate=0.1),
}


class TestScaffold(AlgorithmConformance):
    """The laws."""

    algorithm = Scaffold()


class TestScaffoldWithALongerStep(AlgorithmConformance):
    """The laws, with a coordinator's step that is not the mean."""

    algorithm = Scaffold(0.5)
    averages = False


def optimum(hospitals: dict[str, Quadratic]) -> float:
    pull = sum(h.examples * h.curvature * h.target for h in hospitals.values())
    return pull / sum(h.examples * h.curvature for h in hospitals.values())


def distance(play: Federation, to: float) -> float:
    return float(np.abs(flatten(play.state["model"]) - to).max())


@pytest.mark.parametrize("encoded", [False, True])
def test_unlike_hospitals_reach_the_joint_optimum_where_averaging_does_not(encoded: bool) -> None:
    """The reason to choose it (Karimireddy et al. 2020, theorem 3): many local steps without drift."""
    best = optimum(UNLIKE)
    ends = {}
    for algorithm in (Scaffold(), FedAvg()):
        play = Federation(algorithm, UNLIKE, filled(0.0))
        for _ in range(150):
            play.play_encoded() if encoded else play.play()
        ends[type(algorithm).__name__] = distance(play, best)
    assert ends["Scaffold"] < 1e-4
    assert ends["FedAvg"] > 0.1


@given(models, federations, st.lists(st.sets(st.sampled_from(["east", "north", "south", "west"])), min_size=1, max_size=4))
def test_the_common_control_is_the_mean_of_the_sites_own(model: Tree, of: dict[str, Quadratic], lost: list[set[str]]) -> None:
    """c = sum n_k c_k / n, whoever is lost in whichever round: a lost site keeps its old c_k, and c does not move for it."""
    play = Federation(Scaffold(), of, model)
    for away in lost:
        play.play(counted=[site for site in of if site not in away] or list(of))
        scale = 0.0
        mean = np.zeros(13)
        for site, memory in play.memories.items():
            if memory:
                mean += flatten(memory["control"]) * of[site].examples / play.weight
                scale = max(scale, float(np.abs(flatten(memory["control"])).max()))
        assert np.abs(flatten(play.state["control"]) - mean).max() <= 4e-7 * max(scale, 1.0) * play.round


def test_a_control_is_the_hospitals_mean_gradient_along_its_path() -> None:
    """Option II: c_k+ = c_k - c + (x - y_k) / sum of learning rates; with one step and no control it is the gradient at x."""
    hospital = Quadratic(3.0, 10, 2.0, steps=1)
    play = Federation(Scaffold(), {"a": hospital}, filled(1.0))
    play.play()
    assert np.allclose(flatten(play.memories["a"]["control"]), 2.0 * (1.0 - 3.0))
    assert np.allclose(flatten(play.state["control"]), 2.0 * (1.0 - 3.0))


def test_the_first_round_is_federated_averaging() -> None:
    """All controls are zero, so the corrections are."""
    scaffold, average = Federation(Scaffold(), THREE, filled(0.25)), Federation(FedAvg(), THREE, filled(0.25))
    scaffold.play()
    average.play()
    assert same_bundle({"model": scaffold.state["model"]}, {"model": average.state["model"]})


def test_the_coordinators_step_size_scales_the_way_to_the_mean() -> None:
    """x <- x + lr_g (mean - x)."""
    half, whole = Federation(Scaffold(0.5), THREE, filled(0.25)), Federation(Scaffold(), THREE, filled(0.25))
    half.play()
    whole.play()
    way = flatten(whole.state["model"]) - 0.25
    assert np.allclose(flatten(half.state["model"]) - 0.25, 0.5 * way, rtol=1e-5)
    assert np.abs(way).min() > 0.01
