"""The stored values of a picture, once its pixel data agree with what the header says of them.

pixel data --transfer syntax, length, size, depth--> cells --unused bits--> stored values, and which of them are padding
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.picture.codestream import codestream_of
from wardround.sources.dicom.picture.fields import PixelFields, whole, word
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal

_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_FAMILIES = {
    "1.2.840.10008.1.2.4.50": "jpeg",
    "1.2.840.10008.1.2.4.51": "jpeg",
    "1.2.840.10008.1.2.4.57": "jpeg",
    "1.2.840.10008.1.2.4.70": "jpeg",
    "1.2.840.10008.1.2.4.80": "jpeg-ls",
    "1.2.840.10008.1.2.4.81": "jpeg-ls",
    "1.2.840.10008.1.2.4.90": "jpeg-2000",
    "1.2.840.10008.1.2.4.91": "jpeg-2000",
}
ROUGHER = 8.0
"""Times by which neighbours differ more as declared than the other way round before it is said; of a grey picture it is three."""

_OVERLAYS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True)
class StoredPicture:
    """values: (height, width) as stored, or (height, width, 3) as RGB. padding: (height, width), no part of the picture; None
    where there is none."""

    values: NDArray[Any]
    padding: NDArray[np.bool_] | None = None

    @cached_property
    def seen(self) -> NDArray[Any]:
        """The values (n,) that are part of the picture."""
        return self.values.reshape(-1) if self.padding is None else self.values[~self.padding]


def stored_picture(dataset: Any, fields: PixelFields) -> tuple[StoredPicture, list[HeaderFinding]]:
    """Raises HeaderRefusal where the pixel data contradict the header."""
    doubts = list(_encoding_doubts(dataset, fields))
    native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if native and fields.samples == 1 and fields.allocated > 1:
        dataset.pixel_array_options(correct_unused_bits=False)
    cells = np.asarray(dataset.pixel_array)
    if fields.high_bit != fields.stored - 1:
        doubts.append(HeaderFinding("high-bit", f"{fields.high_bit} with {fields.stored} bits stored"))
    if cells.ndim == 3:
        if native and _smoother_by_pixel(fields, np.frombuffer(dataset.PixelData, np.uint8)):
            doubts.append(HeaderFinding("planes", f"PlanarConfiguration {fields.planar}"))
        return StoredPicture(cells), doubts
    padding = _padding(dataset, fields, cells)
    if padding is not None and padding.all():
        raise HeaderRefusal("all-padding")
    picture, more = _within_bits(dataset, fields, StoredPicture(cells, padding))
    return picture, [*doubts, *more, *_extremes(dataset, fields, picture.seen)]


def _encoding_doubts(dataset: Any, fields: PixelFields) -> Iterator[HeaderFinding]:
    """Whether the pixel data are what the transfer syntax says, and as long as the picture."""
    content: bytes = dataset.PixelData
    syntax = dataset.file_meta.TransferSyntaxUID
    packed = content[:4] in _ITEM
    if syntax.is_encapsulated:
        if not packed:
            raise HeaderRefusal("syntax", f"{_title(syntax)}, not compressed")
        _check_codestream(dataset, fields, str(syntax))
        return
    expected = fields.native_bytes
    if packed and (len(content) < expected or dataset["PixelData"].is_undefined_length):
        raise HeaderRefusal("syntax", f"{_title(syntax)}, compressed")
    if len(content) < expected:
        raise HeaderRefusal("pixels-short", f"{len(content)} bytes of {expected}")
    if fields.samples == 3 and fields.planar is None:
        raise HeaderRefusal("header-incomplete", "PlanarConfiguration")
    surplus = len(content) - expected
    if surplus >= expected and surplus % expected in (0, 1):
        raise HeaderRefusal("multi-frame", f"{len(content) // expected} times the pixels of one")
    if surplus > expected % 2:
        yield HeaderFinding("pixels-long", f"{len(content)} bytes for {expected}")


def _smoother_by_pixel(fields: PixelFields, content: NDArray[np.uint8]) -> bool:
    """Whether colours that are declared by plane agree far better with their neighbours where they are read by pixel.

    The reverse mistake cannot be told: planes read by pixel are as smooth as a grey picture.
    """
    if fields.planar != 1 or fields.allocated != 8 or fields.photometry == "YBR_FULL_422" or fields.columns < 2:
        return False
    samples = content[: fields.native_bytes].astype(np.int16)
    by_pixel = samples.reshape(fields.rows, fields.columns, 3)
    by_plane = samples.reshape(3, fields.rows, fields.columns).transpose(1, 2, 0)
    rough, smooth = (float(np.abs(np.diff(picture, axis=1)).mean()) for picture in (by_plane, by_pixel))
    return rough > ROUGHER * smooth


def _check_codestream(dataset: Any, fields: PixelFields, syntax: str) -> None:
    from pydicom.encaps import generate_fragments

    fragments = generate_fragments(dataset.PixelData)
    next(fragments, None)  # the table of offsets
    stream = codestream_of(next(fragments, b""))
    expected = _FAMILIES.get(syntax)
    if stream is None or expected is None:
        return
    if stream.family != expected:
        raise HeaderRefusal("syntax", f"{expected}, holds {stream.family}")
    of_header = (fields.rows, fields.columns, fields.samples)
    of_stream = (stream.rows, stream.columns, stream.samples)
    if of_header != of_stream or not fields.stored <= stream.bits <= fields.allocated:
        told = "{} x {}, {} samples, {} bits; holds {} x {}, {} samples, {} bits"
        raise HeaderRefusal("codestream", told.format(*of_header, fields.stored, *of_stream, stream.bits))


def _title(syntax: Any) -> str:
    from pydicom._uid_dict import UID_dictionary

    return str(syntax.name) if str(syntax) in UID_dictionary else "an unknown transfer syntax"


def _padding(dataset: Any, fields: PixelFields, cells: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels that are no part of the picture (PS3.3 C.7.5.1.1.2), told before unused bits are taken away."""
    value = whole(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = whole(dataset, "PixelPaddingRangeLimit")
    ends = sorted(_cell(number, fields) for number in (value, value if limit is None else limit))
    padding: NDArray[np.bool_] = (cells >= ends[0]) & (cells <= ends[1])
    return padding if padding.any() else None


def _cell(number: int, fields: PixelFields) -> int:
    """A value in the signedness of the pixels, whatever the word that it was written into."""
    if fields.signed and number >= 2 ** (fields.allocated - 1):
        return int(number - 2**fields.allocated)
    return int(number + 2**fields.allocated) if not fields.signed and number < 0 else number


def _within_bits(dataset: Any, fields: PixelFields, picture: StoredPicture) -> tuple[StoredPicture, list[HeaderFinding]]:
    """The values with the bits above BitsStored taken away, or the sign carried into them (PS3.5 8.1.1).

    Those bits may hold overlays in old files, and a sign; with anything else in them BitsStored is wrong.
    """
    seen, (low, high) = picture.seen, fields.range
    if low <= seen.min() and seen.max() <= high:
        return picture, []
    unused = fields.allocated - fields.stored
    raw = seen.view(np.dtype(f"u{seen.dtype.itemsize}"))
    above = (raw >> fields.stored).astype(np.int64)
    sign = ((raw >> (fields.stored - 1)) & 1).astype(bool)
    beyond = np.where(fields.signed & sign & (above == 2**unused - 1), 0, above)
    overlay = 0 if dataset.file_meta.TransferSyntaxUID.is_encapsulated else _overlay_bits(dataset, fields)
    if np.any(beyond & ~overlay):
        raise HeaderRefusal("beyond-bits", f"{int(seen.min())} to {int(seen.max())} with {fields.stored} bits stored")
    values = np.right_shift(np.left_shift(picture.values, unused), unused)
    return StoredPicture(values, picture.padding), [HeaderFinding("overlay-bits")] if np.any(beyond) else []


def _overlay_bits(dataset: Any, fields: PixelFields) -> int:
    """The unused bits, from 0, that overlays without data of their own declare as theirs (PS3.3 C.9.2)."""
    bits = 0
    for group in _OVERLAYS:
        position = dataset.get((group, 0x0102))
        if position is not None and (group, 0x3000) not in dataset and str(position.value).isdigit():
            bits |= 1 << max(int(position.value) - fields.stored, 0) if int(position.value) >= fields.stored else 0
    return bits


def _extremes(dataset: Any, fields: PixelFields, values: NDArray[Any]) -> list[HeaderFinding]:
    """Smallest and largest value as the header says them, against the pixels. A lossy copy may go beyond them by rounding, and
    0 to 0 is what devices write that do not measure them."""
    smallest, largest = (whole(dataset, f"{name}ImagePixelValue") for name in ("Smallest", "Largest"))
    if smallest is None or largest is None or smallest == largest:
        return []
    modulus, half = 2**fields.stored, 2 ** (fields.stored - 1)
    declared = (smallest % modulus, largest % modulus)
    least, most = int(values.min()), int(values.max())
    if (least % modulus, most % modulus) == declared:
        return []
    bits = values.astype(np.int64) % modulus
    other = bits if fields.signed else np.where(bits >= half, bits - modulus, bits)
    told = f"{smallest} to {largest}"
    if np.any(bits >= half) and (int(other.min()) % modulus, int(other.max()) % modulus) == declared:
        raise HeaderRefusal("pixel-representation", f"{int(fields.signed)}, values {told}")
    if word(dataset, "LossyImageCompression") == "01" or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return []
    if least < _cell(smallest, fields) or most > _cell(largest, fields):
        return [HeaderFinding("extremes", told)]
    return []
