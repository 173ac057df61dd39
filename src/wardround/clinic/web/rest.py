"""The interface for machines, under /v1, described in OpenAPI. A key opens it, and shows the cases that were sent with it alone.

POST /v1/predict        the bytes of one film, or {"record": {column: value}}
POST /v1/predict/batch  {"records": [{"content": base64} | {column: value}, ...]}
GET  /v1/model          what answers now
GET  /v1/cases/{id}     an answer that was given before
"""

import asyncio
import base64
import binascii
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from wardround.clinic.intake.desk import Case, Sender, as_json
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.store.cases import case_of
from wardround.clinic.web.case_pages import NotThere
from wardround.clinic.web.rendering import state_of
from wardround.clinic.web.saying import said_of
from wardround.clinic.web.words import Words
from wardround.values.errors import DataError

router = APIRouter(prefix="/v1", tags=["answers"])
MOST_RECORDS = 64
_bearer = HTTPBearer(auto_error=False, description="A key that an administrator made (People and keys).")
_EN = Words("en")


class NoKey(Exception):
    """There is no key in the request, or it opens nothing."""


class Mistaken(Exception):
    """The request is not what the interface takes; the text says why."""


class UnusualScore(BaseModel):
    """How far the record is from those that the model was accepted on."""

    score: float
    limit: float


class MovedShare(BaseModel):
    """By how much a column moved the score."""

    column: str
    share: float
    error: float


class Prediction(BaseModel):
    """One answer."""

    case: str = Field(description="Its id, under which it can be asked for again.")
    probability: float = Field(description="Of the finding, calibrated at this hospital.")
    raw_probability: float = Field(description="As the model's file gives it.")
    verdict: str = Field(description="positive, negative or cannot-tell.")
    finding: str = Field(description="What the model looks for.")
    sentence: str = Field(description="The answer as a doctor is told it.")
    reasons: list[str] = Field(description="Why it cannot tell: both-fit, neither-fits, unusual.")
    unusual: UnusualScore | None
    threshold: float
    moved: list[MovedShare] = Field(default=[], description="For a table: what moved the answer.")
    model: str = Field(description="SHA-256 of the model's file.")
    acceptance: str
    research_only: bool = Field(description="True until the hospital released the model for clinical use.")


class AnswerPart(BaseModel):
    """A class, a grade, a finding, the number, or survival at a horizon."""

    name: str = Field(description="As the study calls it.")
    value: float = Field(description="Calibrated at this hospital: a chance from 0 to 1, or a number in the study's unit.")
    raw: float = Field(description="As the model's file gives it.")
    low: float | None = Field(description="Of a number, a count: the range; of a time: what like patients had. Else null.")
    high: float | None
    state: str = Field(
        description="held, ruled-out: a class or grade; positive, negative, cannot-tell: a finding; value: a number."
    )


class PredictionInParts(BaseModel):
    """One answer to another question than yes or no."""

    case: str = Field(description="Its id, under which it can be asked for again.")
    kind: str = Field(description="classes, grades, findings, number, count or time.")
    answer: str = Field(description="What the model says, in the study's words; also where it cannot tell.")
    parts: list[AnswerPart] = Field(description="Classes, grades or findings in the study's order; the number; the horizons.")
    verdict: str = Field(description="told or cannot-tell.")
    finding: str = Field(description="What the model is asked for.")
    sentence: str = Field(description="The answer as a doctor is told it.")
    reasons: list[str] = Field(description="Why it cannot tell: several-fit, none-fits, both-fit, neither-fits, wide, unusual.")
    unusual: UnusualScore | None
    score_bin: int = Field(description="Public bin of the answer, by which the clinic sees answers move.")
    moved: list[MovedShare] = Field(default=[], description="For a table: what moved the answer.")
    model: str = Field(description="SHA-256 of the model's file.")
    acceptance: str
    research_only: bool = Field(description="True until the hospital released the model for clinical use.")


class Refusal(BaseModel):
    """Why a record got no answer."""

    error: str


class Batch(BaseModel):
    """Records to be answered."""

    model_config = ConfigDict(extra="forbid")
    records: list[dict[str, str | int | float | bool | None]] = Field(min_length=1, max_length=MOST_RECORDS)


class BatchAnswers(BaseModel):
    """An answer or a refusal for each record, in their order."""

    answers: list[Prediction | PredictionInParts | Refusal]


class ModelFacts(BaseModel):
    """What answers now. contract: what goes in, as the study wrote it."""

    model: str
    acceptance: str
    study: str
    finding: str
    synthetic: bool
    threshold: float | None = Field(description="Null of another question than yes or no.")
    research_only: bool
    contract: dict[str, Any]


async def machine(request: Request, key: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """The name of the key."""
    name = state_of(request).keys.name(key.credentials) if key is not None else None
    if name is None:
        raise NoKey
    return name


machine.__dict__["roles"] = ("machine",)
Machine = Annotated[str, Depends(machine)]
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal, "description": text}
    for code, text in {
        400: "The request cannot be read.",
        401: "No key, or one that opens nothing.",
        409: "The model in service reads another kind of record.",
        413: "The body is too large.",
        421: "The Host header names another clinic.",
        422: "The record cannot be answered.",
        503: "Too much waits, or no model is in service.",
    }.items()
}
_FILM = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
_ROW = {
    "schema": {
        "type": "object",
        "required": ["record"],
        "additionalProperties": False,
        "properties": {"record": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}},
    }
}
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": _FILM, "application/json": _ROW}}}


@router.post("/predict", response_model=Prediction | PredictionInParts, responses=_ERRORS, openapi_extra=_BODY)
async def predict(request: Request, name: Machine) -> Response:
    """One record: the bytes of a film (DICOM, PNG, JPEG, TIFF), or a row of a table as JSON."""
    content: Any = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        content = _record(content)
    case = await asyncio.wrap_future(state_of(request).desk.later(content, Sender("rest", name)))
    return _reply(prediction(case, state_of(request).settings.clinical_use))


@router.post("/predict/batch", response_model=BatchAnswers, responses=_ERRORS)
async def predict_batch(request: Request, name: Machine, batch: Batch) -> Response:
    """Up to 64 records. A record that cannot be answered costs no other."""
    state = state_of(request)
    futures = [asyncio.wrap_future(state.desk.later(_content(record), Sender("rest", name))) for record in batch.records]
    cases = await asyncio.gather(*futures, return_exceptions=True)
    answers: list[dict[str, Any]] = []
    for case in cases:
        if isinstance(case, DataError):
            answers.append({"error": str(case)})
        elif isinstance(case, BaseException):
            raise case
        else:
            answers.append(prediction(case, state.settings.clinical_use))
    return _reply({"answers": answers})


@router.get("/model", response_model=ModelFacts, responses=_ERRORS)
def model_facts(request: Request, name: Machine) -> ModelFacts:  # noqa: ARG001
    """What answers now, and what it reads."""
    state = state_of(request)
    model = state.desk.model
    statement = model.acceptance.statement
    return ModelFacts(
        model=model.acceptance.model,
        acceptance=model.acceptance_id,
        study=statement.study_title,
        finding=statement.data.label.name,
        synthetic=statement.synthetic,
        threshold=model.acceptance.threshold,
        research_only=not state.settings.clinical_use,
        contract=statement.data.model_dump(mode="json"),
    )


_NOT_THERE: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "No such case of this key."}}


@router.get("/cases/{case_id}", response_model=Prediction | PredictionInParts, responses={**_ERRORS, **_NOT_THERE})
async def case(request: Request, name: Machine, case_id: Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]) -> Response:
    """An answer that this key got before. Cases of others do not exist here."""
    state = state_of(request)
    stored = await run_in_threadpool(case_of, state.store, case_id)
    record = None if stored is None else state.acceptance(stored.acceptance)
    if stored is None or stored.withdrawn or record is None or stored.sender != name or stored.source != "rest":
        raise NotThere
    return _reply(_prediction(stored.id, stored.answer, record, state.settings.clinical_use))


def prediction(case: Case, clinical_use: str) -> dict[str, Any]:
    """An answered case as the interface gives it."""
    assert case.model is not None
    return _prediction(case.id, as_json(case.answer), case.model.acceptance, clinical_use)


def _prediction(case_id: str, answer: Any, record: AcceptanceRecord, clinical_use: str) -> dict[str, Any]:
    said = said_of(answer, record, _EN)
    whole = {"case": case_id, **answer, "finding": record.statement.data.label.name, "research_only": not clinical_use}
    return {**whole, "sentence": " ".join(part for part in (said.unusual, f"{said.verdict}.", said.frequency) if part)}


def _reply(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _record(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise Mistaken("The body is no JSON.") from None
    record = told.get("record") if isinstance(told, dict) and set(told) == {"record"} else None
    if not isinstance(record, dict) or not all(isinstance(v, str | int | float | bool | None) for v in record.values()):
        raise Mistaken('The body is {"record": {column: value}}, with texts, numbers and null as values.')
    return record


def _content(record: dict[str, Any]) -> Any:
    if set(record) == {"content"} and isinstance(record["content"], str):
        try:
            return base64.b64decode(record["content"], validate=True)
        except (binascii.Error, ValueError):
            raise Mistaken("`content` is base64.") from None
    return record
