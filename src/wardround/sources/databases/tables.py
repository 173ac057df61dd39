"""What the reader of OMOP needs of a database, whichever holds it, and how its cells become values.

CSV folder, zip --csv_tables--.
SQLite, PostgreSQL -----sql----+--> frames of cells --integers, dates, numbers--> values, and a count of those that are none
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class RowFilter:
    """Rows where one of `columns` holds one of `values`. A database may give more rows, never fewer."""

    columns: tuple[str, ...]
    values: frozenset[int] | frozenset[str]


READ_TABLES = frozenset(
    {
        "person", "death", "observation_period", "visit_occurrence", "condition_occurrence", "procedure_occurrence",
        "drug_exposure", "measurement", "observation", "concept", "concept_ancestor",
    }
)  # fmt: skip
"""The tables of OMOP that a cohort may be made of."""
UNREAD_TABLES = frozenset(
    {
        "visit_detail", "device_exposure", "note_nlp", "specimen", "fact_relationship", "location", "care_site",
        "provider", "payer_plan_period", "cost", "drug_era", "dose_era", "condition_era", "episode", "episode_event", "metadata",
        "cdm_source", "vocabulary", "domain", "concept_class", "concept_relationship", "relationship", "concept_synonym",
        "drug_strength", "cohort", "cohort_definition", "attribute_definition", "source_to_concept_map", "note",
    }
)  # fmt: skip
"""OMOP's other tables, which no cohort asks for."""


class Tables(Protocol):
    """Tables by their names in lower case."""

    def columns(self, table: str) -> frozenset[str] | None:
        """The columns of a table, in lower case; None where there is no such table."""

    def batches(self, table: str, columns: tuple[str, ...], row_filter: RowFilter | None = None) -> Iterator[pl.DataFrame]:
        """The rows of a table in parts, in the order of `columns`, as text or as the database has them."""


def integers(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Columns as whole numbers, None where a cell holds none. "8507.0" is one: other programs write them so."""
    plain = {name: pl.col(name).str.strip_chars().str.replace(r"\.0+$", "") for name in names if frame[name].dtype == pl.String}
    return frame.with_columns(
        (plain.get(name, pl.col(name))).cast(pl.Int64, strict=False).alias(name)
        if name in plain or not frame[name].dtype.is_float()
        else pl.when(pl.col(name) == pl.col(name).round()).then(pl.col(name)).cast(pl.Int64, strict=False).alias(name)
        for name in names
    )


_TIMED = r"^(\d{4}-\d{1,2}-\d{1,2})[T ]\d{1,2}:\d{2}[\d:.,]*(?:\s?(?:Z|UTC|[+-]\d{2}:?(?:\d{2})?))?$"


def dates(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Columns as days: ISO dates, and the day of a date and time. None where a cell holds none."""
    return frame.with_columns(_days(frame[name]) for name in names)


def _days(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        days = text.str.to_date("%Y-%m-%d", strict=False)
        if days.null_count() == column.null_count():
            return days
        timed = text.str.extract(_TIMED, 1).str.to_date("%Y-%m-%d", strict=False)
        return days.fill_null(timed)
    if column.dtype.is_temporal():
        return column.cast(pl.Date)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Date)


def numbers(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Columns as numbers, None where a cell holds none, or one without end."""
    cast = frame.with_columns(
        (pl.col(name).str.strip_chars() if frame[name].dtype == pl.String else pl.col(name)).cast(pl.Float64, strict=False)
        for name in names
    )
    return cast.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names)


def words(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Columns as trimmed text, "" where a cell is empty."""
    return frame.with_columns(pl.col(name).cast(pl.String).str.strip_chars().fill_null("") for name in names)


def lost(before: pl.DataFrame, after: pl.DataFrame, name: str) -> pl.Series:
    """The cells of a column that held something that became nothing."""
    if after[name].null_count() == before[name].null_count():
        return before[name].head(0)
    written = before[name].is_not_null()
    if before[name].dtype == pl.String:
        written &= before[name].str.strip_chars() != ""
    return before[name].filter(written & after[name].is_null())
