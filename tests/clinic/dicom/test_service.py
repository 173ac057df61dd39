"""A film that comes over DICOM is a stored case, answered as everywhere, and its results go back: the whole way, real parts."""

import contextlib
import io
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from tests.clinic.made_clinics import film_clinic, serve_model, table_clinic
from tests.clinic.made_models import FILMS, film_model
from wardround.clinic.answering.serving import in_service
from wardround.clinic.dicom.outbox import Outbox, outbox_path
from wardround.clinic.dicom.service import LOG_FOLDER, dicom_service, send_again, unsent_results
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.dicom_settings import DicomSection, NodeSection, PeerSection
from wardround.clinic.place.service import roll_back
from wardround.clinic.store.cases import latest_cases
from wardround.clinic.store.database import Store, sqlite_url
from wardround.sources import network_input, prepare

from .films import SENDER, faults_of, film, pixels
from .test_listener import send
from .test_outbox import archive, free_port

HERE = "127.0.0.1"
KILLS = int(os.environ.get("WARDROUND_TEST_KILLS", "4"))
"""How often the service is killed; 100 by hand: WARDROUND_TEST_KILLS=100."""


def section(*nodes: NodeSection) -> DicomSection:
    return DicomSection(peers=(PeerSection(ae_title=SENDER, addresses=(HERE,)),), nodes=nodes, timeout_s=10.0)


@contextlib.contextmanager
def running(clinic: ClinicPlace, port: int = 0) -> Iterator[tuple[Desk, int]]:
    with (
        Store(sqlite_url(clinic.path / "clinic.db")) as store,
        Desk(clinic, store, processes=1) as desk,
        dicom_service(desk, port=port, pause_s=0.2) as listener,
    ):
        assert listener is not None
        yield desk, listener.port


def wait_until_sent(clinic: ClinicPlace) -> None:
    for _ in range(500):
        if not unsent_results(clinic):
            return
        time.sleep(0.02)
    raise AssertionError(unsent_results(clinic))


@pytest.mark.slow
def test_a_film_sent_in_comes_back_as_report_and_pictures(tmp_path: Path) -> None:
    """The issue's way: sent in, answered as the model answers everywhere, back in the same study, sound and in the archive."""
    node = NodeSection(name="pacs", address=HERE, port=free_port())
    clinic = film_clinic(tmp_path / "clinic", dicom=section(node))
    content = film(pixels(5, 96))
    with archive(tmp_path / "archive", node.port), running(clinic) as (desk, port):
        assert send(port, content)[0] == 0
        (case,) = latest_cases(desk.store)
        wait_until_sent(clinic)
        assert send(port, content)[0] == 0  # its sender did not hear the first Success
        assert len(latest_cases(desk.store)) == 1 and unsent_results(clinic) == ()
        assert desk.films.get(case.id) is not None  # a doctor can look at it
    model = in_service(clinic)
    expected = model.answer(network_input(FILMS, prepare(FILMS, content)[None])[0])
    assert abs(case.answer["probability"] - expected.probability) < 1e-12
    assert (case.source, case.sender) == ("dicom", f"dicom {SENDER}")
    results = [pydicom.dcmread(path) for path in (tmp_path / "archive").iterdir()]
    assert sorted(result.Modality for result in results) == ["OT", "OT", "SR"]
    assert {result.StudyInstanceUID for result in results} == {"1.2.276.0.7.1.1"}
    report = next(path for path in (tmp_path / "archive").iterdir() if path.name.startswith("SR"))
    content_tree: Any = highdicom.sr.srread(report).content
    measured = content_tree.get_image_measurement_groups()[0].get_measurements()
    assert abs(float(measured[0].value) - expected.probability) < 1e-12
    for path in (tmp_path / "archive").iterdir():
        assert faults_of(path.read_bytes(), tmp_path) == []


@pytest.mark.slow
def test_nothing_of_the_patient_stays_in_the_clinic(tmp_path: Path) -> None:
    """The outbox holds names until an archive has them. The database, the logs and everything else never do."""
    node = NodeSection(name="pacs", address=HERE, port=free_port())
    clinic = film_clinic(tmp_path / "clinic", dicom=section(node))

    def naming() -> set[str]:
        words = (b"Mustermann", b"4711", b"ACC-99", b"1.2.276.0.7.1")
        files = [path for path in clinic.path.rglob("*") if path.is_file()]
        return {path.parent.name for path in files for content in [path.read_bytes()] if any(word in content for word in words)}

    with running(clinic) as (_, port):
        assert send(port, film())[0] == 0
        assert send(port, film(SOPInstanceUID="1.2.276.0.7.1.9", BitsStored=99))[0] == 0xC000
        assert naming() == {"outbox"}
        with archive(tmp_path / "archive", node.port):
            assert send_again(clinic) in (0, 3)
            wait_until_sent(clinic)
    words = (b"Mustermann", b"4711", b"ACC-99")
    files = [path for path in clinic.path.rglob("*") if path.is_file()]
    assert [path for path in files if any(word in path.read_bytes() for word in words)] == []
    assert b"refused" in (clinic.path / LOG_FOLDER / "log.ndjson").read_bytes()


@pytest.mark.slow
def test_without_a_model_the_sender_is_told_to_come_back(tmp_path: Path) -> None:
    """A film must not be lost because the hospital has taken a model back; and the next model answers it anew."""
    clinic = film_clinic(tmp_path / "clinic", dicom=section())
    with running(clinic) as (desk, port):
        assert send(port, film())[0] == 0
        roll_back(clinic, by="Dr Li")
        assert send(port, film()) == (0xA700, "No model is in service at this clinic")
        serve_model(clinic, film_model(bias=-1.0), FILMS)
        assert send(port, film())[0] == 0
        assert len({case.model for case in latest_cases(desk.store)}) == 2
        assert unsent_results(clinic) == ()


def test_a_model_of_tables_takes_no_film(tmp_path: Path) -> None:
    """It could not be answered, however often it comes; but another model may be put in service tomorrow."""
    clinic = table_clinic(tmp_path / "clinic", dicom=section())
    with running(clinic) as (desk, port):
        status, comment = send(port, film())
        assert status == 0xA700 and "table" in comment and latest_cases(desk.store) == []


def test_a_clinic_without_the_section_listens_nowhere(tmp_path: Path) -> None:
    """Off by default."""
    clinic = film_clinic(tmp_path / "clinic")
    with (
        Store(sqlite_url(clinic.path / "clinic.db")) as store,
        Desk(clinic, store, processes=1) as desk,
        dicom_service(desk) as listener,
    ):
        assert listener is None
    assert not (clinic.path / "outbox").exists() and unsent_results(clinic) == ()


SERVICE = """
import sys, time
from pathlib import Path
from typing import Any
from wardround.clinic.dicom.loading import need_highdicom
from wardround.clinic.dicom.service import dicom_service
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store, sqlite_url
clinic = ClinicPlace.at(Path(sys.argv[1]))
with Store(sqlite_url(clinic.path / "clinic.db")) as store, Desk(clinic, store, processes=1) as desk, dicom_service(desk):
    need_highdicom()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_killed_at_any_instant_no_acknowledged_film_is_lost(tmp_path: Path) -> None:
    """A modality deletes its film when it has heard Success: the case and its results must be on the disk by then."""
    port, rng = free_port(), random.Random(3)
    peers = (PeerSection(ae_title=SENDER, addresses=(HERE,)),)
    node = NodeSection(name="pacs", address=HERE, port=free_port())  # away the whole time
    clinic = film_clinic(tmp_path / "clinic", dicom=DicomSection(peers=peers, nodes=(node,), port=port, timeout_s=5.0))
    acknowledged: set[str] = set()
    number = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", SERVICE, str(clinic.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            timer = None
            while process.poll() is None:
                number += 1
                with contextlib.suppress(AssertionError, OSError, RuntimeError, ValueError):
                    if send(port, film(number=number))[0] == 0:
                        acknowledged.add(f"1.2.276.0.7.{number}.1")
                        timer = timer or threading.Timer(rng.random(), process.kill)
                        if not timer.is_alive():
                            timer.start()
    assert len(acknowledged) >= KILLS
    print(len(acknowledged), number)
    outbox = Outbox(outbox_path(clinic.path))
    outbox.again()
    files = [one.file for one in outbox.due("pacs", 10_000)]
    outbox.close()
    studies = [pydicom.dcmread(io.BytesIO(file.content)).StudyInstanceUID for file in files]
    assert {study for study in acknowledged if studies.count(study) != 3} == set()
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        assert len(latest_cases(store, 10_000)) >= len(acknowledged)


@pytest.mark.slow
@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
def test_a_hundred_real_films_have_the_models_own_probability(tmp_path: Path) -> None:
    """Whatever DICOM does to a picture on its way, the answer must be that of the picture."""
    images = np.load(Path(os.environ["WARDROUND_DATA"]) / "kermany_cxr" / "kermany_cxr_64.npz")
    name = next(name for name in images.files if images[name].ndim == 3)
    real = images[name][:100]
    clinic = film_clinic(tmp_path / "clinic", dicom=section())
    model = in_service(clinic)
    expected = model.answer_many(network_input(FILMS, np.stack([prepare(FILMS, image) for image in real])))
    with running(clinic) as (desk, port):
        for number, image in enumerate(real, 1):
            content = film(image, number) if number % 2 else film(255 - image, number, PhotometricInterpretation="MONOCHROME1")
            assert send(port, content)[0] == 0
        cases = latest_cases(desk.store, 200)
    told = [case.answer["probability"] for case in reversed(cases)]
    probabilities = np.array([answer.probability for answer in expected])
    assert len(told) == 100 and np.abs(np.array(told) - probabilities).max() < 1e-5
