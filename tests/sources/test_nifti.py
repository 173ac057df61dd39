"""NIfTI slices: each value and each way up against what the standard says, worked out by hand."""

import gzip
import logging
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from wardround.sources.images.image_decoding import decode
from wardround.sources.images.image_folder import read_image_folder
from wardround.sources.images.picture_kinds import HEAD_BYTES, kind_of, suffix_of
from wardround.sources.opening import open_source
from wardround.sources.preparing import prepare
from wardround.study.contract import DataContract, ImageContract
from wardround.values.errors import DataError, MissingExtraError

from .file_conformance import FileConformance
from .nifti_files import RAS, nifti, packed
from .source_conformance import Item
from .test_awkward_files import ODD, saved
from .test_image_folder import CONTRACT, WORDS, folder_of

STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
"""(x, y): two columns of pixels along x, three along y."""
AXIAL = [[6, 3], [5, 2], [4, 1]]
"""STORED under RAS: the largest y (the front) on top, the largest x (the patient's right) on the left."""
GREY = Item(77, "", "").image()
HU = ImageContract(window=(-1000.0, 400.0))


def pixels_of(content: bytes, contract: ImageContract | None = None) -> np.ndarray:
    decoded = decode(content, contract or ImageContract())
    assert decoded.problem is None
    assert decoded.pixels is not None
    return decoded.pixels


def code_of(content: bytes, contract: ImageContract | None = None) -> str:
    decoded = decode(content, contract or ImageContract())
    assert decoded.pixels is None
    assert decoded.problem is not None
    return decoded.problem[0]


class TestNiftiFolder(FileConformance):
    """Plain and packed, both versions, both byte orders, with a list."""

    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        lines = ["file,label,patient,split"]
        for at, item in enumerate(items):
            content = nifti(item.image().T[::-1, ::-1], order="<>"[at % 2], version=1 + at % 3 // 2)
            (folder / self.name(item, at)).write_bytes(packed(content) if at % 2 else content)
            lines.append(f"{self.name(item, at)},{item.label},{item.patient},{item.split}")
        (folder / "manifest.csv").write_text("\n".join(lines))
        return folder

    def name(self, item: Item, at: int) -> str:
        return f"{item.patient}-{at}.nii" + ".gz" * (at % 2)

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        path = self.write(folder, items)
        lines = ["file,patient", *(f"{self.name(i, at)},{i.patient}" for at, i in enumerate(items))]
        (folder / "manifest.csv").write_text("\n".join(lines))
        return path

    def source_order(self, items: list[Item]) -> list[Item]:
        return [item for _, item in sorted((self.name(item, at), item) for at, item in enumerate(items))]

    def raw_records(self, path: Path) -> list[Any]:
        return sorted(path.rglob("*.nii*"))


class TestNiftiZip(FileConformance):
    """Sub-folders tell label and patient."""

    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "images.zip", "w") as file:
            for item in items:
                name = "/".join(part for part in (item.split, item.label, item.patient, f"{item.number}.nii.gz") if part)
                file.writestr(name, packed(nifti(item.image().T[::-1, ::-1])))
        return folder / "images.zip"

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        return self.write(folder, [replace(item, label="", patient="") for item in items])

    def source_order(self, items: list[Item]) -> list[Item]:
        return sorted(items, key=lambda item: f"{item.label}/{item.patient}/{item.number}.nii.gz")

    def raw_records(self, path: Path) -> list[Any]:
        with zipfile.ZipFile(path) as file:
            return [file.read(name) for name in sorted(file.namelist())]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 1, 1), (2, 3, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "i1"])
def test_whole_numbers_are_read_as_they_stand(shape: tuple[int, ...], version: int, order: str, kind: str) -> None:
    """8 bits only where the file stores 8: the depth may not hang on what one image shows."""
    content = nifti(STORED.astype(kind), shape=shape, version=version, order=order)
    for whole in (content, packed(content)):
        pixels = pixels_of(whole)
        assert pixels.tolist() == AXIAL
        assert pixels.dtype == (np.uint8 if kind == "u1" else np.uint16)


WAYS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], list[list[int]]]] = {
    "axial, RAS": ((1, 0, 0), (0, 1, 0), [[6, 3], [5, 2], [4, 1]]),
    "axial, LPS": ((-1, 0, 0), (0, -1, 0), [[1, 4], [2, 5], [3, 6]]),
    "axial, LAS": ((-1, 0, 0), (0, 1, 0), [[3, 6], [2, 5], [1, 4]]),
    "axial, turned": ((0, 1, 0), (1, 0, 0), [[6, 5, 4], [3, 2, 1]]),
    "coronal, RS": ((1, 0, 0), (0, 0, 1), [[6, 3], [5, 2], [4, 1]]),
    "coronal, LI": ((-1, 0, 0), (0, 0, -1), [[1, 4], [2, 5], [3, 6]]),
    "sagittal, AS": ((0, 1, 0), (0, 0, 1), [[6, 3], [5, 2], [4, 1]]),
    "sagittal, PS": ((0, -1, 0), (0, 0, 1), [[3, 6], [2, 5], [1, 4]]),
    "sagittal, IA": ((0, 0, -1), (0, 1, 0), [[3, 2, 1], [6, 5, 4]]),
}
"""Where x and y of the file point to (right, anterior, superior), and the picture drawn by hand: superior or anterior on top, the
patient's right on the left, anterior on the left of a sagittal."""


@pytest.mark.parametrize("way", WAYS)
def test_a_slice_stands_as_the_documentation_says(way: str) -> None:
    """A mirrored chest has its heart on the wrong side."""
    x, y, picture = WAYS[way]
    matrix = tuple((2.0 * x[k], 3.0 * y[k], 0.0, 7.0) for k in range(3))
    assert pixels_of(nifti(STORED, sform=matrix)).tolist() == picture


def test_a_slice_cut_along_the_first_or_second_axis_is_read() -> None:
    """Cutting a volume leaves (1, y, z) and (x, 1, z): here sagittal and coronal."""
    assert pixels_of(nifti(STORED[None], shape=(1, 2, 3))).tolist() == AXIAL
    assert pixels_of(nifti(STORED[:, None], shape=(2, 1, 3))).tolist() == AXIAL


def test_slices_that_another_program_cut_from_a_volume_stand_as_its_own_reorientation_says() -> None:
    """Forty orientations, cut along each axis: a file that nibabel writes, turned to right, anterior, superior by nibabel."""
    draw = np.random.default_rng(11)
    for number in range(40):
        affine = np.zeros((4, 4))
        affine[draw.permutation(3), range(3)] = draw.choice([-1.0, 1.0], 3) * draw.uniform(0.5, 3, 3)
        affine[:3, 3], affine[3, 3] = draw.uniform(-50, 50, 3), 1
        cut = tuple(slice(2, 3) if axis == number % 3 else slice(None) for axis in range(3))
        image = nibabel.Nifti1Image(draw.integers(0, 1000, (5, 6, 7)).astype(np.int16), affine).slicer[cut]
        turned = np.asarray(nibabel.as_closest_canonical(image).dataobj).squeeze()
        assert np.array_equal(pixels_of(image.to_bytes()), turned.T[::-1, ::-1])


def test_the_way_up_is_read_from_the_quaternion_where_no_matrix_stands() -> None:
    """b, c, d = 0, 0, 1 is half a turn about the z axis: x and y point to the left and to the back."""
    assert pixels_of(nifti(STORED, sform=None, qform=(0, 0, 0, 1.0))).tolist() == AXIAL
    assert pixels_of(nifti(STORED, sform=None, qform=(0, 0, 1, 1.0))).tolist() == [[1, 4], [2, 5], [3, 6]]


def test_colours_are_read() -> None:
    """RGB24 keeps the three channels of a pixel together; slope and intercept do not count for it."""
    colours = np.stack([STORED, STORED + 100, STORED + 200], axis=2)
    pixels = pixels_of(nifti(colours, "rgb", slope=2.0))
    assert pixels.dtype == np.uint8
    assert pixels[0, 0].tolist() == [6, 106, 206]
    assert pixels[..., 1].tolist() == [[106, 103], [105, 102], [104, 101]]


def test_slope_and_intercept_count_and_a_slope_of_0_means_neither() -> None:
    """2 v + 10 of 1 to 6 is 12 to 22; as 16 bits, since other images may hold more."""
    scaled = pixels_of(nifti(STORED, slope=2.0, intercept=10.0))
    assert scaled.tolist() == [[22, 16], [20, 14], [18, 12]]
    assert scaled.dtype == np.uint16
    assert pixels_of(nifti(STORED, slope=0.0, intercept=10.0)).tolist() == AXIAL


def test_a_window_says_what_black_and_white_are_and_clips_the_rest() -> None:
    """-1000 is black, 400 white, -300 the middle (32767.5, which rounds to even: 32768); fill values end at the bound."""
    values = np.array([[-3024, -1000], [-300, 400], [3071, 50]], np.int16)
    assert pixels_of(nifti(values), HU).tolist() == [[49151, 65535, 0], [65535, 32768, 0]]
    assert pixels_of(nifti(values + 1024, intercept=-1024.0), HU).tolist() == [[49151, 65535, 0], [65535, 32768, 0]]
    twelve = ImageContract(window=(-1000.0, 400.0), white_16=4095)
    assert pixels_of(nifti(values), twelve).tolist() == [[3071, 4095, 0], [4095, 2048, 0]]
    assert pixels_of(nifti(STORED), ImageContract(window=(0.0, 5.0))).tolist()[2] == [52428, 13107]


def test_a_tiff_of_fractions_is_read_through_the_window() -> None:
    """The same words for the same kind of values; NaN has no grey."""
    values = np.array([[-0.5, 0.0], [0.5, 1.0], [2.0, 0.25]], np.float32)
    unit = ImageContract(window=(0.0, 1.0))
    assert pixels_of(saved(Image.fromarray(values), "TIFF"), unit).tolist() == [[0, 0], [32768, 65535], [65535, 16384]]
    values[0, 0] = np.nan
    assert code_of(saved(Image.fromarray(values), "TIFF"), unit) == "not-finite"


def tilted(degrees: float) -> tuple[tuple[float, ...], ...]:
    """RAS turned about the x axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return ((1, 0, 0, 0), (0, cosine, -sine, 0), (0, sine, cosine, 0))


def patched(content: bytes, at: int, form: str, *values: float) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


PLAIN = nifti(GREY)
SIGNED = nifti(GREY.astype(np.int16) - 50)
BAD_GZIP = packed(PLAIN)[:-8] + bytes(4) + packed(PLAIN)[-4:]
REFUSED: dict[str, tuple[bytes, str]] = {
    "a volume": (nifti(np.zeros((4, 4, 2), np.uint8)), "nifti-volume"),
    "time points": (nifti(np.zeros((4, 4, 1, 2), np.uint8)), "nifti-volume"),
    "a line": (nifti(np.zeros((4, 1), np.uint8)), "nifti-shape"),
    "complex numbers": (nifti(np.zeros((4, 4), np.complex64)), "nifti-type"),
    "an unknown type": (patched(PLAIN, 70, "<h", 999), "nifti-type"),
    "two sizes of a number": (patched(PLAIN, 72, "<h", 16), "nifti-header"),
    "no axis": (patched(PLAIN, 40, "<h", 0), "nifti-header"),
    "too many axes": (patched(PLAIN, 40, "<h", 8), "nifti-header"),
    "a negative side": (patched(PLAIN, 42, "<h", -16), "nifti-header"),
    "values within the header": (patched(PLAIN, 108, "<f", 0.0), "nifti-header"),
    "values at NaN": (patched(PLAIN, 108, "<f", np.nan), "nifti-header"),
    "values far beyond": (patched(PLAIN, 108, "<f", 3e38), "too-large-file"),
    "more values than the header says": (PLAIN + b"\0", "nifti-header"),
    "fewer values": (PLAIN[:-1], "cut-short-image"),
    "half a header": (PLAIN[:350], "cut-short-image"),
    "packed and cut short": (packed(PLAIN)[:-20], "cut-short-image"),
    "packed and damaged": (BAD_GZIP, "corrupt-image"),
    "a slope that is NaN": (patched(PLAIN, 112, "<f", np.nan), "nifti-scale"),
    "an infinite intercept": (patched(PLAIN, 116, "<f", np.inf), "nifti-scale"),
    "no way up": (nifti(GREY, sform=None), "nifti-no-affine"),
    "a way up of zeros": (nifti(GREY, sform=((0,) * 4,) * 3), "nifti-no-affine"),
    "a way up of NaN": (nifti(GREY, sform=((np.nan,) * 4,) * 3), "nifti-no-affine"),
    "a quaternion that is none": (nifti(GREY, sform=None, qform=(1, 1, 1, 1.0)), "nifti-no-affine"),
    "two ways up": (nifti(GREY, qform=(0, 0, 1, 1.0)), "nifti-two-affines"),
    "between the axes": (nifti(GREY, sform=tilted(45)), "nifti-between-axes"),
    "two axes along one": (nifti(GREY, sform=((1, 1, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0))), "nifti-between-axes"),
    "negative numbers": (SIGNED, "nifti-no-window"),
    "fractions": (nifti(GREY.astype(np.float32) / 7), "nifti-no-window"),
    "large numbers": (nifti(GREY.astype(np.int32) + 65536), "nifti-no-window"),
    "NaN": (nifti(np.where(GREY[0, 0] == GREY, np.nan, GREY)), "not-finite"),
    "infinite values": (nifti(np.full((4, 4), np.inf, np.float32)), "not-finite"),
    "a header of two files": (nifti(GREY, magic=b"ni1\0"), "named-otherwise:NIfTI-in-two-files"),
    "another file, packed": (gzip.compress(b"age,label\n1,0\n"), "named-otherwise:gzip"),
    "another file": (b"age,label\n1,0\n", "not-an-image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_awkward_nifti_file_is_refused_by_its_cause_and_place(tmp_path: Path, kind: str) -> None:
    """One message for every cause would have a mend that is untrue."""
    content, code = REFUSED[kind]
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL" / "odd.nii").write_bytes(content)
    report = open_source(folder, WORDS).check()
    errors = [finding for finding in report.findings if finding.level == "error"]
    assert [(finding.code, [spot.file for spot in finding.places]) for finding in errors] == [(code, ["NORMAL/odd.nii"])]
    assert errors[0].hint
    assert "odd" not in str(report.to_json())
    with pytest.raises(DataError):
        prepare(WORDS, content)


def test_the_mends_of_nifti_work_to_the_letter() -> None:
    """A window reads signed values (here 257 a level), one file a slice reads a volume, a stated way up reads the rest."""
    upright = GREY.T[::-1, ::-1]
    assert np.array_equal(pixels_of(SIGNED, ImageContract(window=(-50.0, 205.0))), upright.astype(np.uint16) * 257)
    volume = np.stack([GREY, 255 - GREY], axis=2)
    assert code_of(nifti(volume)) == "nifti-volume"
    assert np.array_equal(pixels_of(nifti(volume[..., 1])), 255 - upright)
    assert np.array_equal(pixels_of(nifti(GREY, sform=RAS)), upright)


def test_a_tilted_slice_is_read_and_told(tmp_path: Path) -> None:
    """Slices of the brain are tilted on purpose; the person must know that the picture is not."""
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL" / "straight.nii").write_bytes(nifti(GREY, sform=tilted(9)))
    (folder / "NORMAL" / "tilted.nii.gz").write_bytes(packed(nifti(GREY, sform=tilted(20))))
    report = open_source(folder, WORDS).check()
    assert report.ready()
    told = {finding.code: (finding.level, [spot.file for spot in finding.places]) for finding in report.findings}
    assert told["nifti-oblique"] == ("warning", ["NORMAL/tilted.nii.gz"])


def test_a_packed_nifti_is_told_from_its_first_bytes_without_its_name(tmp_path: Path) -> None:
    """Noise packs to a long table of codes before the header, and a table packed the same way is no image."""
    noise = np.random.default_rng(4).integers(0, 256, (64, 64)).astype(np.uint8)
    assert kind_of(packed(nifti(noise))[:HEAD_BYTES]) == kind_of(nifti(noise, version=2)[:HEAD_BYTES]) == "NIfTI"
    assert kind_of(gzip.compress(b"age,label\n")) == "gzip"
    assert suffix_of("a/B.NII.GZ") == ".nii.gz"
    folder = folder_of(tmp_path / "d")
    (folder / ODD).write_bytes(packed(nifti(GREY.T[::-1, ::-1])))
    records = open_source(folder, WORDS).load()
    assert len(records) == 25
    assert any(np.array_equal(image, GREY) for image in records.inputs)


def test_one_record_is_prepared_as_a_source_would(tmp_path: Path) -> None:
    """The model must see at one patient what it learned from many."""
    contract = CONTRACT.changed(image=ImageContract(size=(16, 16), window=(-50.0, 205.0)))
    (tmp_path / "a.nii.gz").write_bytes(packed(nifti(GREY.T[::-1, ::-1].astype(np.int16) - 50)))
    assert np.array_equal(prepare(contract, tmp_path / "a.nii.gz"), GREY)
    read_result = read_image_folder(tmp_path, contract, "optional")
    assert np.array_equal(read_result.inputs[0], GREY)


def test_memory_grows_with_the_file_and_not_with_what_its_header_claims() -> None:
    """300 kB of gzip hold 300 MB of zeros; a header of 352 bytes may claim as much."""
    bomb = gzip.compress(PLAIN + bytes(300 * 2**20), 1)
    claim = patched(patched(nifti(GREY), 42, "<hh", 9000, 9000), 70, "<hh", 16, 32)
    many = patched(nifti(GREY), 42, "<hh", 32000, 32000)
    codes = []
    tracemalloc.start()
    try:
        for content in (bomb, claim, packed(claim), many):
            codes.append(code_of(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert codes == ["nifti-header", "cut-short-image", "cut-short-image", "too-many-pixels"]
    assert peak < 16 * 2**20


@pytest.mark.parametrize("version", [1, 2])
def test_no_edit_of_a_header_ends_in_a_traceback_or_a_word_of_the_library(
    version: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is read is a picture of the size that the header says; everything else is refused by one of our causes."""
    draw = np.random.default_rng(version)
    whole = nifti(GREY, version=version, qform=(0, 0, 0, 1.0))
    read = 0
    with caplog.at_level(logging.DEBUG):
        for number in range(500):
            content = bytearray(whole)
            for at in draw.integers(0, len(whole) - GREY.size, draw.integers(1, 5)):
                content[at] = draw.integers(0, 256)
            window = HU if number % 2 else ImageContract()
            decoded = decode(packed(bytes(content)) if number % 3 == 0 else bytes(content), window)
            assert (decoded.pixels is None) == (decoded.problem is not None)
            read += decoded.pixels is not None
    assert 0 < read < 500
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


def test_without_nibabel_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is no fault of the data."""
    for name in ("nibabel.nifti1", "nibabel.nifti2"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    folder = folder_of(tmp_path / "d")
    assert len(open_source(folder, WORDS).load()) == 24
    (folder / "NORMAL" / "a.nii").write_bytes(PLAIN)
    with pytest.raises(MissingExtraError, match="nibabel") as caught:
        open_source(folder, WORDS).load()
    assert "wardround[nifti]" in caught.value.hint


@pytest.mark.parametrize("window", [(1.0, 1.0), (2.0, 1.0), (-1.7e308, 1.7e308), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_window_is_black_and_then_white(window: tuple[float, float]) -> None:
    """A window without width would divide by zero."""
    with pytest.raises(ValueError, match=r"window|finite"):
        ImageContract(window=window)
