"""Cases of a clinic without a network: their scores and bins are drawn, their rows are what the desk writes."""

from collections.abc import Sequence

import numpy as np

from tests.clinic.made_models import FILMS, film_model, record_of
from wardround.clinic.answering.public_bins import SCORE, bin_numbers, score_bins
from wardround.clinic.place.acceptance_record import AcceptanceRecord, WatchRecord, keep_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import activate
from wardround.clinic.store.cases import NewCase, answer_row, figure_row, insert_cases
from wardround.clinic.store.database import Store

DAY_S = 86400.0
NOW = 1_795_000_000.0  # 2026-11-18


def clock() -> float:
    return NOW


def films_of(count: int, seed: int, moved: float = 0.0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Probabilities (n,) and bins of the input; `moved` shifts both."""
    rng = np.random.default_rng(seed)
    chances = 1 / (1 + np.exp(-rng.normal(moved, 2.0, count)))
    bins = {
        "brightness": np.clip(rng.normal(10 + 4 * moved, 2, count), 0, 19).astype(int),
        "contrast": np.clip(rng.normal(8, 1, count), 0, 15).astype(int),
        "size": rng.integers(3, 5, count),
    }
    return chances, bins


def accepted_record(count: int = 400, seed: int = 1, **changes: object) -> AcceptanceRecord:
    """A record whose reference are drawn cases."""
    chances, bins = films_of(count, seed)
    numbers = bin_numbers(FILMS)
    counts = {
        name: tuple(np.bincount(own, minlength=numbers[name]).tolist())
        for name, own in {SCORE: score_bins(chances), **bins}.items()
    }
    watched = WatchRecord(bins=counts, cases=count, cannot_tell=count // 10, unusual=count // 50)
    return record_of(film_model(), FILMS).changed(watch=watched.model_dump(), **changes)


def serve_record(clinic: ClinicPlace, record: AcceptanceRecord) -> AcceptanceRecord:
    clinic.keep_model(film_model())
    keep_acceptance(clinic, record)
    activate(clinic, record.id, record.model, by="Dr Li")
    return record


def add_cases(
    store: Store,
    record: AcceptanceRecord,
    count: int,
    *,
    seed: int = 2,
    moved: float = 0.0,
    given: float = NOW - DAY_S,
    cannot_tell: float = 0.1,
    unusual: float = 0.02,
    patients: Sequence[str] = (),
    shadow: bool = False,
) -> list[str]:
    """The ids. patients: pseudonyms, one after the other."""
    chances, bins = films_of(count, seed, moved)
    rng = np.random.default_rng(seed + 1000)
    case_rows, answer_rows, figure_rows = [], [], []
    for number, chance in enumerate(chances.tolist()):
        reasons = ["unusual"] if rng.random() < unusual else ["both-fit"] if rng.random() < cannot_tell else []
        whole = {
            "model": record.model, "acceptance": record.id, "probability": chance, "raw_probability": chance, "threshold": 0.5,
            "verdict": "cannot-tell" if reasons else "positive" if chance >= 0.5 else "negative", "reasons": reasons,
            "unusual": None, "moved": [],
        }  # fmt: skip
        new_case = NewCase("rest", "image", given, patients[number % len(patients)] if patients else f"q{seed}-{number}")
        case_rows.append(new_case.row())
        answer_rows.append(answer_row(new_case.id, whole, given, shadow=shadow))
        figure_rows.append(figure_row(new_case.id, {name: int(own[number]) for name, own in bins.items()}))
    store.write(lambda connection: insert_cases(connection, case_rows, answer_rows, figure_rows))
    return [row["id"] for row in case_rows]
