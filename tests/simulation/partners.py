"""Partners that share a trunk and keep their tasks: tables whose answers hang on the same hidden features. Not a test."""

from pathlib import Path

import numpy as np

STUDY = """
[question]
title = "What molecules look like"
[data]
kind = "table"
[[data.columns]]
names = ["x0", "x1", "x2", "x3", "x4", "x5"]
range = [-3, 3]
[data.splits]
validation = 0.2
test = 0.2
[network]
name = "mlp"
hidden = [12]
private = "head"
[training]
optimizer = "sgd"
learning_rate = 0.1
momentum = 0.9
batch_size = 16
seed = 3
head_passes = 3
[algorithm]
name = "fedavg"
rounds = {rounds}
"""
ASSAYS = {"ash": ("zebra", "yak"), "birch": ("walrus", "vole", "unau"), "cedar": ("tapir",)}
"""Partner -> its assays: words that stand nowhere else."""


def write_study(folder: Path, *, rounds: int = 3, more: str = "", changes: tuple[tuple[str, str], ...] = ()) -> Path:
    text = STUDY.format(rounds=rounds) + more
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "study.toml"
    path.write_text(text, "utf-8")
    return path


def write_partner(
    folder: Path, name: str, *, rows: int = 90, assays: tuple[str, ...] | None = None, private: bool = False
) -> Path:
    """NAME.csv and NAME.task.toml; gives the table. private: with a loss that no count of patients weighs."""
    asked = ASSAYS[name] if assays is None else assays
    rng = np.random.default_rng(sum(map(ord, name)))
    inputs = rng.standard_normal((rows, 6)).clip(-3, 3)
    hidden = np.maximum(inputs @ np.random.default_rng(7).standard_normal((6, 4)), 0)
    answers = (hidden @ rng.standard_normal((4, len(asked))) + rng.logistic(size=(rows, len(asked))) > 0).astype(int)
    lines = [",".join(["patient", *(f"x{k}" for k in range(6)), *asked])]
    for row in range(rows):
        blank = len(asked) > 1 and row % 7 == 0
        said = ["" if blank and k == 0 else str(answer) for k, answer in enumerate(answers[row])]
        lines.append(",".join([f"{name}-{row}", *(f"{value:.4f}" for value in inputs[row]), *said]))
    table = folder / f"{name}.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    write_task(folder, name, asked, private=private)
    return table


def write_task(folder: Path, name: str, assays: tuple[str, ...], *, private: bool = False) -> Path:
    path = folder / f"{name}.task.toml"
    if len(assays) == 1:
        weighed = "[training]\nclass_balance = false\n" if private else ""
        path.write_text(f'[label]\nname = "{assays[0]}"\ncolumn = "{assays[0]}"\n{weighed}', "utf-8")
        return path
    each = ", ".join(f'{{ name = "{one}", column = "{one}" }}' for one in assays)
    path.write_text(f'[label]\nname = "quagga"\n[task]\nkind = "findings"\nfindings = [{each}]\n', "utf-8")
    return path


def write_partners(folder: Path, *, private: bool = False) -> tuple[dict[str, Path], dict[str, Path]]:
    """Tables and task files, by partner."""
    tables = {name: write_partner(folder, name, private=private) for name in ASSAYS}
    return tables, {name: folder / f"{name}.task.toml" for name in ASSAYS}
