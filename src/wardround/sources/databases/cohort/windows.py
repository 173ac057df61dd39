"""Features: what happened to a person in a window before the index day.

A window of N days holds the days from N days before the index to the day before it. The index day itself, and whatever comes
after, never enters a feature.
"""

from collections.abc import Iterator

import polars as pl

from wardround.sources.databases.events import EventTables, Tally, places_of
from wardround.study.sections.cohort import NUMBERS, CohortSection, FeatureSection

LARGEST_JOIN = 5_000_000
"""Pairs of a record and an event that are held at once, unless one person alone has more."""


def within(events: pl.DataFrame, position: int, records: pl.DataFrame, inside: pl.Expr) -> pl.DataFrame:
    """The events of a concept set beside the records of the same person, where `inside` holds."""
    named = events.filter(pl.col("concepts") == position).select("person", "start", "number", "unit")
    kept = [part.lazy().join(named.lazy(), on="person", how="inner").filter(inside).collect() for part in _parts(records, named)]
    return pl.concat(kept) if kept else records.clear().join(named.clear(), on="person", how="inner")


def _parts(records: pl.DataFrame, events: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Records in parts, by person, such that each part makes about LARGEST_JOIN pairs."""
    sizes = (
        records.group_by("person")
        .len("records")
        .join(events.group_by("person").len("events"), on="person", how="inner")
        .sort("person")
        .with_columns(((pl.col("records").cast(pl.UInt64) * pl.col("events")).cum_sum() // LARGEST_JOIN).alias("part"))
    )
    for part in sizes.partition_by("part", maintain_order=True):
        yield records.join(part.select("person"), on="person", how="semi")


def feature_column(
    feature: FeatureSection, records: pl.DataFrame, tables: EventTables, cohort: CohortSection, tally: Tally
) -> pl.Series:
    """The values of one feature, record for record; None where there is none."""
    if feature.value in ("age", "sex"):
        return records.get_column(feature.value).rename(feature.column)
    before = pl.col("start") < pl.col("index")
    if feature.days_before is not None:
        before &= (pl.col("index") - pl.col("start")).dt.total_days() <= feature.days_before
    met = within(tables.events, cohort.position(feature.concepts), records.select("record", "person", "index"), before)
    if feature.value in NUMBERS:
        met = _measured(met, feature, tables.units, tally)
    values = met.group_by("record").agg(_summary(feature).alias("value"))
    joined = records.select("record").join(values, on="record", how="left", maintain_order="left").get_column("value")
    return (joined.fill_null(0) if feature.value in ("any", "count") else joined).rename(feature.column)


def _measured(met: pl.DataFrame, feature: FeatureSection, units: tuple[str, ...], tally: Tally) -> pl.DataFrame:
    """The events with a number in a unit of the feature, brought to the column's unit; the others are counted."""
    text = f"Events for the column {feature.column!r} hold no number and were left out"
    numbered = met.filter(pl.col("number").is_finite().fill_null(False))
    tally.add("warning", f"no-number:{feature.column}", text, "", met.height - numbered.height)
    factors = pl.DataFrame(
        {"unit": [units.index(unit) for unit in feature.units if unit in units],
         "factor": [factor for unit, factor in feature.units.items() if unit in units]},
        schema={"unit": pl.UInt32, "factor": pl.Float64},
    )  # fmt: skip
    scaled = numbered.join(factors, on="unit", how="inner").with_columns(pl.col("number") * pl.col("factor"))
    others = numbered.join(factors, on="unit", how="anti")["unit"]
    named = ", ".join(unit or "no unit" for unit in feature.units)
    tally.add(
        "warning", f"other-unit:{feature.column}",
        f"Values for the column {feature.column!r} are in another unit than {named} and were left out",
        "name their unit, with its factor, under units of the feature, for all hospitals", numbered.height - scaled.height,
        places_of("", others.replace_strict(list(range(len(units))), list(units), return_dtype=pl.String)),
    )  # fmt: skip
    return scaled


def _summary(feature: FeatureSection) -> pl.Expr:
    """The value of one record from its events. Numbers are added in order of size, so that sources of another order agree."""
    number = pl.col("number")
    if feature.value == "last":
        # Several on the last day: their mean. Their order within a day is not known everywhere.
        return number.filter(pl.col("start") == pl.col("start").max()).sort().mean()
    if feature.value == "days_since":
        return (pl.col("index") - pl.col("start")).dt.total_days().min()
    expressions = {
        "any": pl.lit(1, dtype=pl.Int64).first(),
        "count": pl.len().cast(pl.Int64),
        "mean": number.sort().mean(),
        "min": number.min(),
        "max": number.max(),
    }
    return expressions[feature.value]
