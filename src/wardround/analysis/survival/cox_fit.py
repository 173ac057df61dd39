"""The largest partial likelihood, by Newton's method over sums: what the coordinator does between two exchanges.

    coefficients --> every hospital's LikelihoodSums --> total --> next coefficients ... --> CoxFit

A step that lowers the (penalised) likelihood is halved. The last step needs no further exchange: once a step is shorter than
1e-8 its end is the maximum to the last digits.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from wardround.analysis.reach import Reach
from wardround.analysis.survival.partial_likelihood import Floats, LikelihoodSums
from wardround.values.errors import DataError

CLOSE = 1e-8
"""A step this short, in the public unit of its column, is the last one; so is one that rounding of the sums could have made."""
_ALIASED = 1e-8
"""A column of whose information the columns before it leave this share is a combination of them."""
_FLAT_GAIN, _LONG_STEP = 1e-6, 0.1
"""A likelihood that hardly rises where the step is still long has no maximum: the interval would be a hundred steps wide."""


@dataclass(frozen=True)
class CoxFit:
    """coefficients, covariance: in the unit of the columns summed. log_likelihood, null_log_likelihood: without the penalty.

    score_statistic: the score test of all coefficients 0; None with a penalty. exchanges: how many sums it took. error: the
    largest that rounding of the sums can have brought into a coefficient.
    """

    coefficients: Floats
    covariance: Floats
    information: Floats
    log_likelihood: float
    null_log_likelihood: float
    score_statistic: float | None
    exchanges: int
    error: float

    @property
    def standard_errors(self) -> Floats:
        return np.sqrt(np.diag(self.covariance))


def ascent(
    names: Sequence[str], penalty: Floats, limit: int, reach: Reach | None = None
) -> Generator[Floats, LikelihoodSums, CoxFit]:
    """Yields coefficients, is sent the total there, returns the fit.

    names: of the columns, for refusals. penalty: (p,), half of it times the squared coefficient is taken off. limit: exchanges.
    reach: None where every point may be asked for.

    DataError: no event; columns that never vary or are combinations of others; a likelihood without a maximum; too few exchanges.
    """
    point: Floats = np.zeros(len(names))
    best = point
    summit: LikelihoodSums | None = None
    value, null, score_statistic = -np.inf, 0.0, None
    step: Floats = np.zeros(len(names))
    for exchange in range(1, limit + 1):
        total = yield point
        reached = total.log_likelihood - float(penalty @ point**2) / 2
        if summit is None:
            null = total.log_likelihood
            _require_events(total)
            if not penalty.all():
                _require_distinct(total.information, names, _floor(total))
        slack = 1e-10 * max(1.0, abs(value)) if np.isfinite(value) else 0.0
        if summit is not None and not reached >= value - slack:  # also where it is not finite
            point = (best + point) / 2
            continue
        best, summit, value = point, total, reached
        curvature = total.information + np.diag(penalty)
        covariance = _inverse(curvature, best, names)
        step = np.asarray(np.linalg.solve(curvature, total.score - penalty * best), np.float64)
        if exchange == 1 and not penalty.any():
            score_statistic = float(total.score @ step)
        rounding = total.error * float(np.abs(covariance).sum(axis=1).max(initial=0.0))
        if np.abs(step).max(initial=0.0) < max(CLOSE, 4 * rounding):
            return CoxFit(
                best + step, covariance, total.information, total.log_likelihood, null, score_statistic, exchange, rounding
            )
        _require_maximum(step, total.score - penalty * best, names)
        point = best + step if reach is None else reach.within(best, step)
    raise DataError(
        "The Cox regression has not come to its end",
        expected=f"steps shorter than {CLOSE:g} within {limit} exchanges",
        found=f"{float(np.abs(step).max()):.2g} at the last one, in {names[int(np.abs(step).argmax())]}",
        hint="raise analysis.exchanges, or set analysis.survival.ridge; where coefficients are as large as "
        "analysis.survival.reach allows, raise that",
    )


def _floor(total: LikelihoodSums) -> float:
    """What rounding of the sums can make of nothing, in units of columns within -1 to 1."""
    return max(1e-9, 10 * total.error)


def _inverse(curvature: Floats, point: Floats, names: Sequence[str]) -> Floats:
    try:
        return np.asarray(np.linalg.inv(curvature), np.float64)
    except np.linalg.LinAlgError:
        raise _no_maximum(names[int(np.abs(point).argmax())]) from None


def _require_events(total: LikelihoodSums) -> None:
    if max(np.abs(total.score).max(initial=0.0), np.diag(total.information).max(initial=0.0)) > _floor(total):
        return
    if abs(total.log_likelihood) <= max(1e-6, 1e3 * total.error):
        raise DataError(
            "No hospital has an event with other patients at risk, so there is nothing to compare",
            hint="follow the patients longer, or choose another event",
        )


def _require_distinct(information: Floats, names: Sequence[str], floor: float) -> None:
    """Sweeps one column after another, as least squares do; the first one that nothing is left of is named, and why."""
    own, rest = np.diag(information).copy(), information.copy()
    kept: list[int] = []
    for column, name in enumerate(names):
        if own[column] <= floor:
            raise DataError(
                f"{name} is the same for all patients at risk whenever somebody has the event",
                hint=f"leave {name} out, or set analysis.survival.ridge",
            )
        if rest[column, column] <= max(_ALIASED * own[column], floor):
            weights = np.linalg.solve(information[np.ix_(kept, kept)], information[kept, column])
            parts = " ".join(
                f"{weight:+.3g} {names[other]}" for other, weight in zip(kept, weights, strict=True) if abs(weight) > 1e-4
            )
            raise DataError(
                f"{name} says what other columns already say, so that its coefficient could be any number",
                found=f"{name} = {parts}, but for a constant",
                hint="leave one of these columns out, or set analysis.survival.ridge",
            )
        rest -= np.outer(rest[:, column], rest[column]) / rest[column, column]
        kept.append(column)


def _require_maximum(step: Floats, score: Floats, names: Sequence[str]) -> None:
    if float(step @ score) < _FLAT_GAIN and np.abs(step).max() > _LONG_STEP:
        raise _no_maximum(names[int(np.abs(step).argmax())])


def _no_maximum(column: str) -> DataError:
    return DataError(
        f"The likelihood has no maximum: it rises for ever with the coefficient of {column}",
        expected="events, and patients at risk without one, on both sides of every column",
        hint=f"leave {column} out, join its groups with others, or set analysis.survival.ridge",
    )
