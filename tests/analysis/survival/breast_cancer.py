"""The breast cancer patients of FLamby's division: six regions as hospitals, days and deaths, columns in the units of a paper."""

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from wardround.analysis.survival.partial_likelihood import FollowUp

DATA = Path(os.environ.get("WARDROUND_DATA", "")) / "fed_tcga_brca"
needs_data = pytest.mark.skipif("WARDROUND_DATA" not in os.environ or not DATA.is_dir(), reason="WARDROUND_DATA names no data")
TEN = (
    "age_at_index",
    "treatment_or_therapy_yes",
    "race_black or african american",
    "ajcc_pathologic_m_MX",
    "ajcc_pathologic_n_N1",
    "ajcc_pathologic_n_N2",
    "ajcc_pathologic_t_T2",
    "ajcc_pathologic_t_T3",
    "morphology_8520/3",
    "prior_malignancy_yes",
)


@dataclass(frozen=True)
class Patients:
    """names: of the columns. columns: (n, 39). times, events, regions, train: (n,)."""

    names: tuple[str, ...]
    columns: np.ndarray
    times: np.ndarray
    events: np.ndarray
    regions: np.ndarray
    train: np.ndarray

    def part(self, rows: np.ndarray) -> "Patients":
        return Patients(self.names, self.columns[rows], self.times[rows], self.events[rows], self.regions[rows], self.train[rows])

    def chosen(self, names: tuple[str, ...] | None = None) -> np.ndarray:
        return self.columns if names is None else self.columns[:, [self.names.index(name) for name in names]]

    def follow_up(self, names: tuple[str, ...] | None = None) -> FollowUp:
        return FollowUp(self.chosen(names), self.times, self.events)

    def hospitals(self, names: tuple[str, ...] | None = None) -> list[FollowUp]:
        return [self.part(self.regions == region).follow_up(names) for region in range(6)]


@cache
def patients() -> Patients:
    """All 1,088; age per 13 years from 58."""
    with (DATA / "train_test_split.csv").open(encoding="utf-8") as file:
        folds = {row["pid"]: (row["fold"] == "train", int(row["fold2"].split("_")[1])) for row in csv.DictReader(file)}
    with (DATA / "brca.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["pid"] in folds]
    names = tuple(name for name in rows[0] if name not in ("pid", "E", "T"))
    columns = np.array([[float(row[name]) for name in names] for row in rows])
    columns[:, 0] = (columns[:, 0] - 58) / 13
    return Patients(
        names,
        columns,
        np.array([float(row["T"]) for row in rows]),
        np.array([row["E"] == "1.0" for row in rows]),
        np.array([folds[row["pid"]][1] for row in rows]),
        np.array([folds[row["pid"]][0] for row in rows]),
    )


def train() -> Patients:
    return patients().part(patients().train)


def held_out() -> Patients:
    return patients().part(~patients().train)
