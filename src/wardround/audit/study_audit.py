"""The audit of one study: attacks on the code that its run uses, with its own noise, clip norm, rate and steps.

    study --plan--> noise grid, event, steps --+--> noised sums: gradient canaries, all steps of the study   (audited_sums)
                                               +--> training: record canaries in real training, a few steps  (audited_training)
    what the adversary sees --scores--> lower bounds on epsilon (privacy_bounds) --beside what is charged--> verdict
    study's network, crafted model --one patient more or less--> distance of two clipped sums  (crafted_worlds) --> verdict

No data of a hospital are read. The canaries are made up, and records of the training attack are those of `lone_features`, on
logistic regression: what clips, samples and adds noise is the same code for every network. The malicious model is of the study's
own network, since what it attacks, the arithmetic of layers, is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from wardround.audit.audited_sums import GradientCanaries, SharedNoise
from wardround.audit.audited_training import LocalTraining, SharedTraining, TrainingCanaries, lone_features
from wardround.audit.crafted_worlds import MaliciousModel, malicious_model
from wardround.audit.privacy_audit import AuditRun, Comparison, Views, run, together
from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of, with_sites
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.noise_grid import NoiseGrid
from wardround.study.declaration import Study
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import shape_of
from wardround.training.model_tree import initial_tree
from wardround.values.errors import StudyError

FALSE_ALARM = 1e-4
"""The chance that a study is accused whose statement is true, all bounds of one audit together."""
TRIALS = 200_000
FEWEST_TRIALS = 1000
RUN_CANARIES = 10_000  # one sum with more values reserves more of its noise for rounding, which canaries do not use
RECORD_CANARIES, TRAINING_STEPS = 300, 5
TRIALS_A_TRAINING_RUN, FEWEST_TRAINING_RUNS = 2000, 12  # training takes about as long as the sums then
ONE_RUN_DELTA, ONE_RUN_GUESSES = 1e-9, 110  # far below 1 / canaries; a number that is fixed before the run
OTHER_DELTAS = (1e-3, 1e-1)  # where few trials show much


@dataclass(frozen=True)
class Attack:
    """One attack and what one bound made of it. steps: how many of the study's charged steps were attacked."""

    name: str
    bound: str
    canaries: int
    steps: int
    comparison: Comparison


@dataclass(frozen=True)
class StudyAudit:
    """All attacks on one study. epsilon: what the whole study states at its delta. malicious: None where sites are protected."""

    delta: float
    epsilon: float
    attacks: tuple[Attack, ...]
    malicious: MaliciousModel | None = None

    @property
    def refuting(self) -> tuple[Attack, ...]:
        return tuple(attack for attack in self.attacks if attack.comparison.refuted)

    @property
    def refuted(self) -> bool:
        """Whether an attack shows that less is promised than is spent."""
        return bool(self.refuting) or (self.malicious is not None and self.malicious.refuted)

    @property
    def shown(self) -> float:
        """The largest epsilon that an attack proved at the study's own delta."""
        return max((attack.comparison.audited for attack in self.attacks if attack.comparison.delta == self.delta), default=0.0)

    @property
    def verdict(self) -> str:
        confidence = f"{1 - FALSE_ALARM:.2%} confidence"
        if self.malicious is not None and self.malicious.refuted:
            return (
                f"Clipping does not hold here: with a crafted model one patient moved the clipped sum by "
                f"{self.malicious.moved:.3g} clip norms, and every stated epsilon rests on at most 1. The study's epsilon "
                f"{self.epsilon:.3g} is false."
            )
        if not self.refuting:
            return (
                f"No attack shows more than the study states. At delta {self.delta:g} the attacks prove that at least "
                f"{self.shown:.3g} of the stated epsilon {self.epsilon:.3g} is spent, at {confidence}. "
                "A low figure is no proof that less is spent."
            )
        worst = max(self.refuting, key=lambda attack: attack.comparison.audited / attack.comparison.stated)
        proved = worst.comparison
        return (
            f"The study states too little: the attack on {worst.name} proves epsilon {proved.audited:.3g} at delta "
            f"{proved.delta:g}, where {worst.steps} steps are charged as {proved.stated:.3g}, at {confidence}."
        )


def audit_study(
    study: Study, trials: int = TRIALS, attacked: Callable[[Attack | MaliciousModel], None] = lambda _: None
) -> StudyAudit:
    """Attacks the noised sums and the training of a private study, and bounds the epsilon that they spend. An analysis trains
    nothing, so that its sums are all there is to attack.

    Parameters
    ----------
    study
        A private study, its noise multiplier worked out (`pricing.with_noise`).
    trials
        Canaries of the attack on noised sums, at least 1,000. More of them prove more.
    attacked
        Hears of every bound, and of the malicious model, as it is known.

    Returns
    -------
    StudyAudit
        The bounds beside what is charged, and the verdict that follows from the numbers.

    Raises
    ------
    StudyError
        The study claims no privacy or adds no noise, so that there is no epsilon to attack; or it asks no yes or no.

    Source
    ------
    Steinke, Nasr, Jagielski (NeurIPS 2023); Nasr et al. (USENIX Security 2023).
    """
    if study.analysis is None and study.data.label.kind != "binary":
        raise StudyError(
            "The attacks are made with records that are a yes or a no, and the study asks another kind of question",
            expected='data.label.kind = "binary"',
            found=f'"{study.data.label.kind}"',
            hint="its clipping is tested for every kind (tests/tasks/task_conformance.py); audit a yes-or-no study of the same "
            "network and privacy",
        )
    plan = _audited_plan(study)
    attacks = list[Attack]()
    for attack in _attacks(plan, trials):
        attacks.append(attack)
        attacked(attack)
    malicious = malicious_model(study) if study.analysis is None else None
    if malicious is not None:
        attacked(malicious)
    return StudyAudit(study.privacy.delta or 0.0, price_of(study).epsilon, tuple(attacks), malicious)


def _audited_plan(study: Study) -> PrivatePlan:
    plan = Plan(with_sites(study)).private
    if plan is None:
        raise StudyError(
            "The study claims no differential privacy, so that there is no epsilon to attack",
            expected='privacy.mode = "patient-local", "patient-distributed" or "site"',
            found='privacy.mode = "none"',
            hint="choose a privacy.mode; docs/privacy.md says how",
        )
    if not plan.event.private:
        raise StudyError(
            "The study adds no noise, so that it states no epsilon to attack",
            expected="privacy.noise_multiplier above 0",
            found="privacy.noise_multiplier = 0",
            hint="leave noise_multiplier out and give privacy.epsilon",
        )
    return plan


def _attacks(plan: PrivatePlan, trials: int) -> Iterator[Attack]:
    trains = plan.study.privacy.unit == "patient" and plan.analysis is None
    each = FALSE_ALARM / (2 * _bounds(plan) + 1 if trains else _bounds(plan))
    yield from _compared("noised sums", _noised_sums(plan, trials), plan, each)
    if trains:
        training = _training(plan, max(FEWEST_TRAINING_RUNS, trials // TRIALS_A_TRAINING_RUN))
        yield from _compared("training", together(training), plan, each)
        comparison = training[0].one_run(ONE_RUN_GUESSES, ONE_RUN_DELTA, each)
        yield Attack("training", "one run", RECORD_CANARIES, training[0].steps, comparison)


def _bounds(plan: PrivatePlan) -> int:
    return 1 + (plan.event.sampling_rate == 1)


def _compared(name: str, seen: AuditRun, plan: PrivatePlan, false_alarm: float) -> Iterator[Attack]:
    """By trials, and, where nobody is sampled, by the curve of a Gaussian."""
    delta, canaries = plan.study.privacy.delta or 0.0, len(seen.scores)
    if seen.event.sampling_rate == 1:
        yield Attack(name, "Gaussian", canaries, seen.steps, seen.as_gaussian(delta, false_alarm))
    for comparison in seen.as_trials(false_alarm, (delta, *OTHER_DELTAS)):
        yield Attack(name, "trials", canaries, seen.steps, comparison)


def _noised_sums(plan: PrivatePlan, trials: int) -> AuditRun:
    """All charged steps of the study, as often as the trials take."""
    size = min(trials, RUN_CANARIES)
    views = GradientCanaries(_noise(plan, plan.noise_grid(size)), plan.events, plan.event.sampling_rate)
    return together([run(views, size, plan.event, plan.events) for _ in range(-(-trials // size))])


def _noise(plan: PrivatePlan, noise_grid: NoiseGrid) -> SharedNoise:
    return SharedNoise(noise_grid, plan.study.quorum.collusion if plan.distributed else 0)


def _training(plan: PrivatePlan, runs: int) -> list[AuditRun]:
    """A few steps, each run with new coins: what one step does with a record it does in every step."""
    steps = min(plan.events, TRAINING_STEPS)
    canaries = _training_canaries(plan, steps)
    noise_grid = plan.noise_grid(canaries.directions.shape[1])
    views: Views = LocalTraining(canaries, noise_grid)
    if plan.distributed:
        views = SharedTraining(canaries, _noise(plan, noise_grid), steps)
    return [run(views, RECORD_CANARIES, plan.event, steps) for _ in range(runs)]


def _training_canaries(plan: PrivatePlan, steps: int) -> TrainingCanaries:
    records, network = lone_features(RECORD_CANARIES, others=20), NetworkSection(name="logistic")
    model = {name: np.zeros_like(array) for name, array in initial_tree(network, shape_of(records), 1).items()}
    stated = plan.study.privacy
    privacy = PrivacySection(
        mode="patient-local",
        delta=stated.delta,
        noise_multiplier=stated.noise_multiplier,
        clip_norm=stated.clip_norm,
        sampling_rate=stated.sampling_rate,
        steps=steps,
        public_patients=RECORD_CANARIES,
    )
    training = TrainingSection(optimizer="sgd", learning_rate=1e-9)  # gradients at the start are then those of every step
    return TrainingCanaries(network, training, privacy, records, records.patients[:RECORD_CANARIES], model)
