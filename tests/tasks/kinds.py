"""Small studies of every kind of question, and hospitals' tables for them: age and emergency decide, chance moves a little."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wardround.study.declaration import Study
from wardround.study.reading import parse_study

STUDY = """
format = 1
[question]
title = "A small question"
{task}
[data]
kind = "table"
[data.label]
name = "what is asked"
column = "{column}"
[data.patient]
column = "patient"
[[data.columns]]
name = "age"
range = [20, 100]
[[data.columns]]
name = "emergency"
kind = "binary"
[data.splits]
validation = 0.2
test = 0.2
[network]
name = "mlp"
hidden = [6]
[training]
seed = 3
{training}
[algorithm]
name = "{algorithm}"
rounds = {rounds}
[summation]
{summation}
"""
SIZES = {"north": 90, "south": 70, "west": 60}
LOCAL = 'optimizer = "sgd"\nlearning_rate = 0.05\nbatch_size = 16\nlocal_epochs = 2'

Columns = dict[str, list[str]]


@dataclass(frozen=True)
class Kind:
    """task: the study's [task]. labels: from a patient's risk, -2 to 2 or so, to the columns of the label, as written."""

    name: str
    task: str
    columns: tuple[str, ...]
    labels: Callable[[np.ndarray, np.random.Generator], Columns]
    outputs: tuple[str, ...]
    answers: tuple[str, ...]
    """Columns of the answer table, between patient and label."""


def _classes(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    place = np.digitize(risk + 0.5 * rng.normal(size=len(risk)), (-0.5, 0.7))
    words = [("none", "mild", "severe")[k] for k in place]
    return {"kind": ["?" if blank else word for word, blank in zip(words, rng.random(len(risk)) < 0.05, strict=True)]}


def _days(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    days = np.expm1(np.clip(1.2 + 0.6 * risk + 0.3 * rng.normal(size=len(risk)), 0.05, 3.4))
    return {"days": ["-1" if rng.random() < 0.05 else f"{one:.2f}" for one in days]}


def _severity(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    grade = np.digitize(risk + 0.5 * rng.normal(size=len(risk)), (-0.8, 0.2, 1.1))
    words = np.where((grade >= 1) & (rng.random(len(risk)) < 0.1), "1+", grade.astype(str))
    return {"grade": ["?" if rng.random() < 0.05 else str(word) for word in words]}


def _visits(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    visits = np.minimum(rng.poisson(np.exp(0.8 + 0.6 * risk)), 40)
    return {"visits": ["?" if rng.random() < 0.05 else str(one) for one in visits]}


def _findings(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    columns = {}
    for place, name in enumerate(("effusion", "oedema", "fracture")):
        there = rng.random(len(risk)) < 1 / (1 + np.exp(-(1.5 - 0.5 * place) * risk))
        columns[name] = ["" if rng.random() < 0.2 else "yes" if one else "no" for one in there]
    return columns


def _time(risk: np.ndarray, rng: np.random.Generator) -> Columns:
    death, lost = rng.exponential(900 / np.exp(0.9 * risk)), rng.uniform(200, 2500, len(risk))
    return {"days": [f"{one:.0f}" for one in np.minimum(death, lost)], "died": [str(int(one)) for one in death <= lost]}


KINDS = (
    Kind(
        "time",
        '[task]\nkind = "time"\nunit = "days"\nevent = "died"\ngrid = [0, 180, 365, 730, 1095, 1825]\nhorizons = [365, 1095]\n'
        'outside = "clip"',
        ("days", "died"),
        _time,
        ("survival at 365 days", "survival at 1095 days"),
        ("survival at 365 days", "survival at 1095 days"),
    ),
    Kind(
        "findings",
        '[task]\nkind = "findings"\nfindings = ['
        + ", ".join(
            f'{{ name = "{name}", column = "{name}", positive = ["yes"], negative = ["no"] }}'
            for name in ("effusion", "oedema", "fracture")
        )
        + "]",
        ("effusion", "oedema", "fracture"),
        _findings,
        ("effusion", "oedema", "fracture"),
        (
            *("probability of effusion", "probability of oedema", "probability of fracture"),
            *("answer of effusion", "answer of oedema", "answer of fracture"),
        ),
    ),
    Kind(
        "count",
        '[task]\nkind = "count"\nblank = ["?"]\nunit = "visits"\nrange = [0, 40]\noutside = "clip"',
        ("visits",),
        _visits,
        ("count",),
        ("count",),
    ),
    Kind(
        "grades",
        '[task]\nkind = "grades"\nblank = ["?"]\nclasses = [{ name = "0", values = [0] }, { name = "1", values = [1] }, '
        '{ name = "2", values = [2] }, { name = "3", values = [3] }]\nbetween = [{ values = ["1+"], least = "1", most = "3" }]',
        ("grade",),
        _severity,
        ("0", "1", "2", "3"),
        ("probability of 0", "probability of 1", "probability of 2", "probability of 3", "answer"),
    ),
    Kind(
        "number",
        '[task]\nkind = "number"\nblank = [-1]\nunit = "days"\nrange = [0, 30]\nscale = "log"',
        ("days",),
        _days,
        ("value", "low", "high"),
        ("value", "low", "high"),
    ),
    Kind(
        "classes",
        '[task]\nkind = "classes"\nblank = ["?"]\nclasses = [{ name = "none", values = ["none"] }, '
        '{ name = "mild", values = ["mild"] }, { name = "severe", values = ["severe"] }]',
        ("kind",),
        _classes,
        ("none", "mild", "severe"),
        ("probability of none", "probability of mild", "probability of severe", "answer"),
    ),
)


def study_of(
    kind: Kind,
    *,
    algorithm: str = "fedavg",
    rounds: int = 3,
    training: str = LOCAL,
    summation: str = "collusion = 1",
    more: str = "",
) -> Study:
    """A study that asks this. more: further lines of TOML."""
    places = {"task": kind.task, "column": kind.columns[0], "algorithm": algorithm, "rounds": rounds}
    return parse_study(STUDY.format(**places, training=training, summation=summation) + more)


def hospitals(kind: Kind, folder: Path) -> dict[str, Path]:
    """A table for each hospital."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _table(kind, folder / f"{name}.csv", rows, seed) for seed, (name, rows) in enumerate(SIZES.items())}


def _table(kind: Kind, path: Path, rows: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    age, emergency = rng.uniform(25, 95, rows).round(), rng.integers(0, 2, rows)
    columns = {
        "patient": [f"p-{seed}-{row}" for row in range(rows)],
        "age": [f"{one:.0f}" for one in age],
        "emergency": [str(one) for one in emergency],
        **kind.labels((age - 60) / 20 + emergency - 0.5, rng),
    }
    lines = [",".join(columns), *(",".join(cells) for cells in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
