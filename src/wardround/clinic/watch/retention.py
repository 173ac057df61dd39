"""Old rows go, as [retention] of clinic.toml says: cases with all that hangs on them, and the oldest lines of the audit.

The audit's chain stays whole: number and hash of the last deleted line are kept (`audit_cuts`), a new line of the chain states
them, and the database lets go of no line behind the cut. All of it is one transaction.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.watch_settings import RetentionSection
from wardround.clinic.store.database import CUT, Store, first_broken_line
from wardround.clinic.store.tables import answers, audit, audit_cuts, cases, feedback, figures, views
from wardround.clinic.watch.withdrawal import erase_films
from wardround.values.errors import RunError

DAY_S = 86400.0
_ACTOR = "retention"


@dataclass(frozen=True)
class Old:
    """What is older than the settings keep. cases: ids. lines: of the audit, up to number `cut`, whose hash is `sha256`."""

    cases: tuple[str, ...]
    lines: int
    cut: int = 0
    sha256: str = ""


def old_rows(store: Store, settings: RetentionSection) -> Old:
    """Nothing is deleted. 0 days keep everything."""
    now = store.clock()
    with store.reading() as connection:
        names: list[str] = []
        if settings.case_days:
            query = select(cases.c.id).where(cases.c.received < now - settings.case_days * DAY_S)
            names = list(connection.execute(query).scalars())
        if not settings.audit_days:
            return Old(tuple(names), 0)
        kept = select(func.min(audit.c.number)).where(audit.c.at >= now - settings.audit_days * DAY_S)
        first_kept = connection.execute(kept).scalar()
        before = select(audit.c.number, audit.c.sha256).order_by(audit.c.number.desc()).limit(1)
        if first_kept is not None:
            before = before.where(audit.c.number < first_kept)
        last = connection.execute(before).one_or_none()
        if last is None:
            return Old(tuple(names), 0)
        lines = connection.execute(select(func.count()).where(audit.c.number <= last.number)).scalar() or 0
    return Old(tuple(names), int(lines), int(last.number), str(last.sha256))


def delete_old(clinic: ClinicPlace, store: Store) -> Old:
    """Deletes what is too old. RunError where the audit's chain is broken: then nothing is deleted, since it is evidence."""
    old = old_rows(store, clinic.settings.retention)
    if not old.cases and not old.lines:
        return old
    if broken := first_broken_line(store):
        raise RunError(
            f"The audit's chain is broken at line {broken}, so nothing is deleted",
            expected="a line that follows from the one before",
            hint="keep the database as it is, and ask who could change it",
        )
    erase_films(clinic, old.cases)  # first: a film whose case is gone would be nobody's

    def work(connection: Connection) -> None:
        for start in range(0, len(old.cases), 500):
            some = old.cases[start : start + 500]
            for table in (feedback, views, answers, figures):
                connection.execute(delete(table).where(table.c.case_id.in_(some)))
            connection.execute(delete(cases).where(cases.c.id.in_(some)))
        if old.lines:
            connection.execute(insert(audit_cuts), {"number": old.cut, "sha256": old.sha256, "at": store.clock()})
            connection.execute(delete(audit).where(audit.c.number <= old.cut))

    lines = [(_ACTOR, "cases-deleted", str(len(old.cases)))] if old.cases else []
    lines += [(_ACTOR, CUT, f"{old.cut} {old.sha256}")] if old.lines else []
    store.write(work, *lines)
    return old
