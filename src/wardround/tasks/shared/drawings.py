"""Drawings that several kinds of question have: curves of one question among several, calibration by public bins."""

from collections.abc import Mapping

from wardround.tasks.binary.charts import roc_points
from wardround.tasks.binary.score_sums import ONE, ScoreSums
from wardround.tasks.intervals import wilson
from wardround.tasks.protocol import Chart, Dots
from wardround.tasks.sums import Counts

MOST_CURVES = 6
"""Questions whose curves are drawn, each in a chart of its own."""


def curve_of(key: str, name: str, models: Mapping[str, ScoreSums]) -> Chart | None:
    """ROC of the models for one question; None where no model has both sides."""
    lines = {model: points for model, sums in models.items() if (points := roc_points(sums)) is not None}
    if not lines:
        return None
    return Chart(
        key=f"roc_{key}",
        x="1 − specificity",
        y="sensitivity",
        label=f"ROC curves for {name}",
        caption=f"{name[0].upper()}{name[1:]}: ROC curves on all hospitals' held-out test patients.",
        lines=lines,
        diagonal=True,
    )


def confidence_chart(key: str, x: str, y: str, caption: str, tables: Mapping[str, Counts]) -> Chart | None:
    """Whether the first model's chances can be taken at their word; None where nobody was judged. tables: model -> see
    `_confidence_dots`."""
    model = next(iter(tables), None)
    dots = None if model is None else _confidence_dots(tables[model])
    if dots is None:
        return None
    return Chart(key=key, x=x, y=y, label=f"Calibration of the {model} model", caption=caption, dots=dots, diagonal=True)


def _confidence_dots(table: Counts) -> Dots | None:
    """Of (bins, 3) records, summed chances and hits: mean chance against the share of hits, with intervals."""
    rows = [row for row in table.tolist() if row[0]]
    if not rows:
        return None
    ends = [wilson(hits, count) for count, _, hits in rows]
    return Dots(
        x=tuple(total / ONE / count for count, total, _ in rows),
        y=tuple(hits / count for count, _, hits in rows),
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
    )
