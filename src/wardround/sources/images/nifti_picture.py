"""One NIfTI file with one slice to pixels, the way a radiologist looks at it. The only home of nibabel.

    bytes --unpacked as far as the header says--> header --shape, type--> stored values --slope, intercept, window--> grey
                                                  header --affine-------> which axis is up, and which way around  --> picture

Rows run from anterior to posterior (axial) or from superior to inferior (coronal, sagittal). Columns run from the patient's right
to the left (axial, coronal) or from anterior to posterior (sagittal). In NIfTI the world's axes point to the right, the front and
the top: all four run against their axis. Nothing is guessed from a pixel: the depth follows from the type in the header.
"""

import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.file_tree import LARGEST_FILE
from wardround.sources.images.picture_kinds import GZIP, NIFTI_HEAD, NiftiForm, nifti_form
from wardround.sources.images.pixels import windowed
from wardround.study.contract import ImageContract
from wardround.values.errors import MissingExtraError

NIFTI_FAULTS: Mapping[str, tuple[str, str]] = {
    "nifti-volume": (
        "NIfTI files hold several slices or time points each",
        "export the slices that the study means, each as a file of its own",
    ),
    "nifti-shape": ("NIfTI files hold no picture of two dimensions", "export each slice with its rows and columns"),
    "nifti-type": (
        "NIfTI files hold numbers of a kind that is not read, such as complex ones or colours with transparency",
        "export them as whole numbers, as float32 or float64, or as RGB of 8 bits",
    ),
    "nifti-header": ("NIfTI headers contradict themselves or their file", "export these files again"),
    "nifti-scale": (
        "NIfTI headers have a slope or intercept that is no number",
        "export these files again; slope 1 and intercept 0 leave values as they are",
    ),
    "nifti-no-affine": (
        "NIfTI files do not say which way up they are",
        "export them with their orientation (sform or qform), or save them the right way up as PNG",
    ),
    "nifti-two-affines": (
        "NIfTI files say by sform and by qform two different ways up",
        "export them with one orientation, or save them the right way up as PNG",
    ),
    "nifti-between-axes": (
        "NIfTI slices lie so far between the patient's axes that no way up is the right one",
        "export slices along the patient's axes, or save them the right way up as PNG",
    ),
    "nifti-oblique": (
        "NIfTI slices are tilted by more than 10 degrees; they are shown along the nearest axes",
        "nothing is to be done if the other hospitals' slices are tilted the same way",
    ),
    "nifti-no-window": (
        "NIfTI slices hold fractions, negative numbers or numbers above 65535, whose black and white nobody can tell",
        "agree on both with the other hospitals: window = [black, white] under [data.image]",
    ),
}

_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_RGB = 128
_CHUNK = 2**20
_Stream = io.BytesIO | gzip.GzipFile
_TILTED, _BETWEEN = math.cos(math.radians(10)), math.cos(math.radians(40))


class NiftiRefusal(Exception):
    """code: a key of the faults of images."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_slice(content: bytes, contract: ImageContract) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Pixels as uint8 or uint16, (height, width) or (height, width, 3), and the codes of what is doubtful.

    Raises NiftiRefusal. No more is unpacked than the header asks for, and that is bounded before.
    """
    try:
        plain = io.BytesIO(content)
        return _picture(gzip.GzipFile(fileobj=plain) if content[:2] == GZIP else plain, contract)
    except EOFError:
        raise NiftiRefusal("cut-short-image") from None
    except DAMAGE:
        raise NiftiRefusal("corrupt-image") from None


@dataclass(frozen=True)
class _Layout:
    """sides: pixels along the two axes, numbered `axes`, of which the first varies fastest in the file. offset: of the values."""

    axes: tuple[int, int]
    sides: tuple[int, int]
    stored: np.dtype[Any]
    offset: int
    colour: bool

    @property
    def length(self) -> int:
        return self.sides[0] * self.sides[1] * self.stored.itemsize * (3 if self.colour else 1)


def _picture(stream: _Stream, contract: ImageContract) -> tuple[NDArray[Any], tuple[str, ...]]:
    head = _read(stream, NIFTI_HEAD)
    form = nifti_form(head)
    if form is None or not form.single:
        raise NiftiRefusal("corrupt-image")
    header = _header(head, form)
    layout = _layout(header, form)
    directions = _directions(header, layout.axes)
    scale = _scale(header)
    stored = np.frombuffer(_values(stream, layout), layout.stored)
    flat = stored.reshape(-1, 3) if layout.colour else _grey(stored, scale, contract)
    pixels = flat.reshape(layout.sides[1], layout.sides[0], *flat.shape[1:]).swapaxes(0, 1)
    doubts = ("nifti-oblique",) if any(direction.cosine < _TILTED for direction in directions) else ()
    return _upright(pixels, directions), doubts


def _read(stream: _Stream, length: int) -> bytes:
    """At most so many bytes; memory grows with what is there, not with what a header claims."""
    content = bytearray()
    while len(content) < length and (chunk := stream.read(min(_CHUNK, length - len(content)))):
        content += chunk
    return bytes(content)


def _header(head: bytes, form: NiftiForm) -> Any:
    try:
        from nibabel.nifti1 import Nifti1Header
        from nibabel.nifti2 import Nifti2Header
    except ImportError:
        raise MissingExtraError("Reading NIfTI needs nibabel", hint="pip install 'wardround[nifti]'") from None
    length = 348 if form.version == 1 else 540
    if len(head) < length:
        raise NiftiRefusal("cut-short-image")
    kind: Any = {1: Nifti1Header, 2: Nifti2Header}[form.version]
    return kind(head[:length], form.order, check=False)  # its check would mend a header, and log what the header holds


def _layout(header: Any, form: NiftiForm) -> _Layout:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _TYPES and code != _RGB:
        raise NiftiRefusal("nifti-type")
    stored = np.dtype(_TYPES.get(code, "u1")).newbyteorder(form.order)
    axes, sides = _plane([int(side) for side in header["dim"]])
    offset = float(header["vox_offset"])
    layout = _Layout(axes, sides, stored, int(offset) if math.isfinite(offset) else -1, code == _RGB)
    if bits != stored.itemsize * (24 if layout.colour else 8) or layout.offset != offset:
        raise NiftiRefusal("nifti-header")
    if layout.offset < (352 if form.version == 1 else 544):
        raise NiftiRefusal("nifti-header")
    if sides[0] * sides[1] > (Image.MAX_IMAGE_PIXELS or 0):
        raise NiftiRefusal("too-many-pixels")
    if layout.offset + layout.length > LARGEST_FILE:
        raise NiftiRefusal("too-large-file")
    return layout


def _plane(dim: list[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two axes of the three of space along which there is more than one pixel, and how many there are."""
    count, shape = dim[0], dim[1 : 1 + max(0, dim[0])]
    if not 1 <= count <= 7 or min(shape) < 1:
        raise NiftiRefusal("nifti-header")
    long = [axis for axis, side in enumerate(shape) if side > 1]
    if len(long) > 2 or (long and long[-1] > 2):
        raise NiftiRefusal("nifti-volume")
    if len(long) < 2:
        raise NiftiRefusal("nifti-shape")
    return (long[0], long[1]), (shape[long[0]], shape[long[1]])


def _values(stream: _Stream, layout: _Layout) -> bytes:
    """The stored values, which must end where the file does. To its end a gzip file is checked by its own sum."""
    stream.seek(layout.offset)
    content = _read(stream, layout.length)
    if len(content) < layout.length:
        raise NiftiRefusal("cut-short-image")
    if stream.read(1):
        raise NiftiRefusal("nifti-header")
    return content


def _scale(header: Any) -> tuple[float, float]:
    """Slope and intercept. A slope of 0 means that neither counts (NIfTI-1, scl_slope)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise NiftiRefusal("nifti-scale")
    return slope, intercept


def _grey(stored: NDArray[Any], scale: tuple[float, float], contract: ImageContract) -> NDArray[Any]:
    """8 bits where the file stores 8 and no window or scale changes them, else 16: never by what one image holds."""
    if contract.window is None and stored.dtype.kind == "u" and stored.dtype.itemsize == 1 and scale == (1.0, 0.0):
        return stored
    pixels = np.empty(stored.shape, np.uint16)
    for at in range(0, stored.size, _CHUNK):
        with np.errstate(all="ignore"):
            values = stored[at : at + _CHUNK].astype(np.float64) * scale[0] + scale[1]
        if not np.isfinite(values).all():
            raise NiftiRefusal("not-finite")
        window, white = contract.window, contract.white_16
        pixels[at : at + _CHUNK] = _whole(values) if window is None else windowed(values, window, white)
    return pixels


def _whole(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() > 65535 or (values != np.rint(values)).any():
        raise NiftiRefusal("nifti-no-window")
    return values.astype(np.uint16)


@dataclass(frozen=True)
class _Direction:
    """The world's axis (0 right, 1 anterior, 2 superior) nearest to an axis of the file, and whether both point the same way."""

    axis: int
    along: bool
    cosine: float


def _directions(header: Any, axes: tuple[int, int]) -> tuple[_Direction, _Direction]:
    """Of the file's two axes, by its sform or else its qform; where it has both, they must agree."""
    affines = [affine for affine in _affines(header) if affine is not None]
    if not affines:
        raise NiftiRefusal("nifti-no-affine")
    first, *others = [(_direction(affine[:3, axes[0]]), _direction(affine[:3, axes[1]])) for affine in affines]
    if any((a.axis, a.along) != (b.axis, b.along) for other in others for a, b in zip(first, other, strict=True)):
        raise NiftiRefusal("nifti-two-affines")
    if first[0].axis == first[1].axis or min(direction.cosine for direction in first) < _BETWEEN:
        raise NiftiRefusal("nifti-between-axes")
    return first


def _affines(header: Any) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    from nibabel.spatialimages import HeaderDataError

    try:
        return header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError):  # no rotation
        raise NiftiRefusal("nifti-no-affine") from None


def _direction(column: NDArray[Any]) -> _Direction:
    length = float(np.linalg.norm(column))
    if not (math.isfinite(length) and length > 0):
        raise NiftiRefusal("nifti-no-affine")
    axis = int(np.argmax(np.abs(column)))
    return _Direction(axis, bool(column[axis] > 0), abs(float(column[axis])) / length)


def _upright(pixels: NDArray[Any], directions: tuple[_Direction, _Direction]) -> NDArray[Any]:
    """From the file's axes to rows and columns. Up is superior, or anterior where no axis is; every row and column runs against
    the world's axis."""
    rows, columns = directions
    if rows.axis < columns.axis:
        pixels, rows, columns = pixels.swapaxes(0, 1), columns, rows
    pixels = pixels[::-1] if rows.along else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if columns.along else pixels)
