"""Units that hospitals mix up: when a column lies outside its range, the factor that would bring it back."""

import numpy as np
from numpy.typing import NDArray

FACTORS = {
    10.0: "ten times smaller",
    0.1: "ten times larger",
    100.0: "a hundred times smaller, such as a share for a percentage or metres for centimetres",
    0.01: "a hundred times larger",
    1000.0: "a thousand times smaller",
    0.001: "a thousand times larger",
    38.67: "mmol/l for a cholesterol in mg/dl",
    1 / 38.67: "mg/dl for a cholesterol in mmol/l",
    88.57: "mmol/l for triglycerides in mg/dl",
    1 / 88.57: "mg/dl for triglycerides in mmol/l",
    18.016: "mmol/l for a glucose in mg/dl",
    1 / 18.016: "mg/dl for a glucose in mmol/l",
    88.42: "mg/dl for a creatinine in umol/l",
    1 / 88.42: "umol/l for a creatinine in mg/dl",
    2.54: "inches for centimetres",
    1 / 2.54: "centimetres for inches",
    0.4536: "pounds for kilograms",
    1 / 0.4536: "kilograms for pounds",
    7.5006: "kPa for mmHg",
    1 / 7.5006: "mmHg for kPa",
}
"""Multiply by the key to get the contract's unit; the words say what the column seems to hold instead."""

_SUSPECT, _MENDED = 0.5, 0.9


def likely_factor(values: NDArray[np.float64], low: float, high: float) -> float | None:
    """The factor of FACTORS that brings at least 90 % of the values into [low, high], where fewer than half are in it now.

    Of several, the one that puts the median nearest the middle of the range, in logarithms where the range allows.

    >>> likely_factor(np.array([5.2, 6.1, 4.8]), 100, 600)
    38.67
    """
    if not len(values) or np.mean((values >= low) & (values <= high)) >= _SUSPECT:
        return None
    fitting = [f for f in FACTORS if np.mean((values * f >= low) & (values * f <= high)) >= _MENDED]
    middle = (low + high) / 2
    return min(fitting, key=lambda f: (abs(float(np.median(values)) * f - middle), f), default=None)
