"""The analysis of a study's [analysis.effect] section: its rows as the estimators read them, its sums, and its result."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.carrying import require_unclipped
from wardround.analysis.design import Design
from wardround.analysis.effects.averages import require_events
from wardround.analysis.effects.columns import Feature, features_of
from wardround.analysis.effects.curves import KNOTS, Curve, with_curves
from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.reach import beyond_reach
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, folds_of
from wardround.analysis.effects.steps import FEWEST, Findings, Steps, coordinated, exchanges, share
from wardround.analysis.effects.telling import told
from wardround.analysis.effects.wording import Wording
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.declaration import Study
from wardround.study.sections.analysis.analysis import AnalysisSection
from wardround.study.sections.analysis.effect import EffectSection
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import DataError
from wardround.values.rows import Rows

LEFT_OUT = ("a value is missing", "another treatment", "a second row of a patient")
"""Why a row does not count."""


def build(study: Study) -> "EffectAnalysis":
    """The analysis of a study with [analysis.effect]."""
    assert study.analysis is not None
    return EffectAnalysis(study.data, study.analysis, study.question.title)


@dataclass(frozen=True)
class EffectAnalysis:
    """What treatments do. It holds public things only."""

    data: DataContract
    common: AnalysisSection
    title: str

    @property
    def section(self) -> EffectSection:
        assert self.common.effect is not None
        return self.common.effect

    @property
    def columns(self) -> tuple[str, ...]:
        return self.section.columns

    @cached_property
    def design(self) -> Design:
        return Design(self.section.covariates, self.data)

    @cached_property
    def _curves(self) -> tuple[Curve, ...]:
        """The columns that bend numbers, in the order of `curves`."""
        curves = []
        for name in self.section.curves:
            at = next(at for at, column in enumerate(self.design.columns) if column.factors[0].column == name)
            column = self.design.columns[at]
            (factor,) = column.factors
            ends = ((factor.low - column.center) / column.scale, (factor.high - column.center) / column.scale)
            curves += [Curve(at + 1, f"{name}, curve {number + 1}", number, ends) for number in range(len(KNOTS) - 2)]
        return tuple(curves)

    @cached_property
    def _features(self) -> tuple[Feature, ...]:
        bends = (Feature(curve.name, 1.0, math.inf, curve.name, curve.name) for curve in self._curves)
        return (*features_of(self.design), *bends)

    @cached_property
    def _treatment(self) -> ColumnContract:
        return next(column for column in self.data.columns if column.name == self.section.treatment)

    @cached_property
    def _outcome(self) -> ColumnContract | None:
        """None for the label, which is a yes or no."""
        return next((column for column in self.data.columns if column.name == self.section.outcome), None)

    @property
    def _arms(self) -> tuple[str, ...]:
        return tuple(map(str, self.section.arms)) or self._treatment.codes

    @property
    def scale(self) -> float:
        """One unit of the scaled outcome."""
        return self._outcome.constants[1] if self._outcome is not None and self._outcome.kind == "number" else 1.0

    @cached_property
    def frame(self) -> EffectFrame:
        """What follows from the study alone."""
        section, features = self.section, self._features
        low, high = (0.0, 1.0)
        if self._outcome is not None and self._outcome.range is not None:
            low, high = self._outcome.range
        return EffectFrame(
            self._arms,
            tuple(feature.name for feature in features),
            tuple(feature.cut for feature in features),
            max(float(self.design.bounds.max()), *(curve.bound for curve in self._curves), 1.0),
            (low / self.scale, high / self.scale),
            self.common.largest_hospital,
            section.probabilities or None,
            section.smallest_probability,
            section.folds,
            section.penalties,
            section.links,
            section.better,
            section.individual,
            (*map(float, self.design.bounds), *(curve.bound for curve in self._curves)),
            section.reach,
        )

    @cached_property
    def fold_key(self) -> str:
        """What patients are hashed with into folds: the question, and not who takes part or how it is answered, so that neither
        another division nor another setting changes a fold. Another `data.splits.salt` does."""
        asked = {"outcome": self.section.outcome, "treatment": self.section.treatment, "salt": self.data.splits.salt}
        return sha256_hex(canonical_json(asked))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        first, *others = exchanges(self.frame, self.common.exchanges)
        with_rows = {**first.quantities, "left_out": Quantity((len(LEFT_OUT),)), "hospitals": Quantity(())}
        return Exchange(first.label, with_rows, first.order, first.times), *others

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        if beyond_reach(ask.order, self.frame):
            stated = next(exchange for exchange in self.exchanges if exchange.label == ask.label)
            return {name: np.full(quantity.shape, np.nan) for name, quantity in stated.quantities.items()}
        read, left_out = self.read(rows)
        sums = share(read, ask, self.frame)
        if ask.label == "moments":
            sums |= {"left_out": left_out, "hospitals": np.array(int(len(read) > 0), np.int64)}
            # A hospital without patients lacks no arm: it is in no comparison.
            sums["hospitals_without"] *= int(len(read) > 0)
        return sums

    def own_counts(self, rows: Rows) -> dict[str, int]:
        """This hospital's patients by arm. Where one is 0, its effect here would be taken from other hospitals."""
        arms = self.read(rows)[0].arms
        return {f"{self.section.treatment} = {arm}": int(np.sum(arms == at)) for at, arm in enumerate(self._arms)}

    def matrix(self, rows: Rows) -> Floats:
        """The design (n, p) of complete rows."""
        return with_curves(self.design.matrix(rows), self._curves)

    def read(self, rows: Rows) -> tuple[EffectRows, NDArray[np.int64]]:
        """The rows that count, and how many do not, by LEFT_OUT."""
        treatment, outcome = rows[self.section.treatment], rows[self.section.outcome] / self.scale
        codes = [float(self._treatment.codes.index(arm)) for arm in self._arms]
        had = treatment[:, None] == np.array(codes)
        complete = self.design.complete(rows) & rows.complete(self.section.treatment, self.section.outcome)
        usable = complete & had.any(axis=1)
        first = np.zeros(len(rows), bool)
        positions = np.flatnonzero(usable)
        first[positions[np.unique(rows.patients[usable], return_index=True)[1]]] = True
        counts = np.array([np.sum(~complete), np.sum(complete & ~usable), np.sum(usable & ~first)], np.int64)
        kept = rows.select(first)
        folds = folds_of(kept.patients.tolist(), self.fold_key, self.section.folds)
        return EffectRows(self.matrix(kept), had[first].argmax(axis=1), outcome[first], folds), counts

    def coordinate(self) -> Generator[Ask, Total, Result]:
        fewest = max(FEWEST, self.common.smallest_cell)
        steps = coordinated(self.frame, self.common.exchanges, fewest)
        first = yield next(steps)
        require_unclipped(first)
        if first["left_out"][2] > 0:
            raise DataError(
                "The table of some hospital holds several rows of a patient, and an effect counts each patient once",
                expected="one row for each patient",
                hint="keep the row of the first treatment in the files, and leave the others out",
            )
        if self.wording.binary:
            require_events(Moments.of(first.sums, self.frame), self.frame, self.common.smallest_cell)
        findings = yield from _continued(steps, first, self.frame)
        return told(findings, first, self.frame, self.wording)

    @property
    def wording(self) -> Wording:
        """Names and units for the result."""
        unit = self._outcome.unit if self._outcome is not None else ""
        return Wording(
            self.title,
            self.section.outcome if self._outcome is not None else self.data.label.name,
            unit,
            self.scale,
            self._features,
            self._outcome is None or self._outcome.kind == "binary",
            self.common.smallest_cell,
        )


def _continued(steps: Steps, total: Total, frame: EffectFrame) -> Generator[Ask, Total, Findings]:
    """Steps that have asked, from the total of their ask on. DataError where one leads where hospitals answer nothing."""
    while True:
        try:
            ask = steps.send(total)
        except StopIteration as ended:
            findings: Findings = ended.value
            return findings
        if name := beyond_reach(ask.order, frame):
            raise DataError(
                "A model's coefficients lie farther than hospitals answer about",
                expected=f"within analysis.effect.reach = {frame.reach:g}",
                found=f"{name} of the sum {ask.label}",
                hint="leave out a column that others nearly make up, take ranges as wide as values are, or raise the reach",
            )
        total = yield ask
