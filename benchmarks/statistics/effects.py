"""Effects of treatments through the masked sum: against the rows in one place, and against effects that are known.

    python benchmarks/statistics/effects.py                  both parts, a minute on one core
    python benchmarks/statistics/effects.py --only actg      ACTG 175: 2139 patients, four arms, as four hospitals
    python benchmarks/statistics/effects.py --only ihdp      IHDP, ten replications, 90 % of the patients at three hospitals

`aipw_max_difference` is the largest difference of a doubly robust effect or its error, in CD4 cells, between four hospitals
through the masked sum and a computation over all rows that shares no code with it. `narrower` is by how much the least narrowed
of the three intervals is narrower than the unadjusted one. `pehe_mean`, `pehe_median`: root of the mean squared error of the
predicted effect of patients who were in no sum, over the replications, by the T-learner with links chosen by held-out patients;
`…_lines` with straight lines alone, `…_curves` with splines of five numbers. The division of IHDP into 672 and 75 patients is
drawn by NumPy's generator, seed 1000 * seed + replication.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from treatment_data import Floats, actg_rows, actg_study, ihdp, ihdp_study
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.build import EffectAnalysis, build
from wardround.analysis.effects.learners import LEARNERS
from wardround.analysis.effects.predicting import effects_for
from wardround.analysis.result import Result
from wardround.simulation.analysing import analyse
from wardround.study.declaration import Study
from wardround.values.rows import Rows


def hospitals_of(rows: Rows, names: tuple[str, ...], seed: int) -> dict[str, Rows]:
    """The rows divided at random."""
    homes = np.random.default_rng(seed).integers(0, len(names), len(rows))
    return {name: rows.select(homes == number) for number, name in enumerate(names)}


def masked(study: Study, hospitals: Mapping[str, Rows]) -> tuple[Result, int]:
    """The result by masked sums over hospitals of this machine, and how many sums it took."""
    with tempfile.TemporaryDirectory(prefix="wardround-effects-") as folder:
        run = analyse(study, hospitals, out=Path(folder) / "run", workers=0, progress=False, register=False)
        return run.result, run.exchanges


def pooled_averages(analysis: EffectAnalysis, rows: Rows) -> tuple[Floats, Floats]:
    """Doubly robust effects and errors from all rows in one place, by least squares and a loop over folds."""
    read, frame = analysis.read(rows)[0], analysis.frame
    scores = np.empty((len(read), len(frame.arms)))
    widths = np.sqrt(np.var(read.design, axis=0))

    def line(seen: Floats, penalty: float) -> Floats:
        design = np.concatenate([read.design[seen], np.diag(np.sqrt(penalty) * widths)])
        outcome = np.concatenate([read.outcome[seen], np.zeros(frame.size)])
        return np.asarray(np.linalg.lstsq(design, outcome, rcond=None)[0])

    for arm in range(len(frame.arms)):
        own = read.arms == arm
        errors = []
        for penalty in frame.ridges:
            lines = [line(own & (read.folds != fold), penalty) for fold in range(frame.folds)]
            held_out = [own & (read.folds == fold) for fold in range(frame.folds)]
            errors.append(
                sum(np.sum((read.outcome[part] - read.design[part] @ lines[fold]) ** 2) for fold, part in enumerate(held_out))
            )
        penalty = frame.ridges[int(np.argmin(errors))]
        for fold in range(frame.folds):
            inside = read.folds == fold
            expected = np.clip(read.design[inside] @ line(own & ~inside, penalty), *frame.outcome_range)
            assert frame.probabilities is not None
            residual = np.where(own[inside], read.outcome[inside] - expected, 0.0) / frame.probabilities[arm]
            scores[inside, arm] = expected + residual
    contrasts = analysis.scale * (scores[:, 1:] - scores[:, :1])
    return contrasts.mean(axis=0), contrasts.std(axis=0) / np.sqrt(len(contrasts))


def actg(seed: int) -> dict[str, float]:
    """Averages, rules and what the report says of them."""
    analysis, rows = build(actg_study()), actg_rows()
    hospitals = hospitals_of(rows, ("east", "north", "south", "west"), seed)
    result, sums = masked(actg_study(), hospitals)
    averages = result.figures["averages"]
    effects, errors = pooled_averages(analysis, rows)
    print(f"\nACTG 175, CD4 cells at 20 weeks against {analysis.frame.arms[0]}, four hospitals, {sums} sums\n")
    print("| treatment | unadjusted | Lin | AIPW | AIPW, all rows in one place |\n| --- | --- | --- | --- | --- |")
    for at, arm in enumerate(analysis.frame.arms[1:]):
        cells = [f"{averages[way]['effects'][at]:.2f} ({averages[way]['errors'][at]:.2f})" for way in averages]
        print(f"| {arm} | {' | '.join(cells)} | {effects[at]:.2f} ({errors[at]:.2f}) |")
    print("\n| rule | value (error) | against the best arm for all |\n| --- | --- | --- |")
    best = max(averages["AIPW"]["means"])
    print(f"| best arm for all | {best:.1f} | |")
    for name, rule in result.figures["rules"].items():
        gain = f"{rule['gain']:.1f} ({rule['gain_error']:.1f})"
        print(f"| predicted best ({name}) | {rule['value']:.1f} ({rule['error']:.1f}) | {gain} |")
    print("\n" + "\n".join(result.notes))
    apart = np.abs([np.array(averages["AIPW"]["effects"]) - effects, np.array(averages["AIPW"]["errors"]) - errors])
    plain = np.array(averages["unadjusted"]["errors"])
    return {
        "aipw_max_difference": float(apart.max()),
        "narrower": float((1 - np.array(averages["AIPW"]["errors"]) / plain).min()),
        "exchanges_effect": sums,
        "best_arm": float(best),
        "best_rule": max(rule["value"] for rule in result.figures["rules"].values()),
    }


def ihdp_part(seed: int) -> dict[str, float]:
    """Effects of single patients who were in no sum, and averages, against the known ones."""
    print("\nIHDP, ten replications: root of the mean squared error of the effect for 75 patients who were in no sum\n")
    print(f"| replication | {' | '.join(LEARNERS)} | links | average: found - true (error) |\n{'| --- ' * (len(LEARNERS) + 3)}|")
    analysis = build(ihdp_study(links=["identity", "log"]))
    others = {"lines": build(ihdp_study()), "curves": build(ihdp_study(curves=["x1", "x2", "x3", "x5", "x6"]))}
    other_distances: dict[str, list[float]] = {name: [] for name in others}
    distances, covered, apart = [], 0, 0.0
    for number in range(1, 11):
        replication = ihdp(number)
        order = np.random.default_rng(1000 * seed + number).permutation(len(replication.rows))
        test, train = order[:75], np.sort(order[75:])
        rows = replication.rows.select(train)
        result = in_one_place(analysis, hospitals_of(rows, ("a", "b", "c"), seed))
        whole = in_one_place(analysis, {"all": rows})
        apart = max(apart, largest_difference(result, whole))
        new, true = replication.rows.select(test), replication.effects[test]
        rmse = [float(np.sqrt(np.mean((effects_for(analysis, result, new, kind)["1"] - true) ** 2))) for kind in LEARNERS]
        for name, other in others.items():
            effects = effects_for(other, in_one_place(other, {"all": rows}), new, "T")["1"]
            other_distances[name].append(float(np.sqrt(np.mean((effects - true) ** 2))))
        distances.append(rmse)
        average = result.figures["averages"]["AIPW"]
        off, error = average["effects"][0] - float(replication.effects[train].mean()), average["errors"][0]
        covered += abs(off) < 1.959964 * error
        links = ", ".join(result.figures["models"]["links"])
        print(f"| {number} | {' | '.join(f'{one:.2f}' for one in rmse)} | {links} | {off:.2f} ({error:.2f}) |")
    table = np.array(distances)
    print(f"| mean | {' | '.join(f'{one:.2f}' for one in table.mean(axis=0))} | | |")
    print(f"| median | {' | '.join(f'{one:.2f}' for one in np.median(table, axis=0))} | | covered: {covered} of 10 |")
    t_learner = table[:, LEARNERS.index("T")]
    for name, ones in other_distances.items():
        print(f"| T, {name} alone | mean {np.mean(ones):.2f}, median {np.median(ones):.2f} | | | | | |")
    without = {
        f"pehe_{way}_{name}": float(function(ones))
        for name, ones in other_distances.items()
        for way, function in (("mean", np.mean), ("median", np.median))
    }
    return {
        "pehe_mean": float(t_learner.mean()),
        "pehe_median": float(np.median(t_learner)),
        **without,
        "ihdp_covered": covered,
        "ihdp_max_difference": apart,
    }


def largest_difference(first: Result, second: Result) -> float:
    """Between the coefficients and averages of two results."""
    parts = [("models", name) for name in ("outcome", "propensity", "contrasts")]
    pairs = [(first.figures[part][name], second.figures[part][name]) for part, name in parts]
    averages = [result.figures["averages"]["AIPW"] for result in (first, second)]
    pairs += [(averages[0][name], averages[1][name]) for name in ("effects", "errors")]
    return max(float(np.abs(np.array(one) - np.array(other)).max()) for one, other in pairs)


PARTS = {"actg": actg, "ihdp": ihdp_part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for name, part in PARTS.items():
        if options.only in (None, name):
            figures |= part(options.seed)
    print(last_line(figures, options.seed))


if __name__ == "__main__":
    main()
