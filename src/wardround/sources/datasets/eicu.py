"""The eICU demo as one table: a row for each intensive care stay with first-day severity variables, four regions as hospitals.

    apacheapsvar --stay--> patient --hospital--> hospital.region

Its 186 hospitals have at most 40 stays each, too few to be hospitals of a study; regions are the usual grouping. The outcome is
death in hospital; `icu_days` are the days in the unit, from its minutes. Left out: stays without severity variables, of
hospitals without a region, or with unknown outcome. An age written "> 89" is read as 90. A patient with stays in several regions
is kept apart by `divide_by_column`.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl


def read_eicu(file: Callable[[str], Path]) -> pl.DataFrame:
    """The joined table as text; `file` gives the path of a file of the set, its bytes verified."""
    severity, patient, hospital = (
        pl.read_csv(file(f"{name}.csv.gz"), infer_schema=False) for name in ("apacheapsvar", "patient", "hospital")
    )
    stays = severity.join(patient, on="patientunitstayid").join(hospital, on="hospitalid")
    usable_stays = stays.filter(pl.col("region").is_not_null() & pl.col("hospitaldischargestatus").is_in(["Alive", "Expired"]))
    days = (pl.col("unitdischargeoffset").cast(pl.Float64) / (24 * 60)).round(3).cast(pl.String)
    return usable_stays.with_columns(pl.col("age").str.replace("> 89", "90", literal=True), days.alias("icu_days"))
