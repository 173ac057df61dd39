"""The form of a table model, made from its contract: units, ranges, unknown; of molecules a SMILES; the answer; what if."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response

from wardround.clinic.answering.serving import ServingModel
from wardround.clinic.intake.desk import Sender, as_json
from wardround.clinic.web.access import CheckedForm, Doctor
from wardround.clinic.web.rendering import page, state_of, words_of
from wardround.clinic.web.saying import said_of
from wardround.clinic.web.state import ClinicState
from wardround.clinic.web.words import Words
from wardround.study.contract import ColumnContract
from wardround.values.errors import RunError

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class FormField:
    """One column of the contract as a person fills it in. choices: (code, word); none of a number. is_text: of a SMILES."""

    name: str
    unit: str
    range: tuple[str, str] | None
    choices: tuple[tuple[str, str], ...]
    may_be_unknown: bool
    value: str = ""
    is_text: bool = False


def _fields(model: ServingModel, words: Words) -> list[FormField]:
    """Of a molecule its SMILES alone."""
    if model.contract.kind == "molecule":
        return [FormField(model.contract.molecule_rules.column, "", None, (), may_be_unknown=False, is_text=True)]
    return [field_of(column, words) for column in model.contract.columns]


def field_of(column: ColumnContract, words: Words) -> FormField:
    """What the form asks for a column."""
    choices: tuple[tuple[str, str], ...] = ()
    if column.kind != "number":
        plain = column.kind == "binary" and not column.categories
        choices = tuple((code, words("ask.yes" if code == "1" else "ask.no") if plain else code) for code in column.codes)
    ends = None if column.range is None else (f"{column.range[0]:g}", f"{column.range[1]:g}")
    return FormField(column.name, column.unit, ends, choices, column.max_missing > 0)


def _asked_model(state: ClinicState) -> ServingModel:
    model = state.desk.model
    if model.contract.kind == "image":
        raise RunError("The model in service reads an image", hint="drop a film on the worklist")
    return model


@router.get("/ask")
def ask_page(request: Request, person: Doctor) -> Response:  # noqa: ARG001
    """The empty form."""
    model, words = _asked_model(state_of(request)), words_of(request)
    return page(request, "ask.html", fields=_fields(model, words), molecule=model.contract.kind == "molecule")


def _row(model: ServingModel, form: dict[str, str]) -> dict[str, Any]:
    """What was typed, by the contract's names; None where it is unknown."""
    molecule = model.contract.kind == "molecule"
    names = [model.contract.molecule_rules.column] if molecule else [column.name for column in model.contract.columns]
    return {name: form.get(f"c{number}", "").strip() or None for number, name in enumerate(names)}


@router.post("/ask")
async def ask(request: Request, person: Doctor, form: CheckedForm) -> Response:
    """One patient: answered, and kept."""
    state = state_of(request)
    model = _asked_model(state)
    row = _row(model, form) | {model.contract.patient.column: form.get("patient", "").strip()}
    sender = Sender("page", person.name, person.id)
    case = await run_in_threadpool(state.desk.submit, row, sender)
    return RedirectResponse(f"/cases/{case.id}", 303)


@router.post("/ask/try")
async def try_values(request: Request, person: Doctor, form: CheckedForm) -> Response:
    """What if: an answer that is kept nowhere, in words."""
    state, words = state_of(request), words_of(request)
    model = _asked_model(state)
    record = await run_in_threadpool(state.desk.prepared, _row(model, form))
    answer = await run_in_threadpool(model.answer, record)
    state.store.later(lambda _: None, (person.name, "what-if", ""))
    said = said_of(as_json(answer), model.acceptance, words)
    told = words("ask.tried", verdict=said.verdict, percent=said.short, frequency=said.frequency)
    return JSONResponse({"said": told, "probability": getattr(answer, "probability", None), "verdict": answer.verdict})
