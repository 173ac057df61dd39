"""What the headers of films say that divides patients into groups: age, sex, view, and which device took them.

For a hospital's own look at its own cases: nothing of this is part of a record, and no name or number of a patient is read.
"""

import re
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from wardround.sources.dicom.picture.file_format import HEAD_BYTES, has_dicom_mark
from wardround.sources.files.damage import DAMAGE

GROUPS = ("age", "sex", "view", "scanner")
_READ = (
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "PatientSex",
    "ViewPosition",
    "Manufacturer",
    "ManufacturerModelName",
)
_AGE = re.compile(r"(\d{3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONGEST = 60


def film_groups(folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Of films named by their path in a folder: each of GROUPS -> one text a film, "" where its header does not say. Age is in
    years. Films that are no DICOM say nothing; without pydicom none does."""
    told = [_groups_of(folder / name) for name in names]
    return {group: [film.get(group, "") for film in told] for group in GROUPS}


def _groups_of(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not has_dicom_mark(head[:132]) or _DEFLATED in head:
            return {}
        import pydicom

        damage: tuple[type[Exception], ...] = (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, *DAMAGE)
    except (ImportError, OSError):
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the values of elements, which may name a patient
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_READ))
            sex = _text(header, "PatientSex").upper()
            return {
                "age": _age(header),
                "sex": sex if sex in ("F", "M", "O") else "",
                "view": _text(header, "ViewPosition").upper(),
                "scanner": f"{_text(header, 'Manufacturer')} {_text(header, 'ManufacturerModelName')}".strip(),
            }
    except damage:
        return {}


def _age(header: Any) -> str:
    """Whole years: of PatientAge, else from birth to study."""
    if match := _AGE.fullmatch(_text(header, "PatientAge")):
        return str(int(int(match[1]) * _DAYS[match[2]] / 365.25))
    born, taken = (_date(_text(header, name)) for name in ("PatientBirthDate", "StudyDate"))
    if born is None or taken is None or not born <= taken:
        return ""
    return str(taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day)))


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _text(header: Any, name: str) -> str:
    """An element as one line of printable text."""
    value = header.get(name)
    line = "".join(sign if sign.isprintable() else " " for sign in str("" if value is None else value))
    return " ".join(line.split())[:_LONGEST]
