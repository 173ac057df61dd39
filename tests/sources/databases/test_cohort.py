"""Cohorts from drawn event tables, against a plain computation day by day; and the leaks that must not be."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.sources.databases.cohort import windows
from wardround.sources.databases.cohort.records import cohort_rows
from wardround.sources.databases.events import EVENTS, PERIODS, PERSONS, EventTables
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.sections.cohort import CohortSection, ConceptSet, FeatureSection, IndexSection, OutcomeSection

DAY_0 = date(2020, 1, 1)
SETS = (
    ConceptSet(name="stay", event="visit"),
    ConceptSet(name="lab", event="measurement", codes=("LOINC|1",)),
    ConceptSet(name="stroke", event="condition", codes=("SNOMED|1",)),
)
STAY, LAB, STROKE = range(3)


@dataclass
class Person:
    """Days are numbers from DAY_0. events: set, first day, last day, number."""

    name: str
    born: int = -15000
    sex: str | None = "female"
    died: int | None = None
    dead: bool = False
    events: list[tuple[int, int, int | None, float | None]] = field(default_factory=list)
    periods: list[tuple[int, int]] = field(default_factory=lambda: [(-10000, 10000)])


def day(number: int | None) -> date | None:
    return None if number is None else DAY_0 + timedelta(days=number)


def tables_of(people: list[Person]) -> EventTables:
    persons = [(number, p.name, day(p.born), p.sex, day(p.died), p.dead or p.died is not None) for number, p in enumerate(people)]
    events = [
        (number, kind, day(start), day(end), value, 1, 0)
        for number, p in enumerate(people)
        for kind, start, end, value in p.events
    ]
    periods = [(number, day(start), day(end)) for number, p in enumerate(people) for start, end in p.periods]
    return EventTables(
        pl.DataFrame(persons, schema=PERSONS, orient="row"),
        pl.DataFrame(events, schema=EVENTS, orient="row"),
        pl.DataFrame(periods, schema=PERIODS, orient="row"),
        ("", "mg/dL"),
    )


def contract_of(index: IndexSection, outcome: OutcomeSection, days_before: int | None = 10) -> DataContract:
    units = {"mg/dL": 1.0}
    features = [
        FeatureSection(column="age", value="age"),
        FeatureSection(column="sex", value="sex"),
        *(
            FeatureSection(column=value, value=value, concepts="lab", days_before=days_before)  # type: ignore[arg-type]
            for value in ("any", "count", "days_since")
        ),
        *(
            FeatureSection(column=value, value=value, concepts="lab", days_before=days_before, units=units)  # type: ignore[arg-type]
            for value in ("last", "mean", "min", "max")
        ),
        FeatureSection(column="stays", value="count", concepts="stay"),
        FeatureSection(column="strokes", value="count", concepts="stroke"),
    ]
    columns = [
        ColumnContract(name="sex", kind="category", categories=("female", "male"), max_missing=1.0)
        if feature.column == "sex"
        else ColumnContract(name=feature.column, range=(-1e6, 1e6), max_missing=1.0)
        for feature in features
    ]
    cohort = CohortSection(concepts=SETS, index=index, features=tuple(features), outcome=outcome)
    return DataContract(kind="table", columns=tuple(columns), label=LabelContract(name="stroke"), cohort=cohort)


def rows(people: list[Person], contract: DataContract, labels: str = "required") -> list[dict[str, Any]]:
    return cohort_rows(tables_of(people), contract.cohort, contract, labels).frame.to_dicts()


def counts(people: list[Person], contract: DataContract) -> dict[str, int]:
    """How many were left out or remarked on, by reason."""
    problems = cohort_rows(tables_of(people), contract.cohort, contract, "required").problems
    return {problem.code: problem.count for problem in problems}


AFTER_STAY = IndexSection(concepts="stay")
STROKE_30 = OutcomeSection(kind="concepts", concepts="stroke", days_after=30)


def by_hand(people: list[Person], contract: DataContract, days_before: int | None) -> list[dict[str, Any]]:
    """The same records one person and one day at a time, as docs/databases.md says them."""
    cohort = contract.cohort
    index, outcome = cohort.index, cohort.outcome
    records: list[dict[str, Any]] = []
    for person in sorted(people, key=lambda p: p.name):
        stays = sorted({start for kind, start, _, _ in person.events if kind == STAY})
        chosen = {"first": stays[:1], "last": stays[-1:], "each": stays}[index.which]
        for first_day in chosen:
            zero = first_day + index.days_after
            ends = [end for kind, start, end, _ in person.events if kind == STAY and start == first_day]
            visit_end = None if None in ends else max(ends)
            if person.died is not None and person.died < zero:
                continue
            born, today = day(person.born), day(zero)
            age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
            if index.age is not None and not index.age[0] <= age <= index.age[1]:
                continue
            watched = {d for start, end in person.periods for d in range(start, end + 1)}
            observed_from = observed_until = None
            if zero in watched:
                observed_from = observed_until = zero
                while observed_from - 1 in watched:
                    observed_from -= 1
                while observed_until + 1 in watched:
                    observed_until += 1
            if index.observed_before is not None and (observed_from is None or zero - observed_from < index.observed_before):
                continue
            last = visit_end if outcome.days_after is None else zero + outcome.days_after
            if outcome.within_visit and last is not None and last < zero:
                continue
            inside = [zero + outcome.days_from <= d and last is not None and d <= last for d in _outcomes(person, outcome)]
            settled = last is not None and (
                outcome.within_visit
                or (observed_until is not None and observed_until >= last)
                or (person.died is not None and person.died <= last)
            )
            no_day = outcome.kind == "death" and person.dead and person.died is None
            if not any(inside) and no_day:
                continue
            if not any(inside) and not settled and outcome.censored == "left_out":
                continue
            records.append({**_features(person, zero, age, days_before), "label": int(any(inside)), "patient": person.name})
    return records


def _outcomes(person: Person, outcome: OutcomeSection) -> list[int]:
    if outcome.kind == "death":
        return [] if person.died is None else [person.died]
    return [start for kind, start, _, _ in person.events if kind == STROKE]


def _features(person: Person, zero: int, age: int, days_before: int | None) -> dict[str, Any]:
    window = [
        (start, value)
        for kind, start, _, value in person.events
        if kind == LAB and start < zero and (days_before is None or zero - start <= days_before)
    ]
    numbers = sorted(value for _, value in window if value is not None)
    measured_days = [start for start, value in window if value is not None]
    latest = sorted(value for start, value in window if value is not None and start == max(measured_days))
    return {
        "age": age,
        "sex": person.sex,
        "any": int(bool(window)),
        "count": len(window),
        "days_since": min((zero - start for start, _ in window), default=None),
        "last": sum(latest) / len(latest) if latest else None,
        "mean": sum(numbers) / len(numbers) if numbers else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "stays": sum(kind == STAY and start < zero for kind, start, _, _ in person.events),
        "strokes": sum(kind == STROKE and start < zero for kind, start, _, _ in person.events),
    }


EVENT = st.tuples(
    st.sampled_from([STAY, STAY, LAB, LAB, STROKE]),
    st.integers(0, 40),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(-20, 20).map(lambda n: n / 4),
).map(lambda e: (e[0], e[1], None if e[2] is None else max(e[1], e[2]), e[3]))
PERIOD = st.tuples(st.integers(-20, 50), st.integers(0, 60)).map(lambda p: (p[0], p[0] + p[1]))
PEOPLE = st.lists(
    st.builds(
        Person,
        name=st.integers(0, 10**6).map(str),
        born=st.integers(-20000, -1),
        sex=st.sampled_from(["female", "male", None]),
        died=st.none() | st.integers(0, 80),
        dead=st.booleans(),
        events=st.lists(EVENT, max_size=12),
        periods=st.lists(PERIOD, max_size=3),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda p: p.name,
)
INDEX = st.builds(
    IndexSection,
    concepts=st.just("stay"),
    which=st.sampled_from(["first", "last", "each"]),
    days_after=st.integers(0, 2),
    age=st.none() | st.just((10, 40)),
    observed_before=st.none() | st.integers(0, 20),
)
OUTCOME = st.one_of(
    st.builds(
        OutcomeSection,
        kind=st.just("concepts"),
        concepts=st.just("stroke"),
        days_from=st.integers(0, 3),
        days_after=st.integers(3, 30),
        censored=st.sampled_from(["left_out", "negative"]),
    ),
    st.builds(
        OutcomeSection,
        kind=st.just("death"),
        days_after=st.integers(0, 30),
        censored=st.sampled_from(["left_out", "negative"]),
    ),
)
IN_HOSPITAL = st.builds(
    OutcomeSection, kind=st.just("death"), within_visit=st.just(True), censored=st.sampled_from(["left_out", "negative"])
)


@given(PEOPLE, INDEX, OUTCOME, st.none() | st.integers(1, 20))
def test_records_are_those_of_a_plain_computation(
    people: list[Person], index: IndexSection, outcome: OutcomeSection, days_before: int | None
) -> None:
    """Joins of windows go wrong by one day, one duplicate or one missing person, and nobody sees it in a table."""
    contract = contract_of(index, outcome, days_before)
    assert rows(people, contract) == by_hand(people, contract, days_before)


@given(PEOPLE, INDEX, IN_HOSPITAL)
def test_an_outcome_within_the_visit_ends_with_it(people: list[Person], index: IndexSection, outcome: OutcomeSection) -> None:
    """A death at home the day after must not count as one in hospital."""
    contract = contract_of(index, outcome)
    assert rows(people, contract) == by_hand(people, contract, 10)


@given(PEOPLE, INDEX, OUTCOME, st.integers(1, 200))
def test_parts_of_a_join_make_no_difference(
    people: list[Person], index: IndexSection, outcome: OutcomeSection, largest: int
) -> None:
    """A large hospital is joined in parts by person; a person at a border must not be lost or doubled."""
    contract = contract_of(index, outcome)
    whole = rows(people, contract)
    before, windows.LARGEST_JOIN = windows.LARGEST_JOIN, largest
    try:
        assert rows(people, contract) == whole
    finally:
        windows.LARGEST_JOIN = before


@given(PEOPLE, INDEX, st.randoms())
def test_the_order_of_a_source_leaves_no_trace(people: list[Person], index: IndexSection, random: Any) -> None:
    """Databases give rows in any order; the sum of the same numbers in another order may differ in its last bit."""
    people = [replace(p, events=[(k, s, e, None if v is None else v + 0.1) for k, s, e, v in p.events]) for p in people]
    contract = contract_of(index, STROKE_30)
    turned = [replace(p, events=random.sample(p.events, len(p.events))) for p in random.sample(people, len(people))]
    assert rows(people, contract) == rows(turned, contract)


@given(PEOPLE, st.integers(0, 5), EVENT)
def test_nothing_from_the_index_day_on_enters_a_feature(people: list[Person], later: int, event: Any) -> None:
    """A feature that sees the outcome makes a model that is right in the study and useless at the bedside."""
    contract = contract_of(AFTER_STAY, stroke_outcome(days_after=30, censored="negative"))
    told = [p for p in people if any(kind == STAY for kind, *_ in p.events)]
    for person in told:
        person.died, person.dead = None, False
    before = rows(told, contract)
    for person in told:
        index = min(start for kind, start, _, _ in person.events if kind == STAY)
        person.events.append((event[0], index + later, None, event[3]))
    after = rows(told, contract)
    unlabelled = [{name: value for name, value in row.items() if name != "label"} for row in (*before, *after)]
    assert unlabelled[: len(before)] == unlabelled[len(before) :]


def stroke_outcome(**changes: Any) -> OutcomeSection:
    return OutcomeSection.model_validate_json(OutcomeSection(kind="concepts", concepts="stroke", **changes).model_dump_json())


@pytest.mark.parametrize(("lab", "seen"), [(90, 1), (99, 1), (89, 0), (100, 0), (101, 0)])
def test_an_event_moved_by_a_day_enters_or_leaves_the_window(lab: int, seen: int) -> None:
    """Ten days before the index are the tenth to the first: the index day is none of them."""
    person = Person("a", events=[(STAY, 100, 101, None), (LAB, lab, None, 5.0)])
    assert rows([person], contract_of(AFTER_STAY, STROKE_30, 10))[0]["count"] == seen


@pytest.mark.parametrize(("stroke", "label"), [(99, 0), (100, 1), (130, 1), (131, 0)])
def test_the_outcome_window_holds_the_index_day_and_the_last_day(stroke: int, label: int) -> None:
    """Else a stroke on the last day counts at one hospital and not at another."""
    person = Person("a", events=[(STAY, 100, 101, None), (STROKE, stroke, None, None)])
    assert rows([person], contract_of(AFTER_STAY, STROKE_30))[0]["label"] == label


def test_a_person_without_events_before_the_index_has_zeros_and_missing_values() -> None:
    """No event is a count of 0, and no measurement is no value: 0 mg/dL would be one."""
    row = rows([Person("a", events=[(STAY, 100, None, None)])], contract_of(AFTER_STAY, STROKE_30))[0]
    assert (row["any"], row["count"], row["stays"]) == (0, 0, 0)
    assert [row[name] for name in ("last", "mean", "min", "max", "days_since")] == [None] * 5


def test_a_person_without_any_event_is_no_record() -> None:
    """Who never came is not a negative."""
    assert rows([Person("a")], contract_of(AFTER_STAY, STROKE_30)) == []


def test_two_values_on_the_last_day_are_their_mean() -> None:
    """Which of them was the later is not known everywhere; the first in the file would be a habit of the file."""
    person = Person("a", events=[(STAY, 100, None, None), (LAB, 99, None, 4.0), (LAB, 99, None, 6.0), (LAB, 98, None, 100.0)])
    assert rows([person], contract_of(AFTER_STAY, STROKE_30))[0]["last"] == 5.0


def test_who_is_left_out_is_counted_by_reason() -> None:
    """A hospital that loses half of its patients to a rule must see which."""
    index = IndexSection(concepts="stay", age=(18, 120), observed_before=50)
    stay = [(STAY, 100, None, None)]
    people = [
        Person("dead", died=50, events=stay),
        Person("child", born=-100, events=stay),
        Person("new", periods=[(90, 500)], events=stay),
        Person("gone", periods=[(0, 110)], events=stay),
        Person("kept", events=stay),
    ]
    contract = contract_of(index, STROKE_30)
    assert counts(people, contract) == {
        "index-after-death": 1, "cohort-age": 1, "cohort-observed-before": 1, "cohort-censored": 1,
    }  # fmt: skip
    assert [row["patient"] for row in rows(people, contract)] == ["kept"]


def test_a_death_without_a_day_is_never_a_survivor() -> None:
    """deceasedBoolean = true says that a person died, and not when: a 0 would be a lie in half of the cases."""
    people = [Person("a", dead=True, events=[(STAY, 100, 101, None)]), Person("b", events=[(STAY, 100, 101, None)])]
    contract = contract_of(AFTER_STAY, OutcomeSection(kind="death", days_after=30, censored="negative"))
    assert [row["patient"] for row in rows(people, contract)] == ["b"]
    assert counts(people, contract) == {"death-without-day": 1}


def test_values_in_another_unit_are_left_out_and_counted_with_their_unit() -> None:
    """117 mmol/L among mg/dL is a value that no range catches."""
    tables = tables_of([Person("a", events=[(STAY, 100, None, None), (LAB, 99, None, 5.0), (LAB, 98, None, 500.0)])])
    events = tables.events.with_columns(
        pl.when(pl.col("number") == 500.0).then(2).otherwise(pl.col("unit")).cast(pl.UInt32).alias("unit")
    )
    tables = replace(tables, events=events, units=("", "mg/dL", "ug/dL"))
    contract = contract_of(AFTER_STAY, STROKE_30)
    read = cohort_rows(tables, contract.cohort, contract, "required")
    assert read.frame["mean"].to_list() == [5.0]
    problem = next(p for p in read.problems if p.code == "other-unit:mean")
    assert problem.count == 1 and problem.places[0].value == "ug/dL" and "ug/dL" not in problem.text


def test_records_to_be_answered_need_no_outcome() -> None:
    """A model is asked about patients whose year has not passed yet."""
    people = [Person("a", periods=[(0, 110)], events=[(STAY, 100, None, None)]), Person("b", events=[(STAY, 100, None, None)])]
    asked = rows(people, contract_of(AFTER_STAY, STROKE_30), "optional")
    assert [(row["patient"], row["label"]) for row in asked] == [("a", None), ("b", 0)]
