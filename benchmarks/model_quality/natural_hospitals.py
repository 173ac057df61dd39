"""Hospitals that nature divided: every hospital's own model, four federated algorithms and pooled training, on every hospital.

    python benchmarks/model_quality/natural_hospitals.py       cxr_multisite (3 institutions) and uci_heart_disease (4 hospitals)
    python benchmarks/model_quality/natural_hospitals.py --only heart_disease
    python benchmarks/model_quality/natural_hospitals.py --only heart_disease --seeds 1 --rounds 5       short

Pooled training has all records in one place: what no federation may do, the mark to reach. The table shows the first seed, every
figure the AUC on a hospital's held-out patients with its 95 % interval; the JSON holds means over the seeds.
"""

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.plan.plan import Plan
from wardround.simulation.hospitals import divide, read_whole
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.label import LabelContract
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.evaluation import evaluation_of
from wardround.training.scoring import score
from wardround.values.records import Records

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Figures = dict[str, tuple[float, tuple[float, float] | None]]


def variants(study: Study) -> dict[str, Study]:
    plain_sgd = {"optimizer": "sgd", "momentum": 0.0}
    if study.training.optimizer != "sgd":
        plain_sgd["learning_rate"] = 0.05  # AdamW's rate means nothing to plain gradient steps
    quiet = {"own_baseline": False}
    return {
        "fedavg": study,
        "fedprox": study.revised(algorithm={"name": "fedprox", "proximal_mu": 0.01}, evaluation=quiet),
        "scaffold": study.revised(algorithm={"name": "scaffold"}, training=plain_sgd, evaluation=quiet),
        "fedbn": study.revised(algorithm={"name": "fedbn"}, evaluation=quiet),
    }


def cross_figures(run: Any, model: str) -> Figures:
    by_site = {site: (e.values["auc"], e.intervals.get("auc")) for site, e in run.record.cross[model].items()}
    pooled = run.record.pooled.federated if model == "federated" else run.record.pooled.own[model]
    return {**by_site, "all": (pooled.values["auc"], pooled.intervals.get("auc"))}


def pooled_figures(study: Study, hospitals: dict[str, Records], folder: str) -> Figures:
    whole = Records(*(np.concatenate([getattr(part, name) for part in hospitals.values()]) for name in Records.__annotations__))
    alone = study.revised(sites={"minimum": 1}, summation={"mode": "plain"}, evaluation={"own_baseline": False})
    run = simulate(alone, {"pooled": whole}, out=folder, register=False, workers=0)
    total, by_site = ScoreSums.zero(), {}
    for site, records in hospitals.items():
        held_out = records.where("test")
        logits = score(
            study.learned, Plan(study).inputs, run.model, held_out, flip_average=study.evaluation.flip_average, device="cpu"
        )
        sums = ScoreSums.from_scores(logits, held_out.labels)
        total = total + sums
        by_site[site] = _auc(sums)
    return {**by_site, "all": _auc(total)}


def _auc(sums: ScoreSums) -> tuple[float, tuple[float, float] | None]:
    evaluation = evaluation_of(BinaryTask(LabelContract()), sums.as_sums(), 0.5)
    return evaluation.values["auc"], evaluation.intervals.get("auc")  # type: ignore[return-value]


def compare(path: Path, seed: int, rounds: int | None) -> dict[str, Figures]:
    study = load_study(path).revised(training={"seed": seed}, algorithm={"rounds": rounds} if rounds else {})
    records, sites = read_whole(study, None)
    hospitals = divide(records, sites, settings_beside(path).simulation, records.labels)  # type: ignore[arg-type]
    rows: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, variant in variants(study).items():
            run = simulate(variant, hospitals, out=f"{folder}/{name}", register=False)
            if name == "fedavg":
                rows |= {f"{site} alone": cross_figures(run, site) for site in hospitals}
            rows[name] = cross_figures(run, "federated")
        rows["pooled"] = pooled_figures(study, hospitals, f"{folder}/pooled")
    return rows


def show(title: str, rows: dict[str, Figures]) -> None:
    sites = list(next(iter(rows.values())))
    print(f"\n{title}: AUC on held-out patients of\n| model | {' | '.join(sites)} |\n| --- |{' --- |' * len(sites)}")
    for name, figures in rows.items():
        print(f"| {name} | {' | '.join(_cell(*figures[site]) for site in sites)} |", flush=True)


def _cell(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or math.isnan(value):
        return "one class only"
    return f"{value:.3f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["three_institutions", "heart_disease"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, help="of every study; default: what its file says")
    chosen = parser.parse_args()
    result: dict[str, dict[str, float]] = {}
    for name in [chosen.only] if chosen.only else ["three_institutions", "heart_disease"]:
        runs = [compare(EXAMPLES / f"{name}.toml", seed, chosen.rounds) for seed in chosen.seeds]
        show(f"{name}, seed {chosen.seeds[0]}", runs[0])
        result[name] = {model: round(statistics.fmean(run[model]["all"][0] for run in runs), 4) for model in runs[0]}
        result[name]["fedavg_minus_pooled"] = round(result[name]["fedavg"] - result[name]["pooled"], 4)
    print(last_line(result, chosen.seeds))


if __name__ == "__main__":
    main()
