"""What a private study costs before it runs: target in, noise out, and no study whose noise is smaller than it says."""

from pathlib import Path

import numpy as np
import pytest

from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of, private_plan_of, with_noise
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.accounting import epsilon
from wardround.privacy.gaussian_mechanism import protect_noised, reveal_noised
from wardround.study.declaration import Study
from wardround.values.contribution import Contribution
from wardround.values.errors import StudyError

from ..federation.private_studies import private_study
from ..federation.tiny_federation import enrolled, study


def wanting(target: float, mode: str = "patient-distributed", algorithm: str = "fedsgd") -> Study:
    of = private_study(mode, algorithm)
    return of.changed(privacy=of.privacy.changed(epsilon=target, noise_multiplier=None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "algorithm"), [("patient-distributed", "fedsgd"), ("patient-local", "fedavg"), ("site", "fedavg")]
)
@pytest.mark.parametrize("target", [0.65, 8.0])
def test_the_noise_keeps_to_the_target_and_wastes_little(mode: str, algorithm: str, target: float, tmp_path: Path) -> None:
    """Above the target the promise is broken; far below it accuracy is given away. What is priced is what is charged."""
    priced = with_noise(wanting(target, mode, algorithm))
    price = price_of(priced)
    assert target * 0.98 <= price.epsilon <= target
    plan = Plan(enrolled(priced, tmp_path)).private
    assert plan is not None
    assert plan.events == price.events == (9 if mode == "patient-local" else 3)
    assert epsilon({plan.event: plan.events}, 1e-3) == pytest.approx(price.epsilon, rel=1e-6)


def test_a_multiplier_that_breaks_the_stated_epsilon_is_refused() -> None:
    """Somebody may have changed the rounds and left the noise."""
    of = private_study(noise=1.0, epsilon=0.5)
    with pytest.raises(StudyError, match="too small"):
        with_noise(of)


def test_a_stated_multiplier_that_keeps_to_epsilon_stays(tmp_path: Path) -> None:
    """Every hospital approved that number: nobody may work out another."""
    of = private_study(noise=50.0, epsilon=0.5)
    assert with_noise(of) == of
    assert with_noise(enrolled(of, tmp_path)).privacy.noise_multiplier == 50.0


def test_no_noise_has_no_price() -> None:
    """Zero is allowed to compare with, and must not look like a guarantee."""
    assert price_of(private_study(noise=0.0)).epsilon == float("inf")


def test_a_study_without_privacy_is_left_as_it_is() -> None:
    """It has nothing to pay for."""
    of = study()
    assert with_noise(of) is of
    with pytest.raises(StudyError, match=r"privacy\.mode"):
        price_of(of)


@pytest.mark.parametrize(("collusion", "rate"), [(1, 1.0), (0, 0.5)])
def test_the_stated_noise_of_a_step_is_that_of_the_sum_that_is_opened(collusion: int, rate: float, tmp_path: Path) -> None:
    """The noise of all shares is in the total, more than the bound needs: who chooses by less finds his model worse than told."""
    approved = enrolled(private_study(noise=3.0, clip=0.5, rate=rate, collusion=collusion), tmp_path)
    plan = PrivatePlan(approved, 40_000)
    sites = tuple(approved.quorum.sites)
    frame = plan.frame({"gradient": {"w": (plan.size,)}}, plan.weight(sites))
    nothing = Contribution({"gradient": {"w": np.zeros(plan.size)}}, 1)
    words = frame.words
    total = sum((protect_noised(nothing, {}, frame)[words] for _ in sites), np.zeros(plan.size, frame.layout[words][0]))
    noise = reveal_noised({words: total}, {}, frame, 1).values["gradient"]["w"]
    drawn = rate * (20 + 32 + 24)
    assert plan.noise_of_mean(3.0, rate) == pytest.approx(np.std(noise) / 0.5 / drawn, rel=0.03)


def test_one_public_number_for_every_hospital_counts_for_each_of_them() -> None:
    """The mean is over the patients of all hospitals; as if there were one, the noise would look three times as large."""
    stated = private_study()
    each = stated.changed(privacy=stated.privacy.changed(public_patients=76))
    by_name = stated.changed(privacy=stated.privacy.changed(public_patients={"east": 76, "north": 76, "south": 76}))
    assert private_plan_of(each).noise_of_mean(1.0, 1.0) == private_plan_of(by_name).noise_of_mean(1.0, 1.0)


def test_a_hospital_without_a_public_number_is_named() -> None:
    """Its weight would be a count of its patients."""
    of = private_study()
    privacy = of.privacy.changed(public_patients={"east": 20})
    plan = Plan(of.changed(privacy=privacy)).private
    assert plan is not None
    with pytest.raises(StudyError, match="north"):
        plan.patients("north")
