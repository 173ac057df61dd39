"""A DICOM data set as the picture that a radiologist's screen would show, with everything that is doubtful of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.picture.display import GreyScale, Window, grey_scale_of, light_of, square_doubts
from wardround.sources.dicom.picture.fields import GREYS, PixelFields, pixel_fields, value_of, whole, word
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal
from wardround.sources.dicom.picture.palette import coloured
from wardround.sources.dicom.picture.stored import StoredPicture, stored_picture

NEARLY_BLACK, NEARLY_WHITE = 0.01, 0.99
SMALL_TABLE = 16
"""Bits up to which the light of every value that can occur is worked out."""

FLAT = 2.0 / 255
"""Range of light, of full scale, within which a picture shows nothing."""

UNUSED = 1.0 / 16
"""Share of the declared range below which a picture without a window was probably stored with fewer bits than declared."""


@dataclass(frozen=True)
class ShownPicture:
    """pixels: uint8 where up to 8 bits are stored, else uint16, at full scale; None where the last of `findings` refuses it.
    padding: (height, width) the black pixels that are no part of the picture; None where there are none."""

    pixels: NDArray[Any] | None
    findings: tuple[HeaderFinding, ...]
    padding: NDArray[np.bool_] | None = None


def show_picture(dataset: Any) -> ShownPicture:
    """Exceptions of the decoder pass through: they say that the file is damaged, not which field is wrong."""
    try:
        _check_frames(dataset)
        fields = pixel_fields(dataset)
        _check_syntax(dataset)
        stored, doubts = stored_picture(dataset, fields)
        pixels, more = _pixels(dataset, fields, stored)
        padding = stored.padding if fields.photometry in GREYS else None
        return ShownPicture(pixels, (*doubts, *more, *_content_doubts(dataset)), padding)
    except HeaderRefusal as refusal:
        return ShownPicture(None, (refusal.finding,))


def _check_frames(dataset: Any) -> None:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise HeaderRefusal("float-pixels")
    if "PixelData" not in dataset or not value_of(dataset, "PixelData"):
        raise HeaderRefusal("no-pixels")
    if (whole(dataset, "NumberOfFrames") or 1) > 1:
        raise HeaderRefusal("multi-frame", str(whole(dataset, "NumberOfFrames")))
    if "SharedFunctionalGroupsSequence" in dataset or "PerFrameFunctionalGroupsSequence" in dataset:
        raise HeaderRefusal("enhanced")


def _check_syntax(dataset: Any) -> None:
    if not dataset.file_meta.get("TransferSyntaxUID"):
        raise HeaderRefusal("header-incomplete", "TransferSyntaxUID")


def _pixels(dataset: Any, fields: PixelFields, stored: StoredPicture) -> tuple[NDArray[Any], list[HeaderFinding]]:
    if fields.photometry == "PALETTE COLOR":
        return coloured(dataset, fields, stored.values)
    if fields.photometry not in GREYS:
        return _at_full_scale(fields, stored.values / fields.range[1]), []
    scale, doubts = grey_scale_of(dataset, fields)
    low, high = fields.range
    if fields.stored <= SMALL_TABLE:
        # What a value becomes is worked out once for each that can occur: a picture has more pixels than that.
        light = light_of(scale, np.arange(low, high + 1))
        position = stored.values if low == 0 else stored.values.astype(np.int32) - low
        pixels = np.take(_at_full_scale(fields, light), position, mode="clip")
        seen = light[np.flatnonzero(np.bincount(StoredPicture(position, stored.padding).seen, minlength=len(light)))]
    else:
        light = light_of(scale, stored.values)
        pixels, seen = _at_full_scale(fields, light), StoredPicture(light, stored.padding).seen
    light_doubts = _light_doubts(scale, seen)
    if stored.padding is not None:
        pixels[stored.padding] = 0
        if not light_doubts and stored.padding.any() and np.ptp(np.clip(seen, 0.0, 1.0)) < FLAT:
            light_doubts = [HeaderFinding("constant-but-padding")]  # black padding beside it hides this from all later looks
    return pixels, [*doubts, *light_doubts]


def _at_full_scale(fields: PixelFields, light: NDArray[np.float64]) -> NDArray[Any]:
    top, kept = (65535, np.uint16) if fields.stored > 8 else (255, np.uint8)
    return np.rint(np.clip(light, 0.0, 1.0) * top).astype(kept)


def _light_doubts(scale: GreyScale, seen: NDArray[np.float64]) -> list[HeaderFinding]:
    """What the light of the pixels says of their window. Padding is no part of the picture and has no say."""
    if len(seen) == 1:
        return []  # told as an image that shows nothing
    if scale.voi is None:
        low, high = scale.range
        brightest = seen.max() if not scale.inverted else 1.0 - seen.min()
        return [HeaderFinding("bits-unused", f"range {low:g} to {high:g}")] if brightest < UNUSED else []
    if seen.max() < NEARLY_BLACK or seen.min() > NEARLY_WHITE:
        window = scale.voi
        told = f"center {window.center:g}, width {window.width:g}" if isinstance(window, Window) else "a table"
        return [HeaderFinding("window-outside", told)]
    return []


def _content_doubts(dataset: Any) -> list[HeaderFinding]:
    doubts = square_doubts(dataset)
    if word(dataset, "BurnedInAnnotation") == "YES":
        doubts.append(HeaderFinding("burned-in", "YES"))
    return doubts
