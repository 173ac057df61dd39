"""The reference job: chest X-rays, three uneven hospitals, ten rounds of federated averaging, over three training seeds.

    python benchmarks/model_quality/reference_job.py                                 plain_cnn on the 64-pixel arrays
    python benchmarks/model_quality/reference_job.py --network efficientnet_lite0    ImageNet weights, fine-tuned on the JPEGs
    python benchmarks/model_quality/reference_job.py --seeds 1 --no-own --set algorithm.rounds=1      short

Runs the real command, `wardround simulate examples/NAME.toml --json`, once a seed, and times it from outside. Options that this
program does not have go to that command. Needs the data set kermany_cxr (WARDROUND_DATA). The official test split is scored once
a run, after every choice has been made on validation.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STUDIES = {"plain_cnn": "chest_xray.toml", "efficientnet_lite0": "chest_xray_efficientnet.toml"}
EXTERNAL = "official_test"


def run(study: Path, seed: int, extra: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "wardround", "simulate", str(study), "--seed", str(seed), "--json"]
        began = time.monotonic()
        done = subprocess.run(
            [*command, "--out", f"{folder}/run", *extra],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "WARDROUND_HOME": f"{folder}/home"},
        )
        return {"wall_seconds": time.monotonic() - began, **json.loads(done.stdout)}


def row(seed: int, shown: dict[str, Any]) -> dict[str, float]:
    outside, inside = shown["external"][EXTERNAL], shown["pooled"]["federated"]
    own_aucs = [figures["auc"] for figures in shown["pooled"]["own"].values() if figures["auc"] is not None]
    return {
        "seed": seed,
        "test_auc": outside["auc"],
        "test_accuracy": outside["accuracy"],
        "test_accuracy_at_half": outside["accuracy_at_half"],
        "heldout_auc": inside["auc"],
        "heldout_accuracy": inside["accuracy"],
        "best_own_heldout_auc": max(own_aucs, default=math.nan),
        "threshold": outside["threshold"],
        "seconds": shown["wall_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=sorted(STUDIES), default="plain_cnn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    chosen, extra = parser.parse_known_args()
    rows = []
    for seed in chosen.seeds:
        rows.append(row(seed, run(EXAMPLES / STUDIES[chosen.network], seed, extra)))
        if len(rows) == 1:
            print("  ".join(f"{name:>22}" for name in rows[0]))
        print("  ".join(f"{value:>22.4f}" for value in rows[-1].values()), flush=True)
    means = {name: statistics.fmean(entry[name] for entry in rows) for name in rows[0] if name != "seed"}
    print("  ".join(f"{value:>22.4f}" for value in [float("nan"), *means.values()]), " mean")
    told = {name: None if math.isnan(value) else round(value, 4) for name, value in means.items()}
    print(last_line({"network": chosen.network, **told}, chosen.seeds))


if __name__ == "__main__":
    main()
