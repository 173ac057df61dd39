"""The tables of a regression with noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from wardround.algorithms.newton import Matrix, Vector
from wardround.analysis.design import Design
from wardround.analysis.noise import privacy_note
from wardround.analysis.protocol import Total
from wardround.analysis.result import Column, Forest, Interval, Result, Table
from wardround.privacy.disclosure import shown_count
from wardround.study.declaration import Study
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.values.errors import DataError

_HARDLY = 0.8
"""A standard error that is so much of what the ridge alone gives: the patients have said next to nothing of that coefficient."""


@dataclass(frozen=True)
class PrivateFit:
    """point: the estimates (p,) in the scaled columns. covariance: (p, p), noise and ridge included. steps: where the steps alone
    ended."""

    point: Vector
    covariance: Matrix
    steps: Vector


def private_result(study: Study, section: RegressionSection, design: Design, fit: PrivateFit, last: Total) -> Result:
    """Odds ratios with intervals that hold the noise. DataError where there are too few events for so many coefficients."""
    rows, events = (max(0, round(float(count))) for count in last["counts"])
    _require_enough(section, len(design) - 1, rows, events)
    transform = design.to_reported
    values, spread = transform @ fit.point, transform @ fit.covariance @ transform.T
    errors: Vector = np.sqrt(np.diag(spread))
    half = float(ndtri(0.5 + section.confidence / 2.0)) * errors
    p_values = 2.0 * ndtr(-np.abs(values / errors))
    ratios = np.exp(np.stack([values, values - half, values + half]))
    share, smallest = f"{section.confidence * 100:g} %", study.analysis.smallest_cell if study.analysis is not None else 1
    slopes = range(1, len(design))
    effects = Table(
        "effects",
        f"Odds ratios of {section.outcome}",
        (
            Column("", "text"),
            Column("odds ratio", digits=3),
            Column(f"{share} low", digits=3),
            Column(f"{share} high", digits=3),
            Column("p", "p"),
        ),
        tuple((design.names[at], *ratios[:, at].tolist(), float(p_values[at])) for at in slopes),
    )
    coefficients = Table(
        "coefficients",
        "Coefficients",
        (Column("", "text"), Column("coefficient"), Column("standard error"), Column("p", "p"), Column("of the model")),
        tuple(
            (name, float(values[at]), float(errors[at]), float(p_values[at]), float((transform @ fit.steps)[at]))
            for at, name in enumerate(design.names)
        ),
        ("of the model: where the steps ended. It has less noise, is drawn towards 0, and is what the model's file says.",),
    )
    counted = [("rows", shown_count(rows, smallest)), ("events", shown_count(events, smallest))]
    counted += [("±, 95 % of the noise in each", f"{1.96 * last.noise['counts']:.0f}"), ("hospitals", str(len(last.sites)))]
    model = Table("model", "The model", (Column("", "text"), Column("value", "text")), tuple(counted))
    axis = f"odds ratio, {share} interval"
    intervals = tuple(Interval(design.names[at], *map(float, ratios[:, at])) for at in slopes)
    figures: dict[str, Any] = {
        "counts": {"rows": shown_count(rows, smallest), "events": shown_count(events, smallest), "left_out": "an unknown number"},
        "models": {
            "common": {
                "names": list(design.names),
                "coefficients": values.tolist(),
                "standard_errors": errors.tolist(),
                "p_values": p_values.tolist(),
                "low": (values - half).tolist(),
                "high": (values + half).tolist(),
                "covariance": spread.tolist(),
                "steps": (transform @ fit.steps).tolist(),
                "log_likelihood": None,
                "deviance": None,
                "aic": None,
            }
        },
        "noise": {name: float(deviation) for name, deviation in last.noise.items()},
    }
    notes = (privacy_note(study), *_notes(section, design, fit))
    forest = Forest("forest", section.outcome, axis, intervals, 1.0, True)
    return Result("regression", study.question.title, (effects, coefficients, model), (forest,), figures, notes)


def _notes(section: RegressionSection, design: Design, fit: PrivateFit) -> tuple[str, ...]:
    scale = np.sqrt(np.diag(fit.covariance)) * np.sqrt(section.ridge)
    hidden = [design.names[at] for at in range(1, len(design)) if scale[at] > _HARDLY]
    notes = [
        "Standard errors hold the noise of the steps and of the information. "
        f"A ridge of {section.ridge:g} stands for the belief that a coefficient of a scaled column is seldom beyond "
        f"{2 / np.sqrt(section.ridge):.2g} either way: intervals rest on it where patients say little.",
        "All hospitals share one intercept: differences between hospitals are in the other coefficients.",
    ]
    if hidden:
        notes.append(f"The noise leaves hardly anything to say of: {', '.join(hidden)}.")
    return tuple(notes)


def _require_enough(section: RegressionSection, slopes: int, rows: int, events: int) -> None:
    fewer = max(0, min(events, rows - events))
    if fewer < section.events_per_coefficient * slopes:
        raise DataError(
            f"There are too few rows of the rarer outcome for {slopes} coefficients",
            expected=f"at least {section.events_per_coefficient * slopes:.0f} "
            f"({section.events_per_coefficient:g} for each, analysis.regression.events_per_coefficient)",
            found=f"about {fewer}, with noise",
            hint="use fewer terms; or lower events_per_coefficient, and say so in the paper",
        )
