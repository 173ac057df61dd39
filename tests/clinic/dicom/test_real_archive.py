"""Beside a real PACS: Orthanc with DICOMweb and dcmtk on loopback, a film sent in, its results back in the same study."""

import io
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from tests.clinic.made_clinics import film_clinic
from tests.clinic.made_models import FILMS
from wardround.clinic.answering.serving import in_service
from wardround.clinic.dicom.archive import Door, archive_client, study_films, worklist
from wardround.clinic.dicom.results import ResultFile
from wardround.clinic.place.dicom_settings import ArchiveSection, DicomSection, NodeSection, PeerSection
from wardround.clinic.store.cases import latest_cases
from wardround.sources import network_input, prepare
from wardround.values.errors import DataError, RunError

from .films import faults_of, film, pixels, real_film, tool
from .orthanc import HERE, TITLE, free_port, orthanc
from .test_service import running, wait_until_sent

pytestmark = pytest.mark.slow


@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_film_from_an_archive_comes_back_as_sound_results_in_its_study(way: str, tmp_path: Path) -> None:
    """storescu -> Orthanc -> this clinic -> Orthanc: what a hospital sets up."""
    clinic_port = free_port()
    with orthanc(tmp_path / "orthanc", clinic_port) as archive:
        node = NodeSection(name="pacs", address=HERE, port=archive.port, ae_title=TITLE)
        node = node if way == "C-STORE" else NodeSection(name="pacs", url=archive.web)
        peers = (PeerSection(ae_title=TITLE, addresses=(HERE,)),)
        clinic = film_clinic(tmp_path / "clinic", dicom=DicomSection(peers=peers, nodes=(node,), timeout_s=30.0))
        content = real_film(Path(os.environ["WARDROUND_DATA"]))
        (tmp_path / "film.dcm").write_bytes(content)
        with running(clinic, port=clinic_port) as (desk, _):
            sent = [tool("storescu"), "-aec", TITLE, "-xy", HERE, str(archive.port), str(tmp_path / "film.dcm")]
            subprocess.run(sent, check=True, timeout=60, capture_output=True)
            told = archive.send("WARDROUND")
            assert told["status"] == 200 and told["FailedInstancesCount"] == 0
            (case,) = latest_cases(desk.store)
            wait_until_sent(clinic)
            assert archive.send("WARDROUND")["status"] != 200  # it sends the results, too, which are no films
            assert len(latest_cases(desk.store)) == 1
        kept = {str(dataset.Modality): (dataset, data) for data in archive.instances() for dataset in [read(data)]}
        assert len(archive.instances()) == 4 and set(kept) == {"CR", "SR", "OT"}
        assert len({dataset.StudyInstanceUID for dataset, _ in kept.values()}) == 1
        model = in_service(clinic)
        expected = model.answer(network_input(FILMS, prepare(FILMS, content)[None])[0])
        assert case.answer["probability"] == pytest.approx(expected.probability, abs=1e-12)
        tree: Any = highdicom.sr.srread(io.BytesIO(kept["SR"][1])).content
        measured = tree.get_image_measurement_groups()[0].get_measurements()
        assert float(measured[0].value) == pytest.approx(expected.probability, abs=1e-9)
        for dataset, data in kept.values():
            if dataset.Modality != "CR":
                assert faults_of(data, tmp_path) == []


def read(content: bytes) -> Any:
    return pydicom.dcmread(io.BytesIO(content))


def test_the_worklist_of_an_archive_leads_to_its_films(tmp_path: Path) -> None:
    """QIDO-RS lists, WADO-RS fetches the very film, STOW-RS brings a result, and an unknown study is said."""
    today = date(2025, 1, 3)
    with orthanc(tmp_path / "orthanc", 1) as archive:
        section = ArchiveSection(url=archive.web, days=2)
        assert worklist(section, today) == ()
        films = [film(pixels(number), number) for number in (1, 2)]
        films.append(film(pixels(3), 3, StudyDate="20240101"))
        films.append(film(pixels(4), 4, Modality="MG"))
        films.append(film(pixels(5), 5, PatientName="王^小东", SpecificCharacterSet="ISO_IR 192"))
        with archive_client(Door(archive.web)) as client:
            for content in films:
                dataset = read(content)
                assert client.keep(ResultFile(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), content)) == ""
            assert client.keep(ResultFile("1", "1.2.276.0.7.1.3", films[0])) == ""  # once more
        listed = worklist(section, today)
        assert {study.study_uid for study in listed} == {f"1.2.276.0.7.{number}.1" for number in (1, 2, 5)}
        names = {study.study_uid: study.name for study in listed}
        assert names["1.2.276.0.7.5.1"] == "王^小东" and names["1.2.276.0.7.1.1"] == "Mustermann^Erika"
        (fetched,) = study_films(section, "1.2.276.0.7.1.1")
        assert np.array_equal(read(fetched).pixel_array, pixels(1)) and read(fetched) == read(films[0])
        assert study_films(section, "1.2.3.4.5") == ()
        with pytest.raises(DataError, match="no UID"):
            study_films(section, "../../instances")
    with pytest.raises(RunError, match="cannot be reached"):
        worklist(section, today)
