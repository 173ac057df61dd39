"""Films of every kind that machines send, through the listener to an answer: the picture's own, or a status that says why not."""

import io
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from pynetdicom import AE

from tests.clinic.dicom_files import DX, dicom, film_pixels, jpeg_baseline, recoded
from tests.clinic.made_clinics import film_clinic
from tests.clinic.made_models import FILMS
from wardround.clinic.answering.serving import in_service
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.dicom_settings import DicomSection, PeerSection
from wardround.clinic.store.cases import latest_cases
from wardround.sources import network_input, prepare

from .films import SENDER
from .orthanc import HERE
from .test_service import running

PIXELS = film_pixels()
PLAIN = dicom(PIXELS, BitsStored=12)
EIGHT = dicom(film_pixels(bits=8))
JPEG2000, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, int]]:
    peers = (PeerSection(ae_title=SENDER, addresses=(HERE,)),)
    settings = DicomSection(peers=peers, results=("report",), timeout_s=20.0)
    with running(film_clinic(tmp_path_factory.mktemp("kinds") / "clinic", dicom=settings)) as opened:
        yield opened


def sent(port: int, content: bytes) -> tuple[int, str]:
    """Status and comment of a film in its own transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    entity = AE(ae_title=SENDER)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate(HERE, port, ae_title="WARDROUND")
    assert association.is_established, "the syntax was not accepted"
    try:
        status = association.send_c_store(dataset)
    finally:
        association.release()
    return status.Status, str(status.get("ErrorComment", ""))


KINDS = {
    "12 bits": PLAIN,
    "8 bits": EIGHT,
    "16 bits": dicom(film_pixels(bits=16)),
    "negative": dicom((4095 - PIXELS).astype(np.uint16), BitsStored=12, PhotometricInterpretation="MONOCHROME1"),
    "JPEG": jpeg_baseline(EIGHT),
    "JPEG 2000": recoded(PLAIN, JPEG2000),
    "RLE": recoded(PLAIN, RLE),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_film_of_a_kind_has_the_answer_of_its_picture(clinic: tuple[Desk, int], kind: str) -> None:
    """The bytes are compressed for the network; the answer is that of the picture."""
    desk, port = clinic
    assert sent(port, KINDS[kind]) == (0, "")
    expected = in_service(desk.clinic).answer(network_input(FILMS, prepare(FILMS, KINDS[kind])[None])[0])
    assert abs(latest_cases(desk.store)[0].answer["probability"] - expected.probability) < 1e-12


REFUSED = {
    "several frames": dicom(np.concatenate([PIXELS, PIXELS]), Rows=64, NumberOfFrames=2, BitsStored=12),
    "no pixels": dicom(PIXELS, PixelData=None),
    "cut short": dicom(PIXELS, PixelData=PIXELS.tobytes()[:1000], BitsStored=12),
    "a lie of its size": dicom(PIXELS, Rows=60000, Columns=60000, BitsStored=12),
}


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_cannot_be_answered_is_refused_for_good(clinic: tuple[Desk, int], kind: str) -> None:
    """An archive that is told to come back would come back with it for ever."""
    desk, port = clinic
    before = len(latest_cases(desk.store))
    status, comment = sent(port, REFUSED[kind])
    assert status == 0xC000 and comment and "Mustermann" not in comment
    assert len(latest_cases(desk.store)) == before


@pytest.mark.parametrize("kind", ["report", "deflated"])
def test_what_is_no_film_is_not_negotiated(clinic: tuple[Desk, int], kind: str) -> None:
    """A report of ours that the archive sends back, and a data set that could unpack to anything."""
    entity = AE(ae_title=SENDER)
    if kind == "report":
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.88.33")
    else:
        entity.add_requested_context(DX, "1.2.840.10008.1.2.1.99")
    association = entity.associate(HERE, clinic[1], ae_title="WARDROUND")
    assert not association.accepted_contexts
    if association.is_established:
        association.release()
