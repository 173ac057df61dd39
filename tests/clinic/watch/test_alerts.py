"""Alerts as a state machine: raised once, seen, ended; no step that the drawing lacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clinic.watch.made_weeks import NOW, clock
from wardround.clinic.store.cases import audit_lines
from wardround.clinic.store.database import Store, first_broken_line, sqlite_url
from wardround.clinic.watch.alerts import all_alerts, open_alerts, read_alert, refresh_alerts
from wardround.clinic.watch.drift import Drift, Figure
from wardround.values.errors import RunError

FIGURES = {
    "beyond": Figure("score", "psi", 500, 0.2, 0.5, (0.3, 0.7)),
    "unclear-above": Figure("score", "psi", 500, 0.2, 0.25, (0.1, 0.4)),
    "unclear-within": Figure("score", "psi", 500, 0.2, 0.15, (0.1, 0.3)),
    "steady": Figure("score", "psi", 500, 0.2, 0.05, (0.0, 0.1)),
    "too-few": Figure("score", "psi", 5, 0.2),
}
RAISES, ENDS = {"beyond"}, {"steady", "unclear-within"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path / "clinic.db"), clock=clock) as opened:
        yield opened


def drift(state: str, acceptance: str = "a" * 16) -> Drift:
    return Drift(acceptance, "b" * 64, NOW - 1, NOW, 500, True, (FIGURES[state],))


def step(store: Store, word: str) -> None:
    if word == "read":
        lasting = open_alerts(store)
        if lasting:
            read_alert(store, lasting[0].id, "anna")
        else:
            with pytest.raises(RunError, match="no such alert"):
                read_alert(store, 1, "anna")
    elif word == "no model":
        refresh_alerts(store, None)
    elif word == "other model":
        refresh_alerts(store, drift("steady", "c" * 16))
    else:
        refresh_alerts(store, drift(word))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([*FIGURES, "read", "no model", "other model"]), max_size=10))
def test_every_walk_through_the_machine(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    """At most one alert of a figure lasts, and it is there exactly where the drawing says."""
    with Store(sqlite_url(tmp_path_factory.mktemp("walk") / "clinic.db"), clock=clock) as store:
        lasts, seen, raised = False, False, 0
        for word in words:
            step(store, word)
            if word in RAISES and not lasts:
                lasts, seen, raised = True, False, raised + 1
            elif word in ENDS or word in ("no model", "other model"):
                lasts = False
            elif word == "read" and lasts:
                seen = True
            lasting = open_alerts(store)
            assert [bool(one.seen_by) for one in lasting] == [seen] * lasts
        assert len(all_alerts(store)) == raised and first_broken_line(store) is None
        actions = [line["action"] for line in audit_lines(store)]
        assert actions.count("alert-raised") == raised and actions.count("alert-ended") == raised - lasts


def test_an_alert_is_raised_once_by_two_who_look_at_the_same_time(store: Store, tmp_path: Path) -> None:
    """The service and somebody at the command line."""
    with Store(sqlite_url(tmp_path / "clinic.db"), clock=clock) as other:
        for one in (store, other, store):
            refresh_alerts(one, drift("beyond"))
        assert len(all_alerts(other)) == 1


def test_who_read_it_first_stays(store: Store) -> None:
    """Somebody is answerable."""
    (alert,) = refresh_alerts(store, drift("beyond"))
    read_alert(store, alert.id, "anna")
    read_alert(store, alert.id, "bea")
    assert open_alerts(store)[0].seen_by == "anna"
    refresh_alerts(store, drift("steady"))
    with pytest.raises(RunError, match="no such alert"):
        read_alert(store, alert.id, "bea")
