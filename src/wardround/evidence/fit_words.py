"""What is said of a fitted regression: facts, its whole specification, items of TRIPOD+AI, and what it cannot say."""

from collections.abc import Iterator

from wardround.evidence.text import NONE, blank, whole
from wardround.study.declaration import Study
from wardround.study.record.fit_record import FitRecord
from wardround.study.record.run_record import RunRecord
from wardround.tasks.registry import task_of_label

NAMES = {
    "binomial": "logistic regression",
    "cox": "Cox regression",
    "gaussian": "linear regression",
    "poisson": "Poisson regression",
    "negative_binomial": "negative binomial regression",
}


def fit_facts(record: RunRecord, fit: FitRecord) -> tuple[tuple[str, str], ...]:
    """Name and value of what was fitted, with what, by what."""
    versions = record.versions
    rows = [
        ("Run", record.run_id),
        ("Study", f"{record.study_title} (SHA-256 {record.study_hash})"),
        ("Model", f"{NAMES[fit.family]}, {whole(len(fit.coefficients))} coefficients"),
        ("Fitted by", f"{_method(record)} over {whole(fit.sums)} sums of all hospitals"),
        ("Rows", f"{fit.rows} used, {fit.left_out} left out for a missing value"),
        *((("Events", fit.events),) if fit.events else ()),
        ("Privacy mode", record.privacy_mode),
        ("Summation", record.summation_mode),
        ("Started", record.created),
        ("Finished", record.finished or "not finished"),
        ("Versions", f"Wardround {versions.wardround}, NumPy {versions.numpy}, Python {versions.python}"),
        ("Platform", versions.platform),
    ]
    if record.model is not None:
        rows.append(("File", f"SHA-256 {record.model.sha256}: {', '.join(sorted(record.model.files.values()))}"))
    return tuple(rows)


def _noised(record: RunRecord) -> bool:
    """Whether every number of the fit has noise."""
    return record.privacy_mode != "none"


def _method(record: RunRecord) -> str:
    return "Steps of gradient descent (fedsgd) with noise" if _noised(record) else "Newton's method"


def specification(fit: FitRecord) -> tuple[tuple[str, ...], ...]:
    """Name, coefficient, standard error and p of each column, with the digits that a reader needs to compute an answer."""
    return tuple(
        (one.name, _digits(one.estimate), _digits(one.standard_error), NONE if one.p is None else f"{one.p:.2g}")
        for one in fit.coefficients
    )


def _digits(value: float | None) -> str:
    return NONE if value is None else f"{value:.6g}"


def formula(fit: FitRecord) -> str:
    """How an answer follows from the coefficients."""
    score = "with s the intercept and each coefficient times its column"
    if fit.family == "binomial":
        return f"probability = 1 / (1 + exp(-s)), {score}"
    if fit.family == "gaussian":
        return f"number = s, {score}; residual deviation {_digits(fit.deviation)}"
    if fit.family != "cox":
        return f"expected count = exp(s), {score}"
    parts = (f"{one.cumulative_hazard:.6g} by {one.horizon:g}" for one in fit.baseline if one.cumulative_hazard is not None)
    return (
        f"chance of no event by a horizon = exp(-H exp(s - {_digits(fit.center)})), with s each coefficient times its column, "
        f"and H the baseline's cumulative hazard: {', '.join(parts)}"
    )


def goodness(fit: FitRecord) -> str:
    """How well it fits the rows that it was made of."""
    figures = (("log-likelihood", fit.log_likelihood), ("deviance", fit.deviance), ("AIC", fit.aic))
    if all(value is None for _, value in figures):
        return "The record does not say how well it fits: with noise that would have to be paid for"
    said = ", ".join(f"{name} {value:.7g}" for name, value in figures if value is not None)
    return f"{said}, of the rows that the model was made of"


def fit_items(record: RunRecord, fit: FitRecord, study: Study | None) -> dict[str, str]:
    """Items of TRIPOD+AI by their number, where the record of a fit says something else than that of a training."""
    columns = ", ".join(f"{column.name} ({column.unit})" if column.unit else column.name for column in fit.data.columns)
    counted = [column.name for column in fit.data.columns if column.max_missing > 0]
    words = task_of_label(fit.data.label).words
    decision = None if record.model is None else record.model.threshold
    said = {
        "7": "Columns in the unit of the contract, categories as indicators; the contract is in the study file.",
        "8": f"{fit.data.label.name}. How it was assessed: {blank('the clinical lead')}",
        "9": columns,
        "10": f"{fit.rows} rows{f', {fit.events} with the event' if fit.events else ''}. Whether that was enough: "
        f"{blank('the authors')}",
        "11": f"Rows with a missing value were left out ({fit.left_out})"
        + (f", but for {', '.join(counted)}, whose missing values have a coefficient of their own." if counted else "."),
        "12a": _rows_used(study),
        "12c": f"A {NAMES[fit.family]} by {_method(record)} over {fit.sums} sums; all settings in the study file (SHA-256 "
        f"{record.study_hash}).",
        "12d": _intercepts(study),
        "12e": "Wald tests; log-likelihood. Discrimination and calibration are measured by the hospital that accepts the model.",
        "13": "Rows are not weighed by outcome.",
        "15": words.output_of(decision),
        "21": f"{fit.rows} rows{f', {fit.events} with the event' if fit.events else ''}, of {len(record.hospitals)} hospitals.",
        "22": f"{'; '.join(f'{name} {estimate} ({error})' for name, estimate, error, _ in specification(fit))}. {formula(fit)}.",
    }
    return {number: text for number, text in said.items() if text}


def _rows_used(study: Study | None) -> str:
    survival = None if study is None or study.analysis is None else study.analysis.survival
    if survival is not None and survival.held_out:
        return "The patients of [data.splits] held out for tests are not in the fit, and judge it in the study's report."
    return "All rows are in the fit: nothing was held out."


def _intercepts(study: Study | None) -> str:
    survival = None if study is None or study.analysis is None else study.analysis.survival
    if survival is None:
        return "One intercept for all hospitals: differences between hospitals are in the other coefficients."
    stratified = "stratified by hospital" if survival.baseline == "by_hospital" else "of one baseline"
    return f"Coefficients {stratified}; the chances that it gives use one baseline of all hospitals."


def fit_privacy(record: RunRecord) -> Iterator[str]:
    """What leaves a hospital where a regression is fitted without noise."""
    yield "Privacy mode “none”: no patient is protected by a mathematical guarantee."
    if record.engine == "in_process":
        yield "This run was a simulation on one machine that held the data of all hospitals."
    else:
        yield "Rows stayed at their hospital; sums over its rows left."
    if record.summation_mode == "masked":
        yield "The sums were masked: only those over all hospitals could be read."
    else:
        yield "The sums were plain: whoever runs the coordinator could read each hospital's own."
    yield "The coefficients are exact. Hand them only to people who could also be trusted with a table of the data."


def fit_caveats(fit: FitRecord) -> Iterator[str]:
    """What the record does not say."""
    yield "The record says how the model fits the rows that it was made of, and nothing of other patients."
    yield "Association is not cause: a coefficient says what goes with the outcome, and not what to change."
    if fit.family == "gaussian":
        yield "The range around a number takes residuals for normal, and coefficients for known."
    yield "A hospital tests it on its own cases with: wardround clinic accept"
