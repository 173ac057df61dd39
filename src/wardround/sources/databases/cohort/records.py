"""The records of a cohort, from the tables that every database became.

    events of the index set --first, last, each--> index days --age, observation, death--> records
    records + events before the day --features--> columns          records + events from the day on --> label

Every step that leaves a person out counts it. Rows are sorted by person and day, so the order of a source leaves no trace.
"""

from dataclasses import dataclass

import polars as pl

from wardround.sources.databases.cohort.observation import observed_around
from wardround.sources.databases.cohort.windows import feature_column, within
from wardround.sources.databases.events import EventTables, Tally
from wardround.sources.read_result import Labels, Problem
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import CohortSection, IndexSection, OutcomeSection


@dataclass(frozen=True)
class CohortRows:
    """frame: the contract's columns, the label (1, 0, or None where it is not settled) and the patient. problems: who was left
    out."""

    frame: pl.DataFrame
    problems: tuple[Problem, ...]


def cohort_rows(tables: EventTables, cohort: CohortSection, contract: DataContract, labels: Labels) -> CohortRows:
    """One row for each index day that meets the criteria."""
    tally = Tally()
    records = observed_around(_index_days(tables, cohort), tables.periods)
    records = _eligible(records, cohort.index, tally)
    records = _labelled(records, tables, cohort, labels, tally)
    columns = {feature.column: feature_column(feature, records, tables, cohort, tally) for feature in cohort.features}
    frame = pl.DataFrame(
        {
            **{column.name: columns[column.name] for column in contract.columns},
            contract.label.column: records.get_column("label"),
            contract.patient.column: records.get_column("name"),
        }
    )
    return CohortRows(frame, tally.problems())


def _index_days(tables: EventTables, cohort: CohortSection) -> pl.DataFrame:
    """Person, index day and the end of the index event; one row a person and day, with all that is known of the person.

    Of several index events on one day the one that ends last is taken; one without an end has none.
    """
    position = cohort.position(cohort.index.concepts)
    met = tables.events.lazy().filter(pl.col("concepts") == position)
    ends = pl.when(pl.col("end").is_null().any()).then(None).otherwise(pl.col("end").max()).alias("visit_end")
    days = met.group_by("person", "start").agg(ends).collect()
    if cohort.index.which != "each":
        chosen = pl.col("start").min() if cohort.index.which == "first" else pl.col("start").max()
        days = days.filter(pl.col("start") == chosen.over("person"))
    index = (pl.col("start") + pl.duration(days=cohort.index.days_after)).cast(pl.Date).alias("index")
    days = days.with_columns(index).drop("start").join(tables.persons, on="person", how="inner")
    return days.sort("name", "index").with_row_index("record")


def _eligible(records: pl.DataFrame, index: IndexSection, tally: Tally) -> pl.DataFrame:
    """The records of persons who are alive, of the age, and observed for long enough before."""
    alive = pl.col("death").is_null() | (pl.col("death") >= pl.col("index"))
    records = _keep(
        records, alive, tally, "warning", "index-after-death", "Index events after the person's death were left out",
        "look at the dates of death",
    )  # fmt: skip
    records = records.with_columns(age_in_years().alias("age"))
    unborn = int(records.select((pl.col("age") < 0).sum()).item())
    hint = "correct the dates of birth, or of the events, at the source"
    tally.add("warning", "birth-after-index", "Index events lie before the person's birth", hint, unborn)
    older = int(records.select((pl.col("age") > OLDEST).sum()).item())
    text = f"Index events of persons who would be older than {OLDEST} years, as where a birth is not known"
    tally.add("warning", "age-impossible", text, hint, older)
    if index.age is not None:
        youngest, oldest = index.age
        text = f"Index events left out, since the person is not {youngest} to {oldest} years old or of unknown age"
        records = _keep(records, pl.col("age").is_between(youngest, oldest), tally, "note", "cohort-age", text)
    if index.observed_before is not None:
        text = f"Index events left out, since the person was not observed for {index.observed_before} days before"
        long_enough = (pl.col("index") - pl.col("observed_from")).dt.total_days() >= index.observed_before
        records = _keep(records, long_enough, tally, "note", "cohort-observed-before", text)
    return records


OLDEST = 119
"""Years. A birth in 1900, which programs write for an unknown one, makes people older."""


def _keep(records: pl.DataFrame, rule: pl.Expr, tally: Tally, level: str, code: str, text: str, hint: str = "") -> pl.DataFrame:
    kept = records.filter(rule.fill_null(False))
    tally.add(level, code, text, hint, records.height - kept.height)  # type: ignore[arg-type]
    return kept


def age_in_years() -> pl.Expr:
    """Whole years from birth to index: who was born on 29 February has a birthday on 1 March of other years."""
    birth, index = pl.col("birth"), pl.col("index")
    had_birthday = _day_of_year(index) >= _day_of_year(birth)
    return index.dt.year() - birth.dt.year() - (~had_birthday).cast(pl.Int32)


def _day_of_year(day: pl.Expr) -> pl.Expr:
    """100 * month + day. polars counts months in 8 bits, which a hundred of them would overflow."""
    return day.dt.month().cast(pl.Int32) * 100 + day.dt.day()


def _labelled(records: pl.DataFrame, tables: EventTables, cohort: CohortSection, labels: Labels, tally: Tally) -> pl.DataFrame:
    """Records with the label 1, 0 or None. Those that are not settled are left out where every record needs a label."""
    outcome = cohort.outcome
    first = pl.col("index") + pl.duration(days=outcome.days_from)
    last = pl.col("visit_end") if outcome.days_after is None else pl.col("index") + pl.duration(days=outcome.days_after)
    records = records.with_columns(first.cast(pl.Date).alias("first_day"), last.cast(pl.Date).alias("last_day"))
    if outcome.within_visit:
        over = pl.col("last_day").is_null() | (pl.col("last_day") >= pl.col("index"))
        text = "Index events left out, since the visit had ended before the index day"
        records = _keep(records, over, tally, "note", "cohort-visit-over", text)
    happened = _deaths(records) if outcome.kind == "death" else _events_after(records, tables, cohort)
    records = records.with_columns(happened.alias("happened"))
    settled = _settled(outcome)
    records = _settle_unobserved(records.with_columns(settled.fill_null(False).alias("settled")), outcome, labels, tally)
    return records.with_columns(pl.when("happened").then(1).when("settled").then(0).otherwise(None).cast(pl.Int8).alias("label"))


def _deaths(records: pl.DataFrame) -> pl.Series:
    window = (pl.col("death") >= pl.col("first_day")) & (pl.col("death") <= pl.col("last_day"))
    return records.select(window.fill_null(False)).to_series()


def _events_after(records: pl.DataFrame, tables: EventTables, cohort: CohortSection) -> pl.Series:
    position = cohort.position(cohort.outcome.concepts)
    inside = (pl.col("start") >= pl.col("first_day")) & (pl.col("start") <= pl.col("last_day"))
    met = within(tables.events, position, records.select("record", "person", "first_day", "last_day"), inside)
    return records.get_column("record").is_in(met.get_column("record").unique().implode())


def _settled(outcome: OutcomeSection) -> pl.Expr:
    """Whether a record without the outcome certainly has none: observed to the end, or dead before it, on a day that is known."""
    died = pl.col("death") <= pl.col("last_day")
    if outcome.within_visit:
        watched = pl.col("last_day").is_not_null()
    else:
        watched = (pl.col("observed_until") >= pl.col("last_day")).fill_null(False) | died.fill_null(False)
    no_day = pl.col("dead") & pl.col("death").is_null() if outcome.kind == "death" else pl.lit(False)
    return watched & ~no_day


def _settle_unobserved(records: pl.DataFrame, outcome: OutcomeSection, labels: Labels, tally: Tally) -> pl.DataFrame:
    """The rule for those who were not observed to the end, and have no outcome. An unknown day of death is never negative."""
    unsettled = ~pl.col("happened") & ~pl.col("settled")
    no_day = unsettled & pl.col("dead") & pl.col("death").is_null() & pl.lit(outcome.kind == "death")
    if labels == "optional":
        return records
    text = "Records left out, since the person died on a day that is not known"
    records = _keep(records, ~no_day, tally, "warning", "death-without-day", text, "add the day of death at the source")
    censored = records.filter(unsettled).height
    ends = "the visit has no end" if outcome.within_visit else "the person was not observed until the end of the window"
    if outcome.censored == "negative":
        tally.add("note", "cohort-censored", f"Records that count as negative, though {ends}", "", censored)
        return records.with_columns(pl.lit(True).alias("settled"))
    tally.add("note", "cohort-censored", f"Records left out, since {ends}", "", censored)
    return records.filter(~unsettled)
