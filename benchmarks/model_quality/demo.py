"""The demo over five seeds: does learning together beat every hospital alone, and is the task more than brightness?

    python benchmarks/model_quality/demo.py

Each seed draws other patients and another model: `wardround demo --seed N --json`, timed from outside. The logistic regression on
the pixels has all training pictures in one place and its strength chosen on the validation pictures, so it is a generous mark.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.sources.synthetic.hospitals import demo_hospitals
from wardround.values.records import Split

STRENGTHS = (1e-4, 1e-3, 1e-2)


def demo(seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "wardround", "demo", "--seed", str(seed), "--json", "--out", f"{folder}/run"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "WARDROUND_HOME": f"{folder}/home"})
        return {"wall_seconds": time.monotonic() - began, **json.loads(done.stdout)}


def logistic_auc(seed: int) -> float:
    hospitals = demo_hospitals(seed).values()

    def pictures(split: Split) -> tuple[Any, Any]:
        parts = [hospital.where(split) for hospital in hospitals]
        pixels = np.concatenate([part.inputs.reshape(len(part), -1) for part in parts]).astype(np.float32) / 255
        pixels = (pixels - pixels.mean(1, keepdims=True)) / (pixels.std(1, keepdims=True) + 1e-3)
        return pixels, np.concatenate([part.labels for part in parts])

    train, validation, test = pictures("train"), pictures("validation"), pictures("test")
    fitted = [LogisticRegression(C=strength, max_iter=300, class_weight="balanced").fit(*train) for strength in STRENGTHS]
    best = max(fitted, key=lambda model: roc_auc_score(validation[1], model.decision_function(validation[0])))
    return float(roc_auc_score(test[1], best.decision_function(test[0])))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    rows = []
    print("seed  seconds  federated AUC  accuracy  best own AUC  logistic AUC")
    seeds = parser.parse_args().seeds
    for seed in seeds:
        shown = demo(seed)
        shared = shown["pooled"]["federated"]
        own = max(figures["auc"] for figures in shown["pooled"]["own"].values())
        rows.append((shown["wall_seconds"], shared["auc"], shared["accuracy"], own, logistic_auc(seed)))
        print(f"{seed:>4}  {rows[-1][0]:>7.1f}  " + "  ".join(f"{value:>12.4f}" for value in rows[-1][1:]), flush=True)
    summary = {
        "seconds_max": round(max(row[0] for row in rows), 1),
        "auc_mean": round(statistics.fmean(row[1] for row in rows), 4),
        "wins": sum(row[1] > row[3] for row in rows),
        "seeds": len(rows),
        "smallest_gap_to_own": round(min(row[1] - row[3] for row in rows), 4),
        "smallest_gap_to_logistic": round(min(row[1] - row[4] for row in rows), 4),
    }
    print(last_line(summary, seeds))


if __name__ == "__main__":
    main()
