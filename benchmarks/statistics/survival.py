"""Survival through the masked sum: against statsmodels, lifelines and scikit-survival on all rows in one place.

    python benchmarks/statistics/survival.py                  everything, some two minutes on one core
    python benchmarks/statistics/survival.py --only cox       one part: cox, folds, curves, leak

Data: `fed_tcga_brca` as FLamby divides it, six regions as hospitals. `cox_max_difference`: the largest difference of a
coefficient, standard error, p-value or log-likelihood of ten columns from statsmodels' and lifelines'; `exchanges_cox`: the sums
that took. `brca_c`: Harrell's C of 39 columns on FLamby's test patients, by hospital, with the ridge that five folds of the
training patients choose (seeded); `…_common` with one baseline. `brier_max_difference`, `c_from_counts_difference`: of ridge 3,
one baseline, cells of a day, from scikit-survival. `km_max_difference`: of the curve of 1,088 patients over ten years on cells of
91 days. `leak_rows`: patients whose 39 values an attacker reads from the masked totals of a regression with a common baseline;
`leak_rows_without_rule`: with the rule switched off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround as wr
from last_line import last_line
from survival_data import ALL, HORIZONS, TEN, Floats, matrix, regions, study_of
from wardround.analysis.carrying import bounded, exchange_of
from wardround.analysis.protocol import Ask
from wardround.analysis.result import Result
from wardround.analysis.survival.concordance import PairCounts, pairs_of_rows, pairs_of_table
from wardround.analysis.survival.cox_fit import CoxFit, ascent
from wardround.analysis.survival.event_counts import EventCounts, event_counts
from wardround.analysis.survival.kaplan_meier import kaplan_meier
from wardround.analysis.survival.log_rank import log_rank, of_counts
from wardround.analysis.survival.partial_likelihood import FollowUp, LikelihoodSums, likelihood_sums
from wardround.analysis.survival.risk_set_sums import recovered_rows
from wardround.analysis.survival.score_table import score_table
from wardround.analysis.survival.survival import build
from wardround.analysis.survival.time_grid import TimeGrid
from wardround.privacy.disclosure import kept_ends
from wardround.simulation.analysing import analyse
from wardround.study.declaration import Study
from wardround.values.rows import Rows, joined_rows

RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0)
FOLDS = 5


def masked(study: Study, hospitals: Mapping[str, Rows]) -> Result:
    """The result by masked sums over hospitals of this machine."""
    with tempfile.TemporaryDirectory(prefix="wardround-survival-") as folder:
        return analyse(study, hospitals, out=Path(folder) / "run", workers=0, progress=False, register=False).result


def region_numbers(hospitals: Mapping[str, Rows]) -> Floats:
    return np.concatenate([np.full(len(rows), float(number)) for number, rows in enumerate(hospitals.values())])


def cox(hospitals: Mapping[str, Rows]) -> dict[str, float]:
    """Ten columns, by hospital."""
    import pandas
    from lifelines import CoxPHFitter
    from statsmodels.duration.api import PHReg

    whole, regions_of = joined_rows(hospitals), region_numbers(hospitals)
    train = whole.splits != "test"
    columns, times, died = matrix(whole, TEN)[train], whole["days"][train], whole["died"][train]
    worst, sums = 0.0, 0
    print("\nCox, ten columns, 866 patients, by hospital, masked\n")
    print("| ties | sums | coefficient | standard error | p | log-likelihood | lifelines: coefficient | standard error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for ties in ("efron", "breslow"):
        ours = masked(study_of(TEN, ties=ties), hospitals).figures
        theirs = PHReg(times, columns, status=died, ties=ties, strata=regions_of[train]).fit(tol=1e-14)
        pairs = [
            (ours["coefficients"], theirs.params),
            (ours["standard_errors"], theirs.bse),
            (ours["p"], theirs.pvalues),
            ([ours["log_likelihood"]], [theirs.llf]),
        ]
        apart = [float(np.abs(np.array(one) - np.array(other)).max()) for one, other in pairs]
        if ties == "efron":
            frame = pandas.DataFrame(columns, columns=list(TEN)).assign(days=times, died=died, region=regions_of[train])
            lines = CoxPHFitter().fit(
                frame, "days", "died", strata=["region"], fit_options={"precision": 1e-20, "r_precision": -1.0}
            )
            apart.append(float(np.abs(np.array(ours["coefficients"]) - lines.params_.to_numpy()).max()))
            apart.append(float(np.abs(np.array(ours["standard_errors"]) - lines.standard_errors_.to_numpy()).max()))
            for name in TEN[:2]:
                at = TEN.index(name)
                said = f"{ours['coefficients'][at]:.6f} ({ours['standard_errors'][at]:.6f})"
                print(f"<!-- {name}: {said} -->")
        worst, sums = max(worst, *apart), max(sums, ours["exchanges"])
        print(
            f"| {ties} | {ours['exchanges']} | {' | '.join(f'{one:.0e}' for one in apart)} |" + (" | |" if len(apart) < 6 else "")
        )
    return {"cox_max_difference": worst, "exchanges_cox": sums}


def fitted(parts: list[FollowUp], ridge: float) -> CoxFit:
    """By hospital, without masks: folds are many."""
    steps = ascent(ALL, np.full(len(ALL), ridge), 25)
    point = next(steps)
    while True:
        total = LikelihoodSums.none(len(ALL))
        for part in parts:
            total += likelihood_sums(part, point)
        try:
            point = steps.send(total)
        except StopIteration as ended:
            fit: CoxFit = ended.value
            return fit


def chosen_ridge(hospitals: Mapping[str, Rows], seed: int) -> float:
    """By the concordance within hospitals on folds of the training patients."""
    random = np.random.default_rng(seed)
    parts, folds = [], []
    for rows in hospitals.values():
        train = rows.select(rows.splits != "test")
        parts.append(FollowUp(matrix(train, ALL), train["days"], train["died"] == 1))
        folds.append(random.integers(0, FOLDS, len(train)))
    scores = {}
    for ridge in RIDGES:
        counts = np.zeros(3, np.int64)
        for fold in range(FOLDS):
            inside = [_select(part, own != fold) for part, own in zip(parts, folds, strict=True)]
            fit = fitted(inside, ridge)
            for part, own in zip(parts, folds, strict=True):
                judged = _select(part, own == fold)
                pairs = pairs_of_rows(judged.columns @ fit.coefficients, judged.times, judged.events)
                counts += np.array([pairs.concordant, pairs.discordant, pairs.tied])
        scores[ridge] = PairCounts(*map(int, counts)).index
    print("\nRidge by five folds of the training patients: " + ", ".join(f"{ridge:g}: {c:.4f}" for ridge, c in scores.items()))
    return max(scores, key=lambda ridge: scores[ridge])


def _select(part: FollowUp, rows: Any) -> FollowUp:
    return FollowUp(part.columns[rows], part.times[rows], part.events[rows])


def folds(hospitals: Mapping[str, Rows], seed: int) -> dict[str, float]:
    """39 columns on FLamby's test patients."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.metrics import brier_score, concordance_index_censored, cumulative_dynamic_auc

    whole = joined_rows(hospitals)
    train = whole.splits != "test"
    columns, times, died = matrix(whole, ALL), whole["days"], whole["died"] == 1
    kinds = [("event", bool), ("time", float)]
    outcomes = np.array(list(zip(died, times, strict=True)), dtype=kinds)
    ridge = chosen_ridge(hospitals, seed)
    figures: dict[str, float] = {}
    for penalty in sorted({ridge, 3.0}):
        model = CoxPHSurvivalAnalysis(alpha=penalty, n_iter=200, tol=1e-13).fit(columns[train], outcomes[train])
        scores = columns[~train] @ model.coef_
        chances = np.array([[curve(time) for time in HORIZONS] for curve in model.predict_survival_function(columns[~train])])
        briers = brier_score(outcomes[train], outcomes[~train], chances, HORIZONS)[1]
        areas = cumulative_dynamic_auc(outcomes[train], outcomes[~train], scores, HORIZONS)[0]
        theirs_c = concordance_index_censored(died[~train], times[~train], scores)[0]
        print(f"\n39 columns, ridge {penalty:g}, 222 test patients with 32 events\n")
        print("| model | sums | C, all pairs | from counts | within hospitals | Brier 2, 3, 5 years | area under ROC |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for baseline, cell in (("by_hospital", 91), ("common", 1), ("common", 91)):
            ties = "efron" if baseline == "by_hospital" else "breslow"
            rule = {"smallest_cell": 1, "until": 8605} if cell == 1 else {}  # without the rule, to compare with
            study = study_of(ALL, ridge=penalty, horizons=HORIZONS, baseline=baseline, ties=ties, cell=cell, **rule)
            ours = masked(study, hospitals).figures
            own_scores = columns[~train] @ np.array(ours["coefficients"])
            exact = concordance_index_censored(died[~train], times[~train], own_scores)[0]
            own_briers, own_areas = ([one[key] for one in ours["horizons"]] for key in ("brier", "area"))
            cells = f"{ours['exchanges']} | {exact:.4f} | {ours['concordance']:.4f} | {ours['concordance_within']:.4f}"
            print(
                f"| {baseline.replace('_', ' ')}, cells of {cell} | {cells} | {listed(own_briers, 4)} | {listed(own_areas, 3)} |"
            )
            if penalty == ridge and cell == 1:
                figures["brca_c_common"] = exact
            if penalty == ridge and baseline == "by_hospital":
                figures["brca_c"] = exact
            if penalty == 3.0 and cell == 1:
                figures["common_max_difference"] = float(np.abs(np.array(ours["coefficients"]) - model.coef_).max())
                figures["brier_max_difference"] = float(np.abs(np.array(own_briers) - briers).max())
                figures["area_max_difference"] = float(np.abs(np.array(own_areas) - areas).max())
            if penalty == 3.0 and cell == 1:
                figures["c_from_counts_difference"] = abs(c_from_counts(whole, np.array(ours["coefficients"])) - exact)
        print(f"| scikit-survival, one place | | {theirs_c:.4f} | | | {listed(briers, 4)} | {listed(areas, 3)} |")
    return figures


def c_from_counts(whole: Rows, coefficients: Floats) -> float:
    """Of the test patients, from 1,024 bins of the score by single days, to the last one."""
    train = whole.splits != "test"
    predictor, grid = matrix(whole, ALL) @ coefficients, TimeGrid.every(1, 8605)
    test, died = ~train, whole["died"] == 1
    centred = predictor[test] - predictor[train].mean()
    return pairs_of_table(score_table(centred, whole["days"][test], died[test], grid, 1024), grid).index


def listed(values: Any, digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def curves(hospitals: Mapping[str, Rows]) -> dict[str, float]:
    """1,088 patients over ten years, and the test between regions."""
    from lifelines import KaplanMeierFitter

    whole = joined_rows(hospitals)
    pooled = KaplanMeierFitter().fit(whole["days"], whole["died"])
    print("\nKaplan-Meier over ten years, 1,088 patients, masked counts\n")
    print("| cells of | largest difference | cells with patients leaving | of fewer than 5 | the rule leaves |")
    print("| --- | --- | --- | --- | --- |")
    figures: dict[str, float] = {}
    for width in (1, 30, 91, 182):
        grid = TimeGrid.every(width, 3650)
        counts = EventCounts(grid, masked_counts(hospitals, grid, apart=False))
        theirs = pooled.survival_function_at_times(np.array(grid.ends)).to_numpy()
        apart = float(np.abs(kaplan_meier(counts).survival - theirs).max())
        leaving = counts.leaving[0]
        kept = int(kept_ends(np.append(leaving, counts.entering[0, -1])[None], 5).sum())
        filled, few = int((leaving > 0).sum()), int(((leaving > 0) & (leaving < 5)).sum())
        print(f"| {width} | {apart:.1e} | {filled} | {few} | {kept} cells |")
        if width == 91:
            figures["km_max_difference"] = apart
    for width in (1, 91):
        grid = TimeGrid.every(width, 8645)
        test = log_rank(of_counts(EventCounts(grid, masked_counts(hospitals, grid, apart=True))))
        print(
            f"\nLog-rank of the regions from cells of {width}: chi-square {test.statistic:.6f}, df {test.freedom}, p {test.p:.5f}"
        )
        if width == 1:
            figures["log_rank"] = test.statistic
    return figures


def masked_counts(hospitals: Mapping[str, Rows], grid: TimeGrid, *, apart: bool) -> Any:
    """(groups, cells + 1, 2): one group, or one for each region."""
    groups = len(hospitals) if apart else 1
    values = {}
    for number, (name, rows) in enumerate(hospitals.items()):
        own = np.full(len(rows), number if apart else 0)
        values[name] = event_counts(rows["days"], rows["died"].astype(np.int64), own, grid, (groups, 1))
    return wr.secure_sum(values)["values"]


def leak(hospitals: Mapping[str, Rows]) -> dict[str, float]:
    """Rows that an attacker reads from masked totals, by days and by quarters, without the rule and with it."""
    figures: dict[str, float] = {}
    print("\nAn attacker's rows of 866, from the masked totals of risk sets\n")
    print("| cells of | rule off | rule on |\n| --- | --- | --- |")
    for cell in (1, 91):
        off, on = recovered(hospitals, cell, 1), recovered(hospitals, cell, 5)
        print(f"| {cell} | {off} | {on} |")
        if cell == 1:
            figures = {"leak_rows": on, "leak_rows_without_rule": off}
    return figures


def recovered(hospitals: Mapping[str, Rows], cell: int, smallest_cell: int) -> int:
    """How many training patients' rows are among the quotients of what leaves in each cell."""
    settings = {"baseline": "common", "ties": "breslow", "cell": cell, "until": 8605, "ridge": 3.0}
    analysis = build(study_of(ALL, smallest_cell=smallest_cell, **settings))
    declared = analysis.parts.declared
    fitted_counts = total_of(analysis, hospitals, Ask("counts"))["fitted"].sum(axis=1)
    start = {"coefficients": np.zeros(len(ALL)), "centre": np.zeros(1), "leaving": fitted_counts.astype(np.float64)}
    totals = total_of(analysis, hospitals, Ask("risk_sets", start))
    read = recovered_rows(np.where(totals["weights"] > 0.5, totals["weights"], 0.0), totals["columns"])
    real = declared.modelled(joined_rows(hospitals)).columns
    real_rows = {spelled_row(row) for row in real}
    hit = real_rows & {spelled_row(row) for row in read}
    return sum(spelled_row(row) in hit for row in real)


def spelled_row(row: Floats) -> tuple[float, ...]:
    return tuple(np.round(row, 6) + 0.0)


def total_of(analysis: Any, hospitals: Mapping[str, Rows], ask: Ask) -> Any:
    """What the coordinator sees of one exchange."""
    exchange = exchange_of(analysis, ask.label)
    values = {name: bounded(analysis.contribution(rows, ask), exchange, len(hospitals)) for name, rows in hospitals.items()}
    bounds = {name: quantity.bound for name, quantity in exchange.quantities.items() if quantity.bound is not None}
    return wr.secure_sum(values, bound=bounds).total


PARTS = {"cox": cox, "folds": folds, "curves": curves, "leak": leak}


def main() -> None:
    parser = argparse.ArgumentParser(description="Survival through the masked sum.")
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of the libraries that are compared with
    hospitals, figures = regions(), dict[str, float]()
    for name in (arguments.only,) if arguments.only else PARTS:
        figures |= folds(hospitals, arguments.seed) if name == "folds" else PARTS[name](hospitals)  # type: ignore[operator]
    print("\n" + last_line(figures, arguments.seed))


if __name__ == "__main__":
    main()
