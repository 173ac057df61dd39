"""Tables and charts of a Cox regression: hazard ratios, the test of proportional hazards, and what its predictions are worth."""

import math

import numpy as np
from scipy.stats import chi2

from wardround.analysis.protocol import Total
from wardround.analysis.result import Cell, Column, Forest, Interval, Line, Lines, Table
from wardround.analysis.survival.concordance import PairCounts, pairs_of_table
from wardround.analysis.survival.confidence_band import Z
from wardround.analysis.survival.declared import DeclaredSurvival
from wardround.analysis.survival.fitting import FittedModel
from wardround.analysis.survival.horizons import HorizonFigures, Scores, censoring, horizon_figures
from wardround.analysis.survival.parts import ResultParts, cells, shown_or_none, told
from wardround.analysis.survival.risk_set_sums import FARTHEST
from wardround.analysis.survival.strata_baselines import strata_parts
from wardround.privacy.disclosure import shown_count

_LARGEST = 700.0
"""Of the logarithm of a ratio: exp of more is no number."""


def model_parts(declared: DeclaredSurvival, model: FittedModel, accuracy: Total, smallest: int) -> ResultParts:
    """Everything of a result that needs the regression. accuracy: the total of the exchange of that name."""
    parts = _ratios(declared, model) + _fit(declared, model, smallest) + _accuracy(declared, model, accuracy, smallest)
    section = declared.section
    if section.strata is None or not section.strata_baselines:
        return parts
    return parts + strata_parts(section.strata, model.strata, section.horizons, declared.time_label, smallest)


def _ratios(declared: DeclaredSurvival, model: FittedModel) -> ResultParts:
    coefficients = model.fit.coefficients / declared.scales
    errors = model.fit.standard_errors / np.abs(declared.scales)
    tested = model.proportional
    rows: list[tuple[Cell, ...]] = []
    details: list[tuple[Cell, ...]] = []
    for position, name in enumerate(declared.names):
        b, se = float(coefficients[position]), float(errors[position])
        ends = (told(math.exp(end)) if end < _LARGEST else None for end in (b, b - Z * se, b + Z * se))
        z = b / se if se else math.nan
        rows.append((name, *ends, told(math.erfc(abs(z) / math.sqrt(2)))))
        trend = (told(tested.statistics[position]), told(tested.p[position])) if tested else ()
        details.append((name, b, se, told(z), *trend))
    ratio = Column("hazard ratio", digits=3)
    head = (Column("column", "text"), ratio, Column("low", digits=3), Column("high", digits=3), Column("p", "p"))
    notes = []
    if declared.section.ridge:
        notes.append("With a penalty coefficients are drawn towards 0, and intervals do not have their coverage")
    table = Table("hazard_ratios", "Hazard ratios", head, tuple(rows), tuple(notes))
    of_details: tuple[Column, ...] = (
        Column("column", "text"),
        Column("coefficient"),
        Column("standard error"),
        Column("z", digits=3),
    )
    notes = []
    if tested:
        of_details = (*of_details, Column("trend", digits=3), Column("p of trend", "p"))
        notes.append(
            "trend: chi-square of a hazard ratio that changes with time; where its p is small the ratio is an average over time"
        )
        if declared.section.baseline == "common":
            notes.append(
                "trend takes the columns' variance as the same in every risk set, so that no sum of a few cells is needed"
            )
    detailed = Table("coefficients", "Coefficients", of_details, tuple(details), tuple(notes))
    intervals = tuple(
        Interval(str(name), estimate, low, high)
        for name, estimate, low, high, _ in rows
        if isinstance(estimate, float) and isinstance(low, float) and isinstance(high, float)
    )
    forest = Forest("hazard_ratios", "Hazard ratios", "hazard ratio", intervals, neutral=1.0, log=True)
    figures: dict[str, object] = {
        "columns": list(declared.names),
        "coefficients": [float(value) for value in coefficients],
        "standard_errors": [float(value) for value in errors],
        "p": [row[4] for row in rows],
    }
    if tested:
        figures["proportional_hazards"] = {
            "statistics": [told(value) for value in tested.statistics],
            "p": [told(value) for value in tested.p],
            "overall": told(tested.overall),
            "overall_p": told(tested.overall_p),
        }
    smallest_scale = float(np.abs(declared.scales).min(initial=1.0))
    return ResultParts((table, detailed), (forest,), figures, (), model.fit.error / smallest_scale)


def _fit(declared: DeclaredSurvival, model: FittedModel, smallest: int) -> ResultParts:
    fit = model.fit
    gain = 2 * (fit.log_likelihood - fit.null_log_likelihood)
    patients, events = int(model.counts.patients[0]), model.events
    baseline = "each hospital has its own" if declared.section.baseline == "by_hospital" else "one for all hospitals, on the grid"
    rows: list[tuple[Cell, Cell]] = [
        ("patients", patients),
        ("events", cells([events], smallest)[0]),
        ("rows left out for a missing value", shown_count(model.left_out, smallest)),
        ("baseline hazard", baseline),
        ("log-likelihood", f"{fit.log_likelihood:.6f}"),
        ("without any column", f"{fit.null_log_likelihood:.6f}"),
        ("sums asked for", fit.exchanges),
    ]
    if declared.section.ridge == 0:
        p = float(chi2.sf(gain, len(declared.names)))
        rows.append(("likelihood ratio", f"chi-square {gain:.4f}, df {len(declared.names)}, p {p:.3g}"))
        if model.proportional:
            rows.append(("proportional hazards, all columns", f"p {model.proportional.overall_p:.3g}"))
    head = (Column("", "text"), Column("value", "text"))
    table = Table("model", "The regression", head, tuple((name, str(value)) for name, value in rows))
    hazard = model.baseline
    figures = {
        "fitted_patients": patients,
        "fitted_events": events if cells([events], smallest) == [events] else None,
        "fitted_left_out": shown_or_none(model.left_out, smallest),
        "log_likelihood": fit.log_likelihood,
        "null_log_likelihood": fit.null_log_likelihood,
        "exchanges": fit.exchanges,
        "baseline": {
            "ends": list(hazard.grid.ends),
            "cumulative_hazard": [hazard.cumulative(end) for end in hazard.grid.ends],
            "centre": model.centre,
        },
    }
    notes = []
    if hazard.grid.cells < declared.grid.cells:
        notes.append(
            f"The baseline hazard stands on {hazard.grid.cells} cells in place of {declared.grid.cells}: in the others fewer "
            f"than {smallest} patients would have left"
        )
    if model.far:
        notes.append(
            f"{model.far} patients with a predictor farther than {FARTHEST:g} from the mean count as there in the baseline"
        )
    return ResultParts((table,), (), figures, tuple(notes))


def _accuracy(declared: DeclaredSurvival, model: FittedModel, accuracy: Total, smallest: int) -> ResultParts:
    grid = model.baseline.grid
    table = np.concatenate(
        [accuracy["table"][:, : grid.cells], accuracy["table"][:, grid.cells :].sum(axis=1, keepdims=True)], axis=1
    )
    judged = int(table.sum())
    whom = "held-out patients" if declared.section.held_out else "the patients that made the regression"
    if judged < smallest:
        return ResultParts(notes=(f"The predictions are not judged: fewer than {smallest} of {whom} have all values",))
    within, across = PairCounts(*(int(count) for count in accuracy["pairs"])), pairs_of_table(table, grid)
    rows: list[tuple[Cell, ...]] = [
        ("patients", judged),
        ("concordance within hospitals", told(within.index)),
        ("concordance of all pairs, on the grid", told(across.index)),
    ]
    head = (Column("", "text"), Column("value"))
    tables = [Table("concordance", f"Whether the higher chance comes first: {whom}", head, tuple(rows))]
    weights = censoring(model.counts)
    horizons = [time for time in declared.section.horizons if time in grid.ends]
    every = [
        horizon_figures(table, model.baseline, weights, time, smallest=smallest, scores=_scores(declared, accuracy, time))
        for time in horizons
    ]
    figured = [one for one in every if one.events == 0 or one.events >= smallest]
    figures: dict[str, object] = {
        "judged_patients": judged,
        "concordance_within": told(within.index),
        "concordance": told(across.index),
        "horizons": [_horizon_figures(one) for one in figured],
    }
    notes = [] if declared.section.held_out else [f"The predictions are judged on {whom}: they look better than they are"]
    if few := [f"{one.horizon:g}" for one in every if one not in figured]:
        notes.append(f"Predicted chances are not judged by {', '.join(few)}: fewer than {smallest} have had the event by then")
    if not figured:
        return ResultParts(tuple(tables), (), figures, tuple(notes))
    tables += [_brier(figured, whom), _calibration(figured, whom)]
    return ResultParts(tuple(tables), (_calibration_chart(declared, figured),), figures, tuple(notes))


def _scores(declared: DeclaredSurvival, accuracy: Total, horizon: float) -> Scores | None:
    """The finer scores at a horizon, where the study has them."""
    if "scores" not in accuracy.sums:
        return None
    at = declared.section.horizons.index(horizon)
    return Scores(accuracy["cases"][at], accuracy["controls"][at], accuracy["scores"])


def _horizon_figures(one: HorizonFigures) -> dict[str, object]:
    return {
        "horizon": one.horizon,
        "brier": told(one.brier),
        "null_brier": told(one.null_brier),
        "area": told(one.area),
        "predicted": told(one.predicted),
        "observed": [told(end) for end in one.observed],
        "groups": [
            [group.patients, *(told(value) for value in (group.predicted, group.observed, group.low, group.high))]
            for group in one.groups
        ],
    }


def _time(figured: list[HorizonFigures]) -> Column:
    return Column("time", "count" if all(one.horizon.is_integer() for one in figured) else "number")


def _brier(figured: list[HorizonFigures], whom: str) -> Table:
    rows = []
    for one in figured:
        values = (one.brier, one.null_brier, one.area, one.predicted, *one.observed)
        rows.append((one.horizon, *(told(value) for value in values)))
    head = (
        _time(figured),
        Column("Brier", digits=3),
        Column("mean's", digits=3),
        Column("ROC area", digits=3),
        Column("predicted", "percent"),
        Column("observed", "percent"),
        Column("low", "percent"),
        Column("high", "percent"),
    )
    notes = ("mean's: the Brier score of the same chance for everybody. observed: by the curve of these patients",)
    return Table("accuracy", f"Predicted chances of the event: {whom}", head, tuple(rows), notes)


def _calibration(figured: list[HorizonFigures], whom: str) -> Table:
    rows = tuple(
        (one.horizon, group.patients, *(told(value) for value in (group.predicted, group.observed, group.low, group.high)))
        for one in figured
        for group in one.groups
    )
    head = (
        _time(figured),
        Column("patients", "count"),
        Column("predicted", "percent"),
        Column("observed", "percent"),
        Column("low", "percent"),
        Column("high", "percent"),
    )
    return Table("calibration", f"Groups of like chance: {whom}", head, rows)


def _calibration_chart(declared: DeclaredSurvival, figured: list[HorizonFigures]) -> Lines:
    lines = []
    for one in figured:
        groups = [group for group in one.groups if math.isfinite(group.observed)]
        if groups:
            x, y = tuple(group.predicted for group in groups), tuple(group.observed for group in groups)
            bands = (
                (group.low, group.high) if math.isfinite(group.low + group.high) else (group.observed,) * 2 for group in groups
            )
            low, high = zip(*bands, strict=True)
            lines.append(Line(f"by {one.horizon:g} {declared.time_unit}", x, y, low, high))
    return Lines("calibration", "Predicted and observed", "predicted", "observed", tuple(lines), diagonal=True)
