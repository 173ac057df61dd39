"""The [data.cohort] section: what a study may declare, and what it is told where it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from wardround.study.code_systems import FHIR_SYSTEMS, code_of
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.sections.cohort import CohortSection, ConceptSet, FeatureSection, IndexSection, OutcomeSection

STAY = {"name": "stay", "event": "visit", "codes": ["Visit|IP", "ActCode|IMP"]}
LAB = {"name": "lab", "event": "measurement", "codes": ["LOINC|2160-0"]}
FEATURE = {"column": "x", "value": "last", "concepts": "lab", "units": {"mg/dL": 1}}
COHORT = {
    "concepts": [STAY, LAB], "index": {"concepts": "stay"}, "features": [FEATURE], "outcome": {"kind": "death", "days_after": 30},
}  # fmt: skip


def cohort(**changes: Any) -> CohortSection:
    import json

    return CohortSection.model_validate_json(json.dumps({**COHORT, **changes}))


def test_a_sound_cohort_is_taken() -> None:
    """The base of the cases below must itself be right."""
    assert cohort().concept_set("lab").parsed_codes[0].code == "2160-0"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": [{**FEATURE, "concepts": "labs"}]}, "no concept set is called 'labs'"),
        ({"concepts": [STAY, LAB, LAB]}, "named twice: lab"),
        ({"concepts": [STAY, LAB, {**LAB, "name": "more"}]}, "nothing uses the concept set 'more'"),
        ({"concepts": [STAY, {**LAB, "codes": ["LOINC:1"]}]}, "SYSTEM|CODE"),
        ({"concepts": [STAY, {**LAB, "codes": ["LOINK|1"]}]}, "'LOINK' is not known"),
        ({"concepts": [STAY, {**LAB, "codes": ["OMOP|x"]}]}, "whole number"),
        ({"concepts": [STAY, {**LAB, "codes": ["OMOP|1*"]}]}, "whole number"),
        ({"concepts": [STAY, {**LAB, "codes": ["OMOP|" + 19 * "9"]}]}, "whole number"),
        ({"concepts": [STAY, {**LAB, "codes": ["ICD10|*"]}]}, "a star stands for the end"),
        ({"concepts": [STAY, {**LAB, "codes": ["ICD10|I*3"]}]}, "a star stands for the end"),
        ({"concepts": [STAY, {**LAB, "codes": [], "descendants": True}]}, "descendants of no code"),
        ({"features": [{**FEATURE, "units": {}}]}, "units are needed"),
        ({"features": [{**FEATURE, "value": "any"}]}, "units are needed"),
        ({"features": [{**FEATURE, "units": {"mg/dL": 0}}]}, "greater than 0"),
        ({"features": [{"column": "x", "value": "count"}]}, "needs the name of a concept set"),
        ({"features": [{"column": "x", "value": "age", "days_before": 3}]}, "no window"),
        ({"features": [{**FEATURE, "days_before": 0}]}, "greater than or equal to 1"),
        ({"index": {"concepts": "stay", "age": [60, 18]}}, "youngest and the oldest"),
        ({"outcome": {"kind": "death"}}, "write one of them"),
        ({"outcome": {"kind": "death", "days_after": 3, "within_visit": True}}, "write one of them"),
        ({"outcome": {"kind": "concepts", "days_after": 3}}, "names the outcome's set"),
        ({"outcome": {"kind": "death", "days_from": 9, "days_after": 3}}, "after the window's last day"),
        ({"outcome": {"kind": "concepts", "concepts": "stay", "days_after": 3}}, "could be its own outcome"),
        ({"concepts": [LAB], "index": {"concepts": "lab"}, "outcome": {"kind": "death", "within_visit": True}}, "is a visit"),
    ],
)
def test_a_cohort_that_says_two_things_is_refused(changes: dict[str, Any], told: str) -> None:
    """A declaration is read by people who will not see the data: it must not be able to mean something else."""
    with pytest.raises(ValidationError) as caught:
        cohort(**changes)
    assert told in str(caught.value)


@pytest.mark.parametrize("shift", [{"index": {"concepts": "stay", "days_after": 1}}, {}])
def test_a_later_stay_may_be_the_outcome_of_a_stay(shift: dict[str, Any]) -> None:
    """Readmission is asked about most; the index stay itself must not be one."""
    days_from = 0 if shift else 1
    cohort(**shift, outcome={"kind": "concepts", "concepts": "stay", "days_from": days_from, "days_after": 30})


def table(**parts: Any) -> DataContract:
    sections = {"kind": "table", "columns": (ColumnContract(name="x", range=(0, 1)),), "cohort": cohort(), **parts}
    return DataContract(**sections)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"columns": (ColumnContract(name="y", range=(0, 1)),)}, "filled by one feature"),
        ({"columns": (ColumnContract(name="x", range=(0, 1)), ColumnContract(name="y", range=(0, 1)))}, "filled by one feature"),
        ({"label": LabelContract(positive=("yes",), negative=("no",))}, "outcome is 1 or 0"),
        ({"label": LabelContract(positive=(0,), negative=(1,))}, "outcome is 1 or 0"),
        ({"label": LabelContract(column="patient")}, "with the person"),
    ],
)
def test_a_cohort_and_its_columns_belong_together(parts: dict[str, Any], told: str) -> None:
    """A column that nothing fills would be missing at every hospital; a turned label would be the opposite model."""
    with pytest.raises(ValidationError) as caught:
        table(**parts)
    assert told in str(caught.value)


def test_an_image_study_has_no_cohort() -> None:
    """It would be read by nothing."""
    with pytest.raises(ValidationError, match="a cohort is a table"):
        DataContract(kind="image", cohort=cohort(features=[FEATURE]))


def test_the_same_code_by_name_and_by_address_is_one() -> None:
    """One study writes SNOMED, another FHIR's address of it."""
    for name, addresses in FHIR_SYSTEMS.items():
        for address in addresses:
            assert code_of(f"{address}|1").vocabulary == name
            assert address in code_of(f"{name}|1").fhir_systems


def test_a_section_from_code_is_checked_as_one_from_a_file() -> None:
    """Python users must not get past a rule."""
    with pytest.raises(ValidationError):
        FeatureSection(column="x", value="mean", concepts="lab")
    with pytest.raises(ValidationError):
        CohortSection(
            concepts=(ConceptSet(name="a", event="visit"),),
            index=IndexSection(concepts="b"),
            features=(FeatureSection(column="x", value="age"),),
            outcome=OutcomeSection(kind="death", days_after=1),
        )
