"""The doctor's pages: worklist, one case with its film and answer, her opinion, the patient's sheet."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Request, UploadFile
from fastapi import Form as Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response

from wardround.clinic.answering.serving import ServingModel
from wardround.clinic.dicom.modality_worklist import Schedule, ScheduledStep
from wardround.clinic.intake.desk import Sender
from wardround.clinic.intake.film import Film
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.store.cases import (
    StoredCase,
    account_names,
    case_of,
    case_of_each_study,
    latest_cases,
    note_view,
    say_opinion,
)
from wardround.clinic.store.database import Store
from wardround.clinic.web.access import CheckedForm, Doctor, require_token
from wardround.clinic.web.printing import pdf_of
from wardround.clinic.web.rendering import page, problem, state_of, time_text, words_of
from wardround.clinic.web.saying import figure_lines, said_of, verdict_of
from wardround.clinic.web.sheets import patient_sheet
from wardround.clinic.web.state import ClinicState
from wardround.clinic.web.words import Words
from wardround.sources import network_input
from wardround.values.errors import WardroundError

router = APIRouter(include_in_schema=False)
BINARY = "application/octet-stream"


class NotThere(Exception):
    """There is no such case, or nothing of it is left to show."""


@router.get("/")
def worklist(request: Request, person: Doctor) -> Response:
    """The cases that came last, a place to drop a film, and what the RIS has planned."""
    state, words = state_of(request), words_of(request)
    rows = [row_of(case, state, words) for case in latest_cases(state.store, 50)]
    folder, error = state.folder, ""
    if folder is not None and folder.refused:
        error = words("worklist.folder", count=folder.refused, error=words.sentence(folder.last))
    for node in state.dicom.outbox.unsent() if state.dicom else ():
        if node.attempts:
            error += " " + words("worklist.unsent", count=node.objects, node=node.node, error=words.sentence(node.words))
    planned = None
    if state.dicom is not None and state.dicom.schedule is not None:
        state.store.note(person.name, "schedule-seen")
        try:
            planned = [planned_row(step, case_id) for step, case_id in _planned(state, state.dicom.schedule)]
        except WardroundError as refusal:
            error += " " + words.error(refusal)
    fetches = state.dicom is not None and state.dicom.settings.archive is not None
    error = error.strip()
    return page(request, "worklist.html", cases=rows, planned=planned, fetches=fetches, model=state.model, error=error)


def _planned(state: ClinicState, schedule: Schedule) -> list[tuple[ScheduledStep, str]]:
    """Each step that is planned, and the case of its study, or ""."""
    steps = [(step, state.desk.pseudonym(step.study_uid)) for step in schedule.steps()]
    answered = case_of_each_study(state.store, [study for _, study in steps])
    return [(step, answered.get(study, "")) for step, study in steps]


def planned_row(step: ScheduledStep, case_id: str) -> dict[str, str]:
    """A planned examination as a line of the worklist. case: "" while there is no film of it."""
    day = f"{step.day[:4]}-{step.day[4:6]}-{step.day[6:]} " if len(step.day) == 8 else ""
    time = f"{step.time[:2]}:{step.time[2:4]}" if step.time[:4].isdecimal() else ""
    words = " · ".join(word for word in (step.description, step.modality, step.accession) if word)
    return {
        "time": day + time, "patient": shown_name(step.name) or step.patient, "what": words, "study": step.study_uid,
        "case": case_id,
    }  # fmt: skip


def row_of(case: StoredCase, state: ClinicState, words: Words) -> dict[str, Any]:
    """A case as a line of the worklist."""
    record, film = state.acceptance(case.acceptance), state.desk.films.get(case.id)
    name = shown_name(film.identity.get("PatientName", "")) if film else ""
    opinions = [opinion for _, opinion, _ in case.opinions]
    verdict, short = (case.answer["verdict"], "") if record is None else verdict_of(case.answer, record, words)
    return {
        "case": case,
        "id": case.id,
        "time": time_text(case.received),
        "patient": name or (case.patient[:8] if case.patient else words("case.nobody")),
        "verdict": verdict,
        "percent": short,
        "unusual": "unusual" in case.answer["reasons"],
        "opinion": words(f"feedback.{opinions[-1]}") if opinions else "",
    }


def shown_name(text: str) -> str:
    """A person's name as people write it: DICOM puts a ^ between its parts (PS3.5 6.2.1).

    >>> shown_name("Mustermann^Erika^^Dr")
    'Mustermann Erika Dr'
    """
    return " ".join(text.replace("^", " ").replace("=", " ").split())


def shown_identity(name: str, text: str) -> str:
    """A value of a film's header as people write it.

    >>> shown_identity("StudyDate", "20260102")
    '2026-01-02'
    """
    if name.endswith("Date") and len(text) == 8 and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return shown_name(text)


@router.post("/cases")
async def upload(
    request: Request, person: Doctor, file: Annotated[UploadFile | None, File()] = None, token: Annotated[str, Field()] = ""
) -> Response:
    """One film: its case, answered. For a script JSON, else the case's page."""
    require_token(request, token)
    if file is None:
        return problem(request, 422, words_of(request)("problem.no_file"))
    content = await file.read()
    sender = Sender("page", person.name, person.id, shown=True)
    case = await run_in_threadpool(state_of(request).desk.submit, content, sender)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"case": case.id})
    return RedirectResponse(f"/cases/{case.id}", 303)


@router.get("/cases/{case_id}")
def show_case(request: Request, person: Doctor, case_id: str, notice: str = "") -> Response:
    """One case. That she saw it stands in the register and in the audit."""
    state, words = state_of(request), words_of(request)
    case, record = _case(state, case_id)
    note_view(state.store, case.id, person.id, person.name)
    film = state.desk.film(case.id)
    opinions = _opinions(state.store, case, words)
    warnings = [f"{words.sentence(text)}. {words.sentence(hint)}" for _, text, hint in case.warnings]
    hints = _answering_model(state, case) is not None
    if not hints:
        warnings.append(words("case.another_model"))
    shown = None if film is None else film.shown
    return page(
        request,
        "case.html",
        case=case,
        time=time_text(case.received),
        film=shown,
        molecule=state.desk.molecules.holds(case.id),
        for_patients=record.statement.data.kind != "molecule",
        hints=hints,
        identity=() if film is None else tuple((name, shown_identity(name, text)) for name, text in film.identity.items()),
        said=said_of(case.answer, record, words),
        figures=figure_lines(record, words),
        warnings=warnings,
        similar=_similar(state, case, words),
        opinions=opinions,
        notice=words("feedback.thanks") if notice == "kept" else "",
        **moved_of(case.answer),
    )


def moved_of(answer: Any) -> dict[str, Any]:
    """What moved a table's answer, strongest first, for the template."""
    rows = sorted(answer["moved"], key=lambda row: -abs(row["share"]))
    most = max([abs(row["share"]) for row in rows], default=0.0) or 1.0
    texts = [f"{row['share']:+.2f}" + (f" ± {row['error']:.2f}" if row["error"] else "") for row in rows]
    moved = [{"column": row["column"], "share": row["share"], "text": text} for row, text in zip(rows, texts, strict=True)]
    return {"moved": moved, "moved_most": most}


def _case(state: ClinicState, case_id: str) -> tuple[StoredCase, AcceptanceRecord]:
    case = case_of(state.store, case_id)
    record = None if case is None else state.acceptance(case.acceptance)
    if case is None or case.withdrawn or record is None:
        raise NotThere
    return case, record


def _patients_case(state: ClinicState, case_id: str) -> tuple[StoredCase, AcceptanceRecord]:
    """A case that is of a patient: of a molecule there is nobody to hand a sheet to."""
    case, record = _case(state, case_id)
    if record.statement.data.kind == "molecule":
        raise NotThere
    return case, record


def _answering_model(state: ClinicState, case: StoredCase) -> ServingModel | None:
    """The model that answered the case; None where it is not in service any more."""
    model = state.model
    return model if model is not None and model.acceptance_id == case.acceptance else None


def _opinions(store: Store, case: StoredCase, words: Words) -> list[str]:
    """What colleagues said of the case, by name, oldest first."""
    names = account_names(store, {one for one, _, _ in case.opinions})
    return [
        words("feedback.line", person=names.get(one, one[:8]), opinion=words(f"feedback.{opinion}"), comment=comment).strip()
        for one, opinion, comment in case.opinions
    ]


def _similar(state: ClinicState, case: StoredCase, words: Words) -> list[dict[str, Any]]:
    """Cases of this hospital whose kept films look most like this one; none where films are not kept."""
    film = state.desk.film(case.id)
    if film is None or state.desk.kept is None:
        return []
    near = [case_of(state.store, name) for name in state.desk.kept.nearest(film, 3, besides=case.id)]
    return [row_of(one, state, words) for one in near if one is not None and not one.withdrawn]


def _film(state: ClinicState, case_id: str) -> Film:
    _case(state, case_id)  # not there where its patient withdrew
    film = state.desk.film(case_id)
    if film is None:
        raise NotThere
    return film


@router.get("/cases/{case_id}/film")
def film_pixels(request: Request, person: Doctor, case_id: str) -> Response:
    """The pixels for the viewer: 16 bits, little-endian, row by row."""
    state = state_of(request)
    shown = _film(state, case_id).shown
    if shown is None:
        raise NotThere
    state.store.note(person.name, "film-seen", case_id)
    return Response(np.ascontiguousarray(shown.pixels, "<u2").tobytes(), media_type=BINARY)


@router.get("/cases/{case_id}/molecule")
def molecule_drawing(request: Request, person: Doctor, case_id: str) -> Response:
    """The molecule that was asked about, drawn here, for as long as it is in memory."""
    state = state_of(request)
    _case(state, case_id)
    drawn = state.desk.molecules.drawing(case_id)
    if drawn is None:
        raise NotThere
    state.store.note(person.name, "molecule-seen", case_id)
    return Response(drawn, media_type="image/svg+xml")


@router.get("/cases/{case_id}/heat")
def heat_map(request: Request, person: Doctor, case_id: str) -> Response:
    """Height and width as two 16-bit numbers, then one byte a pixel: what the answer hangs on; a hint, no proof. Of the model
    that answered, and there is none where another is in service: its map beside this answer would explain nothing."""
    state = state_of(request)
    film, model = _film(state, case_id), _answering_model(state, _case(state, case_id)[0])
    if model is None:
        raise NotThere
    state.store.note(person.name, "heat-map-seen", case_id)
    warm = model.heat_map(network_input(model.contract, film.prepared[None])[0])
    head = np.array(warm.shape, "<u2").tobytes()
    return Response(head + np.rint(np.clip(warm, 0, 1) * 255).astype(np.uint8).tobytes(), media_type=BINARY)


@router.post("/cases/{case_id}/feedback")
async def give_feedback(request: Request, person: Doctor, case_id: str, form: CheckedForm) -> Response:
    """Agree, disagree, a comment: kept here, and nowhere else."""
    said = (form.get("opinion", ""), form.get("comment", ""))
    await run_in_threadpool(say_opinion, state_of(request).store, case_id, person.id, person.name, *said)
    return RedirectResponse(f"/cases/{case_id}?notice=kept", 303)


@router.get("/cases/{case_id}/sheet")
def sheet(request: Request, person: Doctor, case_id: str) -> Response:
    """The patient's page, for the screen and the printer."""
    state, words = state_of(request), words_of(request)
    case, record = _patients_case(state, case_id)
    state.store.note(person.name, "sheet-seen", case_id)
    made = patient_sheet(case.answer, record, words, state.settings.contact)
    return page(request, "sheet.html", sheet=made, pdf=f"/cases/{case_id}/sheet.pdf")


@router.get("/cases/{case_id}/sheet.pdf")
def sheet_pdf(request: Request, person: Doctor, case_id: str) -> Response:
    """The same as PDF."""
    state, words = state_of(request), words_of(request)
    case, record = _patients_case(state, case_id)
    state.store.note(person.name, "sheet-printed", case_id)
    made = patient_sheet(case.answer, record, words, state.settings.contact)
    return Response(pdf_of(made, state.settings.hospital, words.language), media_type="application/pdf")
