"""One file to a film, inside the decoder's process. It opens no other file and no connection, and knows no model.

bytes --kind, size, pixels as declared--> decoder --contract--> prepared pixels; and, where asked, what the viewer draws
"""

import hashlib
import hmac
import io
import re
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wardround.clinic.intake.film import Film, Shown, Warned
from wardround.clinic.intake.limits import Limits
from wardround.sources.dicom.picture.display import Window, grey_scale_of, light_of
from wardround.sources.dicom.picture.fields import GREYS, pixel_fields, value_of
from wardround.sources.dicom.picture.file_format import has_dicom_mark, read_dataset
from wardround.sources.dicom.picture.findings import HeaderRefusal
from wardround.sources.dicom.picture.stored import stored_picture
from wardround.sources.dicom.reading import decode_dataset, full_scale
from wardround.sources.files.damage import DAMAGE
from wardround.sources.images.image_decoding import Decoded, decode
from wardround.sources.images.picture_kinds import GZIP, HEAD_BYTES, gunzipped, kind_of
from wardround.sources.preparing import prepare
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

_IDENTITY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyDescription", "AccessionNumber")
_FACTS = (
    "Modality",
    "ViewPosition",
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "PatientSex",
    "PatientOrientation",
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_HEADER_DAMAGE: tuple[type[Exception], ...] = (*DAMAGE, Warning)
_AGE = re.compile(r"(\d{3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


def film_of(content: bytes, contract: DataContract, limits: Limits, key: bytes, *, shown: bool) -> Film:
    """The film in a file's bytes. key: of this clinic's pseudonyms.

    Raises DataError where it is none that the contract accepts, or breaks a limit. No message quotes a value of the file.
    """
    if len(content) > limits.content_bytes:
        raise DataError("The file is too large", expected=f"at most {limits.content_bytes >> 20} MiB", hint="export it smaller")
    if has_dicom_mark(content[:132]):
        return _dicom_film(content, contract, limits, key, shown)
    _check_declared(content, limits)
    decoded = decode(content, contract.image)
    pixels = _need(decoded, "PNG, JPEG, TIFF, NIfTI or DICOM, whole")
    warnings = tuple(Warned(*doubt) for doubt in decoded.doubts)
    facts: dict[str, str | int | float] = {"rows": pixels.shape[0], "columns": pixels.shape[1]}
    drawn = _reduced(Shown(_grey16(pixels)), limits) if shown else None
    return Film(prepare(contract, pixels), drawn, warnings, facts=facts)


def _dicom_film(content: bytes, contract: DataContract, limits: Limits, key: bytes, shown: bool) -> Film:
    try:
        dataset = _opened(content, limits)
        fields = pixel_fields(dataset) if "Rows" in dataset else None
        if fields is not None and fields.rows * fields.columns > limits.pixels:
            raise _too_many_pixels(limits)
        read_picture = decode_dataset(dataset, contract.image.modalities)
        pixels = _need(read_picture.decoded, "one DICOM image, whole")
        warnings = tuple(Warned(doubt.code, doubt.text, doubt.hint) for doubt in read_picture.doubts)
        drawn = _reduced(_drawn(dataset, pixels), limits) if shown else None
        patient, study = (_pseudonym(_text(dataset, name), key) for name in ("PatientID", "StudyInstanceUID"))
        identity = {name: text for name in _IDENTITY if (text := _text(dataset, name))}
        facts = _facts(dataset) | {"rows": pixels.shape[0], "columns": pixels.shape[1]}
    except HeaderRefusal as refusal:
        raise DataError(refusal.finding.text, hint=refusal.finding.hint) from None
    except DAMAGE:
        raise _damaged() from None
    return Film(prepare(full_scale(contract), pixels), drawn, warnings, patient, study, identity, facts)


def _damaged() -> DataError:
    return DataError("The DICOM file is damaged", expected="one DICOM image, whole", hint="send it again from the archive")


def _opened(content: bytes, limits: Limits) -> Any:
    from pydicom.errors import BytesLengthException, InvalidDicomError

    damage: tuple[type[Exception], ...] = (InvalidDicomError, BytesLengthException, *DAMAGE)
    try:
        if _DEFLATED.encode() in content[:HEAD_BYTES]:
            _check_deflated(content, limits)
        return read_dataset(content)
    except damage:
        raise _damaged() from None


def _check_deflated(content: bytes, limits: Limits) -> None:
    """A deflated data set is unpacked whole before a field of it can be read; so its size is measured first."""
    from pydicom.filereader import read_preamble

    file = io.BytesIO(content)
    read_preamble(file, False)
    length = file.read(12)
    if length[:4] != b"\x02\x00\x00\x00":
        raise _damaged()
    start = file.tell() + struct.unpack("<I", length[8:])[0]
    unpacked, rest = 0, content[start:]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while rest and unpacked <= limits.unpacked_bytes:
        unpacked += len(inflater.decompress(rest, 1 << 20))
        rest = inflater.unconsumed_tail
    if unpacked > limits.unpacked_bytes:
        raise DataError(
            "The file unpacks to more than is read",
            expected=f"at most {limits.unpacked_bytes >> 20} MiB",
            hint="send it unpacked",
        )


def _check_declared(content: bytes, limits: Limits) -> None:
    """Pixels as the header declares them, before any is unpacked."""
    if content[:2] == GZIP and len(gunzipped(content, limits.unpacked_bytes + 1)) > limits.unpacked_bytes:
        raise DataError(
            "The file unpacks to more than is read",
            expected=f"at most {limits.unpacked_bytes >> 20} MiB",
            hint="send it unpacked",
        )
    kind = kind_of(content[:HEAD_BYTES])
    if kind not in ("PNG", "JPEG", "TIFF"):
        return
    try:
        with Image.open(io.BytesIO(content), formats=(kind,)) as image:
            width, height = image.size
    except _HEADER_DAMAGE:
        return  # the decoder says what is wrong with it
    if width * height > limits.pixels:
        raise _too_many_pixels(limits)


def _unpacks_to_more(limits: Limits) -> DataError:
    most = f"at most {limits.unpacked_bytes >> 20} MiB"
    return DataError("The file unpacks to more than is read", expected=most, hint="send it unpacked")


def _too_many_pixels(limits: Limits) -> DataError:
    return DataError(
        "The picture has too many pixels", expected=f"at most {limits.pixels / 1e6:g} million", hint="export it at a smaller size"
    )


def _need(decoded: Decoded, expected: str) -> NDArray[Any]:
    if decoded.pixels is not None:
        return decoded.pixels
    if decoded.problem is not None:
        raise DataError(decoded.problem[1], hint=decoded.problem[2])
    raise DataError("The image cannot be decoded", expected=expected, hint="export it again")


def _drawn(dataset: Any, pixels: NDArray[Any]) -> Shown:
    """The values before the film's window, so that a doctor can look beyond it; the window itself stands beside them."""
    fields = pixel_fields(dataset)
    if fields.photometry not in GREYS or fields.stored > 16:
        return Shown(_grey16(pixels))
    scale, _ = grey_scale_of(dataset, fields)
    if not isinstance(scale.voi, Window) or scale.voi.function == "SIGMOID":
        return Shown(_grey16(pixels))
    stored, _ = stored_picture(dataset, fields)
    whole = replace(scale, voi=None, inverted=False)
    table = np.rint(light_of(whole, np.arange(fields.range[0], fields.range[1] + 1)) * 65535).astype(np.uint16)
    position = stored.values if fields.range[0] == 0 else stored.values.astype(np.int32) - fields.range[0]
    low, high = scale.range
    ends = (scale.voi.center - scale.voi.width / 2, scale.voi.center + scale.voi.width / 2)
    window = tuple((end - low) / (high - low) * 65535 for end in ends)
    return Shown(np.take(table, position, mode="clip"), (window[0], window[1]), scale.inverted)


def _grey16(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """Colours as their luminance (ITU-R BT.601), which is how a grey screen shows them."""
    grey = pixels if pixels.ndim == 2 else pixels[..., 0] if pixels.shape[2] == 1 else _luminance(pixels)
    return grey.astype(np.uint16) * np.uint16(257) if grey.dtype == np.uint8 else grey.astype(np.uint16)


def _luminance(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.rint(pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(pixels.dtype)


def _reduced(drawn: Shown, limits: Limits) -> Shown:
    factor = -(-max(drawn.pixels.shape) // limits.shown_side)
    if factor <= 1:
        return drawn
    height, width = (side // factor * factor for side in drawn.pixels.shape)
    blocks = drawn.pixels[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return replace(drawn, pixels=np.rint(blocks.mean(axis=(1, 3))).astype(np.uint16), reduced=factor)


def _pseudonym(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:24] if text else ""


def _text(dataset: Any, name: str) -> str:
    """An element as one line of printable text, at most 120 signs; "" where it is absent or unreadable."""
    try:
        value = value_of(dataset, name)
    except HeaderRefusal:
        return ""
    line = "" if value is None else "".join(sign if sign.isprintable() else " " for sign in str(value))
    return " ".join(line.split())[:120]


def _facts(dataset: Any) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {name: text for name in _FACTS if (text := _text(dataset, name))}
    if match := _AGE.fullmatch(_text(dataset, "PatientAge")):
        facts["age"] = round(int(match[1]) * _DAYS[match[2]] / 365.25, 2)
    return facts
