"""Pictures that real devices and other programs wrote: those that come with pydicom, one picture in many encodings."""

from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from wardround.sources.dicom.picture.file_format import has_dicom_mark, object_of  # noqa: E402
from wardround.sources.dicom.reading import decode_dicom  # noqa: E402

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
MR = ["implicit", "bigendian", "expb", "padded", "RLE", "jp2klossless", "jpeg_ls_lossless"]
BARS = ["dcmtk_+eb+cr", "dcmtk_+eb+cy+n1", "dcmtk_+eb+cy+np", "dcmtk_+eb+cy+s2", "dcmtk_+eb+cy+s4", "gdcm_KY", "jpeg_gdcm", "rle"]
COLOURS = [
    (255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255),
    (0, 0, 0), (64, 64, 64), (192, 192, 192), (255, 255, 255),
]  # fmt: skip


def content(name: str) -> bytes:
    path = FILES / f"{name}.dcm"
    if not path.is_file():
        pytest.skip(f"this pydicom brings no {name}")
    return path.read_bytes()


def picture(name: str) -> np.ndarray:
    decoded = decode_dicom(content(name))
    assert decoded.problem is None and decoded.pixels is not None
    return decoded.pixels


@pytest.mark.parametrize("encoding", MR)
def test_one_slice_is_the_same_picture_in_every_encoding(encoding: str) -> None:
    """Written by other programs than ours, lossless all."""
    assert np.array_equal(picture(f"MR_small_{encoding}"), picture("MR_small"))


def test_a_slice_of_a_scanner_is_shown_by_its_own_window() -> None:
    """MR_small: 600 and 1600, worked out here by PS3.3 C.11.2.1.2 from the bytes at the end of the file."""
    data = pydicom.dcmread(FILES / "MR_small.dcm")
    assert (data.WindowCenter, data.WindowWidth, data.BitsAllocated) == (600, 1600, 16)
    stored = np.frombuffer(data.PixelData, "<i2").reshape(64, 64).astype(float)
    right = np.clip((stored - 599.5) / 1599 + 0.5, 0, 1) * 65535
    assert np.abs(picture("MR_small").astype(float) - right).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("encoding", BARS)
def test_colour_bars_have_their_colours_in_every_encoding(encoding: str) -> None:
    """Ten bars, red to white; YBR that is taken for RGB turns red into a dark violet."""
    shown = picture(f"SC_rgb_{encoding}").astype(int)
    assert np.abs(shown[5::10, 50] - COLOURS).max() <= 6  # JPEG rounds


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("MR_truncated", "pixels-short"),
        ("SC_rgb_rle_2frame", "multi-frame"),
        ("badVR", "header-unreadable"),
        ("JPEG2000-embedded-sequence-delimiter", "codestream"),
    ],
)
def test_broken_files_of_others_are_refused_by_their_cause(name: str, code: str) -> None:
    """Each was met in somebody's archive."""
    decoded = decode_dicom(content(name))
    assert decoded.pixels is None and decoded.problem is not None and decoded.problem[0] == code


@pytest.mark.parametrize(("name", "kind"), [("rtplan", "radiotherapy objects"), ("reportsi", "structured reports")])
def test_objects_of_others_are_known_for_what_they_are(name: str, kind: str) -> None:
    """A plan or a report that counts as a broken picture stops a whole hospital."""
    head = content(name)[:1024]
    assert has_dicom_mark(head) and object_of(head) == kind
