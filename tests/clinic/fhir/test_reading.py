"""A bundle becomes the row that the mapping says, or is refused: a guess here is a wrong answer about a patient."""

import copy
import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clinic.made_clinics import HEART
from tests.clinic.made_models import FILMS
from wardround.clinic.fhir.reading import patient_row, require_fit
from wardround.clinic.place.fhir_settings import FhirColumnSection, FhirSection, HooksSection, IssuerSection
from wardround.sources import prepare
from wardround.values.errors import DataError, StudyError, WardroundError

from .bundles import MAPPING, bundle, observation, patient, pressure, smoking, whole


def row(*resources: dict[str, Any]) -> dict[str, Any]:
    return dict(patient_row(MAPPING, bundle(*resources)).values)


def test_a_record_becomes_its_row() -> None:
    """Age, sex, a code and a component's number, each from where the mapping says."""
    told = patient_row(MAPPING, whole())
    assert told.values == {"age": 60, "sex": "f", "smoker": 1, "pressure": 150.0} and told.reference == "Patient/p1"
    assert prepare(HEART, told.values) is not None
    assert patient_row(MAPPING, bundle(patient(), bundle(smoking(), pressure()))).values == told.values
    assert patient_row(MAPPING, [patient(), bundle(smoking()), bundle(pressure())]).values == told.values


def test_units_are_converted_by_the_mapping_and_no_other_is_read() -> None:
    """20 kPa and 150 mmHg are the same pressure; a number in a unit that nobody named could be anything."""
    assert row(patient(), pressure(20, "kPa"))["pressure"] == pytest.approx(150.0124)
    with pytest.raises(DataError) as refusal:
        row(patient(), pressure(5.9, "[psi]"))
    assert refusal.value.expected == "mm[Hg], kPa" and refusal.value.found == "[psi]" and "5.9" not in str(refusal.value)
    with pytest.raises(DataError, match="unit"):
        row(patient(), observation("8480-6", valueQuantity={"value": 150}))


@pytest.mark.parametrize(
    ("resources", "word"),
    [
        ([patient(), pressure(150, comparator="<")], "bound"),
        ([patient(), patient(id="p2")], "more than one patient"),
        ([patient(id="p2"), pressure()], "more than one patient"),
        ([patient(), pressure(), pressure() | {"subject": {"reference": "Patient/p2"}}], "more than one patient"),
        ([patient(modifierExtension=[{"url": "u", "valueBoolean": True}])], "modifierExtension"),
        ([patient(birthDate="2999-01-01")], "lies ahead"),
        ([patient(gender="other")], "not in its mapping"),
        ([patient(), smoking("77176002")], "not in its mapping"),
        ([patient(), observation("8480-6", valueString="150 or so")], "no number"),
        ([patient(), bundle(pressure()) | {"link": [{"relation": "next", "url": "u"}]}], "one page of several"),
    ],
)
def test_what_cannot_be_understood_is_refused(resources: list[dict[str, Any]], word: str) -> None:
    """Each of these reads as a number, or as somebody, to a program that does not look."""
    with pytest.raises(DataError, match=word) as refusal:
        row(*resources)
    assert "Mustermann" not in str(refusal.value)


def test_two_measurements_of_one_moment_that_differ_are_refused() -> None:
    """Which of them is the patient's, nobody can say."""
    same = pressure(150)
    with pytest.raises(DataError, match="differ"):
        row(patient(), same, pressure(190) | {"effectiveDateTime": same["effectiveDateTime"]})
    assert row(patient(), same, copy.deepcopy(same))["pressure"] == 150


def test_the_latest_that_really_happened_counts() -> None:
    """An old value, one that was entered in error, one that is planned, and one that was not measured."""
    wrong = pressure(200, days_ago=0.1) | {"status": "entered-in-error"}
    old, planned = pressure(100, days_ago=400), pressure(180, days_ago=-40)
    assert row(patient(), pressure(120, days_ago=9), pressure(140, days_ago=2), wrong, old, planned)["pressure"] == 140
    assert row(patient(), old)["pressure"] is None
    absent = observation("8480-6", dataAbsentReason={"coding": [{"code": "not-performed"}]})
    assert row(patient(), absent)["pressure"] is None
    assert row(patient(birthDate="1960"))["age"] is None
    assert row() == {"age": None, "sex": None, "smoker": None, "pressure": None}


@given(days=st.integers(0, 40_000))
def test_age_is_in_whole_years_on_the_day(days: int) -> None:
    """A birthday is the day on which it changes, also on 29 February."""
    now = datetime(2026, 11, 29, tzinfo=UTC)
    born = datetime.fromordinal(now.date().toordinal() - days).date()
    told = patient_row(MAPPING, bundle(patient(birthDate=born.isoformat())), now).values["age"]
    assert told == sum((year, born.month, born.day) <= (2026, 11, 29) for year in range(born.year + 1, 2027))


@pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")
def test_patients_of_another_maker_are_read_as_they_are() -> None:
    """Synthea writes names, races, addresses and extensions around the two things that are asked for."""
    now = datetime(2026, 11, 29, tzinfo=UTC)
    columns = (MAPPING.columns[0], MAPPING.columns[1])
    count = 0
    with gzip.open(
        Path(os.environ["WARDROUND_DATA"]) / "fhir_synthea10" / "Patient.000.ndjson.gz", "rt", encoding="utf-8"
    ) as lines:
        for line in lines:
            resource = json.loads(line)
            told = patient_row(FhirSection(columns=columns), {"resourceType": "Bundle", "entry": [{"resource": resource}]}, now)
            year, month, day = map(int, resource["birthDate"].split("-"))
            assert told.values == {"age": 2026 - year - ((month, day) > (11, 29)), "sex": resource["gender"][0]}
            assert told.reference == f"Patient/{resource['id']}"
            count += 1
    assert count == 13


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
def test_a_bundle_of_anything_is_read_or_refused_in_words(data: st.DataObject) -> None:
    """It comes from a network: one element of a sound bundle is replaced by anything."""
    content: Any = whole()
    spot: Any = content
    for _ in range(9):
        keys = sorted(spot) if isinstance(spot, dict) else list(range(len(spot)))
        key = data.draw(st.sampled_from(keys))
        inner = spot[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            spot[key] = data.draw(JSON)
            break
        spot = inner
    try:
        patient_row(MAPPING, content)
    except WardroundError as error:
        assert "Mustermann" not in str(error)


def test_a_bundle_without_end_is_refused() -> None:
    """Thousands of resources of one patient are an attack or a mistake."""
    with pytest.raises(DataError, match="too much"):
        patient_row(MAPPING, bundle(*[smoking() for _ in range(6000)]))


def test_a_mapping_must_be_that_of_the_model() -> None:
    """Another model may be put in service, and its columns have other names."""
    assert require_fit(MAPPING, HEART) is MAPPING
    for section, contract, word in (
        (None, HEART, "does not say"),
        (FhirSection(), HEART, "does not say"),
        (FhirSection(columns=MAPPING.columns[:2]), HEART, "not that of the model"),
        (MAPPING, FILMS, "reads images"),
    ):
        with pytest.raises(StudyError, match=word):
            require_fit(section, contract)


@pytest.mark.parametrize(
    "settings",
    [
        {"column": "a", "codes": ("LOINC|1",)},
        {"column": "a", "units": {"mg": 1}},
        {"column": "a", "source": "age", "codes": ("LOINC|1",)},
        {"column": "a", "source": "sex"},
        {"column": "a", "codes": ("LOINC|1*",), "units": {"mg": 1}},
        {"column": "a", "codes": ("LOINC|1",), "units": {"mg": 0}},
        {"column": "a", "codes": ("LOINC|1",), "units": {"mg": 1}, "factor": 2},
    ],
)
def test_a_mapping_that_says_half_is_refused(settings: dict[str, Any]) -> None:
    """At the start of the clinic, and not at the first patient."""
    with pytest.raises(ValueError, match=r"column|code|factor|greater"):
        FhirColumnSection(**settings)


def test_sections_that_contradict_themselves_are_refused() -> None:
    """Tokens for nobody, and a column that is filled twice."""
    with pytest.raises(ValueError, match="audience"):
        HooksSection(issuers=(IssuerSection(issuer="i", keys=Path("k")),))
    with pytest.raises(ValueError, match="filled twice"):
        FhirSection(columns=(MAPPING.columns[0], MAPPING.columns[0]))
