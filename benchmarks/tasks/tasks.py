"""Every kind of question on public data: grades, classes, numbers and times, federated against pooled and against own models.

    python benchmarks/tasks/tasks.py                      all of them
    python benchmarks/tasks/tasks.py --only heart icu     some of them
    python benchmarks/tasks/tasks.py --divisions 5        divisions of the patients into train, validation and test (not X-rays)
    python benchmarks/tasks/tasks.py --validation         figures of validation patients: to choose settings by, never by test

heart: severity 0 to 4 at four hospitals. cxr3: normal, bacterial, viral on the publisher's own test split, scored once. icu: days
in intensive care, four regions. brca: time to death, six regions. Figures are means over the divisions of those of all hospitals'
test patients together. Pooled training is the same study with all records in one place.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood
from last_line import last_line
from wardround.simulation.hospitals import divide, read_whole
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.tasks.registry import task_of
from wardround.values.records import Records

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Figures = Mapping[str, float | None]
NAMES = {"heart": "heart_severity", "icu": "icu_stay", "brca": "breast_cancer_time", "cxr3": "pneumonia_kind"}


def hospitals_of(study: Study, example: str) -> dict[str, Records]:
    """As the example's run file divides its data set."""
    records, sites = read_whole(study, None)
    simulation = settings_beside(EXAMPLES / f"{example}.toml").simulation
    assert simulation is not None
    return divide(records, sites, simulation, task_of(study).strata(records.labels))


def learned(study: Study, hospitals: dict[str, Records], *, validation: bool) -> dict[str, Figures]:
    """Figures by model: federated, and each hospital's own where the study trains those."""
    with tempfile.TemporaryDirectory() as folder:
        record = simulate(study, hospitals, out=f"{folder}/run", register=False, workers=0).record
    if validation:
        assert record.rounds[-1].validation is not None
        return {"federated": record.rounds[-1].validation.values}
    assert record.pooled is not None
    return {"federated": record.pooled.federated.values, **{name: own.values for name, own in record.pooled.own.items()}}


def compared(
    example: str, divisions: int, *, validation: bool, changes: Mapping[str, dict[str, object]]
) -> dict[str, dict[str, list[float]]]:
    """By model and figure, one value of each division. pooled: all records in one place."""
    result: dict[str, dict[str, list[float]]] = {}
    for division in range(1, divisions + 1):
        study = load_study(EXAMPLES / f"{example}.toml").revised(data={"splits": {"salt": f"division {division}"}}, **changes)
        hospitals = hospitals_of(study, example)
        whole = Records(
            *(np.concatenate([getattr(part, name) for part in hospitals.values()]) for name in Records.__annotations__)
        )
        pooled = study.revised(sites={"minimum": 1}, summation={"mode": "plain"}, evaluation={"own_baseline": False})
        federated = study if not validation else study.revised(evaluation={"own_baseline": False})
        models = learned(federated, hospitals, validation=validation)
        models["pooled"] = learned(pooled, {"pooled": whole}, validation=validation)["federated"]
        for model, figures in models.items():
            for name, value in figures.items():
                result.setdefault(model, {}).setdefault(name, []).append(float("nan") if value is None else value)
    return result


def shown(title: str, models: Mapping[str, Mapping[str, list[float]]], keys: tuple[str, ...]) -> None:
    """A table of means over divisions, and of how far they lie apart."""
    print(f"\n{title}\n| model | {' | '.join(keys)} |\n| --- |{' --- |' * len(keys)}")
    for model, figures in models.items():
        cells = [f"{statistics.fmean(figures[key]):.4f} ± {statistics.pstdev(figures[key]):.3f}" for key in keys]
        print(f"| {model} | {' | '.join(cells)} |", flush=True)


def mean(models: Mapping[str, Mapping[str, list[float]]], model: str, key: str) -> float:
    return round(statistics.fmean(models[model][key]), 4)


KEYS = {
    "heart": ("log_loss", "kappa", "kappa_likeliest", "accuracy", "within_one", "mean_auc"),
    "icu": ("rmse_log", "mae", "r2", "coverage", "width"),
    "brca": ("c_index", "log_loss", "brier_1", "brier_2", "said_1", "observed_1"),
}
RESULTS = {
    "heart": {"heart_log_loss": "log_loss", "heart_kappa": "kappa"},
    "icu": {"icu_rmse_log": "rmse_log", "icu_mae": "mae", "icu_coverage": "coverage"},
    "brca": {"brca_c": "c_index"},
}


def x_rays() -> dict[str, float]:
    """The example as it stands, on the publisher's test split."""
    study = load_study(EXAMPLES / "pneumonia_kind.toml")
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_beside(EXAMPLES / "pneumonia_kind.toml")
        record = simulate(study, out=f"{folder}/run", run=settings, register=False).record
    (evaluation,) = record.external.values()
    print(
        f"\nX-rays, official test: { ({name: round(value or 0.0, 4) for name, value in evaluation.values.items()}) }", flush=True
    )
    return {
        "cxr3_accuracy": round(evaluation.values["accuracy"] or 0.0, 4),
        "cxr3_auc": round(evaluation.values["macro_auc"] or 0.0, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=sorted(NAMES), nargs="+", default=sorted(NAMES))
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--validation", action="store_true", help="figures of validation patients")
    chosen = parser.parse_args()
    result: dict[str, object] = {}
    for name in chosen.only:
        if name == "cxr3":
            result |= x_rays()
            continue
        models = compared(NAMES[name], chosen.divisions, validation=chosen.validation, changes={})
        shown(NAMES[name], models, KEYS[name])
        result |= {key: mean(models, "federated", figure) for key, figure in RESULTS[name].items()}
        result |= {f"{key}_pooled": mean(models, "pooled", figure) for key, figure in RESULTS[name].items()}
    print(last_line(result, list(range(1, chosen.divisions + 1))))


if __name__ == "__main__":
    main()
