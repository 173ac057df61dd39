"""What a film's header says of age, sex, view and device: as far as it can be believed, and nothing that names a patient."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.clinic.dicom_files import dicom
from wardround.sources.dicom.film_groups import GROUPS, film_groups

FILM = np.full((8, 8), 7, np.uint8)


def of(folder: Path, **elements: object) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, on what a broken device writes
        (folder / "film.dcm").write_bytes(dicom(FILM, **elements))
    return {group: told[0] for group, told in film_groups(folder, ["film.dcm"]).items()}


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "034Y"}, "34"),
        ({"PatientAge": "018M"}, "1"),
        ({"PatientAge": "003W"}, "0"),
        ({"PatientAge": "", "PatientBirthDate": "19650203", "StudyDate": "20250202"}, "59"),
        ({"PatientAge": "", "PatientBirthDate": "19650203", "StudyDate": "20250203"}, "60"),
        ({"PatientAge": "", "PatientBirthDate": "20250203", "StudyDate": "19650203"}, ""),
        ({"PatientAge": "", "PatientBirthDate": "19651340", "StudyDate": "20250203"}, ""),
        ({"PatientAge": "", "PatientBirthDate": ""}, ""),
    ],
)
def test_an_age_in_whole_years(tmp_path: Path, elements: dict[str, str], age: str) -> None:
    """From the age, else from birth to study; none where neither can be."""
    assert of(tmp_path, **elements)["age"] == age


def test_sex_view_and_device(tmp_path: Path) -> None:
    """As few words as a group needs; what is no sex is none."""
    told = of(tmp_path, PatientSex="f", ViewPosition="ap", Manufacturer="Acme\x1b[31m", ManufacturerModelName="X" * 64)
    assert (told["sex"], told["view"]) == ("F", "AP") and told["scanner"].startswith("Acme [31m X") and len(told["scanner"]) < 130
    assert of(tmp_path, PatientSex="Mustermann")["sex"] == ""


def test_what_is_no_film_says_nothing(tmp_path: Path) -> None:
    """Damaged, no DICOM, not there, a folder: the others are still grouped."""
    whole = dicom(FILM, PatientSex="M")
    (tmp_path / "a.dcm").write_bytes(whole)
    (tmp_path / "b.dcm").write_bytes(whole[:200])
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    (tmp_path / "d").mkdir()
    told = film_groups(tmp_path, ["a.dcm", "b.dcm", "c.png", "d", "none"])
    assert told["sex"] == ["M", "", "", "", ""] and set(told) == set(GROUPS)
