"""What a private study costs before it runs: target in, noise out, and no study whose noise is smaller than it says."""

from pathlib import Path

import pytest

from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of, with_noise
from wardround.privacy.accounting import epsilon
from wardround.study.declaration import Study
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


def test_a_hospital_without_a_public_number_is_named() -> None:
    """Its weight would be a count of its patients."""
    of = private_study()
    privacy = of.privacy.changed(public_patients={"east": 20})
    plan = Plan(of.changed(privacy=privacy)).private
    assert plan is not None
    with pytest.raises(StudyError, match="north"):
        plan.patients("north")
