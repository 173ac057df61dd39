"""Exports as they come: files of other kinds beside the pictures, other encodings, ids that name nobody."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from wardround.sources.dicom.reading import pseudonym, read_dicom  # noqa: E402
from wardround.sources.opening import open_source  # noqa: E402
from wardround.sources.read_result import Problem, ReadResult  # noqa: E402
from wardround.sources.readiness.rendering import render  # noqa: E402
from wardround.study.contract import DataContract, ImageContract, PatientContract  # noqa: E402
from wardround.values.durable import write_atomic  # noqa: E402
from wardround.values.errors import DataError  # noqa: E402

from .source_conformance import Item, case  # noqa: E402
from .test_dicom import TestDicomFolder as Folder  # noqa: E402
from .test_dicom import write  # noqa: E402
from .test_dicom_header import CONTRACT, RAMP, codes, shown  # noqa: E402

REQUIRED = CONTRACT.changed(patient=PatientContract(required=True))
XRAY = DataContract(kind="image", image=ImageContract(size=(16, 16), modalities=("CR", "DX")))


@pytest.fixture(autouse=True)
def _salt_of_a_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn anew it would now and then leave nobody in train; and a test writes nothing into its user's home."""
    home = tmp_path_factory.mktemp("user")
    write_atomic(home / "site-salt", b"w" * 32, private=True)
    monkeypatch.setenv("WARDROUND_HOME", str(home))


def problem_of(read_result: ReadResult, code: str) -> Problem:
    return next(problem for problem in read_result.problems if problem.code == code)


def read(folder: Path, contract: DataContract = CONTRACT) -> ReadResult:
    return read_dicom(folder, contract, salt=b"s")


def object_without_pixels(path: Path, sop_class: str) -> None:
    write(path, RAMP)
    data = pydicom.dcmread(path)
    del data.PixelData
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.save_as(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_no_picture_is_left_out_and_counted_by_its_kind(tmp_path: Path, zipped: bool) -> None:
    """A DICOMDIR at the top of every CD had no label, and one file like that ended the whole run."""
    folder = Folder().write(tmp_path / "d", case(6))
    object_without_pixels(folder / "DICOMDIR", MediaStorageDirectoryStorage)
    for name, sop_class in (
        ("1/sr", "88.11"),
        ("0/state", "11.1"),
        ("report.pdf.dcm", "104.1"),
        ("1/plan", "481.5"),
        ("raw", "66"),
    ):
        object_without_pixels(folder / name, f"1.2.840.10008.5.1.4.1.1.{sop_class}")
    path = folder
    if zipped:
        path = tmp_path / "d.zip"
        with zipfile.ZipFile(path, "w") as file:
            for part in sorted(part for part in folder.rglob("*") if part.is_file()):
                file.write(part, part.relative_to(folder).as_posix())
    read_result = read(path)
    assert codes(read_result) == {"dicomdir": "note", "no-picture": "warning"}
    kinds = {place.file: place.value for place in problem_of(read_result, "no-picture").places}
    assert kinds["1/sr"] == "structured reports" and kinds["0/state"] == "presentation states" and len(kinds) == 5
    assert len(read_result) == 12
    assert open_source(path, CONTRACT).check().ready()
    assert len(open_source(path, CONTRACT).load()) == 12


def test_a_picture_of_another_modality_is_an_error_that_names_it_on_the_screen_alone(tmp_path: Path) -> None:
    """A CT slice among radiographs was learned as a radiograph."""
    for number in range(12):
        write(
            tmp_path / str(number % 2) / f"{number}.dcm",
            Item(number, "", "").image(),
            f"p{number}",
            Modality=("CR", "DX")[number % 2],
        )
    assert codes(read(tmp_path, XRAY)) == {}
    write(tmp_path / "1" / "ct.dcm", RAMP, "ct", Modality="CT")
    write(tmp_path / "1" / "none.dcm", RAMP, "none")
    read_result = read(tmp_path, XRAY)
    assert codes(read_result) == {"modality": "error"} and len(read_result) == 12
    problem = problem_of(read_result, "modality")
    assert [place.value for place in problem.places] == ["CT", ""]
    assert "CT" not in problem.text + problem.hint
    with pytest.raises(DataError, match="CR, DX"):
        open_source(tmp_path, XRAY).load()


def test_several_modalities_without_a_word_in_the_contract_are_a_warning(tmp_path: Path) -> None:
    """The rarer ones are listed: they are what somebody must look at."""
    for number, modality in enumerate(["DX", "DX", "DX", "CT", "MR"]):
        write(tmp_path / "1" / f"{number}.dcm", Item(number, "", "").image(), f"p{number}", Modality=modality)
    problem = problem_of(read(tmp_path), "several-modalities")
    assert problem.level == "warning" and problem.count == 2
    assert [(place.file, place.value) for place in problem.places] == [("1/3.dcm", "CT"), ("1/4.dcm", "MR")]


def test_modalities_are_codes_in_capitals() -> None:
    """`x-ray` in a study would leave every picture of every hospital out."""
    with pytest.raises(ValueError, match="codes in capitals"):
        ImageContract(modalities=("x-ray",))


@pytest.mark.parametrize("word", ["ANONYMOUS", "anon", "UNKNOWN", "0", "0000", "N/A", "Anonymized^", "---"])
def test_an_id_that_stands_for_nobody_names_nobody(tmp_path: Path, word: str) -> None:
    """Twenty people called ANONYMOUS were one patient, in one split, and satisfied `required = true`."""
    for number in range(20):
        write(tmp_path / str(number % 2) / f"{number}.dcm", Item(number, "", "").image(), word)
    read_result = read(tmp_path)
    assert codes(read_result) == {"patient-word": "warning"}
    assert problem_of(read_result, "patient-word").places[0].value == word.strip()
    assert not read_result.names_patients and len(set(read_result.patients.tolist())) == 20
    with pytest.raises(DataError, match="which patient"):
        open_source(tmp_path, REQUIRED).load()


@pytest.mark.parametrize("word", ["ANON", ""])
def test_some_ids_that_stand_for_nobody_have_the_fate_that_they_have_in_a_table(tmp_path: Path, word: str) -> None:
    """Told, each a patient of its own, and refused where patients are required; a manifest that names them is the way out."""
    for number in range(12):
        write(tmp_path / str(number % 2) / f"{number}.dcm", Item(number, "", "").image(), word if number == 3 else f"p{number}")
    levels = {finding.code: finding.level for finding in open_source(tmp_path, CONTRACT).check().findings}
    assert levels["patient-absent"] == "warning" and len(set(read(tmp_path).patients.tolist())) == 12
    with pytest.raises(DataError, match="which patient"):
        open_source(tmp_path, REQUIRED).load()
    lines = [f"{number % 2}/{number}.dcm,{number % 2},p{number}" for number in range(12)]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label,patient", *lines]))
    read_result = read(tmp_path)
    assert codes(read_result) == {} and read_result.names_patients and len(set(read_result.patients.tolist())) == 12


def with_id(path: Path, content: bytes, charset: str | None) -> None:
    """A file whose PatientID has exactly these bytes."""
    write(path, Item(len(content), "", "").image(), patient="#" * (len(content) + len(content) % 2))
    data = pydicom.dcmread(path)
    del data.PatientName
    if charset is not None:
        data.SpecificCharacterSet = charset
    data.save_as(path)
    even = content + b" " * (len(content) % 2)
    path.write_bytes(path.read_bytes().replace(b"#" * len(even), even))


def test_one_patient_in_two_character_sets_is_one_patient(tmp_path: Path) -> None:
    """An archive that moved to UTF-8 keeps its old files."""
    with_id(tmp_path / "1" / "a.dcm", "Müller-7".encode("latin-1"), "ISO_IR 100")
    with_id(tmp_path / "1" / "b.dcm", "Müller-7".encode(), "ISO_IR 192")
    with_id(tmp_path / "1" / "c.dcm", "Mu\u0308ller-7".encode(), "ISO_IR 192")
    read_result = read(tmp_path)
    assert codes(read_result) == {}
    assert set(read_result.patients.tolist()) == {pseudonym("Müller-7", b"s")}


def test_ids_that_cannot_be_read_are_refused_and_not_merged(tmp_path: Path) -> None:
    """Müller and Möller both read as M?ller, and became one patient."""
    with_id(tmp_path / "1" / "a.dcm", "Müller".encode("latin-1"), "ISO_IR 192")
    with_id(tmp_path / "1" / "b.dcm", "Möller".encode("latin-1"), "ISO_IR 192")
    assert codes(read(tmp_path)) == {"patient-unreadable": "error"}


@pytest.mark.parametrize("content", [b"P17", b"P17 ", b" P17", b"P17\0", b"P17 \0\0", b"P17     "])
def test_spaces_and_zero_bytes_around_an_id_mean_nothing(tmp_path: Path, content: bytes) -> None:
    """PS3.5 6.2: both fill an element to its even length."""
    with_id(tmp_path / "1" / "a.dcm", content, None)
    assert read(tmp_path).patients.tolist() == [pseudonym("P17", b"s")]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_plain_encoding_gives_the_same_picture(tmp_path: Path, syntax: str, bits: int) -> None:
    """Old archives are big-endian; a picture with its bytes swapped is noise."""
    pixels = RAMP if bits == 8 else RAMP.astype(np.uint16) * 257
    path = write(tmp_path / "1" / "a.dcm", pixels, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        data.PixelData = (pixels.reshape(-1, 2)[:, ::-1] if bits == 8 else pixels.astype(">u2")).tobytes()
        data["PixelData"].VR = "OW"
    fresh = Dataset({element.tag: element for element in data})  # the library does not turn the bytes of one that was read
    fresh.file_meta = data.file_meta
    fresh.save_as(path, enforce_file_format=True)
    assert np.array_equal(shown(read(tmp_path)), RAMP)


@pytest.mark.parametrize("cut", [b"\x02\x00\x00\x00", b"\x08\x00\x16\x00"])
def test_a_file_without_preamble_is_read(tmp_path: Path, cut: bytes) -> None:
    """Some archives store what came over the network: no preamble, and often no group 0002."""
    path = write(tmp_path / "1" / "a.dcm", RAMP)
    content = path.read_bytes()
    path.write_bytes(content[content.index(cut) :])
    read_result = open_source(tmp_path, CONTRACT).named()
    assert np.array_equal(read_result.inputs[0], RAMP)


def test_an_implicit_or_big_endian_data_set_alone_is_read(tmp_path: Path) -> None:
    """The same, in the encodings that a network falls back to."""
    for name, syntax in (("a", ImplicitVRLittleEndian), ("b", ExplicitVRBigEndian)):
        path = write(tmp_path / name / "1" / "a.dcm", RAMP)
        data = pydicom.dcmread(path)
        big = syntax == ExplicitVRBigEndian
        bare = Dataset({element.tag: element for element in data})
        if big:
            bare.PixelData = RAMP.reshape(-1, 2)[:, ::-1].tobytes()
            bare["PixelData"].VR = "OW"
        bare.save_as(path, implicit_vr=not big, little_endian=not big)
        assert path.read_bytes()[:2] == (b"\0\x08" if big else b"\x08\0")
        assert np.array_equal(shown(read(tmp_path / name)), RAMP)


@pytest.mark.parametrize(
    "junk",
    [
        lambda data: data.add_new(0x00091001, "UN", b"\0\1\2junk"),
        lambda data: data.add_new(0x00090010, "LO", "ACME 1.1"),
        lambda data: data.add_new(0x00091002, "SQ", [Dataset()]),
        lambda data: data.add_new(0x00111010, "OB", bytes(range(256)) * 4),
    ],
)
def test_private_elements_do_no_harm(tmp_path: Path, junk: Callable[[Dataset], None]) -> None:
    """Every maker has some, with and without the creator that the standard wants."""
    path = write(tmp_path / "1" / "a.dcm", RAMP)
    data = pydicom.dcmread(path)
    junk(data)
    data.save_as(path)
    assert np.array_equal(shown(read(tmp_path)), RAMP)


def test_the_report_says_on_the_screen_what_the_sendable_form_leaves_out(tmp_path: Path) -> None:
    """The manager needs the file and the value; a mail must not have them."""
    Folder().write(tmp_path, case(6))
    write(tmp_path / "1" / "strange.dcm", RAMP, "Mustermann-77", WindowCenter=4711, WindowWidth=-4712)
    report = open_source(tmp_path, CONTRACT).check()
    assert not report.ready()
    assert "strange.dcm" in render(report) and "-4712" in render(report)
    sent = f"{report.to_json()} {render(report, where=False)}"
    assert "strange" not in sent and "471" not in sent and "Mustermann" not in sent
