"""The doubly robust score of each patient for each arm, and what a hospital adds of them.

    psi_a = m_a(x) + 1{A = a} (y - m_a(x)) / e_a(x)

m_a and e_a come from training sets without the patient's fold (V. Chernozhukov et al., Econometrics J. 21 (2018) C1, eq. 5.3;
J. M. Robins, A. Rotnitzky, L. P. Zhao, JASA 89 (1994) 846). The mean of psi_a is the mean outcome, had everybody had arm a: right
where either the m or the e is right.
"""

from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.outcome_models import OutcomeModels, predicted
from wardround.analysis.effects.propensity import arm_probabilities
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums, pack
from wardround.privacy.bounded_arrays import Quantity

Chosen = np.ndarray[tuple[int], np.dtype[np.bool_]]
OVERLAP_CELLS = 20
"""Cells of the probability of an arm, from 0 to 1."""


@dataclass(frozen=True)
class Nuisance:
    """What scores need besides the rows: the models of the outcome, and those of the probabilities unless these are known.

    coefficients (a, s, p), log_links (a,): of the outcome. propensity (s, a - 1, p)."""

    outcome: OutcomeModels
    propensity: Floats

    def order(self) -> dict[str, Floats]:
        return {
            "outcome": self.outcome.coefficients,
            "log_links": self.outcome.links.astype(np.float64),
            "propensity": self.propensity,
        }

    @classmethod
    def of(cls, order: Order) -> "Nuisance":
        links = (order["log_links"] > 0.5).astype(np.int64)
        nothing = np.zeros(len(links))
        return cls(OutcomeModels(order["outcome"], links, nothing, nothing), order["propensity"])


def nuisance_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    arms, sets = len(frame.arms), frame.sets
    return {
        "outcome": (arms, sets, frame.size),
        "log_links": (arms,),
        "propensity": (sets, arms - 1, frame.size) if frame.probabilities is None else (0, 0, 0),
    }


@dataclass(frozen=True)
class Scored:
    """Rows with what is known of them. predictions, probabilities, scores (n, a); kept (n,): all arms are probable enough."""

    rows: EffectRows
    predictions: Floats
    probabilities: Floats
    scores: Floats
    kept: Chosen

    @property
    def contrasts(self) -> Floats:
        """psi_a - psi_0 (n, a - 1); 0 for rows that are not kept."""
        return np.where(self.kept[:, None], self.scores[:, 1:] - self.scores[:, :1], 0.0)


def scored(rows: EffectRows, nuisance: Nuisance, frame: EffectFrame, sets: Integers | None = None) -> Scored:
    """The scores of each row, by the models of these training sets (n,). Left out: the sets without its fold."""
    sets = rows.folds if sets is None else sets
    predictions = predicted(nuisance.outcome, rows.design, sets, frame)
    if frame.probabilities is None:
        probabilities = arm_probabilities(nuisance.propensity, rows.design, sets)
        kept = probabilities.min(axis=1) >= frame.smallest_probability
    else:
        probabilities, kept = np.tile(frame.probabilities, (len(rows), 1)), np.ones(len(rows), bool)
    chosen = rows.arms[:, None] == np.arange(len(frame.arms))
    least = frame.smallest_probability if frame.probabilities is None else 0.0
    errors = np.where(chosen, rows.outcome[:, None] - predictions, 0.0)
    scores = np.where(kept[:, None], predictions + errors / np.maximum(probabilities, least), 0.0)
    return Scored(rows, predictions, probabilities, scores, kept)


def score_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    n, arms, score = frame.largest_site, len(frame.arms), frame.score_limit
    return {
        "kept": Quantity((arms,)),
        "left_out": Quantity((arms,)),
        "overlap": Quantity((arms, OVERLAP_CELLS, arms)),
        "scores": Quantity((arms,), n * score),
        "products": Quantity((arms * (arms + 1) // 2,), n * score**2),
        "above": Quantity((frame.size,)),
        "above_contrasts": Quantity((arms - 1, frame.size), n * 2 * score),
        "above_squares": Quantity((arms - 1, frame.size), n * 4 * score**2),
        "meat": Quantity((arms, frame.packed), n * frame.design_limit**2 * _residual_limit(frame) ** 2),
    }


def _residual_limit(frame: EffectFrame) -> float:
    """Of Lin's residuals, which are divided by the root of 1 less the leverage."""
    return 4.0 * frame.outcome_width


def score_order(frame: EffectFrame) -> dict[str, tuple[int, ...]]:
    """Besides the nuisance: the regressions of each arm without a penalty, and roots of the inverses of their products."""
    arms = len(frame.arms)
    return {**nuisance_order(frame), "lines": (arms, frame.size), "roots": (arms, frame.size, frame.size)}


def score_sums(every: Scored, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share: scores and their products, who is kept, the overlap, and the squared errors of the lines."""
    rows, arms = every.rows, len(frame.arms)
    above = (rows.design > np.array(frame.cuts)) & every.kept[:, None]
    counted = rows.arms[:, None] == np.arange(arms)
    return {
        "kept": counted[every.kept].sum(axis=0, dtype=np.int64),
        "left_out": counted[~every.kept].sum(axis=0, dtype=np.int64),
        "overlap": _overlap(every, frame),
        "scores": every.scores.sum(axis=0),
        "products": pack(every.scores.T @ every.scores),
        "above": above.sum(axis=0, dtype=np.int64),
        "above_contrasts": every.contrasts.T @ above,
        "above_squares": (every.contrasts**2).T @ above,
        "meat": _meat(rows, order, frame),
    }


def _overlap(every: Scored, frame: EffectFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """counts (a, c, b): patients who had arm b, and for whom arm a had a probability in cell c."""
    arms = len(frame.arms)
    counts = np.zeros((arms, OVERLAP_CELLS, arms), np.int64)
    cells = np.minimum((np.nan_to_num(every.probabilities) * OVERLAP_CELLS).astype(np.int64), OVERLAP_CELLS - 1)
    for arm in range(arms):
        np.add.at(counts[arm], (cells[:, arm], every.rows.arms), 1)
    return counts


def _meat(rows: EffectRows, order: Order, frame: EffectFrame) -> Floats:
    """Sum of e^2 / (1 - h) z z' of each arm's regression (a, packed): HC2 of J. G. MacKinnon, H. White, J. Econometrics 29 (1985)
    305."""
    meat = np.zeros((len(frame.arms), frame.packed))
    limit = _residual_limit(frame)
    for arm in range(len(frame.arms)):
        design, outcome = rows.design[rows.arms == arm], rows.outcome[rows.arms == arm]
        errors = outcome - design @ order["lines"][arm]
        leverage = np.sum((design @ order["roots"][arm]) ** 2, axis=1)
        weights = np.minimum(errors**2 / np.maximum(1 - leverage, 1e-6), limit**2)
        meat[arm] = pack(design.T @ (design * weights[:, None]))
    return meat
