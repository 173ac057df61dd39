"""A coordinator that chooses points at will: what it reads of single rows, and what a hospital does not answer.

The attack turns a step: at coefficients S (u z - t) with a huge S every row's mean is 0 or 1, and between two neighbouring t the
score changes by the rows that lie between, which is often one. It reads totals alone; masks do not help.
"""

import numpy as np
import pytest

from wardround.algorithms.newton import Curvature, newton
from wardround.analysis.carrying import bounded, exchange_of
from wardround.analysis.protocol import Ask
from wardround.analysis.registry import analysis_of
from wardround.analysis.regression.build import Regression
from wardround.analysis.regression.sums import unpacked
from wardround.values.errors import StudyError
from wardround.values.rows import Rows

from .test_regression import FAMILIES, cohort, split, study_of

ASKS = 24
FARTHEST = 2.0**20


def regression(reach: float, family: str = "binomial", more: str = "") -> Regression:
    analysis = analysis_of(study_of(FAMILIES[family][0] + f"reach = {reach}\n" + more))
    assert isinstance(analysis, Regression)
    return analysis


def total(analysis: Regression, parts: dict[str, Rows], point: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Score, information and how many numbers were clipped, of all hospitals together."""
    exchange = exchange_of(analysis, "newton")
    answers = [
        bounded(analysis.contribution(rows, Ask("newton", {"common": point})), exchange, len(parts)) for rows in parts.values()
    ]
    score, information = (np.sum([one[f"common.{name}"] for one in answers], axis=0) for name in ("score", "information"))
    return score, unpacked(information), sum(int(one["clipped"]) for one in answers)


def rows_read(reach: float, steepness: float, seed: int) -> int:
    """How many of 600 patients' rows are read to the third digit, in as many asks as a study has."""
    analysis, rows = regression(reach), cohort()
    parts = split(rows)
    model = analysis.sums.models[0]
    matrix = model.matrix(rows)
    direction = np.random.default_rng(seed).normal(size=len(model) - 1)
    direction /= np.abs(direction).sum()
    along = matrix[:, 1:] @ direction
    ladder = np.median(along) + np.arange(ASKS) * np.ptp(along) / len(rows)  # one row lies between two rungs, in the mean
    points = [np.concatenate([[-steepness * rung], steepness * direction]) for rung in ladder]
    scores = np.array([total(analysis, parts, point)[0] for point in points])
    read = [change / change[0] for change in np.diff(scores, axis=0) if abs(abs(change[0]) - 1) < 1e-3]
    near = [np.abs(matrix - one).max(axis=1) for one in read]
    return len({int(distance.argmin()) for distance in near if distance.min() < 1e-3})


@pytest.mark.permission
def test_far_points_read_rows_and_those_within_reach_read_none_of_them() -> None:
    """docs/security.md says both. As far as an order may go at all some ten rows are read; as far as a study lets it, none."""
    assert sum(rows_read(FARTHEST, 2.0**17, seed) for seed in range(4)) > 12
    assert [rows_read(200.0, 95.0, seed) for seed in range(4)] == [0, 0, 0, 0]


def test_a_row_far_from_all_others_is_read_within_reach() -> None:
    """What the reach does not stop: the oldest patient, where she is twenty years older than anybody."""
    analysis, rows = regression(200.0), cohort()
    rows.columns["age"][:] = np.minimum(rows["age"], 78.0)
    rows.columns["age"][7] = 99.0
    model, parts = analysis.sums.models[0], split(rows)
    position = model.design.names.index("age, per 10")
    point = np.zeros(len(model))
    point[position] = 95.0
    point[0] = -95.0 * model.matrix(rows)[7, position]
    information = total(analysis, parts, point)[1]
    assert np.allclose(information[0] / information[0, 0], model.matrix(rows)[7], atol=1e-6)


@pytest.mark.parametrize("more", ["", 'term_tests = "likelihood_ratio"\n'])
def test_beyond_reach_a_hospital_adds_nothing_whatever_its_rows_are(more: str) -> None:
    """The same words for every world of rows: all numbers count as clipped, and the coordinator has no result of it."""
    analysis = regression(200.0, more=more)
    order = {"common": np.full(5, 50.0)}
    if more:
        order["without"] = np.zeros(sum(len(one.kept) for one in analysis.sums.reduced))
        far = {"common": np.zeros(5), "without": order["without"] + 90.0}
        assert all(np.isnan(array).all() for array in analysis.contribution(cohort(), Ask("newton", far)).values())
    for rows in (cohort(), cohort(seed=9), cohort(0)):
        assert all(np.isnan(array).all() for array in analysis.contribution(rows, Ask("newton", order)).values())


def test_within_its_reach_a_gaussian_mean_is_held_nowhere() -> None:
    """So that its sums at any point follow from those at one: there is no step to turn."""
    analysis, rows = regression(200.0, "gaussian"), cohort()
    model = analysis.sums.models[0]
    random = np.random.default_rng(0)
    points = [point / np.abs(point).sum() * analysis.sums.reach for point in random.normal(size=(3, len(model)))]
    matrix = model.matrix(rows)
    for point in points:
        score = analysis.contribution(rows, Ask("newton", {"common": point}))["common.score"]
        assert np.allclose(score, matrix.T @ (rows["cost"] - matrix @ point), rtol=1e-9)


def test_an_honest_fit_stays_within_reach() -> None:
    """A step that leads beyond is halved; where the maximum lies beyond, the fit ends there and says so."""
    steps = newton(np.array([50.0, 0.0]), np.zeros(2), 60, reach=10.0)
    point, seen = next(steps), []
    while True:
        seen.append(np.abs(point).sum())
        try:
            point = steps.send(Curvature(float((point - 4.0) @ (point - 4.0)) / 2, 4.0 - point, np.eye(2)))
        except StopIteration as ended:
            assert ended.value.converged and np.allclose(ended.value.point, [4.0, 4.0])
            break
    assert max(seen) <= 10.0 + 1e-9


def test_a_reach_is_a_setting_that_leaves_older_studies_as_they_were() -> None:
    """Hospitals have approved hashes; one below 1 would leave no model."""
    assert study_of(FAMILIES["binomial"][0]).hash == study_of(FAMILIES["binomial"][0] + "reach = 200.0\n").hash
    with pytest.raises(StudyError):
        study_of(FAMILIES["binomial"][0] + "reach = 0.5\n")
