"""Average effects against the control: unadjusted, Lin's regression, and the mean of doubly robust scores.

Each has a standard error that holds whatever the distribution of outcomes; intervals and p-values are normal.
"""

import math
from dataclasses import dataclass

import numpy as np

from wardround.analysis.effects.moments import ArmMoments, Moments
from wardround.analysis.effects.rows import EffectFrame, Floats, Order, unpack
from wardround.values.errors import DataError

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Averages:
    """Mean outcomes had everybody had an arm, and their covariance. means (a,), covariance (a, a). n: patients they are of."""

    means: Floats
    covariance: Floats
    n: int

    def difference(self, arm: int, control: int = 0) -> tuple[float, float]:
        """The effect of an arm against another, and its standard error."""
        variance = self.covariance[arm, arm] + self.covariance[control, control] - 2 * self.covariance[arm, control]
        return float(self.means[arm] - self.means[control]), math.sqrt(max(float(variance), 0.0))


def unadjusted(moments: Moments) -> Averages:
    """Mean outcomes as they are; variances of Welch."""
    whole = moments.everybody
    return Averages(whole.outcome_means, np.diag(whole.outcome_variances / whole.counts), int(whole.counts.sum()))


@dataclass(frozen=True)
class ArmLines:
    """A regression of each arm without a penalty. lines (a, p); roots (a, p, p): R with R R' the inverse of
    z'z; used (p,): columns that are in it.

    One regression with treatment, centred columns and their products has the same fit (W. Lin, Ann. Appl. Stat. 7 (2013) 295)."""

    lines: Floats
    roots: Floats
    used: np.ndarray[tuple[int], np.dtype[np.bool_]]


def arm_lines(moments: Moments, frame: EffectFrame) -> ArmLines:
    """Least squares of each arm. A column that others determine in some arm is in no arm's regression."""
    whole = moments.everybody
    used = np.ones(frame.size, bool)
    for arm in range(len(frame.arms)):
        used &= independent(whole.products[arm])
    lines, roots = np.zeros((len(frame.arms), frame.size)), np.zeros((len(frame.arms), frame.size, frame.size))
    within = np.ix_(used, used)
    for arm in range(len(frame.arms)):
        roots[arm][within] = np.linalg.inv(np.linalg.cholesky(whole.products[arm][within])).T
        lines[arm, used] = np.linalg.solve(whole.products[arm][within], whole.cross[arm][used])
    return ArmLines(lines, roots, used)


def independent(products: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which columns are no combination of those before them, from their products (p, p)."""
    scale = np.sqrt(np.maximum(np.diag(products), 1e-300))
    left, kept = products / np.outer(scale, scale), np.zeros(len(products), bool)
    for at in range(len(products)):
        if left[at, at] <= _TOLERANCE:
            continue
        kept[at] = True
        left = left - np.outer(left[:, at], left[at]) / left[at, at]
    return kept


def lin_averages(moments: Moments, lines: ArmLines, meat: Floats) -> Averages:
    """Lin's estimates at the mean of the columns, with the HC2 sandwich. meat (a, packed)."""
    variances = sandwiches(lines, meat)
    means = lines.lines @ moments.means
    spread = np.einsum("p,apq,q->a", moments.means, variances, moments.means)
    return Averages(means, np.diag(spread), int(moments.everybody.counts.sum()))


def sandwiches(lines: ArmLines, meat: Floats) -> Floats:
    """The robust covariance of each arm's coefficients (a, p, p)."""
    inverses = lines.roots @ lines.roots.transpose(0, 2, 1)
    return np.asarray(inverses @ unpack(meat, lines.lines.shape[1]) @ inverses)


def score_averages(total: Order, frame: EffectFrame) -> Averages:
    """The means of the scores and their covariance: AIPW."""
    n = int(total["kept"].sum())
    means = total["scores"] / n
    covariance = (unpack(total["products"], len(frame.arms)) / n - np.outer(means, means)) / n
    return Averages(means, covariance, n)


def require_arms(moments: Moments, frame: EffectFrame, fewest: int) -> None:
    """DataError where an arm has too few patients, or none in some training set."""
    sets: list[ArmMoments] = [moments.training(number) for number in range(len(moments.left_out))]
    counts = moments.everybody.counts
    rare = [
        name for arm, name in enumerate(frame.arms) if counts[arm] < fewest or min(int(part.counts[arm]) for part in sets) == 0
    ]
    if rare:
        raise DataError(
            f"Too few patients of all hospitals together had {' and '.join(rare)}, so that its effect cannot be told",
            expected=f"at least {fewest} in each arm, and some whichever folds are left out",
            hint=f"leave {' and '.join(rare)} out of analysis.effect.arms, or wait for more patients",
        )


def require_events(moments: Moments, frame: EffectFrame, smallest: int) -> None:
    """DataError where an arm has too few patients with the outcome, or without: a risk times its patients is a count."""
    whole = moments.everybody
    having = np.rint(whole.cross[:, 0]).astype(np.int64)
    rare = [arm for arm, ones, n in zip(frame.arms, having, whole.counts, strict=True) if min(ones, n - ones) < smallest]
    if rare:
        raise DataError(
            f"Too few patients of all hospitals together who had {' and '.join(rare)} have the outcome, or are without it",
            expected=f"at least {smallest} of either in each arm (analysis.smallest_cell)",
            hint=f"leave {' and '.join(rare)} out of analysis.effect.arms, or wait for more patients",
        )


def require_overlap(total: Order, frame: EffectFrame, fewest: int) -> None:
    """DataError where patients of the arms are so different that most have no counterpart: their comparison would be a guess."""
    kept, left_out = total["kept"], total["left_out"]
    bare = [name for arm, name in enumerate(frame.arms) if kept[arm] < fewest]
    if bare or left_out.sum() > kept.sum():
        lost = f"in {' and '.join(bare)} nearly nobody is left" if bare else "more than half of all patients are left out"
        raise DataError(
            "The arms have no overlap: for most patients some arm was next to impossible, so that no comparison is fair",
            expected=f"patients for whom every arm had a probability of at least {frame.smallest_probability:g}",
            found=lost,
            hint="compare arms that the same kind of patients had, by analysis.effect.arms, or leave out columns that decide the "
            "treatment alone",
        )
