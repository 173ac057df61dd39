"""What a private study costs, for a person: who is protected against whom, the noise, epsilon at several deltas."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wardround.evidence.text import figure
from wardround.plan.pricing import Price, price_of, private_plan_of
from wardround.privacy.accounting import calibrate
from wardround.simulation.epsilon_sweep import sweep
from wardround.study.declaration import Study
from wardround.study.protection import promised_privacy
from wardround.study.run_settings import RunSettings
from wardround.values.canonical import finite_or_none
from wardround.values.errors import StudyError

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
TRIED = (None, 8.0, 4.0, 2.0, 1.0, 0.5)


@contextmanager
def working_out(what: str) -> Iterator[None]:
    """At a terminal, on stderr, what takes some seconds; elsewhere nothing."""
    with Console(stderr=True).status(f"Working out {what} ..."):
        yield


def bill_json(study: Study, settings: RunSettings | None = None, data: Path | None = None) -> dict[str, Any]:
    """study: with its noise worked out. settings: to try what accuracy each epsilon leaves on public or synthetic data."""
    price = price_of(study)
    bill: dict[str, Any] = {
        "mode": study.privacy.mode,
        "unit": study.privacy.unit,
        "epsilon": finite_or_none(price.epsilon),
        "delta": price.delta,
        "noise_multiplier": price.noise_multiplier,
        "events": price.events,
        "epsilons": {f"{delta:g}": finite_or_none(value) for delta, value in price.epsilons.items()},
        "noise_by_epsilon": {f"{target:g}": multiplier for target, multiplier in _noise_by_epsilon(study, price)},
    }
    if settings is not None:
        bill["tried"] = [vars(point) for point in sweep(study, TRIED, settings, data)]
    return bill


def show_bill(declared: Study, study: Study) -> None:
    """declared: as the file stands. study: the same with its noise worked out."""
    console = Console()
    with working_out("what the whole study costs"):
        price = price_of(study)
    for sentence in promised_privacy(study):
        console.print(sentence, highlight=False)
    console.print(cost_table(study, price))
    if declared.privacy.noise_multiplier is None:
        console.print("Before real hospitals approve the study, put the noise into its [privacy] section:", markup=False)
        console.print(f"  noise_multiplier = {price.noise_multiplier:g}\n", highlight=False)
    with working_out("the noise of other epsilons"):
        table = _noise_table(study, price)
    console.print(table)
    if study.analysis is not None:
        console.print(_sums_table(study))
    elif study.privacy.of_patients and study.privacy.epsilon is not None:
        with working_out("other steps and sampling rates"):
            table = _steps_table(study, price, study.privacy.epsilon)
        console.print(table)


def show_sweep(study: Study, settings: RunSettings, data: Path | None) -> None:
    """One run for each epsilon, a line as it ends."""
    console = Console()
    public = f"the public set {study.data.dataset}" if study.data.dataset else "synthetic pictures of no patient"
    where = f"the data at {data}" if data else public
    console.print(f"The recipe on {where}, held-out patients of all hospitals together. Your hospitals' data will differ.")
    for point in sweep(study, TRIED, settings, data):
        name = "no noise" if point.epsilon is None else f"epsilon {point.epsilon:g}"
        figures = "  ".join(f"{title} {figure(value)}" for title, value in point.figures.items())
        console.print(f"  {name:14} {figures}", highlight=False)


def cost_table(study: Study, price: Price) -> Table:
    """For each hospital: epsilon at every delta. No word of a figure is longer than six characters: 80 columns hold them all."""
    table = Table(title="Epsilon of the whole study, at most, by delta")
    table.add_column("hospital", min_width=8, overflow="fold")
    for title in (f"{study.privacy.unit}s it is about", "charged steps"):
        table.add_column(title, justify="right", width=max(map(len, title.split())))
    for title in _deltas(price):  # four deltas leave room for `no bound` on one line, five do not
        table.add_column(title, justify="right", width=8 if len(price.epsilons) < 4 else 6)
    values = [_epsilon(price.epsilon), *(_epsilon(value) for value in price.epsilons.values())]
    for name, units in _units(study):
        table.add_row(name, units, str(price.events), *values)
    return table


def _units(study: Study) -> list[tuple[str, str]]:
    stated = study.privacy.public_patients
    if isinstance(stated, dict):
        return [(site, str(count)) for site, count in sorted(stated.items())]
    return [("each", str(stated or 1))]


def _deltas(price: Price) -> list[str]:
    return [f"delta {delta:g}" for delta in (price.delta, *price.epsilons)]


def _noise_by_epsilon(study: Study, price: Price) -> list[tuple[float, float]]:
    """epsilon -> the noise multiplier that it takes, for this study's steps."""
    rate = study.privacy.sampling_rate
    multipliers = []
    for target in EPSILONS:
        try:
            multipliers.append((target, calibrate(target, price.delta, rate, price.events)))
        except StudyError:
            continue
    return multipliers


def _noise_table(study: Study, price: Price) -> Table:
    table = Table(title="The noise that other values of epsilon take")
    table.add_column("epsilon", justify="right")
    table.add_column("noise multiplier", justify="right")
    for target, multiplier in _noise_by_epsilon(study, price):
        table.add_row(f"{target:g}", f"{multiplier:g}")
    return table


def _sums_table(study: Study) -> Table:
    """Of an analysis: the noise of each number in its totals, in the number's own unit, all hospitals together."""
    plan = private_plan_of(study)
    assert plan.analysis is not None
    table = Table(title="Noise in one number of each sum, as a standard deviation")
    table.add_column("sum")
    table.add_column("numbers")
    for title in ("how many", "noise", "charged steps"):
        table.add_column(title, justify="right")
    for exchange in plan.analysis.exchanges:
        words = plan.words_of(exchange)
        for name, quantity in exchange.quantities.items():
            noise = words.deviation(name, len(plan.study.sites.names))
            steps = exchange.times * plan.events_of(exchange.label)
            table.add_row(exchange.label, name, f"{quantity.size:,}", f"{noise:.3g}", str(steps))
    return table


def _steps_table(study: Study, price: Price, target: float) -> Table:
    """For one epsilon: how noisy the mean gradient of a step is, all hospitals present, for other numbers of steps and rates.
    Fewer and larger draws are less noisy each; more steps average more of it out."""
    rates = sorted({study.privacy.sampling_rate, 1.0, 0.3}, reverse=True)
    table = Table(title=f"Steps and rate: noise of one step's mean gradient, in clip norms, at epsilon {target:g}")
    table.add_column("steps", justify="right")
    for rate in rates:
        table.add_column(f"sampling rate {rate:g}", justify="right")
    for steps in sorted({max(1, price.events // 2), price.events, price.events * 2}):
        table.add_row(str(steps), *(_step_noise(study, price.delta, target, steps, rate) for rate in rates))
    return table


def _step_noise(study: Study, delta: float, target: float, steps: int, rate: float) -> str:
    try:
        multiplier = calibrate(target, delta, rate, steps)
    except StudyError:
        return "–"
    return f"{private_plan_of(study).noise_of_mean(multiplier, rate):.2g}"


def _epsilon(value: float) -> str:
    """In words of at most six characters. Beyond these two limits nobody chooses by digits, and `--json` has them all."""
    if finite_or_none(value) is None:
        return "no bound"
    if value < 0.01:
        return "under 0.01"
    return f"{value:.3g}" if value < 999.5 else "over 999"
