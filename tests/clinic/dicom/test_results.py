"""Answers as DICOM objects: in the film's own study, sound by the standard, and with no word of the patient that the film has
not."""

import io
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.clinic.answering.answer import Answer, Unusual
from wardround.clinic.answering.question import Question, question_of
from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.capture import over_film
from wardround.clinic.dicom.film_header import COPIED, FilmHeader, film_header
from wardround.clinic.dicom.results import ResultFile, result_files
from wardround.clinic.dicom.uids import derived_uid, is_uid
from wardround.clinic.place.finding import FindingSection
from wardround.values.errors import DataError

from .films import ANSWER, PERSONAL, QUESTION, faults_of, film, pixels, real_film

ALL = ("report", "picture", "heat-map")
WHEN = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
CHARSETS = {
    "ISO_IR 192": "王^小东",
    "GB18030": "王^小东",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 100": "Äneas^Rüdiger",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
}


def made(content: bytes, answer: Answer = ANSWER, question: Question = QUESTION, side: int = 64) -> tuple[ResultFile, ...]:
    heat = np.linspace(0, 1, side * side).reshape(side, side)
    return result_files(AnsweredFilm(film_header(content), answer, question, WHEN), ALL, pixels(1, side), heat)


def read(file: ResultFile) -> Any:
    return pydicom.dcmread(io.BytesIO(file.content))


@pytest.fixture(scope="module")
def results() -> tuple[ResultFile, ...]:
    return made(film())


def test_results_lie_in_the_films_study_and_name_the_film(results: tuple[ResultFile, ...]) -> None:
    """An archive files by these: a wrong one lays the answer beside another patient's films."""
    source = film_header(film())
    for file in results:
        dataset = read(file)
        assert dataset.StudyInstanceUID == source.study_uid
        assert dataset.SeriesInstanceUID != source.series_uid and dataset.SOPInstanceUID != source.sop_instance_uid
        assert {name: str(dataset[name].value) for name in PERSONAL} == PERSONAL
    report, *pictures = (read(file) for file in results)
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    assert evidence.StudyInstanceUID == source.study_uid and series.SeriesInstanceUID == source.series_uid
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [source.sop_instance_uid]
    for picture in pictures:
        assert [item.ReferencedSOPInstanceUID for item in picture.SourceImageSequence] == [source.sop_instance_uid]
    assert pictures[0].SeriesInstanceUID == pictures[1].SeriesInstanceUID != report.SeriesInstanceUID
    assert [picture.InstanceNumber for picture in pictures] == [1, 2]


def test_a_report_reads_back_as_what_was_answered(results: tuple[ResultFile, ...]) -> None:
    """Another program gets these numbers from the report and shows them: they must be the answer's."""
    report = highdicom.sr.srread(io.BytesIO(results[0].content))
    assert isinstance(report, highdicom.sr.ComprehensiveSR)
    measured: Any = report.content
    (group,) = measured.get_image_measurement_groups()
    numbers = {measurement.name.value: float(measurement.value) for measurement in group.get_measurements()}
    assert numbers == {
        "probability": ANSWER.probability,
        "raw-probability": ANSWER.raw_probability,
        "threshold": ANSWER.threshold,
        "unusual": 2.5,
        "unusual-limit": 10.0,
    }
    said = {one.name.value: one.value.meaning for one in group.get_qualitative_evaluations()}
    assert said == {"answer": "Present", "is-unusual": "No", "research": "Yes"}
    assert group.finding_type == highdicom.sr.CodedConcept("233604007", "SCT", "pneumonia")
    texts = texts_of(report)
    assert {ANSWER.model, f"acceptance {ANSWER.acceptance}", "RESEARCH USE ONLY"} <= texts
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def texts_of(dataset: Any) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == "TextValue"}


@pytest.mark.parametrize("verdict", ["positive", "negative", "cannot-tell"])
def test_every_result_of_every_verdict_is_sound_by_the_standard(verdict: str, tmp_path: Path) -> None:
    """An archive that validates what comes in would refuse it, and the doctor would never see the answer."""
    reasons = ("both-fit", "unusual") if verdict == "cannot-tell" else ()
    answer = replace(ANSWER, verdict=verdict, reasons=reasons, unusual=Unusual(12.0, 10.0))
    for file in made(film(), answer):
        assert faults_of(file.content, tmp_path) == []


def test_results_of_a_film_that_names_nobody_are_sound_by_the_standard(tmp_path: Path) -> None:
    """A film for research has lost all that is personal, and must not get it back, nor become unreadable."""
    for file in made(film(SpecificCharacterSet=None, **dict.fromkeys(PERSONAL))):
        assert faults_of(file.content, tmp_path) == []


@pytest.mark.parametrize(("offset", "day", "time"), [("+0800", "20261129", "163000"), ("-1030", "20261128", "220000")])
def test_times_are_in_the_zone_of_the_film(offset: str, day: str, time: str) -> None:
    """An object has one zone for all its times, and the study's are the film's."""
    for file in made(film(TimezoneOffsetFromUTC=offset), side=16):
        dataset = read(file)
        assert (dataset.TimezoneOffsetFromUTC, dataset.ContentDate, dataset.ContentTime) == (offset, day, time)
        assert dataset.StudyTime == PERSONAL["StudyTime"]
    assert "TimezoneOffsetFromUTC" not in read(made(film(), side=16)[0])


def test_a_header_of_sequences_in_sequences_without_end_is_refused() -> None:
    """A few kilobytes that take a stack of any depth."""
    content = film()
    deep = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000
    start = content.index(b"\x10\x00\x10\x00PN")
    with pytest.raises(DataError):
        film_header(content[:start] + deep + content[start:])


@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
def test_results_of_a_real_film_are_sound_by_the_standard(tmp_path: Path) -> None:
    """Its header has an age of two signs and a name of another form, as real headers do."""
    content = real_film(Path(os.environ["WARDROUND_DATA"]))
    for file in made(content, side=128):
        assert faults_of(file.content, tmp_path) == []


@pytest.mark.parametrize(
    ("charset", "taken_away"),
    [*((charset, ()) for charset in sorted(CHARSETS)), ("GB18030", ("PatientID", "StudyDate")), ("ISO_IR 100", tuple(PERSONAL))],
)
def test_nothing_personal_is_in_a_result_that_is_not_in_the_film(charset: str, taken_away: tuple[str, ...]) -> None:
    """A result goes where the film may not go back to. Names stay the bytes that they were, in the film's own signs."""
    elements: dict[str, object] = {"SpecificCharacterSet": charset, "PatientName": CHARSETS[charset]}
    content = film(**elements | dict.fromkeys(taken_away))
    source = pydicom.dcmread(io.BytesIO(content))
    for file in made(content, side=16)[:2]:
        dataset = read(file)
        personal = {element.keyword for element in dataset if element.VR == "PN" or element.tag.group == 0x0010}
        for name in personal | (set(PERSONAL) & set(dir(dataset))):
            assert not dataset[name].value or dataset[name].value == source[name].value
        if "PatientName" not in taken_away:
            assert str(dataset.PatientName) == CHARSETS[charset]
            assert dataset.get_item("PatientName").value == source.get_item("PatientName").value


def test_of_a_header_nothing_is_read_but_what_is_copied() -> None:
    """Private elements and comments hold names that no list of identifiers knows."""
    content = film(PatientComments="allergic", InstitutionName="St Anna", OperatorsName="Schwester^Inge", PatientAddress="Weg 1")
    told = {element.keyword for element in film_header(content).elements}
    assert told <= {*COPIED, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns"}
    for file in made(content, side=16):
        assert not any(word in file.content for word in (b"allergic", b"Inge", b"Weg 1", b"St Anna"))


def test_the_same_answer_to_the_same_film_has_the_same_names() -> None:
    """An archive that is sent it twice keeps it once; another model's answer lies beside it."""
    first, again = made(film(), side=16), made(film(), side=16)
    assert [file.sop_instance_uid for file in first] == [file.sop_instance_uid for file in again]
    other = made(film(), replace(ANSWER, model="cd" * 32), side=16)
    assert not {file.sop_instance_uid for file in first} & {file.sop_instance_uid for file in other}
    assert all(is_uid(file.sop_instance_uid) for file in first)


@given(parts=st.lists(st.text(max_size=8), max_size=4), others=st.lists(st.text(max_size=8), max_size=4))
def test_a_derived_uid_is_one_and_tells_its_parts_apart(parts: list[str], others: list[str]) -> None:
    """Two objects of one UID are one object to an archive: one of them would be lost."""
    uid = derived_uid(*parts)
    assert is_uid(uid) and len(uid) <= 64 and pydicom.uid.UID(uid).is_valid
    assert (uid == derived_uid(*others)) == (parts == others)


TAGS = {"StudyInstanceUID": b"\x20\x00\x0d\x00", "SOPInstanceUID": b"\x08\x00\x18\x00", "SeriesInstanceUID": b"\x20\x00\x0e\x00"}


@pytest.mark.parametrize(
    "uid", ["../../etc/passwd", "1.2.3/4", "1.2.3\\4", "", "1.2." + "3" * 64, "1.2\n.3", "a.b", "%2e%2e", "1..2"]
)
@pytest.mark.parametrize("name", sorted(TAGS))
def test_a_uid_that_is_a_path_is_refused_without_being_quoted(uid: str, name: str) -> None:
    """It becomes part of an address and of a file's name elsewhere."""
    content, wrong = film(), uid.encode() + b"\0" * (len(uid) % 2)
    start = content.index(TAGS[name] + b"UI")
    length = int.from_bytes(content[start + 6 : start + 8], "little")
    damaged = content[: start + 6] + len(wrong).to_bytes(2, "little") + wrong + content[start + 8 + length :]
    with pytest.raises(DataError) as refusal:
        film_header(damaged)
    assert name in str(refusal.value) and (not uid or uid not in str(refusal.value))


@given(st.binary(max_size=400), st.integers(0, 900))
def test_a_header_of_noise_is_refused_in_words(noise: bytes, position: int) -> None:
    """It comes from a network: whatever it is, the listener goes on."""
    content = film()
    for damaged in (noise, content[:position], content[:position] + noise + content[position + len(noise) :]):
        try:
            assert isinstance(film_header(damaged), FilmHeader)
        except DataError as error:
            assert "Mustermann" not in str(error) and "4711" not in str(error)


def test_pictures_say_research_use_only_and_carry_what_the_film_says_of_itself(results: tuple[ResultFile, ...]) -> None:
    """A picture is looked at without its header, and copied; its loss and its burnt-in names go with it."""
    assert all(read(file).SeriesDescription.startswith("RESEARCH USE ONLY") for file in results)
    content = film(BurnedInAnnotation="YES", LossyImageCompression="01", PatientOrientation=["L", "F"])
    for file in made(content, side=16)[1:]:
        dataset = read(file)
        assert (dataset.BurnedInAnnotation, dataset.LossyImageCompression) == ("YES", "01")
        assert list(dataset.PatientOrientation) == ["L", "F"]
    signed = made(film(), question=replace(QUESTION, research=False), side=16)
    assert not any(b"RESEARCH" in file.content for file in signed)


def test_a_picture_shows_the_film_and_the_heat_where_it_is() -> None:
    """A map that is drawn elsewhere sends a doctor's eye to the wrong lung."""
    side = 600
    heat = np.zeros((side, side))
    heat[:150, 450:] = 1.0
    grey = np.full((side, side), 100, np.uint8)
    plain, warm = (
        read(file).pixel_array
        for file in result_files(AnsweredFilm(film_header(film()), ANSWER, QUESTION, WHEN), ALL, grey, heat)[1:]
    )
    assert (plain[:side] == 100).all() and plain[side:].max() == 255 and plain[side:].min() == 0
    assert (warm[300:600, :400] == 100).all()
    assert warm[50, 550, 0] > 150 > 100 > warm[50, 550, 2]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (2000, 100), (100, 2000), (1024, 1024), (3000, 2500), (1, 1)])
def test_a_picture_of_any_shape_has_room_for_the_answer(height: int, width: int) -> None:
    """A finger, a spine, a thumbnail: the words must be read, and the file must not be larger than the film needs."""
    grey = np.full((height, width), 100, np.uint8)
    answered = AnsweredFilm(film_header(film()), ANSWER, QUESTION, WHEN)
    shown = read(result_files(answered, ("picture",), grey)[0]).pixel_array
    assert 512 <= shown.shape[1] <= 1024
    assert (shown > 180).sum() > 500 and (shown == 100).any()


def test_a_heat_map_leaves_out_what_was_padded() -> None:
    """The network saw a square; the film is none."""
    heat = np.zeros((32, 32), np.float32)
    heat[8:24, 24:] = 1.0
    shown = over_film(heat, (100, 200), "pad")
    assert shown.shape == (100, 200)
    assert shown[50, 190] == 1.0 and shown[50, 20] == 0.0 and shown[2, 190] == 1.0
    assert over_film(heat, (64, 64), "stretch")[4, 60] == 0.0


def test_a_finding_that_no_character_set_of_a_film_can_write_is_called_a_finding() -> None:
    """A film in Latin letters cannot carry a Chinese word, and a question mark in its place says nothing."""
    assert question_of("肺炎", None) == Question("finding", "finding", "99WARDROUND")
    chosen = FindingSection(meaning="Pneumonia", code="233604007", scheme="SCT")
    assert question_of("肺炎", chosen, research=False) == Question("Pneumonia", "233604007", "SCT", False)
