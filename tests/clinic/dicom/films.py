"""Films as machines send them, answers to them, and the tools that judge what comes back."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from wardround.clinic.answering.answer import Answer, Unusual
from wardround.clinic.answering.question import Question
from wardround.clinic.dicom.loading import need_pynetdicom

need_pynetdicom()  # mended and muted, also where a test calls as a machine of others
SENDER = "MODALITY"
QUESTION = Question("pneumonia", "233604007", "SCT")
ANSWER = Answer(0.8312, 0.91, "positive", (), Unusual(2.5, 10.0), 0.31, "ab" * 32, "0123456789abcdef")
PERSONAL = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "PID-4711",
    "PatientBirthDate": "19650203",
    "PatientSex": "F",
    "AccessionNumber": "ACC-99",
    "StudyID": "ST-1",
    "ReferringPhysicianName": "Arzt^Anton",
    "StudyDate": "20250102",
    "StudyTime": "101112",
}


def pixels(seed: int = 0, side: int = 64, bits: int = 8) -> np.ndarray:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (side, side)).astype(kind)


def film(image: np.ndarray | None = None, number: int = 1, **elements: object) -> bytes:
    """A chest film in computed radiography. Keyword arguments set elements, None takes one away."""
    image = pixels(number) if image is None else image
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = ComputedRadiographyImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.276.0.7.{number}.3")
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.276.0.7.{number}.1", f"1.2.276.0.7.{number}.2"
    data.Modality, data.SeriesNumber, data.InstanceNumber = "CR", 1, 1
    data.SpecificCharacterSet = "ISO_IR 100"
    data.Rows, data.Columns = image.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = image.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelData = image.tobytes()
    for name, value in {**PERSONAL, **elements}.items():
        if value is None:
            data.pop(name, None)
        else:
            setattr(data, name, value)
    return written(data)


def written(data: Any) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def real_film(folder: Path) -> bytes:
    """The real radiograph of the data folder."""
    return next((folder / "dicom_cxr").glob("*.dcm")).read_bytes()


def tool(name: str) -> str:
    """The path of a program of dcmtk or dicom3tools; the test is skipped where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: dcmtk, dicom3tools)")
    return path


def faults_of(content: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls an error of a file."""
    path = folder / "judged.dcm"
    path.write_bytes(content)
    told = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False, timeout=60)
    return [line for line in (told.stderr + told.stdout).splitlines() if line.startswith("Error")]
