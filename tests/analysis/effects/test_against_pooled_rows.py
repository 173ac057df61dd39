"""Every figure against the same figure from the rows themselves, by another library or by the formula written out."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import ARMS, analysis, patients
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.build import EffectAnalysis
from wardround.analysis.effects.rows import EffectRows, Floats, Integers
from wardround.analysis.effects.steps import Findings, coordinated, exchanges, share
from wardround.analysis.protocol import Ask, Total
from wardround.values.rows import Rows

statsmodels = pytest.importorskip("statsmodels.api")


def findings(asked: EffectAnalysis, rows: Rows, hospitals: int = 3) -> tuple[Findings, EffectRows]:
    """What the totals of several hospitals say, and all rows in one place."""
    frame = asked.frame
    parts = [asked.read(part)[0] for part in divided(rows, hospitals).values()]
    stated = {exchange.label: exchange for exchange in exchanges(frame, 25)}

    def sum_of(ask: Ask) -> Total:
        own = [share(part, ask, frame) for part in parts]
        return Total({name: np.sum([one[name] for one in own], axis=0) for name in stated[ask.label].quantities})

    steps = coordinated(frame, 25)
    ask = next(steps)
    while True:
        try:
            ask = steps.send(sum_of(ask))
        except StopIteration as ended:
            return ended.value, asked.read(rows)[0]


def pooled_scores(found_by: Findings, rows: EffectRows, propensity: bool) -> Floats:
    """psi by its formula, row by row, from the fitted models."""
    scores = np.empty((len(rows), len(ARMS)))
    outcome, fitted = found_by.nuisance.outcome, found_by.nuisance.propensity
    for row in range(len(rows)):
        z, fold = rows.design[row], rows.folds[row]
        linear = np.concatenate([[0.0], fitted[fold] @ z]) if propensity else np.zeros(3)
        chances = np.exp(linear - logsumexp(linear))
        for arm in range(3):
            mean = float(np.clip(outcome.coefficients[arm, fold] @ z, 0.0, 4.0))
            residual = rows.outcome[row] - mean if rows.arms[row] == arm else 0.0
            scores[row, arm] = mean + residual / chances[arm]
    return scores


def test_unadjusted_effects_are_welchs() -> None:
    """The first line of every trial's table."""
    rows = patients()
    figures = in_one_place(analysis(probabilities=[1 / 3] * 3), divided(rows, 3)).figures["averages"]["unadjusted"]
    for at, arm in enumerate((1, 2)):
        compared = stats.ttest_ind(rows["score"][rows["arm"] == arm], rows["score"][rows["arm"] == 0], equal_var=False)
        assert np.isclose(figures["effects"][at] / figures["errors"][at], compared.statistic, rtol=1e-10)


def test_lins_regression_is_statsmodels_with_interactions_and_hc2() -> None:
    """One regression with treatment, centred columns and all products; robust errors."""
    asked, rows = analysis(probabilities=[1 / 3] * 3), patients(seed=3)
    figures = in_one_place(asked, divided(rows, 4)).figures["averages"]["Lin"]
    read = asked.read(rows)[0]
    centred = read.design[:, 1:] - read.design[:, 1:].mean(axis=0)
    treated = np.stack([read.arms == 1, read.arms == 2], axis=1).astype(float)
    products = [treated[:, [arm]] * centred for arm in range(2)]
    design = np.concatenate([np.ones((len(read), 1)), treated, centred, *products], axis=1)
    fit = statsmodels.OLS(read.outcome * 25.0, design).fit(cov_type="HC2")
    assert np.allclose(figures["effects"], fit.params[1:3], rtol=1e-9)
    # statsmodels takes the columns' mean as given, and so do we.
    assert np.allclose(figures["errors"], fit.bse[1:3], rtol=1e-9)


def test_interactions_are_statsmodels_products() -> None:
    """Treatment times column, with its robust error and the joint test of all columns."""
    asked, rows = analysis(probabilities=[1 / 3] * 3), patients(seed=3, differs=5.0)
    result = in_one_place(asked, divided(rows, 2))
    read = asked.read(rows)[0]
    treated = np.stack([read.arms == 1, read.arms == 2], axis=1).astype(float)
    design = np.concatenate([read.design, treated, *(treated[:, [arm]] * read.design[:, 1:] for arm in range(2))], axis=1)
    fit = statsmodels.OLS(read.outcome * 25.0, design).fit(cov_type="HC2")
    table = result.table("interactions")
    shown = [row for row in table.rows if row[1] == "female"]
    assert np.allclose(np.array([row[2] for row in shown], float), fit.params[[8, 12]], rtol=1e-8)
    assert np.allclose(np.array([row[3] for row in shown], float), fit.bse[[8, 12]], rtol=1e-8)
    contrast = np.eye(len(fit.params))[7:11]
    wald = fit.wald_test(contrast, use_f=False, scalar=True)
    assert np.isclose(result.figures["interactions"]["new"]["chi_square"], wald.statistic, rtol=1e-7)


@pytest.mark.parametrize("chosen", [False, True])
def test_doubly_robust_averages_are_the_means_of_the_formula(chosen: bool) -> None:
    """Means and errors of psi, by the models of training sets that left the patient's fold out."""
    settings = {} if chosen else {"probabilities": [1 / 3] * 3}
    asked, rows = analysis(**settings), patients(chosen=chosen, seed=4)
    found_by, read = findings(asked, rows)
    scores = pooled_scores(found_by, read, chosen)
    figures = in_one_place(asked, divided(rows, 3)).figures["averages"]["AIPW"]
    for at, arm in enumerate((1, 2)):
        contrast = 25.0 * (scores[:, arm] - scores[:, 0])
        assert np.isclose(figures["effects"][at], contrast.mean(), rtol=1e-9)
        assert np.isclose(figures["errors"][at], contrast.std() / np.sqrt(len(contrast)), rtol=1e-8)


def test_outcome_models_are_ridge_regressions_without_the_folds() -> None:
    """A model that saw the patient would flatter itself."""
    asked, rows = analysis(probabilities=[1 / 3] * 3, penalties=[10.0]), patients(seed=5)
    found_by, read = findings(asked, rows)
    weights = 10.0 * np.var(read.design, axis=0)
    for number, left_out in enumerate(asked.frame.left_out):
        seen = (read.arms == 1) & ~np.isin(read.folds, list(left_out))
        design, outcome = read.design[seen], read.outcome[seen]
        stacked = np.concatenate([design, np.diag(np.sqrt(weights))])
        line = np.linalg.lstsq(stacked, np.concatenate([outcome, np.zeros(len(weights))]), rcond=None)[0]
        assert np.allclose(found_by.nuisance.outcome.coefficients[1, number], line, rtol=1e-9, atol=1e-11)


def test_probabilities_are_the_penalised_multinomial_maximum() -> None:
    """Newton through sums against a minimiser over all rows."""
    asked, rows = analysis(), patients(chosen=True, seed=6)
    found_by, read = findings(asked, rows)
    weights = np.var(read.design, axis=0)
    for number in (0, asked.frame.folds, asked.frame.sets - 1):
        seen = ~np.isin(read.folds, list(asked.frame.left_out[number]))
        design, arms = read.design[seen], read.arms[seen]

        def loss(flat: Floats, design: Floats = design, arms: Integers = arms) -> float:
            linear = np.concatenate([np.zeros((len(arms), 1)), design @ flat.reshape(2, -1).T], axis=1)
            log_likelihood = linear[np.arange(len(arms)), arms] - logsumexp(linear, axis=1)
            return float(-log_likelihood.sum() + 0.5 * np.sum(weights * flat.reshape(2, -1) ** 2))

        best = optimize.minimize(loss, np.zeros(2 * len(weights)), method="BFGS", options={"gtol": 1e-6})
        assert np.allclose(found_by.nuisance.propensity[number].reshape(-1), best.x, atol=1e-5)


def test_models_with_a_logarithmic_link_are_statsmodels_poisson() -> None:
    """Quasi-likelihood: the same equations, whatever the outcomes' distribution. A penalty near 0 leaves them alone."""
    asked, rows = analysis(probabilities=[1 / 3] * 3, links=["log"], penalties=[1e-7]), patients(seed=7)
    found_by, read = findings(asked, rows)
    assert found_by.nuisance.outcome.links.tolist() == [1, 1, 1]
    for arm in range(3):
        own = read.arms == arm
        fit = statsmodels.GLM(read.outcome[own], read.design[own], family=statsmodels.families.Poisson()).fit(tol=1e-12)
        assert np.allclose(found_by.nuisance.outcome.coefficients[arm, asked.frame.folds], fit.params, atol=1e-6)


def test_halves_are_the_means_of_the_scores_in_them() -> None:
    """For whom more and for whom less."""
    asked, rows = analysis(probabilities=[1 / 3] * 3), patients(seed=8)
    found_by, read = findings(asked, rows)
    contrast = 25.0 * np.diff(pooled_scores(found_by, read, False)[:, :2], axis=1)[:, 0]
    table = in_one_place(asked, divided(rows, 3)).table("halves")
    shown = {str(row[1]): np.array(row[2:6], float) for row in table.rows if row[0] == "new"}
    for name, inside in (("female = 1", rows["female"] == 1), ("female = 0", rows["female"] == 0)):
        assert shown[name][0] == inside.sum()
        assert np.isclose(shown[name][1], contrast[inside].mean(), rtol=1e-9)
        half = 1.959963984540054 * contrast[inside].std(ddof=1) / np.sqrt(inside.sum())
        assert np.isclose(shown[name][3] - shown[name][1], half, rtol=1e-8)
