"""What can be wrong or doubtful with the header of a DICOM picture, each with its own sentence and its own mend.

A picture that cannot be right is refused (error). One that may be wrong is shown, and said (warning). A text may be sent on and
quotes no value of an element; the value stands beside it, for the person at this machine.
"""

from dataclasses import dataclass

from wardround.sources.read_result import Level


@dataclass(frozen=True)
class HeaderFinding:
    """code: a key of FINDINGS. value: what the header says, as it is written there; it never leaves."""

    code: str
    value: str | None = None

    @property
    def level(self) -> Level:
        return FINDINGS[self.code][0]

    @property
    def text(self) -> str:
        return FINDINGS[self.code][1]

    @property
    def hint(self) -> str:
        return FINDINGS[self.code][2]


class HeaderRefusal(Exception):
    """The picture cannot be right. It never leaves the reader, which makes a finding of it."""

    def __init__(self, code: str, value: str | None = None) -> None:
        super().__init__(code)
        self.finding = HeaderFinding(code, value)


_EXPORT = "export these files again from the archive, or take them out"

FINDINGS: dict[str, tuple[Level, str, str]] = {
    # the file
    "no-pixels": (
        "error",
        "DICOM files hold no pixels, or are cut short before them",
        "copy them again; take reports and other objects out",
    ),
    "float-pixels": (
        "error",
        "DICOM files hold pixels as fractions (FloatPixelData), which are no picture of a detector",
        "take them out, or export the picture that they were made from",
    ),
    "multi-frame": ("error", "DICOM files hold several frames", "export single images; films and volumes are not read"),
    "enhanced": (
        "error",
        "DICOM files are of an enhanced kind, whose window stands with each frame",
        "export them as single images of the classic kind",
    ),
    "header-incomplete": ("error", "DICOM files lack a field without which their pixels mean nothing", _EXPORT),
    "header-unreadable": ("error", "DICOM files have a field whose value is not of its kind", _EXPORT),
    "syntax": (
        "error",
        "DICOM files declare a transfer syntax that their pixel data contradict",
        "export these files again; a tool has unpacked or packed them and left the old declaration",
    ),
    "codestream": (
        "error",
        "DICOM files hold a compressed picture of another size or depth than their header says",
        _EXPORT,
    ),
    "pixels-short": (
        "error",
        "DICOM files hold fewer pixels than Rows, Columns and BitsAllocated say",
        "they were cut short or their header was changed: copy them again, or take them out",
    ),
    "pixels-long": (
        "warning",
        "DICOM files hold more pixel data than Rows, Columns and BitsAllocated say; the rest was left out",
        "look at some of them; where they look right nothing is to be done",
    ),
    # the bits of a pixel
    "photometry": (
        "error",
        "DICOM files have a photometric interpretation that is not read",
        "export as MONOCHROME1, MONOCHROME2, RGB, YBR_FULL or PALETTE COLOR",
    ),
    "palette-segmented": (
        "error",
        "DICOM files have a palette in segments, which is not read",
        "export them as RGB, or as MONOCHROME2 where they are grey",
    ),
    "samples": ("error", "DICOM files have SamplesPerPixel that contradict PhotometricInterpretation", _EXPORT),
    "planes": (
        "warning",
        "DICOM files have a PlanarConfiguration under which neighbouring pixels hardly ever agree",
        "look at them: colours may be stored by pixel and declared by plane",
    ),
    "too-large": (
        "error",
        "DICOM files hold pictures of more than 134 million pixels",
        "take them out: no radiograph has as many, and a damaged header may say so",
    ),
    "signed-colours": ("error", "DICOM files declare colours below zero (PixelRepresentation 1)", _EXPORT),
    "bits": ("error", "DICOM files have BitsAllocated and BitsStored that contradict each other", _EXPORT),
    "high-bit": (
        "warning",
        "DICOM files have a HighBit other than BitsStored - 1; their pixels fit BitsStored, which was believed",
        "look at some of them; where they look right nothing is to be done",
    ),
    "beyond-bits": (
        "error",
        "DICOM files hold pixels with bits beyond BitsStored that no overlay explains",
        "export these files again: BitsStored or HighBit is wrong, and with it every grey",
    ),
    "bits-unused": (
        "warning",
        "DICOM files without a window use less than a sixteenth of the range that BitsStored declares, and look nearly black",
        "export them with their window (VOI), or with the BitsStored of the detector",
    ),
    "pixel-representation": (
        "error",
        "DICOM files have a PixelRepresentation that their smallest and largest pixel value contradict",
        _EXPORT,
    ),
    "extremes": (
        "warning",
        "DICOM files hold pixels outside SmallestImagePixelValue and LargestImagePixelValue",
        "look at some of them: the pixels or the header were changed after the exposure",
    ),
    "all-padding": (
        "error",
        "DICOM files hold nothing but pixels that PixelPaddingValue declares to be no part of the picture",
        _EXPORT,
    ),
    # from values to light
    "rescale-slope": ("error", "DICOM files have a RescaleSlope of 0, which makes all pixels equal", _EXPORT),
    "rescale-incomplete": (
        "warning",
        "DICOM files have one of RescaleSlope and RescaleIntercept; the other was taken as 1 or 0",
        "look at some of them; where they look right nothing is to be done",
    ),
    "modality-twice": (
        "error",
        "DICOM files have a modality table and a rescale slope, of which only one may be",
        _EXPORT,
    ),
    "rescale-type": (
        "warning",
        "DICOM files of a kind that measures no Hounsfield units declare them as RescaleType",
        "look at some of them: slope and intercept may come from another picture",
    ),
    "lut-incomplete": ("error", "DICOM files have a lookup table without descriptor or data", _EXPORT),
    "lut-length": (
        "error",
        "DICOM files have a lookup table with another number of entries than its descriptor says",
        _EXPORT,
    ),
    "lut-depth": (
        "warning",
        "DICOM files have a lookup table of another depth than its descriptor says; it was scaled by what it holds",
        "look at some of them; where they look right nothing is to be done",
    ),
    "lut-turns": (
        "warning",
        "DICOM files have a lookup table that neither only rises nor only falls",
        "look at some of them: the table may be damaged",
    ),
    "window-width": (
        "error",
        "DICOM files have a window whose width is not positive (below 1 for LINEAR)",
        "export these files again with a width of 1 or more (PS3.3 C.11.2.1.2), or without a window",
    ),
    "window-incomplete": (
        "warning",
        "DICOM files have one of WindowCenter and WindowWidth, and were shown without a window",
        "export them with both",
    ),
    "constant-but-padding": (
        "warning",
        "DICOM pictures show nothing, all pixels nearly equal, but their padding",
        "look at them, and take them out",
    ),
    "window-outside": (
        "warning",
        "DICOM files have a window or table in which all of the picture is black or all of it white",
        "look at them; export them with a window that fits, or take them out",
    ),
    "several-windows": ("note", "DICOM files offer several windows or tables; the first was used", ""),
    "voi-function": (
        "error",
        "DICOM files have a VOILUTFunction that is not read",
        "export with LINEAR, LINEAR_EXACT or SIGMOID",
    ),
    "presentation-shape": (
        "warning",
        "DICOM files have a PresentationLUTShape that contradicts MONOCHROME1 or MONOCHROME2, which was believed",
        "look at some of them: they may be negatives",
    ),
    # what the picture shows
    "aspect": (
        "warning",
        "DICOM files have pixels that are not square, and were read as if they were",
        "look at some of them; export with square pixels where shapes matter",
    ),
    "localizer": (
        "warning",
        "DICOM files are localizers, made to plan an examination (ImageType)",
        "take them out, unless the study means them",
    ),
    "quality-control": (
        "warning",
        "DICOM files are pictures of a test of the device (QualityControlImage)",
        "take them out",
    ),
    "burned-in": (
        "warning",
        "DICOM files say that identifiers may be burnt into the picture (BurnedInAnnotation)",
        "look at them; mask the text or take them out",
    ),
    "patient-unreadable": (
        "error",
        "DICOM files have a PatientID that cannot be read in the character set that they declare",
        "name their patients in manifest.csv, or export them with the right SpecificCharacterSet",
    ),
    "patient-word": (
        "warning",
        "DICOM files have a PatientID that names nobody",
        "name their patients in manifest.csv",
    ),
    "overlay-bits": ("note", "DICOM files keep an overlay in unused bits of their pixels; it was taken out of the picture", ""),
}
