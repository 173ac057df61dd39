"""What a RIS has planned, on the doctor's worklist: asked of dcmtk's worklist server, and of some that lie."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from sqlalchemy import select

from tests.clinic.made_clinics import film_clinic
from wardround.clinic.dicom.listener import Received
from wardround.clinic.dicom.modality_worklist import FIND, KEPT_S, Schedule, ScheduledStep, scheduled_steps
from wardround.clinic.place.dicom_settings import ArchiveSection, DicomSection, WorklistSection
from wardround.clinic.store.tables import audit
from wardround.values.errors import DataError, RunError

from .films import film
from .orthanc import HERE, free_port
from .test_archive_pages import running

TITLE, OURS = "RIS", "WARDROUND"
TODAY = date(2026, 11, 29)


def planned(folder: Path, number: int, *, modality: str = "CR", day: str = "20261129", **elements: Any) -> None:
    """A worklist file of dcmtk's server."""
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate = modality, "CR1", day
    step.ScheduledProcedureStepStartTime, step.ScheduledPerformingPhysicianName = f"{8 + number:02}1500", ""
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "Thorax p.a.", f"S{number}"
    step.ScheduledStationName = step.ScheduledProcedureStepLocation = step.PreMedication = step.RequestedContrastAgent = ""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.AccessionNumber, data.PatientName, data.PatientID = f"ACC{number}", f"Muster{number}^Erika", f"PID{number}"
    data.PatientBirthDate, data.PatientSex, data.StudyInstanceUID = "19650203", "F", f"1.2.276.0.7.{number}.1"
    data.RequestedProcedureDescription, data.RequestedProcedureID = "Chest", f"R{number}"
    data.RequestingPhysician = data.ReferringPhysicianName = data.RequestedProcedurePriority = (
        data.PatientTransportArrangements
    ) = ""
    data.ScheduledProcedureStepSequence = [step]
    for name, value in elements.items():
        setattr(data, name, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(FIND), UID(f"1.2.276.0.7.{number}.9")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    dcmwrite(folder / TITLE / f"{number}.wl", data, enforce_file_format=True)


@contextlib.contextmanager
def worklist_server(folder: Path, port: int) -> Iterator[None]:
    """dcmtk's wlmscpfs within the block. Skips where it is not installed."""
    program = shutil.which("wlmscpfs")
    if program is None:
        pytest.skip("dcmtk is not installed (Debian: dcmtk)")
    command = [program, "--quiet", "--single-process", "-csk", "-dfp", str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection((HERE, port), timeout=1):
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def ris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorklistSection]:
    """A RIS with five plans: three films of today, one of yesterday, one CT."""
    folder = tmp_path_factory.mktemp("ris")
    (folder / TITLE).mkdir()
    (folder / TITLE / "lockfile").touch()
    planned(folder, 1)
    planned(folder, 2, modality="DX", PatientName="李^明", StudyInstanceUID="1.2.276.0.7.2.1")
    planned(folder, 3, PatientName="<script>alert(1)</script>^X", AccessionNumber="<b>3")
    planned(folder, 4, day="20261128")
    planned(folder, 5, modality="CT")
    port = free_port()
    with worklist_server(folder, port):
        yield WorklistSection(address=HERE, port=port, ae_title=TITLE, timeout_s=20)


def test_a_real_worklist_is_read(ris: WorklistSection) -> None:
    """Of today and of the modalities that are meant, in the order of the day, with names in their own letters."""
    steps = scheduled_steps(ris, OURS, TODAY)
    first = ("1.2.276.0.7.1.1", "PID1", "Muster1^Erika", "20261129", "091500", "CR", "Thorax p.a.", "ACC1")
    assert [step.accession for step in steps] == ["ACC1", "ACC2", "<b>3"] and steps[0] == ScheduledStep(*first)
    assert steps[1].name == "李^明" and steps[1].modality == "DX"


@pytest.mark.slow
def test_the_settings_say_what_is_asked_for(ris: WorklistSection) -> None:
    """Another day, another modality, another device, fewer."""
    asked = {
        "yesterday too": (ris.changed(days=1), 4),
        "every modality": (ris.changed(modalities=[]), 4),
        "CT": (ris.changed(modalities=["CT"]), 1),
        "another device": (ris.changed(station="CR2"), 0),
        "that device": (ris.changed(station="CR1"), 3),
        "two": (ris.changed(modalities=[], most=2), 2),
    }
    assert {name: len(scheduled_steps(section, OURS, TODAY)) for name, (section, _) in asked.items()} == {
        name: count for name, (_, count) in asked.items()
    }


def test_a_doctor_sees_what_is_planned_and_what_is_answered(ris: WorklistSection, tmp_path: Path) -> None:
    """On her worklist, beside the answers; a study that is in the archive can be fetched; names are kept nowhere."""
    archive = ArchiveSection(url=f"http://{HERE}:{free_port()}/dicom-web")
    section = DicomSection(port=free_port(), worklist=ris.changed(days=31), archive=archive)
    for clinic in running(film_clinic(tmp_path / "clinic", dicom=section)):
        today(clinic)
        doctor = clinic.logged_in("doctor")
        page = doctor.get("/").text
        assert "Planned examinations" in page and "Muster1 Erika" in page and "李 明" in page and "09:15" in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>alert" not in page and "<b>3" not in page
        assert page.count('name="study"') == 4 and "See the answer" not in page
        case = clinic.state.dicom.take(Received(film(number=2), "1.2.276.0.7.2.3", "MODALITY"))
        page = doctor.get("/").text
        assert f'href="/cases/{case}" aria-label="See the answer' in page and page.count('name="study"') == 3
        doctor.post("/language", token=doctor.token, language="zh")
        assert "计划检查" in doctor.get("/").text
        with clinic.state.store.reading() as connection:
            lines = connection.execute(select(audit.c.actor, audit.c.subject).where(audit.c.action == "schedule-seen")).all()
        assert lines and {(line.actor, line.subject) for line in lines} == {("anna", "")}
        auditor = clinic.logged_in("auditor")
        assert auditor.get("/").status_code == 403
    kept = b"".join(path.read_bytes() for path in (tmp_path / "clinic").rglob("*") if path.is_file())
    assert b"Muster1" not in kept and b"PID1" not in kept


def today(clinic: Any) -> None:
    """The tests' day: the plans stand on it."""
    schedule = clinic.state.dicom.schedule
    steps = scheduled_steps(schedule._section, OURS, TODAY)
    schedule._steps, schedule._asked_at = steps, schedule._clock() + 1e6


def test_a_ris_that_is_away_costs_one_page_its_patience_and_no_more(tmp_path: Path) -> None:
    """The rest of the worklist is there, with a word in the reader's language; the next page does not wait again."""
    section = DicomSection(
        port=free_port(), worklist=WorklistSection(address=HERE, port=free_port(), ae_title=TITLE, timeout_s=2)
    )
    for clinic in running(film_clinic(tmp_path / "clinic", dicom=section)):
        doctor = clinic.logged_in("doctor")
        assert "The worklist RIS cannot be reached" in doctor.get("/").text and 'id="upload"' in doctor.get("/").text
        began = time.monotonic()
        doctor.post("/language", token=doctor.token, language="zh")
        assert "无法连接工作列表 RIS" in doctor.get("/").text and time.monotonic() - began < 2


def test_the_ris_is_asked_once_a_minute(ris: WorklistSection) -> None:
    """However many doctors look."""
    now = [0.0]
    with lying_ris(lambda _: iter([(0x0000, None)])) as (section, asked):
        schedule = Schedule(section, OURS, lambda: now[0])
        for _ in range(5):
            assert schedule.steps() == ()
        assert len(asked) == 1
        now[0] += KEPT_S
        threads = [threading.Thread(target=schedule.steps) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(asked) == 2
    assert ris.port != section.port


@contextlib.contextmanager
def lying_ris(answers: Callable[[Any], Iterator[Any]]) -> Iterator[tuple[WorklistSection, list[Any]]]:
    """A worklist server of our own, which answers as it likes; what it was asked."""
    asked: list[Any] = []

    def find(event: Any) -> Iterator[Any]:
        asked.append(event.identifier)
        yield from answers(event)

    entity = AE(ae_title=TITLE)
    entity.add_supported_context(FIND)
    server = entity.start_server((HERE, 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        port = server.socket.getsockname()[1]
        yield WorklistSection(address=HERE, port=port, ae_title=TITLE, modalities=("CR",), timeout_s=5), asked
    finally:
        server.shutdown()


def answer(**elements: Any) -> Dataset:
    step = Dataset()
    step.Modality, step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "CR", "20261129", "080000"
    data = Dataset()
    data.StudyInstanceUID, data.PatientName, data.ScheduledProcedureStepSequence = "1.2.3", "A^B", [step]
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def test_only_what_is_meant_leaves_for_the_ris() -> None:
    """A question holds a day and a modality, and no patient."""
    with lying_ris(lambda _: iter([(0x0000, None)])) as (section, asked):
        scheduled_steps(section, OURS, TODAY)
    (question,) = asked
    step = question.ScheduledProcedureStepSequence[0]
    assert (step.Modality, step.ScheduledProcedureStepStartDate) == ("CR", "20261129")
    assert {element.keyword for element in question.iterall() if element.value and element.VR != "SQ"} == {
        "Modality",
        "ScheduledProcedureStepStartDate",
    }


@pytest.mark.slow
@pytest.mark.parametrize("status", [0xA700, 0xC001, 0xFE00])
def test_an_answer_that_breaks_off_is_no_empty_worklist(status: int) -> None:
    """A doctor would take it for a quiet day."""
    with (
        lying_ris(lambda _: iter([(0xFF00, answer()), (status, None)])) as (section, _),
        pytest.raises(RunError, match="to the end"),
    ):
        scheduled_steps(section, OURS, TODAY)


def test_answers_without_end_are_cut_off() -> None:
    """A RIS that counts up for ever holds no page."""

    def forever(_: Any) -> Iterator[Any]:
        number = 0
        while True:
            number += 1
            yield 0xFF00, answer(AccessionNumber=str(number))

    with lying_ris(forever) as (section, _):
        assert len(scheduled_steps(section.changed(most=7), OURS, TODAY)) == 7


def test_more_than_is_read_is_not_read() -> None:
    """One answer of a hundred megabytes is no plan."""

    def large(_: Any) -> Iterator[Any]:
        yield 0xFF00, answer(EncapsulatedDocument=b"x" * (40 << 20))
        yield 0x0000, None

    with lying_ris(large) as (section, _), pytest.raises((RunError, DataError)):
        scheduled_steps(section, OURS, TODAY)


@pytest.mark.slow
@pytest.mark.parametrize(
    "elements",
    [
        {"StudyInstanceUID": ""},
        {"StudyInstanceUID": "../../x"},
        {"ScheduledProcedureStepSequence": []},
        {"PatientName": "A\x1b[31m^B\r\nC"},
        {"PatientName": "=HYPERLINK(1)" * 50},
    ],
)
def test_an_odd_answer_is_shown_as_far_as_it_goes(elements: dict[str, Any]) -> None:
    """No UID that is none, no sign that a terminal would obey, no line without end."""
    with lying_ris(lambda _: iter([(0xFF00, answer(**elements)), (0x0000, None)])) as (section, _):
        steps = scheduled_steps(section, OURS, TODAY)
    assert len(steps) == (0 if elements.get("ScheduledProcedureStepSequence") == [] else 1)
    for step in steps:
        assert step.study_uid in ("", "1.2.3") and step.name.isprintable() and len(step.name) <= 120
