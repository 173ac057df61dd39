"""Answers of every kind of question as FHIR: read by `fhir.resources`, and never a value where the model cannot tell."""

import json
from typing import Any

import pytest

from tests.clinic.answers_in_parts import ASKED, DAYS, HEART, Asked, answer
from wardround.clinic.answering.answer import Part
from wardround.clinic.fhir.hooks import answer_card
from wardround.clinic.fhir.resources import Reported, bundle, report

every_answer = pytest.mark.parametrize("asked", ASKED, ids=[asked.name for asked in ASKED])


def reported(asked: Asked) -> Reported:
    return Reported("c" * 32, 1_780_000_000.0, asked.answer, reference="Patient/p1", counted="patients")


def resources(asked: Asked) -> dict[str, list[dict[str, Any]]]:
    told: dict[str, list[dict[str, Any]]] = {}
    for entry in bundle(reported(asked), asked.question)["entry"]:
        told.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return told


def one(name: str) -> Asked:
    return next(asked for asked in ASKED if asked.name == name)


@every_answer
def test_a_bundle_is_sound_and_every_reference_in_it_leads_somewhere(asked: Asked) -> None:
    """A record system drops what it cannot read, and follows what it can. `bundle` has `fhir.resources` read it."""
    made = bundle(reported(asked), asked.question)
    text, urls = json.dumps(made), {entry["fullUrl"] for entry in made["entry"]}
    references = {word.split('"')[0] for word in text.split('"reference": "')[1:]} - {"Patient/p1"}
    assert references <= urls and len({entry["resource"].get("id") for entry in made["entry"]}) >= len(urls) - 2
    told = resources(asked)
    assert all(resource["meta"]["security"][0]["code"] == "HRESCH" for several in told.values() for resource in several)
    assert ("RiskAssessment" in told) == (asked.answer.kind not in ("number", "count"))
    alone = report(reported(asked), asked.question)
    inside = {f"#{resource['id']}" for resource in alone["contained"]}
    assert {entry["reference"] for entry in alone["result"]} <= inside and "RESEARCH USE ONLY" in alone["conclusion"]


@every_answer
def test_where_the_model_cannot_tell_there_is_no_value(asked: Asked) -> None:
    """Whoever reads the value alone would read an answer."""
    for observation in resources(asked)["Observation"]:
        value = [name for name in observation if name.startswith("value")]
        if asked.answer.verdict == "cannot-tell":
            assert not value and observation["dataAbsentReason"]["coding"][0]["code"] == "unknown"
            assert observation["interpretation"][0]["coding"][0]["code"] == "IND"
            assert "cannot tell" in observation["note"][0]["text"]
        elif asked.answer.kind == "time":
            assert not value and "dataAbsentReason" not in observation
        else:
            assert len(value) == 1


def test_a_class_is_a_coded_value_with_the_probability_of_each_beside_it() -> None:
    """The name is the study's own, in whatever language."""
    (observation,) = resources(one("classes"))["Observation"]
    assert observation["valueCodeableConcept"]["text"] == "bacterial"
    numbers = {part["code"]["text"]: part for part in observation["component"]}
    assert numbers["Probability of bacterial"]["valueQuantity"]["value"] == 0.72
    assert numbers["May be bacterial"]["valueBoolean"] and not numbers["May be Ödem"]["valueBoolean"]
    predictions = resources(one("classes"))["RiskAssessment"][0]["prediction"]
    assert [(one["outcome"]["text"], one["probabilityDecimal"]) for one in predictions] == [
        ("normal", 0.05), ("bacterial", 0.72), ("Ödem", 0.23),
    ]  # fmt: skip


def test_signs_that_no_screen_shows_leave_no_trace() -> None:
    """A name comes from a study that others wrote: it must not turn or break the line of a record system."""
    names = ("a\u202eb\nc", "\x00")
    odd = answer("classes", names[0], *(Part(name, 0.5, 0.5, None, None, "held") for name in names))
    said = json.dumps(bundle(Reported("c" * 32, 1.0, odd), HEART), ensure_ascii=False)
    assert said.isprintable() and '"a b c"' in said and '"unnamed"' in said


def test_every_finding_is_an_observation_of_its_own() -> None:
    """A worklist filters by the finding's code."""
    told = resources(one("findings"))
    read = [
        (one["code"]["text"], one["valueQuantity"]["value"], one["interpretation"][0]["coding"][0]["code"])
        for one in told["Observation"]
    ]
    assert read == [("effusion", 0.83, "POS"), ("oedema", 0.02, "NEG"), ("fracture", 0.4, "IND")]
    assert len(told["DiagnosticReport"][0]["result"]) == len(told["RiskAssessment"][0]["basis"]) == 3
    assert len(told["Provenance"][0]["target"]) == 5


def test_a_number_has_its_unit_and_its_range() -> None:
    """UCUM's code where there is one: other systems calculate with it. A unit of the hospital's own words has none."""
    (observation,) = resources(one("number"))["Observation"]
    days = {"unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    assert observation["valueQuantity"] == {"value": 3.42, **days}
    ends = {part["code"]["coding"][0]["code"]: part["valueQuantity"] for part in observation["component"]}
    assert (ends["low"], ends["high"]) == ({"value": 2.1, **days}, {"value": 6.0, **days})
    (counted,) = resources(one("count"))["Observation"]
    assert counted["valueQuantity"] == {"value": 2.0, "unit": "Besuche à la carte"}


def test_a_time_is_a_prediction_until_each_horizon() -> None:
    """The chance of the event, and until when: a chance without its horizon says nothing."""
    told = resources(one("time"))["RiskAssessment"][0]["prediction"]
    assert [round(one["probabilityDecimal"], 6) for one in told] == [0.08, 0.29]
    assert [(one["whenRange"]["high"]["value"], one["whenRange"]["high"]["code"]) for one in told] == [
        (365.0, "d"),
        (1095.0, "d"),
    ]


@every_answer
def test_a_card_says_it_in_140_signs_and_research_first(asked: Asked) -> None:
    """A card that is cut off before the answer, or shows one where there is none, misleads at the bedside."""
    card = answer_card(asked.answer, asked.question, "c" * 32, "https://clinic.test/case")
    assert card["summary"].startswith(f"RESEARCH USE ONLY: {asked.question.finding}: ") and len(card["summary"]) <= 140
    assert ("cannot tell" in card["summary"]) == (asked.answer.verdict == "cannot-tell" or asked.answer.kind == "findings")


def test_a_card_of_many_findings_names_those_that_are_there_first() -> None:
    """140 signs hold few findings: what was found must be among them."""
    clear = [Part(f"finding number {k}", 0.1, 0.1, None, None, "negative") for k in range(14)]
    many = answer("findings", "fracture", *clear, Part("fracture", 0.9, 0.9, None, None, "positive"))
    assert answer_card(many, HEART, "c" * 32, "")["summary"].endswith("yes: fracture; no: 14 of 15 findings")
    found = answer("findings", "all", *[Part(f"finding number {k}", 0.9, 0.9, None, None, "positive") for k in range(15)])
    card = answer_card(found, HEART, "c" * 32, "")
    assert card["summary"].endswith("the answer stands below") and "finding number 14 0.90" in card["detail"]
    number = answer("number", "1200 days", Part("x", 1234.0, 1.0, 0.0004, 2000.0, "value"))
    assert answer_card(number, DAYS, "c" * 32, "")["summary"].endswith("1234 days (0.0004 to 2000)")
