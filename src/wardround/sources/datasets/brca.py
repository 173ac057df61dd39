"""Fed-TCGA-BRCA as one table: a row for each patient, whether she died, after how many days she left, six regions as hospitals.

    brca.csv --pid--> train_test_split.csv (FLamby's folds)        brca.csv --tissue source in pid--> centers.csv (region)

`E` is the event and `T` the days; FLamby's page has them the other way round. Eight patients of other countries are in no fold:
they are left out, as FLamby leaves them out. `days` is `T`, `died` is `E`.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl


def read_brca(file: Callable[[str], Path]) -> pl.DataFrame:
    """The joined table as text; `file` gives the path of a file of the set, its bytes verified."""
    patients, folds, centers = (
        pl.read_csv(file(name), infer_schema=False) for name in ("brca.csv", "train_test_split.csv", "centers.csv")
    )
    center = pl.col("pid").str.split("-").list.get(1).alias("TSS Code")
    table = patients.with_columns(center).join(folds, on="pid").join(centers, on="TSS Code")
    whole = [
        pl.col(old).cast(pl.Float64).cast(pl.Int64).cast(pl.String).alias(new) for old, new in (("T", "days"), ("E", "died"))
    ]
    added = [*whole, pl.col("Region").alias("region"), pl.col("fold").alias("split")]
    return table.select(*patients.columns[:-2], *added)
