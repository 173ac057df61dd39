"""A small study over tables: three hospitals that a logistic regression can learn from in a second."""

from pathlib import Path

import numpy as np

TOML = """
format = 1
[question]
title = "A small question"
[data]
kind = "table"
[data.label]
column = "ill"
[data.patient]
column = "patient"
[[data.columns]]
name = "pressure"
range = [60, 200]
[[data.columns]]
name = "smoker"
kind = "binary"
[data.splits]
validation = 0.2
test = 0.2
[network]
name = "logistic"
[training]
optimizer = "sgd"
learning_rate = 0.2
batch_size = 8
seed = 3
[algorithm]
name = "{algorithm}"
rounds = {rounds}
"""


def write_study(folder: Path, *, algorithm: str = "fedavg", rounds: int = 3, more: str = "", run: str = "") -> Path:
    """run: of the file beside it, which is written only where there is something to say."""
    if run:
        (folder / "study.run.toml").write_text(run, "utf-8")
    path = folder / "study.toml"
    path.write_text(TOML.format(algorithm=algorithm, rounds=rounds) + more, "utf-8")
    return path


def write_hospital(path: Path, *, rows: int, seed: int, healthier: float = 0.0) -> Path:
    """Risk rises with pressure and smoking. healthier: by so much lower is the logit of everybody's."""
    rng = np.random.default_rng(seed)
    pressure = rng.normal(130, 20, rows).clip(70, 190).round(1)
    smoker = rng.integers(0, 2, rows)
    ill = (rng.random(rows) < 1 / (1 + np.exp(-((pressure - 130) / 10 + 2 * smoker - 1 - healthier)))).astype(int)
    lines = ["patient,pressure,smoker,ill"]
    lines += [f"MARKER-{seed}-{i},{pressure[i]},{smoker[i]},{ill[i]}" for i in range(rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_hospitals(folder: Path) -> dict[str, Path]:
    sizes = {"north": 120, "south": 80, "west": 60}
    return {name: write_hospital(folder / f"{name}.csv", rows=rows, seed=i) for i, (name, rows) in enumerate(sizes.items())}
