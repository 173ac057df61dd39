"""Units that hospitals mix up: when a column lies outside its range, the factor that would bring it back."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class UnitConfusion:
    """Values times `factor` are in the contract's unit. `names`: a pattern for the columns it is about, "" for any."""

    factor: float
    words: str
    names: str = ""


def _pair(factor: float, here: str, unit: str, names: str) -> tuple[UnitConfusion, UnitConfusion]:
    return UnitConfusion(factor, f"{here} in place of {unit}", names), UnitConfusion(
        1 / factor, f"{unit} in place of {here}", names
    )


CONFUSIONS = (
    *_pair(38.67, "mmol/l", "mg/dl of cholesterol", "chol|ldl|hdl"),
    *_pair(88.57, "mmol/l", "mg/dl of triglycerides", "trig"),
    *_pair(18.016, "mmol/l", "mg/dl of glucose", "gluc|sugar|bg$"),
    *_pair(88.42, "mg/dl", "umol/l of creatinine", "crea"),
    *_pair(17.1, "mg/dl", "umol/l of bilirubin", "bili"),
    *_pair(2.54, "inches", "centimetres", "height|length|size"),
    *_pair(0.4536, "pounds", "kilograms", "weight|mass|wt"),
    *_pair(7.5006, "kPa", "mmHg", "pres|bp|pao2|pco2|po2"),
    *(UnitConfusion(float(ten), f"values {ten} times too small") for ten in (10, 100, 1000)),
    *(UnitConfusion(1 / ten, f"values {ten} times too large") for ten in (10, 100, 1000)),
)

_SUSPECT, _MENDED = 0.5, 0.9


def likely_factor(values: NDArray[np.float64], low: float, high: float, name: str = "") -> float | None:
    """The factor that brings at least 90 % of the values into [low, high], where fewer than half are in it now.

    A confusion known for a column of this name goes before powers of ten; of several, the one whose median comes nearest to the
    middle of the range.

    >>> likely_factor(np.array([5.2, 6.1, 4.8]), 100, 600, "chol")
    38.67
    """
    if not mostly_outside(values, low, high):
        return None
    fitting = [
        confusion
        for confusion in CONFUSIONS
        if (not confusion.names or re.search(confusion.names, name.casefold()))
        and np.mean((values * confusion.factor >= low) & (values * confusion.factor <= high)) >= _MENDED
    ]
    middle, median = (low + high) / 2, float(np.median(values))
    best = min(fitting, key=lambda c: (not c.names, abs(median * c.factor - middle)), default=None)
    return None if best is None else best.factor


def mostly_outside(values: NDArray[np.float64], low: float, high: float) -> bool:
    return bool(len(values)) and bool(np.mean((values >= low) & (values <= high)) < _SUSPECT)


_YEARS, _DAYS_OF_SPREADSHEETS, _SECONDS = (1900, 2100), (18_000, 62_000), (5e8, 2.2e9)


def may_be_dates(values: NDArray[np.float64]) -> bool:
    """Whether numbers outside their range may be dates: years, days as spreadsheets count them (1949 to 2069), 20201231, or
    seconds since 1970. A factor would bring them into the range of an age, and make everybody as old.

    >>> [may_be_dates(np.array(values)) for values in ([1956.0, 1987], [44120.0, 44166], [20201231.0], [1956.5, 1987], [250e3])]
    [True, True, True, False, False]
    """
    if not len(values) or bool(np.any(values != np.rint(values))):
        return False
    spans = [(values >= low) & (values <= high) for low, high in (_YEARS, _DAYS_OF_SPREADSHEETS, _SECONDS)]
    return written_dates(values) or any(float(np.mean(span)) >= _MENDED for span in spans)


def written_dates(values: NDArray[np.float64]) -> bool:
    """Whether nearly all numbers are dates written without signs: 20201231, or with a time behind it, 202012312359 and
    20201231235959. No measurement is.

    >>> [written_dates(np.array(values)) for values in ([20201231.0, 19560704], [20201231235959.0], [2020.0])]
    [True, True, False]
    """
    if not len(values) or bool(np.any(values != np.rint(values))):
        return False
    days = np.where(values >= 1e13, values // 1e6, np.where(values >= 1e11, values // 1e4, values))
    year, month, day = days // 10_000, days // 100 % 100, days % 100
    dates = (year >= _YEARS[0]) & (year <= _YEARS[1]) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return float(np.mean(dates)) >= _MENDED


def words_for(factor: float) -> str:
    return next(confusion.words for confusion in CONFUSIONS if confusion.factor == factor)
