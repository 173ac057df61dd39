"""OMOP CDM 5.4: its tables as persons, events and time under observation.

    concept --> numbers of each set --> visit_occurrence, condition_occurrence, ... --> events of these numbers alone
    person, death --> persons          observation_period --> periods

Only the columns named below are read, and of the events only those that a concept set of the cohort names.
Source: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from wardround.sources.databases.cohort.partial_days import FIRST_GUESS, IMPOSSIBLE_BIRTH, birth_day
from wardround.sources.databases.events import (
    PERIODS,
    PERSONS,
    EventCollector,
    EventTables,
    PersonKeys,
    Tally,
    places_of,
    unmet_sets,
)
from wardround.sources.databases.omop.concepts import ConceptNumbers, concept_numbers, require_columns, unit_spellings
from wardround.sources.databases.tables import RowFilter, Tables, dates, integers, lost, numbers, words
from wardround.sources.progress import counting_rows
from wardround.study.sections.cohort import CohortSection, EventKind
from wardround.values.errors import DataError

SEXES = {8507: "male", 8532: "female", 8521: "other"}
"""Concepts of gender; any other counts as not known."""
LIMITS = (4171756, 4171754, 4171755, 4172704)
"""Concepts of <, <=, >= and >: the number is a limit of what could be measured."""
ROW_HINT = "correct these rows at the source"


@dataclass(frozen=True)
class EventTable:
    """Where a table of OMOP has what an event needs.

    optional: columns that a source may lack. stated: a row without the concept is no event.
    """

    name: str
    concept: str
    start: str
    end: str = ""
    source_concept: str = ""
    measured: bool = False
    stated: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        return ("person_id", self.concept, self.start)

    @property
    def optional(self) -> tuple[str, ...]:
        values = ("value_as_number", "unit_concept_id", "unit_source_value", "operator_concept_id") if self.measured else ()
        return tuple(name for name in (self.key, self.end, self.source_concept, *values) if name)

    @property
    def key(self) -> str:
        """The column that numbers the rows of the table."""
        return f"{self.name}_id"


EVENT_TABLES: dict[EventKind, tuple[EventTable, ...]] = {
    "visit": (
        EventTable("visit_occurrence", "visit_concept_id", "visit_start_date", "visit_end_date", "visit_source_concept_id"),
    ),
    "discharge": (EventTable("visit_occurrence", "discharged_to_concept_id", "visit_end_date", stated=True),),
    "condition": (
        EventTable(
            "condition_occurrence", "condition_concept_id", "condition_start_date", "condition_end_date",
            "condition_source_concept_id",
        ),
    ),
    "procedure": (
        EventTable("procedure_occurrence", "procedure_concept_id", "procedure_date", "", "procedure_source_concept_id"),
    ),
    "drug": (
        EventTable(
            "drug_exposure", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date", "drug_source_concept_id"
        ),
    ),
    "measurement": (
        EventTable(
            "measurement", "measurement_concept_id", "measurement_date", "", "measurement_source_concept_id", measured=True
        ),
        EventTable(
            "observation", "observation_concept_id", "observation_date", "", "observation_source_concept_id", measured=True
        ),
    ),
}  # fmt: skip


def omop_events(clinical: Tables, vocabulary: Tables, cohort: CohortSection) -> EventTables:
    """Everything that the cohort needs of an OMOP database. DataError where a table or column is not there."""
    tally = Tally()
    sets = concept_numbers(cohort, vocabulary, tally)
    persons, keys = _persons(clinical, tally)
    collector = EventCollector(cohort, keys, tally)
    kinds = dict.fromkeys(concept_set.event for concept_set in cohort.concepts)
    units = unit_spellings(vocabulary) if "measurement" in kinds else {}
    for kind in kinds:
        for table in EVENT_TABLES[kind]:
            _collect(table, [s for s in sets if s.concept_set.event == kind], clinical, units, collector, tally)
    periods = _periods(clinical, keys, tally) if cohort.needs_observation else pl.DataFrame(schema=PERIODS)
    events = collector.events()
    unmet_sets(cohort, events, tally)
    return EventTables(persons, events, periods, collector.units, tally.problems())


def _persons(tables: Tables, tally: Tally) -> tuple[pl.DataFrame, PersonKeys]:
    needed, parts = ("person_id", "gender_concept_id", "year_of_birth"), ("month_of_birth", "day_of_birth")
    require_columns(tables, "person", needed, "everything is counted by person")
    batches = [_numbered(batch, (*needed, *parts), tally) for batch in _read(tables, "person", needed, parts)]
    rows = pl.concat(batches or [pl.DataFrame(schema=dict.fromkeys((*needed, *parts), pl.Int64))])
    rows = rows.drop_nulls("person_id")
    if rows["person_id"].n_unique() != rows.height:
        raise DataError("The table person names a person twice", hint="keep one row for each person_id")
    rows = rows.sort("person_id")
    guessed = rows.filter(pl.col("year_of_birth").is_not_null() & pl.any_horizontal(pl.col(parts).is_null())).height
    tally.add("note", "birth-without-day", FIRST_GUESS, "", guessed)
    keys = PersonKeys.of_keys(rows["person_id"].rename("key"))
    birth = birth_day(pl.col("year_of_birth"), pl.col("month_of_birth"), pl.col("day_of_birth")).alias("birth")
    impossible = rows.filter(pl.col("year_of_birth").is_not_null() & birth.is_null()).height
    tally.add("warning", "birth-impossible", IMPOSSIBLE_BIRTH, ROW_HINT, impossible)
    persons = rows.select(
        keys.keys["person"],
        pl.col("person_id").cast(pl.String).alias("name"),
        birth,
        pl.col("gender_concept_id").replace_strict(SEXES, default=None, return_dtype=pl.String).alias("sex"),
    )
    joined = persons.join(_deaths(tables, keys, tally), on="person", how="left", maintain_order="left")
    return joined.with_columns(pl.col("dead").fill_null(False)).select(*PERSONS), keys


def _numbered(batch: pl.DataFrame, names: tuple[str, ...], tally: Tally) -> pl.DataFrame:
    """Rows of the table person as whole numbers. OMOP numbers persons: an identifier of another kind is told as what it is."""
    rows = integers(batch, *names)
    strange = lost(batch, rows, "person_id")
    tally.add(
        "error", "person-id-no-number", "Rows of the table person have a person_id that is no whole number, as OMOP wants",
        "number the persons, in every table alike", len(strange), places_of("person", strange),
    )  # fmt: skip
    nameless = rows["person_id"].null_count() - len(strange)
    tally.add("error", "person-without-id", "Rows of the table person have no person_id", ROW_HINT, nameless)
    return rows


def _dated(rows: pl.DataFrame, table: str, names: tuple[str, ...], tally: Tally) -> pl.DataFrame:
    """Rows with the columns as days. A date that is there and cannot be read is an error: left out, it would look like never."""
    dated = dates(rows, *names)
    for name in names:
        unread = lost(rows, dated, name)
        tally.add(
            "error", f"date-unread:{table}", f"Dates in the table {table} cannot be read",
            "write them as 2020-05-09, year first; leave empty what is not known", len(unread), places_of(table, unread),
        )  # fmt: skip
    return dated


def _deaths(tables: Tables, keys: PersonKeys, tally: Tally) -> pl.DataFrame:
    """Person, day of death, dead. Of several days the first.

    A database without the table is refused, since it would read as if nobody had died.
    """
    require_columns(tables, "death", ("person_id", "death_date"), "it tells who died, and when observation ends")
    batches = [
        _dated(integers(batch, "person_id"), "death", ("death_date",), tally)
        for batch in _read(tables, "death", ("person_id", "death_date"))
    ]
    rows = pl.concat(batches) if batches else pl.DataFrame(schema={"person_id": pl.Int64, "death_date": pl.Date})
    known_rows, strangers = keys.joined(rows.rename({"person_id": "key"}))
    text = "Deaths of persons who are not in the source were left out"
    tally.add("warning", "death-without-person", text, ROW_HINT, len(strangers), places_of("death", strangers))
    days = known_rows.group_by("person").agg(
        pl.col("death_date").min().alias("death"), pl.col("death_date").n_unique().alias("days")
    )
    tally.add(
        "warning", "deaths-differ", "Persons have several days of death, of which the first counts", ROW_HINT,
        days.filter(pl.col("days") > 1).height,
    )  # fmt: skip
    return days.select("person", "death", pl.lit(True).alias("dead"))


def _periods(tables: Tables, keys: PersonKeys, tally: Tally) -> pl.DataFrame:
    names = ("person_id", "observation_period_start_date", "observation_period_end_date")
    require_columns(tables, "observation_period", names, "it tells who was observed for long enough")
    parts = [pl.DataFrame(schema=PERIODS)]
    for batch in _read(tables, "observation_period", names):
        rows = _dated(integers(batch, names[0]), "observation_period", names[1:], tally)
        tally.add(
            "warning", "period-without-days", "Observation periods without two whole dates were left out", ROW_HINT,
            rows.filter(pl.any_horizontal(pl.col(names[1:]).is_null())).height,
        )  # fmt: skip
        tally.add(
            "warning", "period-reversed", "Observation periods that end before they begin were left out", ROW_HINT,
            rows.filter(pl.col(names[2]) < pl.col(names[1])).height,
        )  # fmt: skip
        known_rows, _ = keys.joined(rows.rename(dict(zip(names, ("key", "start", "end"), strict=True))))
        parts.append(known_rows.select(*PERIODS))
    return pl.concat(parts)


def _read(
    tables: Tables, table: str, required: tuple[str, ...], optional: tuple[str, ...] = (), row_filter: RowFilter | None = None
) -> Iterator[pl.DataFrame]:
    """Batches with all these columns; an optional one that the source lacks is empty."""
    have = tables.columns(table) or frozenset()
    names = (*required, *(name for name in optional if name in have))
    for batch in counting_rows(table, tables.batches(table, names, row_filter)):
        yield batch.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in optional if name not in have)


def _collect(
    table: EventTable,
    sets: list[ConceptNumbers],
    clinical: Tables,
    units: dict[int, str],
    collector: EventCollector,
    tally: Tally,
) -> None:
    """Hand the events of one table over, each once for every set that it belongs to."""
    require_columns(clinical, table.name, table.required, f"the study has concept sets of the kind {sets[0].concept_set.event}")
    have = clinical.columns(table.name) or frozenset()
    concepts = [name for name in (table.concept, table.source_concept) if name in have]
    every = [collector.cohort.position(s.concept_set.name) for s in sets if s.numbers is None]
    by_number = [(number, collector.cohort.position(s.concept_set.name)) for s in sets for number in s.numbers or ()]
    positions = pl.DataFrame(by_number, schema={"number": pl.Int64, "concepts": pl.UInt16}, orient="row")
    row_filter = None if every else RowFilter(tuple(concepts), frozenset(number for number, _ in by_number))
    if row_filter is not None and not row_filter.values:
        return
    keys = [pl.Series(table.key, [], dtype=pl.Int64)]
    for batch in _read(clinical, table.name, table.required, table.optional, row_filter):
        rows = integers(batch, *concepts, table.key).with_row_index("row")
        for name in concepts:
            strange = lost(batch, rows, name)
            tally.add(
                "error", f"concept-id-no-number:{table.name}",
                f"Rows of the table {table.name} have a concept that is no whole number",
                "write the concept_id; a header line among the rows is one of two files that were put together: take it out",
                len(strange), places_of(table.name, strange),
            )  # fmt: skip
        rows = rows.filter(pl.col(table.concept).fill_null(0) != 0) if table.stated else rows
        belonging = rows.join(_belonging(rows, concepts, positions, every), on="row", how="inner")
        if belonging.height:
            collector.add(_events(table, belonging, units, tally), table.name)
            keys.append(belonging.unique("row").get_column(table.key).drop_nulls())
    numbered = pl.concat(keys)
    tally.add(
        "error", f"rows-twice:{table.name}", f"Rows of the table {table.name} stand in it twice, by their {table.key}",
        "load or export the table once: what is counted would be counted twice", len(numbered) - numbered.n_unique(),
    )  # fmt: skip


def _belonging(rows: pl.DataFrame, concepts: list[str], positions: pl.DataFrame, every: list[int]) -> pl.DataFrame:
    """Pairs of a row and a set that it belongs to: by its standard concept or its source concept, each pair once."""
    pairs = [rows.join(positions, left_on=name, right_on="number", how="inner").select("row", "concepts") for name in concepts]
    pairs += [rows.select("row", pl.lit(position, dtype=pl.UInt16).alias("concepts")) for position in every]
    return pl.concat(pairs).unique()


def _events(table: EventTable, rows: pl.DataFrame, units: dict[int, str], tally: Tally) -> pl.DataFrame:
    """Rows of a table as a batch for the collector."""
    typed = _dated(integers(rows, "person_id"), table.name, (table.start, table.end) if table.end else (table.start,), tally)
    if table.end:
        turned = pl.col(table.end) < pl.col(table.start)
        tally.reversed_spans(table.name, typed.filter(turned).height)
        typed = typed.with_columns(pl.when(turned).then(None).otherwise(pl.col(table.end)).alias(table.end))
    number, unit = pl.lit(None, dtype=pl.Float64), pl.lit("")
    if table.measured:
        typed = _measured(table, rows, typed, units, tally)
        number, unit = pl.col("value_as_number"), pl.col("unit_source_value")
    return typed.select(
        pl.col("person_id").alias("key"),
        "concepts",
        pl.col(table.start).alias("start"),
        (pl.col(table.end) if table.end else pl.lit(None, dtype=pl.Date)).alias("end"),
        number.alias("number"),
        unit.alias("unit"),
        pl.lit(0).alias("row"),
    )


def _measured(table: EventTable, rows: pl.DataFrame, typed: pl.DataFrame, units: dict[int, str], tally: Tally) -> pl.DataFrame:
    """The number and the unit of measurements: the UCUM code of the unit's concept, or else the unit as the source wrote it."""
    measured = words(numbers(typed, "value_as_number"), "unit_source_value")
    tally.add(
        "error", f"not-a-number:{table.name}", f"Values in the table {table.name} are no numbers",
        "write them as 120.5, a limit with its operator_concept_id; leave empty what is not known",
        len(wrong := lost(rows, measured, "value_as_number")), places_of(table.name, wrong),
    )  # fmt: skip
    measured = integers(measured, "unit_concept_id", "operator_concept_id")
    limits = measured.filter(pl.col("operator_concept_id").is_in(LIMITS) & pl.col("value_as_number").is_not_null()).height
    tally.add("warning", "limit", "Values below or above a limit of measurement count as the limit", "", limits)
    by_concept = pl.col("unit_concept_id").replace_strict({0: None, **units}, default=None, return_dtype=pl.String)
    return measured.with_columns(pl.coalesce(by_concept, pl.col("unit_source_value")).alias("unit_source_value"))
