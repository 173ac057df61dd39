"""What a RIS has planned for today: a modality worklist (PS3.4 K), asked for by C-FIND, kept in memory for a minute.

The RIS of [dicom.worklist] is asked, and nobody else. What it answers is read up to a limit; names and numbers are for the
doctor's screen alone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from wardround.clinic.dicom.calling import NotHeard, association
from wardround.clinic.dicom.loading import silent
from wardround.clinic.dicom.uids import is_uid
from wardround.clinic.place.dicom_settings import WorklistSection
from wardround.values.errors import DataError, RunError, WardroundError

FIND = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND."""
KEPT_S = 60.0
LARGEST = 16 << 20
_PENDING = (0xFF00, 0xFF01)
_SLOWEST_S = 3.0


@dataclass(frozen=True)
class ScheduledStep:
    """One examination that is planned. study_uid: "" where the RIS names none."""

    study_uid: str
    patient: str
    name: str
    day: str
    time: str
    modality: str
    description: str
    accession: str


def scheduled_steps(section: WorklistSection, ae_title: str, today: date | None = None) -> tuple[ScheduledStep, ...]:
    """The steps of the section's days and modalities, in their order. RunError where the RIS does not answer; DataError where
    it sends what cannot be read."""
    first = today or date.today()
    days = f"{first:%Y%m%d}" if section.days == 0 else f"{first - timedelta(days=section.days):%Y%m%d}-{first:%Y%m%d}"
    try:
        with association(section, ae_title, [FIND], section.timeout_s) as opened:
            _bound(opened, section.timeout_s)
            steps: set[ScheduledStep] = set()
            for modality in section.modalities or ("",):
                if len(steps) < section.most:
                    steps |= _asked(opened, section, days, modality)
    except NotHeard as refusal:
        raise RunError(
            f"The worklist {section.ae_title} {refusal}", hint="look whether the RIS runs, and at [dicom.worklist]"
        ) from None
    ordered = sorted(steps, key=lambda step: (step.day, step.time, step.accession, step.study_uid, step.description))
    return tuple(ordered[: section.most])


class Schedule:
    """The worklist of a RIS as pages show it: asked for when a page needs it, at most once a minute. A RIS that is away costs one
    page its patience in that time, not each."""

    def __init__(self, section: WorklistSection, ae_title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._section, self._ae_title, self._clock = section, ae_title, clock
        self._lock = threading.Lock()
        self._asked_at = -KEPT_S
        self._steps: tuple[ScheduledStep, ...] = ()
        self._error: WardroundError | None = None

    def steps(self) -> tuple[ScheduledStep, ...]:
        """What the RIS said last. RunError or DataError where it did not."""
        with self._lock:
            if self._clock() - self._asked_at >= KEPT_S:
                self._steps, self._error = (), None
                try:
                    self._steps = scheduled_steps(self._section, self._ae_title)
                except WardroundError as error:
                    self._error = error
                self._asked_at = self._clock()
            if self._error is not None:
                raise type(self._error)(self._error.what, hint=self._error.hint)
            return self._steps


def _bound(opened: Any, timeout_s: float) -> None:
    """From here on no more is read than LARGEST, and no PDU that is longer than agreed."""
    from wardround.clinic.dicom.bounded_server import BoundedSocket, Bounds

    bounds = Bounds(LARGEST, 1, timeout_s + _SLOWEST_S, lambda _: True, lambda *_: None)
    opened.dul.socket = BoundedSocket(opened.dul.socket, bounds)


def _asked(opened: Any, section: WorklistSection, days: str, modality: str) -> set[ScheduledStep]:
    """The answers to one question, up to `most`; then the line is cut: a RIS need not heed that it is told to stop."""
    steps: set[ScheduledStep] = set()
    try:
        with silent():
            for status, dataset in opened.send_c_find(_question(section, days, modality), FIND):
                code = int(status.Status) if "Status" in status else -1
                if code in _PENDING and dataset is not None:
                    steps |= set(_steps(dataset))
                    if len(steps) >= section.most:
                        opened.abort()
                        break
                elif code != 0:
                    raise RunError(
                        f"The worklist {section.ae_title} did not answer to the end",
                        found=f"status {code:04X}" if code >= 0 else "nothing",
                        hint="look at the log of the RIS",
                    )
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, LookupError):
        raise DataError(f"The worklist {section.ae_title} sent what is no worklist", hint="look at the log of the RIS") from None
    return steps


def _question(section: WorklistSection, days: str, modality: str) -> Any:
    from pydicom.dataset import Dataset

    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = modality, section.station
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = days, ""
    step.ScheduledProcedureStepDescription = ""
    question = Dataset()
    for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureDescription"):
        setattr(question, name, "")
    question.ScheduledProcedureStepSequence = [step]
    return question


def _steps(dataset: Any) -> Iterator[ScheduledStep]:
    """One for each step of an answer; a RIS should send one."""
    uid = _text(dataset, "StudyInstanceUID")
    for step in list(dataset.get("ScheduledProcedureStepSequence") or [])[:10]:
        yield ScheduledStep(
            study_uid=uid if is_uid(uid) else "",
            patient=_text(dataset, "PatientID"),
            name=_text(dataset, "PatientName"),
            day=_text(step, "ScheduledProcedureStepStartDate"),
            time=_text(step, "ScheduledProcedureStepStartTime"),
            modality=_text(step, "Modality"),
            description=_text(step, "ScheduledProcedureStepDescription") or _text(dataset, "RequestedProcedureDescription"),
            accession=_text(dataset, "AccessionNumber"),
        )


def _text(dataset: Any, name: str) -> str:
    """An element as one line of printable text."""
    value = dataset.get(name)
    return "".join(sign for sign in str("" if value is None else value) if sign.isprintable())[:120]
