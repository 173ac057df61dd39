"""Average effects as tables, a forest plot and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wardround.analysis.effects.averages import Averages
from wardround.analysis.effects.balance import balances, effective_patients
from wardround.analysis.effects.evalue import e_value, e_values_of_difference
from wardround.analysis.effects.moments import Moments
from wardround.analysis.effects.rows import EffectFrame
from wardround.analysis.effects.steps import Findings
from wardround.analysis.effects.wording import Wording, Z, number
from wardround.analysis.result import Cell, Column, Forest, Interval, Table

METHODS = ("unadjusted", "Lin", "AIPW")


def averages_table(findings: Findings, by_method: Mapping[str, Averages], frame: EffectFrame, wording: Wording) -> Table:
    """Every effect by every method. Ratios stand beside risks, E-values where the treatment was not drawn by lot."""
    chosen = frame.probabilities is None
    rows: list[tuple[Cell, ...]] = []
    for arm in range(1, len(frame.arms)):
        for method in METHODS:
            averages = by_method[method]
            effect, error = (part * wording.scale for part in averages.difference(arm))
            interval = (effect, error, effect - Z * error, effect + Z * error)
            values = (*map(number, interval), number(_p_value(effect, error)))
            ratios = tuple(map(number, risk_ratio(averages, arm))) if wording.binary else ()
            strengths = _e_values(averages, arm, findings.moments, wording) if chosen else ()
            rows.append((frame.arms[arm], method, *values, *ratios, *strengths))
    columns = (
        Column("treatment", "text"),
        Column("method", "text"),
        Column("effect"),
        Column("standard error"),
        Column("low"),
        Column("high"),
        Column("p", "p"),
        *((Column("risk ratio"), Column("ratio low"), Column("ratio high")) if wording.binary else ()),
        *((Column("E-value", digits=3), Column("E-value of the interval", digits=3)) if chosen else ()),
    )
    notes = (
        f"Differences of the {wording.measured} against {frame.arms[0]}, with 95 % intervals.",
        "unadjusted: means as they are. Lin: one regression with treatment, centred covariates and their products (Lin 2013), "
        "robust errors HC2. AIPW: doubly robust scores, each patient judged by models that did not see him.",
    )
    return Table("averages", "Average effects", columns, tuple(rows), notes)


def _p_value(estimate: float, error: float) -> float:
    return math.erfc(abs(estimate) / error / math.sqrt(2)) if error > 0 else math.nan


def _e_values(averages: Averages, arm: int, moments: Moments, wording: Wording) -> tuple[Cell, Cell]:
    if wording.binary:
        ratio, low, high = risk_ratio(averages, arm)
        nearer = 1.0 if low <= 1 <= high else low if low > 1 else high
        return number(e_value(ratio)), number(e_value(nearer))
    whole = moments.everybody
    within = float(np.sum((whole.counts - 1) * whole.outcome_variances) / np.sum(whole.counts - 1))
    first, second = e_values_of_difference(*averages.difference(arm), math.sqrt(max(within, 0.0)))
    return number(first), number(second)


def risk_ratio(averages: Averages, arm: int) -> tuple[float, float, float]:
    """The ratio of two risks and its 95 % interval, by the delta method on the logarithm; NaN where a risk is not above 0."""
    risk, control = float(averages.means[arm]), float(averages.means[0])
    if not min(risk, control) > 0:
        return math.nan, math.nan, math.nan
    weights = np.zeros(len(averages.means))
    weights[arm], weights[0] = 1 / risk, -1 / control
    half = Z * math.sqrt(max(float(weights @ averages.covariance @ weights), 0.0))
    return risk / control, risk / control * math.exp(-half), risk / control * math.exp(half)


def arms_table(findings: Findings, averages: Averages, frame: EffectFrame, wording: Wording) -> Table:
    """Each arm for everybody. Where probabilities are estimated: how many patients of equal weight would tell as much."""
    chosen = frame.probabilities is None
    rows: list[tuple[Cell, ...]] = []
    counts = findings.moments.everybody.counts.tolist()
    for arm, name in enumerate(frame.arms):
        mean = float(averages.means[arm]) * wording.scale
        error = math.sqrt(max(float(averages.covariance[arm, arm]), 0.0)) * wording.scale
        left_out = wording.count(int(findings.scores["left_out"][arm]))
        effective = (number(effective_patients(findings.scores.sums, arm)),) if chosen and wording.exact else (None,) * chosen
        rows.append((name, wording.count(counts[arm]), left_out, *effective, mean, error, mean - Z * error, mean + Z * error))
    columns = (
        Column("treatment", "text"),
        Column("patients", "count"),
        Column("left out", "count"),
        *((Column("effective patients", digits=3),) if chosen else ()),
        Column("mean"),
        Column("standard error"),
        Column("low"),
        Column("high"),
    )
    note = f"The {wording.measured}, had everybody had the treatment (AIPW), with 95 % intervals."
    return Table("arms", "Each treatment for everybody", columns, tuple(rows), (note,))


def balance_table(findings: Findings, frame: EffectFrame) -> Table:
    """Whether the arms are alike, before and after weighing."""
    rows: list[tuple[Cell, ...]] = [
        (frame.arms[one.arm], frame.columns[one.column], number(one.before), number(one.after))
        for one in balances(findings.moments, findings.scores.sums, frame)
    ]
    columns = (
        Column("treatment", "text"),
        Column("column", "text"),
        Column("difference", digits=2),
        Column("difference, weighed", digits=2),
    )
    notes = (
        f"Differences from {frame.arms[0]} in standard deviations, before and after patients are weighed by the inverse of their "
        "arm's probability. Beyond 0.1 either way the arms differ.",
    )
    return Table("balance", "Are the arms alike?", columns, tuple(rows), notes)


def overlap_table(findings: Findings, frame: EffectFrame, wording: Wording) -> Table:
    counts = findings.scores["overlap"]  # (a, cell, b)
    cells = counts.shape[1]
    rows: list[tuple[Cell, ...]] = []
    for arm, name in enumerate(frame.arms):
        own, others = counts[arm, :, arm].tolist(), (counts[arm].sum(axis=1) - counts[arm, :, arm]).tolist()
        for first, last in merged_cells(own, others, wording.smallest):
            shown = (sum(own[first:last]), sum(others[first:last]))
            rows.append((name, first / cells, last / cells, *map(wording.count, shown)))
    columns = (
        Column("treatment", "text"),
        Column("probability from", digits=2),
        Column("to", digits=2),
        Column("had it", "count"),
        Column("had another", "count"),
    )
    note = "Where patients of both kinds are, they can be compared. Cells with few patients are joined with their neighbours."
    return Table("overlap", "Estimated probability of each treatment", columns, tuple(rows), (note,))


def merged_cells(first: Sequence[int], second: Sequence[int], smallest: int) -> list[tuple[int, int]]:
    """Neighbouring cells joined until no count is below `smallest` but 0; the last joined cell takes what is left over.

    So nothing is withheld, and nothing can be worked out from a total.

    >>> merged_cells([9, 2, 4, 1], [9, 0, 0, 0], 5)
    [(0, 1), (1, 4)]
    """
    joined: list[tuple[int, int]] = []
    begin = 0
    for end in range(1, len(first) + 1):
        if all(count == 0 or count >= smallest for count in (sum(first[begin:end]), sum(second[begin:end]))):
            joined.append((begin, end))
            begin = end
    if begin < len(first):
        while joined and begin < len(first):
            begin = joined.pop()[0]
            if all(count == 0 or count >= smallest for count in (sum(first[begin:]), sum(second[begin:]))):
                break
        joined.append((begin, len(first)))
    return joined


def forest(by_method: Mapping[str, Averages], frame: EffectFrame, wording: Wording) -> Forest:
    intervals = []
    for arm in range(1, len(frame.arms)):
        for method in METHODS:
            effect, error = (part * wording.scale for part in by_method[method].difference(arm))
            intervals.append(Interval(f"{frame.arms[arm]}, {method}", effect, effect - Z * error, effect + Z * error))
    axis = f"difference of the {wording.measured} against {frame.arms[0]}"
    return Forest("averages", "Average effects", axis, tuple(intervals))


def average_figures(by_method: Mapping[str, Averages], frame: EffectFrame, wording: Wording) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for method, averages in by_method.items():
        own = [averages.difference(arm) for arm in range(1, len(frame.arms))]
        figures[method] = {
            "arms": list(frame.arms[1:]),
            "effects": [effect * wording.scale for effect, _ in own],
            "errors": [error * wording.scale for _, error in own],
            "means": (averages.means * wording.scale).tolist(),
        }
    return figures
