"""Drift is told where there is some, and not told where there is none; nothing of a single case is in what is told."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clinic.made_clinics import ClinicPlace
from tests.clinic.watch.made_weeks import DAY_S, NOW, accepted_record, add_cases, clock, serve_record
from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.cases import answer_row, insert_cases, say_opinion, withdraw
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.watch.drift import Drift, Figure, drift_of
from wardround.clinic.watch.summary import COLUMNS, as_json, summary
from wardround.clinic.watch.watcher import look

SETTINGS = WatchSection()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path / "clinic.db"), clock=clock) as opened:
        yield opened


def states(drift: Drift) -> dict[str, str]:
    return {figure.name: figure.state for figure in drift.figures}


def test_cases_like_the_accepted_ones_are_steady(store: Store) -> None:
    """An alarm on every Monday is switched off on Tuesday."""
    record = accepted_record()
    add_cases(store, record, 600)
    found = drift_of(store, record, SETTINGS, NOW + 1)
    assert found.cases == 600 and set(states(found).values()) <= {"steady", "too-few"}
    assert [name for name, state in states(found).items() if state == "too-few"] == ["agreement", "calibration"]


def test_other_films_are_told_by_figure(store: Store) -> None:
    """A brighter detector moves brightness and score, and leaves size and contrast."""
    record = accepted_record()
    add_cases(store, record, 600, moved=1.5, cannot_tell=0.4, unusual=0.3)
    found = states(drift_of(store, record, SETTINGS, NOW + 1))
    assert {name for name, state in found.items() if state == "beyond"} == {"score", "brightness", "cannot tell", "unusual"}
    assert found["size"] == found["contrast"] == "steady"


def test_few_cases_say_nothing_however_far_off(store: Store) -> None:
    """Ninety-nine brighter films are no ground for an alert where the hospital asks for a hundred."""
    record = accepted_record()
    add_cases(store, record, 99, moved=3.0)
    assert set(states(drift_of(store, record, SETTINGS, NOW + 1)).values()) == {"too-few"}
    add_cases(store, record, 1, moved=3.0, seed=9)
    assert states(drift_of(store, record, SETTINGS, NOW + 1))["brightness"] == "beyond"


def test_only_cases_of_the_time_of_the_acceptance_that_were_shown_are_counted(store: Store) -> None:
    """Not older ones, not the shadow's, not another acceptance's, not of patients who withdrew, not one case twice."""
    record, other = accepted_record(), accepted_record(created="2026-10-01T00:00:00+00:00")
    first = add_cases(store, record, 120)
    add_cases(store, record, 50, seed=3, given=NOW - 31 * DAY_S)
    add_cases(store, record, 50, seed=4, shadow=True)
    add_cases(store, other, 50, seed=5)
    add_cases(store, record, 30, seed=6, patients=["gone"])
    withdraw(store, "gone", actor="data")
    add_cases(store, record, 7, seed=7, patients=["gone"])
    again = {
        "model": record.model, "acceptance": record.id, "probability": 0.9, "raw_probability": 0.9, "threshold": 0.5,
        "verdict": "positive", "reasons": [], "unusual": None, "moved": [],
    }  # fmt: skip
    store.write(lambda connection: insert_cases(connection, [], [answer_row(first[0], again, NOW - 60)]))
    found = drift_of(store, record, SETTINGS, NOW + 1)
    assert found.cases == 120 and {figure.cases for figure in found.figures if figure.kind in ("psi", "more")} == {120}


def test_doctors_who_disagree_are_heard(store: Store) -> None:
    """Agreement, and the share with the finding as doctors say it against what the model said."""
    record = accepted_record()
    ids = add_cases(store, record, 300, cannot_tell=0.0, unusual=0.0)
    for number, case_id in enumerate(ids[:80]):
        say_opinion(store, case_id, "1" * 32, "anna", "disagree" if number % 2 else "agree", "")
    found = {figure.name: figure for figure in drift_of(store, record, SETTINGS, NOW + 1).figures}
    assert found["agreement"].value == 0.5 and found["agreement"].state == "beyond" and found["agreement"].cases == 80
    assert abs(found["calibration"].value) < 0.2 and found["calibration"].cases == 80
    for case_id in ids[:80]:  # the same doctor thinks again: the latest word counts, once
        say_opinion(store, case_id, "1" * 32, "anna", "agree", "")
    found = {figure.name: figure for figure in drift_of(store, record, SETTINGS, NOW + 1).figures}
    assert found["agreement"].value == 1 and found["agreement"].state == "steady" and found["agreement"].cases == 80


def test_probabilities_that_are_too_high_are_told(store: Store) -> None:
    """The model says yes, doctors say no."""
    record = accepted_record()
    ids = add_cases(store, record, 60, moved=3.0, cannot_tell=0.0, unusual=0.0)
    for case_id in ids:
        say_opinion(store, case_id, "1" * 32, "anna", random.Random(case_id).choice(["agree", "disagree", "disagree"]), "")
    found = {figure.name: figure for figure in drift_of(store, record, SETTINGS, NOW + 1).figures}["calibration"]
    assert found.state == "beyond" and found.value is not None and found.value < -0.3


@pytest.mark.parametrize(
    ("kind", "limit", "value", "interval", "state"),
    [
        ("psi", 0.2, 0.1, (0.0, 0.2), "steady"),
        ("psi", 0.2, 0.19, (0.1, 0.3), "unclear"),
        ("psi", 0.2, 0.3, (0.21, 0.4), "beyond"),
        ("agreement", 0.8, 0.9, (0.8, 0.95), "steady"),
        ("agreement", 0.8, 0.8, (0.7, 0.9), "unclear"),
        ("agreement", 0.8, 0.6, (0.5, 0.79), "beyond"),
        ("calibration", 0.1, 0.0, (-0.1, 0.1), "steady"),
        ("calibration", 0.1, 0.0, (-0.2, 0.05), "unclear"),
        ("calibration", 0.1, -0.2, (-0.3, -0.11), "beyond"),
        ("calibration", 0.1, 0.2, (0.11, 0.3), "beyond"),
    ],
)
def test_a_figure_is_judged_by_its_whole_interval(kind, limit, value, interval, state) -> None:
    """Ends on either side of a limit are unclear."""
    assert Figure("x", kind, 100, limit, value, interval).state == state


def test_what_is_told_fits_a_terminal_and_names_nobody(tmp_path: Path, store: Store) -> None:
    """JSON goes to machines of other people."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    record = serve_record(clinic, accepted_record())
    ids = add_cases(store, record, 300, moved=1.5, patients=["secret-patient"])
    say_opinion(store, ids[0], "1" * 32, "doctor-bea", "agree", "Frau Mustermann")
    drift, alerts = look(clinic, store)
    text, told = summary("St Anna", drift, alerts), json.dumps(as_json(drift, alerts))
    assert alerts and max(map(len, text.splitlines())) <= COLUMNS and "BEYOND" in text and "ALERT" in text
    assert not [
        word for word in (*ids, "secret-patient", "doctor-bea", "mustermann", "1" * 32) if word in f"{told} {text}".lower()
    ]
    assert {figure["state"] for figure in json.loads(told)["watched"]["figures"]} >= {"beyond", "steady", "too-few"}
