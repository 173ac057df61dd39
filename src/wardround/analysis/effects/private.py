"""Average effects with noise, where the treatment was drawn by lot: two sums, each noised and charged.

    moments   sum of v^2 x x', v^2 x t                                 x: covariates, t: outcome, both scaled; v = min(1, C / |x|)
    scores    for each arm: patients, sum of r, sum of r^2             r = t - m(x), cut at -R and R; m: a line from the moments

The doubly robust score of a patient for arm a is m(x) + 1{A = a} (t - m(x)) / e_a. With one m for all arms the difference of
two arms' means is that of the mean r of those who had them (the probabilities e are taken as the shares that came out, which
needs less noise: J. Hájek's ratio). It is right whatever m is, since arms differ by lot alone; a good m makes r short, and the
interval with it. So m may be a line through noised moments, without folds: what noise hides of a patient, m has not learned.

R is privacy.clip_norm times the contract's scale of the outcome (1 for a yes or no): a patient further from what is predicted
counts as R away. Of a patient beyond C = sqrt(columns) in covariates the moments take less, which changes m alone.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from wardround.analysis.bounded_columns import linear, matrix_of, products, shortening
from wardround.analysis.design import Design
from wardround.analysis.effects.averages import Averages
from wardround.analysis.effects.rows import Floats, Integers
from wardround.analysis.effects.wording import Z
from wardround.analysis.noise import privacy_note
from wardround.analysis.protocol import Ask, Exchange, Noised, Total
from wardround.analysis.result import Cell, Column, Forest, Interval, Result, Table
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.privacy.disclosure import shown_count
from wardround.study.contract import ColumnContract
from wardround.study.declaration import Study
from wardround.study.sections.analysis.effect import EffectSection
from wardround.values.errors import DataError
from wardround.values.rows import Rows

MOMENTS, SCORES, LINE = "moments", "scores", "line"
_EVENTS = {MOMENTS: 1, SCORES: 2}
_FARTHEST = 4.0
"""A number's outcome counts in the moments as no further from its center, in scales."""
_OF_PATIENTS, _OF_SUMS, _OF_SQUARES = 0.2, 0.6, 0.2
"""Shares of the noise's budget in the scores."""
_FEWEST = 2.0
"""An arm needs more patients than so many deviations of the noise in their number."""


def build(study: Study) -> "PrivateEffect":
    """The effects that a checked study with [privacy] asks for."""
    assert study.analysis is not None and study.analysis.effect is not None
    return PrivateEffect(study, study.analysis.effect)


@dataclass(frozen=True)
class PrivateEffect:
    """The effects of a study with [analysis.effect], [privacy] and known probabilities."""

    study: Study
    section: EffectSection

    @property
    def columns(self) -> tuple[str, ...]:
        return self.section.columns

    @cached_property
    def design(self) -> Design:
        return Design(self.section.covariates, self.study.data)

    @cached_property
    def _treatment(self) -> ColumnContract:
        return next(column for column in self.study.data.columns if column.name == self.section.treatment)

    @cached_property
    def _outcome(self) -> ColumnContract | None:
        return next((column for column in self.study.data.columns if column.name == self.section.outcome), None)

    @property
    def arms(self) -> tuple[str, ...]:
        """The control first."""
        return tuple(map(str, self.section.arms)) or self._treatment.codes

    @property
    def binary(self) -> bool:
        """Whether the outcome is a yes or no."""
        return self._outcome is None or self._outcome.kind == "binary"

    @property
    def _constants(self) -> tuple[float, float]:
        """The outcome's center and scale."""
        return (0.5, 1.0) if self._outcome is None or self.binary else self._outcome.constants

    @property
    def _largest(self) -> float:
        return 0.5 if self.binary else _FARTHEST

    @property
    def cut(self) -> float:
        """R, in scales."""
        return min(1.0, self.study.privacy.clip_norm) if self.binary else self.study.privacy.clip_norm

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        size, arms, longest = len(self.design), len(self.arms), math.sqrt(len(self.design))
        half = math.sqrt(0.5)
        moments = {"products": Quantity((size * (size + 1) // 2,)), "cross": Quantity((size,))}
        of_moments = {"products": half / longest**2, "cross": half / (longest * self._largest)}
        scores = {name: Quantity((arms,)) for name in ("patients", "sums", "squares")}
        of_scores = {
            "patients": math.sqrt(_OF_PATIENTS),
            "sums": math.sqrt(_OF_SUMS) / self.cut,
            "squares": math.sqrt(_OF_SQUARES) / self.cut**2,
        }
        return (
            Exchange(MOMENTS, moments, noised=Noised(of_moments, _EVENTS[MOMENTS])),
            Exchange(SCORES, scores, {LINE: (size,)}, noised=Noised(of_scores, _EVENTS[SCORES])),
        )

    def of_each(self, rows: Rows, ask: Ask) -> Arrays:
        codes = [float(self._treatment.codes.index(arm)) for arm in self.arms]
        had = rows[self.section.treatment][:, None] == np.array(codes)
        complete = self.design.complete(rows) & rows.complete(self.section.treatment, self.section.outcome)
        there = np.flatnonzero(complete & had.any(axis=1))
        chosen, (center, scale) = rows.select(there), self._constants
        outcome = np.clip((chosen[self.section.outcome] - center) / scale, -self._largest, self._largest)
        matrix = self.design.matrix(chosen)
        if ask.label == MOMENTS:
            return self._moments_of_each(len(rows), there, matrix, outcome)
        predicted = np.clip(linear(matrix, ask.order[LINE]), -self._largest, self._largest)
        apart = np.clip(outcome - predicted, -self.cut, self.cut)
        arm = had[there].argmax(axis=1)
        arrays = {name: np.zeros((len(rows), len(self.arms))) for name in ("patients", "sums", "squares")}
        arrays["patients"][there, arm], arrays["sums"][there, arm], arrays["squares"][there, arm] = 1.0, apart, apart**2
        return arrays

    def _moments_of_each(self, count: int, there: Integers, matrix: Floats, outcome: Floats) -> Arrays:
        size = len(self.design)
        weight = shortening(matrix, size)
        of_pairs, cross = np.zeros((count, size * (size + 1) // 2)), np.zeros((count, size))
        of_pairs[there] = products(matrix) * weight[:, None]
        cross[there] = matrix * (weight * outcome)[:, None]
        return {"products": of_pairs, "cross": cross}

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        return {name: array.sum(axis=0) for name, array in self.of_each(rows, ask).items()}

    def coordinate(self) -> Generator[Ask, Total, Result]:
        moments = yield Ask(MOMENTS)
        line = self._line(moments)
        scores = yield Ask(SCORES, {LINE: line})
        return self._result(self._averages(scores), scores)

    def _line(self, moments: Total) -> Floats:
        """Least squares from moments with noise, with a penalty as large as the noise can make a direction look."""
        size = len(self.design)
        values, directions = np.linalg.eigh(matrix_of(moments["products"], size))
        penalty = moments.noise["products"] * math.sqrt(2.0 * size) + 1e-6
        line = directions @ ((directions.T @ moments["cross"]) / (np.maximum(values, 0.0) + penalty))
        return np.asarray(np.clip(line, -(2.0**20), 2.0**20))

    def _averages(self, scores: Total) -> Averages:
        """Mean residuals of the arms in scales, from what all arms have in common. The variance is that of the patients and of
        the noise, of a ratio of two sums."""
        patients, noise = scores["patients"], scores.noise
        if (patients <= _FEWEST * noise["patients"]).any() or (patients < 2).any():
            raise DataError(
                "An arm has no more patients than the noise makes of none",
                expected="more patients in each arm",
                hint="ask for a larger privacy.epsilon, or leave arms out of analysis.effect.arms",
            )
        means = np.clip(scores["sums"] / patients, -self.cut, self.cut)
        spread = np.clip(scores["squares"] / patients - means**2, 0.0, self.cut**2)
        spread = spread + noise["squares"] / patients  # one deviation: a spread that noise made small would narrow the interval
        variances = spread / patients + (noise["sums"] ** 2 + means**2 * noise["patients"] ** 2) / patients**2
        return Averages(means, np.diag(variances), max(0, round(float(patients.sum()))))

    def _result(self, averages: Averages, scores: Total) -> Result:
        _, scale = self._constants
        assert self.study.analysis is not None
        smallest = self.study.analysis.smallest_cell
        unit = "" if self._outcome is None or self.binary else self._outcome.unit
        name = self.section.outcome if self._outcome is not None else self.study.data.label.name
        measured = f"risk of {name}" if self.binary else f"{name} ({unit})" if unit else name
        rows: list[tuple[Cell, ...]] = []
        intervals, effects, errors = [], [], []
        for arm in range(1, len(self.arms)):
            effect, error = (part * scale for part in averages.difference(arm))
            low, high = effect - Z * error, effect + Z * error
            rows.append((self.arms[arm], effect, error, low, high, float(2 * ndtr(-abs(effect / error)))))
            intervals.append(Interval(self.arms[arm], effect, low, high))
            effects.append(effect)
            errors.append(error)
        columns = (
            Column("treatment", "text"),
            Column("effect"),
            Column("standard error"),
            Column("low"),
            Column("high"),
            Column("p", "p"),
        )
        notes = (f"Differences of the {measured} against {self.arms[0]}, with 95 % intervals that hold the noise (AIPW).",)
        table = Table("averages", "Average effects", columns, tuple(rows), notes)
        patients = [max(0, round(float(one))) for one in scores["patients"]]
        counts = tuple((arm, shown_count(one, smallest)) for arm, one in zip(self.arms, patients, strict=True))
        arms = Table("arms", "Patients", (Column("treatment", "text"), Column("patients", "text")), counts)
        axis = f"difference of the {measured} against {self.arms[0]}"
        figures = {
            "averages": {"AIPW": {"arms": list(self.arms[1:]), "effects": effects, "errors": errors}},
            "patients": [shown for _, shown in counts],
            "noise": {key: float(value) for key, value in scores.noise.items()},
        }
        forest = Forest("averages", "Average effects", axis, tuple(intervals))
        said = (privacy_note(self.study), *self._notes(scores, scale))
        return Result("effect", self.study.question.title, (table, arms), (forest,), figures, said)

    def _notes(self, scores: Total, scale: float) -> tuple[str, ...]:
        shares = ", ".join(f"{arm} {share:g}" for arm, share in zip(self.arms, self.section.probabilities, strict=True))
        return (
            f"The study says that the treatment was drawn by lot ({shares}). If it was not, the averages are not effects.",
            f"Patients whose outcome is further than {self.cut * scale:g} from what their covariates say count as so far away. "
            f"Numbers of patients have noise of standard deviation {scores.noise['patients']:.3g}.",
            "The effects are of patients like those of the study. Another population may have others.",
        )
