"""Whether every hospital gains: its own model, the federated one, each candidate and the chosen one, on held-out patients.

    python benchmarks/model_quality/personal.py                          all four jobs
    python benchmarks/model_quality/personal.py --only heart             heart disease at four hospitals, ten divisions
    python benchmarks/model_quality/personal.py --only heart --validation    figures to tune by: no test patient is looked at

A division draws 50 % of each hospital's patients for training, 20 % for validation and 30 % for the test, class by class. Losses
are mean log-losses in nats, AUCs and losses means over the divisions. What each hospital chose, it chose on validation patients.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.algorithms.personal import CANDIDATES, Option
from wardround.simulation.demo import demo_study
from wardround.simulation.hospitals import divide, read_whole
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.site.personal_models import HospitalMaterial, chosen_of, outputs_of
from wardround.site.site import Site
from wardround.site.work import SiteWork, own_file
from wardround.sources.synthetic.hospitals import demo_hospitals
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.tasks.registry import task_of
from wardround.values.ids import site_id
from wardround.values.randomness import generator
from wardround.values.records import Records
from wardround.values.tensor_file import read_tensors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}
Hospitals = Mapping[str, Records]


@dataclass
class Figures:
    """loss, auc: hospital -> model -> one figure for each division. kept: hospital -> what was chosen in each."""

    loss: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    auc: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)

    def add(self, hospital: str, model: str, loss: float | None, auc: float | None) -> None:
        for table, figure in ((self.loss, loss), (self.auc, auc)):
            if figure is not None:
                table.setdefault(hospital, {}).setdefault(model, []).append(figure)

    def mean(self, hospital: str, model: str) -> float:
        return statistics.fmean(self.loss[hospital][model])

    def over_own(self, hospital: str) -> float:
        """By how much the mean loss of the chosen models is above that of the own ones."""
        return self.mean(hospital, "chosen") - self.mean(hospital, "own")


def divided(records: Records, seed: int) -> Records:
    """The same records with other splits, patient by patient and class by class."""
    patients, first = np.unique(records.patients, return_index=True)
    labels, parts = records.labels[first], np.empty(len(patients), "<U10")
    for label in np.unique(labels):
        places = generator("benchmark division", seed, int(label)).permutation(np.flatnonzero(labels == label))
        ends = np.rint(np.cumsum(list(SHARES.values())) * len(places)).astype(int)
        for split, piece in zip(SHARES, np.split(places, ends[:-1]), strict=True):
            parts[piece] = split
    return Records(records.inputs, records.labels, records.patients, parts[np.searchsorted(patients, records.patients)])


def hospitals_of(path: Path) -> tuple[Study, Hospitals]:
    """The example's study, and its data set as the run file beside it divides it."""
    study = load_study(path)
    records, sites = read_whole(study, None)
    return study, divide(records, sites, settings_beside(path).simulation, records.labels)  # type: ignore[arg-type]


def heart() -> tuple[Study, Hospitals]:
    study, hospitals = hospitals_of(EXAMPLES / "heart_disease.toml")
    training = {"learning_rate": 0.1, "batch_size": 16, "local_epochs": 1.0}
    # A sum in the open: masks change no bit of a model, and take time.
    small = study.revised(
        network={"name": "mlp", "hidden": [16]}, training=training, algorithm={"rounds": 30}, summation={"mode": "plain"}
    )
    return small, hospitals


def eicu() -> tuple[Study, Hospitals]:
    private, hospitals = hospitals_of(EXAMPLES / "intensive_care_private.toml")
    written = {
        "format": 1,
        "question": private.question.model_dump(mode="json"),
        "data": private.data.model_dump(mode="json"),
        "network": {"name": "mlp", "hidden": [16]},
        "training": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 16, "class_balance": False},
        "algorithm": {"name": "fedavg", "rounds": 30},
        "summation": {"mode": "plain"},
    }
    return Study.model_validate_json(json.dumps(written)), hospitals


def personal(study: Study, settings: Mapping[str, object]) -> Study:
    """With the candidates of the examples, which remember no patient; others by `--set candidates=[...]`."""
    usual = [name for name, candidate in CANDIDATES.items() if not candidate.remembers]
    return study.revised(evaluation={"own_baseline": False}, personal={"candidates": usual, **settings})


def runs(study: Study, hospitals: Hospitals, seeds: list[int]) -> Iterator[tuple[Run, Hospitals]]:
    """A finished run for each seed, and the hospitals as they were divided for it."""
    for seed in seeds:
        parts = {name: divided(records, seed) for name, records in hospitals.items()}
        with tempfile.TemporaryDirectory() as folder:
            yield simulate(study, parts, out=Path(folder) / "run", seed=seed, register=False, workers=0, progress=False), parts


def of_candidates(run: Run, study: Study, name: str, records: Records) -> Iterator[tuple[str, Option, Any]]:
    """Each candidate as the hospital would have kept it, and its outputs for the test patients: for this table alone. Only what
    was chosen is tested by a hospital."""
    site = Site(site_id(name), study, lambda: records, run.folder / "sites" / name, device="cpu", threads=1)
    try:
        assert isinstance(site.work, SiteWork)
        bench = site.work.bench
        own, _ = read_tensors(run.folder / "sites" / name / f"{own_file(study.algorithm.rounds)}.safetensors")
        federated = {name: array for name, array in run.model.items() if name in site.plan.shared_names}
        for candidate, option in chosen_of(HospitalMaterial(bench, site.plan.trainable(own), federated)).options.items():
            yield candidate, option, outputs_of(bench, option.model, "test")
    finally:
        site.close()


def tested(study: Study, hospitals: Hospitals, seeds: list[int], *, each: bool) -> Figures:
    """Own, federated and chosen of every division on test patients; `each`: every candidate too."""
    figures, task = Figures(), task_of(study)
    for run, parts in runs(study, hospitals, seeds):
        _take(figures, run)
        for name in run.record.sites if each else ():
            seeded = study.revised(training={"seed": run.record.seed})
            for candidate, _, outputs in of_candidates(run, seeded, name, parts[name]):
                labels = parts[name].where("test").labels
                score = task.score(task.sums(outputs, labels))
                if candidate not in ("own", "federated"):
                    figures.add(name, candidate, float(task.losses(outputs, labels).mean()), None if score != score else score)
    return figures


def validated(study: Study, hospitals: Hospitals, seeds: list[int]) -> Figures:
    """The cross-fitted losses of every candidate on validation patients; `chosen` is that of whichever was kept."""
    figures = Figures()
    for run, _ in runs(study, hospitals, seeds):
        for name, entry in run.record.sites.items():
            if (kept := entry.personal) is None:
                raise SystemExit(f"{name} made no personal models: read its log in {run.folder}")
            figures.kept.setdefault(name, []).append(kept.chosen)
            for candidate in kept.candidates:
                figures.add(name, candidate.name, candidate.loss, None)
                if candidate.name == kept.chosen:
                    figures.add(name, "chosen", candidate.loss, None)
    return figures


def show(title: str, figures: Figures) -> None:
    models = list(next(iter(figures.loss.values())))
    print(f"\n{title}: mean log-loss, and AUC, at\n| model | {' | '.join(figures.loss)} |\n| --- |{' --- |' * len(figures.loss)}")
    for model in models:
        print(f"| {model} | {' | '.join(_cell(figures, name, model) for name in figures.loss)} |", flush=True)
    for name, kept in figures.kept.items():
        print(f"kept at {name}: {', '.join(f'{one} {kept.count(one)}' for one in sorted(set(kept)))}")


def _cell(figures: Figures, name: str, model: str) -> str:
    aucs = figures.auc.get(name, {}).get(model)
    return f"{figures.mean(name, model):.3f}" + (f", {statistics.fmean(aucs):.3f}" if aucs else "")


def of_heart(figures: Figures) -> dict[str, float]:
    over = [figures.over_own(name) for name in figures.loss]
    return {"heart_worst_loss_over_own": round(max(over), 4), "heart_hospitals_better": sum(one < 0 for one in over)}


def of_cxr(figures: Figures) -> dict[str, float]:
    """Divisions and hospitals in which the chosen model's loss is more than 0.01 above the own one's."""
    pairs = [pair for models in figures.loss.values() for pair in zip(models["chosen"], models["own"], strict=True)]
    return {"cxr_worse_than_own": sum(chosen > own + 0.01 for chosen, own in pairs)}


def of_eicu(figures: Figures) -> dict[str, float]:
    return {"eicu_worst_loss_over_own": round(max(figures.over_own(name) for name in figures.loss), 4)}


def gains(figures: Mapping[str, Mapping[str, list[float]]]) -> list[float]:
    """The chosen model's figure less the own one's, of every hospital and seed."""
    return [chosen - own for models in figures.values() for chosen, own in zip(models["chosen"], models["own"], strict=True)]


def of_demo(figures: Figures) -> dict[str, float]:
    aucs, losses = gains(figures.auc), gains(figures.loss)
    print(f"log-loss less own: largest {max(losses):+.4f}, mean {statistics.fmean(losses):+.4f}")
    return {"demo_worst_auc_under_own": round(-min(aucs), 4), "demo_mean_gain": round(statistics.fmean(aucs), 4)}


def demo(seeds: list[int], settings: Mapping[str, object]) -> Figures:
    """The demo's own hospitals: another seed draws other patients, which come divided."""
    figures = Figures()
    for seed in seeds:
        study, hospitals = demo_study(seed).revised(personal=settings), demo_hospitals(seed)
        with tempfile.TemporaryDirectory() as folder:
            run = simulate(study, hospitals, out=Path(folder) / "run", register=False, synthetic=True, progress=False)
            _take(figures, run)
    return figures


def _take(figures: Figures, run: Run) -> None:
    """Own, federated and chosen at each hospital of a run, on its test patients."""
    for name, entry in run.record.sites.items():
        if (kept := entry.personal) is None:
            raise SystemExit(f"{name} made no personal models: read its log in {run.folder}")
        figures.kept.setdefault(name, []).append(kept.chosen)
        for model, evaluation in (("own", entry.own), ("federated", entry.federated), ("chosen", kept.test)):
            figures.add(name, model, kept.losses[model], evaluation.value("auc") if evaluation else None)


JOBS = {"heart": (heart, range(1, 11), of_heart), "eicu": (eicu, range(1, 11), of_eicu)}


def job(name: str, chosen: argparse.Namespace, settings: Mapping[str, object]) -> dict[str, float]:
    """Runs one job, shows its table, and gives its part of the last line."""
    if name == "demo":
        figures = demo(chosen.seeds or list(range(1, 6)), settings)
        show("demo", figures)
        return of_demo(figures)
    if name == "cxr":
        study, hospitals = hospitals_of(EXAMPLES / "three_institutions.toml")
        figures = tested(personal(study, settings), hospitals, chosen.seeds or [1, 2, 3], each=False)
        show("cxr", figures)
        return of_cxr(figures)
    parts, seeds, summary = JOBS[name]
    study, hospitals = parts()
    if chosen.validation:
        show(f"{name}, validation patients", validated(personal(study, settings), hospitals, chosen.seeds or list(seeds)))
        return {}
    figures = tested(personal(study, settings), hospitals, chosen.seeds or list(seeds), each=name == "heart")
    show(name, figures)
    return summary(figures)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["heart", "cxr", "eicu", "demo"])
    parser.add_argument("--seeds", type=int, nargs="+", help="of the divisions; default: ten, three of cxr, five of the demo")
    parser.add_argument("--validation", action="store_true", help="heart and eicu: figures of validation patients alone")
    parser.add_argument("--set", nargs="*", default=[], help="settings of [personal]: passes=10 rate=0.1")
    chosen = parser.parse_args()
    settings = {name: json.loads(value) for name, _, value in (pair.partition("=") for pair in chosen.set)}
    result: dict[str, float] = {}
    for name in [chosen.only] if chosen.only else ["heart", "cxr", "eicu", "demo"]:
        result |= job(name, chosen, settings)
    print(last_line(result, chosen.seeds))


if __name__ == "__main__":
    main()
