"""The register: which model version answered which case, by pseudonym, and who has seen it; and a patient's withdrawal.

Every look at it is a line of the audit. No address holds more of a patient than her pseudonym.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from wardround.clinic.store.cases import counts
from wardround.clinic.store.people import Person
from wardround.clinic.watch import withdrawal
from wardround.clinic.watch.register import Filter, Line, register, register_length
from wardround.clinic.watch.withdrawal import Learnt
from wardround.clinic.web.access import CheckedForm, DataManager, Registrar
from wardround.clinic.web.rendering import page, state_of, time_text, words_of
from wardround.clinic.web.saying import percent
from wardround.clinic.web.words import Words
from wardround.values.errors import WardroundError

router = APIRouter(include_in_schema=False)
PAGE_ROWS = 50


@dataclass(frozen=True)
class Asked:
    """What the register is asked for, as the address says it. model, case: first letters. patient: a pseudonym. page: from 1."""

    model: str = ""
    case: str = ""
    patient: str = ""
    seen_by: str = ""
    page: int = 1

    @property
    def filter(self) -> Filter:
        return Filter(model=self.model, case=self.case, patient=self.patient, seen_by=self.seen_by)

    def address(self, page: int) -> str:
        """Of another page of the same answers."""
        filled = {name: text for name, text in vars(self).items() if text and name != "page"}
        return "/register?" + urlencode({**filled, "page": page})


def _asked(
    model: Annotated[str, Query(max_length=64)] = "",
    case: Annotated[str, Query(max_length=64)] = "",
    patient: Annotated[str, Query(max_length=64)] = "",
    seen_by: Annotated[str, Query(max_length=64)] = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Asked:
    return Asked(model.strip(), case.strip(), patient.strip(), seen_by.strip(), page)


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did. cases: (case, model that answered it). learnt: of each study how it used her; None where nobody here
    knows. error: why it could not be found out; the withdrawal is done all the same."""

    cases: tuple[tuple[str, str], ...] = ()
    learnt: tuple[Learnt, ...] | None = None
    error: str = ""


def _register(request: Request, person: Person, asked: Asked, withdrawn: Withdrawn | None = None) -> Response:
    """Counts, which model answered which case and who has seen it, and the form of a withdrawal for who may do that."""
    store, words = state_of(request).store, words_of(request)
    store.note(person.name, "register-seen", asked.address(asked.page)[:200])
    numbers = counts(store)
    names = {"cases": "cases", "positive": "positive", "negative": "negative", "cannot-tell": "cannot_tell"}
    pages = max(1, -(-register_length(store, asked.filter) // PAGE_ROWS))
    lines = register(store, asked.filter, count=PAGE_ROWS, skip=PAGE_ROWS * (asked.page - 1))
    return page(
        request,
        "register.html",
        counts=[(f"register.{name}", numbers.get(key, 0)) for key, name in names.items()],
        withdrawn=withdrawn,
        asked=asked,
        pages=pages,
        lines=[_line_row(line, words) for line in lines],
    )


def _line_row(line: Line, words: Words) -> dict[str, Any]:
    """An answer as a line of the table."""
    marks = [words(f"register.{name}") for name, holds in (("shadow", not line.shown), ("gone", line.withdrawn)) if holds]
    return {
        "given": time_text(line.given),
        "case": line.case,
        "patient": line.patient,
        "model": line.model,
        "acceptance": line.acceptance,
        "says": words("register." + line.verdict.replace("-", "_"))
        + (f": {words.sentence(line.answer)}" if line.probability is None else f", {percent(line.probability)}"),
        "marks": marks,
        "seen": [f"{name}, {time_text(at)}" for name, at in line.seen],
    }


@router.get("/register")
def register_page(request: Request, person: Registrar, asked: Annotated[Asked, Depends(_asked)]) -> Response:
    """Which model version answered which case, by pseudonym, and who has seen it; a page at a time."""
    return _register(request, person, asked)


@router.post("/register/withdraw")
async def withdraw_patient(request: Request, person: DataManager, form: CheckedForm) -> Response:
    """Marks a patient's cases, and lists the models that answered them and those that learnt from her."""
    patient = form.get("patient", "").strip()
    if not patient:
        return await run_in_threadpool(_register, request, person, Asked(), Withdrawn())
    done = await run_in_threadpool(_withdrawn, request, person, patient, reads_data=bool(form.get("read")))
    return await run_in_threadpool(_register, request, person, Asked(), done)


def _withdrawn(request: Request, person: Person, patient: str, *, reads_data: bool) -> Withdrawn:
    """What may not happen any more comes first, and holds also where nobody can say who learnt from her."""
    state = state_of(request)
    done = withdrawal.withdraw_patient(state.place, state.store, patient, actor=person.name)
    if state.learnt is None:
        return Withdrawn(done.cases)
    try:
        return Withdrawn(done.cases, state.learnt(patient, reads_data))
    except WardroundError as error:
        return Withdrawn(done.cases, error=words_of(request).error(error))
