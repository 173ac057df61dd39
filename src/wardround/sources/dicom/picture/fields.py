"""Fields of a DICOM header, read as what they should be. A value of another kind is refused by its field's name."""

import math
from dataclasses import dataclass
from typing import Any

from wardround.sources.dicom.picture.findings import HeaderRefusal
from wardround.sources.files.damage import DAMAGE

GREYS = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
ALLOCATED = (1, 8, 16, 32)
LARGEST = 2**27
"""Pixels; a small compressed file may claim any number, and the decoder would make room for them."""


def value_of(dataset: Any, name: str) -> Any:
    """The value of an element, None where it is absent or empty."""
    try:
        value = dataset.get(name)
    except (*DAMAGE, _bytes_length()):
        raise HeaderRefusal("header-unreadable", name) from None
    return None if value is None or value == "" or (hasattr(value, "__len__") and not len(value)) else value


def _bytes_length() -> type[Exception]:
    from pydicom.errors import BytesLengthException

    return BytesLengthException


def values_of(dataset: Any, name: str) -> list[Any]:
    """The values of an element with one value or several; none where it is absent."""
    value = value_of(dataset, name)
    if value is None:
        return []
    return [value] if isinstance(value, str | bytes | int | float) or not hasattr(value, "__iter__") else list(value)


def word(dataset: Any, name: str) -> str:
    """The first value as a code word, trimmed, in capitals as the standard writes them; "" where it is absent."""
    values = values_of(dataset, name)
    return str(values[0]).strip(" \0").upper() if values else ""


def whole(dataset: Any, name: str) -> int | None:
    number = real(dataset, name)
    if number is not None and number != int(number):
        raise HeaderRefusal("header-unreadable", f"{name} {number:g}")
    return None if number is None else int(number)


def real(dataset: Any, name: str) -> float | None:
    """The first value as a finite number."""
    numbers = reals(dataset, name)
    return numbers[0] if numbers else None


def reals(dataset: Any, name: str) -> list[float]:
    """The values as finite numbers."""
    values = values_of(dataset, name)
    try:
        numbers = [float(value) for value in values]
    except DAMAGE:
        raise HeaderRefusal("header-unreadable", f"{name} {str(values)[:64]}") from None
    if not all(map(math.isfinite, numbers)):
        raise HeaderRefusal("header-unreadable", f"{name} {str(values)[:64]}")
    return numbers


@dataclass(frozen=True)
class PixelFields:
    """The fields that say what the bits of the pixel data mean. planar: None where it is absent."""

    rows: int
    columns: int
    samples: int
    photometry: str
    planar: int | None
    allocated: int
    stored: int
    high_bit: int
    signed: bool

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value that BitsStored can hold."""
        if self.signed:
            return -(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1
        return 0, 2**self.stored - 1

    @property
    def native_bytes(self) -> int:
        """Of one frame that is not compressed; YBR_FULL_422 keeps two of three samples (PS3.3 C.7.6.3.1.2)."""
        samples = 2 if self.photometry == "YBR_FULL_422" else self.samples
        return (self.rows * self.columns * samples * self.allocated + 7) // 8


def pixel_fields(dataset: Any) -> PixelFields:
    """Raises HeaderRefusal where a field is absent, or where two of them cannot both be true."""
    photometry = word(dataset, "PhotometricInterpretation")
    if photometry not in (*GREYS, *COLOURS, "PALETTE COLOR"):
        raise HeaderRefusal("photometry" if photometry else "header-incomplete", photometry or "PhotometricInterpretation")
    rows, columns, samples = (_needed(dataset, name) for name in ("Rows", "Columns", "SamplesPerPixel"))
    if rows * columns > LARGEST:
        raise HeaderRefusal("too-large", f"{rows} x {columns}")
    allocated, stored = (_needed(dataset, name) for name in ("BitsAllocated", "BitsStored"))
    representation = whole(dataset, "PixelRepresentation")
    if representation not in (0, 1):
        raise HeaderRefusal("header-incomplete" if representation is None else "header-unreadable", "PixelRepresentation")
    if samples != (3 if photometry in COLOURS else 1):
        raise HeaderRefusal("samples", f"{samples} of {photometry}")
    if samples == 3 and representation == 1:
        raise HeaderRefusal("signed-colours", photometry)
    if allocated not in ALLOCATED or stored > allocated:
        raise HeaderRefusal("bits", f"{stored} of {allocated}")
    high_bit, planar = whole(dataset, "HighBit"), whole(dataset, "PlanarConfiguration")
    if planar not in (None, 0, 1):
        raise HeaderRefusal("header-unreadable", f"PlanarConfiguration {planar}")
    high_bit = stored - 1 if high_bit is None else high_bit
    return PixelFields(rows, columns, samples, photometry, planar, allocated, stored, high_bit, representation == 1)


def _needed(dataset: Any, name: str) -> int:
    number = whole(dataset, name)
    if number is None:
        raise HeaderRefusal("header-incomplete", name)
    if number < 1:
        raise HeaderRefusal("header-unreadable", f"{name} {number}")
    return number
