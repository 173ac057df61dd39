"""The register: which model answered which case, who has seen it and when. Patients stand in it by their pseudonym.

Cases of patients who withdrew stay in it, marked: an auditor has to see what was done for them.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, RowMapping, case, func, select

from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import answers, cases, feedback, people, views

HEADER = (
    "case", "received", "source", "sender", "patient", "model", "acceptance", "given", "shown", "verdict", "probability",
    "seen_by", "first_seen", "opinions", "withdrawn",
)  # fmt: skip
ANSWER = "answer"
"""The last column, where an answer is of another question than yes or no."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Filter:
    """What is asked for; "" and None ask for nothing. model, case: their first letters. seen_by: an account's name."""

    model: str = ""
    patient: str = ""
    case: str = ""
    seen_by: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True)
class Line:
    """One answer. shown: False of a model that was tried beside. seen: (account, when) of everybody who looked at the case, the
    first time each. opinions: how many were said of this answer. answer: in the study's words; "" of a yes or no."""

    case: str
    received: float
    source: str
    sender: str
    patient: str
    model: str
    acceptance: str
    given: float
    shown: bool
    verdict: str
    probability: float | None
    withdrawn: bool
    seen: tuple[tuple[str, float], ...]
    opinions: int
    answer: str = ""

    def row(self) -> tuple[str, ...]:
        """As the table's HEADER says; no cell begins like a formula of a spreadsheet."""
        seen = "; ".join(f"{name} {iso(at)}" for name, at in self.seen)
        cells = (
            self.case, iso(self.received), self.source, self.sender, self.patient, self.model, self.acceptance, iso(self.given),
            "yes" if self.shown else "no", self.verdict, "" if self.probability is None else f"{self.probability:.6f}", seen,
            iso(min(at for _, at in self.seen)) if self.seen else "", str(self.opinions), "yes" if self.withdrawn else "no",
        )  # fmt: skip
        return tuple(unformulaic(cell) for cell in cells)


def register(store: Store, asked: Filter | None = None, *, count: int | None = None, skip: int = 0) -> list[Line]:
    """The answers that the filter asks for, newest first; at most `count`, after `skip` of them."""
    said = select(func.count()).where(feedback.c.answer_id == answers.c.id).scalar_subquery()
    query = (
        select(
            *(cases.c[name] for name in ("id", "received", "source", "sender", "patient", "withdrawn")),
            *(answers.c[name] for name in ("model", "acceptance", "given", "shadow", "verdict", "probability")),
            case((answers.c.probability.is_(None), answers.c.whole)).label("in_parts"),
            said.label("opinions"),
        )
        .join(answers, answers.c.case_id == cases.c.id)
        .where(*_conditions(asked or Filter()))
        .order_by(answers.c.given.desc(), answers.c.id)
        .limit(count)
        .offset(skip)
    )
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
        seen = _seen(store, [row["id"] for row in rows])
    return [_line(row, seen.get(row["id"], ())) for row in rows]


def register_length(store: Store, asked: Filter | None = None) -> int:
    """How many answers the filter asks for."""
    query = select(func.count()).select_from(cases.join(answers, answers.c.case_id == cases.c.id))
    with store.reading() as connection:
        return int(connection.execute(query.where(*_conditions(asked or Filter()))).scalar() or 0)


def _conditions(asked: Filter) -> list[ColumnElement[bool]]:
    kept = [answers.c.model.startswith(asked.model, autoescape=True), cases.c.id.startswith(asked.case, autoescape=True)]
    if asked.patient:
        kept.append(cases.c.patient == asked.patient)
    if asked.since is not None:
        kept.append(answers.c.given >= asked.since)
    if asked.until is not None:
        kept.append(answers.c.given < asked.until)
    if asked.seen_by:
        looked = select(views.c.case_id).join(people, people.c.id == views.c.person).where(people.c.name == asked.seen_by)
        kept.append(cases.c.id.in_(looked))
    return kept


def register_csv(lines: Sequence[Line]) -> str:
    """For an auditor: HEADER, then a row for each answer; where one is of another question than yes or no, ANSWER too."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    if any(line.answer for line in lines):
        writer.writerow((*HEADER, ANSWER))
        writer.writerows((*line.row(), unformulaic(line.answer)) for line in lines)
    else:
        writer.writerow(HEADER)
        writer.writerows(line.row() for line in lines)
    return file.getvalue()


def unformulaic(cell: str) -> str:
    """A text that a spreadsheet takes as a text.

    >>> unformulaic("=1+1"), unformulaic("anna")
    ("'=1+1", 'anna')
    """
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def iso(at: float) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seen(store: Store, case_ids: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
    """By case: who looked at it, the first time of each. An account that is gone stands by its id."""
    looks: dict[str, list[tuple[str, float]]] = {}
    query = (
        select(views.c.case_id, views.c.person, people.c.name, func.min(views.c.seen).label("first"))
        .join(people, people.c.id == views.c.person, isouter=True)
        .group_by(views.c.case_id, views.c.person, people.c.name)
        .order_by(func.min(views.c.seen))
    )
    with store.reading() as connection:
        for start in range(0, len(case_ids), 500):
            part = connection.execute(query.where(views.c.case_id.in_(case_ids[start : start + 500])))
            for row in part:
                looks.setdefault(row.case_id, []).append((row.name or row.person, row.first))
    return {name: tuple(one) for name, one in looks.items()}


def _line(row: RowMapping, seen: tuple[tuple[str, float], ...]) -> Line:
    return Line(
        case=str(row["id"]),
        received=float(str(row["received"])),
        source=str(row["source"]),
        sender=str(row["sender"]),
        patient=str(row["patient"]),
        model=str(row["model"]),
        acceptance=str(row["acceptance"]),
        given=float(str(row["given"])),
        shown=not row["shadow"],
        verdict=str(row["verdict"]),
        probability=None if row["probability"] is None else float(str(row["probability"])),
        withdrawn=bool(row["withdrawn"]),
        seen=seen,
        opinions=int(str(row["opinions"])),
        answer="" if row["in_parts"] is None else str(json.loads(str(row["in_parts"]))["answer"]),
    )
