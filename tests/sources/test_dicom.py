"""DICOM images, written by pydicom for the test, and one real radiograph."""

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid

from wardround.sources.dicom.reading import pseudonym, read_dicom, site_salt
from wardround.sources.opening import open_source
from wardround.study.contract import DataContract, ImageContract
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, MissingExtraError, RunError

from .file_conformance import FileConformance
from .source_conformance import Item, case

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))


@pytest.fixture(autouse=True)
def _own_salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A salt drawn anew would now and then leave a split of thirty patients empty; this one leaves 18, 8 and 4."""
    write_atomic(tmp_path / "user" / "site-salt", b"w" * 32, private=True)
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "user"))


def write(path: Path, pixels: np.ndarray, patient: str = "Mustermann", **elements: object) -> Path:
    """A minimal secondary capture. Keyword arguments set elements, None takes one away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientName = patient, f"{patient}^Erika"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    if "BitsStored" in elements:
        data.HighBit = data.BitsStored - 1
    data.save_as(path, enforce_file_format=True)
    return path


def one(folder: Path, pixels: np.ndarray, **elements: object) -> np.ndarray:
    """What the reader makes of a single image."""
    write(folder / "data" / "1" / "a.dcm", pixels, **elements)
    read_result = read_dicom(folder / "data", CONTRACT, salt=b"s")
    assert {problem.level for problem in read_result.problems} <= {"note"}
    return read_result.inputs[0]


class TestDicomFolder(FileConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        for item in items:
            write(folder / item.split / item.label / f"{item.number}.dcm", item.image(), item.patient)
        return folder

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        return self.write(folder, [replace(item, label="") for item in items])

    def source_order(self, items: list[Item]) -> list[Item]:
        return sorted(items, key=lambda item: f"{item.label}/{item.number}.dcm")

    def raw_records(self, path: Path) -> list[Any]:
        return sorted(path.rglob("*.dcm"), key=lambda file: file.relative_to(path).as_posix())


class TestDicomZip(TestDicomFolder):
    def write(self, folder: Path, items: list[Item]) -> Path:
        super().write(folder / "files", items)
        with zipfile.ZipFile(folder / "d.zip", "w") as file:
            for path in sorted((folder / "files").rglob("*.dcm")):
                file.write(path, path.relative_to(folder / "files").as_posix())
        shutil.rmtree(folder / "files")
        return folder / "d.zip"

    def raw_records(self, path: Path) -> list[Any]:
        with zipfile.ZipFile(path) as file:
            return [file.read(name) for name in sorted(file.namelist())]


def test_patients_become_pseudonyms_that_need_the_sites_salt(tmp_path: Path) -> None:
    """A plain hash of an id is undone by trying all ids; and ids of two hospitals must not be comparable."""
    TestDicomFolder().write(tmp_path / "d", case())
    records = open_source(tmp_path / "d", CONTRACT).load()
    assert records.patient_count == 30
    assert not any("Mustermann" in name for name in records.patients.tolist())
    other = read_dicom(tmp_path / "d", CONTRACT, salt=b"another hospital")
    assert not set(other.patients.tolist()) & set(records.patients.tolist())
    assert pseudonym("", b"s") == ""


def test_the_salt_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    """Who has the salt can try all ids; who loses it divides patients anew."""
    path = tmp_path / "user" / "site-salt"
    path.unlink()
    made = site_salt()
    assert len(made) == 32
    assert site_salt() == made
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"short")
    with pytest.raises(DataError, match="not a salt"):
        site_salt()


def test_the_salt_lies_where_everything_of_this_user_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hospitals on one machine are kept apart by their homes; with one salt their patients could be compared."""
    first = site_salt()
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "other"))
    assert site_salt() != first
    assert (tmp_path / "other" / "site-salt").is_file()


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_salt_that_others_could_have_is_not_used(tmp_path: Path) -> None:
    """With it they undo the pseudonyms of every patient by trying all ids."""
    (tmp_path / "user" / "site-salt").chmod(0o644)
    with pytest.raises(RunError, match=r"site-salt.*chmod 600"):
        site_salt()


def test_a_manifest_names_labels_and_patients(tmp_path: Path) -> None:
    """De-identified files often carry a fresh PatientID each; the list then knows better."""
    for number in range(12):
        write(tmp_path / "d" / f"{number}.dcm", Item(number, "", "").image(), patient=f"uuid-{number}")
    lines = ["file,label,patient", *(f"{n}.dcm,{n % 2},p{n // 2}" for n in range(12))]
    (tmp_path / "d" / "manifest.csv").write_text("\n".join(lines))
    assert open_source(tmp_path / "d", CONTRACT).load().patient_count == 6


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    """Half of the world's computed radiographs store bone dark."""
    pixels = Item(1, "", "").image()
    shown = one(tmp_path, pixels, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(shown, 255 - pixels)


def test_twelve_bits_without_a_window_fill_the_scale_of_the_type_not_of_the_image(tmp_path: Path) -> None:
    """Stretching each image to its own extremes would make brightness depend on a lead marker."""
    pixels = (Item(1, "", "").image().astype(np.uint16) * 8).clip(0, 2040)
    assert one(tmp_path, pixels, BitsStored=12).max() == round(2040 / 4095 * 255)


def test_rescale_and_window_follow_the_standard(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2: at center - 0.5 the output is one half; signed values with slope and intercept are CT numbers."""
    pixels = np.linspace(0, 2000, 256).astype(np.int16).reshape(16, 16)
    shown = one(tmp_path, pixels, RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=1000)
    units = pixels.astype(float) - 1000
    expected = np.clip((units + 0.5) / 999 + 0.5, 0, 1) * 255
    assert np.abs(shown - expected).max() <= 1


def test_several_windows_mean_the_first_and_sigmoid_is_known(tmp_path: Path) -> None:
    """Files often offer lung and bone windows."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(one(tmp_path / "a", pixels, WindowCenter=[128, 10], WindowWidth=[256, 20]), pixels)
    curve = one(tmp_path / "b", pixels, WindowCenter=128, WindowWidth=64, VOILUTFunction="SIGMOID")
    assert curve[8, 0] in (127, 128)
    assert np.all(np.diff(curve.reshape(-1).astype(int)) >= 0)
    exact = one(tmp_path / "c", pixels, WindowCenter=128, WindowWidth=128, VOILUTFunction="LINEAR_EXACT")
    assert exact[4, 0] == 0
    assert exact[12, 0] == 255


def lut(values: list[int], bits: int) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), 0, bits])
    item.add_new("LUTData", "US", values)
    item.ModalityLUTType = "US"
    return Sequence([item])


def test_lookup_tables_are_applied(tmp_path: Path) -> None:
    """Some scanners ship a curve instead of a window."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    turned = [65535 - 257 * k for k in range(256)]
    assert np.array_equal(one(tmp_path / "v", pixels, VOILUTSequence=lut(turned, 16)), 255 - pixels)
    assert np.array_equal(one(tmp_path / "m", pixels, ModalityLUTSequence=lut(turned, 16)), 255 - pixels)


def test_equal_colour_channels_collapse(tmp_path: Path) -> None:
    """Secondary captures of grey images are stored as RGB."""
    grey = Item(1, "", "").image()
    assert np.array_equal(one(tmp_path, np.stack([grey] * 3, axis=2)), grey)


@pytest.mark.parametrize(
    ("elements", "match"),
    [
        ({"NumberOfFrames": 2}, "several frames"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "photometric interpretation"),
    ],
)
def test_what_is_not_read_is_refused_in_words(tmp_path: Path, elements: dict[str, object], match: str) -> None:
    """A film read as its first frame would be a silent mistake."""
    TestDicomFolder().write(tmp_path / "d", case())
    write(tmp_path / "d" / "1" / "odd.dcm", np.zeros((16, 16), np.uint8), **elements)
    with pytest.raises(DataError, match=match):
        open_source(tmp_path / "d", CONTRACT).load()


def test_a_report_among_the_images_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    """Exports mix structured reports with images; copies break."""
    TestDicomFolder().write(tmp_path / "d", case())
    path = write(tmp_path / "d" / "1" / "report.dcm", np.zeros((16, 16), np.uint8))
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(DataError, match="hold no pixels"):
        open_source(tmp_path / "d", CONTRACT).load()
    whole = write(path, Item(1, "", "").image()).read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"fewer pixels than Rows, Columns.*copy them again"):
        open_source(tmp_path / "d", CONTRACT).load()


def test_a_missing_decoder_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mend is one pip command, if one knows it."""
    from pydicom.pixels.decoders import base

    class Bare:
        is_available = False

    TestDicomFolder().write(tmp_path / "d", case())
    path = write(tmp_path / "d" / "1" / "jpeg.dcm", np.zeros((16, 16), np.uint8))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    monkeypatch.setattr(base, "get_decoder", lambda _syntax: Bare())
    with pytest.raises(DataError, match=r"JPEG Baseline.*no decoder is installed.*wardround\[dicom\]"):
        open_source(tmp_path / "d", CONTRACT).load()


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DICOM is an optional part of the installation."""
    TestDicomFolder().write(tmp_path / "d", case(6))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"wardround\[dicom\]"):
        open_source(tmp_path / "d", CONTRACT).load()


def test_a_real_radiograph_is_shown_as_a_radiologist_sees_it(tmp_path: Path) -> None:
    """Compressed, as most archives keep them: lungs darker than the spine between them."""
    if "WARDROUND_DATA" not in os.environ:
        pytest.skip("WARDROUND_DATA is not set: no real DICOM file here")
    source = next((Path(os.environ["WARDROUND_DATA"]) / "dicom_cxr").glob("*.dcm"))
    (tmp_path / "data" / "1").mkdir(parents=True)
    (tmp_path / "data" / "1" / "a.dcm").write_bytes(source.read_bytes())
    contract = DataContract(kind="image", image=ImageContract(size=(64, 64)))
    read_result = read_dicom(tmp_path / "data", contract, salt=b"s")
    assert read_result.problems == ()
    assert read_result.inputs.shape == (1, 64, 64)
    lungs = read_result.inputs[0][20:40, [14, 15, 16, 47, 48, 49]].mean()
    spine = read_result.inputs[0][20:40, 30:34].mean()
    assert spine > lungs + 20


def test_a_single_file_without_a_preamble_is_named_as_an_image(tmp_path: Path) -> None:
    """Old archives write none; it was a table, or of no known kind."""
    (tmp_path / "a").write_bytes(b"\x08\x00\x16\x00UI\x1a\x00" + bytes(200))
    with pytest.raises(DataError, match="is a single image"):
        open_source(tmp_path / "a", CONTRACT)


def test_one_patient_id_of_two_issuers_is_told_without_showing_it(tmp_path: Path) -> None:
    """Two hospitals of one archive number their patients alike: two people then count as one."""
    rng = np.random.default_rng(2)
    for number in range(12):
        pixels = rng.integers(0, 255, (32, 32), dtype=np.uint8)
        issuer = "North" if number % 2 else "South"
        path = tmp_path / "d" / str(number % 2) / f"{number}.dcm"
        write(path, pixels, f"P{number // 2}", IssuerOfPatientID=issuer)
    report = open_source(tmp_path / "d", CONTRACT).check()
    finding = next(finding for finding in report.findings if finding.code == "patient-issuers")
    assert (
        finding.level == "warning" and finding.exact.endswith(": 6") and "North" not in f"{finding}" and "P1" not in f"{finding}"
    )


def test_spellings_of_a_patient_id_are_told_by_file_alone(tmp_path: Path) -> None:
    """A hash of P7 is nothing like one of p7, so that the reader must look before it hashes; the identifier stays unsaid."""
    pixels = np.random.default_rng(3).integers(0, 255, (6, 32, 32), dtype=np.uint8)
    for number, patient in enumerate(("QX7", "qx7", "0042", "42", "A1", "B1 ")):
        write(tmp_path / "d" / str(number % 2) / f"{number}.dcm", pixels[number], patient)
    finding = next(f for f in open_source(tmp_path / "d", CONTRACT).check().findings if f.code == "patient-spellings")
    assert len(finding.places) == 4 and "QX7" not in f"{finding}" and finding.exact.endswith(": 4")
