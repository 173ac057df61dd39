"""OMOP tables: concepts, descendants, units, odd cells, odd files."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from wardround.sources.databases import csv_tables
from wardround.sources.databases.cohort.records import cohort_rows
from wardround.sources.databases.csv_tables import open_csv_tables
from wardround.sources.databases.omop.cdm import omop_events
from wardround.sources.opening import open_source
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import ConceptSet, FeatureSection, OutcomeSection
from wardround.values.errors import DataError

from .cases import (
    CONCEPTS,
    PRESSURE,
    STAY,
    STROKE,
    contract,
    omop_period,
    omop_person,
    omop_pressure,
    omop_stay,
    omop_stroke,
    omop_tables,
)
from .databases import COLUMNS, csv_text, load_sqlite, write_csv, zipped


def read(folder: Path, tables: dict[str, Any], rules: DataContract | None = None) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The records and how much was counted by reason."""
    rules = rules or contract()
    with open_csv_tables(write_csv(folder, tables)) as opened:
        events = omop_events(opened, opened, rules.cohort)
    made = cohort_rows(events, rules.cohort, rules, "required")
    return made.frame.to_dicts(), {problem.code: problem.count for problem in (*events.problems, *made.problems)}


def test_one_person_as_tables(tmp_path: Path) -> None:
    """The whole way, small enough to be checked by eye."""
    assert read(tmp_path, omop_tables()) == ([{"age": 70, "pressure": 130.0, "label": 1, "patient": "1"}], {})


def test_a_folder_a_zip_and_a_database_are_recognised_by_what_they_hold(tmp_path: Path) -> None:
    """A zip of tables must not be taken for one of images, nor a database for text."""
    folder = write_csv(tmp_path / "cdm", omop_tables())
    archive = zipped(folder, tmp_path / "export.bin")
    database = load_sqlite(folder, tmp_path / "cdm.data")
    (tmp_path / "alone").mkdir()
    alone = load_sqlite(folder, tmp_path / "alone" / "cdm.db").parent
    kinds = {path: open_source(path, contract()).kind for path in (folder, archive, database, alone)}
    assert list(kinds.values()) == ["omop", "omop", "sqlite", "sqlite"]
    assert all(len(open_source(path, contract()).load()) == 1 for path in kinds)
    assert open_source(f"sqlite:///{database}", contract()).kind == "sqlite"


def test_names_in_capitals_gzip_tabs_and_semicolons_are_read(tmp_path: Path) -> None:
    """Exports are named by the database that made them; vocabularies come with tabs and bare quotes in their texts."""
    write_csv(tmp_path, omop_tables())
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.upper()))
    (tmp_path / "PERSON.CSV").write_text(csv_text("person", [omop_person()], ";").upper())
    odd = [*CONCEPTS, {"concept_id": 1, "vocabulary_id": "None", "concept_code": 'a "quoted', "standard_concept": ""}]
    lines = ["\t".join(COLUMNS["concept"]), *("\t".join(str(row[name]) for name in COLUMNS["concept"]) for row in odd)]
    (tmp_path / "CONCEPT.CSV").write_text("\n".join(lines) + "\n")
    visits = tmp_path / "VISIT_OCCURRENCE.CSV"
    (tmp_path / "visit_occurrence.csv.gz").write_bytes(gzip.compress(visits.read_bytes()))
    visits.unlink()
    assert open_source(tmp_path, contract()).load().labels.tolist() == [1]


def test_a_table_called_person_is_a_table_like_any_other(tmp_path: Path) -> None:
    """A hospital's own table may have that name, and was read before databases were."""
    from wardround.study.contract import ColumnContract

    (tmp_path / "person.csv").write_text("age,label\n50,1\n60,0\n")
    plain = DataContract(kind="table", columns=(ColumnContract(name="age", range=(0, 120)),))
    assert open_source(tmp_path, plain).kind == "table"


def test_a_study_without_a_cohort_is_told_what_it_lacks(tmp_path: Path) -> None:
    """The mend is in the study, for all hospitals; no message may send the manager to her files."""
    from wardround.study.contract import ColumnContract

    plain = DataContract(kind="table", columns=(ColumnContract(name="age", range=(0, 120)),))
    with pytest.raises(DataError, match=r"\[data\.cohort\]"):
        open_source(write_csv(tmp_path, omop_tables()), plain).load()


def test_events_match_by_standard_or_by_source_concept(tmp_path: Path) -> None:
    """A hospital that keeps ICD codes has them as source concepts, under a standard concept that several codes share."""
    icd = {"concept_id": 45601, "vocabulary_id": "ICD10CM", "concept_code": "I63.9", "standard_concept": ""}
    rules = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=("ICD10CM|I63.9",)))
    mapped = {"condition_concept_id": 443454, "condition_source_concept_id": 45601}
    records, _ = read(
        tmp_path, omop_tables(concept=[*CONCEPTS, icd], condition_occurrence=[omop_stroke("2020-05-12", **mapped)]), rules
    )
    assert records[0]["label"] == 1
    other = {"condition_concept_id": 443454, "condition_source_concept_id": 45602}
    records, counted = read(
        tmp_path, omop_tables(concept=[*CONCEPTS, icd], condition_occurrence=[omop_stroke("2020-05-12", **other)]), rules
    )
    assert records[0]["label"] == 0 and counted["concepts-unmet:stroke"] == 1


def test_a_star_stands_for_every_code_that_begins_so(tmp_path: Path) -> None:
    """I63 has a dozen codes; a list of them forgets one."""
    icd = [
        {"concept_id": 1, "vocabulary_id": "ICD10CM", "concept_code": "I63.9", "standard_concept": ""},
        {"concept_id": 2, "vocabulary_id": "ICD10CM", "concept_code": "I64", "standard_concept": ""},
        {"concept_id": 3, "vocabulary_id": "ICD10GM", "concept_code": "I63.9", "standard_concept": ""},
    ]
    rules = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=("ICD10CM|I63*",)))
    labels = {}
    for number in (1, 2, 3):
        stroke = omop_stroke("2020-05-12", condition_concept_id=0, condition_source_concept_id=number)
        tables = omop_tables(concept=[*CONCEPTS, *icd], condition_occurrence=[stroke])
        labels[number] = read(tmp_path, tables, rules)[0][0]["label"]
    assert labels == {1: 1, 2: 0, 3: 0}


def test_an_event_of_two_codes_of_a_set_counts_once(tmp_path: Path) -> None:
    """Standard and source concept of one row are often both in a set."""
    count = contract(STAY, STROKE, features=(FeatureSection(column="n", value="count", concepts="stroke"),))
    both = omop_stroke("2020-05-01", condition_source_concept_id=381316)
    assert read(tmp_path, omop_tables(condition_occurrence=[both]), count)[0][0]["n"] == 1


def test_descendants_follow_the_table_and_a_cycle_ends(tmp_path: Path) -> None:
    """A wrong row that turns back on itself must not run for ever."""
    below = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=STROKE.codes, descendants=True))
    pairs = [(381316, 381316), (381316, 7), (7, 381316), (7, 8), (None, 381316), (381316, None)]
    ancestors = [{"ancestor_concept_id": a, "descendant_concept_id": d} for a, d in pairs]
    for concept, label in ((7, 1), (8, 0), (381316, 1)):
        events = [omop_stroke("2020-05-12", condition_concept_id=concept)]
        assert read(tmp_path, omop_tables(condition_occurrence=events, concept_ancestor=ancestors), below)[0][0]["label"] == label


@pytest.mark.parametrize("ancestors", ["empty", "absent", "others"])
def test_descendants_without_their_table_are_refused_by_name(tmp_path: Path, ancestors: str) -> None:
    """Reading the codes alone would be another cohort than the other hospitals', and nobody would be told."""
    below = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=STROKE.codes, descendants=True))
    others = [{"ancestor_concept_id": 5, "descendant_concept_id": 6}] if ancestors == "others" else []
    folder = write_csv(tmp_path, omop_tables(concept_ancestor=others))
    if ancestors == "absent":
        (folder / "concept_ancestor.csv").unlink()
    with pytest.raises(DataError, match=r"'stroke' asks for descendants"):
        open_source(folder, below).load()


def test_codes_that_the_vocabulary_does_not_hold_are_remarked(tmp_path: Path) -> None:
    """A hospital without ICD loaded reads as one without strokes."""
    rules = contract(STAY, PRESSURE, ConceptSet(name="stroke", event="condition", codes=("ICD10CM|I63.9",)))
    counted = read(tmp_path, omop_tables(), rules)[1]
    assert counted["concepts-unknown:stroke"] == 1 and counted["concepts-unmet:stroke"] == 1
    with pytest.raises(DataError, match="OMOP can hold none"):
        local = ConceptSet(name="stroke", event="condition", codes=("urn:oid:1.2|x",))
        read(tmp_path, omop_tables(), contract(STAY, PRESSURE, local))


def test_the_unit_is_that_of_the_concept_or_else_as_written(tmp_path: Path) -> None:
    """mmHg is what a device wrote; mm[Hg] is what the unit's concept means."""
    pressure = omop_pressure("2020-05-09", 130, unit_source_value="mmHg")
    assert read(tmp_path, omop_tables(measurement=[pressure]))[0][0]["pressure"] == 130.0
    bare = omop_pressure("2020-05-09", 130, unit_concept_id=0, unit_source_value=" mm[Hg] ")
    assert read(tmp_path, omop_tables(measurement=[bare]))[0][0]["pressure"] == 130.0
    none = omop_pressure("2020-05-09", 130, unit_concept_id=None, unit_source_value=None)
    records, counted = read(tmp_path, omop_tables(measurement=[none]))
    assert records[0]["pressure"] is None and counted["other-unit:pressure"] == 1


@pytest.mark.parametrize("cell", ["12,5", "high", "1.2.3", "NaN", "inf"])
def test_a_value_that_is_no_number_is_left_out_and_counted(tmp_path: Path, cell: str) -> None:
    """A decimal comma read as nothing is half of a hospital's values."""
    records, counted = read(tmp_path, omop_tables(measurement=[omop_pressure("2020-05-09", cell)]))
    assert records[0]["pressure"] is None
    assert counted.get("not-a-number:measurement", 0) + counted["no-number:pressure"] >= 1


def test_a_limit_of_measurement_counts_as_the_limit_and_is_remarked(tmp_path: Path) -> None:
    """operator_concept_id says "<": as for a comparator in FHIR."""
    records, counted = read(tmp_path, omop_tables(measurement=[omop_pressure("2020-05-09", 60, operator_concept_id=4171756)]))
    assert records[0]["pressure"] == 60.0 and counted["limit"] == 1


@pytest.mark.parametrize(
    ("day", "pressure"),
    [("2020-05-09", 130.0), ("2020-05-09 23:10:00", 130.0), ("2020-05-09T01:00:00Z", 130.0), ("09.05.2020", None), ("", None)],
)
def test_days_with_times_are_read_and_others_counted(tmp_path: Path, day: str, pressure: float | None) -> None:
    """09.05.2020 is May in one country and September in another."""
    records, counted = read(tmp_path, omop_tables(measurement=[omop_pressure(day, 130)]))
    assert records[0]["pressure"] == pressure and ("event-without-day" in counted) == (pressure is None)


@pytest.mark.parametrize(
    ("born", "age", "guessed"),
    [
        ({"month_of_birth": 5, "day_of_birth": 10}, 70, 0),
        ({"month_of_birth": 5, "day_of_birth": 11}, 69, 0),
        ({"month_of_birth": 5, "day_of_birth": None}, 69, 1),
        ({"month_of_birth": None, "day_of_birth": None}, 69, 1),
        ({"year_of_birth": None}, None, 0),
        ({"month_of_birth": 2, "day_of_birth": 30}, None, 0),
    ],
)
def test_births_with_and_without_a_day(tmp_path: Path, born: dict[str, Any], age: int | None, guessed: int) -> None:
    """The same rule as for FHIR, or two hospitals would give one person two ages."""
    records, counted = read(tmp_path, omop_tables(person=[omop_person(**born)]))
    assert records[0]["age"] == age and counted.get("birth-without-day", 0) == guessed


def test_rows_of_persons_who_are_not_there_are_counted(tmp_path: Path) -> None:
    """A person table that was cut off would halve every feature."""
    tables = omop_tables(measurement=[omop_pressure("2020-05-09", 130), omop_pressure("2020-05-09", 99, number=7)])
    tables["death"] = [{"person_id": 9, "death_date": "2020-05-20"}]
    records, counted = read(tmp_path, tables)
    assert records[0]["pressure"] == 130.0
    assert counted == {"event-without-person": 1, "death-without-person": 1}


def test_a_person_twice_or_without_number_is_refused(tmp_path: Path) -> None:
    """Two rows of one person may differ in the day of birth: neither is right by its place."""
    with pytest.raises(DataError, match="names a person twice"):
        read(tmp_path, omop_tables(person=[omop_person(), omop_person(year_of_birth=1960)]))
    assert not open_source(write_csv(tmp_path, omop_tables(person=[omop_person(), omop_person("x")])), contract()).check().ready()


def test_several_days_of_death_are_remarked_and_the_first_counts(tmp_path: Path) -> None:
    """The register and the ward often differ by a day."""
    death = contract(STAY, PRESSURE, outcome=OutcomeSection(kind="death", days_after=30))
    days = [{"person_id": 1, "death_date": day} for day in ("2020-06-20", "2020-06-01")]
    records, counted = read(tmp_path, omop_tables(death=days), death)
    assert records[0]["label"] == 1 and counted["deaths-differ"] == 1


@pytest.mark.parametrize(
    "table", ["person", "death", "observation_period", "visit_occurrence", "measurement", "observation", "concept"]
)
def test_a_table_that_is_not_there_is_refused_by_name(tmp_path: Path, table: str) -> None:
    """Without the table death nobody would have died."""
    folder = write_csv(tmp_path, omop_tables())
    (folder / f"{table}.csv").unlink()
    with pytest.raises(DataError, match=f"no table {table}" if table != "person" else "cannot be read as one source"):
        open_source(folder, contract()).load()


def test_a_column_that_is_not_there_is_refused_by_name_and_an_optional_one_is_empty(tmp_path: Path) -> None:
    """A table without units has values without units, which only a study that says so takes."""
    folder = write_csv(tmp_path, omop_tables())
    (folder / "measurement.csv").write_text(
        "person_id,measurement_concept_id,measurement_date,value_as_number\n1,3004249,2020-05-09,130\n"
    )
    bare = contract(features=(FeatureSection(column="pressure", value="last", concepts="pressure", units={"": 1.0}),))
    assert len(open_source(folder, bare).load()) == 1
    (folder / "measurement.csv").write_text("person_id,measurement_concept_id,value_as_number\n1,3004249,130\n")
    with pytest.raises(DataError, match="measurement lacks measurement_date"):
        open_source(folder, bare).load()


def test_a_column_or_a_table_twice_is_refused_by_name(tmp_path: Path) -> None:
    """The first of two is a library's habit."""
    folder = write_csv(tmp_path, omop_tables())
    text = (folder / "person.csv").read_text()
    (folder / "person.csv").write_text(text.replace("day_of_birth", "Year_of_Birth"))
    with pytest.raises(DataError, match=r"person has a column twice\. Found: year_of_birth"):
        open_source(folder, contract()).load()
    (folder / "person.csv").write_text(text)
    (folder / "death.csv.gz").write_bytes(gzip.compress(b"person_id,death_date\n"))
    with pytest.raises(DataError, match="Two files hold the table death"):
        open_source(folder, contract()).load()


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_end_between_lines_and_never_within_quotes(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than the memory is read in blocks: a line break in a note is no end of a row."""
    monkeypatch.setattr(csv_tables, "BLOCK", block)
    rows = [omop_pressure("2020-05-09", 100 + n, unit_source_value='a "note"\nof two, lines\n') for n in range(20)]
    counted = contract(features=(FeatureSection(column="n", value="count", concepts="pressure"),))
    assert read(tmp_path, omop_tables(measurement=rows), counted)[0][0]["n"] == 20


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would swallow the rest of the file."""
    monkeypatch.setattr(csv_tables, "BLOCK", 100)
    monkeypatch.setattr(csv_tables, "LONGEST_LINE", 400)
    folder = write_csv(tmp_path, omop_tables())
    with (folder / "measurement.csv").open("a") as file:
        file.write('1,3004249,"2020-05-09,130\n' * 200 + '1,3004249,2020-05-09,130,,"x\n')
    with pytest.raises(DataError, match=r"quotation mark .* not closed"):
        open_source(folder, contract()).load()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00p\x00e", b"person_id;x\n", b"person_id,gender_concept_id\n1\n2,3,4,5\n"])
def test_a_table_that_cannot_be_read_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """Empty, of another encoding, of another kind, ragged."""
    folder = write_csv(tmp_path, omop_tables())
    (folder / "person.csv").write_bytes(content)
    with pytest.raises(DataError, match="person"):
        open_source(folder, contract()).load()


def test_stays_of_one_day_are_one_record_and_each_of_them_a_visit(tmp_path: Path) -> None:
    """Two wards on one day are one admission; a count of visits is a count of visits."""
    rules = contract(STAY, STROKE, features=(FeatureSection(column="n", value="count", concepts="stay"),))
    visits = [omop_stay("2020-05-10"), omop_stay("2020-05-10", end="2020-05-12"), omop_stay("2020-06-20")]
    records, _ = read(tmp_path, omop_tables(visit_occurrence=visits, observation_period=[omop_period()]), rules)
    assert [row["n"] for row in records] == [0, 2]
