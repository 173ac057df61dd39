"""What patient-level privacy costs in accuracy: the reference job at epsilon 2 and 0.65, and three jobs in each mode.

    python benchmarks/model_quality/dp_accuracy.py                          the headline (5 runs each) and the table of modes
    python benchmarks/model_quality/dp_accuracy.py --only headline          the reference job alone
    python benchmarks/model_quality/dp_accuracy.py --only modes --repeats 3
    python benchmarks/model_quality/dp_accuracy.py --only modes --jobs heart_disease --repeats 1 --epsilons 2 none      short

Every run is a whole `simulate` of an example, masks, charges and all. A private run cannot be repeated exactly: runs differ in
their noise. The reference job is scored on the publisher's official test split, the others on held-out patients of all hospitals.
Rows: the hospitals together (`patient-distributed`), each with its own noise (`patient-local`), and each hospital alone.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.plan.network_view import seen
from wardround.plan.plan import Plan
from wardround.simulation.hospitals import divide, external_records, read_whole
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.tasks.binary.figures import auc, confusion_at
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.training.scoring import score
from wardround.values.durable import write_atomic
from wardround.values.records import Records

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EPSILONS = (0.65, 1.0, 2.0, 4.0, 8.0, None)
FEATURES = "features.safetensors"


@dataclass
class Job:
    """name: of the example, NAME_private.toml. local: the settings of patient-local training. gentle: other settings of the
    example where epsilon is at most 1. All were chosen on validation patients and on folds of training patients."""

    name: str
    local: dict[str, dict[str, Any]]
    gentle: dict[str, dict[str, Any]]
    study: Study = field(init=False)
    hospitals: dict[str, Records] = field(init=False)
    judged_on: list[Records] = field(init=False)
    cache: dict[str, bytes] = field(default_factory=dict)
    decisions: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        path = EXAMPLES / f"{self.name}_private.toml"
        self.study, settings = load_study(path), settings_beside(path)
        records, sites = read_whole(self.study, None)
        assert settings.simulation is not None
        self.hospitals = divide(records, sites, settings.simulation, records.labels)
        outside = external_records(self.study, settings.external)
        judged = [outside] if outside is not None else [part.where("test") for part in self.hospitals.values()]
        plan = Plan(self.study)
        self.judged_on = [seen(part, plan)[0] for part in judged]

    def run(self, study: Study, sites: list[str]) -> float:
        """AUC of one run over these hospitals."""
        study = study.revised(evaluation={"external": None})
        with tempfile.TemporaryDirectory() as folder:
            for site in sites:  # features of images cost more than all that follows, and are the same for every run
                if site in self.cache:
                    site_folder = Path(folder) / "run" / "sites" / site
                    site_folder.mkdir(parents=True, mode=0o700)
                    write_atomic(site_folder / FEATURES, self.cache[site], private=True)
            run = simulate(study, {site: self.hospitals[site] for site in sites}, out=f"{folder}/run", register=False)
            for site in sites:
                made = Path(folder) / "run" / "sites" / site / FEATURES
                if made.exists():
                    self.cache[site] = made.read_bytes()
            total = self.judged(study, run)
            self.decisions.append(decided(run, total))
            return auc(total)

    def judged(self, study: Study, run: Run) -> ScoreSums:
        total = ScoreSums.zero()
        for records in self.judged_on:
            logits = score(study.learned, Plan(study).inputs, run.model, records, flip_average=False, device="cpu")
            total = total + ScoreSums.from_scores(logits, records.labels)
        return total

    def distributed(self, epsilon: float | None) -> float:
        gentle = self.gentle if epsilon is not None and epsilon <= 1 else {}
        return self.run(priced(self.study.revised(**gentle), epsilon), list(self.hospitals))

    def locally(self, epsilon: float | None, sites: list[str]) -> float:
        patients = self.study.privacy.public_patients
        assert isinstance(patients, dict)
        study = self.study.revised(**self.local)
        study = study.revised(privacy={"public_patients": {site: patients[site] for site in sites}})
        if len(sites) == 1:
            study = study.revised(summation={"mode": "plain"}, sites={"minimum": 1})
        return self.run(priced(study, epsilon), sites)


def decided(run: Run, judged: ScoreSums) -> dict[str, float]:
    """Shares of records called rightly, at one half and at the hospitals' own thresholds: of their own held-out patients, and of
    those that the AUC is of (`elsewhere`: the mean over the thresholds)."""
    homes = [site.federated for site in run.record.sites.values() if site.federated is not None]
    thresholds = [home.value("threshold") or 0.5 for home in homes]
    records = sum(home.value("n") or 0.0 for home in homes)

    def at_home(name: str) -> float:
        return sum((home.value(name) or 0.0) * (home.value("n") or 0.0) for home in homes) / records

    return {
        "home_accuracy_at_half": at_home("accuracy_at_half"),
        "home_accuracy_at_own": at_home("accuracy"),
        "elsewhere_accuracy_at_half": accuracy(judged, 0.5),
        "elsewhere_accuracy_at_own": statistics.fmean(accuracy(judged, threshold) for threshold in thresholds),
        "mean_threshold": statistics.fmean(thresholds),
    }


def accuracy(sums: ScoreSums, threshold: float) -> float:
    counts = confusion_at(sums, threshold)
    return (counts.true_positive + counts.true_negative) / sums.n


def priced(study: Study, epsilon: float | None) -> Study:
    """None: the same recipe without noise."""
    noise = {"epsilon": epsilon, "noise_multiplier": None} if epsilon else {"epsilon": None, "noise_multiplier": 0.0}
    return study.revised(privacy=noise)


def local_training(rounds: int, rate: float, clip: float) -> dict[str, dict[str, Any]]:
    """Rounds of one private step each, whose changes the coordinator adds up with momentum."""
    return {
        "algorithm": {
            "name": "fedopt",
            "rounds": rounds,
            "server_optimizer": "momentum",
            "server_momentum": 0.9,
            "server_learning_rate": 1.0,
            "server_decay": 0.0,  # the examples', which only fedsgd reads, are put back
            "server_average": 0.0,
        },
        "training": {"optimizer": "sgd", "learning_rate": rate, "schedule": "constant"},
        "privacy": {"mode": "patient-local", "steps": 1, "clip_norm": clip},
    }


def jobs(names: list[str]) -> list[Job]:
    stages = [3, 4, 5, 6, 7]
    chest = local_training(rounds=30, rate=10.0, clip=0.1)
    chest["network"] = {"backbone": {"average": stages, "maximum": stages, "scaling": "synthetic", "feature_mean": False}}
    gentle: dict[str, dict[str, dict[str, Any]]] = {
        "chest_xray": {
            "algorithm": {"server_learning_rate": 5.0, "server_average": 0.5},
            "training": {"label_smoothing": 0.4},
        },
        "heart_disease": {"algorithm": {"server_learning_rate": 0.3}},
        "intensive_care": {},
    }
    local = {
        "chest_xray": chest,
        "heart_disease": local_training(rounds=20, rate=1.0, clip=1.0),
        "intensive_care": local_training(rounds=20, rate=0.1, clip=3.0),
    }
    return [Job(name, local[name], gentle[name]) for name in names]


def headline(job: Job, repeats: int) -> dict[str, float]:
    means = {}
    print(f"{job.name}, official test split\n{'figure':14} {'mean':>7}  runs")
    for figure, epsilon in (("auc_eps_2", 2.0), ("auc_eps_065", 0.65), ("auc_no_noise", None)):
        job.decisions.clear()
        runs = [job.distributed(epsilon) for _ in range(repeats if epsilon else 1)]
        means[figure] = statistics.fmean(runs)
        for name in job.decisions[0]:
            means[f"{figure.removeprefix('auc_')}_{name}"] = statistics.fmean(one[name] for one in job.decisions)
        print(f"{figure:14} {means[figure]:7.4f}  {' '.join(f'{value:.4f}' for value in runs)}", flush=True)
        print("  " + ", ".join(f"{name} {statistics.fmean(one[name] for one in job.decisions):.4f}" for name in job.decisions[0]))
    means["drop_eps_2"] = means["auc_no_noise"] - means["auc_eps_2"]
    return {figure: round(value, 4) for figure, value in means.items()}


def modes(job: Job, repeats: int, epsilons: Sequence[float | None]) -> dict[str, dict[str, float]]:
    """Mean AUC by row of the table and epsilon."""
    sites = list(job.hospitals)
    print(f"\n{job.name}: AUC, means of {repeats}\n| epsilon | {' | '.join(map(name, epsilons))} |")
    print(f"| --- |{' --- |' * len(epsilons)}")
    rows = {"together, distributed": job.distributed, "together, local": lambda epsilon: job.locally(epsilon, sites)}
    for site in sites:
        rows[f"{site} alone"] = lambda epsilon, site=site: job.locally(epsilon, [site])  # type: ignore[misc]
    means: dict[str, dict[str, float]] = {}
    for title, row in rows.items():
        cells = [statistics.fmean(row(epsilon) for _ in range(repeats if epsilon else 1)) for epsilon in epsilons]
        print(f"| {title} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)
        means[title] = {name(epsilon): round(cell, 4) for epsilon, cell in zip(epsilons, cells, strict=True)}
    return means


def name(epsilon: float | None) -> str:
    return "no noise" if epsilon is None else f"{epsilon:g}"


def price(text: str) -> float | None:
    return None if text == "none" else float(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["headline", "modes"])
    every = ["chest_xray", "heart_disease", "intensive_care"]
    parser.add_argument("--jobs", nargs="+", choices=every, default=every)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--epsilons", nargs="+", type=price, default=EPSILONS, help="columns of the table of modes; none: no noise"
    )
    chosen = parser.parse_args()
    if chosen.only == "headline" and "chest_xray" not in chosen.jobs:
        parser.error("the headline is the job chest_xray: expected it among --jobs")
    began, figures, seeds = time.monotonic(), dict[str, Any](), set[int]()
    for job in jobs(["chest_xray"] if chosen.only == "headline" else chosen.jobs):
        seeds.add(job.study.training.seed)
        if job.name == "chest_xray" and chosen.only != "modes":
            figures |= headline(job, chosen.repeats)
        if chosen.only != "headline":
            figures.setdefault("modes", {})[job.name] = modes(job, chosen.repeats, chosen.epsilons)
    print(f"\n{time.monotonic() - began:.0f} seconds")
    print(last_line(figures, sorted(seeds)))


if __name__ == "__main__":
    main()
