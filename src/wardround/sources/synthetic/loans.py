"""Loans of three lenders, drawn by a program: a table outside medicine, of no person, the same on every machine.

    who asks (age, income, home, record with other lenders) --log odds--> default within a year
                                                            --rate-----> payments missed, over the months that the loan ran

Lenders differ in whom they lend to, and in how often the same customer defaults: what intercepts of their own are for.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.values.randomness import generator

LENDERS: Mapping[str, tuple[int, float, float]] = {
    "harbour": (1400, 52_000.0, 0.0),
    "meadow": (900, 34_000.0, 0.6),
    "online": (700, 41_000.0, 0.9),
}
"""Lender -> its customers, their middle income, and its level in the log odds of a default."""
HOMES, PURPOSES = ("owner", "rent", "with family"), ("car", "home", "business", "other")
SEED = 1


def drawn_loans() -> pl.DataFrame:
    """3,000 rows, every value as text, the lender in `lender`."""
    return pl.concat([_of_lender(name, *facts) for name, facts in LENDERS.items()])


def _of_lender(name: str, count: int, middle: float, level: float) -> pl.DataFrame:
    random = generator("drawn loans", SEED, name)
    age = np.clip(random.normal(42, 13, count), 18, 90).round()
    income = np.clip(middle * np.exp(random.normal(0, 0.5, count)), 5_000, 400_000).round(-2)
    amount = np.clip(income * np.exp(random.normal(-1.2, 0.6, count)), 500, 200_000).round(-2)
    home = random.choice(len(HOMES), count, p=(0.45, 0.42, 0.13) if level == 0 else (0.25, 0.55, 0.20))
    purpose = random.choice(len(PURPOSES), count, p=(0.3, 0.3, 0.15, 0.25))
    earlier = random.random(count) < 0.12 + 0.08 * level
    months = random.integers(1, 13, count)
    eta = -3.0 + level + 0.9 * np.log(amount / income / 0.3) - 0.012 * (age - 42) + 0.35 * (home == 1) + 0.5 * (purpose == 2)
    eta += 1.1 * earlier
    defaulted = random.random(count) < 1 / (1 + np.exp(-eta))
    missed = np.minimum(random.poisson(0.05 * np.exp(0.6 * (eta + 3.0)) * months), months)
    columns: dict[str, NDArray[np.generic]] = {
        "customer": np.array([f"{name}-{row:04d}" for row in range(count)]),
        "lender": np.full(count, name),
        "age": age.astype(int),
        "income": income.astype(int),
        "amount": amount.astype(int),
        "home": np.array(HOMES)[home],
        "purpose": np.array(PURPOSES)[purpose],
        "earlier_default": earlier.astype(int),
        "months": months,
        "missed_payments": missed,
        "default": defaulted.astype(int),
    }
    return pl.DataFrame({title: values.astype(str) for title, values in columns.items()})
