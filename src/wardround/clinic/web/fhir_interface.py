"""The clinic for record systems, under /fhir: FHIR R4, JSON. A key opens it, as it does /v1.

    GET  /fhir/metadata                                what there is (CapabilityStatement)
    GET  /fhir/DiagnosticReport/{case}                 one answer, with what it refers to inside it
    GET  /fhir/DiagnosticReport?_id=CASE               the same as a Bundle, with Provenance
    GET  /fhir/DiagnosticReport?identifier=urn:dicom:uid|urn:oid:UID     the answers to the films of a study
    POST /fhir/$answer                                 a Bundle about one patient: answered by the table model, as a Bundle
                                                       a ServiceRequest: the films of a study of the archive, answered

A key sees the cases that were sent with it. Those that came over DICOM are seen by the keys that `readers` under [fhir] names.
"""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from wardround.clinic.answering.answer import answer_of
from wardround.clinic.answering.question import FILMS, PATIENTS, Question, counted_by, question_of
from wardround.clinic.dicom.uids import is_uid
from wardround.clinic.fhir.reading import ordered_study, patient_row, require_fit
from wardround.clinic.fhir.resources import Reported, bundle, checked, report
from wardround.clinic.intake.desk import Sender
from wardround.clinic.store.cases import StoredCase, case_of, cases_of_study
from wardround.clinic.web.access import NotAllowed
from wardround.clinic.web.case_pages import NotThere
from wardround.clinic.web.rendering import FHIR_JSON, state_of
from wardround.clinic.web.rest import Machine, Mistaken
from wardround.clinic.web.state import ClinicState
from wardround.values.errors import RunError
from wardround.values.version import __version__

router = APIRouter(prefix="/fhir", include_in_schema=False)
LARGEST = 4 << 20
_STUDY = "urn:dicom:uid|urn:oid:"
_CASE = "^[0-9a-f]{32}$"


@router.get("/metadata")
def metadata(name: Machine) -> Response:  # noqa: ARG001
    """What this server does."""
    search = [{"name": "_id", "type": "token"}, {"name": "identifier", "type": "token"}]
    rest = {
        "mode": "server",
        "resource": [
            {
                "type": "DiagnosticReport",
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "searchParam": search,
            }
        ],
        "operation": [{"name": "answer", "definition": "urn:wardround:operation:answer"}],
    }
    return _reply(
        checked(
            {
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": datetime.now(UTC).date().isoformat(),
                "kind": "instance",
                "software": {"name": "Wardround clinic", "version": __version__},
                "implementation": {"description": "Answers of a model that this hospital has tested"},
                "fhirVersion": "4.0.1",
                "format": ["json"],
                "rest": [rest],
            }
        )
    )


@router.get("/DiagnosticReport/{case_id}")
def read_report(request: Request, name: Machine, case_id: Annotated[str, InPath(pattern=_CASE)]) -> Response:
    """One answer. Cases of others do not exist here."""
    state = state_of(request)
    stored = case_of(state.store, case_id)
    if stored is None or not may_read(state, stored, name):
        raise NotThere
    return _reply(report(*_reported(state, stored)))


@router.get("/DiagnosticReport")
def search_reports(request: Request, name: Machine, _id: str = "", identifier: str = "") -> Response:
    """Bundle of the answers that are asked for, by case or by the study of the films."""
    state = state_of(request)
    if bool(_id) == bool(identifier):
        raise Mistaken("Ask by _id=CASE, or by identifier=urn:dicom:uid|urn:oid:STUDY.")
    if _id:
        single = case_of(state.store, _id) if len(_id) == 32 else None
        cases = [single] if single is not None else []
    else:
        uid = identifier.removeprefix(_STUDY)
        if uid == identifier or not is_uid(uid):
            raise Mistaken("identifier is urn:dicom:uid|urn:oid: and the StudyInstanceUID.")
        cases = cases_of_study(state.store, state.desk.pseudonym(uid))
    entries = [
        entry
        for stored in cases
        if may_read(state, stored, name)
        for entry in bundle(*_reported(state, stored), kind="searchset")["entry"]
    ]
    total = sum(entry["search"]["mode"] == "match" for entry in entries)
    content = {"resourceType": "Bundle", "type": "searchset", "total": total}
    return _reply(checked({**content, "entry": entries} if entries else content))


@router.post("/$answer")
async def answer_bundle(request: Request, name: Machine) -> Response:
    """A Bundle about one patient, by the mapping of clinic.toml, or an order of a study. Nothing is kept but cases."""
    state = state_of(request)
    told = json_of(await request.body())
    if told.get("resourceType") == "ServiceRequest":
        return await run_in_threadpool(_ordered, state, name, told)
    section = require_fit(state.settings.fhir, state.desk.model.contract)
    row = patient_row(section, told)
    values = {**row.values, state.desk.model.contract.patient.column: row.reference}
    case = await asyncio.wrap_future(state.desk.later(values, Sender("fhir", name)))
    question = question_for(state, case.answer.acceptance)
    return _reply(bundle(Reported(case.id, case.received, case.answer, reference=row.reference, counted=PATIENTS), question))


def _ordered(state: ClinicState, name: str, told: dict[str, Any]) -> Response:
    """The films of the study that a ServiceRequest names: fetched, answered, results sent as for any film."""
    if name not in _readers(state):
        raise NotAllowed
    order = ordered_study(told)
    if state.dicom is None:
        raise RunError("This clinic has no archive to ask", hint="name one under [dicom.archive] in clinic.toml")
    entries = []
    for case_id in state.dicom.take_study(order.study_uid):
        stored = case_of(state.store, case_id)
        if stored is not None:
            reported, question = _reported(state, stored)
            entries += bundle(replace(reported, order=order.reference, reference=order.subject), question)["entry"]
    return _reply(checked({"resourceType": "Bundle", "type": "collection", "entry": entries}))


def json_of(body: bytes) -> dict[str, Any]:
    """The object of a body. Mistaken where it is none."""
    if len(body) > LARGEST:
        raise Mistaken(f"The body has more than {LARGEST >> 20} MiB: send the latest observations alone.")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Mistaken("The body is no JSON.") from None
    if not isinstance(told, dict):
        raise Mistaken("The body is an object of JSON.")
    return told


def may_read(state: ClinicState, stored: StoredCase, name: str) -> bool:
    """Whether a key may see a case."""
    own = stored.sender == name and stored.source in ("rest", "fhir", "hooks")
    return not stored.withdrawn and (own or (name in _readers(state) and stored.source == "dicom"))


def _readers(state: ClinicState) -> tuple[str, ...]:
    return state.settings.fhir.readers if state.settings.fhir else ()


def question_for(state: ClinicState, acceptance: str) -> Question:
    """What an answer under an acceptance is about. NotThere where its record is gone."""
    record = state.acceptance(acceptance)
    if record is None:
        raise NotThere
    label, research = record.statement.data.label, not state.settings.clinical_use
    return question_of(label.name, state.settings.finding, research=research, asked=label.asked)


def _reported(state: ClinicState, stored: StoredCase) -> tuple[Reported, Question]:
    question = question_for(state, stored.acceptance)
    record = state.acceptance(stored.acceptance)
    counted = FILMS if record is None else counted_by(record.statement.data)
    return Reported(stored.id, stored.given, answer_of(stored.answer), stored.patient, counted=counted), question


def _reply(resource: dict[str, Any]) -> Response:
    return Response(json.dumps(resource, allow_nan=False), media_type=FHIR_JSON)
