"""What class weights do to probabilities: the starter study's training of tables with and without them, on validation patients.

    python benchmarks/model_quality/class_weights.py                        heart disease, and intensive care in four regions
    python benchmarks/model_quality/class_weights.py --jobs heart_disease --seeds 1      short

Calibration error (15 bins) and Brier score of the final federated model on the validation patients of all hospitals together;
no test patient is looked at. Means over the seeds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.simulation.hospitals import divide, read_whole
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import load_study, parse_study
from wardround.study.run_settings import settings_beside
from wardround.study.starter import starter
from wardround.values.records import Records

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
JOBS = {"heart_disease": "heart_disease.toml", "intensive_care": "intensive_care_private.toml"}
FIGURES = ("auc", "ece", "brier")


def starter_study(example: Study) -> Study:
    """The starter study for tables, over the data of an example; a sum in the open, which changes no bit."""
    begun = parse_study(starter("table")).model_dump(mode="json")
    begun["data"] = example.data.model_dump(mode="json")
    begun["summation"] = {"mode": "plain"}
    begun["evaluation"]["own_baseline"] = False
    return Study.model_validate_json(json.dumps(begun))


def validated(study: Study, hospitals: dict[str, Records], seed: int) -> dict[str, float]:
    """The figures of the final model on the validation patients of all hospitals."""
    with tempfile.TemporaryDirectory() as folder:
        record = simulate(study, hospitals, out=Path(folder) / "run", seed=seed, register=False, workers=0, progress=False).record
    last = record.rounds[-1].validation
    assert last is not None
    return {name: value for name in FIGURES if (value := last.value(name)) is not None}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    print(
        f"validation patients, means over seeds {chosen.seeds}\n| data | class weights | AUC | calibration error | Brier score |"
    )
    for job in chosen.jobs:
        path = EXAMPLES / JOBS[job]
        study = starter_study(load_study(path))
        records, sites = read_whole(study, None)
        hospitals = divide(records, sites, settings_beside(path).simulation, records.labels)  # type: ignore[arg-type]
        for weighted in (True, False):
            runs = [validated(study.revised(training={"class_balance": weighted}), hospitals, seed) for seed in chosen.seeds]
            means = {name: statistics.fmean(run[name] for run in runs) for name in FIGURES}
            print(
                f"| {job} | {'on' if weighted else 'off'} | {' | '.join(f'{value:.3f}' for value in means.values())} |",
                flush=True,
            )
            figures |= {f"{job}_{name}_{'with' if weighted else 'without'}": round(value, 4) for name, value in means.items()}
    print(last_line(figures, chosen.seeds))


if __name__ == "__main__":
    main()
