"""The rows of two public sets for effects of treatments: a trial of four, and a cohort whose effects are known.

ACTG 175 (Hammer et al., NEJM 1996) and IHDP with simulated outcomes (J. Hill, J. Comput. Graph. Stat. 20 (2011) 217), ten
replications, from the folder that WARDROUND_DATA names.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.values.rows import Rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Floats = NDArray[np.float64]


def data_folder() -> Path:
    """Where the sets lie."""
    return Path(os.environ["WARDROUND_DATA"])


def actg_study() -> Study:
    """The study of the example."""
    return load_study(EXAMPLES / "hiv_trial.toml")


def actg_rows() -> Rows:
    """All patients, as the contract of the example reads them."""
    return load_dataset_rows("actg175", actg_study().data)[0]


@dataclass(frozen=True)
class Replication:
    """Rows of one replication, and each patient's true effect (n,)."""

    rows: Rows
    effects: Floats


def ihdp(number: int) -> Replication:
    """Replication 1 to 10: 747 children, 25 covariates, simulated outcomes of both treatments."""
    with gzip.open(data_folder() / "ihdp" / f"ihdp_npci_{number}.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",")
    columns = {"visits": table[:, 0], "score": table[:, 1]}
    columns |= {f"x{at}": table[:, 4 + at] for at in range(1, 26)}
    columns["x14"] = columns["x14"] - 1  # 1 and 2 in the file
    patients = np.array([f"child-{row:03d}" for row in range(len(table))])
    return Replication(Rows(columns, patients, np.full(len(table), "train"), "all"), table[:, 4] - table[:, 3])


def ihdp_study(**effect: object) -> Study:
    """Continuous columns are standardised in the files; an outcome lies between -50 and 500 in every replication."""
    numbers = [{"name": f"x{at}", "range": [-8, 8], "center": 0, "scale": 1} for at in range(1, 7)]
    others = [{"name": f"x{at}", "kind": "binary"} for at in range(7, 26)]
    section = {
        "outcome": "score",
        "treatment": "visits",
        "covariates": [{"column": f"x{at}"} for at in range(1, 26)],
        **effect,
    }
    score = {"name": "score", "range": [-50, 500], "center": 0, "scale": 1}
    raw = {
        "question": {"title": "IHDP: visits by specialists"},
        "data": {"kind": "table", "columns": [*numbers, *others, {"name": "visits", "kind": "binary"}, score]},
        "analysis": {"effect": section, "largest_hospital": 1000},
    }
    return Study.model_validate_json(json.dumps(raw))
