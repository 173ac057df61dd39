"""Alerts: raised once, kept until the figure is back, read by somebody.

           beyond                            the figure keeps its limit, or another model is in service
    none ----------> raised --read--> seen ------------------------------------------------------------> ended

A figure that is `unclear` or has too few cases raises nothing. An alert does not end for want of cases: nobody would have looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import alerts
from wardround.clinic.watch.drift import Drift, Figure
from wardround.values.errors import RunError


@dataclass(frozen=True)
class Alert:
    """seen_by: the account that read it; "" while nobody has. ended: None while it lasts."""

    id: int
    acceptance: str
    figure: str
    raised: float
    value: float
    low: float
    high: float
    limit: float
    seen_by: str
    ended: float | None


def open_alerts(store: Store) -> tuple[Alert, ...]:
    """Those that last, the oldest first."""
    return _read(store, only_open=True)


def all_alerts(store: Store) -> tuple[Alert, ...]:
    """Also those that ended."""
    return _read(store, only_open=False)


def refresh_alerts(store: Store, drift: Drift | None) -> tuple[Alert, ...]:
    """Raises and ends alerts by what was found of the model in service, None where there is none. Those that last after it."""
    lasting = {alert.figure: alert for alert in open_alerts(store) if drift and alert.acceptance == drift.acceptance}
    raised = [figure for figure in drift.figures if figure.state == "beyond" and figure.name not in lasting] if drift else []
    kept = _kept(drift, lasting)
    ended = [alert for alert in open_alerts(store) if alert.id not in kept]
    if not raised and not ended:
        return open_alerts(store)
    now = store.clock()

    def work(connection: Connection) -> None:
        for alert in ended:
            connection.execute(update(alerts).where(alerts.c.id == alert.id, alerts.c.ended.is_(None)).values(ended=now))
        there = {(row.acceptance, row.figure) for row in connection.execute(select(alerts).where(alerts.c.ended.is_(None)))}
        for figure in raised:
            row = _row(drift.acceptance if drift else "", figure, now)
            if (row["acceptance"], figure.name) not in there:
                connection.execute(insert(alerts), row)

    lines = [("clinic", "alert-ended", alert.figure) for alert in ended]
    store.write(work, *lines, *(("clinic", "alert-raised", figure.name) for figure in raised))
    return open_alerts(store)


def read_alert(store: Store, number: int, person: str) -> None:
    """Notes who has read it first. RunError where no such alert lasts."""
    if not any(alert.id == number for alert in open_alerts(store)):
        raise RunError("There is no such alert, or it has ended", hint="see: wardround clinic watch")
    unseen = update(alerts).where(alerts.c.id == number, alerts.c.seen_by == "")
    store.write(
        lambda connection: connection.execute(unseen.values(seen_by=person[:64])).rowcount, (person, "alert-seen", str(number))
    )


def _kept(drift: Drift | None, lasting: Mapping[str, Alert]) -> set[int]:
    """Alerts that last on: of the acceptance in service, whose figure is not back. One that is not counted any more stays."""
    back = {figure.name for figure in drift.figures if figure.is_back and figure.state != "beyond"} if drift else set()
    return {alert.id for name, alert in lasting.items() if name not in back}


def _row(acceptance: str, figure: Figure, now: float) -> dict[str, object]:
    low, high = figure.interval or (0.0, 0.0)
    row: dict[str, object] = {"acceptance": acceptance, "figure": figure.name[:200], "raised": now, "value": figure.value}
    return row | {"low": low, "high": high, "limit": figure.limit, "seen_by": "", "ended": None}


def _read(store: Store, *, only_open: bool) -> tuple[Alert, ...]:
    query = select(alerts).order_by(alerts.c.id)
    if only_open:
        query = query.where(alerts.c.ended.is_(None))
    with store.reading() as connection:
        rows: Sequence[Mapping[str, object]] = [dict(row) for row in connection.execute(query).mappings()]
    return tuple(Alert(**row) for row in rows)  # type: ignore[arg-type]
