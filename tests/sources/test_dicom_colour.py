"""Colour pictures and compressed ones: the right colours, and headers that contradict what is packed."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from wardround.sources.dicom.picture.codestream import Codestream, codestream_of  # noqa: E402
from wardround.sources.dicom.reading import read_dicom  # noqa: E402
from wardround.study.contract import DataContract, ImageContract  # noqa: E402

from .test_dicom import write  # noqa: E402
from .test_dicom_header import RAMP, codes, read_one, refused, shown  # noqa: E402

COLOUR = DataContract(kind="image", image=ImageContract(size=(16, 16), channels=3))
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def colours(folder: Path, pixels: np.ndarray, **elements: object) -> np.ndarray:
    write(folder / "1" / "a.dcm", pixels, **elements)
    read_result = read_dicom(folder, COLOUR, salt=b"s")
    assert codes(read_result) == {}
    return read_result.inputs[0]


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((16, 16, 3), colour, np.uint8)


@pytest.mark.parametrize(
    ("ybr", "rgb"), [((76, 85, 255), RED), ((150, 44, 21), GREEN), ((29, 255, 107), BLUE), ((128, 128, 128), (128,) * 3)]
)
def test_ybr_becomes_rgb(tmp_path: Path, ybr: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
    """PS3.3 C.7.6.3.1.2: R = Y + 1.402 (Cr - 128), G = Y - 0.344 (Cb - 128) - 0.714 (Cr - 128), B = Y + 1.772 (Cb - 128)."""
    picture = colours(tmp_path, plain(ybr), PhotometricInterpretation="YBR_FULL")
    assert np.abs(picture[3, 4].astype(int) - rgb).max() <= 2


def test_planes_are_read_as_planes(tmp_path: Path) -> None:
    """Taken for pixels, a picture becomes three small grey ones side by side."""
    left = plain(RED)
    left[:, 8:] = BLUE
    planes = np.ascontiguousarray(left.transpose(2, 0, 1))
    write(tmp_path / "1" / "a.dcm", left, PlanarConfiguration=1, PixelData=planes.tobytes())
    assert np.array_equal(read_dicom(tmp_path, COLOUR, salt=b"s").inputs[0], left)


def test_colours_by_pixel_that_are_declared_by_plane_are_said(tmp_path: Path) -> None:
    """The picture is a weave of three small ones; right ones, grey or in colour, are no finding."""
    colour = np.stack([RAMP // 2, 255 - RAMP // 2, np.full_like(RAMP, 200)], axis=2)
    grey = np.stack([RAMP] * 3, axis=2)
    for name, pixels in (("colour", colour), ("grey", grey)):
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
        write(tmp_path / name / "1" / "a.dcm", pixels, PlanarConfiguration=1, PixelData=planes)
        write(tmp_path / name / "1" / "b.dcm", pixels, PlanarConfiguration=0)
        read_result = read_dicom(tmp_path / name, COLOUR, salt=b"s")
        assert codes(read_result) == {} and np.array_equal(read_result.inputs, [pixels, pixels])
    write(tmp_path / "wrong" / "1" / "a.dcm", colour, PlanarConfiguration=1)
    shown(read_dicom(tmp_path / "wrong", COLOUR, salt=b"s"), "planes")


def test_colours_without_a_word_on_their_planes_are_refused(tmp_path: Path) -> None:
    """Both readings give a picture; only one is right."""
    path = write(tmp_path / "1" / "a.dcm", plain(RED))
    data = pydicom.dcmread(path)
    del data.PlanarConfiguration
    data.save_as(path)
    refused(read_dicom(tmp_path, COLOUR, salt=b"s"), "header-incomplete")


def test_colours_below_zero_are_refused(tmp_path: Path) -> None:
    """Every bright colour became black."""
    write(tmp_path / "1" / "a.dcm", plain(RED), PixelRepresentation=1)
    refused(read_dicom(tmp_path, COLOUR, salt=b"s"), "signed-colours")


def test_colours_of_twelve_bits_fill_the_scale(tmp_path: Path) -> None:
    """4095 of 12 bits is white, not a sixteenth of it."""
    picture = colours(tmp_path, np.full((16, 16, 3), 4095, np.uint16), BitsStored=12)
    assert (picture == 255).all()


def palette(data: Dataset, red: list[int], green: list[int], blue: list[int], bits: int, first: int = 0) -> None:
    for name, values in (("Red", red), ("Green", green), ("Blue", blue)):
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [len(values), first, bits])
        data.add_new(f"{name}PaletteColorLookupTableData", "OW", np.array(values, "<u2").tobytes())


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_names_the_colours(tmp_path: Path, bits: int) -> None:
    """Shown as grey, the number of a colour would be taken for its brightness."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, 8:] = 2
    write(tmp_path / "1" / "a.dcm", pixels, PhotometricInterpretation="PALETTE COLOR")
    data = pydicom.dcmread(tmp_path / "1" / "a.dcm")
    top = 2**bits - 1
    palette(data, [top, 0, 0], [0, top, 0], [0, 0, top // 3], bits)
    data.save_as(tmp_path / "1" / "a.dcm")
    picture = read_dicom(tmp_path, COLOUR, salt=b"s").inputs[0]
    assert tuple(picture[0, 0]) == RED and tuple(picture[0, 15]) == (0, 0, 85)


def test_a_palette_whose_table_is_cut_short_or_in_segments_is_refused(tmp_path: Path) -> None:
    """Each by its name."""
    for name, code in (("a", "lut-length"), ("b", "palette-segmented"), ("c", "lut-incomplete")):
        path = write(tmp_path / name / "1" / "a.dcm", RAMP, PhotometricInterpretation="PALETTE COLOR")
        data = pydicom.dcmread(path)
        if code != "lut-incomplete":
            palette(data, [1, 2], [1, 2], [1, 2], 8)
        if code == "lut-length":
            data.RedPaletteColorLookupTableDescriptor = [5, 0, 8]
        if code == "palette-segmented":
            data.add_new("SegmentedRedPaletteColorLookupTableData", "OW", b"\0\0\2\0\1\0\2\0")
        data.save_as(path)
        refused(read_dicom(tmp_path / name, COLOUR, salt=b"s"), code)


def packed(folder: Path, pixels: np.ndarray, kind: str, syntax: str, **elements: object) -> Path:
    """A compressed picture: `kind` is what Pillow writes, `syntax` what the header says."""
    path = write(folder / "1" / "a.dcm", pixels, **elements)
    data = pydicom.dcmread(path)
    content = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"irreversible": False, "no_jp2": True}
    Image.fromarray(pixels).save(content, kind, **options)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([content.getvalue()])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def test_jpeg_in_ybr_has_the_right_colours(tmp_path: Path) -> None:
    """The decoder gives YBR; without the conversion red is a dark violet."""
    packed(tmp_path, plain(RED), "JPEG", JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL")
    picture = read_dicom(tmp_path, COLOUR, salt=b"s").inputs[0]
    assert np.abs(picture[5, 5].astype(int) - RED).max() <= 4


def test_a_grey_jpeg_2000_is_read_bit_for_bit(tmp_path: Path) -> None:
    """Lossless means it."""
    packed(tmp_path, RAMP, "JPEG2000", JPEG2000Lossless)
    assert np.array_equal(shown(read_dicom(tmp_path, CONTRACT_GREY, salt=b"s")), RAMP)


CONTRACT_GREY = DataContract(kind="image", image=ImageContract(size=(16, 16)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: setattr(data, "Rows", 32), "codestream"),
        (lambda data: (setattr(data, "Rows", 8), setattr(data, "Columns", 32)), "codestream"),
        (lambda data: (setattr(data, "BitsAllocated", 16), setattr(data, "BitsStored", 12)), "codestream"),
        (lambda data: setattr(data.file_meta, "TransferSyntaxUID", JPEG2000Lossless), "syntax"),
        (lambda data: setattr(data.file_meta, "TransferSyntaxUID", JPEGLSLossless), "syntax"),
    ],
)
def test_a_compressed_picture_that_contradicts_its_header_is_refused(
    tmp_path: Path, change: Callable[[Dataset], object], code: str
) -> None:
    """A turned picture of as many pixels came through in stripes."""
    path = packed(tmp_path, RAMP, "JPEG", JPEGBaseline8Bit)
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)
    refused(read_dicom(tmp_path, CONTRACT_GREY, salt=b"s"), code)


def test_plain_pixels_declared_compressed_and_the_other_way_are_refused(tmp_path: Path) -> None:
    """A tool unpacked the pixels and left the header, or packed them: the mend is to export again, not to install a decoder."""
    for name, syntax in (("a", JPEGBaseline8Bit), ("b", RLELossless)):
        path = write(tmp_path / name / "1" / "a.dcm", RAMP)
        content = path.read_bytes()
        plain_uid = pydicom.uid.ExplicitVRLittleEndian.encode()
        longer = syntax.encode() + b"\0" * (len(syntax) % 2)
        before = b"\x02\x00\x10\x00UI"
        at = content.index(before)
        old = content[at : at + 8 + len(plain_uid) + 1]
        changed = content.replace(old, before + len(longer).to_bytes(2, "little") + longer)
        path.write_bytes(changed)
        refused(read_dicom(tmp_path / name, CONTRACT_GREY, salt=b"s"), "syntax")
    read_result = read_one(tmp_path / "c", RAMP, PixelData=encapsulate([b"\xff\xd8" + bytes(100)]))
    refused(read_result, "syntax")


def test_the_codestreams_of_three_families_say_their_size() -> None:
    """Heads written by hand from the standards: 7 rows, 9 columns."""
    frame = b"\x00\x0b\x08\x00\x07\x00\x09\x01\x01\x11\x00"
    assert codestream_of(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3" + frame) == Codestream("jpeg", 7, 9, 1, 8)
    assert codestream_of(b"\xff\xd8\xff\xf7" + frame) == Codestream("jpeg-ls", 7, 9, 1, 8)
    size = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + b"".join(n.to_bytes(4, "big") for n in (9, 8, 0, 1, 9, 8, 0, 0))
    assert codestream_of(size + b"\x00\x01\x8b\x01\x01") == Codestream("jpeg-2000", 7, 9, 1, 12)
    assert codestream_of(b"\xff\xd8\xff") is None and codestream_of(b"\xff\x4f\xff\x51") is None and codestream_of(b"") is None
