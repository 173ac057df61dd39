"""The statistics of the audit: a bound that is too high would accuse a sound mechanism, one that is too low would accuse none."""

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.audit.privacy_bounds import (
    Guesses,
    Rates,
    gaussian_multiplier,
    guess,
    guesses_p_value,
    one_run_bound,
    rates,
    trials_bound,
)

epsilons = st.floats(0, 8)
deltas = st.sampled_from([0.0, 1e-12, 1e-9, 1e-6, 1e-3])


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@st.composite
def made_guesses(draw: st.DrawFn) -> Guesses:
    canaries = draw(st.integers(1, 400))
    made = draw(st.integers(1, canaries))
    return Guesses(canaries, made, draw(st.integers(0, made)))


@given(st.integers(1, 60), st.data(), st.integers(0, 4))
def test_without_delta_it_is_the_tail_of_a_binomial(made: int, data: st.DataObject, epsilon: int) -> None:
    """Theorem 5.2 at delta = 0, in exact fractions."""
    right = data.draw(st.integers(1, made))
    heads = Fraction(1 / (1 + math.exp(-epsilon)))
    tail = sum(math.comb(made, k) * heads**k * (1 - heads) ** (made - k) for k in range(right, made + 1))
    assert guesses_p_value(Guesses(made, made, right), epsilon, 0.0) == pytest.approx(float(tail), rel=1e-9)


def test_delta_costs_what_the_theorem_says() -> None:
    """The second term, summed by hand: 3 guesses of 5 canaries, 2 right, fair coins: P[W = 1, 0] = 3/8, 1/8."""
    worst = max((3 / 8) / 1, (3 / 8 + 1 / 8) / 2)
    assert guesses_p_value(Guesses(5, 3, 2), 0.0, 0.01) == pytest.approx(4 / 8 + 2 * 5 * 0.01 * worst)


@pytest.mark.parametrize(
    ("canaries", "made", "right", "delta", "epsilon"), [(1000, 100, 75, 1e-4, 0.673), (100_000, 1510, 1439, 1e-5, 2.675)]
)
def test_the_paper_s_own_figures_come_out(canaries: int, made: int, right: int, delta: float, epsilon: float) -> None:
    """Appendix D and section 7 of arXiv:2305.08846, at 95 %, as printed: three digits, rounded or cut."""
    assert one_run_bound(Guesses(canaries, made, right), delta, 0.05) == pytest.approx(epsilon, abs=1e-3)


@pytest.mark.parametrize("right", [0, 25, 50])
def test_guesses_that_are_no_better_than_coins_prove_nothing(right: int) -> None:
    """No information, no bound."""
    assert one_run_bound(Guesses(100, 50, right), 0.0, 0.05) == (0.0 if right < 50 else pytest.approx(2.784, abs=1e-3))
    assert one_run_bound(Guesses(100, 50, 25), 1e-6, 0.05) == 0.0


@given(st.integers(5, 2000), st.sampled_from([0.05, 1e-4]))
def test_all_right_proves_the_logarithm_of_their_number(made: int, false_alarm: float) -> None:
    """The most that so few canaries can show: (1 + e^-epsilon)^-made = false_alarm."""
    expected = -math.log(false_alarm ** (-1 / made) - 1)
    assert one_run_bound(Guesses(made, made, made), 0.0, false_alarm) == pytest.approx(max(0.0, expected), abs=1e-6)


@given(made_guesses(), epsilons, deltas)
def test_more_delta_more_canaries_or_more_epsilon_excuse_more(found: Guesses, epsilon: float, delta: float) -> None:
    """Otherwise halving would not find the largest refuted epsilon."""
    chance = guesses_p_value(found, epsilon, delta)
    assert 0 <= chance <= 1
    assert guesses_p_value(found, epsilon, 2 * delta + 1e-9) >= chance
    assert guesses_p_value(Guesses(found.canaries + 9, found.made, found.right), epsilon, delta) >= chance
    if chance < 0.1:
        assert guesses_p_value(found, epsilon + 0.1, delta) >= chance * (1 - 1e-9)


def randomised_response(rng: np.random.Generator, canaries: int, epsilon: float, leak: float) -> tuple[np.ndarray, np.ndarray]:
    """Each canary's bit, flipped with chance 1 / (1 + e^epsilon); with chance `leak` all bits as they are: (epsilon, leak)-DP."""
    included = rng.random(canaries) < 0.5
    flipped = rng.random(canaries) < 1 / (1 + math.exp(epsilon))
    said = included if rng.random() < leak else included ^ flipped
    return np.where(said, 1.0, -1.0), included


@pytest.mark.parametrize(("epsilon", "leak"), [(0.5, 0.0), (1.0, 0.0), (3.0, 0.0), (1.0, 0.03)])
def test_randomised_response_is_accused_no_more_often_than_promised(epsilon: float, leak: float) -> None:
    """The mechanism that the theorem is tight for. 1,500 audits at a false alarm of 10 %; the test itself: 5 deviations."""
    rng, false_alarm, audits = generator(11), 0.1, 1500
    accused = 0
    for _ in range(audits):
        found = guess(*randomised_response(rng, 300, epsilon, leak), 100, 100)
        accused += guesses_p_value(found, epsilon, leak) <= false_alarm
    assert accused <= audits * false_alarm + 5 * math.sqrt(audits * false_alarm * (1 - false_alarm))
    assert leak > 0 or accused > 0  # a level of about 10 %, not a bound that never speaks


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_many_canaries_come_close_to_the_truth(epsilon: float) -> None:
    """A bound of 0 would always hold."""
    found = guess(*randomised_response(generator(12), 200_000, epsilon, 0.0), 95_000, 95_000)
    assert 0.9 * epsilon < one_run_bound(found, 0.0, 1e-6) <= epsilon


def test_the_highest_and_the_lowest_scores_are_guessed() -> None:
    """What lies between says little, and a wrong guess costs."""
    scores = np.array([0.1, -5.0, 3.0, -0.2, 4.0])
    included = np.array([False, False, True, True, False])
    assert guess(scores, included, 2, 1) == Guesses(5, 3, 2)
    assert guess(scores, included, 0, 2) == Guesses(5, 2, 1)
    for said_in, said_out in ((0, 0), (4, 2), (-1, 3)):
        with pytest.raises(ValueError, match="guesses"):
            guess(scores, included, said_in, said_out)


@pytest.mark.parametrize(("canaries", "made", "right"), [(3, 4, 1), (3, 2, 3), (3, 2, -1)])
def test_impossible_guesses_are_refused(canaries: int, made: int, right: int) -> None:
    """A bound from them would mean nothing."""
    with pytest.raises(ValueError, match="right <= made"):
        Guesses(canaries, made, right)


def test_rates_hold_with_the_stated_confidence() -> None:
    """Clopper and Pearson: both true rates lie beyond the bounds in at most 20 % of 1,000 trials (5 deviations more here)."""
    rng, wrong = generator(13), 0
    caught, accused = 0.8413447, 0.1586553  # one deviation off the middle
    for _ in range(1000):
        included = rng.random(60) < 0.5
        found = rates(rng.normal(size=60) + 2 * included, included, 1.0, 0.2)
        wrong += found.caught > caught or found.accused < accused
    assert wrong <= 200 + 5 * math.sqrt(160)


def test_rates_without_trials_say_nothing() -> None:
    """Nobody was in: no rate of those who were caught."""
    found = rates(np.ones(5), np.zeros(5, np.bool_), 0.0, 0.1)
    assert (found.caught, found.accused) == (0.0, 1.0)
    assert found.epsilon(0.0) == 0.0 and found.gaussian == math.inf


@given(st.floats(0, 6), st.floats(0, 0.2), st.floats(0.001, 0.999))
def test_an_attack_at_the_edge_shows_exactly_epsilon(epsilon: float, delta: float, accused: float) -> None:
    """The edge of the definition: P[in | present] = e^epsilon P[in | absent] + delta."""
    caught = math.exp(epsilon) * accused + delta
    if caught < 1:
        assert Rates(caught, accused).epsilon(delta) >= epsilon - 1e-9
        assert Rates(1 - accused, 1 - caught).epsilon(delta) >= epsilon - 1e-9  # the same attack, in the other direction


@given(st.floats(0.3, 20), st.floats(0.02, 0.98))
def test_exact_rates_of_a_gaussian_give_its_multiplier(multiplier: float, accused: float) -> None:
    """Its trade-off is one curve with one parameter."""
    normal = NormalDist()
    caught = normal.cdf(normal.inv_cdf(accused) + 1 / multiplier)
    if caught < 1 - 1e-9:
        assert Rates(caught, accused).gaussian == pytest.approx(multiplier, rel=1e-5)


def test_trials_of_a_known_mechanism_stay_below_it_and_come_close() -> None:
    """Randomised response again, as separate trials, and a Gaussian."""
    rng = generator(14)
    scores, included = randomised_response(rng, 200_000, 2.0, 0.0)
    assert 1.9 < trials_bound(scores, included, 0.0, 1e-6) <= 2.0
    included = rng.random(200_000) < 0.5
    assert 1.5 <= gaussian_multiplier(rng.normal(size=200_000) * 1.5 + included - 0.5, included, 1e-6) < 1.65


def test_trials_without_information_prove_nothing() -> None:
    """The chosen half's luck must not count."""
    rng = generator(15)
    included = rng.random(4000) < 0.5
    for _ in range(50):
        assert trials_bound(rng.normal(size=4000), included, 0.0, 1e-5) == 0.0
