"""FedBN: normalisation stays at the hospital, in every way a value could leave it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.kept_parts import KeptParts
from wardround.privacy.fixed_point_mechanism import protect
from wardround.values.contribution import Contribution
from wardround.values.randomness import rounding_key
from wardround.values.tree import Tree, same_bits, shapes_of

from .algorithm_conformance import THREE, AlgorithmConformance, federations, models, same_bundle
from .quadratic_hospitals import NAMES, NORM_NAMES, Federation, Quadratic, filled


class TestKeptParts(AlgorithmConformance):
    """The laws."""

    algorithm = KeptParts(NORM_NAMES)


class TestFedBNWithoutNormalisation(AlgorithmConformance):
    """The laws, for a network that has none."""

    algorithm = KeptParts(frozenset())


@given(models, federations)
def test_normalisation_is_in_nothing_that_leaves(model: Tree, hospitals: dict[str, Quadratic]) -> None:
    """Parts, contributions and the reference hold the shared names only; the words have just their number of values."""
    algorithm = KeptParts(NORM_NAMES)
    shared = NAMES.keys() - NORM_NAMES
    assert algorithm.parts(shapes_of(model))["model"].keys() == shared
    play = Federation(algorithm, hospitals, model)
    for _ in range(2):
        order = algorithm.order(play.state)
        assert algorithm.reference(order)["model"].keys() == shared
        for contribution, _, _ in play.work().values():
            assert contribution.values.keys() == {"model"}
            assert contribution.values["model"].keys() == shared
            counted = Contribution(contribution.values, contribution.weight, {"loss": np.array([0, 1])})
            words = protect(counted, algorithm.reference(order), play.frame, lambda part: rounding_key("test", part))
            assert words["model/words"].size == 7
        play.play()


def test_every_hospital_keeps_its_own_and_the_coordinator_the_first() -> None:
    """Algorithm 1: the coordinator never learns a hospital's normalisation."""
    play = Federation(KeptParts(NORM_NAMES), THREE, filled(0.25))
    for _ in range(3):
        play.play()
    own = [play.memories[site]["local"] for site in THREE]
    assert all(tree.keys() == NORM_NAMES for tree in own)
    assert not any(same_bits(left, right) for left, right in pairwise(own))
    start = filled(0.25)
    assert all(play.state["model"][name].tobytes() == start[name].tobytes() for name in NORM_NAMES)


def test_a_lost_hospital_goes_on_from_its_older_normalisation() -> None:
    """State of a lost reply must never be kept as if it had been counted."""
    play = Federation(KeptParts(NORM_NAMES), THREE, filled(0.25))
    play.play()
    older = play.memories["north"]
    play.play(counted=["south", "west"])
    assert same_bundle(play.memories["north"], older)


@pytest.mark.parametrize("encoded", [False, True])
def test_without_local_names_it_is_federated_averaging(encoded: bool) -> None:
    """A network without normalisation must not notice the difference."""
    one, other = Federation(KeptParts(frozenset()), THREE, filled(0.25)), Federation(FedAvg(), THREE, filled(0.25))
    for play in (one, other):
        for _ in range(3):
            play.play_encoded() if encoded else play.play()
    assert same_bits(one.state["model"], other.state["model"])
