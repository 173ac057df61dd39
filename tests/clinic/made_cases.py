"""A hospital's table of made patients whose truth is known: heart disease by a logistic law in three columns."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources import network_input, prepare

from .made_models import TABLE

WEIGHTS = np.array([1.5, -0.8, 0.8, 1.2])
"""Of age, sex=f, sex=m, pressure, as the contract scales them."""


def made_rows(
    count: int, *, seed: int = 0, slope: float = 1.0, offset: float = 0.0, films: int = 1
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """Rows with their outcomes, drawn with chance sigmoid(slope * score + offset); and the scores. films: rows of one patient."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count // films):
        row = {"age": int(rng.integers(20, 90)), "sex": "fm"[rng.integers(2)], "pressure": int(rng.integers(90, 200))}
        rows += [{**row, "patient": f"p{number}"} for _ in range(films)]
    features = np.stack([prepare(TABLE, row) for row in rows])
    scores = network_input(TABLE, features) @ WEIGHTS
    chance = 1 / (1 + np.exp(-(slope * scores + offset)))
    for row, ill in zip(rows, rng.random(len(rows)) < chance, strict=True):
        row["ill"] = int(ill)
    return rows, scores


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
