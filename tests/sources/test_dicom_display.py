"""Laws of the way from stored values to light, for any window, table and slope; and what no edit of a header may do."""

import io
import random
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom")

from wardround.sources.dicom.picture.display import GreyScale, Window, light_of  # noqa: E402
from wardround.sources.dicom.picture.lookup import LookupTable  # noqa: E402
from wardround.sources.dicom.reading import decode_dicom  # noqa: E402
from wardround.sources.files.damage import DAMAGE  # noqa: E402

from .test_dicom import write  # noqa: E402

STORED = st.lists(st.integers(-32768, 65535), min_size=2, max_size=40)
REAL = st.floats(-1e6, 1e6)
EDITS = 2000


@st.composite
def tables(draw: st.DrawFn) -> LookupTable:
    """Any table that only rises."""
    depth = draw(st.integers(8, 16))
    entries = sorted(draw(st.lists(st.integers(0, 2**depth - 1), min_size=1, max_size=60)))
    return LookupTable(draw(st.integers(-40000, 70000)), np.array(entries, np.int64), depth)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    function = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    return Window(draw(REAL), draw(st.floats(1.0 if function == "LINEAR" else 1e-3, 1e6)), function)


@st.composite
def scales(draw: st.DrawFn) -> GreyScale:
    lines = st.tuples(st.floats(1e-3, 1e3), REAL)
    low = draw(REAL)
    outputs = (low, low + draw(st.floats(1.0, 1e6)))
    return GreyScale(draw(lines | tables()), outputs, draw(st.none() | tables() | windows()), draw(st.booleans()))


@settings(max_examples=400, deadline=None)
@given(scales(), STORED)
def test_light_rises_with_the_stored_value_or_falls_with_it_and_stays_between_black_and_white(
    scale: GreyScale, stored: list[int]
) -> None:
    """Two greys that change places, or a value that wraps around, make a shadow where there is none."""
    light = light_of(scale, np.array(sorted(stored)))
    steps = np.diff(light)
    assert light.min() >= 0.0 and light.max() <= 1.0
    assert np.all(steps <= 0) if scale.inverted else np.all(steps >= 0)


@settings(max_examples=200, deadline=None)
@given(scales(), STORED)
def test_the_light_of_a_pixel_depends_on_no_other_pixel(scale: GreyScale, stored: list[int]) -> None:
    """A lead marker in the corner must not darken the lung."""
    together = light_of(scale, np.array(stored))
    alone = [float(light_of(scale, np.array([value]))[0]) for value in stored]
    assert together.tolist() == alone


@settings(max_examples=200, deadline=None)
@given(scales(), STORED)
def test_the_two_photometries_are_each_others_negative(scale: GreyScale, stored: list[int]) -> None:
    """MONOCHROME1 turns the shown values, after the window and not before it."""
    values = np.array(stored)
    turned = GreyScale(scale.modality, scale.range, scale.voi, not scale.inverted)
    assert np.allclose(light_of(scale, values) + light_of(turned, values), 1.0)


def shown_twice(folder: Path, corner: int, **elements: object) -> tuple[np.ndarray, np.ndarray]:
    """The whole picture from a file, with and without a bright marker in its corner."""
    pictures = []
    for value in (0, corner):
        pixels = (np.arange(256, dtype=np.uint16) * 8).reshape(16, 16)
        pixels[0, 0] = value
        content = write(folder / f"{value}.dcm", pixels, BitsStored=12, **elements).read_bytes()
        pixels_shown = decode_dicom(content).pixels
        assert pixels_shown is not None
        pictures.append(pixels_shown)
    return pictures[0], pictures[1]


@pytest.mark.parametrize(
    "elements", [{}, {"WindowCenter": 1000, "WindowWidth": 900}, {"PhotometricInterpretation": "MONOCHROME1"}]
)
def test_a_marker_in_a_file_changes_its_own_pixel_alone(tmp_path: Path, elements: dict[str, object]) -> None:
    """The same law through the whole reader."""
    without, with_marker = shown_twice(tmp_path, 4095, **elements)
    differences = np.argwhere(without != with_marker)
    assert differences.tolist() == [[0, 0]]


def edited(content: bytes, rng: random.Random) -> bytes:
    """A file with one element of its header changed to something else of the same kind, another kind, or nothing."""
    data = pydicom.dcmread(io.BytesIO(content))
    element = rng.choice([element for element in data if element.tag.group != 0x7FE0] or [data[0x00280010]])
    wild: list[object] = [
        None, "", "abc", "-1", "0", "1e400", "nan", 0, 1, 65535, "\\".join(["1", "2"]), b"\0", b"\xff" * 9, [1, 2, 3], "\ufffd",
    ]  # fmt: skip
    choice = rng.random()
    if choice < 0.15:
        del data[element.tag]
    elif choice < 0.75:
        element.value = rng.choice(wild) if element.VR != "SQ" else []
    else:
        element.VR = rng.choice(["US", "SS", "DS", "IS", "LO", "OW", "UN", "FD", "UI"])
    output = io.BytesIO()
    data.save_as(output)
    return output.getvalue()


def flipped(content: bytes, rng: random.Random) -> bytes:
    """A file with a few bytes of its header changed."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(128, len(content) - 512)] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.slow
def test_no_edit_of_a_header_ends_in_a_traceback(tmp_path: Path) -> None:
    """Two thousand of them: a picture, or a reason in words; and never a value of the file in the reason."""
    from .test_dicom_header import table

    pixels = (np.arange(256, dtype=np.uint16) * 16).reshape(16, 16)
    elements = {
        "Modality": "CR", "RescaleSlope": 1, "RescaleIntercept": 0, "WindowCenter": 2048, "WindowWidth": 4096,
        "PixelPaddingValue": 0,
        "VOILUTFunction": "LINEAR", "PresentationLUTShape": "IDENTITY", "PixelSpacing": [0.1, 0.1], "BurnedInAnnotation": "NO",
        "SmallestImagePixelValue": 0, "LargestImagePixelValue": 4080, "VOILUTSequence": table(list(range(4096)), bits=12),
        "SpecificCharacterSet": "ISO_IR 192", "NumberOfFrames": 1, "PixelAspectRatio": [1, 1],
    }  # fmt: skip
    content = write(tmp_path / "a.dcm", pixels, BitsStored=12, **elements).read_bytes()
    rng = random.Random(20)
    outcomes: Counter[str] = Counter()
    files = 0
    while files < EDITS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                changed = edited(content, rng) if rng.random() < 0.6 else flipped(content, rng)
            except (*DAMAGE, pydicom.errors.BytesLengthException):
                continue  # the writer refuses it, so that it never becomes a file
        files += 1
        decoded = decode_dicom(changed)
        assert decoded.pixels is not None or decoded.problem is None or decoded.problem[2]
        assert decoded.problem is None or "Mustermann" not in decoded.problem[1] + decoded.problem[2]
        outcomes["shown" if decoded.pixels is not None else decoded.problem[0] if decoded.problem else "corrupt"] += 1
    assert {"shown", "header-unreadable", "header-incomplete", "pixels-short"} <= set(outcomes)
