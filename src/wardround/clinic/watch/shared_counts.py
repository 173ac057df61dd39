"""Drift over hospitals: the same whole numbers, added up by the masked sum, so that a study's lead reads the sum alone.

at each hospital    cases of a period --counts over public bins--> shares/LABEL.json --SumSite--> masked words
at the lead         SumCoordinator --> sums --pooled_drift--> stability index of each figure over all hospitals

One sum a model and period. Two sums of periods that overlap would give their difference away, so a plan refuses such periods, a
hospital writes its counts of a period once and never again, and no period is shared before it is over. A hospital with too few
cases adds zeros: whether it had them cannot be told from its words.

Each hospital scales its acceptance's counts to as many cases as it had in the period. Else hospitals that grow at different rates
would look like drift, though none of them has changed. How many cases the scaled counts are worth is summed beside them.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError

from wardround.clinic.answering.public_bins import bin_numbers
from wardround.clinic.place.acceptance_record import AcceptanceRecord, WatchRecord, acceptances
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.database import Store
from wardround.clinic.watch.case_counts import CaseCounts, case_counts
from wardround.clinic.watch.drift import Figure, compared_figures
from wardround.plan.sum_plan import Arrays, Quantity, SumPlan
from wardround.study.contract import DataContract
from wardround.study.record.evaluation_record import Count, Sha256, by_name
from wardround.study.sections.section import Section
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, RunError, StudyError
from wardround.values.private_files import make_private, private_lock, read_private

_PERIOD = re.compile(r"(\d{4})-(?:(0[1-9]|1[0-2])|Q([1-4]))")
_LONGEST = 1 << 20
_RATES = ("cases", "cannot_tell", "unusual")
_PARTS = 1000
Bins = Annotated[dict[str, tuple[Count, ...]], AfterValidator(by_name)]


@dataclass(frozen=True)
class Period:
    """A month or a quarter, UTC. name: 2026-10 or 2026-Q4. since, until: seconds since 1970."""

    name: str
    since: float
    until: float

    @classmethod
    def named(cls, name: str) -> "Period":
        """StudyError for a name of another form.

        >>> Period.named("2026-Q4").overlaps(Period.named("2026-12")), Period.named("2026-11").overlaps(Period.named("2026-12"))
        (True, False)
        """
        match = _PERIOD.fullmatch(name)
        if match is None:
            raise StudyError(
                "This is no period", expected="a month or a quarter: 2026-10, 2026-Q4", found=name[:20], hint="write it so"
            )
        year, first = int(match[1]), int(match[2]) if match[2] else 3 * int(match[3]) - 2
        end = first + (1 if match[2] else 3)
        return cls(name, _start(year, first), _start(year + (end - 1) // 12, (end - 1) % 12 + 1))

    def overlaps(self, other: "Period") -> bool:
        return self.since < other.until and other.since < self.until


class SharedCounts(Section):
    """shares/LABEL.json: what a hospital adds to a sum. All zeros where it had too few cases."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    model: Sha256 = Field(description="The model that answered.")
    period: str = Field(description="A month or quarter.")
    hospitals: Literal[0, 1] = Field(description="1 where the hospital had enough cases.")
    now: Bins = Field(description="Figure -> cases of the period in each public bin.")
    accepted: Bins = Field(description="The same of the acceptance, scaled to as many cases as the period has, in thousandths.")
    now_rates: tuple[Count, Count, Count] = Field(description="Cases, `cannot tell`, unusual.")
    accepted_rates: tuple[Count, Count, Count] = Field(description="The same of the acceptance, scaled, in thousandths.")
    spread: Count = Field(description="Cases of the period squared, by those of the acceptance, in thousandths.")

    @property
    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """As they are summed."""
        figures = {
            f"{when}_{number:03}": np.array(counts, np.int64)
            for when, bins in (("now", self.now), ("accepted", self.accepted))
            for number, counts in enumerate(bins.values())
        }
        rates = {"rates": np.array([self.now_rates, self.accepted_rates], np.int64)}
        alone = {"hospitals": self.hospitals, "spread": self.spread}
        return {**figures, **rates, **{name: np.array(number, np.int64) for name, number in alone.items()}}


@dataclass(frozen=True)
class PooledDrift:
    """hospitals: that had enough cases. figures: over all of them."""

    hospitals: int
    cases: int
    figures: tuple[Figure, ...]


def sum_label(model: str, period: str) -> str:
    """The label of a sum."""
    return f"{model[:16]}_{period}"


def drift_plan(
    keys: Mapping[str, str], contract: DataContract, model: str, periods: Sequence[str], *, collusion: int = 1
) -> SumPlan:
    """What hospitals and lead agree on before the first period is over.

    Parameters
    ----------
    keys
        Hospital -> its public identity key, as hexadecimal text.
    contract
        The `[data]` section of the study: its public bins are counted.
    model
        SHA-256 of the model's file.
    periods
        Months and quarters, none of which overlaps another.
    collusion
        How many hospitals may help the lead, who still reads no other's counts.

    Raises
    ------
    StudyError
        Where a period has another form, or two overlap: the difference of their sums would be a third.
    """
    named = [Period.named(name) for name in periods]
    for number, one in enumerate(named):
        if other := next((other for other in named[:number] if other.overlaps(one)), None):
            raise StudyError(
                f"The periods {other.name} and {one.name} overlap: their sums would give their difference away",
                hint="choose months or quarters, not both of one time",
            )
    numbers = [bins for _, bins in sorted(bin_numbers(contract).items())]
    quantities = {f"{when}_{number:03}": Quantity((bins,)) for when in ("now", "accepted") for number, bins in enumerate(numbers)}
    return SumPlan(
        f"Drift of the model {model}",
        keys,
        {**quantities, "rates": Quantity((2, len(_RATES))), "hospitals": Quantity(()), "spread": Quantity(())},
        collusion=collusion,
        labels=tuple(sum_label(model, one.name) for one in named),
    )


def share_counts(clinic: ClinicPlace, store: Store, model: str, period: str) -> SharedCounts:
    """The counts of a period, written once: asked again it gives the same, whatever was withdrawn since.

    Raises RunError where the period is not over, or one that overlaps it was shared.
    """
    one = Period.named(period)
    record = latest_acceptance(clinic, model)
    folder = clinic.path / "shares"
    make_private(folder)
    path = folder / f"{sum_label(record.model, one.name)}.json"
    with private_lock(clinic.path / "shares.lock"):
        if (content := read_private(path, _LONGEST)) is not None:
            return _read(path, content)
        if one.until > store.clock():
            raise RunError(f"The period {period} is not over", hint="share it afterwards: one sum a period")
        for other in folder.glob(f"{record.model[:16]}_*.json"):
            if Period.named(other.stem.partition("_")[2]).overlaps(one):
                raise RunError(
                    f"{other.stem.partition('_')[2]} was shared already, and {period} overlaps it",
                    hint="the difference of two sums would be a third: share periods that lie apart",
                )
        shared = _shared(record, case_counts(store, record.statement.data, one.since, one.until, model=record.model), one, clinic)
        write_atomic(path, canonical_json(shared.model_dump(mode="json")), private=True)
    store.note("clinic", "counts-shared", f"{record.model[:12]} {one.name}")
    return shared


def write_counts(clinic: ClinicPlace, store: Store, model: str, periods: Sequence[str]) -> None:
    """The counts of every one of these periods that is over, before anybody asks: what stands in the way of a person's own files
    is told to that person, and no question is spent on it. RunError or DataError."""
    over = [period for period in periods if Period.named(period).until <= store.clock()]
    for period in over:
        _ = share_counts(clinic, store, model, period).arrays


def shared_values(clinic: ClinicPlace) -> Callable[[str, int], Arrays]:
    """For `SumSite`: the arrays of a sum by its label. DataError where this hospital has not written them."""

    def values(label: str, number: int) -> Arrays:  # noqa: ARG001  each label is asked once
        path = clinic.path / "shares" / f"{label}.json"
        content = read_private(path, _LONGEST) if re.fullmatch(r"[0-9a-zA-Z_-]{1,80}", label) else None
        if content is None:
            raise DataError(
                f"No counts were written for the sum {label[:80]}", hint="wardround clinic watch --share FILE --period PERIOD"
            )
        return _read(path, content).arrays

    return values


def kept_total(path: Path, total: Mapping[str, NDArray[Any]]) -> None:
    """Keeps the sums of all hospitals: each sum is asked for once."""
    write_atomic(path, canonical_json({name: sums.tolist() for name, sums in total.items()}), private=True)


def read_total(path: Path) -> dict[str, NDArray[np.int64]] | None:
    """What `kept_total` kept; None where there is nothing yet."""
    content = read_private(path, _LONGEST)
    return None if content is None else {name: np.array(sums, np.int64) for name, sums in json.loads(content).items()}


def pooled_drift(total: Mapping[str, NDArray[Any]], contract: DataContract, settings: WatchSection | None = None) -> PooledDrift:
    """From the sums of all hospitals (`SecureSum.total`), each figure against its limit.

    RunError where no hospital had enough cases.
    """
    hospitals = int(total["hospitals"])
    if not hospitals:
        raise RunError("No hospital had enough cases in this period", hint="wait for a longer period")
    names = sorted(bin_numbers(contract))
    rates = total["rates"]
    worth = float(rates[0][0]) ** 2 / (float(total["spread"]) / _PARTS)
    now = {name: total[f"now_{number:03}"] for number, name in enumerate(names)}
    accepted = {name: total[f"accepted_{number:03}"] for number, name in enumerate(names)}
    cannot_tell, unusual = (round(worth * float(rate) / float(rates[1][0])) for rate in rates[1][1:])
    reference = WatchRecord(
        bins={name: _worth(bins, worth) for name, bins in accepted.items() if bins.sum()},
        cases=round(worth),
        cannot_tell=cannot_tell,
        unusual=unusual,
    )
    counts = CaseCounts(now, *(int(rate) for rate in rates[0]))
    return PooledDrift(hospitals, counts.cases, tuple(compared_figures(counts, reference, settings or WatchSection())))


def _worth(bins: NDArray[Any], cases: float) -> tuple[int, ...]:
    """The same shares of so many cases."""
    return tuple(int(count) for count in np.rint(bins / bins.sum() * cases))


def _shared(record: AcceptanceRecord, counts: CaseCounts, period: Period, clinic: ClinicPlace) -> SharedCounts:
    contract, accepted = record.statement.data, record.watch
    enough = accepted is not None and counts.cases >= clinic.settings.watch.cases_at_least
    if not enough or accepted is None:
        counts, accepted = CaseCounts.of_nobody(contract), WatchRecord(bins={}, cases=0, cannot_tell=0, unusual=0)
    numbers, cases, then = bin_numbers(contract), counts.cases, max(accepted.cases, 1)
    rates = (accepted.cases, accepted.cannot_tell, accepted.unusual or 0)
    return SharedCounts(
        model=record.model,
        period=period.name,
        hospitals=1 if enough else 0,
        now={name: tuple(counts.bins[name].tolist()) if name in accepted.bins else (0,) * bins for name, bins in numbers.items()},
        accepted={name: _scaled(accepted.bins.get(name, (0,) * bins), cases, then) for name, bins in numbers.items()},
        now_rates=(cases, counts.cannot_tell, counts.unusual),
        accepted_rates=_scaled(rates, cases, then),
        spread=-(-_PARTS * cases * cases // then),
    )


def _scaled(counts: Sequence[int], cases: int, then: int) -> Any:
    return tuple((2 * _PARTS * count * cases + then) // (2 * then) for count in counts)


def _read(path: Path, content: bytes) -> SharedCounts:
    try:
        return SharedCounts.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{path} is not what this clinic wrote", hint="bring it back from a backup") from error


def latest_acceptance(clinic: ClinicPlace, model: str) -> AcceptanceRecord:
    """The last one of the model whose hash begins so. RunError where there is none, or several models begin so."""
    matching = [record for record in acceptances(clinic) if record.model.startswith(model)]
    if not model:
        raise RunError("No model is in service", hint="say whose cases: --model HASH (wardround clinic history)")
    if len({record.model for record in matching}) != 1:
        raise RunError(
            f"{'Several models begin' if matching else 'No accepted model begins'} with {model[:64]!r}",
            expected="the first letters of one model's SHA-256",
            hint="see: wardround clinic history",
        )
    return matching[-1]


def _start(year: int, month: int) -> float:
    return datetime(year, month, 1, tzinfo=UTC).timestamp()
