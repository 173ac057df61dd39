"""What is said of each finding against the truth, at its own threshold: counts of one model, shares of several."""

from collections.abc import Mapping, Sequence

from wardround.tasks.binary.figures import auc, auc_interval, confusion_at
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import DecisionTable, Estimate, FigureTable

Models = Mapping[str, tuple[Sequence[ScoreSums], Sequence[float]]]
"""By the model's name: the sums and the threshold of each finding."""


def decision_table(names: Sequence[str], each: Sequence[ScoreSums], cuts: Sequence[float]) -> DecisionTable:
    """A row for each finding."""
    rows = []
    for name, one, cut in zip(names, each, cuts, strict=True):
        at = confusion_at(one, cut)
        present = (at.true_positive, "found"), (at.false_negative, "missed")
        absent = (at.false_positive, "false alarms"), (at.true_negative, "rightly cleared")
        rows.append((f"{name}, yes from {cut:.3f} on", (*present, *absent)))
    return DecisionTable(("with it, a yes", "with it, a no", "without, a yes", "without, a no"), tuple(rows))


def worth_of(names: Sequence[str], models: Models) -> tuple[FigureTable, FigureTable]:
    """Finding by finding: AUC; found and rightly cleared at the thresholds of each model."""
    areas, shares = [], []
    for position, name in enumerate(names):
        cells: list[Estimate] = []
        for each, cuts in models.values():
            one, at = each[position], confusion_at(each[position], cuts[position])
            cells += [_share(at.true_positive, one.positives), _share(at.true_negative, one.negatives)]
        areas.append((name, tuple((auc(each[position]), auc_interval(each[position])) for each, _ in models.values())))
        shares.append((name, tuple(cells)))
    columns = tuple(f"{what}, {model}" for model in models for what in ("found", "rightly cleared"))
    return (
        FigureTable(
            key="auc_by_finding", title="Finding by finding: AUC", form="number", columns=tuple(models), rows=tuple(areas)
        ),
        FigureTable(
            key="by_finding",
            title="Finding by finding, at its own threshold",
            form="percent",
            columns=columns,
            rows=tuple(shares),
            notes=(
                "Each model's thresholds were chosen before, on other patients; where none could be, one half and more is a yes.",
            ),
        ),
    )


def _share(hits: int, trials: int) -> Estimate:
    return (hits / trials if trials else float("nan")), wilson(hits, trials)
