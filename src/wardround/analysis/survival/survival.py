"""Survival as an analysis: curves, tests between groups, and a Cox regression, by the exchanges of `exchanges.py`."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wardround.analysis.carrying import require_unclipped
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.result import Result
from wardround.analysis.survival.curve_tables import curve_parts
from wardround.analysis.survival.curves import curves_of
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.event_counts import EventCounts
from wardround.analysis.survival.exchanges import LARGEST_CASE, Exchanges
from wardround.analysis.survival.fitting import FittedModel, fitted
from wardround.analysis.survival.horizons import censoring
from wardround.analysis.survival.model_tables import model_parts
from wardround.analysis.survival.own_baseline import own_baseline
from wardround.analysis.survival.parts import ResultParts
from wardround.privacy.bounded_arrays import Arrays
from wardround.study.declaration import Study
from wardround.values.errors import DataError
from wardround.values.rows import Rows
from wardround.values.tree import Tree


@dataclass(frozen=True)
class Survival:
    """The analysis of a study with [analysis.survival]."""

    parts: Exchanges

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return self.parts.stated

    @property
    def columns(self) -> tuple[str, ...]:
        return self.parts.declared.columns

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        return self.parts.contribution(rows, ask)

    def own_tables_of(self, rows: Rows, ask: Ask) -> Mapping[str, Any]:
        """This hospital's own baseline hazard, once the coefficients are known."""
        return own_baseline(self.parts.declared, rows, ask.order) if ask.label == "checks" else {}

    def coordinate(self) -> Generator[Ask, Total, Result]:
        """Counts first; then, where terms are named, the regression, its checks and what it is worth."""
        declared = self.parts.declared
        counts = yield Ask("counts")
        require_unclipped(counts)
        whole = EventCounts(declared.grid, counts["table"])
        if not whole.table.sum():
            raise DataError(
                "No row has a time, an event and the groups that the study asks for",
                expected=f"values in {', '.join(declared.columns)}",
                hint="look at the columns with `wardround data check`",
            )
        smallest = self.parts.smallest
        shown = curve_parts(declared, curves_of(declared, whole, counts, smallest), smallest)
        if not self.parts.size:
            return self._result(shown)
        model = yield from fitted(self.parts, counts)
        accuracy = yield Ask("accuracy", self._judged_by(model))
        require_unclipped(accuracy)
        return self._result(shown + model_parts(declared, model, accuracy, smallest))

    def _judged_by(self, model: FittedModel) -> Tree:
        """The order for what predictions are worth. The weight of an event is that of its cell, as in the table."""
        if not self.parts.fine_horizons:
            return model.order
        weights = np.minimum(1.0 / np.maximum(censoring(model.counts).at_events(), 1.0 / LARGEST_CASE), LARGEST_CASE)
        beyond = np.zeros(self.parts.declared.grid.cells - len(weights))
        return {**model.order, "case_weights": np.append(weights, beyond)}

    def _result(self, parts: ResultParts) -> Result:
        title = self.parts.declared.study.question.title
        return Result("survival", title, parts.tables, parts.charts, parts.figures, parts.notes, parts.error)


def build(study: Study) -> Survival:
    """The analysis of a study with [analysis.survival]."""
    return Survival(Exchanges(DeclaredSurvival(study)))
