"""An answer as a structured report: Comprehensive SR after TID 1500 (PS3.16), in the film's own study.

    TID 1500 Measurement Report
      TID 1001 observer: this device
      TID 1501 group: finding, algorithm (TID 4019: model, version, acceptance); of several findings a group for each
         IMAGE the film
         NUM   probability, threshold, how unusual; of another question its parts (`report_parts`)
         CODE  present | absent | indeterminate, a class or grade, unusual yes | no
         TEXT  research use only, the answer in words

It is complete, preliminary and unverified: a device has spoken, and no person.
"""

from typing import Any

from wardround.clinic.answering.answer import Answer, AnswerInParts
from wardround.clinic.answering.question import PRIVATE_SCHEME, RESEARCH, Question
from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.film_header import COPIED, FilmHeader
from wardround.clinic.dicom.loading import need_highdicom, silent
from wardround.clinic.dicom.report_parts import PRESENCE, Group, Number, groups_of
from wardround.clinic.dicom.uids import IMPLEMENTATION, derived_uid
from wardround.values.version import __version__

REPORT = "report"
"""What the UID of a report is derived from."""
SERIES = 9901
"""Number of the report's series; pictures have the next. Modalities count from 1."""


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

    answer = answered.answer
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
    groups = [_group(answered, one) for one in _groups(answered)]
    for line in answered.lines:
        groups[0][0].ContentSequence.append(
            sr.TextContentItem(name=codes.DCM.Comment, value=line, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )


def _groups(answered: AnsweredFilm) -> tuple[Group, ...]:
    answer, question = answered.answer, answered.question
    if isinstance(answer, AnswerInParts):
        return groups_of(answer, question)
    numbers = (
        Number("probability", f"Calibrated probability of {question.finding}"[:64], answer.probability),
        Number("raw-probability", "Probability before calibration", answer.raw_probability),
        Number("threshold", "Threshold of the probability", answer.threshold),
    )
    return (Group("finding", question.finding, (question.code, question.scheme), numbers, PRESENCE[answer.verdict]),)


def _group(answered: AnsweredFilm, group: Group) -> Any:
    from highdicom import sr

    film, answer = answered.film, answered.answer
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=answered.uid(group.key), identifier=group.name),
        finding_type=_coded(*group.code, group.name),
        algorithm_id=sr.AlgorithmIdentification(
            name="Wardround",
            version=answer.model,
            parameters=[f"acceptance {answer.acceptance}", f"Wardround {__version__}"],
        ),
        measurements=_measurements(answer, group),
        qualitative_evaluations=_evaluations(answer, answered.question, group),
        source_images=[sr.SourceImageForMeasurementGroup(film.sop_class_uid, film.sop_instance_uid)],
    )


def _measurements(answer: Answer | AnswerInParts, group: Group) -> list[Any]:
    numbers = list(group.numbers)
    if answer.unusual is not None:
        numbers.append(Number("unusual", "Unusual score", answer.unusual.score))
        numbers.append(Number("unusual-limit", "Unusual limit", answer.unusual.limit))
    from highdicom import sr
    from pydicom.sr.codedict import codes

    return [
        sr.Measurement(
            name=_coded(one.code, PRIVATE_SCHEME, one.meaning),
            value=float(one.value),
            unit=_coded(one.unit, "UCUM", one.unit) if one.unit else codes.UCUM.NoUnits,
        )
        for one in numbers
    ]


def _evaluations(answer: Answer | AnswerInParts, question: Question, group: Group) -> list[Any]:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    evaluations = []
    if group.answer is not None:
        code, meaning, scheme = group.answer
        name = _coded("answer", PRIVATE_SCHEME, "Answer of the model")
        evaluations.append(sr.QualitativeEvaluation(name=name, value=_coded(code, scheme, meaning)))
    for code, meaning, scheme in group.may_be:
        name = _coded("may-be", PRIVATE_SCHEME, "Answer that may be true")
        evaluations.append(sr.QualitativeEvaluation(name=name, value=_coded(code, scheme, meaning)))
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
