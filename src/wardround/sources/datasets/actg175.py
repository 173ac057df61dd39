"""ACTG 175 as one table: a row for each of 2139 patients, with the treatment in words.

The file counts its rows in a column without a name, so that its head names one column less than it has. `arms` 0 to 3 are said in
words under `treatment`. cd496, the count at 96 weeks, is missing in 797 patients.
"""

import csv
from pathlib import Path

import polars as pl

TREATMENTS = ("zidovudine", "zidovudine and didanosine", "zidovudine and zalcitabine", "didanosine")
"""By the numbers of `arms`."""


def read_actg175(path: Path) -> pl.DataFrame:
    """The table as text. path: of the file, its bytes verified."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    names = ["row", *head]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    columns["treatment"] = [TREATMENTS[int(arm)] for arm in columns["arms"]]
    return pl.DataFrame(columns)
