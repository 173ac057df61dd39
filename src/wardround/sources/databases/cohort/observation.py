"""Time under observation: which stretch of it an index day lies in."""

import polars as pl


def observed_around(records: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Records (record, person, index) with observed_from and observed_until; None where the index day lies in no period."""
    around = (
        records.lazy()
        .select("record", "person", "index")
        .join(merged(periods).lazy(), on="person", how="inner")
        .filter((pl.col("start") <= pl.col("index")) & (pl.col("index") <= pl.col("end")))
        .select("record", pl.col("start").alias("observed_from"), pl.col("end").alias("observed_until"))
        .collect()
    )
    return records.join(around, on="record", how="left", maintain_order="left")


def merged(periods: pl.DataFrame) -> pl.DataFrame:
    """Periods of a person that overlap, or of which one begins the day after another, are one."""
    ordered = periods.drop_nulls().filter(pl.col("start") <= pl.col("end")).sort("person", "start", "end")
    reached = pl.col("end").cum_max().shift(1).over("person")
    begins = (pl.col("start") > reached + pl.duration(days=1)).fill_null(True)
    stretch = begins.cast(pl.UInt32).cum_sum().over("person").alias("stretch")
    grouped = ordered.with_columns(stretch).group_by("person", "stretch").agg(pl.col("start").min(), pl.col("end").max())
    return grouped.drop("stretch")
