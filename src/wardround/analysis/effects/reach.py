"""Which points of an effect's orders lie within reach: models of probabilities and logarithms, and lines of the outcome.

Within it a line of the outcome rises by ten of the outcome's ranges at most at the default, which curves over wide ranges need.
"""

from wardround.analysis.effects.outcome_models import LINKS
from wardround.analysis.effects.rows import EffectFrame, Order
from wardround.analysis.reach import Reach

_LINES = ("lines", "contrasts", "sides")
_OUTCOMES = 15.0


def of_predictors(frame: EffectFrame) -> Reach:
    """Of coefficients of a logarithm or of log odds."""
    return Reach(frame.bounds, frame.reach)


def of_outcomes(frame: EffectFrame) -> Reach:
    """Of coefficients in units of the outcome."""
    return Reach(frame.bounds, max(frame.reach / _OUTCOMES * frame.outcome_width, 3.0 * frame.outcome_limit))


def beyond_reach(order: Order, frame: EffectFrame) -> str:
    """The name of an order's array that lies beyond; empty where none does. It follows from the order alone, not from rows."""
    for name, points in order.items():
        if name in ("coefficients", "propensity") and points.size and not of_predictors(frame).holds(points):
            return name
        if name in _LINES and not of_outcomes(frame).holds(points):
            return name
        if name == "outcome":
            by_logarithm = order["log_links"] > LINKS.index("log") - 0.5
            for arm, coefficients in enumerate(points):
                reach = of_predictors(frame) if by_logarithm[arm] else of_outcomes(frame)
                if not reach.holds(coefficients):
                    return name
    return ""
