"""Header fields that contradict the data. Right values are worked out here by hand, or by the standard's own formula."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

from wardround.sources.dicom.picture.findings import FINDINGS  # noqa: E402
from wardround.sources.dicom.reading import read_dicom  # noqa: E402
from wardround.sources.opening import open_source  # noqa: E402
from wardround.sources.read_result import ReadResult  # noqa: E402
from wardround.study.contract import DataContract, ImageContract  # noqa: E402

from .test_dicom import write  # noqa: E402

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP_12 = (np.arange(256, dtype=np.uint16) * 16).reshape(16, 16)
"""0, 16 ... 4080: twelve bits in steps."""


def read_one(folder: Path, pixels: np.ndarray, **elements: object) -> ReadResult:
    write(folder / "1" / "a.dcm", pixels, **elements)
    return read_dicom(folder, CONTRACT, salt=b"s")


def codes(read_result: ReadResult) -> dict[str, str]:
    return {problem.code: problem.level for problem in read_result.problems}


def shown(read_result: ReadResult, *doubts: str) -> np.ndarray:
    """The one picture, with these warnings or notes and no other."""
    assert set(codes(read_result)) == set(doubts), codes(read_result)
    assert "error" not in codes(read_result).values()
    picture: np.ndarray = read_result.inputs[0]
    return picture


def refused(read_result: ReadResult, code: str) -> None:
    """No picture, and this one reason, with a mend."""
    assert codes(read_result) == {code: "error"}
    assert len(read_result) == 0
    assert read_result.problems[0].hint


def table(values: list[int], *, bits: int, first: int = 0, count: int | None = None, words: bytes | None = None) -> Sequence:
    item = Dataset()
    vr = "SS" if first < 0 else "US"
    count = len(values) if count is None else count
    item.add_new("LUTDescriptor", vr, [count - 2**16 if vr == "SS" and count >= 2**15 else count, first, bits])
    if words is None:
        item.add_new("LUTData", "OW", np.array(values, "<u2").tobytes())
    else:
        item.add_new("LUTData", "OW", words)
    return Sequence([item])


def test_a_table_declared_16_bits_that_holds_12_is_a_grey_ramp(tmp_path: Path) -> None:
    """Sixteen times too dark, and silent: the case of the issue. 2048 of 4095 is 128 of 255."""
    read_result = read_one(tmp_path, RAMP_12, BitsStored=12, VOILUTSequence=table(list(range(4096)), bits=16))
    picture = shown(read_result, "lut-depth").reshape(-1)
    assert (picture[0], picture[128], picture[255]) == (0, 128, round(4080 / 4095 * 255))
    assert read_result.problems[0].places[0].value == "declared 16 bits, holds 12"


def test_a_table_that_keeps_its_word_is_scaled_by_its_word(tmp_path: Path) -> None:
    """A table of 12 bits whose top is 4000 must not be stretched to white."""
    values = [k * 4000 // 255 for k in range(256)]
    picture = shown(read_one(tmp_path, RAMP, VOILUTSequence=table(values, bits=12))).reshape(-1)
    assert picture[255] == round(4000 / 4095 * 255) == 249


def test_a_table_that_holds_more_than_it_declares_is_scaled_by_what_it_holds(tmp_path: Path) -> None:
    """Declared 8 bits and holding 16, all but the darkest entries were white or wrapped around."""
    picture = shown(read_one(tmp_path, RAMP, VOILUTSequence=table([257 * k for k in range(256)], bits=8)), "lut-depth")
    assert np.array_equal(picture, RAMP)


def test_zero_entries_mean_65536(tmp_path: Path) -> None:
    """The number does not fit its word, and the standard writes it as 0 (PS3.3 C.11.2.1.1)."""
    pixels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    turned = table([65535 - k for k in range(65536)], bits=16, count=0)
    picture = shown(read_one(tmp_path, pixels, VOILUTSequence=turned))
    assert np.array_equal(picture, 255 - RAMP)


@pytest.mark.parametrize("first", [-128, 2**16 - 128])
def test_the_first_mapped_value_is_signed_where_the_pixels_are(tmp_path: Path, first: int) -> None:
    """Written into an unsigned word it read as 65408, and the whole picture was the table's first entry."""
    pixels = (np.arange(256).reshape(16, 16) - 128).astype(np.int8)
    picture = shown(read_one(tmp_path, pixels, VOILUTSequence=table(list(range(256)), bits=8, first=first)))
    assert np.array_equal(picture, RAMP)


def test_values_below_and_above_a_table_get_its_ends(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.1: the first and the last entry."""
    picture = shown(read_one(tmp_path, RAMP, VOILUTSequence=table([10, 200], bits=8, first=100))).reshape(-1)
    assert (picture[0], picture[100], picture[101], picture[255]) == (10, 10, 200, 200)


def test_two_entries_of_8_bits_in_one_word_are_unpacked(tmp_path: Path) -> None:
    """Read as words, the table had half its entries and a picture of stripes."""
    packed = bytes(range(255, -1, -1))
    picture = shown(read_one(tmp_path, RAMP, VOILUTSequence=table([], bits=8, count=256, words=packed)))
    assert np.array_equal(picture, 255 - RAMP)


@pytest.mark.parametrize("count", [255, 257, 512, 0])
def test_a_table_of_another_length_than_it_says_is_refused(tmp_path: Path, count: int) -> None:
    """Which entry belongs to which value is then a guess."""
    refused(read_one(tmp_path, RAMP, VOILUTSequence=table(list(range(256)), bits=12, count=count)), "lut-length")


def test_a_table_without_data_is_refused(tmp_path: Path) -> None:
    """It was ignored, and the picture shown as if it had no table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    refused(read_one(tmp_path, RAMP, VOILUTSequence=Sequence([item])), "lut-incomplete")


def test_a_table_that_rises_and_falls_is_shown_and_said(tmp_path: Path) -> None:
    """Bone and air of one grey: a damaged table, or a very odd one."""
    values = [k if k < 128 else 255 - k for k in range(256)]
    values[0] = 255
    shown(read_one(tmp_path, RAMP, VOILUTSequence=table(values, bits=8)), "lut-turns")


@pytest.mark.parametrize(
    ("width", "function"), [(0, None), (-1000, "LINEAR_EXACT"), (0.5, "LINEAR"), (0, "SIGMOID"), (-1, "SIGMOID"), (0.99, None)]
)
def test_a_window_without_width_is_refused_by_name(tmp_path: Path, width: float, function: str | None) -> None:
    """A negative width showed a negative, and said nothing. PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    window = {"WindowCenter": 2048, "WindowWidth": width} | ({"VOILUTFunction": function} if function else {})
    read_result = read_one(tmp_path, RAMP_12, BitsStored=12, **window)
    refused(read_result, "window-width")
    value = read_result.problems[0].places[0].value
    assert value is not None and f"{width:g}" in value


def test_the_narrowest_windows_of_the_standard_are_read(tmp_path: Path) -> None:
    """LINEAR with width 1 is a step at center - 0.5; LINEAR_EXACT may be narrower than 1."""
    step = shown(read_one(tmp_path / "a", RAMP, WindowCenter=100, WindowWidth=1)).reshape(-1)
    assert (step[99], step[100]) == (0, 255)
    exact = shown(read_one(tmp_path / "b", RAMP, WindowCenter=100, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")).reshape(-1)
    assert (exact[99], exact[100], exact[101]) == (0, 128, 255)


def test_an_unknown_function_of_the_window_is_refused(tmp_path: Path) -> None:
    """It was taken for LINEAR."""
    refused(read_one(tmp_path, RAMP, WindowCenter=1, WindowWidth=2, VOILUTFunction="LOGARITHM"), "voi-function")


def test_half_a_window_is_said(tmp_path: Path) -> None:
    """Without its width a center says nothing; the picture is shown over its whole range."""
    assert np.array_equal(shown(read_one(tmp_path, RAMP, WindowCenter=40), "window-incomplete"), RAMP)


def test_several_windows_mean_the_first_and_it_is_said(tmp_path: Path) -> None:
    """The second is another look at the same picture: a lung window on a bone window's study."""
    picture = shown(read_one(tmp_path, RAMP, WindowCenter=["128", "10"], WindowWidth=["256", "20"]), "several-windows")
    assert np.array_equal(picture, RAMP)


@pytest.mark.parametrize("center", [-5000, 5000])
def test_a_window_beside_all_pixels_is_shown_and_said(tmp_path: Path, center: int) -> None:
    """A CT window on a radiograph: every picture black, and nobody is told which field did it."""
    picture = shown(read_one(tmp_path, RAMP_12, BitsStored=12, WindowCenter=center, WindowWidth=400), "window-outside")
    assert set(picture.reshape(-1).tolist()) == {0 if center > 0 else 255}


@pytest.mark.parametrize(("photometry", "ramp"), [("MONOCHROME1", 255 - RAMP), ("MONOCHROME2", RAMP)])
def test_padding_is_black_in_either_photometry(tmp_path: Path, photometry: str, ramp: np.ndarray) -> None:
    """After the inversion of MONOCHROME1 the collimated border was a white frame, which tells one hospital from another."""
    pixels = RAMP.copy()
    pixels[:, :3] = 0 if photometry == "MONOCHROME1" else 255
    border = int(pixels[0, 0])
    picture = shown(read_one(tmp_path, pixels, PhotometricInterpretation=photometry, PixelPaddingValue=border))
    right = np.where(pixels == border, 0, ramp)
    assert np.array_equal(picture, right)
    assert (picture[:, :3] == 0).all()


def test_a_range_of_padding_has_both_ends_in_it(tmp_path: Path) -> None:
    """PS3.3 C.7.5.1.1.2: value and limit are inclusive, in either order."""
    for name, ends in (("a", (250, 255)), ("b", (255, 250))):
        elements = {"PixelPaddingValue": ends[0], "PixelPaddingRangeLimit": ends[1]}
        picture = shown(read_one(tmp_path / name, RAMP, **elements)).reshape(-1)
        assert picture[249] == 249 and not picture[250:].any()


def test_padding_outside_bits_stored_is_known_for_padding(tmp_path: Path) -> None:
    """-2000 in a picture of 12 bits: taken for a wrong BitsStored, or wrapped around into a grey."""
    pixels = (np.arange(256).reshape(16, 16) * 8 - 1024).astype(np.int16)
    pixels[0] = -32768
    elements = {"PixelPaddingValue": 32768, "WindowCenter": 0, "WindowWidth": 2048}
    write(tmp_path / "1" / "a.dcm", pixels, BitsStored=12)
    data = pydicom.dcmread(tmp_path / "1" / "a.dcm")
    data.add_new("PixelPaddingValue", "US", elements.pop("PixelPaddingValue"))
    data.WindowCenter, data.WindowWidth = elements["WindowCenter"], elements["WindowWidth"]
    data.save_as(tmp_path / "1" / "a.dcm")
    picture = shown(read_dicom(tmp_path, CONTRACT, salt=b"s"))
    right = np.rint(np.clip((pixels.astype(float) + 0.5) / 2047 + 0.5, 0, 1) * 65535 / 65535 * 255)
    assert not picture[0].any()
    assert np.abs(picture[1:] - right[1:]).max() <= 1


def test_an_even_picture_is_told_although_padding_lies_around_it(tmp_path: Path) -> None:
    """Black padding gives an empty exposure the spread of a picture, and it would be learned from."""
    pixels = np.full((16, 16), 7, np.uint8)
    pixels[4:12, 4:12] = 120
    picture = shown(read_one(tmp_path, pixels, PixelPaddingValue=7), "constant-but-padding")
    assert set(picture.reshape(-1).tolist()) == {0, 120}


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_padding_has_no_say_in_what_the_report_finds_of_a_picture(tmp_path: Path, fit: str) -> None:
    """A picture burnt out beside its padding is white to a third; one whose edges are padding looked like a negative."""
    rules = CONTRACT.changed(image=CONTRACT.image.changed(fit=fit, size=(64, 64)))
    rng = np.random.default_rng(4)
    y, x = np.mgrid[-1:1:128j, -1:1:64j]
    for number in range(40):
        chest = (230 - 200 * np.exp(-3 * x**2 - y**2 / 4) + rng.normal(0, 6, (128, 64))).clip(1, 254).astype(np.uint8)
        if number == 0:
            chest[:104] = 255
        if number == 1:
            chest[:, :20], chest[:, 44:] = 0, 0  # its bright edges are gone
        if number == 2:
            chest = 255 - chest
        padded = np.pad(chest, ((0, 0), (24, 24)) if number in (0, 3) else 0)
        write(tmp_path / str(number % 2) / f"{number:02}.dcm", padded, f"p{number}", PixelPaddingValue=0)
    told = {finding.code: finding.exact.rpartition(": ")[2] for finding in open_source(tmp_path, rules).check().findings}
    assert (told.get("saturated-image"), told.get("inverted-images")) == ("1", "1")


def test_a_picture_of_padding_alone_is_refused(tmp_path: Path) -> None:
    """It would be a black picture with a label."""
    refused(read_one(tmp_path, np.full((16, 16), 7, np.uint8), PixelPaddingValue=7), "all-padding")


def test_bits_beyond_those_stored_are_refused(tmp_path: Path) -> None:
    """The decoder cuts them off: 4096 becomes 0, and the brightest bone is black."""
    read_result = read_one(tmp_path, RAMP_12 + 100, BitsStored=12)
    refused(read_result, "beyond-bits")


def test_an_overlay_in_the_unused_bits_is_taken_out_of_the_picture(tmp_path: Path) -> None:
    """PS3.5 8.1.1: old files keep an overlay there, and say so in group 6000."""
    pixels = RAMP_12.copy()
    pixels[3] |= 0x8000
    path = write(tmp_path / "1" / "a.dcm", pixels, BitsStored=12)
    data = pydicom.dcmread(path)
    data.add_new(0x60000100, "US", 16)
    data.add_new(0x60000102, "US", 15)
    data.save_as(path)
    picture = shown(read_dicom(tmp_path, CONTRACT, salt=b"s"), "overlay-bits")
    assert np.array_equal(picture, np.rint(RAMP_12 / 4095 * 255))
    data[0x60000102].value = 14
    data.save_as(path)
    refused(read_dicom(tmp_path, CONTRACT, salt=b"s"), "beyond-bits")


@pytest.mark.parametrize("extended", [True, False])
def test_the_sign_of_twelve_bits_is_read_with_and_without_its_extension(tmp_path: Path, extended: bool) -> None:
    """Both are written: -1 as FFFF and as 0FFF."""
    values = np.arange(256).reshape(16, 16) * 16 - 2048
    pixels = values.astype(np.int16) if extended else (values & 0x0FFF).astype(np.uint16)
    picture = shown(read_one(tmp_path, pixels, BitsStored=12, PixelRepresentation=1))
    assert np.array_equal(picture, np.rint((values + 2048) / 4095 * 255))


def test_a_high_bit_that_contradicts_bits_stored_is_said_where_the_pixels_fit(tmp_path: Path) -> None:
    """The pixels decide: below 2**BitsStored they are where BitsStored says."""
    path = write(tmp_path / "1" / "a.dcm", RAMP_12, BitsStored=12)
    data = pydicom.dcmread(path)
    data.HighBit = 15
    data.save_as(path)
    assert np.array_equal(shown(read_dicom(tmp_path, CONTRACT, salt=b"s"), "high-bit"), np.rint(RAMP_12 / 4095 * 255))
    data.PixelData = (RAMP_12 * 16).astype(np.uint16).tobytes()
    data.save_as(path)
    refused(read_dicom(tmp_path, CONTRACT, salt=b"s"), "beyond-bits")


def test_twelve_bits_declared_as_sixteen_without_a_window_are_said(tmp_path: Path) -> None:
    """Nearly black, all of them, and no hint at the field that made them so."""
    shown(read_one(tmp_path, RAMP_12 // 2), "bits-unused")


def test_signed_pixels_declared_unsigned_are_refused(tmp_path: Path) -> None:
    """Air at -1000 becomes 64536, brighter than any bone."""
    pixels = (np.arange(256).reshape(16, 16) - 128).astype(np.int16).view(np.uint16)
    declared = {"SmallestImagePixelValue": 65536 - 128, "LargestImagePixelValue": 127}
    refused(read_one(tmp_path, pixels, **declared), "pixel-representation")
    unsigned = (RAMP_12 * 16).astype(np.int32).astype(np.uint16).view(np.int16)
    turned = {"SmallestImagePixelValue": 0, "LargestImagePixelValue": int(np.int16(np.uint16(65280).view(np.int16)))}
    refused(read_one(tmp_path, unsigned, **turned), "pixel-representation")


def test_pixels_outside_their_declared_extremes_are_shown_and_said(tmp_path: Path) -> None:
    """Somebody changed the pixels after the exposure: text burnt in, or a border painted."""
    declared = {"SmallestImagePixelValue": 10, "LargestImagePixelValue": 200}
    assert np.array_equal(shown(read_one(tmp_path, RAMP, **declared), "extremes"), RAMP)


def test_extremes_that_agree_or_are_wider_are_no_finding(tmp_path: Path) -> None:
    """Cropping keeps the header's extremes; that is no contradiction."""
    for name, ends in (("a", (0, 255)), ("b", (0, 0))):  # 0 and 0: not measured, as real archives have it
        shown(read_one(tmp_path / name, RAMP, SmallestImagePixelValue=ends[0], LargestImagePixelValue=ends[1]))
    shown(read_one(tmp_path / "c", RAMP // 2, SmallestImagePixelValue=0, LargestImagePixelValue=200))


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    """Every pixel would be the intercept."""
    refused(read_one(tmp_path, RAMP, RescaleSlope=0, RescaleIntercept=5), "rescale-slope")


def test_a_slope_without_intercept_is_used_and_said(tmp_path: Path) -> None:
    """The range was scaled by it and the pixels were not: a picture half as bright."""
    assert np.array_equal(shown(read_one(tmp_path, RAMP, RescaleSlope=2), "rescale-incomplete"), RAMP)


def test_a_modality_table_beside_a_slope_is_refused_unless_the_slope_says_nothing(tmp_path: Path) -> None:
    """PS3.3 C.11.1 allows one of them; which one the window means cannot be told."""
    values = list(range(256))
    twice = {"ModalityLUTSequence": table(values, bits=8), "RescaleSlope": 2, "RescaleIntercept": -100}
    refused(read_one(tmp_path / "a", RAMP, **twice), "modality-twice")
    same = {**twice, "RescaleSlope": 1, "RescaleIntercept": 0}
    assert np.array_equal(shown(read_one(tmp_path / "b", RAMP, **same)), RAMP)


def test_hounsfield_units_on_a_radiograph_are_said(tmp_path: Path) -> None:
    """A header copied from a CT carries its slope, too."""
    elements = {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "HU"}
    shown(read_one(tmp_path / "a", RAMP, Modality="CR", **elements), "rescale-type")
    shown(read_one(tmp_path / "b", RAMP, Modality="CT", **elements))


@pytest.mark.parametrize(("photometry", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_a_presentation_shape_against_the_photometry_is_said(tmp_path: Path, photometry: str, shape: str) -> None:
    """PS3.3 C.8.11.1.1.2 ties them together; one of the two is wrong, and the picture may be a negative."""
    elements = {"PhotometricInterpretation": photometry, "PresentationLUTShape": shape}
    shown(read_one(tmp_path / "a", RAMP, **elements), "presentation-shape")
    agreed = {**elements, "PresentationLUTShape": {"IDENTITY": "INVERSE", "INVERSE": "IDENTITY"}[shape]}
    shown(read_one(tmp_path / "b", RAMP, **agreed))


@pytest.mark.parametrize(
    "elements", [{"PixelAspectRatio": [1, 2]}, {"PixelSpacing": [0.14, 0.28]}, {"ImagerPixelSpacing": [0.2, 0.1]}]
)
def test_pixels_that_are_not_square_are_said(tmp_path: Path, elements: dict[str, object]) -> None:
    """A heart looks twice as wide."""
    shown(read_one(tmp_path / "a", RAMP, **elements), "aspect")
    shown(read_one(tmp_path / "b", RAMP, **{name: [0.14, 0.1401] for name in elements if name != "PixelAspectRatio"}))


def test_burnt_in_identifiers_are_said(tmp_path: Path) -> None:
    """A name in the picture is learned like any other shape, and shown to whoever looks at thumbnails."""
    read_result = read_one(tmp_path / "a", RAMP, BurnedInAnnotation="YES")
    shown(read_result, "burned-in")
    assert read_result.problems[0].places[0].file == "1/a.dcm"
    shown(read_one(tmp_path / "b", RAMP, BurnedInAnnotation="NO"))


def test_a_lossy_copy_is_no_finding(tmp_path: Path) -> None:
    """Most archives keep them; the picture is right."""
    shown(read_one(tmp_path, RAMP, LossyImageCompression="01", LossyImageCompressionRatio=10))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: setattr(data, "Rows", 32), "pixels-short"),
        (lambda data: setattr(data, "PixelData", bytes(128)), "pixels-short"),
        (lambda data: setattr(data, "BitsAllocated", 16), "pixels-short"),
        (lambda data: setattr(data, "PixelData", bytes(512)), "multi-frame"),
        (lambda data: setattr(data, "NumberOfFrames", 3), "multi-frame"),
        (lambda data: setattr(data, "BitsStored", 12), "bits"),
        (lambda data: setattr(data, "BitsAllocated", 12), "bits"),
        (lambda data: setattr(data, "SamplesPerPixel", 3), "samples"),
        (lambda data: setattr(data, "PhotometricInterpretation", "RGB"), "samples"),
        (lambda data: setattr(data, "PhotometricInterpretation", "HSV"), "photometry"),
        (lambda data: delattr(data, "PhotometricInterpretation"), "header-incomplete"),
        (lambda data: delattr(data, "Rows"), "header-incomplete"),
        (lambda data: delattr(data, "BitsStored"), "header-incomplete"),
        (lambda data: delattr(data, "PixelRepresentation"), "header-incomplete"),
        (lambda data: setattr(data, "PixelRepresentation", 2), "header-unreadable"),
        (lambda data: setattr(data, "Columns", 0), "header-unreadable"),
        (lambda data: (setattr(data, "Rows", 65535), setattr(data, "Columns", 65535)), "too-large"),
        (lambda data: setattr(data, "SharedFunctionalGroupsSequence", Sequence([Dataset()])), "enhanced"),
        (lambda data: delattr(data, "PixelData"), "no-pixels"),
        (lambda data: (delattr(data, "PixelData"), setattr(data, "FloatPixelData", bytes(1024))), "float-pixels"),
    ],
)
def test_fields_that_cannot_describe_the_pixels_are_refused(
    tmp_path: Path, change: Callable[[Dataset], object], code: str
) -> None:
    """Each by its own name: a cut copy, a film and a wrong header have different mends."""
    path = write(tmp_path / "1" / "a.dcm", RAMP)
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)
    refused(read_dicom(tmp_path, CONTRACT, salt=b"s"), code)


def test_pixel_data_that_are_too_long_are_shown_and_said(tmp_path: Path) -> None:
    """Some devices append a block of their own. One byte makes the length even and is no finding."""
    path = write(tmp_path / "a" / "1" / "a.dcm", RAMP)
    data = pydicom.dcmread(path)
    data.PixelData = data.PixelData + bytes(20)
    data.save_as(path)
    assert np.array_equal(shown(read_dicom(tmp_path / "a", CONTRACT, salt=b"s"), "pixels-long"), RAMP)
    odd = np.arange(289, dtype=np.uint16).astype(np.uint8).reshape(17, 17)
    path = write(tmp_path / "b" / "1" / "a.dcm", odd)
    data = pydicom.dcmread(path)
    data.PixelData = odd.tobytes() + b"\0"
    data.save_as(path)
    shown(read_dicom(tmp_path / "b", CONTRACT, salt=b"s"))


def test_no_sentence_that_may_be_sent_on_quotes_a_value(tmp_path: Path) -> None:
    """Places stay on this machine; texts and hints are the same for every file."""
    assert all("{" not in text + hint for _, text, hint in FINDINGS.values())
    write(tmp_path / "1" / "a.dcm", RAMP, WindowCenter=4711, WindowWidth=-4712)
    problem = read_dicom(tmp_path, CONTRACT, salt=b"s").problems[0]
    assert "471" not in f"{problem.error()}" and problem.places[0].value == "-4712 of LINEAR"
