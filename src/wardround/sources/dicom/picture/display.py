"""From stored values to light, as a radiologist's screen would show them (PS3.3 C.11.1 and C.11.2).

    stored values --modality table, or slope and intercept--> --VOI table or window--> 0..1 --MONOCHROME1: 1 - x--> 0..1

What a value becomes depends on the header alone, never on the other pixels of the picture: brightness would else depend on
what the picture shows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.picture.fields import PixelFields, real, reals, values_of, word
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal
from wardround.sources.dicom.picture.lookup import LookupTable, looked_up, read_table

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_NO_HOUNSFIELD = frozenset({"CR", "DX", "MG", "RF", "XA", "US", "MR", "IO", "PX"})
_LUT_ELEMENTS = ("LUTDescriptor", "LUTData")


@dataclass(frozen=True)
class Window:
    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True)
class GreyScale:
    """modality: a table, or slope and intercept. range: of its output. voi: None shows the whole range. inverted: MONOCHROME1."""

    modality: LookupTable | tuple[float, float]
    range: tuple[float, float]
    voi: LookupTable | Window | None = None
    inverted: bool = False


def light_of(scale: GreyScale, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Stored values as light, 0 black to 1 white.

    >>> light_of(GreyScale((1.0, 0.0), (0, 255), inverted=True), np.array([0, 51, 255])).tolist()
    [1.0, 0.8, 0.0]
    """
    if isinstance(scale.modality, LookupTable):
        values = looked_up(scale.modality, stored).astype(np.float64)
    else:
        values = stored.astype(np.float64) * scale.modality[0] + scale.modality[1]
    if isinstance(scale.voi, LookupTable):
        light = looked_up(scale.voi, values) / scale.voi.top
    elif scale.voi is not None:
        light = windowed(values, scale.voi.center, scale.voi.width, scale.voi.function)
    else:
        low, high = scale.range
        light = np.clip((values - low) / (high - low), 0.0, 1.0)
    return 1.0 - light if scale.inverted else light


def windowed(values: NDArray[np.float64], center: float, width: float, function: str = "LINEAR") -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 (LINEAR, equation for y in 0..1) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    >>> windowed(np.array([0.0, 127.5, 255.0]), 128, 256).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp of a large number is infinity, and 1 / infinity the right 0
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - center) / width)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def grey_scale_of(dataset: Any, fields: PixelFields) -> tuple[GreyScale, list[HeaderFinding]]:
    """The scale that a header declares, and what is doubtful of it. Raises HeaderRefusal where it cannot be right."""
    modality, outputs, doubts = _modality(dataset, fields)
    voi, more = _voi(dataset, outputs, _little_endian(dataset))
    inverted = fields.photometry == "MONOCHROME1"
    shape = word(dataset, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE") and inverted != (shape == "INVERSE"):
        more.append(HeaderFinding("presentation-shape", f"{shape} with {fields.photometry}"))
    return GreyScale(modality, outputs, voi, inverted), [*doubts, *more]


def _modality(
    dataset: Any, fields: PixelFields
) -> tuple[LookupTable | tuple[float, float], tuple[float, float], list[HeaderFinding]]:
    items = values_of(dataset, "ModalityLUTSequence")
    slope, intercept = real(dataset, "RescaleSlope"), real(dataset, "RescaleIntercept")
    if items:
        if (slope, intercept) not in ((None, None), (1.0, 0.0)):
            raise HeaderRefusal("modality-twice", f"slope {slope}, intercept {intercept}")
        table, doubts = read_table(items[0], _LUT_ELEMENTS, fields.range, _little_endian(dataset))
        return table, (0.0, float(table.top)), doubts
    if slope == 0:
        raise HeaderRefusal("rescale-slope", "0")
    doubts = []
    if (slope is None) != (intercept is None):
        doubts.append(HeaderFinding("rescale-incomplete", f"slope {slope}, intercept {intercept}"))
    modality = word(dataset, "Modality")
    if word(dataset, "RescaleType") == "HU" and modality in _NO_HOUNSFIELD:
        doubts.append(HeaderFinding("rescale-type", f"HU with {modality}"))
    line = (1.0 if slope is None else slope, 0.0 if intercept is None else intercept)
    ends = sorted(end * line[0] + line[1] for end in fields.range)
    return line, (ends[0], ends[1]), doubts


def _voi(
    dataset: Any, inputs: tuple[float, float], little_endian: bool
) -> tuple[LookupTable | Window | None, list[HeaderFinding]]:
    """The first table, else the first window (PS3.3 C.11.2.1: several are alternatives, in the order of preference)."""
    items = values_of(dataset, "VOILUTSequence")
    centers, widths = (values_of(dataset, f"Window{name}") for name in ("Center", "Width"))
    if items:
        table, doubts = read_table(items[0], _LUT_ELEMENTS, inputs, little_endian)
        return table, [*doubts, HeaderFinding("several-windows")] if len(items) > 1 or centers else doubts
    if not centers or not widths:
        return None, [HeaderFinding("window-incomplete")] if centers or widths else []
    doubts = [HeaderFinding("several-windows", f"{len(centers)} centers, {len(widths)} widths")] if len(centers) > 1 else []
    return _window(dataset), doubts


def _window(dataset: Any) -> Window:
    center, width = real(dataset, "WindowCenter"), real(dataset, "WindowWidth")
    function = word(dataset, "VOILUTFunction") or "LINEAR"
    if function not in _FUNCTIONS:
        raise HeaderRefusal("voi-function", function[:64])
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        raise HeaderRefusal("window-width", f"{width:g} of {function}" if width is not None else None)
    return Window(center, width, function)


def _little_endian(dataset: Any) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)


def square_doubts(dataset: Any) -> list[HeaderFinding]:
    """Whether the header says that pixels are not square (PS3.3 C.7.6.3.1.7 and 10.7.1.3). A hundredth is rounding."""
    for name in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        sides = reals(dataset, name)
        if len(sides) == 2 and min(sides) > 0 and max(sides) > 1.01 * min(sides):
            return [HeaderFinding("aspect", f"{name} {sides[0]:g}, {sides[1]:g}")]
    return []
