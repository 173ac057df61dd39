"""The same in PostgreSQL, which many hospitals' database people prefer: counts, alerts, register, labels, old rows."""

from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError

from tests.clinic.watch.made_weeks import DAY_S, NOW, accepted_record, add_cases, serve_record
from tests.sources.databases.conftest import postgres as postgres
from tests.sources.databases.databases import Server
from wardround.clinic.place.clinic_place import SETTINGS, ClinicPlace, ClinicSettings
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.cases import note_view, say_opinion, withdraw
from wardround.clinic.store.database import Store, first_broken_line
from wardround.clinic.store.tables import audit
from wardround.clinic.watch.alerts import open_alerts, read_alert, refresh_alerts
from wardround.clinic.watch.drift import drift_of
from wardround.clinic.watch.labels import label_table
from wardround.clinic.watch.register import Filter, register
from wardround.clinic.watch.retention import delete_old
from wardround.clinic.watch.shared_counts import share_counts


@pytest.mark.slow
def test_a_clinic_with_postgresql_is_watched_alike(postgres: Server, tmp_path: Path) -> None:
    """Every query and the trigger that lets go of old lines alone."""
    url = postgres.address().replace("postgresql://", "postgresql+psycopg://")
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    ticks = [NOW]
    with Store(url, clock=lambda: ticks[0]) as store:
        record = accepted_record()
        serve_record(clinic, record)
        ids = add_cases(store, record, 200, moved=1.5, cannot_tell=0, unusual=0, patients=["p1", "p2", "p3"])
        add_cases(store, record, 120, seed=9, given=NOW - 30 * DAY_S)
        note_view(store, ids[0], "1" * 32, "anna")
        say_opinion(store, ids[0], "1" * 32, "anna", "agree", "阴影")
        assert {one.figure for one in refresh_alerts(store, drift_of(store, record, WatchSection(), NOW + 1))} >= {
            "score",
            "brightness",
        }
        read_alert(store, open_alerts(store)[0].id, "anna")
        assert refresh_alerts(store, None) == ()
        assert len(register(store)) == 320 and len(register(store, Filter(patient="p1"))) == 67
        assert label_table(store).cases == 1 and withdraw(store, "p1", actor="data") and label_table(store).cases == 0
        assert share_counts(clinic, store, record.model, "2026-10").hospitals == 1
        (clinic.path / SETTINGS).write_text('hospital = "St Anna"\n[retention]\ncase_days = 60\naudit_days = 5\n')
        (clinic.path / SETTINGS).chmod(0o600)
        ticks[0] += 70 * DAY_S
        done = delete_old(clinic, store)
        assert len(done.cases) == 320 and done.lines > 5 and first_broken_line(store) is None
        store.note("anna", "case-seen", "x")
        with store.reading() as connection:
            assert connection.execute(select(func.count()).select_from(audit)).scalar() == 3
        with pytest.raises(DatabaseError, match="append-only"):
            store.write(lambda connection: connection.execute(text("DELETE FROM audit")).rowcount)
        assert first_broken_line(store) is None
