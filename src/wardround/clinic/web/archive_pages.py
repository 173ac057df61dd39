"""The archive as a worklist: its latest studies over DICOMweb, and the films of one of them, fetched and answered."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from wardround.clinic.dicom.archive import WorklistStudy
from wardround.clinic.dicom.service import DicomService
from wardround.clinic.web.access import CheckedForm, Doctor
from wardround.clinic.web.case_pages import NotThere
from wardround.clinic.web.rendering import page, state_of, words_of
from wardround.values.errors import WardroundError

router = APIRouter(include_in_schema=False)


@router.get("/archive")
def archive_page(request: Request, person: Doctor) -> Response:
    """The studies of the last days. Names are the archive's, and are kept nowhere."""
    service = _service(request)
    state_of(request).store.note(person.name, "archive-seen")
    try:
        studies, error = service.worklist(), ""
    except WardroundError as refusal:
        studies, error = (), words_of(request).error(refusal)
    return page(request, "archive.html", studies=[_row(study) for study in studies], error=error)


@router.post("/archive")
def take_study(request: Request, person: Doctor, form: CheckedForm) -> Response:
    """Fetches one study and answers its films; to the first of its cases."""
    service = _service(request)
    state_of(request).store.note(person.name, "archive-fetched")
    cases = service.take_study(form.get("study", ""))
    return RedirectResponse(f"/cases/{cases[0]}" if len(cases) == 1 else "/", 303)


def _service(request: Request) -> DicomService:
    service = state_of(request).dicom
    if service is None or service.settings.archive is None:
        raise NotThere
    return service


def _row(study: WorklistStudy) -> dict[str, str | int]:
    day = study.day if len(study.day) != 8 else f"{study.day[:4]}-{study.day[4:6]}-{study.day[6:]}"
    words = (study.description, " ".join(study.modalities), study.accession)
    return {
        "uid": study.study_uid,
        "day": day,
        "patient": study.name.replace("^", " ").strip() or study.patient,
        "description": " · ".join(word for word in words if word),
        "images": study.instances or "",
    }
