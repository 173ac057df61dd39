"""FHIR exports: odd dates, states, references, units, versions and lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.sources.databases.cohort.records import cohort_rows
from wardround.sources.databases.fhir.export import fhir_events
from wardround.sources.databases.fhir.lines import LONGEST_LINE, open_export, resource_in
from wardround.sources.databases.fhir.values import RESOURCE_KINDS, coded_parts, day_of, id_in, parts_of_day, unused_status
from wardround.sources.opening import open_source
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import ConceptSet, FeatureSection
from wardround.values.errors import DataError

from .cases import PRESSURE, STAY, STROKE, condition, contract, encounter, fhir_resources, observation, patient
from .databases import write_fhir, zipped

LATER = encounter("2020-12-01", **{"class": {"system": "x", "code": "AMB"}})


def rows(folder: Path, resources: list[Any], rules: DataContract | None = None) -> list[dict[str, Any]]:
    return read(folder, resources, rules)[0]


def read(folder: Path, resources: list[Any], rules: DataContract | None = None) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The records and how much was counted by reason."""
    rules = rules or contract()
    write_fhir(folder, resources)
    with open_export(folder) as files:
        tables = fhir_events(files, rules.cohort)
    made = cohort_rows(tables, rules.cohort, rules, "required")
    return made.frame.to_dicts(), {problem.code: problem.count for problem in (*tables.problems, *made.problems)}


def test_one_person_as_resources(tmp_path: Path) -> None:
    """The whole way, small enough to be checked by eye."""
    assert rows(tmp_path, fhir_resources()) == [{"age": 70, "pressure": 130.0, "label": 1, "patient": "p1"}]


@pytest.mark.parametrize("zip_files", [False, True])
def test_folders_zips_and_gzipped_files_read_alike(tmp_path: Path, zip_files: bool) -> None:
    """Servers give out each of these."""
    folder = write_fhir(tmp_path / "a", fhir_resources(), zip_files)
    archive = zipped(folder, tmp_path / "a.zip")
    for path in (folder, archive):
        source = open_source(path, contract())
        assert source.kind == "fhir" and len(source.load()) == 1


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020-05-09", 130.0),
        ("2020-05-09T23:59:59-05:00", 130.0),  # the tenth in London, the ninth where it was measured
        ("2020-05-10T00:30:00+02:00", None),  # the ninth in London, the index day where it was measured
        ("2020-05-09T22:00:00Z", 130.0),
        ("2020-05", None),
        ("2020", None),
        ("2020-02-30", None),
        ("yesterday", None),
        (20200509, None),
        (None, None),
    ],
)  # fmt: skip
def test_a_day_is_the_one_that_is_written(tmp_path: Path, text: Any, day: float | None) -> None:
    """A date turned into another zone moves a measurement over the index day, and a guessed day moves it anywhere."""
    resources = [
        patient(),
        encounter("2020-05-10"),
        observation("2020-05-09", 130, effectiveDateTime=text),
        condition("2020-05-12"),
        LATER,
    ]
    records, counted = read(tmp_path, resources)
    assert records[0]["pressure"] == day
    assert ("event-without-day" in counted) == (day is None and text != "2020-05-10T00:30:00+02:00")


@given(st.dates(), st.integers(-14 * 60, 14 * 60), st.times())
def test_any_zone_keeps_the_written_day(day: Any, offset: int, time: Any) -> None:
    """The hospital's clock says which day it is."""
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{day.isoformat()}T{time.isoformat('seconds')}{sign}{minutes // 60:02}:{minutes % 60:02}"
    assert day_of(text) == day


@given(st.text() | st.integers() | st.none() | st.dictionaries(st.text(), st.text()))
def test_no_text_breaks_a_date(text: Any) -> None:
    """An export comes from any program."""
    day_of(text)
    parts_of_day(text)
    id_in(text, "Patient")


def test_times_in_utc_beside_others_are_remarked(tmp_path: Path) -> None:
    """One of two devices that write UTC moves its values by a day, at night."""
    resources = [*fhir_resources(), observation("2020-05-01T22:00:00Z", 121)]
    assert read(tmp_path, resources)[1]["mixed-zones"] == 1


@pytest.mark.parametrize(("birth", "age"), [("1950-05-11", 69), ("1950-05", 69), ("1950-04", 70), ("1950", 69), ("x", None)])
def test_a_birth_without_a_day_counts_as_the_middle(tmp_path: Path, birth: str, age: int | None) -> None:
    """Many exports cut the day of birth off; a rule that is said is better than a patient who is lost."""
    records, counted = read(tmp_path, [patient(birthDate=birth), *fhir_resources()[1:]])
    assert records[0]["age"] == age
    assert ("birth-without-day" in counted) == (birth in ("1950-05", "1950-04", "1950"))


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (observation("2020-05-09", 130, status="entered-in-error"), "status:Observation:entered-in-error"),
        (observation("2020-05-09", 130, status="preliminary"), "status:Observation:preliminary"),
        (observation("2020-05-09", 130, status="Müller"), "status:Observation:another status"),
        (observation("2020-05-09", 130, status=["final"]), "status:Observation:another status"),
        (observation("2020-05-09", 130, status=None), "status:Observation:no status"),
    ],
)
def test_what_did_not_happen_is_left_out_and_counted(tmp_path: Path, resource: Any, reason: str) -> None:
    """A value that a nurse struck out is still in the export."""
    records, counted = read(tmp_path, [patient(), encounter("2020-05-10"), resource, condition("2020-05-12"), LATER])
    assert records[0]["pressure"] is None
    assert counted[reason] == 1


@pytest.mark.parametrize("state", ["refuted", "entered-in-error", "provisional", "differential", "unconfirmed"])
def test_a_diagnosis_that_was_not_made_is_no_outcome(tmp_path: Path, state: str) -> None:
    """A suspected stroke that was ruled out would be a positive."""
    status = {"coding": [{"system": "s", "code": state}]}
    resources = [
        patient(),
        encounter("2020-05-10"),
        observation("2020-05-09"),
        condition("2020-05-12", verificationStatus=status),
        LATER,
    ]
    records, counted = read(tmp_path, resources)
    assert records[0]["label"] == 0 and counted[f"status:Condition:{state}"] == 1


def test_prescriptions_that_were_only_plans_are_left_out() -> None:
    """A proposal is no drug that anybody took."""
    kind = RESOURCE_KINDS["MedicationRequest"]
    assert unused_status(kind, {"status": "active", "intent": "order"}) is None
    assert unused_status(kind, {"status": "active", "intent": "plan"}) == "intent"
    assert unused_status(kind, {"status": "active", "intent": "order", "doNotPerform": True}) == "doNotPerform"
    assert unused_status(kind, {"status": "cancelled", "intent": "order"}) == "cancelled"


@pytest.mark.parametrize(
    ("reference", "belongs"),
    [
        ("Patient/p1", True),
        ("urn:uuid:p1", True),
        ("https://fhir.example.org/r4/Patient/p1", True),
        ("Patient/p1/_history/3", True),
        ("Patient/p2", False),
        ("Patient?identifier=x|p1", False),
        (None, False),
    ],
)
def test_references_in_every_form_find_the_person(tmp_path: Path, reference: str | None, belongs: bool) -> None:
    """A reference that is not understood is an event that is lost: it must be counted."""
    resources = [
        patient(),
        encounter("2020-05-10"),
        observation("2020-05-09", 130, subject={"reference": reference}),
        condition("2020-05-12"),
        LATER,
    ]
    records, counted = read(tmp_path, resources)
    assert (records[0]["pressure"] == 130.0) is belongs
    assert ("event-without-person" in counted) is not belongs


def test_both_parts_of_a_blood_pressure_are_read() -> None:
    """Systolic and diastolic pressure are components of one Observation, each with its own code."""
    loinc = "http://loinc.org"
    parts = [
        {"code": {"coding": [{"system": loinc, "code": code}]}, "valueQuantity": {"value": value, "unit": "mmHg"}}
        for code, value in (("8480-6", 130), ("8462-4", 80))
    ]
    resource = {"code": {"coding": [{"system": loinc, "code": "85354-9"}]}, "component": parts}
    told = list(coded_parts(RESOURCE_KINDS["Observation"], resource))
    assert [(codes[0][1], value.number) for codes, value in told] == [("85354-9", None), ("8480-6", 130.0), ("8462-4", 80.0)]


def test_a_component_fills_a_feature(tmp_path: Path) -> None:
    """The value of the component, and not of the whole, which has none."""
    whole = observation("2020-05-09")
    part = {"code": whole["code"], "valueQuantity": {"value": 141, "unit": "mm[Hg]"}}
    panel = {**whole, "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "component": [part]}
    del panel["valueQuantity"]
    assert rows(tmp_path, [patient(), encounter("2020-05-10"), panel, condition("2020-05-12"), LATER])[0]["pressure"] == 141.0


@pytest.mark.parametrize("value", [None, "130", True, [130], {"value": 130}, float("nan"), float("inf"), 10**400])
def test_a_value_that_is_no_number_is_left_out_and_counted(tmp_path: Path, value: Any) -> None:
    """Types in JSON are what a program wrote."""
    resources = [patient(), encounter("2020-05-10"), observation("2020-05-09", value), condition("2020-05-12"), LATER]
    records, counted = read(tmp_path, resources)
    assert records[0]["pressure"] is None and counted["no-number:pressure"] == 1


def test_a_finding_of_a_record_names_the_person_here_and_in_nothing_that_is_sent(tmp_path: Path) -> None:
    """ "Line 1" of what? A record of a cohort stands on no line; the manager looks the person up."""
    source = open_source(
        write_fhir(tmp_path, [*fhir_resources()[:2], observation("2020-05-09", 99_999), *fhir_resources()[3:]]), contract()
    )
    finding = next(finding for finding in source.check().findings if finding.code == "outside:pressure")
    assert finding.where.startswith("person p1, column 'pressure'")
    assert "p1" not in json.dumps(source.check().to_json())


def test_a_value_in_another_unit_is_left_out_and_counted(tmp_path: Path) -> None:
    """13 kPa is no pressure of 13."""
    resources = [patient(), encounter("2020-05-10"), observation("2020-05-09", 13, unit="kPa"), condition("2020-05-12"), LATER]
    records, counted = read(tmp_path, resources)
    assert records[0]["pressure"] is None and counted["other-unit:pressure"] == 1
    both = (FeatureSection(column="pressure", value="last", concepts="pressure", units={"mm[Hg]": 1.0, "kPa": 7.5}),)
    assert rows(tmp_path, resources, contract(features=both))[0]["pressure"] == 97.5


def test_a_limit_of_measurement_counts_as_the_limit_and_is_remarked(tmp_path: Path) -> None:
    """A troponin below 0.01 is the healthy one: left out it would be missing, and nobody would be told."""
    resource = observation("2020-05-09", 60)
    resource["valueQuantity"]["comparator"] = "<"
    records, counted = read(tmp_path, [patient(), encounter("2020-05-10"), resource, condition("2020-05-12"), LATER])
    assert records[0]["pressure"] == 60.0 and counted["limit"] == 1


def test_the_newest_version_of_a_resource_counts(tmp_path: Path) -> None:
    """An export of changes holds every version; the old one must not count beside the new one."""
    old = observation("2020-05-09", 130, id="o", meta={"lastUpdated": "2020-05-09T10:00:00Z"})
    new = observation("2020-05-09", 150, id="o", meta={"lastUpdated": "2020-05-09T12:00:00+01:00"})
    base = [patient(), encounter("2020-05-10"), condition("2020-05-12"), LATER]
    for pair in ([old, new], [new, old]):
        records, counted = read(tmp_path, [*base, *pair])
        assert records[0]["pressure"] == 150.0 and counted["older-versions"] == 1
    struck = {**new, "status": "entered-in-error"}
    assert rows(tmp_path, [*base, old, struck])[0]["pressure"] is None


def test_copies_of_a_resource_count_once(tmp_path: Path) -> None:
    """Two jobs of one export overlap."""
    counted_visits = (FeatureSection(column="n", value="count", concepts="pressure"),)
    resources = [*fhir_resources(), *fhir_resources()[1:]]
    records, counted = read(tmp_path, resources, contract(features=counted_visits))
    assert records[0]["n"] == 1 and counted["older-versions"] == 4


def test_two_different_resources_of_one_id_are_refused(tmp_path: Path) -> None:
    """Which of them is right cannot be told: the first in the file would be a guess."""
    resources = [*fhir_resources(), observation("2020-05-08", 99, id="o"), observation("2020-05-08", 98, id="o")]
    assert read(tmp_path, resources)[1]["versions-differ"] == 1
    assert not open_source(tmp_path, contract()).check().ready()
    with pytest.raises(DataError, match="differ"):
        rows(tmp_path, [*fhir_resources(), patient(gender="male")])


def test_a_patient_that_another_replaces_is_left_out(tmp_path: Path) -> None:
    """Merged records would be two people, one of them in train and one in test."""
    gone = patient("old", link=[{"type": "replaced-by", "other": {"reference": "Patient/p1"}}])
    assert read(tmp_path, [*fhir_resources(), gone])[1]["patient-replaced"] == 1


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ({"deceasedDateTime": "2020-05-20T10:00:00Z"}, [1]),
        ({"deceasedDateTime": "2021-05-20"}, [0]),
        ({"deceasedBoolean": True}, []),
        ({"deceasedDateTime": "2020"}, []),
        ({"deceasedBoolean": False}, [0]),
        ({}, [0]),
    ],
)
def test_deaths_with_and_without_a_day(tmp_path: Path, said: dict[str, Any], labels: list[int]) -> None:
    """Who is dead on an unknown day is no survivor of thirty days."""
    from wardround.study.sections.cohort import OutcomeSection

    death = contract(STAY, PRESSURE, outcome=OutcomeSection(kind="death", days_after=30))
    resources = [patient(**said), *fhir_resources()[1:]]
    assert [row["label"] for row in rows(tmp_path, resources, death)] == labels


def test_codes_of_a_prescription_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """On the spot, in the resource itself, or in a Medication of its own."""
    drug = ConceptSet(name="drug", event="drug", codes=("RxNorm|314076",))
    rules = contract(STAY, STROKE, drug, features=(FeatureSection(column="n", value="count", concepts="drug"),))
    code = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "314076"}]}
    order = {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": "2020-04-01",
             "subject": {"reference": "Patient/p1"}}  # fmt: skip
    resources = [
        *fhir_resources(),
        {"resourceType": "Medication", "id": "m", "code": code},
        {**order, "id": "1", "medicationCodeableConcept": code},
        {**order, "id": "2", "medicationReference": {"reference": "Medication/m"}},
        {**order, "id": "3", "medicationReference": {"reference": "#in"}, "contained": [{"id": "in", "code": code}]},
        {**order, "id": "4", "medicationReference": {"reference": "Medication/elsewhere"}},
    ]
    records, counted = read(tmp_path, resources, rules)
    assert records[0]["n"] == 3 and counted["medication-unknown"] == 1


def test_a_star_stands_for_every_code_that_begins_so(tmp_path: Path) -> None:
    """As in OMOP, or two hospitals would mean two things."""
    gm = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
    rules = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=("ICD10GM|I63.*",)))
    labels = {}
    for system, code in ((gm, "I63.4"), (gm, "I64"), ("http://hl7.org/fhir/sid/icd-10", "I63.4")):
        stroke = condition("2020-05-12", code={"coding": [{"system": system, "code": code}]})
        labels[system, code] = rows(tmp_path, [*fhir_resources()[:3], stroke, LATER], rules)[0]["label"]
    assert list(labels.values()) == [1, 0, 0]


def test_drugs_are_looked_for_where_they_must_be(tmp_path: Path) -> None:
    """Vaccinations alone say nothing of prescriptions: no file of these would read as if nobody took a drug."""
    vaccine = {
        "resourceType": "Immunization", "id": "i", "status": "completed", "occurrenceDateTime": "2020-01-01",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]},
        "patient": {"reference": "Patient/p1"},
    }  # fmt: skip
    count = (FeatureSection(column="n", value="count", concepts="drug"),)
    drug = {code: ConceptSet(name="drug", event="drug", codes=(code,)) for code in ("CVX|140", "RxNorm|1")}
    resources = [*fhir_resources(), vaccine]
    assert rows(tmp_path, resources, contract(STAY, STROKE, drug["CVX|140"], features=count))[0]["n"] == 1
    with pytest.raises(DataError, match="no MedicationRequest"):
        rows(tmp_path, resources, contract(STAY, STROKE, drug["RxNorm|1"], features=count))


def test_a_kind_of_resource_that_is_not_there_is_refused_with_a_mend_that_works(tmp_path: Path) -> None:
    """No file of Observation reads as if nothing had ever been measured."""
    resources = [resource for resource in fhir_resources() if resource["resourceType"] != "Observation"]
    with pytest.raises(DataError, match=r"no Observation.*Observation\.ndjson"):
        rows(tmp_path, resources)
    (tmp_path / "Observation.ndjson").touch()
    assert open_source(tmp_path, contract()).load().labels.tolist() == [1]


def test_a_single_file_of_an_export_is_refused_with_a_mend_that_works(tmp_path: Path) -> None:
    """Read as a table it would lack every column, and the message would send her to the study."""
    folder = write_fhir(tmp_path, fhir_resources())
    with pytest.raises(DataError, match="name the folder that it lies in"):
        open_source(folder / "Patient.000.ndjson", contract()).load()
    assert len(open_source(folder, contract()).load()) == 1


def test_descendants_and_omop_numbers_are_refused_by_name(tmp_path: Path) -> None:
    """FHIR has no table of descendants: reading the codes alone would be another cohort than the other hospitals'."""
    below = ConceptSet(name="stroke", event="condition", codes=STROKE.codes, descendants=True)
    with pytest.raises(DataError, match=r"'stroke' asks for descendants"):
        rows(tmp_path, fhir_resources(), contract(STAY, PRESSURE, below))
    with pytest.raises(DataError, match=r"none of the codes of the concept set 'stroke'"):
        numbers = ConceptSet(name="stroke", event="condition", codes=("OMOP|381316",))
        rows(tmp_path, fhir_resources(), contract(STAY, PRESSURE, numbers))


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"null", b'"text"', b'{"id": 1}', b"[" * 100_000, b'{"resourceType": 7}', b"\xff\xfe", b'{"a": ' * 50_000,
        b"1" * 10_000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_resource_is_named_by_file_and_line(tmp_path: Path, line: bytes) -> None:
    """Half of an export that a full disk cut off must not read as a healthy population."""
    folder = write_fhir(tmp_path, fhir_resources())
    with (folder / "Condition.000.ndjson").open("ab") as file:
        file.write(line + b"\n")
    report = open_source(folder, contract()).check()
    finding = next(finding for finding in report.findings if finding.code == "not-a-resource")
    assert not report.ready() and (finding.places[0].file, finding.places[0].line) == ("Condition.000.ndjson", 2)
    assert "Condition" not in json.dumps(report.to_json())


def test_a_huge_line_is_passed_over_without_being_held(tmp_path: Path) -> None:
    """One line of a gigabyte must not fill the memory."""
    folder = write_fhir(tmp_path, fhir_resources())
    with (folder / "Condition.000.ndjson").open("ab") as file:
        file.write(b'{"resourceType": "Condition", "note": "' + b"x" * (LONGEST_LINE + 10) + b'"}\n')
        file.write(json.dumps(condition("2020-05-13")).encode())
    report = open_source(folder, contract()).check()
    finding = next(finding for finding in report.findings if finding.code == "not-a-resource")
    assert [place.line for place in finding.places] == [2]


def test_files_that_are_not_read_are_counted(tmp_path: Path) -> None:
    """A manager who sees eight files unread can ask why."""
    resources = [*fhir_resources(), {"resourceType": "Device", "id": "d"}]
    assert read(tmp_path, resources)[1]["unused-files"] == 1


def test_codes_that_nothing_carries_are_remarked(tmp_path: Path) -> None:
    """A wrong code looks like a rare one."""
    resources = [
        *fhir_resources()[:3],
        condition("2020-05-12", code={"coding": [{"system": "other", "code": "230690007"}]}),
        LATER,
    ]
    assert read(tmp_path, resources)[1]["concepts-unmet:stroke"] == 1


KEYS = st.sampled_from(["coding", "code", "system", "value", "start"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of what is inside, or that itself."""
    return inner | st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)


JSON_VALUES = nested(nested(nested(LEAVES)))
FIELDS = st.sampled_from(
    [
        "status", "subject", "code", "period", "class", "type", "component", "valueQuantity", "effectiveDateTime", "meta",
        "verificationStatus", "onsetDateTime", "contained", "medicationReference", "id", "intent", "birthDate", "gender", "link",
    ]
)  # fmt: skip
KINDS = st.sampled_from(["Encounter", "Observation", "Condition", "MedicationRequest", "Patient"])


@given(st.dictionaries(FIELDS, JSON_VALUES, max_size=8), KINDS)
def test_no_shape_of_json_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, odd: dict[str, Any], kind: str) -> None:
    """Wrong types are refused or counted: a traceback would stop the whole hospital."""
    drug = ConceptSet(name="drug", event="drug")
    counted = FeatureSection(column="n", value="count", concepts="drug")
    last = FeatureSection(column="p", value="last", concepts="pressure", units={"": 1.0})
    rules = contract(STAY, PRESSURE, STROKE, drug, features=(counted, last))
    order = {"resourceType": "MedicationRequest", "id": "1", "status": "active", "intent": "order"}
    folder = write_fhir(tmp_path_factory.mktemp("odd"), [*fhir_resources(), order, {**odd, "resourceType": kind}])
    open_source(folder, rules).check()


def test_a_line_with_a_mark_of_windows_is_read() -> None:
    """Some editors begin a file with an invisible mark."""
    assert resource_in(b'\xef\xbb\xbf{"resourceType": "Patient"}') == {"resourceType": "Patient"}
