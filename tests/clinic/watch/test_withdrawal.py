"""Withdrawal is whole: killed at any instant, the same command does the rest; the list of studies is never behind the cases."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from tests.clinic.made_models import FILMS, film_model, record_of
from tests.clinic.watch.made_weeks import NOW, accepted_record, add_cases, clock
from wardround.clinic.intake.pseudonyms import pseudonym_key, pseudonym_of
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.cases import audit_lines, latest_cases, say_opinion
from wardround.clinic.store.database import Store, first_broken_line, sqlite_url
from wardround.clinic.store.tables import cases
from wardround.clinic.watch.drift import drift_of
from wardround.clinic.watch.labels import label_table
from wardround.clinic.watch.withdrawal import withdraw_patient
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.values.errors import DataError


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClinicPlace:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    return ClinicPlace.begin(tmp_path / "home" / "clinic", ClinicSettings(hospital="St Anna"))


@pytest.fixture
def store(clinic: ClinicPlace) -> Iterator[Store]:
    with Store(sqlite_url(clinic.path / "clinic.db"), clock=clock) as opened:
        yield opened


def keep_films(clinic: ClinicPlace, names: list[str]) -> None:
    (clinic.path / "films").mkdir(exist_ok=True)
    for name in names:
        (clinic.path / "films" / f"{name}.npz").write_bytes(b"a film")


def test_her_cases_are_hidden_and_neither_they_nor_later_ones_are_used(clinic: ClinicPlace, store: Store) -> None:
    """Worklist, labels, counts, films, studies."""
    record, hers = accepted_record(), pseudonym_of(pseudonym_key(clinic), "P007")
    mine, others = add_cases(store, record, 5, patients=[hers], cannot_tell=0, unusual=0), add_cases(store, record, 20, seed=3)
    for case_id in mine:
        say_opinion(store, case_id, "1" * 32, "anna", "agree", "")
    keep_films(clinic, [*mine, *others])
    assert label_table(store).cases == 5
    done = withdraw_patient(clinic, store, " P007 ", actor="data")
    assert sorted(case for case, _ in done.cases) == sorted(mine) and {model for _, model in done.cases} == {record.model}
    assert not done.again and done.films == 5 and len(list((clinic.path / "films").iterdir())) == 20
    later = add_cases(store, record, 3, seed=4, patients=[hers], cannot_tell=0, unusual=0)
    say_opinion(store, later[0], "1" * 32, "anna", "agree", "")
    table = label_table(store)
    assert table.cases == 0 and table.withdrawn == 6
    assert drift_of(store, record, WatchSection(), NOW).cases == 20
    assert {case.id for case in latest_cases(store, 100)} == {*others, *later}  # a doctor who treats her sees what came since
    assert ExcludedPatients.of_user().among(np.array(["P007", "P008"])).tolist() == [True, False]
    assert [line["subject"] for line in audit_lines(store) if line["action"] == "patient-withdrawn"] == [hers]
    again = withdraw_patient(clinic, store, "P007", actor="data")
    assert again.again and again.films == 0 and len({case for case, _ in again.cases}) == 8


def test_who_has_no_case_here_withdraws_too(clinic: ClinicPlace, store: Store) -> None:
    """She may come tomorrow, and be in a data set today."""
    done = withdraw_patient(clinic, store, "P1", actor="data")
    assert done.cases == () and ExcludedPatients.of_user().among(np.array(["P1"])).all()
    add_cases(store, accepted_record(), 1, patients=[done.pseudonym])
    assert drift_of(store, accepted_record(), WatchSection(), NOW).cases == 0
    with pytest.raises(DataError, match="no patient"):
        withdraw_patient(clinic, store, " ", actor="data")


WITHDRAWING = """
import sys
from pathlib import Path
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.opening import open_store
from wardround.clinic.watch.withdrawal import withdraw_patient
clinic = ClinicPlace.at(Path(sys.argv[1]))
with open_store(clinic) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + 8):
        withdraw_patient(clinic, store, f"P{number}", actor="data")
        print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_in_the_middle_the_list_is_never_behind_the_cases(clinic: ClinicPlace) -> None:
    """30 kills. Whose cases are hidden is on the list; who was acknowledged is done whole; doing it again does the rest."""
    content = film_model()
    record, key, names = record_of(content, FILMS), pseudonym_key(clinic), {}
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        for number in range(240):
            names[number] = add_cases(store, record, 2, seed=number, patients=[pseudonym_of(key, f"P{number}")])
    keep_films(clinic, [name for ids in names.values() for name in ids])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    acknowledged, rng = set(), random.Random(5)
    for kill in range(12):
        command = [sys.executable, "-c", WITHDRAWING, str(clinic.path), str(8 * kill)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("\n")
            child.stdin.flush()
            time.sleep(rng.random() * 0.2)
            child.send_signal(signal.SIGKILL)
            acknowledged |= {int(line) for line in child.stdout.readlines() if line.endswith("\n")}
    everybody = [f"P{number}" for number in range(240)]
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        assert first_broken_line(store) is None
        with store.reading() as connection:
            hidden = {row.id for row in connection.execute(select(cases.c.id).where(cases.c.withdrawn))}
        on_list = dict(zip(everybody, ExcludedPatients.of_user().among(np.array(everybody)).tolist(), strict=True))
        marked = {number for number, ids in names.items() if hidden & set(ids)}
        assert all(hidden >= set(names[number]) and on_list[f"P{number}"] for number in marked)
        assert acknowledged <= marked and 0 < len(acknowledged) < 240
        films = {path.stem for path in (clinic.path / "films").iterdir()}
        assert not [name for number in acknowledged for name in names[number] if name in films]
        for number in sorted(set(range(240)) - acknowledged)[:40]:
            withdraw_patient(clinic, store, f"P{number}", actor="data")
            assert not any((clinic.path / "films" / f"{name}.npz").exists() for name in names[number])
