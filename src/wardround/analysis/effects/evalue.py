"""The E-value: how strongly something unmeasured would have to be tied to treatment and outcome to explain an effect away.

T. J. VanderWeele, P. Ding, Ann. Intern. Med. 167 (2017) 268. A difference of means is turned into a ratio as they say, by
exp(0.91 d) of the standardised difference d.
"""

import math


def e_value(ratio: float) -> float:
    """Of a risk ratio; 1 where there is nothing to explain.

    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)
    """
    if not (math.isfinite(ratio) and ratio > 0):
        return math.nan
    larger = max(ratio, 1 / ratio)
    return larger + math.sqrt(larger * (larger - 1))


def e_values_of_difference(difference: float, error: float, deviation: float) -> tuple[float, float]:
    """Of a difference of means, and of the end of its 95 % interval that is nearer to none; 1 where the interval holds none.

    deviation: of the outcome.
    """
    if not deviation > 0:
        return math.nan, math.nan
    standardised, standard_error = difference / deviation, error / deviation
    end = 0.91 * abs(standardised) - 1.78 * standard_error
    return e_value(math.exp(0.91 * standardised)), e_value(math.exp(end)) if end > 0 else 1.0
