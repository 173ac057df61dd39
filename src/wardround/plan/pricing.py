"""What a private study costs, before it runs: the noise that its epsilon needs, and the epsilon that its noise gives."""

from dataclasses import dataclass

from wardround.plan.plan import Plan
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.accounting import bill, calibrate
from wardround.privacy.events import Slack
from wardround.study.declaration import Study
from wardround.study.record.privacy_record import PrivacyRecord
from wardround.values.errors import StudyError

FEWEST = ("a", "b", "c")
DELTAS = (1e-4, 1e-5, 1e-6, 1e-7)


@dataclass(frozen=True)
class Price:
    """epsilon, at the study's delta, of all its `events` together for one unit of one hospital. epsilons: at other deltas."""

    epsilon: float
    delta: float
    noise_multiplier: float
    events: int
    epsilons: dict[float, float]


def with_noise(study: Study) -> Study:
    """The study with its noise multiplier worked out where only epsilon was given; others as they are. StudyError where the
    multiplier that it states does not keep to its epsilon."""
    privacy = study.privacy
    if not privacy.private:
        return study
    if privacy.noise_multiplier is None and privacy.epsilon is not None and privacy.delta is not None:
        trial = private_plan_of(study.with_privacy(noise_multiplier=1.0))
        slack: Slack = trial.event.slack
        multiplier = calibrate(privacy.epsilon, privacy.delta, privacy.sampling_rate, trial.events, slack)
        return study.with_privacy(noise_multiplier=multiplier)
    price = price_of(study)
    if privacy.epsilon is not None and price.epsilon > privacy.epsilon:
        raise StudyError(
            "The noise is too small for the epsilon that the study states",
            expected=f"epsilon at most {privacy.epsilon:g}",
            found=f"{price.epsilon:.4g} with privacy.noise_multiplier = {privacy.noise_multiplier:g}",
            hint="leave noise_multiplier out and run `wardround study privacy`",
        )
    return study


def price_of(study: Study) -> Price:
    """Of a private study whose noise is known."""
    return price_of_plan(private_plan_of(study))


def price_of_plan(plan: PrivatePlan) -> Price:
    """Of the study that the plan is of."""
    delta = plan.study.privacy.delta or 0.0
    others = tuple(other for other in DELTAS if other != delta)
    costs = bill(plan.event, plan.events, (delta, *others)).epsilons
    return Price(costs[delta], delta, plan.event.noise_multiplier, plan.events, {other: costs[other] for other in others})


def private_plan_of(study: Study) -> PrivatePlan:
    """Of a private study whose noise is known, with hospitals where it names none yet."""
    plan = Plan(with_sites(study)).private
    if plan is None:
        raise StudyError("The study claims no differential privacy", hint="choose a privacy.mode")
    return plan


def with_sites(study: Study) -> Study:
    """The study with hospitals, where it names none yet: those it has public numbers of, or the fewest that hide one another. How
    many there are hardly changes the price: integers cost a little less over more shares of noise."""
    if study.sites.names or study.privacy.mode == "patient-local":
        return study
    stated, threshold = study.privacy.public_patients, study.summation.threshold or 0
    names = tuple(sorted(stated)) if isinstance(stated, dict) else FEWEST
    names += tuple(f"other-{number}" for number in range(len(names), max(threshold, study.sites.minimum)))
    return study.revised(sites={"names": names})


def privacy_of(plan: Plan) -> PrivacyRecord | None:
    """What a private study promised. What it cost each hospital stands in that hospital's own ledger."""
    study, privacy = plan.study, plan.study.privacy
    if plan.private is None or privacy.delta is None:
        return None
    price = price_of_plan(plan.private)
    return PrivacyRecord(
        unit=privacy.unit,
        delta=privacy.delta,
        epsilon=price.epsilon,
        epsilons={f"{delta:g}": value for delta, value in price.epsilons.items()},
        noise_multiplier=price.noise_multiplier,
        clip_norm=privacy.clip_norm,
        sampling_rate=privacy.sampling_rate,
        events=price.events,
        collusion=None if privacy.mode == "patient-local" else study.summation.collusion,
        ledger_study=study.hash,
    )
