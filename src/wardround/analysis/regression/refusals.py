"""What a regression refuses, by name: too little to fit, columns that cannot be told apart, separation, no end.

Each refusal says which column it is, and why. It is made from totals alone.
"""

import numpy as np

from wardround.algorithms.newton import DECREMENT, Aliased, Fit, Matrix, Vector, aliased_columns
from wardround.analysis.protocol import Total
from wardround.analysis.regression.sums import Model, RegressionSums, unpacked
from wardround.privacy.disclosure import shown_count
from wardround.values.errors import DataError

SEPARATED = 100.0
"""So many times larger than at the start is the standard error of a coefficient that grows without end: each step adds about one
to the linear predictor of the rows that it tells, and their weights shrink by e."""
SINGULAR = 1e-13
WORTH_SAYING = 1e-6


def require_enough(start: Total, sums: RegressionSums) -> None:
    """DataError where there are too few rows or events for the model's coefficients."""
    rows, smallest = int(start["rows"]), sums.settings.smallest_cell
    largest = max(len(model) for model in sums.models)
    if rows <= largest or rows < smallest:
        raise DataError(
            "The hospitals together have too few complete rows for this model",
            expected=f"more than {max(largest, smallest - 1)}",
            found=f"{shown_count(rows, smallest)} complete, {shown_count(int(start['left_out']), smallest)} left out",
            hint='use fewer terms, or set missing = "indicator" where most values are missing',
        )
    section = sums.section
    if section.family in ("gaussian", "gamma"):
        return
    events = int(start["events"])
    fewer = min(events, rows - events) if section.family == "binomial" else events
    slopes = max(len(model.design.columns) for model in sums.models)
    if fewer < smallest or fewer < section.events_per_coefficient * slopes:
        kind = "rows of the rarer outcome" if section.family == "binomial" else "events"
        raise DataError(
            f"There are too few {kind} for {slopes} coefficients",
            expected=f"at least {max(smallest, int(np.ceil(section.events_per_coefficient * slopes)))} "
            f"({section.events_per_coefficient:g} for each, analysis.regression.events_per_coefficient)",
            found=shown_count(fewer, smallest),
            hint="use fewer terms; or lower events_per_coefficient, and say so in the paper",
        )


def require_determined(start: Total, model: Model, sums: RegressionSums) -> None:
    """DataError where a column is made up by others, or is 1 in fewer rows than may be shown. A ridge tells columns apart."""
    rows, smallest = int(start["rows"]), sums.settings.smallest_cell
    names, ones = model.design.names, start[f"{model.name}.ones"]
    for name, counted, count in zip(names, model.counted, ones.tolist(), strict=True):
        fewer = min(count, rows - count)
        if counted and 0 < fewer < smallest and not (count > fewer and name.startswith("intercept")):
            raise DataError(
                f"The column {name!r} is {'1' if count <= fewer else '0'} in too few rows of all hospitals together",
                expected=f"at least {smallest} (analysis.smallest_cell)",
                found=shown_count(fewer, smallest),
                hint="join the category with another, or take the term out",
            )
    if sums.section.ridge == 0 and (aliased := aliased_columns(unpacked(start[f"{model.name}.information"]))):
        raise DataError(
            "Columns of the model cannot be told apart",
            found="; ".join(_why(one, model) for one in aliased),
            hint="take the terms of these columns out, or set analysis.regression.ridge",
        )


def _why(aliased: Aliased, model: Model) -> str:
    """Which column it is, and what makes it up: in the columns as they are reported."""
    names = model.design.names
    name = names[aliased.column]
    if not aliased.weights.any():
        shifted = model.to_reported[: len(model.design.intercepts), aliased.column].any()
        return f"{name!r} is the same in every row" if shifted else f"{name!r} is 0 in every row"
    weights = zip(names, _unshifted(aliased, model), strict=True)
    said = [(other, weight) for other, weight in weights if abs(weight) > WORTH_SAYING]
    if all(other in model.design.intercepts for other, _ in said):
        return f"{name!r} is the same in every row" if len(said) <= 1 else f"{name!r} never varies within a hospital"
    terms = [other if abs(weight - 1.0) < WORTH_SAYING else f"{weight:.4g} × {other}" for other, weight in said]
    return f"{name!r} equals {' + '.join(terms)}".replace("+ -", "- ")


def _unshifted(aliased: Aliased, model: Model) -> np.ndarray:
    """Weights of the reported columns: z_j = sum w_i z_i, with each z = (x - c) / s, is solved for x_j."""
    size = len(model)
    relation = -aliased.weights.copy()
    relation[aliased.column] = 1.0
    # The linear predictor relation' z is 0 in every row; to_reported takes it to reported columns.
    reported = model.to_reported @ relation
    weights = np.zeros(size)
    others = np.arange(size) != aliased.column
    weights[others] = -reported[others] / reported[aliased.column]
    return weights


def require_inside(model: Model, start: Total, total: Total, sums: RegressionSums) -> None:
    """DataError where a coefficient grows without end: some column, or several together, tell the outcome of every row, or of all
    rows with one value. The standard error of such a coefficient grows with it."""
    if sums.section.ridge > 0 or sums.section.family == "gaussian":
        return
    before, now = (_variances(unpacked(one[f"{model.name}.information"])) for one in (start, total))
    growth = np.sqrt(now / before)
    slopes = np.arange(len(model)) >= len(model.design.intercepts)
    worst = np.flatnonzero((growth > SEPARATED) & slopes)
    if len(worst) or (growth > SEPARATED).any():
        names = [model.design.names[column] for column in worst]
        raise _separated(names or list(model.design.intercepts))


def _variances(information: Matrix) -> Vector:
    """The diagonal of the inverse; infinite where the information is singular to working precision."""
    diagonal = np.diag(information)
    if not (np.isfinite(information).all() and (diagonal > 0).all()):
        return np.where(diagonal > 0, 1.0, np.inf)
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information * scale[:, None] * scale)
    inverse = np.divide(1.0, values, out=np.full(len(values), np.inf), where=values > SINGULAR)
    with np.errstate(invalid="ignore"):
        variances: Vector = np.nansum(np.where(vectors**2 > SINGULAR, vectors**2 * inverse, 0.0), axis=1) * scale**2
    return variances


def _separated(names: list[str]) -> DataError:
    return DataError(
        "The outcome is told without error by some of the columns (separation), so that coefficients grow without end",
        found=", ".join(map(repr, names)),
        hint="take the term out or join its categories, or set analysis.regression.ridge",
    )


def require_ended(fit: Fit, sums: RegressionSums) -> None:
    """DataError where the steps did not come to an end."""
    if fit.converged:
        return
    raise DataError(
        f"The fit has not come to an end after {fit.asked} sums",
        expected=f"a last step below {DECREMENT:g} standard errors",
        found=f"{fit.decrement:.3g}",
        hint=f"raise analysis.exchanges above {sums.settings.exchanges}; where it grows no nearer, columns may tell the outcome "
        "(separation): use fewer terms, or set analysis.regression.ridge; where a column's range is far wider than its values, "
        "raise analysis.regression.reach",
    )
