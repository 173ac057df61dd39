"""Studies of survival as their files would say them, and rows as a hospital would give them."""

import json
from typing import Any

import numpy as np

from wardround.study.declaration import Study
from wardround.values.rows import Rows

from .breast_cancer import TEN, Patients


def study(columns: list[dict[str, Any]], survival: dict[str, Any], **analysis: Any) -> Study:
    """A study of these columns, whose label's column is `died`."""
    return Study.model_validate_json(
        json.dumps(
            {
                "question": {"title": "Survival", "description": "When.", "intended_use": "Tests."},
                "data": {
                    "kind": "table",
                    "label": {"name": "died", "column": "died", "positive": "= 1", "negative": "= 0"},
                    "columns": columns,
                },
                "analysis": {**analysis, "survival": survival},
            }
        )
    )


def breast_cancer_study(names: tuple[str, ...] = TEN, **changed: Any) -> Study:
    """The regression of these columns, held-out patients apart; curves by therapy where it is asked for."""
    analysis = {name: changed.pop(name) for name in ("smallest_cell", "exchanges") if name in changed}
    columns: list[dict[str, Any]] = [{"name": "days", "unit": "days", "range": [0, 9000]}]
    for name in names:
        if name == "age_at_index":
            columns.append({"name": name, "unit": "years", "range": [20, 100], "center": 58, "scale": 13})
        else:
            columns.append({"name": name, "kind": "binary"})
    terms = [{"column": name, "per": 13} if name == "age_at_index" else {"column": name} for name in names]
    survival = {"time": "days", "event": "died", "until": 3650, "cell": 91, "terms": terms, "held_out": True, **changed}
    return study(columns, survival, largest_hospital=1000, **analysis)


def rows_of(patients: Patients) -> dict[str, Rows]:
    """Six hospitals."""
    found = {}
    for region in range(6):
        own = patients.part(patients.regions == region)
        values = {name: own.columns[:, position] for position, name in enumerate(own.names)}
        values["age_at_index"] = np.rint(own.columns[:, 0] * 13 + 58)
        values |= {"days": own.times, "died": own.events.astype(np.float64)}
        names = np.array([f"{region}-{number}" for number in range(len(own.times))])
        splits = np.where(own.train, "train", "test").astype("<U10")
        found[f"region-{region}"] = Rows(values, names, splits, f"region-{region}")
    return found
