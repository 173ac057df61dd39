"""The page of a model's facts: who taught it, on how many, under which promise, and nothing that is not known."""

import re
from pathlib import Path

import pytest

from tests.clinic.made_clinics import serve_model
from tests.clinic.made_models import FILMS, film_model
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.origin_record import OriginRecord
from wardround.clinic.web.app import application
from wardround.clinic.web.record_pages import origin_lines
from wardround.clinic.web.server import opened
from wardround.clinic.web.words import LANGUAGES, Words

from .visitors import Clinic, hosts

NORTH_SOUTH = OriginRecord(
    hospitals=("north", "south"), patients=4120, records=5200, privacy_mode="none", summation_mode="masked"
)


def test_the_page_says_who_taught_the_model_on_how_many_and_what_was_promised(tmp_path: Path) -> None:
    """A doctor judges an answer by whose patients it was learnt from; a patient asks what was promised."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    serve_model(clinic, film_model(), FILMS, origin=NORTH_SOUTH)
    with opened(clinic) as state:
        page = Clinic(state, application(state, hosts())).logged_in("doctor").get("/facts").text
    assert "2: north, south" in page and "4,120 patients with 5,200 records" in page
    assert "No noise was added" in page and "Sums were masked" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_not_released_is_said_and_not_replaced(language: str) -> None:
    """Neither a hospital's own count nor a zero stands for what nobody told."""
    words = Words(language)
    unknown = [text for _, text in origin_lines(None, words)]
    assert set(unknown) == {words("facts.not_noted")}
    withheld = dict(origin_lines(NORTH_SOUTH.changed(patients=None, records=None), words))
    assert withheld["facts.sample"] == words("facts.withheld")
    private = OriginRecord(
        hospitals=("a", "b"), public_patients=2000, privacy_mode="site", summation_mode="plain", unit="site", epsilon=1.99612,
        delta=1e-5,
    )  # fmt: skip
    said = dict(origin_lines(private, words))
    assert "2,000" in said["facts.sample"] and words("facts.plain") in said["facts.privacy"]
    assert re.search(r"epsilon 2\b(?!\.)", said["facts.privacy"]) and "1e-05" in said["facts.privacy"]


@pytest.mark.parametrize(("epsilon", "shown"), [(2.0, "2"), (2.001, "2.01"), (0.5004, "0.501"), (12.31, "12.4"), (7.999, "8")])
def test_epsilon_is_never_shown_smaller_than_it_is(epsilon: float, shown: str) -> None:
    """A promise rounded down is one that was not made."""
    origin = NORTH_SOUTH.changed(privacy_mode="patient-local", unit="patient", epsilon=epsilon, delta=1e-6)
    assert f"epsilon {shown} at delta 1e-06" in dict(origin_lines(origin, Words("en")))["facts.privacy"]
