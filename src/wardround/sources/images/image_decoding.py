"""One PNG, JPEG, TIFF or NIfTI file to pixels. Each cause that stands in the way has its own name and its own mend."""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wardround.sources.files.damage import DAMAGE
from wardround.sources.images.nifti_picture import NIFTI_FAULTS, NiftiRefusal, read_slice
from wardround.sources.images.picture_kinds import HEAD_BYTES, READ_KINDS, kind_of
from wardround.sources.images.pixels import windowed
from wardround.study.contract import ImageContract

Fault = tuple[str, str, str]
"""Code, text and mend."""

FAULTS: Mapping[str, tuple[str, str]] = {
    "empty-file": ("Image files are empty, of 0 bytes", "copy or export them again, or take them out"),
    "too-large-file": ("Image files are larger than 512 MiB", "export them as PNG at a smaller size, or take them out"),
    "not-an-image": (
        "Files have the name of an image and hold none",
        "look at one with a text editor: it may tell what went wrong; export them again, or take them out",
    ),
    "cut-short-image": ("Images are cut short", "copy or export them again, and compare their size with the original"),
    "corrupt-image": ("Images cannot be decoded", "export these images again, or take them out"),
    "too-many-pixels": ("Images have more than 89 million pixels", "export them at a smaller size, or take them out"),
    "several-pictures": ("Image files hold several pictures each", "export each picture as a file of its own"),
    "cmyk-image": ("Images are in CMYK, the colours of print", "convert them to grey or RGB, and save them as PNG"),
    "colour-space": ("Images are in a colour space that is not read", "convert them to grey or RGB, and save them as PNG"),
    "transparent-image": (
        "Images are transparent in part, and have no agreed look",
        "flatten them onto one background, and save them as PNG without transparency",
    ),
    "float-image": (
        "Images hold fractions, whose black and white nobody can tell",
        "save them as PNG of 8 or 16 bits, all with the same black and white, or agree on both: window = [black, white] under "
        "[data.image]",
    ),
    "deep-image": ("Images have more than 16 bits", "save them as PNG of 8 or 16 bits, all with the same black and white"),
    "signed-image": (
        "Images hold signed numbers, whose black and white nobody can tell",
        "save them as PNG of 8 or 16 bits, all with the same black and white",
    ),
    "deep-colour": (
        "Colour images have 16 bits a channel, of which 8 would be lost",
        "save grey images as grey PNG of 16 bits, and colour images with 8 bits a channel",
    ),
    "white-is-zero": ("TIFF images of 16 bits store white as 0", "save them as PNG, or as TIFF in which black is 0"),
    "jpeg-kind": (
        "JPEG images have 12 bits or are lossless, which is not read",
        "save them as PNG of 16 bits",
    ),
    "not-finite": ("Images hold NaN or infinite values", "export these images again, with a number in every pixel"),
    **NIFTI_FAULTS,
}


GREY_BELOW: Fault = (
    "grey-below",
    "JPEG images are one even grey below, as where the rest of a file did not come",
    "look at them; copy or export them again, and compare their size with the original",
)
FILLED, BLOCK_ROWS = 128, 8
"""What a decoder shows where no data came: middle grey, in rows of whole blocks (ITU T.81, A.3.1 and F.2.2)."""


@dataclass(frozen=True)
class Decoded:
    """pixels: None where they cannot be had, for the reason `problem` (code, text, hint) or because the file is corrupt.
    patient: the one the file itself names. doubts: what is said of an image that is used. padding: pixels that the file declares
    to be no part of the picture; None where it declares none."""

    pixels: NDArray[Any] | None
    patient: str = ""
    problem: Fault | None = None
    doubts: tuple[Fault, ...] = ()
    padding: NDArray[np.bool_] | None = None


def decode(content: bytes, contract: ImageContract) -> Decoded:
    """Pixels as uint8 or uint16, (height, width) or (height, width, 3). The contract's window says what black and white are.

    Transparency is dropped where the image is opaque. An image beyond Pillow's limit of 89 million pixels may be a bomb and is
    refused (a mammogram at full size has about 30).
    """
    with bombs_refused():
        return decode_guarded(content, contract)


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Pillow's warning of a bomb is an error meanwhile, in every thread; its other warnings may quote what a file holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_guarded(content: bytes, contract: ImageContract) -> Decoded:
    """`decode` for threads: the caller holds `bombs_refused`, which changes what all threads share."""
    kind = kind_of(content[:HEAD_BYTES])
    if not content:
        return _refused("empty-file")
    if kind not in READ_KINDS:
        return Decoded(None, problem=_otherwise(kind))
    if kind == "JPEG" and not _is_common_jpeg(content):
        return _refused("jpeg-kind")
    if kind == "NIfTI":
        return _slice(content, contract)
    try:
        with Image.open(io.BytesIO(content), formats=(kind,)) as image:
            code = _header_fault(image, content, contract)
            if code is not None:
                return _refused(code)
            image.load()
            doubts = (GREY_BELOW,) if kind == "JPEG" and _is_grey_below(image) else ()
            upright = ImageOps.exif_transpose(image)
        decoded = _pixels(upright, kind, contract)
        return decoded if decoded.pixels is None else replace(decoded, doubts=doubts)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _refused("too-many-pixels")
    except DAMAGE:
        return _refused("cut-short-image" if _is_cut_short(content, kind) else "corrupt-image")


def _slice(content: bytes, contract: ImageContract) -> Decoded:
    try:
        pixels, doubts = read_slice(content, contract)
    except NiftiRefusal as refusal:
        return _refused(refusal.code)
    return Decoded(pixels, doubts=tuple(map(fault_named, doubts)))


def fault_named(code: str) -> Fault:
    return (code, *FAULTS[code])


def _refused(code: str) -> Decoded:
    return Decoded(None, problem=fault_named(code))


def _otherwise(kind: str) -> Fault:
    """A file that has the name of an image, and is something else by its first bytes."""
    if not kind:
        return fault_named("not-an-image")
    text = f"Files have the name of another kind of image and are {kind}"
    if kind == "DICOM":
        return (
            "named-otherwise:DICOM",
            text,
            "give them names that end in .dcm, and put them into a folder without other images",
        )
    code = f"named-otherwise:{kind.replace(' ', '-')}"
    return code, text, "save them as PNG; a new name alone does not change what they are"


def _header_fault(image: Image.Image, content: bytes, contract: ImageContract) -> str | None:
    """What the header tells before any pixel is unpacked."""
    if getattr(image, "n_frames", 1) > 1:
        return "several-pictures"
    if image.format == "PNG" and content[24] == 16 and content[25] in _COLOURED:
        return "deep-colour"
    if image.format == "TIFF":
        return _tiff_fault(image, contract)
    return None


_COLOURED = (2, 4, 6)
"""Colour types of a PNG that Pillow brings down to 8 bits: RGB, grey with alpha, RGB with alpha (PNG, 11.2.1)."""
_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT = 262, 258, 339


def _tiff_fault(image: Any, contract: ImageContract) -> str | None:
    tags = image.tag_v2
    bits, formats = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
    if 3 in formats:
        return "float-image" if contract.window is None else None
    if 2 in formats:
        return "signed-image"
    if max(bits) > 16:
        return "deep-image"
    if len(bits) > 1 and max(bits) > 8:
        return "deep-colour"
    return "white-is-zero" if tags.get(_PHOTOMETRIC) == 0 and max(bits) > 8 else None


def _pixels(image: Image.Image, kind: str, contract: ImageContract) -> Decoded:
    if image.mode == "CMYK":
        return _refused("cmyk-image")
    if image.mode == "F":
        return _fractions(np.array(image), contract)
    if image.mode == "I" and kind != "PNG":
        return _refused("deep-image")
    if _is_transparent(image):
        return _refused("transparent-image")
    if image.mode in ("L", "RGB"):
        return Decoded(np.array(image))
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Decoded(np.array(image).astype(np.uint16))
    if image.mode in ("1", "LA"):
        return Decoded(np.array(image.convert("L")))
    if image.mode in ("P", "PA", "RGBA"):
        return Decoded(np.array(image.convert("RGB")))
    return _refused("colour-space")


def _fractions(values: NDArray[Any], contract: ImageContract) -> Decoded:
    if contract.window is None:
        return _refused("float-image")
    if not np.isfinite(values).all():
        return _refused("not-finite")
    return Decoded(windowed(values, contract.window, contract.white_16))


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel is: by its own alpha, by its palette, or by the colour that stands for nothing."""
    key = image.info.get("transparency")
    if image.mode in ("LA", "RGBA", "PA") or (image.mode == "P" and key is not None):
        return bool(np.array(image.convert("RGBA").getchannel("A")).min() < 255)
    if key is None:
        return False
    same = np.array(image) == np.array(key)
    return bool(same.all(axis=-1).any() if same.ndim == 3 else same.any())


def _is_cut_short(content: bytes, kind: str) -> bool:
    ends = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
    return kind in ends and ends[kind] not in content


def _is_grey_below(image: Image.Image) -> bool:
    """Whether the last rows hold nothing but what a decoder fills in. A scan that is cut short may still end with the mark of a
    whole file, and the decoder says nothing then. None of 5,856 whole X-rays looks so."""
    if image.height <= BLOCK_ROWS or image.mode not in ("L", "RGB"):
        return False
    below = image.crop((0, image.height - BLOCK_ROWS, image.width, image.height))
    return all(extreme == FILLED for band in below.split() for extreme in band.getextrema())


def _is_common_jpeg(content: bytes) -> bool:
    """Whether the frame is of 8 bits and one of those that are read (ITU T.81, table B.1: SOF0 to 2, 9, 10)."""
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and content[at + 4] == 8
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return True  # no frame: the decoder says what is wrong
