"""One model, five ways to ask it: torch, ONNX Runtime, /v1, DICOM and a doctor's page give one probability, on real X-rays."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clinic.dicom.films import SENDER, film
from tests.clinic.dicom.orthanc import HERE, free_port
from tests.clinic.dicom.test_listener import send
from tests.clinic.made_clinics import serve_model
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.dicom_settings import DicomSection, PeerSection
from wardround.clinic.store.cases import case_of, cases_of_study
from wardround.clinic.web.app import application
from wardround.clinic.web.saying import percent
from wardround.clinic.web.server import opened
from wardround.sources import network_input, prepare
from wardround.study.contract import DataContract, ImageContract, LabelContract
from wardround.study.record.model_statement import ModelStatement
from wardround.study.sections.network import NetworkSection

from .visitors import Clinic, hosts

FILMS = 100


def real_films() -> list[bytes]:
    """100 JPEG films of kermany_cxr, half of them normal, and the DICOM film."""
    data = Path(os.environ.get("WARDROUND_DATA", "")) / "kermany_cxr" / "kermany_cxr_224_jpeg.zip"
    if not os.environ.get("WARDROUND_DATA") or not data.is_file():
        pytest.skip("kermany_cxr is not in WARDROUND_DATA")
    with zipfile.ZipFile(data) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".jpeg")))
        chosen = [archive.read(names[number]) for number in np.linspace(0, len(names) - 1, FILMS).astype(int)]
    return [*chosen, *(path.read_bytes() for path in sorted((data.parents[1] / "dicom_cxr").glob("*.dcm"))[:1])]


@pytest.mark.slow
def test_torch_onnx_rest_dicom_and_the_page_agree_on_real_films(tmp_path: Path) -> None:
    """To 1e-5: a second way to prepare, batch or round would be a second model."""
    import torch

    from wardround.training.inputs import InputShape
    from wardround.training.model_tree import initial_tree, load_tree
    from wardround.training.networks import build
    from wardround.training.onnx_export import export_onnx

    contents = real_films()
    contract = DataContract(kind="image", image=ImageContract(size=(64, 64)), label=LabelContract(name="pneumonia"))
    network = NetworkSection(name="small_cnn", width=8, blocks=(1, 1))
    inputs = InputShape("image", channels=1, height=64, width=64)
    rng = np.random.default_rng(1)
    drawn = initial_tree(network, inputs, 1)  # its last layer is zero: every film would get one half
    tree = {name: array if array.any() else rng.normal(0, 0.3, array.shape) for name, array in drawn.items()}
    statement = ModelStatement(
        study_title="t", study_hash="0" * 64, synthetic=True, output="p", threshold=0.5, data=contract, wardround="0"
    )
    export_onnx(network, inputs, tree, tmp_path / "model.onnx", flip_average=False, statement=statement)
    module = build(network, inputs, 1)
    load_tree(module, tree)
    module.eval()

    def of_torch(films):
        records = network_input(contract, np.stack([prepare(contract, one) for one in films]))
        with torch.inference_mode():
            return records, torch.sigmoid(module(torch.from_numpy(records))).numpy().reshape(-1)

    records, by_torch = of_torch(contents)
    # A film in DICOM is grey: the JPEG films are compared as the pictures that a modality would send.
    pictures = [np.asarray(Image.open(io.BytesIO(content)).convert("L")) for content in contents[:FILMS]]
    _, pictures_by_torch = of_torch(pictures)
    assert by_torch.std() > 1e-3
    peers, port = (PeerSection(ae_title=SENDER, addresses=(HERE,)),), free_port()
    section = DicomSection(peers=peers, port=port)
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna", dicom=section))
    serve_model(clinic, (tmp_path / "model.onnx").read_bytes(), contract)
    with opened(clinic) as state:
        visited = Clinic(state, application(state, hosts()))
        by_model = np.array([answer.raw_probability for answer in state.desk.model.answer_many(records)])
        machine, anna = visited.machine(), visited.logged_in("doctor")
        by_rest = np.array([machine.post("/v1/predict", content=content).json()["raw_probability"] for content in contents])
        dropped = [anna.drop(content).json()["case"] for content in contents]
        by_page = np.array([case_of(state.store, case).answer["raw_probability"] for case in dropped])
        pages = [anna.get(f"/cases/{case}").text for case in dropped]
        words = [percent(case_of(state.store, case).answer["probability"]) for case in dropped]
        assert {send(port, film(picture, number))[0] for number, picture in enumerate(pictures)} == {0}
        studies = [state.desk.pseudonym(f"1.2.276.0.7.{number}.1") for number in range(FILMS)]
        by_dicom = np.array([cases_of_study(state.store, study)[0].answer["raw_probability"] for study in studies])
    for by in (by_model, by_rest, by_page):
        assert len(by) == len(contents) and np.abs(by - by_torch).max() < 1e-5
    assert all(word in page for word, page in zip(words, pages, strict=True))
    assert np.abs(by_dicom - pictures_by_torch).max() < 1e-5
