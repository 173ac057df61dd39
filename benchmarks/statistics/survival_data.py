"""Fed-TCGA-BRCA for the benchmarks of survival: rows by region, studies of it, matrices for other libraries."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.datasets.catalogue import suggested_contract
from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.declaration import Study
from wardround.values.rows import Rows

Floats = NDArray[np.float64]
NAME = "fed_tcga_brca"
HORIZONS = (730.0, 1095.0, 1826.0)
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
ALL = tuple(column.name for column in suggested_contract(NAME).columns if column.name != "days")


def regions() -> dict[str, Rows]:
    """Six hospitals; FLamby's test fold is split `test`."""
    rows, sites = load_dataset_rows(NAME, suggested_contract(NAME))
    assert sites is not None
    return {str(name): rows.select(sites == name) for name in np.unique(sites)}


def study_of(names: tuple[str, ...], **settings: Any) -> Study:
    """Age per 13 years, the others 0 or 1; FLamby's test fold is held out. smallest_cell may stand beside survival's settings."""
    common = {name: settings.pop(name) for name in ("smallest_cell",) if name in settings}
    terms = [{"column": name, "per": 13} if name == "age_at_index" else {"column": name} for name in names]
    survival = {"time": "days", "event": "died", "until": 3650, "cell": 91, "terms": terms, "held_out": bool(terms), **settings}
    value = {
        "question": {"title": "Survival with breast cancer"},
        "data": suggested_contract(NAME).model_dump(mode="json"),
        "analysis": {"largest_hospital": 1000, **common, "survival": survival},
    }
    return Study.model_validate_json(json.dumps(value))


def matrix(rows: Rows, names: tuple[str, ...]) -> Floats:
    """(n, p), age in steps of 13 years from 58."""
    return np.stack([(rows[name] - 58) / 13 if name == "age_at_index" else rows[name] for name in names], axis=1)
