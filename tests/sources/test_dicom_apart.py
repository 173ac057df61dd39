"""Files of a DICOM source that differ from the others in what their headers say, unnoticed in a list of files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from wardround.sources.dicom.reading import read_dicom  # noqa: E402
from wardround.sources.read_result import Problem  # noqa: E402
from wardround.study.contract import DataContract, ImageContract  # noqa: E402

from .test_dicom import write  # noqa: E402

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))


def told(folder: Path, odd: dict[str, Any], others: dict[str, Any]) -> dict[str, Problem]:
    """Six pictures, of which the third is odd."""
    for k in range(6):
        pixels = np.random.default_rng(k).integers(0, 255, (16, 16)).astype(np.uint8)
        write(folder / str(k % 2) / f"{k}.dcm", pixels, f"P{k}", **(odd if k == 2 else others))
    return {problem.code: problem for problem in read_dicom(folder, CONTRACT, salt=b"s").problems}


@pytest.mark.parametrize(
    ("code", "odd", "others"),
    [
        ("several-body-parts", {"BodyPartExamined": "FOOT"}, {"BodyPartExamined": "CHEST"}),
        ("several-projections", {"ViewPosition": "LL"}, {"ViewPosition": "PA"}),
        ("several-ways-up", {"PatientOrientation": ["R", "F"]}, {"PatientOrientation": ["L", "F"]}),
        ("localizer", {"ImageType": ["DERIVED", "SECONDARY", "LOCALIZER"]}, {}),
        ("quality-control", {"QualityControlImage": "YES"}, {"QualityControlImage": "NO"}),
    ],
)
def test_a_picture_apart_from_the_others_is_named(tmp_path: Path, code: str, odd: dict[str, Any], others: dict[str, Any]) -> None:
    """A foot among the chests, a mirrored film, a test of the device: READY in silence."""
    problem = told(tmp_path, odd, others)[code]
    assert problem.level == "warning" and [spot.file for spot in problem.places] == ["0/2.dcm"]


def test_frontal_films_of_both_directions_and_silent_headers_are_not_told(tmp_path: Path) -> None:
    """AP and PA are both frontal, and many headers say nothing."""
    found = told(tmp_path, {"ViewPosition": "AP"}, {"ViewPosition": "PA", "BodyPartExamined": "CHEST"})
    assert not [code for code in found if code.startswith("several-")]


def test_two_files_of_one_object_are_told(tmp_path: Path) -> None:
    """A later version of a picture, or another one under a number that was given twice."""
    problem = told(tmp_path, {"SOPInstanceUID": "1.2.3"}, {"SOPInstanceUID": "1.2.3"})["same-object"]
    assert problem.count == 6 and all(spot.value is None for spot in problem.places)
