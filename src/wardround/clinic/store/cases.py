"""Cases and what became of them: received, answered, looked at, agreed or disagreed with.

A case and its answer are written in one transaction: no case is there without the answer that was given, and none was given that
is not there. `patient` is a pseudonym; whoever wants the person asks the archive.
"""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update

from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import answers, audit, cases, feedback, figures, people, views, withdrawals
from wardround.values.errors import RunError

Opinion = Literal["agree", "disagree"]
OPINIONS: tuple[Opinion, ...] = ("agree", "disagree")
LONGEST_COMMENT = 2000


@dataclass(frozen=True)
class NewCase:
    """What is known of a case before it is answered."""

    source: str
    kind: Literal["image", "table"]
    received: float
    patient: str = ""
    content: str = ""
    study: str = ""
    warnings: Sequence[Sequence[str]] = ()
    person: str = ""
    sender: str = ""
    kept: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def row(self) -> dict[str, Any]:
        return {**vars(self), "warnings": json.dumps([list(one) for one in self.warnings])}


@dataclass(frozen=True)
class StoredCase:
    """A case with the answer that doctors were shown last. answer: the Answer as JSON. opinions: (person, opinion, comment)."""

    id: str
    received: float
    source: str
    sender: str
    kind: str
    patient: str
    study: str
    warnings: tuple[tuple[str, str, str], ...]
    kept: bool
    withdrawn: bool
    answer_id: str
    given: float
    model: str
    acceptance: str
    answer: Mapping[str, Any]
    opinions: tuple[tuple[str, str, str], ...] = ()


def answer_row(case_id: str, whole: Mapping[str, Any], given_at: float, *, shadow: bool = False) -> dict[str, Any]:
    """The row of an answer; `whole` is the Answer as JSON holds it."""
    names = ("model", "acceptance", "probability", "raw_probability", "threshold", "verdict")
    columns = {name: whole.get(name) for name in names}  # of another question than yes or no some are null
    row = {"id": secrets.token_hex(16), "case_id": case_id, "given": given_at, "shadow": shadow}
    return {**row, **columns, "whole": json.dumps(whole, allow_nan=False)}


def figure_row(case_id: str, bins: Mapping[str, int]) -> dict[str, Any]:
    """The row of a case's bins: figure -> number of the bin."""
    return {"case_id": case_id, "bins": json.dumps(bins)}


def insert_cases(
    connection: Connection,
    new_cases: Sequence[dict[str, Any]],
    new_answers: Sequence[dict[str, Any]],
    new_figures: Sequence[dict[str, Any]] = (),
) -> None:
    for table, rows in ((cases, new_cases), (answers, new_answers), (figures, new_figures)):
        if rows:
            connection.execute(insert(table), list(rows))


_COLUMNS = ("id", "received", "source", "sender", "kind", "patient", "study", "warnings", "kept", "withdrawn")
_STORED = (
    select(
        *(cases.c[name] for name in _COLUMNS),
        answers.c.id.label("answer_id"),
        *(answers.c[name] for name in ("given", "model", "acceptance", "whole")),
    )
    .join(answers, answers.c.case_id == cases.c.id)
    .where(~answers.c.shadow)
)


def case_of(store: Store, case_id: str) -> StoredCase | None:
    """The case, with its latest shown answer; None where there is none of that name."""
    with store.reading() as connection:
        query = _STORED.where(cases.c.id == case_id).order_by(answers.c.given.desc()).limit(1)
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        said = connection.execute(
            select(feedback.c.person, feedback.c.opinion, feedback.c.comment)
            .where(feedback.c.case_id == case_id)
            .order_by(feedback.c.id)
        ).all()
    return _stored(row, tuple((one.person, one.opinion, one.comment) for one in said))


def latest_cases(store: Store, count: int = 50, *, sources: Sequence[str] = (), before: float | None = None) -> list[StoredCase]:
    """The cases that came last, newest first, without those of patients who withdrew. sources: only of these."""
    query = _STORED.where(~cases.c.withdrawn).order_by(cases.c.received.desc(), answers.c.given.desc()).limit(count)
    if sources:
        query = query.where(cases.c.source.in_(sources))
    if before is not None:
        query = query.where(cases.c.received < before)
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
        ids = [row["id"] for row in rows]
        spoken = connection.execute(
            select(feedback.c.case_id, feedback.c.person, feedback.c.opinion, feedback.c.comment)
            .where(feedback.c.case_id.in_(ids))
            .order_by(feedback.c.id)
        ).all()
    said: dict[str, list[tuple[str, str, str]]] = {}
    for one in spoken:
        said.setdefault(one.case_id, []).append((one.person, one.opinion, one.comment))
    unique = {row["id"]: row for row in reversed(rows)}
    return [_stored(unique[name], tuple(said.get(name, ()))) for name in dict.fromkeys(ids)]


def cases_of_study(store: Store, study: str, count: int = 50) -> list[StoredCase]:
    """The latest cases of a study, by its keyed hash, each with the answer that doctors were shown last; none for ""."""
    if not study:
        return []
    query = select(cases.c.id).where(cases.c.study == study).order_by(cases.c.received.desc()).limit(count)
    with store.reading() as connection:
        names = connection.execute(query).scalars().all()
    return [case for name in names if (case := case_of(store, name)) is not None]


def case_of_each_study(store: Store, studies: Sequence[str]) -> dict[str, str]:
    """Study, by its keyed hash -> its latest case, without those of patients who withdrew."""
    query = select(cases.c.study, cases.c.id).where(cases.c.study.in_({study for study in studies if study}) & ~cases.c.withdrawn)
    with store.reading() as connection:
        return {row.study: row.id for row in connection.execute(query.order_by(cases.c.received))}


def note_view(store: Store, case_id: str, person_id: str, name: str) -> None:
    """Who looked at the answer to a case: in the register, and in the audit."""
    row = {"case_id": case_id, "person": person_id, "seen": store.clock()}
    store.write(lambda connection: connection.execute(insert(views), row).rowcount, (name, "case-seen", case_id))


def say_opinion(store: Store, case_id: str, person_id: str, name: str, opinion: str, comment: str) -> None:
    """Keeps what a doctor says of the answer that is shown now. RunError where it cannot be an opinion."""
    if opinion not in OPINIONS:
        raise RunError("This is no opinion", expected="agree or disagree", found=opinion[:20], hint="choose one of the two")
    if len(comment) > LONGEST_COMMENT:
        raise RunError("The comment is too long", expected=f"at most {LONGEST_COMMENT} signs", hint="shorten it")
    case = case_of(store, case_id)
    if case is None:
        raise no_such_case()
    row = {"case_id": case_id, "answer_id": case.answer_id, "person": person_id, "said": store.clock()}
    row |= {"opinion": opinion, "comment": comment}
    store.write(lambda connection: connection.execute(insert(feedback), row).rowcount, (name, "feedback", f"{case_id} {opinion}"))


def known_content(store: Store, content: str) -> str | None:
    """The id of the latest case of the same bytes; None where there is none."""
    query = select(cases.c.id).where(cases.c.content == content).order_by(cases.c.received.desc()).limit(1)
    with store.reading() as connection:
        return connection.execute(query).scalar()


def withdraw(store: Store, patient: str, *, actor: str) -> list[tuple[str, str]]:
    """Marks every case of a pseudonym as withdrawn, and the patient for ever: neither labels nor counts of later cases are used.

    (case, model that answered it) of each.
    """
    chosen = select(cases.c.id, answers.c.model).join(answers, answers.c.case_id == cases.c.id).where(cases.c.patient == patient)

    def work(connection: Connection) -> list[tuple[str, str]]:
        listed = [(row.id, row.model) for row in connection.execute(chosen.distinct())]
        connection.execute(update(cases).where(cases.c.patient == patient).values(withdrawn=True))
        if not connection.execute(select(withdrawals.c.patient).where(withdrawals.c.patient == patient)).first():
            connection.execute(insert(withdrawals), {"patient": patient, "at": store.clock(), "actor": actor[:80]})
        return listed

    return store.write(work, (actor, "patient-withdrawn", patient))


def counts(store: Store) -> dict[str, int]:
    """Cases, and answers by verdict."""
    with store.reading() as connection:
        total = connection.execute(select(func.count()).select_from(cases)).scalar() or 0
        query = select(answers.c.verdict, func.count()).where(~answers.c.shadow).group_by(answers.c.verdict)
        verdicts = {str(verdict): int(count) for verdict, count in connection.execute(query).all()}
    return {"cases": int(total), **verdicts}


def account_names(store: Store, ids: Collection[str]) -> dict[str, str]:
    """Id of an account -> its name; one that is gone is left out."""
    query = select(people.c.id, people.c.name).where(people.c.id.in_(ids))
    with store.reading() as connection:
        return {row.id: row.name for row in connection.execute(query)} if ids else {}


def views_of(store: Store, case_id: str) -> list[tuple[str, float]]:
    """(person's id, time) of everybody who looked at a case."""
    query = select(views.c.person, views.c.seen).where(views.c.case_id == case_id).order_by(views.c.id)
    with store.reading() as connection:
        return [(row.person, row.seen) for row in connection.execute(query)]


def audit_lines(store: Store, count: int = 200, *, words: str = "") -> list[Mapping[str, Any]]:
    """The latest lines of the audit, newest first; those that hold the words."""
    query = select(audit).order_by(audit.c.number.desc()).limit(count)
    if words:
        columns = (audit.c.actor, audit.c.action, audit.c.subject)
        query = query.where(or_(*(column.contains(words, autoescape=True) for column in columns)))
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def no_such_case() -> RunError:
    return RunError("There is no such case", hint="look at the worklist")


def _stored(row: RowMapping, opinions: tuple[tuple[str, str, str], ...]) -> StoredCase:
    values = {str(name): value for name, value in row.items() if name not in ("whole", "warnings")}
    warned = tuple((code, text, hint) for code, text, hint in json.loads(row["warnings"]))
    return StoredCase(**values, warnings=warned, answer=json.loads(row["whole"]), opinions=opinions)
