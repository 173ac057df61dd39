"""Drift over hospitals: three clinics with folders and keys of their own, and a lead who reads the sum alone."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clinic.made_models import FILMS, film_model
from tests.clinic.watch.made_weeks import NOW, accepted_record, add_cases, clock, serve_record
from tests.docs.pages import blocks
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.cases import withdraw
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.watch.drift import drift_of
from wardround.clinic.watch.shared_counts import (
    Period,
    PooledDrift,
    drift_plan,
    pooled_drift,
    share_counts,
    shared_values,
    sum_label,
)
from wardround.crypto.identity import Identity
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.site.sum_site import SumSite
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, EngineError, RunError, StudyError
from wardround.values.ids import SiteId

MODEL = sha256_hex(film_model())
OCTOBER = Period.named("2026-10").since + 5 * 86400.0
NAMES = ("north", "south", "west")


def clinic_at(folder: Path, *, cases: int, accepted: int, moved: float, seed: int) -> ClinicPlace:
    """With its acceptance, its cases of October, and its counts of October."""
    clinic = ClinicPlace.begin(folder, ClinicSettings(hospital=folder.name))
    record = serve_record(clinic, accepted_record(accepted, seed))
    with Store(sqlite_url(folder / "clinic.db"), clock=clock) as store:
        add_cases(store, record, cases, seed=seed + 50, moved=moved, given=OCTOBER, cannot_tell=0.1 + 0.3 * (moved > 0))
        share_counts(clinic, store, MODEL, "2026-10")
    return clinic


def pooled(folder: Path, clinics: Mapping[str, ClinicPlace], lost: tuple[str, ...] = ()) -> PooledDrift:
    """Over bytes, each hospital with its own folder; the lead has the messages and nothing else."""
    identities = {name: Identity.new() for name in clinics}
    plan = drift_plan({name: one.public for name, one in identities.items()}, FILMS, MODEL, ["2026-10", "2026-11"])
    sites = {
        SiteId(name): SumSite(plan, name, identities[name], shared_values(clinic), folder / name)
        for name, clinic in clinics.items()
    }
    try:
        lead = SumCoordinator(
            plan,
            lambda outbox: {site: sites[site].handle(data) for site, data in outbox.items() if site not in lost},
            folder / "lead",
        )
        return pooled_drift(lead.sum(sum_label(MODEL, "2026-10")).total, FILMS)
    finally:
        for site in sites.values():
            site.close()


def test_a_model_that_ages_at_three_hospitals_is_seen_by_the_lead(tmp_path: Path) -> None:
    """And the sum is that of all three."""
    clinics = {
        name: clinic_at(tmp_path / name, cases=200, accepted=300, moved=1.5, seed=number) for number, name in enumerate(NAMES)
    }
    found = pooled(tmp_path, clinics)
    assert found.hospitals == 3 and found.cases == 600
    assert {"score", "brightness", "cannot tell"} <= {one.name for one in found.figures if one.state == "beyond"}


def test_hospitals_of_other_sizes_and_patients_are_no_drift(tmp_path: Path) -> None:
    """North had many dark films at its acceptance and few now, south the other way round; neither has changed."""
    sizes = {"north": (150, 900, 0), "south": (900, 150, 40), "west": (300, 300, 80)}
    clinics = {}
    for name, (cases, accepted, seed) in sizes.items():
        clinic = ClinicPlace.begin(tmp_path / name, ClinicSettings(hospital=name))
        record = accepted_record(accepted, seed)
        darker = 4 if name == "north" else 0
        bins = {**record.watch.bins, "brightness": tuple(np.roll(record.watch.bins["brightness"], -darker).tolist())}
        record = record.changed(watch={**record.watch.model_dump(), "bins": bins})
        serve_record(clinic, record)
        with Store(sqlite_url(tmp_path / name / "clinic.db"), clock=clock) as store:
            add_cases(store, record, cases, seed=seed + 7, given=OCTOBER, moved=0)
            if darker:
                _darken(store, darker)
            share_counts(clinic, store, MODEL, "2026-10")
            alone = drift_of(store, record, WatchSection(days=60), NOW)
            assert not [one.name for one in alone.figures if one.state == "beyond"]
        clinics[name] = clinic
    found = pooled(tmp_path, clinics)
    assert found.cases == 1350 and not [one.name for one in found.figures if one.state in ("beyond", "unclear")]


def _darken(store: Store, bins: int) -> None:
    from sqlalchemy import select, update

    from wardround.clinic.store.tables import figures

    def work(connection):
        for row in connection.execute(select(figures)).all():
            held = json.loads(row.bins)
            held["brightness"] = (held["brightness"] - bins) % 20
            connection.execute(update(figures).where(figures.c.case_id == row.case_id).values(bins=json.dumps(held)))

    store.write(work)


def test_a_hospital_with_too_few_cases_adds_zeros(tmp_path: Path) -> None:
    """It answers like the others: its words do not tell that it had few."""
    few = {"north": 200, "south": 150, "west": 99}
    clinics = {name: clinic_at(tmp_path / name, cases=count, accepted=300, moved=0, seed=count) for name, count in few.items()}
    arrays = shared_values(clinics["west"])(sum_label(MODEL, "2026-10"), 1)
    assert not any(array.any() for array in arrays.values())
    found = pooled(tmp_path, clinics)
    assert found.hospitals == 2 and found.cases == 350


def test_a_hospital_that_is_lost_opens_no_sum(tmp_path: Path) -> None:
    """Of three hospitals all are needed: the sum of two would be nearly one hospital's own."""
    clinics = {name: clinic_at(tmp_path / name, cases=120, accepted=300, moved=0, seed=1) for name in NAMES}
    with pytest.raises(EngineError, match="Too few sites"):
        pooled(tmp_path, clinics, lost=("west",))


def test_a_period_is_shared_once(tmp_path: Path) -> None:
    """Two sums of nearly the same cases would give away the patient who withdrew between them."""
    clinic = clinic_at(tmp_path / "north", cases=200, accepted=300, moved=0, seed=1)
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=lambda: NOW + 90 * 86400) as store:
        first = share_counts(clinic, store, MODEL, "2026-10")
        withdraw(store, "q51-0", actor="data")
        assert share_counts(clinic, store, MODEL, "2026-10") == first and first.now_rates[0] == 200
        with pytest.raises(RunError, match="overlaps"):
            share_counts(clinic, store, MODEL, "2026-Q4")
        with pytest.raises(RunError, match="not over"):
            share_counts(clinic, store, MODEL, "2027-11")
        with pytest.raises(RunError, match="No accepted model"):
            share_counts(clinic, store, "0" * 64, "2026-09")
        with pytest.raises(StudyError, match="no period"):
            share_counts(clinic, store, MODEL, "2026-13")
    with pytest.raises(DataError, match="No counts"):
        shared_values(clinic)(sum_label(MODEL, "2026-11"), 1)
    with pytest.raises(DataError, match="No counts"):
        shared_values(clinic)("../clinic", 1)
    written = next((clinic.path / "shares").glob("*.json"))
    assert written.stat().st_mode & 0o077 == 0 and not [word for word in ("q51-", "north") if word in written.read_text()]


def test_a_plan_has_no_two_periods_of_one_time() -> None:
    """The difference of a quarter and two of its months is the third."""
    keys = {name: Identity.new().public for name in NAMES}
    assert drift_plan(keys, FILMS, MODEL, ["2026-Q3", "2026-10", "2027-01"]).numbers == 1
    with pytest.raises(StudyError, match="overlap"):
        drift_plan(keys, FILMS, MODEL, ["2026-10", "2026-Q4"])


@pytest.mark.parametrize("name", ["2026-1", "2026-00", "2026-Q5", "26-10", "2026-10-01", "", "2026-10\n"])
def test_what_is_no_period_is_refused(name: str) -> None:
    """A label goes into a file's name."""
    with pytest.raises(StudyError, match="no period"):
        Period.named(name)


def test_months_follow_one_another() -> None:
    """No case falls between two periods or into both."""
    names = [f"2026-{month:02}" for month in range(1, 13)] + ["2027-01"]
    periods = [Period.named(name) for name in names]
    assert all(one.until == other.since for one, other in pairwise(periods))
    assert Period.named("2026-Q4").until == Period.named("2027-01").since


def test_the_example_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a hospital and a lead would copy it."""
    clinics = {name: clinic_at(tmp_path / name, cases=120, accepted=300, moved=0, seed=1) for name in NAMES}
    identities = {name: Identity.new() for name in NAMES}
    keys = {name: one.public for name, one in identities.items()}
    plan = drift_plan(keys, FILMS, MODEL, ["2026-10", "2026-11", "2026-12"])
    sites = {name: SumSite(plan, name, identities[name], shared_values(clinics[name]), tmp_path / name) for name in NAMES[1:]}
    names: dict[str, Any] = {
        "SumSite": SumSite, "SumCoordinator": SumCoordinator, "keys": keys, "contract": FILMS, "model": MODEL,
        "identity": identities["north"], "clinic": clinics["north"], "folder": tmp_path / "own",
        "trip": lambda outbox: {site: {**sites, "north": names["site"]}[site].handle(data) for site, data in outbox.items()},
    }  # fmt: skip
    (shown,) = [block.text for block in blocks("python") if block.page.name == "clinic.md" and "drift_plan" in block.text]
    exec(compile(shown, "docs/clinic.md", "exec"), names)
    assert names["drift"].hospitals == 3 and names["drift"].cases == 360
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("360 cases of 3 hospitals") and max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[3:7]] == ["brightness", "contrast", "score", "size"]
    for site in (*sites.values(), names["site"]):
        site.close()
