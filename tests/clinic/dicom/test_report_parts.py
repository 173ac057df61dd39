"""Answers of every kind of question as DICOM: sound by the standard, read back as they were given."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest

from tests.clinic.answers_in_parts import ASKED, Asked
from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.film_header import film_header
from wardround.clinic.dicom.results import result_files

from .films import faults_of, film, pixels

WHEN = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
every_answer = pytest.mark.parametrize("asked", ASKED, ids=[asked.name for asked in ASKED])


def answered(asked: Asked) -> AnsweredFilm:
    return AnsweredFilm(film_header(film()), asked.answer, asked.question, WHEN)


@every_answer
def test_a_report_is_sound_and_reads_back_as_what_was_answered(asked: Asked, tmp_path: Path) -> None:
    """An archive refuses an unsound one, and another program shows these numbers."""
    (report,) = result_files(answered(asked), ("report",))
    assert faults_of(report.content, tmp_path) == []
    read: Any = highdicom.sr.srread(io.BytesIO(report.content))
    groups = read.content.get_image_measurement_groups()
    numbers = [float(one.value) for group in groups for one in group.get_measurements()]
    assert {part.value for part in asked.answer.parts} <= set(numbers)
    answers = [
        evaluation.value.meaning
        for group in groups
        for evaluation in group.get_qualitative_evaluations()
        if evaluation.name.value == "answer"
    ]
    if asked.answer.kind == "findings":
        assert answers == ["Present", "Absent", "Indeterminate"] and len({group.tracking_uid for group in groups}) == 3
    elif asked.answer.verdict == "cannot-tell":
        assert answers == ["Indeterminate"]
    else:
        assert answers == {"classes": ["bacterial"], "grades": ["1"]}.get(asked.answer.kind, [])


def test_a_number_has_a_unit_of_ucum() -> None:
    """3.4 of nothing is no length of stay."""
    asked = next(one for one in ASKED if one.name == "number")
    (report,) = result_files(answered(asked), ("report",))
    read: Any = highdicom.sr.srread(io.BytesIO(report.content))
    (group,) = read.content.get_image_measurement_groups()
    units = {one.name.value: one.unit.value for one in group.get_measurements()}
    assert {units["value"], units["low"], units["high"]} == {"d"}


@every_answer
def test_lines_on_a_picture_are_ascii_and_say_where_nothing_is_told(asked: Asked) -> None:
    """Fonts and archives have no other letters; a name in another alphabet has its place for it."""
    lines = answered(asked).lines
    assert all(line.isascii() and line.isprintable() for line in lines) and lines[0] == "RESEARCH USE ONLY"
    assert any("CANNOT TELL" in line for line in lines) == (
        asked.answer.verdict == "cannot-tell" or asked.answer.kind == "findings"
    )
    picture = result_files(answered(asked), ("picture",), pixels(1), np.zeros((64, 64)))
    assert len(picture) == 1
