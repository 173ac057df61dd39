"""A fitted Cox regression as a model that gives the chance of no event by each of the study's horizons.

    S(h | x) = exp(-H(h) exp(x b - center)),   H: the baseline's cumulative hazard, of all hospitals together

The baseline is the one that the study's own predictions were judged with: N. Breslow's on the grid, one for all hospitals also
where the coefficients were stratified by hospital.
"""

from wardround.analysis.design import Design
from wardround.analysis.fitted_model import FittedModel, contract_of_terms, feature_weights, is_prepared, told
from wardround.analysis.result import Result
from wardround.study.contract import LabelContract
from wardround.study.declaration import Study
from wardround.study.record.fit_record import BaselineRecord, CoefficientRecord, FitRecord
from wardround.study.sections.analysis.survival import SurvivalSection
from wardround.study.sections.task import TaskSection


def fitted_model(study: Study, result: Result, sums: int = 0) -> FittedModel | None:
    """The model of a Cox regression with horizons whose event is of one kind; None of curves alone, where several causes compete,
    where groups have baselines of their own, which no answer would know, and where the label says by a rule such as `> 0` what an
    event is. sums: how many the run took."""
    section = None if study.analysis is None else study.analysis.survival
    if section is None or not section.terms or not section.horizons or section.causes or section.strata:
        return None
    if not all(is_prepared(term, study.data) for term in section.terms):
        return None
    baseline, label = result.figures["baseline"], _label(study, section)
    until = dict(zip(baseline["ends"], baseline["cumulative_hazard"], strict=True))
    if label is None or any(horizon not in until for horizon in section.horizons):
        return None
    figures, design = result.figures, Design(section.terms, study.data)
    coefficients = dict(zip(figures["columns"], figures["coefficients"], strict=True))
    data = contract_of_terms(study.data, section.terms, label)
    weights, shift = feature_weights(design, section.terms, coefficients)
    # The fit's predictor is of columns less their public centers, and its baseline belongs to the mean predictor.
    center = sum(coefficients[column.name] * column.center for column in design.columns) + baseline["centre"]
    hazards = tuple(float(until[horizon]) for horizon in section.horizons)
    record = FitRecord(
        family="cox",
        data=data,
        rows=str(figures["fitted_patients"]),
        left_out=_shown(figures["fitted_left_out"], study),
        events=_shown(figures["fitted_events"], study),
        sums=sums,
        coefficients=tuple(
            CoefficientRecord(name=name, estimate=told(estimate), standard_error=told(error), p=told(p))
            for name, estimate, error, p in zip(
                figures["columns"], figures["coefficients"], figures["standard_errors"], figures["p"], strict=True
            )
        ),
        center=told(center),
        baseline=tuple(
            BaselineRecord(horizon=horizon, cumulative_hazard=told(hazard))
            for horizon, hazard in zip(section.horizons, hazards, strict=True)
        ),
        log_likelihood=told(figures["log_likelihood"]),
    )
    return FittedModel(data, weights, shift - center, record, hazards)


def _shown(count: int | None, study: Study) -> str:
    """A count as the result's tables show it."""
    assert study.analysis is not None
    return f"< {study.analysis.smallest_cell}" if count is None else str(count)


def _label(study: Study, section: SurvivalSection) -> LabelContract | None:
    """A question for the time, judged at the horizons; None where values of the event cannot be listed."""
    columns = {column.name: column for column in study.data.columns}
    event = columns.get(section.event)
    if event is None:
        seen, unseen = _listed(study.data.label.positive), _listed(study.data.label.negative)
        if not seen or not unseen:
            return None
    else:
        unseen, seen = (event.codes[0],), (event.codes[1],)
    grid = sorted({0.0, *section.horizons, section.until})
    if len(grid) == 2:  # one interval is no grid: a middle that nobody asks about
        grid.insert(1, grid[1] / 2)
    name = study.data.label.name if event is None else section.event
    task = TaskSection(
        unit=columns[section.time].unit,
        outside="clip",
        event=study.data.label.column if event is None else section.event,
        seen=seen,
        unseen=unseen,
        grid=tuple(grid),
        horizons=section.horizons,
    )
    return LabelContract(kind="time", name=name, column=section.time, task=task)


def _listed(side: tuple[str | int, ...] | str) -> tuple[str | int, ...]:
    """Values that a side of a label names, by name or as `= 1`; none where a rule means many."""
    if not isinstance(side, str):
        return side
    sign, _, number = side.partition("=")
    return (int(number),) if not sign.strip() and number.strip().isdecimal() else ()
