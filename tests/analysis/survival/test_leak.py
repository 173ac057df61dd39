"""The leak that must not be there: neighbouring risk sets of a Cox regression differ by one patient, and are that patient.

The attack reads masked totals alone, those that the protocol sends. Without the rule of the smallest cell it recovers most rows
of 39 values; with it, none. What a coordinator reads that sends orders of its own stands in `test_crafted_cox.py`.
"""

import numpy as np
import pytest

import wardround as wr
from wardround.analysis.carrying import bounded, exchange_of
from wardround.analysis.protocol import Ask
from wardround.analysis.registry import analysis_of
from wardround.analysis.survival.risk_set_sums import recovered_rows
from wardround.analysis.survival.survival import Survival
from wardround.values.rows import Rows, joined_rows

from .breast_cancer import needs_data, patients, train
from .declared_studies import breast_cancer_study, rows_of


def masked_totals(survival: Survival, hospitals: dict[str, Rows], ask: Ask) -> dict[str, np.ndarray]:
    """What the coordinator sees of one exchange."""
    exchange = exchange_of(survival, ask.label)
    values = {name: bounded(survival.contribution(rows, ask), exchange, len(hospitals)) for name, rows in hospitals.items()}
    bounds = {name: quantity.bound for name, quantity in exchange.quantities.items() if quantity.bound is not None}
    return wr.secure_sum(values, bound=bounds).total


def attacked(smallest_cell: int, cell: int = 1) -> int:
    """How many of the 866 training patients' rows an attacker has from one exchange, at coefficients 0."""
    rows = train()
    study = breast_cancer_study(
        rows.names, baseline="common", ties="breslow", cell=cell, until=8605, smallest_cell=smallest_cell, ridge=3.0
    )
    survival = analysis_of(study)
    assert isinstance(survival, Survival)
    parts = survival.parts
    hospitals = rows_of(patients())
    fitted = masked_totals(survival, hospitals, Ask("counts"))["fitted"].sum(axis=1)
    order = {"coefficients": np.zeros(parts.size), "centre": np.zeros(1), "leaving": fitted.astype(np.float64)}
    totals = masked_totals(survival, hospitals, Ask("risk_sets", order))
    # From risk sets, as WebDISCO sends them: the totals of who leaves are differences of neighbours.
    nobody = totals["weights"] < 1e-6
    read = recovered_rows(np.where(nobody, 0.0, totals["weights"]), totals["columns"])
    real = parts.declared.modelled(joined_rows(hospitals)).columns
    known = {spelled_row(row) for row in real}
    hit = known & {spelled_row(row) for row in read}
    return sum(spelled_row(row) in hit for row in real)


def spelled_row(row: np.ndarray) -> tuple[float, ...]:
    """To three digits: age in years is told apart at 0.02, everything else is 0 or 1."""
    return tuple(np.round(row, 3) + 0.0)


@needs_data
@pytest.mark.slow
@pytest.mark.permission
def test_rows_are_recovered_without_the_rule_and_none_with_it() -> None:
    """By days, and by quarters, where a few cells are small."""
    assert attacked(smallest_cell=1) > 500
    assert attacked(smallest_cell=1, cell=91) > 0
    assert attacked(smallest_cell=5) == 0
    assert attacked(smallest_cell=5, cell=91) == 0
