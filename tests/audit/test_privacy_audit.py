"""An empirical check that can fail: real noised sums and real private training stay below what the accountant states, and the
same audit catches each of them once it is broken.

False alarms: 1e-6 for every comparison that must stay below, 1e-4 for the accusations (the audit's own, one for each test).
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from tests.summation.masked_parties import Ring
from wardround.audit.audited_sums import GradientCanaries, SharedNoise
from wardround.audit.audited_training import (
    LocalTraining,
    SharedTraining,
    TrainingCanaries,
    lone_features,
    mislabelled,
)
from wardround.audit.privacy_audit import AuditRun, Views, run, step_score, together
from wardround.crypto.quorum import Quorum
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy import noise_grid as noise_grid_module
from wardround.privacy.events import Event, Slack
from wardround.privacy.noise_grid import NoiseGrid, narrowest
from wardround.study.reading import parse_study
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.summation.masked.attempt import Opened
from wardround.training.inputs import shape_of
from wardround.training.model_tree import initial_tree
from wardround.training.per_patient import gradients as gradients_module
from wardround.training.per_patient.patient_sampling import PatientRows
from wardround.values.records import Records

HOLDS, ACCUSES = 1e-6, 1e-4
DELTA, TINY = 1e-9, 1e-13  # of one run: canaries times delta far below the false alarm
Draw = Callable[[int], np.ndarray]

STUDY = """\
format = 1
[question]
title = "Audited"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-4, 4]
[network]
name = "logistic"
[training]
class_balance = false
[algorithm]
name = "fedsgd"
rounds = 12
[summation]
collusion = 1
[sites]
names = ["city", "county", "valley", "village"]
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
noise_multiplier = 5.0
delta = 1e-5
clip_norm = 0.3
public_patients = 20_000
"""


def noise_grid(multiplier: float, size: int, honest: int, clip_norm: float = 0.3) -> NoiseGrid:
    return narrowest(clip_norm=clip_norm, multiplier=multiplier, size=size, capacity=4.0 * size, sites=honest + 2, honest=honest)


def event_of(grid: NoiseGrid, rate: float = 1.0) -> Event:
    return Event(grid.multiplier, rate, slack=Slack(*grid.slack(1)))


def audited(
    multiplier: float,
    canaries: int,
    *,
    steps: int = 1,
    rate: float = 1.0,
    honest: int = 2,
    colluding: int = 1,
    true_rate: float = 0,
) -> AuditRun:
    """true_rate: with which canaries are drawn, where that is not what is charged."""
    grid = noise_grid(multiplier, canaries, honest)
    views = GradientCanaries(SharedNoise(grid, colluding), steps, true_rate or rate)
    return run(views, canaries, event_of(grid, rate), steps)


@pytest.fixture
def breaks_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Draw], Draw]], None]:
    """Puts another sampler into the noise_grid, made from the real one."""
    return lambda broken: monkeypatch.setattr(noise_grid_module, "draw", broken(noise_grid_module.draw))  # type: ignore[attr-defined]


def halved(draw: Draw) -> Draw:
    return lambda size: draw(size) // 2


def without_the_last_of(sites: int) -> Callable[[Draw], Draw]:
    """One site of each sum adds nothing."""

    def broken(draw: Draw) -> Draw:
        calls = iter(range(10**9))
        return lambda size: draw(size) * (next(calls) % sites != sites - 1)

    return broken


def the_same_in_every_step(sites: int) -> Callable[[Draw], Draw]:
    """Each site has noise of its own, and uses it again."""

    def broken(draw: Draw) -> Draw:
        calls, first = iter(range(10**9)), dict[int, np.ndarray]()

        def again(size: int) -> np.ndarray:
            site = next(calls) % sites
            if site not in first:
                first[site] = draw(size)
            return first[site]

        return again

    return broken


SCHEDULES = [  # multiplier, rate, steps, honest shares, colluding sites
    (1.0, 1.0, 1, 1, 0),
    (2.0, 1.0, 1, 2, 1),
    (4.0, 1.0, 16, 3, 0),
    (15.45, 1.0, 60, 2, 1),
    (1.0, 0.1, 10, 2, 1),
    (0.7, 0.05, 20, 1, 0),
    (2.0, 0.5, 8, 1, 1),
    (0.6, 0.2, 4, 4, 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("multiplier", "rate", "steps", "honest", "colluding"), SCHEDULES)
def test_the_accountant_is_never_below_an_audited_bound(
    multiplier: float, rate: float, steps: int, honest: int, colluding: int
) -> None:
    """An epsilon that an attack exceeds is no epsilon. And the attack is no weak one: it shows a good part of it."""
    found = audited(multiplier, 100_000, steps=steps, rate=rate, honest=honest, colluding=colluding)
    comparisons = [*found.as_trials(HOLDS), found.one_run(500, TINY, HOLDS)]
    assert not [comparison for comparison in comparisons if comparison.refuted]
    assert any(comparison.audited > 0.25 * comparison.stated for comparison in comparisons)
    if rate == 1:
        whole = found.as_gaussian(1e-5, HOLDS)
        assert 0.6 * whole.stated < whole.audited <= whole.stated


def test_the_bill_of_a_study_holds_against_the_coordinator_with_a_colluding_site() -> None:
    """Grid, shares and charge as both ends work them out from the study."""
    size = 100_000
    plan = PrivatePlan(parse_study(STUDY), size)
    quorum = plan.study.quorum
    noise = SharedNoise(plan.noise_grid(size), quorum.collusion)
    assert len(noise.sites) == quorum.threshold == 3
    whole = run(GradientCanaries(noise, plan.events), size, plan.event, plan.events).as_gaussian(1e-5, HOLDS)
    assert 0.6 * whole.stated < whole.audited <= whole.stated


def test_one_run_of_a_million_canaries_stays_below_and_says_something() -> None:
    """The bound that assumes nothing."""
    found = audited(2.0, 1_000_000).one_run(2000, TINY, HOLDS)
    assert 1.0 < found.audited <= found.stated


def test_the_masked_sum_shows_the_same() -> None:
    """What is audited is the total of words in the clear: a masked sum opens to the same total."""
    noise = SharedNoise(noise_grid(2.0, 500, 2), 1)
    words = noise.words({site: np.full(500, 0.3) for site in noise.honest})
    ring = Ring(quorum=Quorum(noise.sites, 3, 1), layout=noise.frame.layout)
    ring.words = words
    ring.agree()
    opened, _ = ring.run(ring.order())
    assert isinstance(opened, Opened)
    own_words = sum(words[site][noise.frame.words] for site in noise.honest)
    assert np.array_equal(noise.unveiled(opened.total, words), noise.noise_grid.decode(np.asarray(own_words)))


@pytest.mark.slow
def test_halved_noise_is_caught_in_one_run(breaks_noise: Callable[[Callable[[Draw], Draw]], None]) -> None:
    """Four million canaries in one sum: it takes a run's noise to be half of what was paid for, and no repetition."""
    breaks_noise(halved)
    assert audited(2.5, 4_000_000).one_run(2000, DELTA, ACCUSES).refuted


def test_halved_noise_is_caught_by_trials(breaks_noise: Callable[[Callable[[Draw], Draw]], None]) -> None:
    """With far fewer canaries, at a delta where few trials do; also with 4 steps."""
    breaks_noise(halved)
    found = audited(4.0, 20_000, steps=4)
    assert any(comparison.refuted for comparison in found.as_trials(ACCUSES))
    assert found.as_gaussian(1e-5, ACCUSES).refuted


def test_a_missing_share_of_two_is_caught(breaks_noise: Callable[[Callable[[Draw], Draw]], None]) -> None:
    """One honest site forgot its noise: the deviation falls by the root of two only."""
    breaks_noise(without_the_last_of(3))
    found = audited(2.0, 400_000)
    assert any(comparison.refuted for comparison in found.as_trials(ACCUSES))
    assert found.as_gaussian(1e-5, ACCUSES).refuted


def test_a_missing_only_share_is_caught_in_one_run(breaks_noise: Callable[[Callable[[Draw], Draw]], None]) -> None:
    """Two sites, one of which tells the coordinator its own noise: there is no other."""
    breaks_noise(without_the_last_of(2))
    assert audited(2.0, 1000, honest=1).one_run(400, DELTA, ACCUSES).refuted


def test_noise_that_is_used_twice_is_caught_in_one_run(breaks_noise: Callable[[Callable[[Draw], Draw]], None]) -> None:
    """A resumed step that computed anew and kept its noise: the difference of two totals has none."""
    breaks_noise(the_same_in_every_step(3))
    assert audited(4.0, 1000, steps=2).one_run(400, DELTA, ACCUSES).refuted


def test_sampling_that_is_charged_and_not_done_is_caught() -> None:
    """Every patient in every step, booked as one in ten."""
    found = audited(1.0, 100_000, steps=10, rate=0.1, true_rate=1.0)
    assert any(comparison.refuted for comparison in found.as_trials(ACCUSES))


def training_canaries(records: Records, names: np.ndarray, network: NetworkSection, **privacy: float) -> TrainingCanaries:
    """At a model that is not where training starts: there, half of a network's gradients are zero."""
    shapes = initial_tree(network, shape_of(records), 1)
    rng = np.random.Generator(np.random.Philox(3))
    linear = network.name == "logistic"
    model = {
        name: array * 0 if linear else (array + 0.1 * rng.normal(size=array.shape)).astype(np.float32)
        for name, array in shapes.items()
    }
    section = PrivacySection.model_validate(
        {"mode": "patient-local", "delta": 1e-6, "public_patients": len(names), "steps": 1, "clip_norm": 0.5} | privacy
    )
    training = TrainingSection(optimizer="sgd", learning_rate=1e-9)
    return TrainingCanaries(network, training, section, records, names, model)


def trained(canaries: TrainingCanaries, honest: int = 0) -> tuple[Views, Event, int]:
    """Views, charge and steps of a site's own training, or of the sum of `honest` sites."""
    how = canaries.privacy
    size = canaries.directions.shape[1]
    grid = noise_grid(how.noise_multiplier or 0.0, size, honest or 1, how.clip_norm)
    steps = how.steps or 1
    views = SharedTraining(canaries, SharedNoise(grid), steps) if honest else LocalTraining(canaries, grid)
    return views, event_of(grid, how.sampling_rate), steps


def on_columns(canaries: int = 300, **privacy: float) -> TrainingCanaries:
    records = lone_features(canaries, others=20)
    return training_canaries(records, records.patients[:canaries], NetworkSection(name="logistic"), **privacy)


@pytest.fixture(scope="module")
def plain() -> TrainingCanaries:
    return on_columns(noise_multiplier=2.0)


def audit(canaries: TrainingCanaries, honest: int = 0) -> AuditRun:
    views, event, steps = trained(canaries, honest)
    return run(views, len(canaries.names), event, steps)


@pytest.mark.slow
@pytest.mark.parametrize("honest", [0, 2], ids=["local", "distributed"])
def test_private_training_stays_below_its_bill(plain: TrainingCanaries, honest: int) -> None:
    """From records to noised sums, all of it the study's own code."""
    runs = [audit(plain, honest) for _ in range(4)]
    assert not any(found.one_run(110, TINY, HOLDS).refuted for found in runs)
    trials = together(runs)
    assert not any(comparison.refuted for comparison in trials.as_trials(HOLDS))
    assert not trials.as_gaussian(1e-5, HOLDS).refuted
    apart = trials.scores[trials.included].mean() - trials.scores[~trials.included].mean()
    assert apart > 0.1  # 1 / z^2 = 0.25 where all of a clip norm is seen, 5 deviations


@pytest.mark.slow
def test_sampled_training_stays_below_its_bill_and_is_caught_when_it_draws_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poisson sampling inside the trainer, several steps: charged as sampled, it must be."""
    canaries = on_columns(150, noise_multiplier=0.8, sampling_rate=0.2, steps=5)
    found = together([audit(canaries) for _ in range(4)])
    assert not any(comparison.refuted for comparison in found.as_trials(HOLDS))
    assert not audit(canaries).one_run(30, TINY, HOLDS).refuted
    drawn = PatientRows.draw
    monkeypatch.setattr(PatientRows, "draw", lambda rows, _rate, *how: drawn(rows, 1.0, *how))
    found = together([audit(canaries) for _ in range(4)])
    assert any(comparison.refuted for comparison in found.as_trials(ACCUSES))


@pytest.mark.parametrize("honest", [0, 2], ids=["local", "distributed"])
def test_training_without_clipping_is_caught(plain: TrainingCanaries, honest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that lies far out then moves the model as far as it likes. `plain` took its directions before."""
    assert len(plain.directions) == 300
    monkeypatch.setattr(gradients_module, "scales", lambda norms, _losses, _clip_norm: torch.ones_like(norms))
    assert audit(plain, honest).one_run(110, DELTA, ACCUSES).refuted


@pytest.mark.parametrize("honest", [0, 2], ids=["local", "distributed"])
def test_training_with_half_the_noise_is_caught(
    plain: TrainingCanaries, honest: int, breaks_noise: Callable[[Callable[[Draw], Draw]], None]
) -> None:
    """By the trials of a few runs."""
    breaks_noise(halved)
    assert together([audit(plain, honest) for _ in range(12)]).as_gaussian(1e-5, ACCUSES).refuted


@pytest.mark.slow
def test_a_convolutional_network_with_wrong_labels_stays_below_and_is_caught_without_noise(
    breaks_noise: Callable[[Callable[[Draw], Draw]], None],
) -> None:
    """Pictures that look like all others, with the wrong label."""
    pixels = np.random.Generator(np.random.Philox(4)).integers(0, 255, (100, 24, 24), dtype=np.uint8)
    names = np.array([f"patient-{number}" for number in range(100)])
    records = mislabelled(Records(pixels, np.zeros(100, np.int8), names, np.full(100, "train")), names[:80])
    network = NetworkSection(name="small_cnn", width=8, blocks=(1, 1))
    canaries = training_canaries(records, names[:80], network, noise_multiplier=8.0, clip_norm=0.01)
    assert not audit(canaries).one_run(20, TINY, HOLDS).refuted
    breaks_noise(lambda draw: lambda size: draw(size) * 0)
    assert audit(canaries).one_run(20, DELTA, ACCUSES).refuted


def test_the_score_is_the_log_likelihood_ratio_of_a_sampled_gaussian() -> None:
    """Densities written out."""
    values = np.linspace(-5, 5, 21)

    def density(mean: float) -> np.ndarray:
        return np.exp(-((values - mean) ** 2) / (2 * 1.3**2))

    for rate in (1.0, 0.3):
        expected = np.log(((1 - rate) * density(0) + rate * density(1)) / density(0))
        assert step_score(values, Event(1.3, rate)) == pytest.approx(expected)


def test_what_cannot_be_audited_is_refused() -> None:
    """No noise states nothing; steps that nobody was charged for are no run; sampled steps are no Gaussian."""

    def views(included: np.ndarray) -> Iterator[np.ndarray]:
        yield included * 1.0

    with pytest.raises(ValueError, match="without noise"):
        run(views, 10, Event(0.0), 1)
    with pytest.raises(ValueError, match="2 steps were charged, 1 were seen"):
        run(views, 10, Event(1.0), 2)
    with pytest.raises(ValueError, match="no Gaussian"):
        run(views, 10, Event(1.0, 0.5), 1).as_gaussian(1e-5, 0.1)
