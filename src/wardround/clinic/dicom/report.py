"""An answer as a structured report: Comprehensive SR after TID 1500 (PS3.16), in the film's own study.

    TID 1500 Measurement Report
      TID 1001 observer: this device
      TID 1501 group: finding, algorithm (TID 4019: model, version, acceptance)
         IMAGE the film
         NUM   probability, threshold, how unusual
         CODE  present | absent | indeterminate, unusual yes | no
         TEXT  research use only, the answer in words

It is complete, preliminary and unverified: a device has spoken, and no person.
"""

from typing import Any

from wardround.clinic.answering.answer import Answer
from wardround.clinic.answering.question import PRIVATE_SCHEME, RESEARCH, Question
from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.film_header import COPIED, FilmHeader
from wardround.clinic.dicom.loading import need_highdicom, silent
from wardround.clinic.dicom.uids import IMPLEMENTATION, derived_uid
from wardround.values.version import __version__

REPORT = "report"
"""What the UID of a report is derived from."""
SERIES = 9901
"""Number of the report's series; pictures have the next. Modalities count from 1."""
_PRESENCE = {"positive": ("52101004", "Present"), "negative": ("2667000", "Absent"), "cannot-tell": ("82334004", "Indeterminate")}


def report(answered: AnsweredFilm) -> Any:
    """The data set of the report."""
    highdicom = need_highdicom()
    with silent():
        made = highdicom.sr.ComprehensiveSR(
            evidence=[anonymous_film(answered.film)],
            content=_content(answered)[0],
            series_instance_uid=answered.uid("report series"),
            series_number=SERIES,
            sop_instance_uid=answered.uid(REPORT),
            instance_number=1,
            manufacturer="Wardround",
            is_complete=True,
            is_final=False,
            is_verified=False,
        )
        made.SeriesDescription = series_description("AI report", answered.question)
        made.CodingSchemeIdentificationSequence = [_own_scheme()]
        return finished(made, answered)


def anonymous_film(film: FilmHeader) -> Any:
    """What the library is given in the film's place: its UIDs and nobody's name. The names follow as bytes, by `finished`."""
    from pydicom.dataset import Dataset

    stand_in = Dataset()
    for name in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ):
        setattr(stand_in, name, None)
    stand_in.StudyInstanceUID, stand_in.SeriesInstanceUID = film.study_uid, film.series_uid
    stand_in.SOPClassUID, stand_in.SOPInstanceUID = film.sop_class_uid, film.sop_instance_uid
    return stand_in


def finished(made: Any, answered: AnsweredFilm) -> Any:
    """The object with the film's patient and study, its time and its maker."""
    answered.film.copy_to(made, COPIED)
    local = answered.local
    made.InstanceCreationDate = made.ContentDate = made.SeriesDate = local.strftime("%Y%m%d")
    made.InstanceCreationTime = made.ContentTime = made.SeriesTime = local.strftime("%H%M%S")
    made.ManufacturerModelName, made.SoftwareVersions = "Wardround clinic", __version__
    made.DeviceSerialNumber = answered.answer.model
    made.file_meta.ImplementationClassUID = IMPLEMENTATION
    made.file_meta.ImplementationVersionName = f"WARDROUND {__version__}"[:16].strip()
    return made


def series_description(text: str, question: Question) -> str:
    """What a worklist shows of the series; research use is said first, since screens cut the end off."""
    return f"{RESEARCH}: Wardround {text}" if question.research else f"Wardround {text}"


def _own_scheme() -> Any:
    from pydicom.dataset import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE_SCHEME, "Codes of Wardround"
    scheme.CodingSchemeResponsibleOrganization = "Wardround"
    return scheme


def _content(answered: AnsweredFilm) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    film, answer, question = answered.film, answered.answer, answered.question
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid("model", answer.model),
            name="Wardround clinic",
            manufacturer_name="Wardround",
            model_name="Wardround clinic",
            serial_number=answer.model,
        ),
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=answered.uid("finding"), identifier=question.finding),
        finding_type=_coded(question.code, question.scheme, question.finding),
        algorithm_id=sr.AlgorithmIdentification(
            name="Wardround",
            version=answer.model,
            parameters=[f"acceptance {answer.acceptance}", f"Wardround {__version__}"],
        ),
        measurements=_measurements(answer, question),
        qualitative_evaluations=_evaluations(answer, question),
        source_images=[sr.SourceImageForMeasurementGroup(film.sop_class_uid, film.sop_instance_uid)],
    )
    for line in answered.lines:
        group[0].ContentSequence.append(
            sr.TextContentItem(name=codes.DCM.Comment, value=line, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[group],
    )


def _measurements(answer: Answer, question: Question) -> list[Any]:
    numbers = [
        ("probability", f"Calibrated probability of {question.finding}"[:64], answer.probability),
        ("raw-probability", "Probability before calibration", answer.raw_probability),
        ("threshold", "Threshold of the probability", answer.threshold),
    ]
    if answer.unusual is not None:
        numbers += [("unusual", "Unusual score", answer.unusual.score), ("unusual-limit", "Unusual limit", answer.unusual.limit)]
    from highdicom import sr
    from pydicom.sr.codedict import codes

    return [
        sr.Measurement(name=_coded(code, PRIVATE_SCHEME, meaning), value=float(value), unit=codes.UCUM.NoUnits)
        for code, meaning, value in numbers
    ]


def _evaluations(answer: Answer, question: Question) -> list[Any]:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    presence = _coded(_PRESENCE[answer.verdict][0], "SCT", _PRESENCE[answer.verdict][1])
    evaluations = [sr.QualitativeEvaluation(name=_coded("answer", PRIVATE_SCHEME, "Answer of the model"), value=presence)]
    if answer.unusual is not None:
        name = _coded("is-unusual", PRIVATE_SCHEME, "Unlike the films that the model knows")
        value = codes.SCT.Yes if answer.unusual.beyond else codes.SCT.No
        evaluations.append(sr.QualitativeEvaluation(name=name, value=value))
    if question.research:
        name = _coded("research", PRIVATE_SCHEME, "Research use only")
        evaluations.append(sr.QualitativeEvaluation(name=name, value=codes.SCT.Yes))
    return evaluations


def _coded(code: str, scheme: str, meaning: str) -> Any:
    from highdicom import sr

    return sr.CodedConcept(value=code, scheme_designator=scheme, meaning=meaning)
