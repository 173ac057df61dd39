"""CDS Hooks under /cds-services: a record system opens a patient, and gets a card. See `clinic.fhir.hooks`.

Calls carry a token that their record system signed (`issuers` under [hooks]), or, where none is named, a key of this clinic.
"""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import JSONResponse, Response

from wardround.clinic.fhir.hooks import answer_card, missing_prefetch, no_answer_card, service_id, services
from wardround.clinic.fhir.reading import patient_row, require_fit
from wardround.clinic.intake.desk import Sender
from wardround.clinic.place.fhir_settings import HooksSection
from wardround.clinic.web.case_pages import NotThere
from wardround.clinic.web.fhir_interface import json_of, question_for
from wardround.clinic.web.rendering import state_of
from wardround.clinic.web.rest import Mistaken, NoKey
from wardround.clinic.web.state import ClinicState
from wardround.values.errors import DataError

router = APIRouter(prefix="/cds-services", include_in_schema=False)
_bearer = HTTPBearer(auto_error=False)


async def caller(request: Request, key: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """Who calls: an issuer of tokens, or the name of a key."""
    state = state_of(request)
    if key is None:
        raise NoKey
    name = state.keys.name(key.credentials) if state.tokens is None else state.tokens.issuer(key.credentials)
    if name is None:
        raise NoKey
    return name[:64]


caller.__dict__["roles"] = ("machine",)
Caller = Annotated[str, Depends(caller)]


@router.get("")
def discovery(request: Request, name: Caller) -> Response:  # noqa: ARG001
    """Which services there are. None where no table model is in service."""
    state, section = state_of(request), _section(request)
    model = state.model
    if model is None or model.contract.kind != "table":
        return JSONResponse({"services": []})
    mapping = require_fit(state.settings.fhir, model.contract)
    return JSONResponse(services(section, mapping, question_for(state, model.acceptance_id)))


@router.post("/{service}")
async def call(request: Request, name: Caller, service: Annotated[str, InPath(max_length=64)]) -> Response:
    """One hook: a card with the answer, or with why there is none."""
    state, section = state_of(request), _section(request)
    hook = next((hook for hook in section.hooks if service_id(hook) == service), None)
    if hook is None:
        raise NotThere
    told = json_of(await request.body())
    if told.get("hook") != hook or not isinstance(told.get("hookInstance"), str):
        raise Mistaken(f"The body is a call of the hook {hook}, with its hookInstance.")
    model = state.desk.model
    mapping = require_fit(state.settings.fhir, model.contract)
    if missing := missing_prefetch(mapping, told.get("prefetch")):
        return JSONResponse({"error": f"This service needs prefetch: {', '.join(missing)}"}, status_code=412)
    question = question_for(state, model.acceptance_id)
    try:
        row = patient_row(mapping, [one for one in told["prefetch"].values() if one is not None])
        _require_patient(told, row.reference)
        values = {**row.values, model.contract.patient.column: row.reference}
        case = await asyncio.wrap_future(state.desk.later(values, Sender("hooks", name)))
    except DataError as refusal:
        return _cards(no_answer_card(f"{refusal.what}. {refusal.hint}.".replace("..", "."), question, ""))
    return _cards(answer_card(case.answer, question, case.id, _page_of(request, state, case.id)))


def _require_patient(told: dict[str, Any], reference: str) -> None:
    """The record that was sent must be of the patient whose page is open."""
    context = told.get("context")
    patient = context.get("patientId") if isinstance(context, dict) else None
    if not isinstance(patient, str) or (reference and reference != f"Patient/{patient.removeprefix('Patient/')}"):
        raise Mistaken("context.patientId is another patient than the prefetch is about.")


def _section(request: Request) -> HooksSection:
    section = state_of(request).settings.hooks
    if section is None:
        raise NotThere
    return section


def _page_of(request: Request, state: ClinicState, case_id: str) -> str:
    """By the name under which we were called, which the guard has looked at."""
    scheme = "https" if state.settings.behind_tls else "http"
    return f"{scheme}://{request.headers['host']}/cases/{case_id}"


def _cards(card: dict[str, Any]) -> Response:
    return Response(json.dumps({"cards": [card]}, allow_nan=False), media_type="application/json")
