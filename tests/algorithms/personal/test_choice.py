"""Which model a hospital keeps: numbers in, a name and a reason out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.algorithms.personal import (
    OWN,
    Memory,
    Neighbours,
    Option,
    Part,
    PersonalModel,
    choose,
    cross_fitted,
    halvings,
    kept_own,
    per_patient,
)

RNG = np.random.default_rng(0)


def around(mean: float, n: int = 40, spread: float = 0.1) -> np.ndarray:  # type: ignore[type-arg]
    """Losses with exactly this mean."""
    noise = np.random.default_rng(n).standard_normal(n) * spread
    return mean + noise - noise.mean()


def test_a_clear_gain_is_taken() -> None:
    """A hospital joins for this."""
    choice = choose({OWN: np.full(40, 0.5), "federated": around(0.4), "fine_tuned": around(0.3)})
    assert choice.name == "fine_tuned" and choice.patients == 40 and not choice.few
    assert "0.200 below that of own" in choice.reason and "40 validation patients" in choice.reason


@pytest.mark.parametrize(("loss", "side"), [(0.49, "below"), (0.51, "above")])
def test_a_difference_within_one_standard_error_keeps_both(loss: float, side: str) -> None:
    """The best of many candidates looks better than it is, and so does an own model of few patients: neither is bet on."""
    choice = choose({OWN: np.full(40, 0.5), "federated": around(loss), "fine_tuned": around(0.6)})
    error = choice.scores["federated"].standard_error
    assert abs(choice.scores["federated"].gain) < error
    assert choice.names == (OWN, "federated") and choice.name == "own + federated"
    assert f"0.010 {side} that of own, within one standard error ({error:.3f}), on 40 validation patients" in choice.reason


def test_an_own_model_that_is_clearly_better_is_kept_alone() -> None:
    """Half of a model that harms would harm half as much."""
    choice = choose({OWN: around(0.3), "federated": np.full(40, 0.5), "mixed": around(0.45, spread=0.2)})
    assert choice.names == (OWN,) and "0.150 below that of mixed, more than one standard error" in choice.reason


def test_of_two_that_do_the_same_the_own_model_is_kept() -> None:
    """A mixture that was tuned to nothing but the own model is that model, and no file needs it twice."""
    own = around(0.5)
    assert choose({OWN: own, "mixed": own}).names == (OWN,)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.booleans()), min_size=1, max_size=30))
def test_the_mean_of_two_models_is_never_worse_than_the_mean_of_their_losses(patients: list[tuple[float, float, bool]]) -> None:
    """What keeping both rests on: the cross-entropy is convex in the logit."""
    own, other = np.array([one[0] for one in patients]), np.array([one[1] for one in patients])
    signs = np.where([one[2] for one in patients], -1.0, 1.0)
    losses = [np.logaddexp(0.0, signs * logits).mean() for logits in (own, other, (own + other) / 2)]
    assert losses[2] <= (losses[0] + losses[1]) / 2 + 1e-12


def test_a_model_that_both_hold_is_one_part_of_their_mean() -> None:
    """Own and a mixture with own: each network runs once for a patient."""
    own, federated = {"w": np.zeros(1, np.float32)}, {"w": np.ones(1, np.float32)}
    mixed = PersonalModel((Part(0.75, own), Part(0.25, federated)))
    parts = PersonalModel.mean([PersonalModel.single(own), mixed]).parts
    assert [(part.weight, part.tree is own, part.tree is federated) for part in parts] == [
        (0.875, True, False),
        (0.125, False, True),
    ]
    assert [part.weight for part in PersonalModel.mean([mixed]).parts] == [0.75, 0.25]


def test_a_model_that_asks_its_neighbours_is_another_than_the_same_without() -> None:
    """As one part the one would take the other's place, and a memory would be lost or found."""
    tree = {"w": np.ones(1, np.float32)}
    memory = Memory(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32))
    asking = PersonalModel((Part(1.0, tree, Neighbours(memory, 2, 1.0, 0.5)),))
    both = PersonalModel.mean([PersonalModel.single(tree), asking])
    assert [(part.weight, part.neighbours is None) for part in both.parts] == [(0.5, True), (0.5, False)]
    assert both.holds_records and not PersonalModel.single(tree).holds_records
    assert [part.weight for part in PersonalModel.mean([asking, asking]).parts] == [1.0]


def test_it_is_the_paired_difference_that_counts() -> None:
    """Patients differ more than models: where every single one is better off, the gain is sure, however wide the losses."""
    own = around(1.0, spread=5.0)
    assert choose({OWN: own, "mixed": own - 0.001}).name == "mixed"


def test_ranking_well_does_not_help_who_is_sure_and_wrong() -> None:
    """Where 98 % were ill the shared model had the better AUC and four times the loss: by its AUC it would have been taken."""
    labels = np.array([1] * 49 + [0])
    own, shared = np.full(50, 0.98), np.where(labels == 1, 0.10, 0.05)
    losses = {name: -np.log(np.where(labels == 1, p, 1 - p)) for name, p in ((OWN, own), ("federated", shared))}
    assert choose(losses).name == OWN


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_one_patient_choose_nothing(n: int) -> None:
    """One patient has no standard error, so that no gain is above it."""
    choice = choose({OWN: np.full(n, 0.9), "federated": np.full(n, 0.1)})
    assert choice.name == OWN and choice.few and choice.reason
    assert n or math.isnan(choice.scores["federated"].loss)


def test_a_reason_of_ones_own_keeps_the_scores() -> None:
    """What could not choose is shown all the same."""
    choice = kept_own({OWN: np.full(9, 0.9), "federated": np.full(9, 0.1)}, "one class")
    assert (choice.name, choice.reason, choice.few) == (OWN, "one class", True)
    assert choice.scores["federated"].gain == pytest.approx(0.8)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(0, 9))
def test_no_patient_is_in_both_halves_and_each_class_is_halved(numbers: list[int], seed: int) -> None:
    """A patient in both would be tuned on and scored; a half of one class would tune anything."""
    patients = np.array([f"patient-{number}" for number in numbers])
    strata = np.array([number % 2 for number in numbers])
    for first, second in halvings(patients, strata, seed):
        assert sorted([*first, *second]) == list(range(len(numbers)))
        assert not set(patients[first]) & set(patients[second])
        for stratum in (0, 1):
            counts = [len(set(patients[half][strata[half] == stratum])) for half in (first, second)]
            assert abs(counts[0] - counts[1]) <= 1


class Remembering:
    """A candidate that is perfect where it was tuned, and wrong elsewhere: what tuning on validation patients could become."""

    weights = np.ones(20)

    def losses(self, outputs: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return outputs

    def tune(self, rows: np.ndarray) -> Option:  # type: ignore[type-arg]
        outputs = np.ones(20)
        outputs[rows] = 0.0
        return Option(PersonalModel(()), outputs)


def test_nobody_is_scored_by_what_was_tuned_on_them() -> None:
    """Else the candidate that learns the validation patients by heart would be chosen everywhere."""
    one, patients = Remembering(), np.array([f"p{number}" for number in range(20)])
    halves = list(halvings(patients, np.zeros(20, int), 1))
    assert cross_fitted(one.tune, one, halves).tolist() == [1.0] * 20  # type: ignore[arg-type]


def test_a_patient_counts_once_however_many_records() -> None:
    """Somebody with ten pictures is one patient of the choice."""
    losses = per_patient(np.array([1.0, 2.0, 3.0, 10.0]), np.array(["b", "b", "b", "a"]))
    assert losses.tolist() == [10.0, 2.0]
