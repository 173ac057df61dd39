"""What sets some files of a source apart from the others: another part of the body, projection or way up; and files that say they
are one object. A model learns from the difference, and nobody sees it in a list of files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardround.sources.dicom.picture.fields import values_of, word
from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.read_result import Problem

_LATERAL = frozenset({"LL", "RL", "LATERAL", "LAT", "LLAT", "RLAT", "LLD", "RLD"})
_FRONTAL = frozenset({"AP", "PA", "AP/PA", "FRONTAL"})
_APART = (
    ("body_part", "several-body-parts", "DICOM files show another part of the body than most (BodyPartExamined)"),
    ("projection", "several-projections", "DICOM files are of another projection than most (ViewPosition)"),
    ("way_up", "several-ways-up", "DICOM files lie another way up, or are mirrored, beside most (PatientOrientation)"),
)
_HINT = "look at them; take out those that the study does not mean, or turn them at the source"


@dataclass(frozen=True)
class FileLook:
    """What a header says of its picture, "" where it says nothing. uid: of the object."""

    body_part: str = ""
    projection: str = ""
    way_up: str = ""
    uid: str = ""


def look_of(dataset: Any) -> FileLook:
    view = word(dataset, "ViewPosition")
    return FileLook(
        word(dataset, "BodyPartExamined"),
        "lateral" if view in _LATERAL else "frontal" if view in _FRONTAL else "",
        "\\".join(str(part).strip(" \0") for part in values_of(dataset, "PatientOrientation")),
        word(dataset, "SOPInstanceUID"),
    )


def problems_of(looks: Mapping[str, FileLook], positions: Mapping[str, int]) -> list[Problem]:
    """Warnings of the files that differ from most, and of those that say they are one object. Both by name of file."""
    problems = []
    for part, code, text in _APART:
        said = {name: value for name, look in looks.items() if (value := getattr(look, part))}
        counts = Counter(said.values())
        if len(counts) > 1:
            commonest = min(counts, key=lambda value: (-counts[value], value))
            problems.append(_problem(code, text, _HINT, {n: v for n, v in said.items() if v != commonest}, positions))
    uids = Counter(look.uid for look in looks.values() if look.uid)
    shared = {name: "" for name, look in looks.items() if uids[look.uid] > 1}
    if shared:
        text = "Several DICOM files say that they are one and the same object (SOPInstanceUID)"
        hint = "keep the right one of them; where they show different pictures, export them again from the archive"
        problems.append(_problem("same-object", text, hint, shared, positions))
    return problems


def _problem(code: str, text: str, hint: str, values: Mapping[str, str], positions: Mapping[str, int]) -> Problem:
    places = tuple(Place(positions[name], name, value=value or None) for name, value in values.items())[:PLACES_KEPT]
    return Problem("warning", code, text, hint, len(values), places)
