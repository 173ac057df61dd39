"""DICOM images in a folder or a zip, brought to what a radiologist's screen would show; no identifier leaves this reader.

    stored values --modality LUT or slope, intercept--> --VOI LUT or window--> 0..1 --MONOCHROME1: 1 - x--> 0..255 | 0..65535

The patient becomes HMAC-SHA256(site salt, PatientID). The salt is random, made once on this machine and never sent, so that
neither a list of possible ids nor another hospital's data can undo it. Labels come from a manifest or sub-folders. pydicom is
imported only here, and only when DICOM is read.
"""

import hashlib
import hmac
import io
import secrets
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.damage import DAMAGE
from wardround.sources.file_tree import MANIFEST, Known, known_files, note_manifest, open_file_tree, shown_files, zip_members
from wardround.sources.image_folder import SUFFIXES, Decoded, read_listed
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, ReadResult
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract, ImageContract
from wardround.values.durable import kept_secret
from wardround.values.errors import DataError, MissingExtraError
from wardround.values.home import default_home

Problem = tuple[str, str, str]

_MULTI_FRAME = ("multi-frame", "DICOM files hold several frames", "export single images; films and volumes are not read")
_PHOTOMETRY = (
    "photometry",
    "DICOM files have a photometric interpretation that is not read",
    "export as MONOCHROME1, MONOCHROME2 or RGB",
)
_NO_PIXELS = (
    "no-pixels",
    "DICOM files hold no pixels, or are cut short before them",
    "copy them again; take reports and other objects out",
)
SALT_BYTES = 32
GREYS = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(path: Path) -> bool:
    """Whether the file has the DICOM mark: "DICM" after a preamble of 128 bytes (PS3.10, 7.1)."""
    with path.open("rb") as file:
        return has_dicom_mark(file.read(132))


def has_dicom_mark(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def site_salt() -> bytes:
    """32 random bytes of this machine's user, made on first use. Losing them only divides patients anew."""
    path = default_home() / "site-salt"
    salt = kept_secret(path, SALT_BYTES + 1, lambda: secrets.token_bytes(SALT_BYTES))
    if len(salt) != SALT_BYTES:
        raise DataError(
            f"{path} is not a salt of {SALT_BYTES} bytes", hint="remove it; patients are then divided into splits anew"
        )
    return salt


def pseudonym(patient_id: str, salt: bytes) -> str:
    """ "" for an empty id; else 24 hex digits."""
    return hmac.new(salt, patient_id.encode(), hashlib.sha256).hexdigest()[:24] if patient_id else ""


def read_dicom(path: Path, contract: DataContract, labels: Labels = "required", *, salt: bytes | None = None) -> ReadResult:
    """Every DICOM image under a folder or in a zip. `salt`: this site's, by default `site_salt()`.

    A patient in the manifest goes before PatientID (de-identified files often carry a fresh one each); folders name none.
    """
    _need_pydicom()
    key = site_salt() if salt is None else salt
    with open_file_tree(path) as file_tree:
        names = tuple(name for name in file_tree.names if has_dicom_mark(file_tree.read(name, 132) or b""))
        beside = path.with_name(MANIFEST) if path.is_file() else None
        listed_files, absent = known_files(file_tree, names, contract, beside, labels)
        counter = ProblemCounter("of the DICOM files in name order")
        note_manifest(counter, absent, names, listed_files)
        plain = [file if file.listed else Known(file.name, file.label, "", file.split, file.site) for file in listed_files]
        scaled = full_scale(contract)
        return read_listed(file_tree, names, plain, scaled, counter, lambda content, file: _decoded(content, file, key), labels)


def full_scale(contract: DataContract) -> DataContract:
    """The contract for decoded DICOM: its 16-bit pixels are at full scale already, so that `white_16` has nothing left to say."""
    image = ImageContract(**{**dict(contract.image), "white_16": 65535})
    return DataContract(**{**dict(contract), "image": image})


def decode_dicom(content: bytes) -> Decoded:
    """The pixels of one DICOM file as a screen would show them; no patient."""
    _need_pydicom()
    return _decoded(content, Known(""), b"")


def _need_pydicom() -> None:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise MissingExtraError("Reading DICOM needs pydicom", hint="pip install 'wardround[dicom]'") from None


def _decoded(content: bytes, file: Known, salt: bytes) -> Decoded:
    """Warnings are silenced, because pydicom's quote the values of elements, which may name a patient."""
    import pydicom
    from pydicom.errors import BytesLengthException, InvalidDicomError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
            problem = _problem(dataset)
            if problem is not None:
                return Decoded(None, problem=problem)
            pixels = _shown(dataset)
            patient = file.patient or str(dataset.get("PatientID", "") or "").strip()
        except (InvalidDicomError, BytesLengthException):
            return Decoded(None)
        except DAMAGE:
            return Decoded(None)
    return Decoded(pixels, pseudonym(patient, salt))


def _problem(dataset: Any) -> Problem | None:
    if "PixelData" not in dataset:
        return _NO_PIXELS
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        return _MULTI_FRAME
    photometry = str(dataset.get("PhotometricInterpretation", ""))
    if photometry not in (*GREYS, "RGB") and not photometry.startswith("YBR_"):
        return _PHOTOMETRY
    return _missing_decoder(dataset.file_meta.TransferSyntaxUID)


def _missing_decoder(syntax: Any) -> Problem | None:
    """Told apart from a corrupt file beforehand, because the same exception speaks for both."""
    from pydicom.pixels.decoders.base import get_decoder

    if not syntax.is_compressed or syntax.is_deflated:
        return None
    text = f"DICOM files are compressed as {syntax.name}, for which no decoder is installed"
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        return ("decoder-missing", text, "export them uncompressed")
    return None if available else ("decoder-missing", text, "pip install 'wardround[dicom]', or export them uncompressed")


def _shown(dataset: Any) -> NDArray[Any]:
    """The image as displayed, full scale: uint8 where up to 8 bits are stored, else uint16."""
    stored = dataset.pixel_array
    deep = int(dataset.BitsStored) > 8
    if stored.ndim == 3:
        return np.asarray(stored, np.uint16 if deep else np.uint8)
    light = displayed(dataset, stored)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        light = 1.0 - light
    top = 65535 if deep else 255
    return np.rint(light * top).astype(np.uint16 if deep else np.uint8)


def displayed(dataset: Any, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Stored values through the modality and VOI transformations (PS3.3 C.11.1 and C.11.2), 0..1.

    Without a VOI transformation the whole range that the stored type can hold is shown, not the range of this image, which
    would make brightness depend on the content.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(stored, dataset))
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        whole = values.astype(np.int64) if values.dtype.kind == "f" else values
        light: NDArray[np.float64] = np.asarray(apply_voi(whole, dataset), np.float64) / (2 ** int(table.LUTDescriptor[2]) - 1)
        return light
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        center, width = (float(np.atleast_1d(np.asarray(v, np.float64))[0]) for v in (dataset.WindowCenter, dataset.WindowWidth))
        return windowed(values.astype(np.float64), center, width, str(dataset.get("VOILUTFunction", "") or "LINEAR"))
    low, high = _range(dataset)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def windowed(values: NDArray[np.float64], center: float, width: float, function: str = "LINEAR") -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 (LINEAR, equation for y in 0..1) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    >>> windowed(np.array([0.0, 127.5, 255.0]), 128, 256).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - center) / width)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _range(dataset: Any) -> tuple[float, float]:
    """Smallest and largest value that can occur after the modality transformation."""
    bits = int(dataset.BitsStored)
    if dataset.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if int(dataset.PixelRepresentation) else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return ends[0], ends[1]


def holds_dicom(path: Path) -> bool:
    """A folder with a DICOM file in it, whatever it is called, or a zip with a .dcm member."""
    if path.is_dir():
        return any(is_dicom(file) for file in shown_files(path) if file.suffix.casefold() not in SUFFIXES)
    return any(name.casefold().endswith(".dcm") for name in zip_members(path) or ())


READER = Reader("dicom", "image", "DICOM", frozenset({".zip"}), holds_dicom, read_dicom)
