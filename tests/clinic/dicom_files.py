"""DICOM files of the kinds that detectors and archives write, as bytes."""

import io
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

DX = "1.2.840.10008.5.1.4.1.1.1.1.1"
NAME, NUMBER = "Mustermann^Erika", "MARKER-4711"


def dicom(pixels: np.ndarray, **elements: Any) -> bytes:
    """A chest film by a digital detector. Keyword arguments set elements, None takes one away."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(DX), generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = DX, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.PatientName, data.PatientID, data.PatientSex, data.PatientAge = NAME, NUMBER, "F", "036M"
    data.StudyDate, data.Modality, data.ViewPosition = "20260102", "DX", "PA"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    if "BitsStored" in elements:
        data.HighBit = data.BitsStored - 1
    return written(data)


def written(data: Any) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def recoded(content: bytes, syntax: str) -> bytes:
    """The same picture in a lossless syntax."""
    data = pydicom.dcmread(io.BytesIO(content))
    data.compress(syntax)
    return written(data)


def jpeg_baseline(content: bytes) -> bytes:
    """The same picture of 8 bits as JPEG."""
    data = pydicom.dcmread(io.BytesIO(content))
    file = io.BytesIO()
    Image.fromarray(data.pixel_array).save(file, "JPEG", quality=95)
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([file.getvalue()])
    data["PixelData"].is_undefined_length = True
    return written(data)


def film_pixels(side: int = 64, bits: int = 12, seed: int = 1) -> np.ndarray:
    """Something like a film: two dark fields on a bright ground, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    light = 0.75 - 0.5 * (np.hypot(columns - 0.3, rows - 0.5) < 0.2) - 0.5 * (np.hypot(columns - 0.7, rows - 0.5) < 0.2)
    light = np.clip(light + rng.normal(0, 0.02, light.shape), 0, 1)
    return np.rint(light * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
