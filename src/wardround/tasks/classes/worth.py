"""Class by class: how many are found, how often an answer is right, and how well the class is told from the rest."""

from collections.abc import Mapping

import numpy as np

from wardround.tasks.binary.figures import auc, auc_interval
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import FigureTable
from wardround.tasks.shared.score_stack import part
from wardround.tasks.sums import Sums


def worth_of(models: Mapping[str, Sums], names: tuple[str, ...]) -> tuple[FigureTable, ...]:
    """None without records. names: of the classes."""
    if not models or not all(sums["confusion"].sum() for sums in models.values()):
        return ()
    shares, areas = [], []
    for position, name in enumerate(names):
        cells = []
        for sums in models.values():
            matrix = sums["confusion"]
            right, there, said = int(matrix[position, position]), int(matrix[position].sum()), int(matrix[:, position].sum())
            cells += [
                (right / there if there else np.nan, wilson(right, there)),
                (right / said if said else np.nan, wilson(right, said)),
            ]
        shares.append((name, tuple(cells)))
        areas.append((name, tuple((auc(one), auc_interval(one)) for one in (part(sums, position) for sums in models.values()))))
    columns = tuple(f"{what}, {model}" for model in models for what in ("found", "right where it is said"))
    return (
        FigureTable(
            key="by_class",
            title="Class by class",
            form="percent",
            columns=columns,
            rows=tuple(shares),
            notes=("Found: of the records of the class. Right where it is said: of the records that get this answer.",),
        ),
        FigureTable(
            key="auc_by_class", title="Each class against the rest: AUC", form="number", columns=tuple(models), rows=tuple(areas)
        ),
    )
