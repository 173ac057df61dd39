"""Epsilon of many releases, against closed forms, against dp-accounting itself, and its laws."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from wardround.privacy import accounting
from wardround.privacy.accounting import affordable, bill, calibrate, curve, epsilon
from wardround.privacy.events import Event, Slack
from wardround.values.errors import StudyError

DELTA = 1e-5


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Balle and Wang 2018, theorem 8: delta of the Gaussian mechanism with sensitivity over deviation mu; T releases of
    multiplier z are one with mu = sqrt(T) / z."""

    def above(candidate: float) -> float:
        exponent = candidate + norm.logcdf(-mu / 2 - candidate / mu)
        return float(norm.cdf(mu / 2 - candidate / mu) - math.exp(exponent)) - delta

    return float(brentq(above, 0, 1000, xtol=1e-10))


@pytest.mark.parametrize(("multiplier", "steps"), [(0.5, 1), (1.0, 1), (10.0, 100), (15.0, 60), (4.0, 10), (300.0, 1000)])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_releases_of_everybody_are_one_gaussian(multiplier: float, steps: int, delta: float) -> None:
    """Where the truth is known exactly, the accountant must find it, and never less."""
    exact = gaussian_epsilon(math.sqrt(steps) / multiplier, delta)
    computed = epsilon({Event(multiplier): steps}, delta)
    assert exact - 1e-6 <= computed <= exact * 1.01


def test_gaussians_of_different_noise_are_one_gaussian() -> None:
    """Studies with different noise meet in one ledger."""
    exact = gaussian_epsilon(math.sqrt(40 / 10**2 + 9 / 5**2), DELTA)
    assert epsilon({Event(10.0): 40, Event(5.0): 9}, DELTA) == pytest.approx(exact, rel=0.01)


@pytest.mark.slow
def test_the_answer_is_that_of_dp_accounting() -> None:
    """The ledger's epsilon is the field's epsilon of the composed events."""
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    def sampled(probability: float, multiplier: float) -> dp_accounting.DpEvent:
        return dp_accounting.PoissonSampledDpEvent(probability, dp_accounting.GaussianDpEvent(multiplier))

    accountant = PLDAccountant()
    accountant.compose(sampled(0.1, 2.0), 60).compose(sampled(0.02, 1.2), 300).compose(dp_accounting.GaussianDpEvent(20.0), 40)
    spent = {Event(20.0): 40, Event(2.0, 0.1): 60, Event(1.2, 0.02): 300}
    assert epsilon(spent, DELTA) == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-6)


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    """The two ends."""
    assert epsilon({}, DELTA) == epsilon({Event(1.0): 0}, DELTA) == 0
    assert epsilon({Event(1.0): 1, Event(0.0): 1}, DELTA) == math.inf
    assert epsilon({Event(0.0): 0}, DELTA) == 0


def test_units_are_never_mixed() -> None:
    """A sum of a patient's and a hospital's epsilon would mean neither."""
    with pytest.raises(ValueError):
        epsilon({Event(1.0): 1, Event(1.0, unit="site"): 1}, DELTA)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_delta_is_a_probability(delta: float) -> None:
    """At delta 0 a Gaussian promises nothing, and at 1 everybody does."""
    with pytest.raises(ValueError):
        epsilon({Event(1.0): 1}, delta)


def test_the_slack_of_integers_is_paid_first() -> None:
    """epsilon(delta - slack) + slack, n times for n releases."""
    slack = Slack(1e-4, 1e-7)
    assert epsilon({Event(10.0, slack=slack): 50}, DELTA) == epsilon({Event(10.0): 50}, DELTA - 50 * 1e-7) + 50 * 1e-4
    assert epsilon({Event(10.0, slack=Slack(0, 1e-6)): 11}, DELTA) == math.inf, "all of delta is spent on slack"
    apart = {Event(10.0, 0.5): 20, Event(10.0, 0.5, slack=slack): 30}
    assert epsilon(apart, DELTA) == epsilon({Event(10.0, 0.5): 50}, DELTA - 30 * 1e-7) + 30 * 1e-4


SCHEDULES = st.tuples(st.floats(0.6, 50.0), st.sampled_from([0.01, 0.1, 0.4, 1.0]), st.integers(1, 300))


@pytest.mark.slow
@settings(max_examples=12)
@given(SCHEDULES, st.floats(1.01, 2.0), st.sampled_from([1e-3, 1e-5, 1e-7]))
def test_more_noise_fewer_steps_a_lower_rate_and_a_larger_delta_cost_less(
    schedule: tuple[float, float, int], more: float, delta: float
) -> None:
    """An accountant that is not monotone has a hole through which a budget leaks."""
    multiplier, rate, steps = schedule
    cost = epsilon({Event(multiplier, rate): steps}, delta)
    assert cost >= 0
    assert epsilon({Event(multiplier * more, rate): steps}, delta) <= cost
    assert epsilon({Event(multiplier, rate): steps + 7}, delta) >= cost
    assert epsilon({Event(multiplier, rate / more): steps}, delta) <= cost
    assert epsilon({Event(multiplier, rate): steps}, delta * more) <= cost
    assert epsilon({Event(multiplier, rate): steps, Event(5.0, 0.3): 1}, delta) >= cost


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_where_the_grid_ends_renyi_goes_on_without_a_step_down(rate: float) -> None:
    """Noise this small protects nobody, but a budget must still see that it does not."""
    multipliers = [0.1, 0.19, 0.21]
    epsilons = [epsilon({Event(multiplier, rate): 1}, DELTA) for multiplier in multipliers]
    assert epsilons == sorted(epsilons, reverse=True) and epsilons[0] < math.inf
    steps = [epsilon({Event(1.0, rate): count}, DELTA) for count in (100, 1000, 10000)]
    assert steps == sorted(steps) and steps[-1] > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rate", "steps"), [(2.0, 1.0, 60), (0.65, 1.0, 30), (2.0, 0.1, 60), (8.0, 0.02, 100), (0.1, 0.5, 10)]
)
def test_the_calibrated_noise_spends_what_may_be_spent_and_no_more(target: float, rate: float, steps: int) -> None:
    """Too little noise breaks the promise; too much costs accuracy."""
    multiplier = calibrate(target, DELTA, rate, steps)
    assert len(f"{multiplier:.10g}".replace(".", "").lstrip("0")) <= accounting.DIGITS
    assert 0.99 * target < epsilon({Event(multiplier, rate): steps}, DELTA) <= target
    one_less = float(f"{multiplier * (1 - 1.01 * 10 ** (1 - accounting.DIGITS)):.4g}")
    assert epsilon({Event(one_less, rate): steps}, DELTA) > target, "it is the smallest"


def test_calibrated_noise_pays_for_the_slack_too() -> None:
    """Otherwise the study would be refused at its last step."""
    slack = Slack(1e-3, 1e-8)
    multiplier = calibrate(2.0, DELTA, 1.0, 60, slack)
    assert multiplier > calibrate(2.0, DELTA, 1.0, 60)
    assert epsilon({Event(multiplier, slack=slack): 60}, DELTA) <= 2.0


def test_what_no_noise_can_reach_is_refused() -> None:
    """A study that cannot be calibrated must not start with some other noise."""
    with pytest.raises(StudyError, match="Rounding to whole numbers alone"):
        calibrate(0.05, DELTA, 1.0, 60, Slack(1e-3, 0))
    with pytest.raises(StudyError, match="No noise multiplier up to 1,000,000"):
        calibrate(1e-5, DELTA, 1.0, 10**6)


@pytest.mark.parametrize(("target", "rate", "steps"), [(0.001, 1.0, 60), (0.001, 0.01, 60), (1e-4, 1.0, 1000)])
def test_a_very_small_epsilon_has_its_noise(target: float, rate: float, steps: int) -> None:
    """Where a search ends is no law of nature: "no noise gives this" would be false."""
    multiplier = calibrate(target, DELTA, rate, steps)
    assert 0.98 * target < epsilon({Event(multiplier, rate): steps}, DELTA) <= target


@pytest.mark.slow
def test_few_compositions_find_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes up to a second; somebody waits at a terminal for a dozen of these answers."""
    composed: list[float] = []
    real = accounting._continuous
    monkeypatch.setattr(accounting, "_continuous", lambda *asked: (composed.append(asked[2]), real(*asked))[1])
    for target, rate, steps in [(2.0, 1.0, 61), (2.0, 0.3, 41), (8.0, 0.02, 101)]:
        composed.clear()
        calibrate(target, DELTA, rate, steps)
        assert len(composed) <= (6 if rate == 1 else 12)


@pytest.mark.slow
@pytest.mark.parametrize("beside", [{}, {Event(3.0, 0.1): 100}, {Event(2.0, 0.1): 30}])
def test_affordable_is_the_last_count_within_the_budget(beside: dict[Event, int]) -> None:
    """One more would break the promise, one less would waste it."""
    event = Event(2.0, 0.1)
    more = affordable(event, 3.0, DELTA, beside)
    before = beside.get(event, 0)
    assert epsilon({**beside, event: before + more}, DELTA) <= 3.0 < epsilon({**beside, event: before + more + 1}, DELTA)


def test_nothing_is_affordable_beyond_the_budget() -> None:
    """Also where what is beside has taken all of it, or the event has no noise."""
    assert affordable(Event(2.0), 1.0, DELTA, {Event(0.0): 1}) == 0
    assert affordable(Event(0.5), 1.0, DELTA) == 0
    assert affordable(Event(0.0), 1.0, DELTA) == 0
    assert affordable(Event(1e6), 1.0, DELTA) == accounting.MOST_RELEASES


def test_a_bill_shows_the_cost_at_several_deltas() -> None:
    """A privacy officer asks what epsilon is at another delta."""
    event = Event(15.45)
    computed = bill(event, 60, (1e-4, 1e-5, 1e-6))
    assert computed.epsilons == curve({event: 60}, (1e-4, 1e-5, 1e-6))
    assert list(computed.epsilons.values()) == sorted(computed.epsilons.values())
    assert computed.epsilons[1e-5] == pytest.approx(2.0, rel=0.01)
